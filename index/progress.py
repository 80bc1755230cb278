"""Who is told how far a long run has come."""

from __future__ import annotations

from typing import Protocol


class ProgressListener(Protocol):
    """Hears of a run stage by stage, from the thread that does the work."""

    def start(self, stage: str, total: int) -> None:
        """Hear that a stage of ``total`` steps begins."""

    def advance(self, n: int) -> None:
        """Hear that ``n`` more steps of it are done."""

    def finish(self) -> None:
        """Hear that the stage is done."""


class Unheard:
    """A listener for runs that nobody watches."""

    def start(self, stage: str, total: int) -> None:
        """Nobody listens."""

    def advance(self, n: int) -> None:
        """Nobody listens."""

    def finish(self) -> None:
        """Nobody listens."""
