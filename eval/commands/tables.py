"""Results as tables on a terminal or in a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.measure import Measurement
from rich.table import Table

from eval.results import ALL, Comparison, Figure, RetrievalResults, SystemResult
from service.commands.console import results

SHOWN = ("hit@1", "hit@3", "hit@5", "hit@10", "recall@5", "recall@10", "mrr@10", "ndcg@10")
BY_SLICE = "hit@5"
SIGNIFICANT = 0.05
_WIDEST = 10_000


def plain_table(headings: Iterable[str], *, texts: int = 1) -> Table:
    """Return a table without frames; the first ``texts`` columns are left-aligned, figures right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for position, heading in enumerate(headings):
        table.add_column(heading, justify="left" if position < texts else "right", no_wrap=True)
    return table


def show_table(table: Table) -> None:
    """Print a table on standard output at its full width, followed by an empty line: a figure is never cut."""
    console = results()
    needed = Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
    console.width = max(console.width, needed)
    console.print(table)
    console.print()


def figures_table(systems: Sequence[SystemResult]) -> Table:
    """Every system's figures over all questions, with its mean chunk length and latency."""
    table = plain_table(["system", *SHOWN, "chunk", "ms p50", "ms p95"])
    for system in systems:
        total = system.latency_ms["total"]
        table.add_row(
            system.name,
            *(f"{system.figures[ALL][measure].mean:.3f}" for measure in SHOWN),
            f"{system.mean_chunk_chars:.0f}",
            f"{total.p50:.1f}",
            f"{total.p95:.1f}",
        )
    return table


def intervals_table(systems: Sequence[SystemResult]) -> Table:
    """Bootstrap intervals of the figures that decide."""
    measures = ("hit@1", "hit@5", "mrr@10", "ndcg@10")
    table = plain_table(["95 % interval", *measures])
    for system in systems:
        table.add_row(system.name, *(_interval(system.figures[ALL][measure]) for measure in measures))
    return table


def slices_table(systems: Sequence[SystemResult]) -> Table:
    """Hit rate at 5 by type and language, with the number of questions."""
    slices = [name for name in systems[0].figures if name != ALL]
    counts = {name: systems[0].figures[name][BY_SLICE].n for name in slices}
    headings = [f"{name.partition(':')[2]} ({counts[name]})" for name in slices]
    table = plain_table([f"{BY_SLICE} by kind", *headings])
    for system in systems:
        table.add_row(system.name, *(f"{system.figures[name][BY_SLICE].mean:.2f}" for name in slices))
    return table


def comparisons_table(comparisons: Sequence[Comparison]) -> Table:
    """Paired differences with their tests."""
    table = plain_table(["", "measure", "difference", "95 % interval", "p", "p, Holm", "won/lost/tied"], texts=2)
    for one in comparisons:
        mark = " *" if one.p_corrected < SIGNIFICANT else ""
        table.add_row(
            f"{one.other} - {one.base}",
            one.measure,
            f"{one.difference:+.3f}{mark}",
            f"{one.low:+.3f} {one.high:+.3f}",
            f"{one.p:.4f}",
            f"{one.p_corrected:.4f}",
            f"{one.wins}/{one.losses}/{one.ties}",
        )
    return table


def closing_lines(results: RetrievalResults) -> list[str]:
    """What a reader must not overlook, a line each."""
    gold = results.gold
    lines = [f"{gold.answerable} questions measured, {gold.unanswerable} unanswerable ones asked and left out."]
    if gold.answerable:
        lines.append(f"One question is {1 / gold.answerable:.3f}; * is significant at {SIGNIFICANT} after correction.")
    lines += [
        f"{system.name}: no chunk of the index holds the evidence of {', '.join(system.unreachable)}: "
        "no ranking can find it."
        for system in results.systems
        if system.unreachable
    ]
    return [*lines, *results.notices]


def _interval(figure: Figure) -> str:
    return f"{figure.low:.3f}-{figure.high:.3f}"
