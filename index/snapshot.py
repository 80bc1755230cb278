"""Snapshots: an immutable, checksummed folder with everything that can be searched.

``data/snapshots/000007/`` holds chunks.jsonl, the dense, lexical and late indexes, concepts and manifest.json;
``data/CURRENT`` names the published one. Publishing (publishing.py) is atomic; opening verifies every file
against the manifest and refuses, by name, what does not match.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from index.concept_index import ConceptIndex
from index.config import IndexConfig
from index.dense import DenseIndex
from index.errors import AsknotesError, DataFolderForeign, IndexCorrupt, IndexIncompatible, IndexMissing
from index.glossary import NO_GLOSSARY, Glossary
from index.late import LateIndex
from index.lexical import LexicalIndex
from index.schema import Chunk, Place
from index.shared_hold import SharedHold

SCHEMA_VERSION = 4
MANIFEST = "manifest.json"
CHUNKS = "chunks.jsonl"
CURRENT = "CURRENT"
SNAPSHOTS = "snapshots"
_NAME = re.compile(r"[0-9]{6,}")

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
        """Read and verify a manifest; raises IndexCorrupt, and IndexIncompatible for another schema version."""
        try:
            body = json.loads(path.read_bytes())
            digest = body.pop("sha256")
            computed = hashlib.sha256(_canonical(body)).hexdigest()
            version = body["schema_version"]
        except OSError as error:
            raise corrupt(path, str(error)) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise corrupt(path, f"it is no manifest ({error!r})") from error
        if digest != computed:
            raise corrupt(path, "its own checksum does not match")
        if version != SCHEMA_VERSION:
            raise IndexIncompatible(
                f"{path.parent} has index schema {version}, this version reads {SCHEMA_VERSION}.",
                hint="Run `asknotes index` to build it anew from the same notes.",
            )
        manifest = cls._from_json(body, path)
        if manifest.name != path.parent.name:
            raise corrupt(path, f"it belongs to snapshot {manifest.name}")
        return manifest

    @staticmethod
    def sources_in(path: Path) -> tuple[str, ...]:
        """The sources of a manifest of whatever schema version; none where it cannot be read."""
        try:
            sources = json.loads(path.read_bytes())["sources"]
        except (OSError, ValueError, KeyError, TypeError):
            return ()
        known = isinstance(sources, list) and all(isinstance(source, str) for source in sources)
        return tuple(sources) if known else ()

    @classmethod
    def _from_json(cls, body: dict[str, Any], path: Path) -> Manifest:
        try:
            return cls(
                **{
                    **body,
                    "sources": tuple(body["sources"]),
                    "notes": {note: NoteRecord(**record) for note, record in body["notes"].items()},
                    "counts": {what: int(count) for what, count in body["counts"].items()},
                    "files": {
                        name: {"sha256": str(file["sha256"]), "bytes": int(file["bytes"])}
                        for name, file in body["files"].items()
                    },
                }
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise corrupt(path, f"it is no manifest ({error!r})") from error


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
    glossary: Glossary = NO_GLOSSARY
    concepts: ConceptIndex | None = None

    @property
    def name(self) -> str:
        """The snapshot's name, for instance ``000007``."""
        return self.manifest.name

    def close(self) -> None:
        """Let the folder go, so that it may be pruned."""
        self.hold.release()


def corrupt(path: Path, reason: str) -> IndexCorrupt:
    """Make the error for a file of a snapshot that is not what it must be."""
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


def open_snapshot(
    data: Path, name: str, config: IndexConfig, fingerprints: Mapping[str, str] | None = None
) -> Snapshot:
    """Open one snapshot and verify every file and every count.

    Raises IndexMissing, IndexCorrupt, and IndexIncompatible when ``fingerprints`` are given and are not the
    snapshot's.
    """
    folder = data / SNAPSHOTS / name
    hold = _hold(folder)
    try:
        manifest = verified_manifest(data, name)
        if fingerprints is not None:
            check_compatible(manifest, fingerprints)
        snapshot = _load(folder, manifest, config, hold)
        _verify_parity(folder, snapshot)
    except BaseException:
        hold.release()
        raise
    return snapshot


def _hold(folder: Path) -> SharedHold:
    try:
        return SharedHold(folder)
    except (FileNotFoundError, NotADirectoryError):  # never there, or pruned a moment ago
        raise _no_snapshot(folder) from None
    except OSError as error:
        raise corrupt(folder, str(error)) from error


def _no_snapshot(folder: Path) -> IndexMissing:
    return IndexMissing(f"There is no snapshot {folder}.", hint="Run `asknotes index` on your notes.")


def open_current(
    data: Path, config: IndexConfig, fingerprints: Mapping[str, str] | None = None
) -> tuple[Snapshot, AsknotesError | None]:
    """Open the published snapshot or, where it is damaged, the newest sound one before it.

    Returns the snapshot and, in the second case, what is wrong with the published one; the caller says so
    loudly. Raises IndexMissing, and IndexCorrupt when no sound snapshot is left.
    """
    current = current_name(data)
    try:
        return open_snapshot(data, current, config, fingerprints), None
    except (IndexCorrupt, IndexMissing) as problem:
        if current_name(data) != current:  # published anew and pruned under our hands
            return open_current(data, config, fingerprints)
        for name in reversed([name for name in snapshot_names(data) if int(name) < int(current)]):
            try:
                snapshot = open_snapshot(data, name, config, fingerprints)
            except (IndexCorrupt, IndexIncompatible, IndexMissing) as older:
                _log.error("%s %s", older.message, older.hint)
                continue
            _log.error("%s Snapshot %s is served instead. %s", problem.message, name, problem.hint)
            return snapshot, problem
        raise


def check_compatible(manifest: Manifest, fingerprints: Mapping[str, str]) -> None:
    """Raise IndexIncompatible unless the snapshot was built with exactly these fingerprints."""
    changed = [key for key in fingerprints if manifest.fingerprints.get(key) != fingerprints[key]]
    if changed:
        sources = shlex.join(manifest.sources) or "NOTES_FOLDER"
        encoder = manifest.build.get("encoder") if "encoder" in changed else None
        named = f' It was built with index.encoder.model = "{encoder}".' if encoder else ""
        raise IndexIncompatible(
            f"Snapshot {manifest.name} was built with another {', '.join(sorted(changed))} than is configured now.",
            hint=f"Run `asknotes index {sources}` to build it anew, or restore the settings it was built with.{named}",
        )


def verified_manifest(data: Path, name: str) -> Manifest:
    """Read a snapshot's manifest and verify every file against it, without loading anything.

    Raises IndexMissing, IndexCorrupt (naming the file), IndexIncompatible (another schema version).
    """
    folder = data / SNAPSHOTS / name
    if not folder.is_dir():
        raise _no_snapshot(folder)
    manifest = Manifest.read(folder / MANIFEST)
    _verify_files(folder, manifest)
    return manifest


def _verify_files(folder: Path, manifest: Manifest) -> None:
    try:
        present = {entry.name for entry in folder.iterdir()} - {MANIFEST}
    except OSError as error:  # pruned a moment ago, or not ours to read
        raise corrupt(folder, str(error)) from error
    for name in sorted(present - set(manifest.files)):
        raise corrupt(folder / name, "the manifest does not know it")
    for name, expected in manifest.files.items():
        path = folder / name
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise corrupt(path, str(error)) from error
        if size != expected["bytes"]:
            raise corrupt(path, f"it has {size} bytes, not the {expected['bytes']} of the manifest")
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
        glossary=Glossary.load(folder),
        concepts=ConceptIndex.load(folder, config.late) if ConceptIndex.is_in(folder) else None,
    )


def _verify_parity(folder: Path, snapshot: Snapshot) -> None:
    counts = {
        "manifest": snapshot.manifest.counts.get("chunks", 0),
        "chunks": len(snapshot.chunks),
        "distinct ids": len(snapshot.rows_by_id),
        "dense": snapshot.dense.rows,
        "lexical": snapshot.lexical.rows,
    }
    if snapshot.late is not None:
        counts["late"] = snapshot.late.rows
    if snapshot.concepts is not None:
        counts["concepts"] = snapshot.concepts.chunks
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
