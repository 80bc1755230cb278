"""``asknotes eval ann``: approximate search against exact search."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from eval.ann import (
    SearchTask,
    asked_task,
    compare_families,
    default_factories,
    generated_task,
    published_task,
    settings_text,
)
from eval.commands.invocation import command_line
from eval.commands.options import ReportOption
from eval.gold import read_gold
from eval.provenance import provenance
from eval.report.write import write_report
from eval.results import AnnPoint, AnnResults
from index import weights
from index.encoder import open_encoder
from index.snapshot import current_name, open_current
from service.commands.console import ProgressBars, messages, print_json, results
from service.commands.lazy import plain_app
from service.commands.options import ConfigOption, DataOption, JsonOption, settings_from
from service.settings import Settings

app = plain_app()


@app.command()
def ann(  # noqa: PLR0917 — Typer calls it by name
    vectors: Annotated[
        int | None, typer.Option(min=1, max=10_000_000, help="Generate so many vectors instead of taking your own.")
    ] = None,
    dimension: Annotated[int, typer.Option(min=1, max=8192, help="Dimensions of generated vectors.")] = 384,
    queries: Annotated[int, typer.Option(min=1, max=100_000, help="How many queries.")] = 200,
    gold: Annotated[
        Path | None, typer.Option(metavar="G.jsonl", help="Ask these questions; else queries are made of the vectors.")
    ] = None,
    factories: Annotated[
        str | None,
        typer.Option(metavar='"F;F;…"', help="FAISS factories, separated by semicolons; every family unless given."),
    ] = None,
    k: Annotated[int, typer.Option("-k", "--k", min=1, max=1000, help="How many nearest vectors must be found.")] = 10,
    report: ReportOption = None,
    json: JsonOption = False,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Compare FAISS families: recall against exact search, queries a second, build time, bytes a vector."""
    if vectors is not None and gold is not None:
        raise typer.BadParameter("Questions of a gold file are not about generated vectors.", param_hint="--gold")
    settings = settings_from(config, data)
    task = generated_task(vectors, dimension, queries) if vectors is not None else _own_task(settings, gold, queries)
    with ProgressBars() as bars:
        found = compare_families(
            task,
            _split(factories) or default_factories(task.vectors.shape[1]),
            settings.index.dense,
            k=k,
            provenance=provenance(settings),
            listener=bars,
        )
    if json:
        print_json(found.as_json())
    else:
        results().print(ann_table(found), soft_wrap=not results().is_terminal)
    if report is not None:
        page = write_report(report, ann=found, command=command_line()).html
        messages().print(f"Report: {page}", soft_wrap=True)


def _own_task(settings: Settings, gold: Path | None, queries: int) -> SearchTask:
    current_name(settings.data)
    if gold is None:
        snapshot, _ = open_current(settings.data, settings.index)
        return published_task(snapshot, queries)
    asked = read_gold(gold)
    encoder = open_encoder(settings.index.encoder, cache=weights.cache_folder(settings.index.models_cache))
    snapshot, _ = open_current(settings.data, settings.index, {"encoder": encoder.fingerprint})
    return asked_task(snapshot, asked, encoder, queries)


def _split(factories: str | None) -> Sequence[str]:
    return [] if factories is None else [each.strip() for each in factories.split(";") if each.strip()]


def ann_table(found: AnnResults) -> RenderableType:
    """Show each family that was built, a row for each of its settings; a star marks the front."""
    table = Table(box=None)
    table.add_column("built as", overflow="fold")
    for name in (f"recall@{found.k}", "queries/s", "build s", "bytes each", "front"):
        table.add_column(name, justify="right", no_wrap=True)
    for built_as, points in itertools.groupby(_built(found), key=lambda point: point.built_as):
        rows = list(points)
        table.add_row(built_as, "", "", f"{rows[0].build_s:.1f}", f"{rows[0].bytes_per_vector:,.0f}", "")
        for point in rows:
            figures = (f"{point.recall:.3f}", f"{point.queries_per_s:,.0f}", "", "", "*" if point.on_front else "")
            table.add_row(f"  {settings_text(point.search)}", *figures)
    heading = f"{found.source}; {found.queries} queries, {found.dimension} dimensions"
    return Group(Text(heading), table, Text(_fallbacks(found)))


def _built(found: AnnResults) -> list[AnnPoint]:
    """Return the points without those that repeat another factory's because both came down to the same."""
    first = {point.built_as: point.factory for point in reversed(found.points)}
    return [point for point in found.points if first[point.built_as] == point.factory]


def _fallbacks(found: AnnResults) -> str:
    """Name what was built as something else, since so few vectors cannot train it."""
    others: dict[str, list[str]] = {}
    for point in found.points:
        if point.factory != point.built_as and point.factory not in others.get(point.built_as, []):
            others.setdefault(point.built_as, []).append(point.factory)
    lines = [f"Built as {built_as} for want of vectors: {'; '.join(each)}." for built_as, each in others.items()]
    return "\n".join(["* on the front of recall and queries/s", *lines])
