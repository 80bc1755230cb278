"""The commands of ``asknotes eval``. The console script names this module and imports it when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from service.commands.lazy import LazyCommand, LazyGroup, plain_app


class EvalCommands(LazyGroup):
    """Every command of ``asknotes eval``."""

    lazy_commands: ClassVar[Mapping[str, LazyCommand]] = {
        "retrieval": LazyCommand("eval.commands.retrieval", "Measure retrieval against quotes, and compare systems."),
        "beir": LazyCommand("eval.commands.beir", "Measure retrieval on a BEIR folder, in a throw-away index."),
        "answers": LazyCommand("eval.commands.answers", "Measure answers: facts, citations, abstention."),
        "ann": LazyCommand("eval.commands.ann", "Measure approximate vector search against exact search."),
        "bench": LazyCommand("eval.commands.bench", "Measure speed and memory on generated chunks."),
        "sweep": LazyCommand("eval.commands.sweep", "Try a grid of settings and show what is worth its cost."),
        "calibrate": LazyCommand(
            "eval.commands.calibrate", "Fit what a reranker's score means as a probability, and measure it."
        ),
        "make-gold": LazyCommand("eval.commands.make_gold", "Draft gold questions over the notes, for you to edit."),
    }


app = plain_app(cls=EvalCommands, no_args_is_help=True)


@app.callback()
def evaluate() -> None:
    """Measure retrieval and answers, compare settings, and keep what was reached from being lost."""
