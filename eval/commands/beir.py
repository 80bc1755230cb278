"""``asknotes eval beir``: retrieval on a public collection in BEIR's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eval.beir import read_beir
from eval.commands.invocation import command_line
from eval.commands.options import ReportOption, SystemsFileOption
from eval.commands.tables import closing_lines, comparisons_table, plain_table, show_table
from eval.corpus import evaluate_corpus, write_run
from eval.metrics import DOCUMENT_MEASURES
from eval.report.write import write_report
from eval.results import ALL, RetrievalResults
from eval.systems import choose_systems
from service.commands.console import ProgressBars, messages, print_json, results
from service.commands.lazy import plain_app
from service.commands.options import ConfigOption, DataOption, JsonOption, settings_from

app = plain_app()


@app.command()
def beir(  # noqa: PLR0917 — Typer calls it by name
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Holds corpus.jsonl, queries.jsonl and qrels/.")],
    out: Annotated[
        Path | None, typer.Option(metavar="RUN.jsonl", help="Where the ranking of the (first) system goes.")
    ] = None,
    systems: Annotated[
        str, typer.Option(metavar="A,B,…", help="Systems to set side by side, as in eval retrieval.")
    ] = "default",
    systems_file: SystemsFileOption = None,
    split: Annotated[
        str | None, typer.Option(metavar="NAME", help="Judgements in qrels/NAME.tsv; test, or the only ones.")
    ] = None,
    report: ReportOption = None,
    json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Measure retrieval on a BEIR folder, in an index that is made for it and thrown away.

    Documents go the way of notes: cleaned, chunked, encoded (kept in the data folder's cache for the next time). A
    document counts as far up as its best chunk.
    """
    if out is not None and not out.parent.is_dir():
        raise typer.BadParameter(f"There is no folder {out.parent}.", param_hint="--out")
    settings = settings_from(config, data)
    chosen = choose_systems(systems.split(","), systems_file)
    collection = read_beir(folder, split)
    with ProgressBars() as bars:
        found = evaluate_corpus(collection, chosen, settings, listener=bars)
    if json:
        print_json(found.results.as_json())
    else:
        _show(found.results)
    if out is not None:
        write_run(out, found.rankings[chosen[0].name])
        messages().print(f"Run of {chosen[0].name}: {out}", soft_wrap=True)
    if report is not None:
        messages().print(
            f"Report: {write_report(report, retrieval=found.results, command=command_line()).html}", soft_wrap=True
        )


def _show(found: RetrievalResults) -> None:
    table = plain_table(["measure", *(system.name for system in found.systems)])
    for measure in DOCUMENT_MEASURES:
        figures = [system.figures[ALL][measure] for system in found.systems]
        table.add_row(measure, *(f"{figure.mean:.4f}" for figure in figures))
    for share in ("p50", "p95"):
        spent = [getattr(system.latency_ms["total"], share) for system in found.systems]
        table.add_row(f"ms {share}", *(f"{milliseconds:.1f}" for milliseconds in spent))
    table.add_row("mean chunk", *(f"{system.mean_chunk_chars:.0f}" for system in found.systems))
    show_table(table)
    if found.comparisons:
        show_table(comparisons_table(found.comparisons))
    for line in closing_lines(found):
        results().print(line, soft_wrap=True)
