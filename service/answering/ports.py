"""What the command line and the HTTP service need from the rest: an engine, and something that indexes.

Both are Protocols, so that what is outside of answering depends on these few methods and not on the models
behind them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from index.progress import ProgressListener
from service.answering.exchange import Answer, AnswerStreamEvent, AskRequest, SearchRequest, SearchResult


class AnswerEngine(Protocol):
    """The open models and the published snapshot of one process. Every method blocks and is thread-safe."""

    def search(self, request: SearchRequest) -> SearchResult:
        """Find chunks; raises AsknotesError."""

    def ask(self, request: AskRequest, *, cancelled: threading.Event | None = None) -> Answer:
        """Answer one question; stops soon after ``cancelled`` is set; raises AsknotesError."""

    def stream(self, request: AskRequest, *, cancelled: threading.Event) -> Iterator[AnswerStreamEvent]:
        """Answer one question as it happens: a RetrievalEvent, TokenEvents, and last an AnswerEvent."""

    def status(self) -> dict[str, object]:
        """Say what is published, JSON-ready: at least ``snapshot``."""

    def refresh(self) -> None:
        """Serve the newly published snapshot if there is one; requests in flight keep theirs."""

    def ready(self) -> None:
        """Raise the AsknotesError that keeps questions from being answered, if there is one."""


EngineSource = Callable[[], AnswerEngine]
"""Opens the engine; blocks while models load; raises AsknotesError."""


class IndexOutcome(Protocol):
    """What an index run did."""

    def as_json(self) -> Mapping[str, object]:
        """Return the summary object of ``asknotes index --json``."""


class Indexer(Protocol):
    """Indexes the configured notes and publishes a snapshot; blocks; raises AsknotesError."""

    def __call__(self, *, full: bool, listener: ProgressListener) -> IndexOutcome:
        """``full`` re-reads and re-encodes everything; ``listener`` is called from the same thread."""
