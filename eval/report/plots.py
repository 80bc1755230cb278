"""The report's plots, as inline SVG: dots with intervals, stacked bars, heat maps, fronts.

Each is drawn about 480 pixels wide, so that it is read on a telephone and two stand side by side on a desk.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from eval.report import formats
from eval.report.svg import (
    GRID,
    HEAT,
    INK,
    MUTED,
    PAPER,
    Labels,
    drawing,
    inline_svg,
    series_colour,
    series_marker,
)
from eval.report.tables import HEADLINE, TOTAL, families_of, measures_of, ranked_points, slices_of, stages_of
from eval.results import ALL, AnnPoint, AnnResults, Comparison, Figure, RetrievalResults, SweepPoint, SweepResults

PANELS_MOST = 12
"""Heat maps drawn of one sweep."""

_WIDTH = 5.6
_ROW = 0.2
_MARGIN = 0.75
_DODGE = 0.8
_SMALL = 9.0
_SEEN = 0.005
_AREA = (30.0, 260.0)


def quality_plot(results: RetrievalResults) -> str:
    """Dots with 95 % whiskers: the usual measures, each with every system."""
    rows = {
        measure: [system.figures.get(ALL, {}).get(measure) for system in results.systems]
        for measure in HEADLINE
        if measure in measures_of(results)
    }
    return _dot_plot(rows, results, name="quality", axis="", description="Quality by system with 95 % intervals")


def slices_plot(results: RetrievalResults, measure: str) -> str:
    """Dots with 95 % whiskers: types and languages, each with every system."""
    rows = {
        name.partition(":")[2] or name: [system.figures.get(name, {}).get(measure) for system in results.systems]
        for name in slices_of(results)
    }
    return _dot_plot(
        rows, results, name="slices", axis=measure, description=f"{measure} by type and language with 95 % intervals"
    )


def differences_plot(comparisons: Sequence[Comparison], measure: str) -> str:
    """Differences of every pair with their intervals around zero; filled where significant is for the table to say."""
    chosen = [comparison for comparison in comparisons if comparison.measure == measure]
    labels = Labels()
    with drawing():
        canvas, axes = _canvas(_MARGIN + 0.34 * len(chosen))
        for row, comparison in enumerate(chosen):
            axes.plot([comparison.low, comparison.high], [row, row], color=INK, linewidth=1.6, solid_capstyle="butt")
            axes.plot([comparison.difference], [row], marker="o", color=INK, markersize=6, linestyle="none")
        axes.axvline(0, color=MUTED, linewidth=1.2)
        axes.set_yticks(
            range(len(chosen)),
            [f"{labels(pair.base, longest=16)} → {labels(pair.other, longest=16)}" for pair in chosen],
        )
        axes.set_ylim(len(chosen) - 0.5, -0.5)
        axes.set_xlabel(f"difference in {measure}, 95 % interval")
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        return inline_svg(
            canvas, name="differences", description="Differences of pairs with 95 % intervals", labels=labels
        )


def latency_plot(results: RetrievalResults) -> str:
    """Stacked bars of the stages' p50 and p95 for every system, with the total's own percentile as a mark.

    Percentiles of stages do not add up to that of the total; the mark is what was measured. Stages too short to be
    seen are left out.
    """
    stages = _long_stages(results)
    labels = Labels()
    with drawing():
        canvas, axes = _canvas(_MARGIN + 0.62 * len(results.systems) + _legend_height(len(stages) + 1))
        ticks: list[tuple[float, str]] = []
        for row, system in enumerate(results.systems):
            for place, percentile in ((row - 0.19, "p50"), (row + 0.19, "p95")):
                reached = 0.0
                for number, stage in enumerate(stages):
                    latency = system.latency_ms.get(stage)
                    if latency is None:
                        continue
                    width = {"p50": latency.p50, "p95": latency.p95}[percentile]
                    axes.barh(place, width, 0.32, left=reached, color=series_colour(number))
                    reached += width
                total = system.latency_ms.get(TOTAL)
                if total is not None:
                    at = {"p50": total.p50, "p95": total.p95}[percentile]
                    axes.plot([at], [place], marker="D", color=PAPER, markeredgecolor=INK, linestyle="none")
                ticks.append((place, f"{labels(system.name, longest=22)}  {percentile}"))
        for number, stage in enumerate(stages):
            axes.barh([0], [0], color=series_colour(number), label=labels(stage))
        axes.plot([], [], marker="D", color=PAPER, markeredgecolor=INK, linestyle="none", label="total, as measured")
        axes.set_yticks([place for place, _ in ticks], [text for _, text in ticks])
        axes.set_ylim(len(results.systems) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_xlabel("milliseconds a question")
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        _legend(canvas, len(stages) + 1)
        return inline_svg(
            canvas, name="latency", description="Milliseconds by stage, p50 and p95; the table has it", labels=labels
        )


def sweep_plots(results: SweepResults) -> list[str]:
    """A line for one axis; else a heat map over the two longest axes for every setting of the others."""
    points = [point for point in results.points if results.measure in point.figures]
    axes = sorted(results.axes, key=lambda key: -len(results.axes[key]))
    if not points or not axes:
        return []
    if len(axes) == 1:
        return [_line(results, points, axes[0])]
    across, down, *others = axes
    settings = itertools.product(*(results.axes[key] for key in others))
    return [
        _heat_map(results, points, across, down, fixed=dict(zip(others, values, strict=True)), number=number)
        for number, values in enumerate(itertools.islice(settings, PANELS_MOST))
    ]


def sweep_panels(results: SweepResults) -> int:
    """How many heat maps the whole sweep would take; no more than PANELS_MOST are drawn."""
    sizes = sorted((len(values) for values in results.axes.values()), reverse=True)
    return math.prod(sizes[2:])


def front_plot(results: SweepResults) -> str:
    """Quality against milliseconds, the marks' area by index size; points on the front are filled and numbered."""
    ranked = [point for point in ranked_points(results) if results.measure in point.figures]
    largest = max((point.index_bytes for point in ranked), default=1) or 1
    with drawing():
        canvas, axes = _canvas(4.4)
        for rank, point in enumerate(ranked, start=1):
            _front_point(axes, point, results.measure, rank, _area(point.index_bytes / largest))
        for share in (0.25, 0.5, 1.0):
            label = f"index {formats.size(largest * share)}"
            axes.scatter([], [], s=_area(share), color=PAPER, edgecolors=MUTED, label=label)
        axes.set_xlabel("milliseconds a question")
        axes.set_ylabel(results.measure)
        axes.margins(0.08, 0.12)
        axes.grid(visible=True)
        _legend(canvas, 3)
        return inline_svg(canvas, name="front", description="Quality against time; the table has it", labels=Labels())


def ann_plot(results: AnnResults) -> str:
    """Recall against queries a second, a line a family; points on the front have a ring."""
    families = families_of(results)
    labels = Labels()
    with drawing():
        canvas, axes = _canvas(3.6 + _legend_height(len(families) + 1))
        axes.set_yscale("log")
        for number, family in enumerate(families):
            points = sorted((point for point in results.points if point.factory == family), key=_by_recall)
            axes.plot(
                [point.recall for point in points],
                [point.queries_per_s for point in points],
                color=series_colour(number),
                marker=series_marker(number),
                markersize=5.5,
                linewidth=1.4,
                label=labels(family),
            )
        front = [point for point in results.points if point.on_front]
        axes.plot(
            [point.recall for point in front],
            [point.queries_per_s for point in front],
            marker="o",
            markersize=12,
            markerfacecolor="none",
            markeredgecolor=INK,
            linestyle="none",
            label="on the front",
        )
        axes.set_xlabel(f"recall@{results.k} against exact search")
        axes.set_ylabel("queries/s, one thread")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=20))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: formats.whole(value)))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.margins(0.06, 0.1)
        axes.grid(visible=True)
        _legend(canvas, len(families) + 1)
        return inline_svg(
            canvas, name="ann", description="Recall against queries a second; the table has it", labels=labels
        )


def _dot_plot(
    rows: Mapping[str, Sequence[Figure | None]], results: RetrievalResults, *, name: str, axis: str, description: str
) -> str:
    count = len(results.systems)
    labels = Labels()
    with drawing():
        canvas, axes = _canvas(_MARGIN + len(rows) * max(0.4, _ROW * (count + 0.8)) + _legend_height(count))
        for number, system in enumerate(results.systems):
            placed = [(figures[number], row + _offset(number, count)) for row, figures in enumerate(rows.values())]
            _dots(axes, [(figure, place) for figure, place in placed if figure], number, labels(system.name))
        axes.set_yticks(range(len(rows)), [labels(row, longest=16) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        for row in range(1, len(rows)):
            axes.axhline(row - 0.5, color=GRID, linewidth=0.8)
        axes.set_xlabel(axis)
        axes.grid(axis="x")
        axes.tick_params(axis="y", length=0)
        _legend(canvas, count)
        return inline_svg(canvas, name=name, description=f"{description}; the table has it", labels=labels)


def _canvas(height: float) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(_WIDTH, height), layout="constrained")
    return canvas, canvas.add_subplot()


def _legend_height(entries: int) -> float:
    return 0.1 + 0.26 * math.ceil(entries / 2)


def _legend(canvas: Canvas, entries: int) -> None:
    canvas.legend(loc="outside lower center", ncols=2 if entries > 1 else 1, fontsize=10)


def _long_stages(results: RetrievalResults) -> list[str]:
    """The stages that are somewhere long enough to be seen beside the longest."""
    longest: dict[str, float] = {}
    for system in results.systems:
        for stage, latency in system.latency_ms.items():
            longest[stage] = max(longest.get(stage, 0.0), latency.p95)
    limit = _SEEN * max(longest.values(), default=0.0)
    return [stage for stage in stages_of(results) if longest[stage] >= limit]


def _offset(number: int, count: int) -> float:
    return 0.0 if count == 1 else (number / (count - 1) - 0.5) * _DODGE * (count - 1) / count


def _dots(axes: Axes, placed: Sequence[tuple[Figure, float]], number: int, label: str) -> None:
    colour = series_colour(number)
    for figure, place in placed:
        axes.plot([figure.low, figure.high], [place, place], color=colour, linewidth=1.6, solid_capstyle="butt")
    axes.plot(
        [figure.mean for figure, _ in placed],
        [place for _, place in placed],
        clip_on=False,  # a mark at 0 or 1 is shown whole
        color=colour,
        marker=series_marker(number),
        markersize=6,
        linestyle="none",
        label=label,
    )


def _line(results: SweepResults, points: Sequence[SweepPoint], key: str) -> str:
    labels = Labels()
    values = list(results.axes[key])
    with drawing():
        canvas, axes = _canvas(3.6)
        for point in points:
            place, figure = values.index(point.settings[key]), point.figures[results.measure]
            axes.plot([place, place], [figure.low, figure.high], color=series_colour(0), linewidth=1.6)
            axes.plot([place], [figure.mean], color=series_colour(0), marker="o", markersize=6)
        axes.set_xticks(
            range(len(values)),
            [f"{labels(formats.setting(value), longest=14)}\n{_length(points, {key: value})}" for value in values],
        )
        axes.set_xlabel(f"{labels(key, longest=40)}; below: mean chunk, characters")
        axes.set_ylabel(results.measure)
        axes.grid(axis="y")
        return inline_svg(canvas, name="sweep", description="Quality by setting; the table has it", labels=labels)


def _heat_map(
    results: SweepResults,
    points: Sequence[SweepPoint],
    across: str,
    down: str,
    *,
    fixed: Mapping[str, Any],
    number: int,
) -> str:
    labels = Labels()
    columns, rows = list(results.axes[across]), list(results.axes[down])
    means = [point.figures[results.measure].mean for point in points]
    with drawing():
        canvas, axes = _canvas(1.2 + 0.52 * len(rows))
        for row, column in itertools.product(range(len(rows)), range(len(columns))):
            wanted = {**fixed, across: columns[column], down: rows[row]}
            _heat_cell(axes, column, row, _at(points, wanted), measure=results.measure, scale=(min(means), max(means)))
        axes.set_xticks(range(len(columns)), [labels(formats.setting(value), longest=14) for value in columns])
        axes.set_yticks(range(len(rows)), [labels(formats.setting(value), longest=14) for value in rows])
        axes.set_xlim(-0.5, len(columns) - 0.5)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(labels(across, longest=40))
        axes.set_ylabel(labels(down.rpartition(".")[2], longest=24))
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        if fixed:
            axes.set_title(labels(formats.settings(fixed), longest=60), fontsize=10)
        return inline_svg(
            canvas, name=f"sweep{number}", description="Quality by two settings; the table has it", labels=labels
        )


def _heat_cell(
    axes: Axes, column: int, row: int, point: SweepPoint | None, *, measure: str, scale: tuple[float, float]
) -> None:
    low, high = scale
    if point is None:
        axes.text(column, row, "not run", ha="center", va="center", fontsize=_SMALL, color=MUTED)
        return
    mean = point.figures[measure].mean
    share = (mean - low) / (high - low) if high > low else 0.5
    # Never so dark that the text on it could not be read on a light page and on a dark one.
    corner = (column - 0.47, row - 0.46)
    axes.add_patch(Rectangle(corner, 0.94, 0.92, facecolor=HEAT, alpha=0.06 + 0.44 * share, linewidth=0))
    if point.on_front:
        axes.add_patch(Rectangle(corner, 0.94, 0.92, facecolor="none", edgecolor=INK, linewidth=1.6))
    weight = "bold" if mean == high else "normal"
    axes.text(column, row - 0.06, formats.measure(mean), ha="center", va="bottom", color=INK, weight=weight)
    axes.text(
        column, row + 0.1, f"{formats.whole(point.mean_chunk_chars)} chars", ha="center", va="top", fontsize=_SMALL,
        color=INK,
    )  # fmt: skip


def _at(points: Sequence[SweepPoint], wanted: Mapping[str, Any]) -> SweepPoint | None:
    return next(
        (point for point in points if all(point.settings.get(key) == value for key, value in wanted.items())), None
    )


def _length(points: Sequence[SweepPoint], wanted: Mapping[str, Any]) -> str:
    point = _at(points, wanted)
    return formats.whole(point.mean_chunk_chars) if point else "not run"


def _front_point(axes: Axes, point: SweepPoint, measure: str, rank: int, area: float) -> None:
    figure = point.figures[measure]
    colour = series_colour(0) if point.on_front else MUTED
    axes.plot([point.latency_ms] * 2, [figure.low, figure.high], color=GRID, linewidth=1.2, zorder=1)
    axes.scatter(
        [point.latency_ms],
        [figure.mean],
        s=area,
        color=colour if point.on_front else PAPER,
        edgecolors=colour,
        linewidths=1.2,
        zorder=3 if point.on_front else 2,
    )
    if point.on_front:
        axes.annotate(
            f"#{rank}", (point.latency_ms, figure.mean), xytext=(7, 6), textcoords="offset points", color=INK,
            fontsize=_SMALL, zorder=4,
        )  # fmt: skip


def _area(share: float) -> float:
    return _AREA[0] + (_AREA[1] - _AREA[0]) * share


def _by_recall(point: AnnPoint) -> tuple[float, float]:
    return point.recall, -point.queries_per_s
