"""What is published, told from the manifest alone: no model is loaded and no index opened."""

from __future__ import annotations

from pathlib import Path

from index.snapshot import current_name, verified_manifest


def published_status(data: Path) -> dict[str, object]:
    """Describe the published snapshot, JSON-ready, after checking every file of it.

    Raises IndexMissing, IndexCorrupt, IndexIncompatible, DataFolderForeign.
    """
    manifest = verified_manifest(data, current_name(data))
    return {
        "snapshot": manifest.name,
        "data": str(data),
        "sources": list(manifest.sources),
        "counts": dict(manifest.counts),
        "bytes": sum(int(file["bytes"]) for file in manifest.files.values()),
        "fingerprints": dict(manifest.fingerprints),
        "build": dict(manifest.build),
    }
