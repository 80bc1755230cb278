"""The report as one HTML page that needs nothing but itself: no script, no network, no font.

The templates escape whatever they are given; what is inserted as it stands is the plots and the style sheet, which
are made here. The page's content security policy allows that one style sheet, by its hash, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from eval.answers.results import AnswerResults
from eval.report import answer_tables, formats, plots, readings, tables
from eval.report.changes import Case, ChangedPair, Unreachable, changed_pairs, missed_by_all, unreachable_questions
from eval.report.svg import SERIES
from eval.report.tables import Table
from eval.results import AnnResults, GoldSummary, Provenance, RetrievalResults, SweepResults

_TEMPLATES = Path(__file__).parent / "templates"
_SLICED = ("hit@5", "mrr@10", "ndcg@10")
_LANGUAGE_TAGS = {"zh": "zh-Hans", "zh-Hant": "zh-Hant", "en": "en"}


@dataclass(frozen=True, slots=True)
class RetrievalView:
    """What the page shows of a retrieval evaluation."""

    measure: str
    verdicts: Sequence[readings.Verdict]
    notices: Sequence[str]
    systems: Table
    other_measures: Table
    quality: Markup | None
    slices: Sequence[Table]
    slices_plot: Markup | None
    comparisons: Sequence[Table]
    differences: Markup | None
    changed: Sequence[ChangedPair]
    missed: Sequence[Case]
    unreachable: Sequence[Unreachable]
    latency: Table
    latency_plot: Markup | None


@dataclass(frozen=True, slots=True)
class SweepView:
    """What the page shows of a sweep."""

    system: str
    measure: str
    verdict: str
    maps: Sequence[Markup]
    panels: int
    front: Markup
    points: Table


@dataclass(frozen=True, slots=True)
class AnnView:
    """What the page shows of a comparison of index families."""

    verdict: str
    about: str
    plot: Markup
    points: Table


@dataclass(frozen=True, slots=True)
class AnswersView:
    """What the page shows of an evaluation of answers."""

    source: str
    notices: Sequence[str]
    measures: Table
    about: Table


@dataclass(frozen=True, slots=True)
class Repeat:
    """How one part of the report was made: command, gold set, tables of settings."""

    title: str
    command: str
    gold: GoldSummary | None
    tables: Sequence[Table]


def html_page(
    *,
    retrieval: RetrievalResults | None,
    sweep: SweepResults | None,
    ann: AnnResults | None,
    answers: AnswerResults | None,
    command: str | None = None,
) -> str:
    """Return the page; equal results give equal bytes.

    ``command`` is the command line that made the results; without it, one that would is shown.
    """
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii")
    return (
        _environment()
        .get_template("report.html")
        .render(
            style=Markup(style),  # noqa: S704 - our own file
            style_source=f"'sha256-{digest}'",
            gold=next((results.gold for results in (retrieval, answers, sweep) if results), None),
            provenance=next(
                (results.provenance for results in (retrieval, answers, sweep, ann) if results and results.provenance),
                None,
            ),
            retrieval=retrieval and _retrieval(retrieval),
            sweep=sweep and _sweep(sweep),
            ann=ann and _ann(ann),
            answers=answers and _answers(answers),
            repeats=_repeats(retrieval, sweep, ann, answers, command=command),
        )
    )


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["series"] = lambda number: f"s{number % len(SERIES)}"
    environment.filters["language_tag"] = lambda language: _LANGUAGE_TAGS.get(language, "")
    environment.filters["moment"] = formats.moment
    environment.filters["add_one"] = lambda number: number + 1
    environment.filters["heat"] = lambda share: f"heat{round(10 * min(1.0, max(0.0, share)))}"
    return environment


def _plot(svg: str) -> Markup:
    return Markup(svg)  # noqa: S704 - serialised by lxml, which escapes what labels hold


def _retrieval(results: RetrievalResults) -> RetrievalView:
    measure = readings.deciding_measure(results)
    tested = list(dict.fromkeys(comparison.measure for comparison in results.comparisons))
    sliced = [name for name in _SLICED if name in tables.measures_of(results)] if tables.slices_of(results) else []
    return RetrievalView(
        measure=measure,
        verdicts=readings.verdicts(results),
        notices=[notice for notice in (*results.notices, readings.length_notice(results)) if notice],
        systems=tables.systems_table(results),
        other_measures=tables.other_measures_table(results),
        quality=_plot(plots.quality_plot(results)) if tables.measures_of(results) else None,
        slices=[tables.slices_table(results, name) for name in sliced],
        slices_plot=_plot(plots.slices_plot(results, sliced[0])) if sliced else None,
        comparisons=[tables.comparisons_table(results.comparisons, name) for name in tested],
        differences=_plot(plots.differences_plot(results.comparisons, measure)) if measure in tested else None,
        changed=changed_pairs(results),
        missed=missed_by_all(results),
        unreachable=unreachable_questions(results),
        latency=tables.latency_table(results),
        latency_plot=_plot(plots.latency_plot(results)) if tables.stages_of(results) else None,
    )


def _sweep(results: SweepResults) -> SweepView:
    return SweepView(
        system=results.system,
        measure=results.measure,
        verdict=readings.sweep_verdict(results),
        maps=[_plot(svg) for svg in plots.sweep_plots(results)],
        panels=plots.sweep_panels(results),
        front=_plot(plots.front_plot(results)),
        points=tables.sweep_table(results),
    )


def _ann(results: AnnResults) -> AnnView:
    return AnnView(
        verdict=readings.ann_verdict(results),
        about=readings.ann_about(results),
        plot=_plot(plots.ann_plot(results)),
        points=tables.ann_table(results),
    )


def _answers(results: AnswerResults) -> AnswersView:
    return AnswersView(
        source=results.source,
        notices=results.notices,
        measures=answer_tables.answers_table(results),
        about=answer_tables.answers_about_table(results),
    )


def _repeats(
    retrieval: RetrievalResults | None,
    sweep: SweepResults | None,
    ann: AnnResults | None,
    answers: AnswerResults | None,
    *,
    command: str | None,
) -> list[Repeat]:
    repeats = []
    if retrieval:
        own = [tables.systems_settings_table(retrieval)]
        repeats.append(
            Repeat(
                "Retrieval",
                command or readings.retrieval_command(retrieval),
                retrieval.gold,
                [*own, *_made(retrieval.provenance)],
            )
        )
    if answers:
        repeats.append(
            Repeat("Answers", command or readings.answers_command(answers), answers.gold, _made(answers.provenance))
        )
    if sweep:
        repeats.append(Repeat("Sweep", command or readings.sweep_command(sweep), sweep.gold, _made(sweep.provenance)))
    if ann:
        repeats.append(Repeat("Approximate search", command or readings.ann_command(), None, _made(ann.provenance)))
    return repeats


def _made(provenance: Provenance | None) -> list[Table]:
    return tables.provenance_tables(provenance) if provenance else []
