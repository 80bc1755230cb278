"""What is written where: results on standard output, everything meant for people only on standard error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import ClassVar, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from index.errors import AsknotesError

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def results() -> Console:
    """Return a console on standard output."""
    return Console(highlight=False, markup=False, emoji=False)


def messages() -> Console:
    """Return a console on standard error."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object on one line of standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")


def print_error(error: AsknotesError) -> None:
    """Print what is wrong and what to do about it on standard error."""
    console = messages()
    console.print(Text.assemble(("Error: ", "bold red"), printable(error.message)), soft_wrap=True)
    console.print(Text(printable(error.hint)), soft_wrap=True)


def printable(text: str) -> str:
    """Return text of the notes without control characters: a note must not steer the terminal."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


class _Rate(ProgressColumn):
    """Steps a second over the stage so far."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f}/s", style="progress.data.speed")


class _Bars:
    """Bars on standard error, one below the other; a context manager."""

    columns: ClassVar[tuple[type[ProgressColumn], ...]]

    def __init__(self) -> None:
        text = TextColumn("{task.description:<20}", markup=False)
        columns = [column() for column in self.columns]
        self._progress = Progress(text, BarColumn(), *columns, TimeElapsedColumn(), console=messages())
        self._bar: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, n: int) -> None:
        """Move the bar on."""
        if self._bar is not None:
            self._progress.advance(self._bar, n)

    def _add(self, text: str, total: int | None) -> None:
        self._bar = self._progress.add_task(text, total=total)


class ProgressBars(_Bars):
    """Shows each stage of an index run; the pipeline's ProgressListener."""

    columns = (MofNCompleteColumn, _Rate)

    def start(self, stage: str, total: int) -> None:
        """Show a new bar."""
        self._add(stage, total)

    def finish(self) -> None:
        """Leave the bar as it is."""
        self._bar = None


class DownloadBars(_Bars):
    """Shows each step of getting weights ready, in bytes; the ProgressListener of index/fetching.py."""

    columns = (DownloadColumn, TransferSpeedColumn)

    def start(self, total: int | None, text: str) -> None:
        """Show a new bar; it only moves to and fro while the total is not known."""
        self._add(text, total)

    def finish(self) -> None:
        """Fill the bar."""
        if self._bar is not None:
            task = self._progress.tasks[self._bar]
            self._progress.update(self._bar, total=task.total or 1, completed=task.total or 1)
        self._bar = None
