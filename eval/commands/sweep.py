"""``asknotes eval sweep``: which settings are worth their cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from eval.commands.invocation import command_line
from eval.commands.options import GoldOption, NotesOption, ReportOption, SystemsFileOption
from eval.commands.tables import plain_table, show_table
from eval.gold import read_gold
from eval.metrics import QUOTE_MEASURES
from eval.report.write import write_report
from eval.results import SweepResults
from eval.sweep import run_sweep
from eval.systems import choose_systems, typed
from service.commands.console import ProgressBars, messages, print_json, results
from service.commands.lazy import plain_app
from service.commands.options import ConfigOption, DataOption, JsonOption, settings_from

app = plain_app()


@app.command()
def sweep(  # noqa: PLR0917 — Typer calls it by name
    gold: GoldOption,
    axes: Annotated[
        list[str],
        typer.Option(
            "--set",
            metavar="KEY=A,B,…",
            help="A setting and the values to try; repeatable, all combinations are tried. Values that hold commas are "
            "separated by | instead.",
        ),
    ],
    system: Annotated[str, typer.Option(metavar="NAME", help="The system that is varied.")] = "hybrid+late",
    systems_file: SystemsFileOption = None,
    measure: Annotated[str, typer.Option(metavar="M", help="What is to be high.")] = "mrr@10",
    notes: NotesOption = None,
    report: ReportOption = None,
    json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Try every combination of settings; where none is better in quality, latency and memory at once, it is marked.

    A combination that was measured before, by a run that was interrupted too, is not measured again.
    """
    if measure not in QUOTE_MEASURES:
        raise typer.BadParameter(f"Choose of {', '.join(QUOTE_MEASURES)}.", param_hint="--measure")
    varied = dict(_axis(axis) for axis in axes)
    settings = settings_from(config, data)
    (chosen,) = choose_systems([system], systems_file)
    asked = read_gold(gold)
    with ProgressBars() as bars:
        found = run_sweep(asked, chosen, varied, settings, measure=measure, notes=notes or (), listener=bars)
    if json:
        print_json(found.as_json())
    else:
        _show(found)
    if report is not None:
        page = write_report(report, sweep=found, command=command_line()).html
        messages().print(f"Report: {page}", soft_wrap=True)


def _axis(text: str) -> tuple[str, Sequence[Any]]:
    key, equals, values = text.partition("=")
    separator = "|" if "|" in values else ","
    named = [typed(value.strip()) for value in values.split(separator) if value.strip()]
    if not equals or not named:
        raise typer.BadParameter(f"{text!r} names no values.", param_hint="--set")
    return key.strip(), named


def _show(found: SweepResults) -> None:
    measures = list(dict.fromkeys([found.measure, "hit@1", "hit@5", "mrr@10"]))
    keys = [key.rsplit(".", 1)[-1] for key in found.axes]
    table = plain_table(["", *keys, *measures, "chunk", "chunks", "ms p50", "MB"], texts=1)
    for point in sorted(found.points, key=lambda point: -point.figures[found.measure].mean):
        table.add_row(
            "*" if point.on_front else "",
            *(str(value) for value in point.settings.values()),
            *(f"{point.figures[name].mean:.3f}" for name in measures),
            f"{point.mean_chunk_chars:.0f}",
            str(point.chunks),
            f"{point.latency_ms:.1f}",
            f"{point.index_bytes / 1e6:.1f}",
        )
    show_table(table)
    results().print(
        f"{found.gold.answerable} questions; one is {1 / found.gold.answerable:.3f}. * none is better in "
        f"{found.measure}, latency and memory at once.",
        soft_wrap=True,
    )
