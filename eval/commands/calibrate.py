"""``asknotes eval calibrate``: what a reranker's score means as a probability."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eval.calibrating import CalibrationReport, Reliability, calibrate, check_calibration, scored_questions
from eval.commands.options import GoldOption, NotesOption
from eval.commands.tables import plain_table, show_table
from eval.gold import read_gold
from service.answering.reranking.calibration import ScoreWeights, load_calibration, save_calibration
from service.commands.console import ProgressBars, messages, print_json, results
from service.commands.lazy import plain_app
from service.commands.options import ConfigOption, DataOption, JsonOption, settings_from

app = plain_app()


@app.command("calibrate")
def calibrate_reranker(  # noqa: PLR0917 — Typer calls it by name
    gold: GoldOption,
    reranker: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="late, lm, lm-likelihood or a model; answering.reranker unless given."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Fit a calibration and write it there, for the settings.")
    ] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Fit nothing: measure this calibration on the questions.")
    ] = None,
    candidates: Annotated[
        int | None, typer.Option(min=2, help="Candidates of each question; answering.rerank_candidates unless given.")
    ] = None,
    notes: NotesOption = None,
    json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Fit the curve from a reranker's score to the probability that a passage holds the evidence, and measure it.

    Figures of a fit are of questions that were left out of it, a fifth at a time. How it does on other notes shows
    --check with a gold set of theirs.
    """
    if out is not None and check is not None:
        raise typer.BadParameter("Fit one or check one, not both at once.", param_hint="--check")
    if out is not None and not out.parent.is_dir():
        raise typer.BadParameter(f"There is no folder {out.parent}.", param_hint="--out")
    settings = settings_from(config, data)
    name = reranker or settings.answering.reranker
    known = load_calibration(check, name) if check is not None else None
    asked = read_gold(gold)
    with ProgressBars() as bars:
        questions = scored_questions(asked, name, settings, notes=notes or (), candidates=candidates, listener=bars)
    report = calibrate(asked, name, questions) if known is None else check_calibration(known, questions)
    if out is not None:
        save_calibration(out, report.calibration)
        messages().print(f"Calibration: {out}", soft_wrap=True)
    if json:
        print_json(report.as_json())
    else:
        _show(report)


def _show(report: CalibrationReport) -> None:
    table = plain_table(["", "ECE", "ECE, best", "Brier", "of the share", "AUC", "AUC, answerable", "MRR"])
    for name, figures in (("reranker", report.alone), ("with the order before", report.fused)):
        table.add_row(name, *_figures(figures))
    show_table(table)
    alone, fused = report.calibration.alone, report.calibration.fused
    which = "Each question left out of what was fitted for it" if report.held_out else "The calibration as it was read"
    for line in (
        f"{report.alone.candidates} candidates, {report.alone.answering} hold evidence. {which}.",
        f"MRR of the order before: {report.earlier_mrr:.3f}.",
        f"By the reranker: {_curve(alone.score, 'score')} + {alone.intercept:.4g}",
        f"By both: {_curve(fused.score, 'score')} + {_curve(fused.earlier, 'score before')} + {fused.intercept:.4g}",
    ):
        results().print(line, soft_wrap=True)


def _curve(weights: ScoreWeights, score: str) -> str:
    return (
        f"{weights.level:.4g} × {score} + {weights.above_mean:.4g} × above the mean + "
        f"{weights.above_others:.4g} × above the best other"
    )


def _figures(figures: Reliability) -> tuple[str, ...]:
    return (
        f"{figures.calibration_error:.3f}",
        f"{figures.best_calibration_error:.3f}",
        f"{figures.brier:.4f}",
        f"{figures.base_brier:.4f}",
        *("–" if area is None else f"{area:.3f}" for area in (figures.auc, figures.abstention_auc)),
        f"{figures.mrr:.3f}",
    )
