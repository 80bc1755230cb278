"""Snapshots: an immutable, checksummed folder with everything that can be searched.

``data/snapshots/000007/`` holds chunks.jsonl, the dense, lexical and late indexes and manifest.json;
``data/CURRENT`` names the published one. Publishing (publishing.py) is atomic; opening verifies every file
against the manifest and refuses, by name, what does not match.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from index.config import IndexConfig
from index.dense import DenseIndex
from index.errors import AsknotesError, DataFolderForeign, IndexCorrupt, IndexIncompatible, IndexMissing
from index.late import LateIndex
from index.lexical import LexicalIndex
from index.schema import Chunk, Place
from index.shared_hold import SharedHold

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
CHUNKS = "chunks.jsonl"
CURRENT = "CURRENT"
SNAPSHOTS = "snapshots"
_NAME = re.compile(r"\d{6,}")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NoteRecord:
    """A note as the snapshot knows it: the digest of its file and how many chunks it gave."""

    sha256: str
    chunks: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a snapshot is made of.

    ``fingerprints`` are those of encoder, tokenizer, chunker and index settings: a snapshot is searched only by
    a process whose own fingerprints are equal. ``sources`` are the paths that were indexed, ``files`` maps each
    file to its sha256 and size, ``build`` holds figures of the build for people.
    """

    name: str
    schema_version: int
    fingerprints: Mapping[str, str]
    sources: tuple[str, ...]
    notes: Mapping[str, NoteRecord]
    counts: Mapping[str, int]
    files: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    build: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """Canonical JSON with the digest of itself in ``sha256``."""
        body = dataclasses.asdict(self)
        return _canonical({**body, "sha256": hashlib.sha256(_canonical(body)).hexdigest()}) + b"\n"

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read and verify a manifest; raises IndexCorrupt."""
        try:
            body = json.loads(path.read_bytes())
            digest = body.pop("sha256")
            intact = digest == hashlib.sha256(_canonical(body)).hexdigest()
            if not intact:
                raise ValueError("its own checksum does not match")
            if body["schema_version"] != SCHEMA_VERSION:
                raise IndexIncompatible(
                    f"{path.parent} has index schema {body['schema_version']}, this version reads {SCHEMA_VERSION}.",
                    hint="Run `asknotes index` on your notes to build it anew.",
                )
            notes = {note: NoteRecord(**record) for note, record in body.pop("notes").items()}
            return cls(**{**body, "sources": tuple(body["sources"]), "notes": notes})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise corrupt(path, str(error)) from error


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An opened snapshot: row r of every part is chunk r. Never changes; shared by any number of threads."""

    manifest: Manifest
    chunks: Sequence[Chunk]
    dense: DenseIndex
    lexical: LexicalIndex
    late: LateIndex | None
    rows_by_id: Mapping[str, int]
    hold: SharedHold

    @property
    def name(self) -> str:
        """The snapshot's name, for instance ``000007``."""
        return self.manifest.name

    def close(self) -> None:
        """Let the folder go, so that it may be pruned."""
        self.hold.release()


def corrupt(path: Path, reason: str) -> IndexCorrupt:
    """The error for a file of a snapshot that is not what it must be."""
    return IndexCorrupt(
        f"{path} is damaged: {reason}.",
        hint="Run `asknotes index` on your notes to build a sound snapshot; nothing of your notes is lost.",
    )


def current_name(data: Path) -> str:
    """Name of the published snapshot; raises IndexMissing, DataFolderForeign."""
    try:
        name = (data / CURRENT).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise IndexMissing(
            f"Nothing is indexed under {data} yet.", hint=f"Run `asknotes index NOTES_FOLDER --data {data}` first."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise corrupt(data / CURRENT, str(error)) from error
    if not _NAME.fullmatch(name):
        raise DataFolderForeign(
            f"{data / CURRENT} does not name a snapshot; something else wrote it.",
            hint="Choose another data folder with --data, or move that file away.",
        )
    return name


def snapshot_names(data: Path) -> list[str]:
    """Names of all published snapshots, oldest first."""
    folder = data / SNAPSHOTS
    if not folder.is_dir():
        return []
    return sorted((entry.name for entry in folder.iterdir() if _NAME.fullmatch(entry.name)), key=int)


def open_snapshot(data: Path, name: str, config: IndexConfig) -> Snapshot:
    """Open one snapshot and verify every file and every count; raises IndexMissing, IndexCorrupt."""
    folder = data / SNAPSHOTS / name
    if not folder.is_dir():
        raise IndexMissing(f"There is no snapshot {folder}.", hint="Run `asknotes index` on your notes.")
    hold = SharedHold(folder)
    try:
        manifest = verified_manifest(data, name)
        snapshot = _load(folder, manifest, config, hold)
        _verify_parity(folder, snapshot)
    except BaseException:
        hold.release()
        raise
    return snapshot


def open_current(data: Path, config: IndexConfig) -> tuple[Snapshot, AsknotesError | None]:
    """Open the published snapshot or, where it is damaged, the newest sound one before it.

    Returns the snapshot and, in the second case, what is wrong with the published one; the caller says so
    loudly. Raises IndexMissing, and IndexCorrupt when no sound snapshot is left.
    """
    current = current_name(data)
    try:
        return open_snapshot(data, current, config), None
    except (IndexCorrupt, IndexMissing) as problem:
        if current_name(data) != current:  # published anew and pruned under our hands
            return open_current(data, config)
        for name in reversed([name for name in snapshot_names(data) if int(name) < int(current)]):
            try:
                snapshot = open_snapshot(data, name, config)
            except (IndexCorrupt, IndexIncompatible) as older:
                _log.error("%s %s", older.message, older.hint)  # noqa: TRY400 - the traceback says nothing more
                continue
            _log.error("%s Snapshot %s is served instead. %s", problem.message, name, problem.hint)  # noqa: TRY400
            return snapshot, problem
        raise


def check_compatible(manifest: Manifest, fingerprints: Mapping[str, str]) -> None:
    """Raise IndexIncompatible unless the snapshot was built with exactly these fingerprints."""
    changed = [key for key in fingerprints if manifest.fingerprints.get(key) != fingerprints[key]]
    if changed:
        sources = " ".join(manifest.sources) or "NOTES_FOLDER"
        raise IndexIncompatible(
            f"Snapshot {manifest.name} was built with another {', '.join(sorted(changed))} than is configured now.",
            hint=f"Run `asknotes index {sources}` to build it anew, or restore the settings it was built with.",
        )


def verified_manifest(data: Path, name: str) -> Manifest:
    """Read a snapshot's manifest and verify every file against it, without loading anything.

    Raises IndexMissing, IndexCorrupt (naming the file), IndexIncompatible (another schema version).
    """
    folder = data / SNAPSHOTS / name
    if not folder.is_dir():
        raise IndexMissing(f"There is no snapshot {folder}.", hint="Run `asknotes index` on your notes.")
    manifest = Manifest.read(folder / MANIFEST)
    _verify_files(folder, manifest)
    return manifest


def _verify_files(folder: Path, manifest: Manifest) -> None:
    present = {entry.name for entry in folder.iterdir()} - {MANIFEST}
    for name in sorted(present - set(manifest.files)):
        raise corrupt(folder / name, "the manifest does not know it")
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise corrupt(path, str(error)) from error
        if digest != expected["sha256"]:
            raise corrupt(path, "its checksum does not match the manifest")


def _load(folder: Path, manifest: Manifest, config: IndexConfig, hold: SharedHold) -> Snapshot:
    chunks = read_chunks(folder / CHUNKS)
    return Snapshot(
        manifest=manifest,
        chunks=chunks,
        dense=DenseIndex.load(folder, config.dense),
        lexical=LexicalIndex.load(folder, config.lexical),
        late=LateIndex.load(folder, config.late) if (folder / "late.json").exists() else None,
        rows_by_id={chunk.id: row for row, chunk in enumerate(chunks)},
        hold=hold,
    )


def _verify_parity(folder: Path, snapshot: Snapshot) -> None:
    counts = {
        "manifest": snapshot.manifest.counts["chunks"],
        "chunks": len(snapshot.chunks),
        "distinct ids": len(snapshot.rows_by_id),
        "dense": snapshot.dense.rows,
        "lexical": snapshot.lexical.rows,
    }
    if snapshot.late is not None:
        counts["late"] = snapshot.late.rows
    if len(set(counts.values())) > 1:
        raise corrupt(folder, f"its parts do not have the same number of rows ({counts})")


def write_chunks(path: Path, chunks: Sequence[Chunk]) -> None:
    """Write chunks as one JSON object a line."""
    with path.open("w", encoding="utf-8") as file:
        for chunk in chunks:
            file.write(json.dumps(dataclasses.asdict(chunk), ensure_ascii=False, sort_keys=True) + "\n")


def read_chunks(path: Path) -> list[Chunk]:
    """Read what ``write_chunks`` wrote; raises IndexCorrupt."""
    try:
        with path.open(encoding="utf-8") as file:
            return [_chunk(json.loads(line)) for line in file]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise corrupt(path, str(error)) from error


def _chunk(record: dict[str, Any]) -> Chunk:
    alternatives = tuple(
        Place(**{**place, "heading": tuple(place["heading"]), "lines": tuple(place["lines"])})
        for place in record["alternatives"]
    )
    return Chunk(
        **{
            **record,
            "heading": tuple(record["heading"]),
            "lines": tuple(record["lines"]),
            "tags": tuple(record["tags"]),
            "alternatives": alternatives,
        }
    )


def _canonical(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
