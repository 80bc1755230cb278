"""A snapshot that lives in memory only: searched by the very code that serves the published one, and then dropped."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

from index.building import IndexParts
from index.schema import Chunk
from index.shared_hold import SharedHold
from index.snapshot import SCHEMA_VERSION, Manifest, NoteRecord, Snapshot

IN_MEMORY = "in memory"


def in_memory_snapshot(chunks: Sequence[Chunk], parts: IndexParts, folder: Path) -> Snapshot:
    """Put together a snapshot of ``chunks`` that nothing was written of.

    ``folder`` is an existing one that the snapshot may hold on to until it is closed. Raises ValueError where two
    chunks share an id.
    """
    rows_by_id = {chunk.id: row for row, chunk in enumerate(chunks)}
    if len(chunks) != len(rows_by_id):
        raise ValueError(f"{len(chunks)} chunks with {len(rows_by_id)} ids")
    return Snapshot(
        manifest=_manifest(chunks),
        chunks=list(chunks),
        dense=parts.dense,
        lexical=parts.lexical,
        late=parts.late,
        rows_by_id=rows_by_id,
        hold=SharedHold(folder),
        concepts=parts.concepts,
    )


def _manifest(chunks: Sequence[Chunk]) -> Manifest:
    per_note: dict[str, int] = {}
    for chunk in chunks:
        per_note[chunk.note] = per_note.get(chunk.note, 0) + 1
    return Manifest(
        name=IN_MEMORY,
        schema_version=SCHEMA_VERSION,
        fingerprints={},
        sources=(),
        notes={note: NoteRecord(sha256="", chunks=count) for note, count in per_note.items()},
        counts={"notes": len(per_note), "chunks": len(chunks), "duplicates": 0},
        build={"machine": f"{platform.machine()} {platform.system()}, Python {platform.python_version()}"},
    )
