"""Publishing a snapshot: built beside, flushed, renamed, and only then named by CURRENT.

The order is what makes it atomic (docs/RELIABILITY.md, promise 1): every file and its folder are on disk before
the folder gets its name; the name is on disk before CURRENT points to it; CURRENT is replaced by one rename.
A process that dies anywhere before that leaves a nameless folder, which the next writer removes.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from index import durable
from index.concept_index import ConceptIndex
from index.dense import DenseIndex
from index.errors import DataFolderForeign, IndexLocked, StorageFailed
from index.file_lock import FileLock
from index.glossary import NO_GLOSSARY, Glossary
from index.late import LateIndex
from index.lexical import LexicalIndex
from index.schema import Chunk
from index.shared_hold import removable
from index.snapshot import (
    CHUNKS,
    CURRENT,
    MANIFEST,
    SCHEMA_VERSION,
    SNAPSHOTS,
    Manifest,
    NoteRecord,
    current_name,
    snapshot_names,
    write_chunks,
)

CACHE = "cache"
ENCODERS = "encoders"
"""Fine-tuned encoders, one folder each."""
LOCK = "LOCK"
_BUILDING = ".building"
_REMOVING = ".removing"
_OWN_NAMES = {CURRENT, SNAPSHOTS, CACHE, ENCODERS, LOCK}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SnapshotContent:
    """Everything a new snapshot is made of; row r of every part is ``chunks[r]``."""

    chunks: list[Chunk]
    dense: DenseIndex
    lexical: LexicalIndex
    late: LateIndex | None
    fingerprints: Mapping[str, str]
    sources: tuple[str, ...]
    notes: Mapping[str, NoteRecord]
    counts: Mapping[str, int]
    build: Mapping[str, Any]
    glossary: Glossary = NO_GLOSSARY
    concepts: ConceptIndex | None = None


@contextlib.contextmanager
def writing(data: Path) -> Iterator[None]:
    """Be the one writer of a data folder, made if it is not there yet.

    Raises DataFolderForeign for a folder that something else filled, IndexLocked while another process writes,
    StorageFailed where the folder cannot be made. A lock whose owner died is free at once.
    """
    _claim(data)
    lock = FileLock(data / LOCK)
    if not lock.try_acquire():
        owner = lock.owner()
        raise IndexLocked(
            f"Another process{f' ({owner})' if owner else ''} is writing to {data}.",
            hint="Wait until it is done, or choose another data folder with --data.",
        )
    try:
        yield
    finally:
        lock.release()


def _claim(data: Path) -> None:
    with durable.storage_errors(f"Making the data folder {data}"):
        durable.make_folder(data)
        strangers = sorted(
            entry.name
            for entry in data.iterdir()
            if entry.name not in _OWN_NAMES and not entry.name.startswith((f"{CURRENT}.", "."))
        )
    if strangers and not (data / CURRENT).exists():
        raise DataFolderForeign(
            f"{data} holds files that asknotes did not write ({', '.join(strangers[:3])}).",
            hint="Choose an empty or new folder with --data.",
        )
    if (data / CURRENT).exists():
        current_name(data)  # refuses what does not name a snapshot


def publish(data: Path, content: SnapshotContent) -> Manifest:
    """Write ``content`` as the next snapshot and make it the published one; the caller holds ``writing``.

    Raises StorageFailed when the disk refuses; CURRENT and the snapshot it names are then untouched.
    """
    with durable.storage_errors("Writing the new snapshot"):
        snapshots = data / SNAPSHOTS
        durable.make_folder(snapshots)
        _remove_unfinished(data)
        before = current_name(data) if (data / CURRENT).exists() else None
        name = _next_name(data, before)
        building = snapshots / f"{_BUILDING}-{name}"
        try:
            manifest = _write(building, name, content)
            durable.rename(building, snapshots / name)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
        durable.replace_file(data / CURRENT, f"{name}\n".encode())
    prune(data, keep=before)
    return manifest


def _write(building: Path, name: str, content: SnapshotContent) -> Manifest:
    building.mkdir()
    with _library_errors():
        write_chunks(building / CHUNKS, content.chunks)
        content.dense.save(building)
        content.lexical.save(building)
        content.glossary.save(building)
        if content.late is not None:
            content.late.save(building)
        if content.concepts is not None:
            content.concepts.save(building)
    files = {}
    for path in sorted(building.iterdir()):
        durable.sync_file(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        files[path.name] = {"sha256": digest, "bytes": path.stat().st_size}
    manifest = Manifest(
        name=name,
        schema_version=SCHEMA_VERSION,
        fingerprints=content.fingerprints,
        sources=content.sources,
        notes=content.notes,
        counts=content.counts,
        files=files,
        build=content.build,
    )
    durable.write_bytes(building / MANIFEST, manifest.to_json())
    durable.sync_folder(building)
    return manifest


@contextlib.contextmanager
def _library_errors() -> Iterator[None]:
    """FAISS reports a failed write as a RuntimeError; say it as what it is."""
    try:
        yield
    except RuntimeError as error:
        raise StorageFailed(
            f"Writing the new snapshot failed: {error}",
            hint="Free some disk space or choose another folder with --data. "
            "What was published before is untouched and still served.",
        ) from error


def _next_name(data: Path, current: str | None) -> str:
    taken = [int(name) for name in [*snapshot_names(data), current or "0"]]
    return f"{max(taken) + 1:06d}"


def _remove_unfinished(data: Path) -> None:
    snapshots = data / SNAPSHOTS
    for leftover in [*snapshots.glob(f"{_BUILDING}-*"), *snapshots.glob(f"{_REMOVING}-*")]:
        _log.info("Removing %s, left behind by a run that did not finish.", leftover)
        shutil.rmtree(leftover)
    for leftover in data.glob(f"{CURRENT}.*.tmp"):
        leftover.unlink()


def prune(data: Path, *, keep: str | None) -> None:
    """Remove snapshots older than the published one, except ``keep`` and what a reader holds.

    ``keep`` is what was published before, and what rollback goes to; by its name alone it cannot be told from a
    snapshot that a crashed run built and never published. None keeps the newest.
    """
    current = int(current_name(data))
    behind = [name for name in snapshot_names(data) if int(name) < current]
    kept = keep if keep in behind else max(behind, key=int, default=None)
    for name in behind:
        if name != kept:
            _remove(data / SNAPSHOTS / name)


def _remove(folder: Path) -> None:
    removing = folder.with_name(f"{_REMOVING}-{folder.name}")
    try:
        with removable(folder) as free:
            if free:
                folder.rename(removing)  # so that a crash leaves no half snapshot under a snapshot's name
                shutil.rmtree(removing)
    except OSError as error:
        # Serving does not depend on it, and the next publish tries again.
        _log.warning("The old snapshot %s could not be removed: %s", folder, error)
