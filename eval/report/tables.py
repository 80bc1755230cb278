"""The report's tables as plain data, so that the page and the Markdown show the same rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from eval.report import formats
from eval.report.readings import SIGNIFICANT, few_questions, reading
from eval.results import (
    ALL,
    AnnPoint,
    AnnResults,
    Comparison,
    Figure,
    Provenance,
    RetrievalResults,
    SweepPoint,
    SweepResults,
    SystemResult,
)

HEADLINE = ("hit@1", "hit@5", "recall@10", "mrr@10", "ndcg@10")
TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: ``text`` with a ``note`` in small print below or after it.

    ``best`` is set in bold, ``faint`` in grey; ``heat`` is a share from 0 to 1 to colour the cell by; ``series`` the
    number of the system or family whose mark in the plots stands before the text.
    """

    text: str
    note: str = ""
    best: bool = False
    faint: bool = False
    heat: float | None = None
    series: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table: ``head`` names the columns, the first of which names the rows. ``texts`` are columns of words."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    texts: frozenset[int] = frozenset({0})
    marked: frozenset[int] = field(default_factory=frozenset)
    """Rows to stand out, by position."""


def systems_table(results: RetrievalResults) -> Table:
    """Systems × the usual measures, chunk length, speed and size."""
    measures = [measure for measure in HEADLINE if measure in measures_of(results)]
    columns = [_measure_column(results.systems, ALL, measure) for measure in measures]
    columns += [
        [Cell(formats.whole(system.mean_chunk_chars)) for system in results.systems],
        _lowest([_total(system, "p50") for system in results.systems], formats.milliseconds),
        _lowest([_total(system, "p95") for system in results.systems], formats.milliseconds),
        _lowest([system.index_bytes for system in results.systems], formats.size),
    ]
    return Table(
        caption=f"All {results.gold.answerable} answerable questions; below each figure its 95 % interval",
        head=["system", *measures, "mean chunk, characters", "p50, ms", "p95, ms", "index"],
        rows=_rows(_names(results.systems), columns),
    )


def other_measures_table(results: RetrievalResults) -> Table:
    """Systems × every measure that the first table leaves out."""
    measures = [measure for measure in measures_of(results) if measure not in HEADLINE]
    columns = [_measure_column(results.systems, ALL, measure) for measure in measures]
    return (
        Table(
            "The other measures",
            ["system", *measures, "mean chunk, characters"],
            _rows(
                _names(results.systems),
                [*columns, [Cell(formats.whole(system.mean_chunk_chars)) for system in results.systems]],
            ),
        )
        if measures
        else Table("The other measures", ["system"], [])
    )


def slices_table(results: RetrievalResults, measure: str) -> Table:
    """Types and languages × systems for one measure, coloured by value; few questions are faint and say so."""
    rows: list[list[Cell]] = []
    for name in slices_of(results):
        figures = [system.figures.get(name, {}).get(measure) for system in results.systems]
        count = max((figure.n for figure in figures if figure), default=0)
        note = few_questions(count)
        kind, _, value = name.partition(":")
        rows.append(
            [
                Cell(value or kind, note=kind if value else "", faint=bool(note)),
                Cell(formats.whole(count), note=note, faint=bool(note)),
                *_heat(figures, faint=bool(note)),
            ]
        )
    return Table(
        caption=f"{measure} by type and language",
        head=["questions", "n", *(system.name for system in results.systems)],
        rows=rows,
    )


def comparisons_table(comparisons: Sequence[Comparison], measure: str) -> Table:
    """Every pair on one measure, what came of it in words at the end."""
    chosen = [comparison for comparison in comparisons if comparison.measure == measure]
    return Table(
        caption=f"{measure}: the second system minus the first",
        head=["pair", "reading", "difference", "p", "p, Holm", "wins", "losses", "ties"],
        rows=[
            [
                Cell(f"{comparison.base} → {comparison.other}"),
                Cell(reading(comparison), best=comparison.p_corrected < SIGNIFICANT),
                Cell(
                    formats.signed(comparison.difference),
                    note=formats.signed_interval(comparison.low, comparison.high),
                ),
                Cell(formats.probability(comparison.p)),
                Cell(formats.probability(comparison.p_corrected), best=comparison.p_corrected < SIGNIFICANT),
                Cell(formats.whole(comparison.wins)),
                Cell(formats.whole(comparison.losses)),
                Cell(formats.whole(comparison.ties)),
            ]
            for comparison in chosen
        ],
        texts=frozenset({0, 1}),
    )


def latency_table(results: RetrievalResults) -> Table:
    """Systems × stages, p50 with p95 below."""
    stages = stages_of(results)
    return Table(
        caption="Milliseconds by stage: p50, and below it p95",
        head=["system", *stages, *([TOTAL] if any(TOTAL in system.latency_ms for system in results.systems) else [])],
        rows=[
            [Cell(system.name), *(_latency(system, stage) for stage in stages), *_total_cell(system, results)]
            for system in results.systems
        ],
    )


def sweep_table(results: SweepResults) -> Table:
    """Every setting, the best first; those on the front are marked."""
    ranked = ranked_points(results)
    names = formats.last_parts(list(results.axes))
    measures = [measure for measure in _sweep_measures(results) if measure != results.measure]
    shown = [results.measure, *(measure for measure in HEADLINE if measure in measures)]
    best = {measure: _highest_mean([point.figures.get(measure) for point in ranked]) for measure in shown}
    return Table(
        caption="Every setting, the best first; front: no other setting is better in quality, speed and size at once",
        head=["#", *names.values(), *shown, "mean chunk, characters", "chunks", "ms", "index", "build, s", "front"],
        rows=[
            [
                Cell(str(rank)),
                *(Cell(_value(point, key)) for key in results.axes),
                *(_figure_cell(point.figures.get(measure), best[measure]) for measure in shown),
                Cell(formats.whole(point.mean_chunk_chars)),
                Cell(formats.whole(point.chunks)),
                Cell(formats.milliseconds(point.latency_ms)),
                Cell(formats.size(point.index_bytes)),
                Cell(formats.seconds(point.build_s)),
                Cell("front" if point.on_front else "", best=True),
            ]
            for rank, point in enumerate(ranked, start=1)
        ],
        marked=frozenset(row for row, point in enumerate(ranked) if point.on_front),
        texts=frozenset({0, len(names) + len(shown) + 6}),
    )


def ann_table(results: AnnResults) -> Table:
    """Every family and setting, grouped by family; those on the front are marked."""
    families = families_of(results)
    ordered = sorted(results.points, key=lambda point: (families.index(point.factory), point.recall))
    return Table(
        caption="Front: no other setting is faster and finds more",
        head=["family", "search", f"recall@{results.k}", "queries/s", "build, s", "bytes a vector", "front"],
        rows=[
            [
                Cell(point.factory, note=_built(point), series=families.index(point.factory)),
                Cell(formats.settings(point.search) if point.search else formats.ABSENT),
                Cell(formats.measure(point.recall)),
                Cell(formats.whole(point.queries_per_s)),
                Cell(formats.seconds(point.build_s)),
                Cell(formats.whole(point.bytes_per_vector)),
                Cell("front" if point.on_front else "", best=True),
            ]
            for point in ordered
        ],
        marked=frozenset(row for row, point in enumerate(ordered) if point.on_front),
        texts=frozenset({0, 1, 6}),
    )


def systems_settings_table(results: RetrievalResults) -> Table:
    """What sets each system apart and what it searched."""
    return Table(
        caption="The systems",
        head=["system", "settings", "snapshot", "chunks", "fingerprints"],
        rows=[
            [
                name,
                Cell(formats.settings(system.settings)),
                Cell(system.snapshot),
                Cell(formats.whole(system.chunks)),
                Cell(formats.settings(system.fingerprints) if system.fingerprints else formats.ABSENT),
            ]
            for name, system in zip(_names(results.systems), results.systems, strict=True)
        ],
        texts=frozenset({0, 1, 2, 4}),
    )


def provenance_tables(provenance: Provenance) -> list[Table]:
    """Machine, versions and every setting by its dotted key."""
    return [
        pairs("Machine", {"date": provenance.created, **provenance.machine}),
        pairs("Versions", provenance.versions),
        pairs("Settings", _dotted(provenance.settings)),
    ]


def measures_of(results: RetrievalResults) -> list[str]:
    """Every measure of any system, in order."""
    return list(dict.fromkeys(measure for system in results.systems for measure in system.figures.get(ALL, {})))


def slices_of(results: RetrievalResults) -> list[str]:
    """The slices by type, then by language, each in the order of the questions; a kind of one slice is no division."""
    kinds: dict[str, list[str]] = {"type": []}
    for name in dict.fromkeys(name for system in results.systems for name in system.figures if name != ALL):
        kinds.setdefault(name.partition(":")[0], []).append(name)
    return [name for names in kinds.values() if len(names) > 1 for name in names]


def stages_of(results: RetrievalResults) -> list[str]:
    """Every stage of any system but the total, each after those that come before it in some system."""
    stages: list[str] = []
    for system in sorted(results.systems, key=lambda system: -len(system.latency_ms)):
        at = 0
        for stage in (name for name in system.latency_ms if name != TOTAL):
            if stage not in stages:
                stages.insert(at, stage)
            at = stages.index(stage) + 1
    return stages


def families_of(results: AnnResults) -> list[str]:
    """The index families, in order."""
    return list(dict.fromkeys(point.factory for point in results.points))


def ranked_points(results: SweepResults) -> list[SweepPoint]:
    """The points, best first; those without the measure last."""
    return sorted(
        results.points,
        key=lambda point: -point.figures[results.measure].mean if results.measure in point.figures else float("inf"),
    )


def _names(systems: Sequence[SystemResult]) -> list[Cell]:
    return [Cell(system.name, series=number) for number, system in enumerate(systems)]


def _rows(names: Sequence[Cell], columns: Sequence[Sequence[Cell]]) -> list[list[Cell]]:
    return [[name, *(column[row] for column in columns)] for row, name in enumerate(names)]


def _measure_column(systems: Sequence[SystemResult], part: str, measure: str) -> list[Cell]:
    figures = [system.figures.get(part, {}).get(measure) for system in systems]
    best = _highest_mean(figures)
    return [_figure_cell(figure, best) for figure in figures]


def _highest_mean(figures: Sequence[Figure | None]) -> float | None:
    """The highest mean, None where all are equal: then none is best."""
    means = {figure.mean for figure in figures if figure}
    return max(means) if len(means) > 1 else None


def _figure_cell(figure: Figure | None, best: float | None) -> Cell:
    if figure is None:
        return Cell(formats.ABSENT, faint=True)
    return Cell(formats.measure(figure.mean), note=formats.interval(figure.low, figure.high), best=figure.mean == best)


def _lowest(values: Sequence[float | None], shown: Callable[[float], str]) -> list[Cell]:
    known = [value for value in values if value is not None]
    best = min(known) if len(set(known)) > 1 else None
    return [
        Cell(formats.ABSENT, faint=True) if value is None else Cell(shown(value), best=value == best)
        for value in values
    ]


def _total(system: SystemResult, percentile: str) -> float | None:
    latency = system.latency_ms.get(TOTAL)
    return None if latency is None else {"p50": latency.p50, "p95": latency.p95}[percentile]


def _latency(system: SystemResult, stage: str) -> Cell:
    latency = system.latency_ms.get(stage)
    if latency is None:
        return Cell(formats.ABSENT, faint=True)
    return Cell(formats.milliseconds(latency.p50), note=formats.milliseconds(latency.p95))


def _total_cell(system: SystemResult, results: RetrievalResults) -> list[Cell]:
    if not any(TOTAL in other.latency_ms for other in results.systems):
        return []
    return [_latency(system, TOTAL)]


def _heat(figures: Sequence[Figure | None], *, faint: bool) -> list[Cell]:
    best = _highest_mean(figures)
    return [
        Cell(formats.ABSENT, faint=True)
        if figure is None
        else Cell(
            formats.measure(figure.mean),
            note=formats.interval(figure.low, figure.high),
            heat=figure.mean,
            faint=faint,
            best=figure.mean == best and not faint,
        )
        for figure in figures
    ]


def _sweep_measures(results: SweepResults) -> list[str]:
    return list(dict.fromkeys(measure for point in results.points for measure in point.figures))


def _value(point: SweepPoint, key: str) -> str:
    return formats.setting(point.settings[key]) if key in point.settings else formats.ABSENT


def _built(point: AnnPoint) -> str:
    return "" if point.built_as == point.factory else f"built as {point.built_as}"


def pairs(caption: str, values: Mapping[str, Any]) -> Table:
    """Names and values as a table of two columns."""
    return Table(
        caption=caption,
        head=["name", "value"],
        rows=[[Cell(key), Cell(formats.setting(value))] for key, value in values.items()],
        texts=frozenset({0, 1}),
    )


def _dotted(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat |= _dotted(value, f"{before}{key}.")
        else:
            flat[f"{before}{key}"] = value
    return flat
