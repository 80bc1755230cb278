"""A note's way into the index, a step a line: read, clean, chunk, fold, ask about, encode, build, publish."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from index.building import build_parts
from index.config import IndexConfig
from index.durable import storage_errors
from index.embedding_cache import EmbeddingCache
from index.encoder import TextEncoder
from index.errors import AsknotesError, IndexMissing, NotesMissing
from index.fingerprints import digest, index_fingerprints
from index.progress import ProgressListener, Unheard
from index.publishing import CACHE, SnapshotContent, publish, writing
from index.schema import Chunk, Note
from index.snapshot import MANIFEST, SNAPSHOTS, Manifest, NoteRecord, current_name, verified_manifest
from index.tokenizer import Tokenizer
from ingest.chunker import CHUNKER_VERSION, chunk_note
from ingest.clean import CLEAN_VERSION, clean_note
from ingest.config import IngestConfig
from ingest.dedupe import fold_duplicates
from ingest.glossary import GLOSSARY_MINING_VERSION, mine_glossary
from ingest.questions import NO_WRITER, QuestionWriter, written_questions
from ingest.reader import ReadResult, SkippedFile, read_notes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NoteCounts:
    """What happened to the notes since the snapshot before."""

    added: int
    changed: int
    removed: int
    unchanged: int
    skipped: tuple[SkippedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """What a run of the pipeline did.

    ``chunks`` are in the snapshot, ``duplicates`` were folded into one of them, ``passages_left_out`` were bare
    headings and questions without answers, ``chunks_embedded`` had to be encoded in this run.
    """

    snapshot: str
    notes: NoteCounts
    chunks: int
    duplicates: int
    passages_left_out: int
    chunks_embedded: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return what the command line's ``--json`` prints."""
        summary = asdict(self)
        summary["notes"]["skipped"] = list(summary["notes"]["skipped"])  # JSON knows no tuples
        return summary


@dataclass(frozen=True, slots=True)
class _Chunked:
    chunks: list[Chunk]
    per_note: Mapping[str, int]
    duplicates: int
    left_out: int


@dataclass(slots=True)
class _Stopwatch:
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self.started, 3)


def index_notes(
    paths: Sequence[Path],
    data: Path,
    config: IndexConfig,
    ingest: IngestConfig,
    *,
    encoder: TextEncoder,
    writer: QuestionWriter | None = None,
    full: bool = False,
    listener: ProgressListener | None = None,
    cache: EmbeddingCache | None = None,
) -> IndexSummary:
    """Make the published snapshot hold exactly the notes under ``paths``.

    Without ``paths`` those of the published snapshot are read again. Passages that were encoded before are
    taken from ``cache`` (the data folder's own where none is given) unless ``full``; when neither notes nor settings
    changed, nothing is published. What ``writer`` asks about a passage is kept beside the cache, ``full`` or not.

    Raises NotesMissing, IndexLocked, DataFolderForeign, StorageFailed and what ``writer`` raises; what was published
    before stays.
    """
    heard = listener or Unheard()
    watch = _Stopwatch()
    with writing(data):
        previous, sound = _previous(data)
        sources = [_absolute(path) for path in paths] if paths else _recorded_sources(data, previous)
        read = read_notes(sources, ingest.reader)
        counts = _note_counts(read, previous)
        tokenizer = Tokenizer()
        fingerprints = {**index_fingerprints(config, encoder, tokenizer), **ingest_fingerprints(ingest, writer)}
        if previous and sound and not full and _nothing_changed(counts, previous, fingerprints, sources):
            return _summary(previous, counts, embedded=0, seconds=watch.seconds)
        chunked = _chunk(read.notes, ingest, encoder, heard)
        glossary = mine_glossary(chunked.chunks)
        folder = data / CACHE if cache is None else cache.folder
        written = {} if writer is None else written_questions(chunked.chunks, writer, folder, heard)
        with storage_errors("Writing the embedding cache"), _open_cache(cache, data) as encodings:
            parts, embedded = build_parts(
                chunked.chunks,
                encodings,
                config,
                encoder=encoder,
                tokenizer=tokenizer,
                full=full,
                listener=heard,
                glossary=glossary,
                written=written,
            )
        manifest = publish(
            data,
            SnapshotContent(
                chunks=chunked.chunks,
                dense=parts.dense,
                lexical=parts.lexical,
                late=parts.late,
                glossary=glossary,
                concepts=parts.concepts,
                fingerprints=fingerprints,
                sources=tuple(str(path) for path in sources),
                notes={
                    note.path: NoteRecord(sha256=note.sha256, chunks=chunked.per_note.get(note.path, 0))
                    for note in read.notes
                },
                counts={
                    "notes": len(read.notes),
                    "chunks": len(chunked.chunks),
                    "duplicates": chunked.duplicates,
                    "passages_left_out": chunked.left_out,
                },
                build=_build_figures(watch.seconds, embedded, config),
            ),
        )
    return _summary(manifest, counts, embedded=embedded, seconds=watch.seconds)


def ingest_fingerprints(ingest: IngestConfig, writer: QuestionWriter | None = None) -> dict[str, str]:
    """Fingerprints of everything that decides how notes become chunks, and of who asks about them."""
    settings: dict[str, object] = {
        "versions": [CLEAN_VERSION, CHUNKER_VERSION, GLOSSARY_MINING_VERSION],
        "chunker": ingest.chunker.model_dump(),
        "duplicates": ingest.duplicates.model_dump(),
    }
    return {
        "chunker": digest(settings),
        "question writer": NO_WRITER if writer is None else writer.fingerprint,
    }


def _previous(data: Path) -> tuple[Manifest | None, bool]:
    """Return what is published, as far as it can be read, and whether all of it is sound; else it is built anew."""
    try:
        name = current_name(data)
    except IndexMissing:
        return None, False
    try:
        return verified_manifest(data, name), True
    except AsknotesError as problem:
        _log.warning("%s It is built anew.", problem.message)
    try:
        return Manifest.read(data / SNAPSHOTS / name / MANIFEST), False
    except AsknotesError:  # said above
        return None, False


def _recorded_sources(data: Path, previous: Manifest | None) -> list[Path]:
    """What was indexed before, by a version with another schema too."""
    sources = previous.sources if previous else _sources_of_any_schema(data)
    if not sources:
        raise NotesMissing(
            "No notes folder was given, and nothing is indexed yet that would name one.",
            hint="Run `asknotes index NOTES_FOLDER` once; later runs may leave the folder out.",
        )
    return [Path(source) for source in sources]


def _sources_of_any_schema(data: Path) -> tuple[str, ...]:
    try:
        return Manifest.sources_in(data / SNAPSHOTS / current_name(data) / MANIFEST)
    except IndexMissing:
        return ()


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except RuntimeError:  # `~name` where there is no such user: a file may still be called that
        return path.absolute()


def _note_counts(read: ReadResult, previous: Manifest | None) -> NoteCounts:
    before = {path: record.sha256 for path, record in previous.notes.items()} if previous else {}
    now = {note.path: note.sha256 for note in read.notes}
    kept = before.keys() & now.keys()
    changed = sum(before[path] != now[path] for path in kept)
    return NoteCounts(
        added=len(now) - len(kept),
        changed=changed,
        removed=len(before) - len(kept),
        unchanged=len(kept) - changed,
        skipped=read.skipped,
    )


def _nothing_changed(
    counts: NoteCounts, previous: Manifest, fingerprints: Mapping[str, str], sources: Iterable[Path]
) -> bool:
    return (
        not (counts.added or counts.changed or counts.removed)
        and previous.fingerprints == fingerprints
        and previous.sources == tuple(str(path) for path in sources)
    )


def _chunk(notes: Sequence[Note], ingest: IngestConfig, encoder: TextEncoder, listener: ProgressListener) -> _Chunked:
    listener.start("reading notes", len(notes))
    found: list[Chunk] = []
    left_out = 0
    for note in notes:
        chunked = chunk_note(note, clean_note(note), ingest.chunker, encoder.count_tokens)
        found += chunked.chunks
        left_out += len(chunked.left_out)
        listener.advance(1)
    listener.finish()
    kept = fold_duplicates(found, ingest.duplicates)
    per_note: dict[str, int] = {}
    for chunk in kept:
        per_note[chunk.note] = per_note.get(chunk.note, 0) + 1
    return _Chunked(chunks=kept, per_note=per_note, duplicates=len(found) - len(kept), left_out=left_out)


def _open_cache(cache: EmbeddingCache | None, data: Path) -> AbstractContextManager[EmbeddingCache]:
    return EmbeddingCache(data / CACHE) if cache is None else nullcontext(cache)


def _build_figures(seconds: float, embedded: int, config: IndexConfig) -> dict[str, Any]:
    return {
        "encoder": config.encoder.model,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": seconds,
        "chunks_embedded": embedded,
        "machine": f"{platform.machine()} {platform.system()}, Python {platform.python_version()}",
    }


def _summary(manifest: Manifest, counts: NoteCounts, *, embedded: int, seconds: float) -> IndexSummary:
    return IndexSummary(
        snapshot=manifest.name,
        notes=counts,
        chunks=manifest.counts["chunks"],
        duplicates=manifest.counts["duplicates"],
        passages_left_out=manifest.counts["passages_left_out"],
        chunks_embedded=embedded,
        seconds=seconds,
    )
