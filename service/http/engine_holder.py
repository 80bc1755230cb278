"""The engine of this process: being opened, open, or missing for a reason that is told."""

from __future__ import annotations

import logging
import threading

from index.errors import AsknotesError
from service.answering.ports import AnswerEngine, EngineSource
from service.http.errors import ServiceNotReady

log = logging.getLogger(__name__)


class EngineHolder:
    """Opens the engine when it can be opened, and keeps it at the published snapshot. Thread-safe."""

    def __init__(self, source: EngineSource) -> None:
        self._source = source
        self._engine: AnswerEngine | None = None
        self._problem: AsknotesError | None = None
        self._refreshing = threading.Lock()

    def engine(self) -> AnswerEngine:
        """Return the open engine; raises the AsknotesError that keeps it from being open."""
        engine = self._engine
        if engine is not None:
            return engine
        raise self._problem or ServiceNotReady(
            "The models are being loaded.", hint="Try again in a moment; /readyz says when the service is ready."
        )

    def refresh(self) -> None:
        """Open the engine, or move the open one to the published snapshot; blocks; raises AsknotesError."""
        with self._refreshing:
            if self._engine is None:
                self._engine = self._source()
                log.info("the engine is open")
            else:
                self._engine.refresh()
            self._problem = None

    def refresh_or_report(self) -> None:
        """Refresh; a failure is logged once and told by :meth:`engine`, and what was served before is served on."""
        try:
            self.refresh()
        except AsknotesError as error:
            self._report(error)
        except Exception as error:
            if self._report(ServiceNotReady(f"The engine failed: {error!r}", hint="The service's log tells more.")):
                log.exception("opening the engine failed")

    def _report(self, problem: AsknotesError) -> bool:
        news = self._problem is None or str(self._problem) != str(problem)
        self._problem = problem
        if news:
            log.warning("%s %s", problem.message, problem.hint)
        return news
