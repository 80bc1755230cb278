"""One process's open models and the snapshot it serves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

from index import weights
from index.encoder import SentenceEncoder, open_encoder
from index.errors import AsknotesError, WeightsMissing
from index.fingerprints import index_fingerprints
from index.snapshot import Snapshot, current_name, open_current
from index.tokenizer import Tokenizer
from ingest.pipeline import ingest_fingerprints
from service.answering.answer import answer_stream, search
from service.answering.config import NO_MODEL
from service.answering.drafting import Drafts
from service.answering.exchange import (
    Answer,
    AnswerEvent,
    AnswerStreamEvent,
    AskRequest,
    SearchRequest,
    SearchResult,
)
from service.answering.generator import LanguageModel, TransformersModel
from service.answering.rerank import LANGUAGE_MODEL_RERANKERS, LATE, NO_RERANKER, Reranker, calibration_of, reranker_of
from service.answering.tools import Tools
from service.answering.understanding import vocabulary_of, writes_with_model
from service.question_writing import question_writer
from service.settings import Settings

_log = logging.getLogger(__name__)


class Engine:
    """Answers questions from the published snapshot. Every method blocks and is thread-safe.

    A request takes the snapshot that is served when it begins and keeps it to its end; ``refresh`` only changes
    what later requests take. The language model is loaded when the first answer, or the first search with a
    hypothetical answer, needs it, or by ``ready``.
    """

    def __init__(self, settings: Settings, data: Path, encoder: SentenceEncoder) -> None:
        self._settings = settings
        self._data = data
        self._encoder = encoder
        self._tokenizer = Tokenizer()
        self._drafts = Drafts()
        self._language_model: LanguageModel | None = None
        self._model_opened = False
        self._opening = threading.Lock()
        self._rerankers: dict[str, Reranker] = {}
        self._calibration = calibration_of(settings.answering)
        self._opening_reranker = threading.Lock()
        self._current = current_name(data)
        self._snapshot, self._problem = self._open()

    def search(self, request: SearchRequest) -> SearchResult:
        """Find chunks."""
        return search(request, self._tools(self._language_model_for(request)))

    def ask(self, request: AskRequest, *, cancelled: threading.Event | None = None) -> Answer:
        """Answer one question; stops soon after ``cancelled`` is set."""
        events = self._events(request, cancelled)
        return next(event.answer for event in events if isinstance(event, AnswerEvent))

    def stream(self, request: AskRequest, *, cancelled: threading.Event) -> Iterator[AnswerStreamEvent]:
        """Answer one question as it happens: a RetrievalEvent, TokenEvents, and last an AnswerEvent."""
        return self._events(request, cancelled)

    def status(self) -> dict[str, object]:
        """What is served, JSON-ready."""
        manifest = self._snapshot.manifest
        late = self._snapshot.late
        return {
            "snapshot": manifest.name,
            "notes": manifest.counts["notes"],
            "chunks": manifest.counts["chunks"],
            "duplicates": manifest.counts["duplicates"],
            "sources": list(manifest.sources),
            "created": manifest.build["created"],
            "encoder": self._settings.index.encoder.model,
            "encoder_backend": self._encoder.backend,
            "dense_index": self._snapshot.dense.built_as,
            "late_interaction": late is not None,
            "language_model": self._settings.answering.model,
            "problem": None if self._problem is None else f"{self._problem.message} {self._problem.hint}",
        }

    def refresh(self) -> None:
        """Serve the newly published snapshot if there is one; where it is damaged, go on with the one before.

        Raises what ``open_current`` raises, and goes on with the old one, where it cannot be served at all.
        """
        with self._opening:
            current = current_name(self._data)
            if current != self._current:
                snapshot, self._problem = self._open()
                self._prepare(snapshot)
                self._snapshot = snapshot
                self._current = current

    def ready(self) -> None:
        """Load what is not loaded yet; raises the AsknotesError that keeps questions from being answered."""
        self._open_language_model()
        self._prepare(self._snapshot)
        reranker = self._settings.answering.reranker
        if reranker not in {NO_RERANKER, LATE}:
            self._reranker(reranker)

    def _events(self, request: AskRequest, cancelled: threading.Event | None) -> Iterator[AnswerStreamEvent]:
        return answer_stream(request, self._tools(self._open_language_model()), cancelled=cancelled)

    def _tools(self, language_model: LanguageModel | None) -> Tools:
        return Tools(
            snapshot=self._snapshot,
            encoder=self._encoder,
            tokenizer=self._tokenizer,
            language_model=language_model,
            index=self._settings.index,
            answering=self._settings.answering,
            drafts=self._drafts,
            reranker=self._reranker,
            calibration=self._calibration,
        )

    def _reranker(self, name: str) -> Reranker:
        """The reranking model of a name, loaded when a search first needs it; raises as ``open_reranker`` does."""
        with self._opening_reranker:
            if name not in self._rerankers:
                model = self._open_language_model() if name in LANGUAGE_MODEL_RERANKERS else None
                self._rerankers[name] = reranker_of(self._settings, name, model)
            return self._rerankers[name]

    def _prepare(self, snapshot: Snapshot) -> None:
        """Do beforehand what the first question would wait for: up to seconds for many notes."""
        if self._settings.answering.spelling:
            vocabulary_of(snapshot)

    def _open(self) -> tuple[Snapshot, AsknotesError | None]:
        return open_current(self._data, self._settings.index, self._fingerprints())

    def _fingerprints(self) -> dict[str, str]:
        settings = self._settings
        return {
            **index_fingerprints(settings.index, self._encoder, self._tokenizer),
            **ingest_fingerprints(settings.ingest, question_writer(settings, self._open_language_model)),
        }

    def _language_model_for(self, request: SearchRequest) -> LanguageModel | None:
        """The model where a stage of the search writes with it; one that cannot be opened is done without."""
        if not writes_with_model(request, self._settings.answering):
            return None
        try:
            return self._open_language_model()
        except AsknotesError as error:
            _log.exception("%s %s", error.message, error.hint)
            return None

    def _open_language_model(self) -> LanguageModel | None:
        """The configured model; None where none is configured or its weights are not here yet, which is said once."""
        with self._opening:
            if not self._model_opened:
                self._language_model = self._load_language_model()
                self._model_opened = True
            return self._language_model

    def _load_language_model(self) -> LanguageModel | None:
        answering = self._settings.answering
        if answering.model == NO_MODEL:
            return None
        cache = weights.cache_folder(self._settings.index.models_cache)
        try:
            resolved = weights.resolve(answering.model, cache=cache)
        except WeightsMissing as missing:
            _log.warning("%s Until then it is done without: %s", missing.message, missing.hint)
            return None
        return TransformersModel(resolved, device=answering.device, dtype=answering.dtype)


def open_engine(settings: Settings, data: Path) -> Engine:
    """Open the encoder and the published snapshot.

    Raises IndexMissing before any model is loaded, WeightsMissing, WeightsCorrupt, IndexIncompatible, IndexCorrupt.
    """
    current_name(data)
    encoder = open_encoder(settings.index.encoder, cache=weights.cache_folder(settings.index.models_cache))
    return Engine(settings, data, encoder)
