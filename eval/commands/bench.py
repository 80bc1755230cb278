"""``asknotes eval bench``: the project's own share of a search, at any size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from eval.bench import BenchResults, CollectionTimes, ModeTimes, bench
from eval.bench_collection import Size
from eval.generated_collection import TOKENS_A_CHUNK
from eval.provenance import provenance
from service.commands.console import ProgressBars, print_json, results
from service.commands.lazy import plain_app
from service.commands.options import ConfigOption, JsonOption, settings_from

_MEGABYTE = 1e6

app = plain_app()


@app.command(name="bench")
def bench_command(  # noqa: PLR0917 — Typer calls it by name
    chunks: Annotated[str, typer.Option(metavar="N,N,…", help="How many chunks the collections have.")] = "1000,20000",
    queries: Annotated[int, typer.Option(min=1, max=100_000, help="How many questions are asked of each.")] = 200,
    candidates: Annotated[int, typer.Option(min=1, max=10_000, help="Chunks that late interaction scores.")] = 30,
    tokens: Annotated[int, typer.Option(min=1, max=8192, help="Mean tokens a chunk.")] = TOKENS_A_CHUNK,
    dimension: Annotated[int, typer.Option(min=1, max=8192, help="Dimensions of every vector.")] = 384,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Measure a search besides encoding the question, on generated chunks: no notes and no model are needed."""
    settings = settings_from(config, None)
    sizes = [Size(each, tokens, dimension) for each in _numbers(chunks)]
    with ProgressBars() as bars:
        found = bench(
            sizes,
            settings.index,
            questions=queries,
            candidates=candidates,
            provenance=provenance(settings),
            listener=bars,
        )
    if json:
        print_json(found.as_json())
    else:
        results().print(bench_tables(found), soft_wrap=not results().is_terminal)


def _numbers(listed: str) -> list[int]:
    numbers = [each.strip() for each in listed.split(",")]
    if not all(each.isascii() and each.isdecimal() and int(each) > 0 for each in numbers):
        raise typer.BadParameter("Give numbers of chunks above 0, separated by commas.", param_hint="--chunks")
    return [int(each) for each in numbers]


def bench_tables(found: BenchResults) -> RenderableType:
    """Show, for each collection, milliseconds by stage of each mode, and what it takes to keep."""
    parts: list[RenderableType] = []
    for collection in found.collections:
        parts += [_times(collection), Text(_keeping(collection)), Text()]
    return Group(*parts, Text(f"{found.questions} questions each, one at a time; times without encoding them."))


def _times(collection: CollectionTimes) -> Table:
    title = f"{collection.chunks:,} chunks, {collection.tokens:,} tokens, dense {collection.dense_built_as}"
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("milliseconds", no_wrap=True)
    for name in ("p50", "p95"):
        table.add_column(name, justify="right", no_wrap=True)
    for mode in collection.modes:
        for name, latency in _rows(mode).items():
            table.add_row(name, f"{latency[0]:.2f}", f"{latency[1]:.2f}")
        table.add_row(f"  {mode.ratio:.1f} times {mode.slowest_raw}", "", "")
    return table


def _rows(mode: ModeTimes) -> Mapping[str, tuple[float, float]]:
    latencies = {
        mode.name: mode.total,
        **{f"  {stage}": latency for stage, latency in mode.stages.items()},
        **{f"  raw {call}": latency for call, latency in mode.raw.items()},
    }
    return {name: (latency.p50, latency.p95) for name, latency in latencies.items()}


def _keeping(collection: CollectionTimes) -> str:
    seconds = ", ".join(f"{part} {value:.2f}" for part, value in collection.build_s.items())
    sizes = ", ".join(f"{part} {value:,.0f}" for part, value in collection.disk_bytes_per_chunk.items())
    return (
        f"seconds: {seconds}\nbytes a chunk: {sizes}\n"
        f"memory: opening {collection.opened_bytes / _MEGABYTE:,.0f} MB, "
        f"peak of the process {collection.peak_bytes / _MEGABYTE:,.0f} MB"
    )
