"""``asknotes tune``: an encoder fine-tuned on one's own notes, published only if it is shown to search better."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eval.commands.tables import plain_table, show_table
from eval.gold import read_gold
from eval.tuning.training import TrainingOptions
from eval.tuning.trial import MEASURES, Trial
from eval.tuning.tuning import PreparedPairs, TuningReport, TuningRequest, prepare_pairs, tune
from service.commands.console import ProgressBars, messages, print_json, results
from service.commands.lazy import FAILED, plain_app
from service.commands.options import ConfigOption, DataOption, JsonOption, settings_from

app = plain_app()

_DEFAULTS = TrainingOptions()


@app.command("tune")
def tune_encoder(  # noqa: PLR0917 — Typer calls it by name
    pairs: Annotated[
        list[Path] | None,
        typer.Option("--pairs", metavar="FILE.jsonl", help="Passages with questions that they answer; repeatable."),
    ] = None,
    gold: Annotated[
        Path | None,
        typer.Option(
            "--gold", metavar="G.jsonl", help="Measure on these questions; their sections are not trained on."
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, max=100, help="How often every question is learnt.")] = _DEFAULTS.epochs,
    layers: Annotated[
        int | None, typer.Option(min=1, help="Layers that are trained, the last ones; 2 on a CPU and all on a GPU.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=2, max=1024, help="Questions a step.")] = _DEFAULTS.batch_size,
    learning_rate: Annotated[float, typer.Option(min=1e-7, max=1e-2, help="Highest step.")] = _DEFAULTS.learning_rate,
    generate: Annotated[
        int, typer.Option(min=0, max=10_000, metavar="N", help="Have the language model write so many questions too.")
    ] = 0,
    held_out: Annotated[float, typer.Option(min=0.05, max=0.5, help="Share of the pairs that is held out.")] = 0.2,
    max_p: Annotated[float, typer.Option(min=0.0, max=1.0, help="Publish only below this p.")] = 0.05,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other held-out sections and another order.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The encoder's new folder; DATA/encoders/… unless given."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which pairs there are.")] = False,
    json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Fine-tune the encoder on questions and passages of your notes, and try it on others of them.

    Questions come from headings, question-and-answer items and --pairs files. Whole sections are held out of training;
    the tuned encoder is published only if it ranks their passages better (randomisation test), with what is to be set
    to use it. Otherwise nothing is written and the exit status is 1.
    """
    settings = settings_from(config, data)
    request = TuningRequest(
        options=TrainingOptions(epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed),
        pair_files=pairs or (),
        gold=None if gold is None else read_gold(gold),
        out=out,
        generate=generate,
        layers=layers,
        held_out=held_out,
        max_p=max_p,
    )
    with ProgressBars() as bars:
        prepared = prepare_pairs(settings, request, bars)
        _show_pairs(prepared)
        report = None if dry_run else tune(settings, request, prepared, bars)
    if report is None:
        if json:
            print_json({"pairs": prepared.as_json()})
        return
    if json:
        print_json(report.as_json())
    else:
        _show_trial(report.trial)
    _say_outcome(report)
    if report.folder is None:
        raise typer.Exit(FAILED)


def _show_pairs(prepared: PreparedPairs) -> None:
    counts = ", ".join(f"{count} by {origin}" for origin, count in prepared.collection.origins.items())
    messages().print(
        f"{len(prepared.collection.pairs)} pairs over {len(prepared.collection.passages)} passages ({counts}): "
        f"{len(prepared.split.training)} to train on, {len(prepared.split.held_out)} held out.",
        soft_wrap=True,
    )


def _show_trial(trial: Trial) -> None:
    table = plain_table(["", *MEASURES])
    for name, figures in (("before", trial.before), ("after", trial.after)):
        table.add_row(name, *(f"{figures[measure].mean:.4f}" for measure in MEASURES))
    show_table(table)
    results().print(
        f"{trial.questions} questions ({trial.measured_on}): {trial.gain:+.4f} in reciprocal rank "
        f"({trial.low:+.4f} to {trial.high:+.4f}), p = {trial.p:.4f}",
        soft_wrap=True,
    )


def _say_outcome(report: TuningReport) -> None:
    say = messages()
    if report.folder is None:
        say.print(
            f"Not published: the tuned encoder must be better with p < {report.max_p:g}. More pairs (--pairs) or "
            "another learning rate may help; the configured encoder stays as it is.",
            soft_wrap=True,
        )
        return
    say.print(f"Published: {report.folder}", soft_wrap=True)
    say.print("To use it, set this in your config and run `asknotes index`:", soft_wrap=True)
    say.print(f'    [index.encoder]\n    model = "{report.folder}"', soft_wrap=True)
