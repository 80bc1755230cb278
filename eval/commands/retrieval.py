"""``asknotes eval retrieval``: whether retrieval finds the right passage, and which settings find it best."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from eval.commands.invocation import command_line
from eval.commands.options import GoldOption, NotesOption, ReportOption, SystemsFileOption
from eval.commands.tables import (
    closing_lines,
    comparisons_table,
    figures_table,
    intervals_table,
    show_table,
    slices_table,
)
from eval.compare import TESTED
from eval.gate import Fall, falls, make_baseline, read_baseline, write_baseline
from eval.gold import read_gold
from eval.metrics import QUOTE_MEASURES
from eval.report.write import write_report
from eval.results import RetrievalResults
from eval.retrieval import evaluate_retrieval
from eval.systems import COMPARED_BY_DEFAULT, choose_systems
from eval.trec import save_runs
from service.commands.console import ProgressBars, messages, print_json, results
from service.commands.lazy import FAILED, plain_app
from service.commands.options import ConfigOption, DataOption, JsonOption, settings_from

app = plain_app()


@app.command()
def retrieval(  # noqa: PLR0917 — Typer calls it by name
    gold: GoldOption,
    systems: Annotated[
        str | None,
        typer.Option(metavar="A,B,…", help="Systems to set side by side; the first is what others are compared with."),
    ] = None,
    systems_file: SystemsFileOption = None,
    notes: NotesOption = None,
    report: ReportOption = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Exit 1 when a figure falls below this file's by more than its tolerance."),
    ] = None,
    write_baseline_to: Annotated[
        Path | None, typer.Option("--write-baseline", metavar="FILE", help="Keep what was reached for --baseline.")
    ] = None,
    measures: Annotated[
        str, typer.Option("--test", metavar="M,N,…", help="Measures that pairs of systems are tested on.")
    ] = ",".join(TESTED),
    json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Measure retrieval against questions whose evidence is quoted from the notes.

    A quote decides what is a hit, so that any chunking can be measured, by the rule of docs/EVAL.md. Each system is a
    set of settings: lexical, dense, hybrid, hybrid+late, late, default, or one of these with changed settings
    (hybrid@index.fusion.lexical_weight=0). What a system needs is indexed beside the published index and kept.
    """
    settings = settings_from(config, data)
    known = read_baseline(baseline) if baseline else None
    named = systems.split(",") if systems else list(known.systems if known else COMPARED_BY_DEFAULT)
    chosen = choose_systems(named, systems_file)
    asked = read_gold(gold)
    tested = _measures(measures)
    with ProgressBars() as bars:
        found, runs = evaluate_retrieval(asked, chosen, settings, notes=notes or (), listener=bars, tested=tested)
    if json:
        print_json(found.as_json())
    else:
        _show(found)
    if report is not None:
        save_runs(report, runs, asked, found.provenance)
        messages().print(
            f"Report: {write_report(report, retrieval=found, command=command_line()).html}", soft_wrap=True
        )
    if write_baseline_to is not None:
        write_baseline(write_baseline_to, make_baseline(found))
        messages().print(f"Baseline: {write_baseline_to}", soft_wrap=True)
    if known is not None:
        _gate(falls(found, known))


def _measures(text: str) -> list[str]:
    named = [measure.strip() for measure in text.split(",") if measure.strip()]
    unknown = [measure for measure in named if measure not in QUOTE_MEASURES]
    if unknown or not named:
        raise typer.BadParameter(f"Choose of {', '.join(QUOTE_MEASURES)}.", param_hint="--test")
    return named


def _show(found: RetrievalResults) -> None:
    for table in (figures_table(found.systems), intervals_table(found.systems), slices_table(found.systems)):
        show_table(table)
    if found.comparisons:
        show_table(comparisons_table(found.comparisons))
    for line in closing_lines(found):
        results().print(line, soft_wrap=True)


def _gate(fallen: Sequence[Fall]) -> None:
    if not fallen:
        messages().print("Nothing fell below the baseline.")
        return
    for fall in fallen:
        lost = ", ".join(fall.lost) or "none"
        messages().print(
            f"{fall.system}: {fall.measure} fell from {fall.before:.3f} to {fall.now:.3f}, by more than "
            f"{fall.tolerance:.3f}. Questions no longer found at rank 5: {lost}.",
            soft_wrap=True,
        )
    raise typer.Exit(FAILED)
