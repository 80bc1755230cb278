"""The index that each system searches: the published snapshot where it fits, else one built beside it and kept.

What evaluations build lies under ``cache/eval`` of the data folder, one folder for each combination of notes and
settings, with embeddings that all of them share; deleting it costs time only.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from eval.gold import GoldInvalid
from index import weights
from index.embedding_cache import EmbeddingCache
from index.encoder import Encoding, SentenceEncoder, TextEncoder, open_encoder
from index.fingerprints import digest, index_fingerprints
from index.progress import ProgressListener
from index.publishing import CACHE
from index.schema import Note
from index.snapshot import Manifest, Snapshot, current_name, open_snapshot, verified_manifest
from index.tokenizer import Tokenizer
from ingest.pipeline import index_notes, ingest_fingerprints
from ingest.questions import QuestionWriter
from ingest.reader import read_notes
from service.answering.drafting import Drafts
from service.answering.exchange import SearchRequest
from service.answering.generator import LanguageModel
from service.answering.rerank import LANGUAGE_MODEL_RERANKERS, WITHOUT_MODEL, Reranker, calibration_of, reranker_of
from service.answering.tools import Tools
from service.answering.understanding import writes_with_model
from service.language_model import open_language_model
from service.question_writing import question_writer
from service.settings import Settings

_FOLDER = "eval"
_KEEP_RUNS = 50  # evaluations come back to old settings more often than indexing to old text


class NotesChanged(GoldInvalid):
    """The notes on disk are not those of the published snapshot, which is what would be measured."""

    type = "notes_changed"


class RememberedQuestions:
    """An encoder that encodes each question once, however many systems ask it, and knows how long that took."""

    def __init__(self, encoder: SentenceEncoder) -> None:
        self._encoder = encoder
        self._questions: dict[str, Encoding] = {}
        self._milliseconds: dict[str, float] = {}

    @property
    def fingerprint(self) -> str:
        """The encoder's own."""
        return self._encoder.fingerprint

    @property
    def dimension(self) -> int:
        """The encoder's own."""
        return self._encoder.dimension

    def count_tokens(self, text: str) -> int:
        """Tokens of a text."""
        return self._encoder.count_tokens(text)

    def encode_passages(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """Encode passages, in order."""
        return self._encoder.encode_passages(texts)

    def passage_spans(self, text: str) -> list[tuple[int, int]]:
        """Where each token vector of a passage comes from."""
        return self._encoder.passage_spans(text)

    def encode_query(self, text: str) -> Encoding:
        """Encode a question, or return what it was encoded to before."""
        if text not in self._questions:
            started = time.perf_counter()
            self._questions[text] = self._encoder.encode_query(text)
            self._milliseconds[text] = (time.perf_counter() - started) * 1000
        return self._questions[text]

    def encode_queries(self, texts: Sequence[str]) -> Iterator[Encoding]:
        """Encode questions, in order; none is remembered."""
        return self._encoder.encode_queries(texts)

    def milliseconds(self, text: str) -> float:
        """How long encoding a question took when it was done; 0 for one that was searched with in another spelling."""
        return self._milliseconds.get(text, 0.0)


@dataclass(frozen=True, slots=True)
class OpenedIndex:
    """An open snapshot, its bytes on disk (in memory where it has none) and the seconds that building it took."""

    snapshot: Snapshot
    bytes: int
    build_s: float


class IndexSource(Protocol):
    """Makes the index of some collection with whatever settings a system has."""

    def open(
        self,
        settings: Settings,
        fingerprints: Mapping[str, str],
        *,
        encoder: TextEncoder,
        tokenizer: Tokenizer,
        cache: EmbeddingCache,
        listener: ProgressListener,
        writer: QuestionWriter | None = None,
    ) -> OpenedIndex:
        """Open or build it, with questions by ``writer`` about each chunk; the caller closes the snapshot."""


@dataclass(frozen=True, slots=True)
class PreparedIndex:
    """What a system searches with."""

    tools: Tools
    encoder: RememberedQuestions
    opened: OpenedIndex


class Indexes:
    """The index of each system over one collection, with encoders and embeddings shared; a context manager."""

    def __init__(self, source: IndexSource, base: Settings, listener: ProgressListener) -> None:
        self._source = source
        self._listener = listener
        self._cache = EmbeddingCache(eval_folder(base.data), keep_runs=_KEEP_RUNS)
        self._tokenizer = Tokenizer()
        self._encoders: dict[str, RememberedQuestions] = {}
        self._prepared: dict[str, PreparedIndex] = {}
        self._language_models: dict[str, LanguageModel | None] = {}
        self._rerankers: dict[str, Reranker] = {}
        self._drafts = Drafts()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
        self._cache.__exit__(kind)

    def release(self) -> None:
        """Let go of every index that was prepared; encoders and what they remember stay."""
        for prepared in self._prepared.values():
            prepared.opened.snapshot.close()
        self._prepared.clear()

    def prepare(self, settings: Settings, *, hyde: bool | None = None) -> PreparedIndex:
        """Return what searches with these settings, with the language model where ``hyde`` or they want it.

        Raises what open_encoder, the source, the cache, question_writer and, for a model that is missing,
        open_language_model raise.
        """
        encoder = self._encoder(settings)
        writer = question_writer(settings, functools.partial(self._language_model, settings))
        fingerprints = {
            **index_fingerprints(settings.index, encoder, self._tokenizer),
            **ingest_fingerprints(settings.ingest, writer),
        }
        sections = [section.model_dump_json() for section in (settings.index, settings.answering)]
        wants_model = writes_with_model(SearchRequest("", hyde=hyde), settings.answering)
        key = digest({"settings": sections, "fingerprints": fingerprints, "model": wants_model})
        if settings.answering.reranker not in WITHOUT_MODEL | LANGUAGE_MODEL_RERANKERS:
            self._reranker(settings, settings.answering.reranker)  # a missing one is said before any work
        if key not in self._prepared:
            opened = self._source.open(
                settings,
                fingerprints,
                encoder=encoder,
                tokenizer=self._tokenizer,
                cache=self._cache,
                listener=self._listener,
                writer=writer,
            )
            tools = Tools(
                snapshot=opened.snapshot,
                encoder=encoder,
                tokenizer=self._tokenizer,
                language_model=self._language_model(settings) if wants_model else None,
                index=settings.index,
                answering=settings.answering,
                drafts=self._drafts,
                reranker=functools.partial(self._reranker, settings),
                calibration=calibration_of(settings.answering),
            )
            self._prepared[key] = PreparedIndex(tools, encoder, opened)
        return self._prepared[key]

    def _language_model(self, settings: Settings) -> LanguageModel | None:
        key = settings.answering.model_dump_json(include={"model", "device", "dtype"})
        if key not in self._language_models:
            self._language_models[key] = open_language_model(settings)
        return self._language_models[key]

    def _reranker(self, settings: Settings, name: str) -> Reranker:
        if name not in self._rerankers:
            model = self._language_model(settings) if name in LANGUAGE_MODEL_RERANKERS else None
            self._rerankers[name] = reranker_of(settings, name, model)
        return self._rerankers[name]

    def _encoder(self, settings: Settings) -> RememberedQuestions:
        wanted = settings.index.encoder.model_dump_json()
        if wanted not in self._encoders:
            cache = weights.cache_folder(settings.index.models_cache)
            self._encoders[wanted] = RememberedQuestions(open_encoder(settings.index.encoder, cache=cache))
        return self._encoders[wanted]


class NotesSource:
    """The notes at ``paths`` or, without paths, those of the published snapshot, which must not have changed since.

    Raises IndexMissing where nothing is published and no path given, NotesChanged, NotesMissing.
    """

    def __init__(self, base: Settings, paths: Sequence[Path]) -> None:
        self._data = base.data
        self._published = None if paths else verified_manifest(base.data, current_name(base.data))
        self._paths = _sources(paths, self._published)
        self.notes: Sequence[Note] = read_notes(self._paths, base.ingest.reader).notes
        if self._published is not None:
            _refuse_changed(self._published, self.notes)

    def open(
        self,
        settings: Settings,
        fingerprints: Mapping[str, str],
        *,
        encoder: TextEncoder,
        tokenizer: Tokenizer,  # noqa: ARG002 — index_notes makes its own, an equal one
        cache: EmbeddingCache,
        listener: ProgressListener,
        writer: QuestionWriter | None = None,
    ) -> OpenedIndex:
        """Open the published snapshot if these settings built it, else one under the evaluations' own folder."""
        if self._published is not None and self._published.fingerprints == fingerprints:
            return _opened(self._data, self._published.name, settings, fingerprints, 0.0)
        key = digest({"fingerprints": dict(fingerprints), "notes": [str(path) for path in self._paths]})
        folder = eval_folder(self._data) / "indexes" / key
        summary = index_notes(
            self._paths,
            folder,
            settings.index,
            settings.ingest,
            encoder=encoder,
            writer=writer,
            listener=listener,
            cache=cache,
        )
        return _opened(folder, summary.snapshot, settings, fingerprints, summary.seconds)


def eval_folder(data: Path) -> Path:
    """Where evaluations keep what they build."""
    return data / CACHE / _FOLDER


def _opened(data: Path, name: str, settings: Settings, fingerprints: Mapping[str, str], seconds: float) -> OpenedIndex:
    snapshot = open_snapshot(data, name, settings.index, fingerprints)
    size = sum(int(file["bytes"]) for file in snapshot.manifest.files.values())
    return OpenedIndex(snapshot, size, seconds)


def _sources(paths: Sequence[Path], published: Manifest | None) -> list[Path]:
    return [path.absolute() for path in paths] if published is None else [Path(path) for path in published.sources]


def _refuse_changed(published: Manifest, notes: Sequence[Note]) -> None:
    now = {note.path: note.sha256 for note in notes}
    then = {path: record.sha256 for path, record in published.notes.items()}
    changed = sorted(path for path in now.keys() | then.keys() if now.get(path) != then.get(path))
    if changed:
        raise NotesChanged(
            f"{len(changed)} notes changed since snapshot {published.name} was published, {changed[0]} for one.",
            hint="Run `asknotes index`, then evaluate.",
        )
