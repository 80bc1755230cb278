from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from index.errors import IndexCorrupt, IndexMissing
from index.snapshot import CURRENT, MANIFEST, SCHEMA_VERSION, SNAPSHOTS, Manifest
from service.published import published_status


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / SNAPSHOTS / "000007"
    folder.mkdir(parents=True)
    (folder / "chunks").write_bytes(b"twelve bytes")
    manifest = Manifest(
        name="000007",
        schema_version=SCHEMA_VERSION,
        fingerprints={"encoder": "e5"},
        sources=("/notes",),
        notes={},
        counts={"chunks": 3},
        files={"chunks": {"sha256": hashlib.sha256(b"twelve bytes").hexdigest(), "bytes": 12}},
        build={"seconds": 1.5},
    )
    (folder / MANIFEST).write_bytes(manifest.to_json())
    (tmp_path / CURRENT).write_text("000007\n")
    return tmp_path


def test_the_manifest_is_told_json_ready(data: Path) -> None:
    status = published_status(data)
    assert json.loads(json.dumps(status)) == {
        "snapshot": "000007",
        "data": str(data),
        "sources": ["/notes"],
        "counts": {"chunks": 3},
        "bytes": 12,
        "fingerprints": {"encoder": "e5"},
        "build": {"seconds": 1.5},
    }


def test_a_damaged_file_is_not_called_published(data: Path) -> None:
    (data / SNAPSHOTS / "000007" / "chunks").write_bytes(b"twelve bytez")
    with pytest.raises(IndexCorrupt, match="chunks"):
        published_status(data)


def test_nothing_published(tmp_path: Path) -> None:
    with pytest.raises(IndexMissing):
        published_status(tmp_path)
