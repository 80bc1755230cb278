"""The console script ``asknotes``: the list of its commands, which are defined in ``service/commands``.

Exit status: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted. Results go to standard output,
everything meant for people only to standard error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from service.commands.lazy import LazyCommand, LazyGroup, plain_app


class Commands(LazyGroup):
    """Every command of ``asknotes``."""

    lazy_commands: ClassVar[Mapping[str, LazyCommand]] = {
        "index": LazyCommand("service.commands.index", "Read notes and publish a snapshot of the index."),
        "search": LazyCommand("service.commands.search", "Search the notes."),
        "ask": LazyCommand("service.commands.ask", "Ask the notes; the answer cites them."),
        "serve": LazyCommand("service.commands.serve", "Serve questions over HTTP."),
        "status": LazyCommand("service.commands.status", "Say what is published."),
        # By name only: nothing imports the evaluations, and whoever does not run them does not load them.
        "eval": LazyCommand("eval.cli", "Measure retrieval and answers, and compare settings."),
        "tune": LazyCommand("eval.commands.tune", "Fine-tune the encoder on your notes, if that helps."),
        "models": LazyCommand("service.commands.models", "Say which models are configured, and fetch their weights."),
    }


app = plain_app(cls=Commands, no_args_is_help=True)


@app.callback()
def asknotes() -> None:
    """Cited answers from a folder of study notes."""


def main() -> None:
    """Run the command line."""
    app(prog_name="asknotes")
