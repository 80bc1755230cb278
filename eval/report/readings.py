"""What the figures say in words, and no more than they say."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from eval.answers.results import AnswerResults
from eval.report import formats
from eval.results import ALL, AnnResults, Comparison, Figure, RetrievalResults, SweepResults, SystemResult

SIGNIFICANT = 0.05
DECIDING = ("mrr@10", "ndcg@10", "recall@10", "hit@5", "hit@10", "hit@1")
"""Measures that may decide which system is best where no pair was tested: the first that every system has."""

SIDES_DEPTH = 5
_LENGTHS_APART = 1.25
_FEW = 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """One system in a sentence, the name apart so that it can be set in bold."""

    system: str
    sentence: str
    best: bool


def deciding_measure(results: RetrievalResults) -> str:
    """The measure that decides: the first that pairs were tested on, else a usual one; "" where there is none."""
    shared = [
        measure
        for measure in (results.systems[0].figures.get(ALL, {}) if results.systems else {})
        if all(measure in system.figures.get(ALL, {}) for system in results.systems)
    ]
    preferred = [*(comparison.measure for comparison in results.comparisons), *DECIDING, *shared]
    return next((measure for measure in preferred if measure in shared), "")


def best_system(results: RetrievalResults) -> SystemResult | None:
    """The system with the highest deciding measure, None where nothing was measured."""
    measure = deciding_measure(results)
    if not measure:
        return None
    return max(results.systems, key=lambda system: system.figures[ALL][measure].mean)


def verdicts(results: RetrievalResults) -> list[Verdict]:
    """One sentence a system, the best first."""
    measure = deciding_measure(results)
    best = best_system(results)
    if best is None:
        return []
    ranked = sorted(results.systems, key=lambda system: -system.figures[ALL][measure].mean)
    return [_verdict(system, results, measure, best=system is best) for system in ranked]


def reading(comparison: Comparison) -> str:
    """A comparison in words: who is better, where that can be believed."""
    if comparison.p_corrected >= SIGNIFICANT:
        return "no difference shown"
    return f"{comparison.other if comparison.difference > 0 else comparison.base} is significantly better"


def few_questions(count: int) -> str:
    """What to keep in mind of a figure over so few questions; empty where they are enough to speak for themselves."""
    return f"one is {100 / count:.1f} points" if 0 < count < _FEW else ""


def length_notice(results: RetrievalResults) -> str:
    """A warning where the systems' chunks differ in length, else empty."""
    lengths = [system.mean_chunk_chars for system in results.systems]
    if not lengths or max(lengths) <= _LENGTHS_APART * min(lengths):
        return ""
    return (
        f"The systems return chunks of {formats.whole(min(lengths))} to {formats.whole(max(lengths))} characters on "
        "average. Longer chunks win by being longer: compare only systems of similar length."
    )


def retrieval_command(results: RetrievalResults) -> str:
    """The command that repeats the run: a file of quotes is another one's business than a BEIR folder."""
    path, systems = results.gold.path, ",".join(system.name for system in results.systems)
    of = f"retrieval --gold {shlex.quote(path)}" if path.endswith(".jsonl") else f"beir {shlex.quote(path)}"
    return f"asknotes eval {of} --systems {shlex.quote(systems)}"


def sweep_command(results: SweepResults) -> str:
    """The command that repeats the sweep."""
    axes = " ".join(
        f"--set {shlex.quote(f'{key}=' + ','.join(formats.setting(value) for value in values))}"
        for key, values in results.axes.items()
    )
    return f"asknotes eval sweep --gold {shlex.quote(results.gold.path)} --system {shlex.quote(results.system)} {axes}"


def answers_command(results: AnswerResults) -> str:
    """The command that repeats an evaluation of answers."""
    return f"asknotes eval answers --gold {shlex.quote(results.gold.path)}"


def ann_command() -> str:
    """The command that repeats a comparison of index families."""
    return "asknotes eval ann"


def ann_about(results: AnnResults) -> str:
    """What was searched."""
    return (
        f"{formats.whole(results.vectors)} vectors of {results.dimension} dimensions ({results.source}), "
        f"{formats.whole(results.queries)} queries, recall of the exact {results.k} nearest."
    )


def sweep_verdict(results: SweepResults) -> str:
    """The best setting in a sentence, and how many it cannot be told apart from by its interval."""
    points = [point for point in results.points if results.measure in point.figures]
    if not points:
        return "Nothing was measured."
    best = max(points, key=lambda point: point.figures[results.measure].mean)
    found = best.figures[results.measure]
    close = sum(point is not best and point.figures[results.measure].mean >= found.low for point in points)
    told_apart = (
        f"{_of(close, len(points) - 1, 'other setting')} {'lies' if close == 1 else 'lie'} within its interval: "
        "those differences may be chance, so choose among them by speed and size."
        if close
        else "Every other setting lies below its interval."
    )
    return (
        f"Best: {formats.settings(best.settings)} with {results.measure} {_figure(found)} at "
        f"{formats.whole(best.mean_chunk_chars)} characters a chunk and {formats.milliseconds(best.latency_ms)} ms. "
        f"{told_apart}"
    )


def ann_verdict(results: AnnResults, *, wanted: float = 0.95) -> str:
    """The fastest search that still finds enough, in a sentence."""
    enough = [point for point in results.points if point.recall >= wanted]
    if not enough:
        return f"No setting finds {wanted:.0%} of the exact {results.k} nearest."
    fastest = max(enough, key=lambda point: point.queries_per_s)
    with_settings = f" ({formats.settings(fastest.search)})" if fastest.search else ""
    return (
        f"Fastest with recall@{results.k} of at least {wanted:.2f}: {fastest.factory}{with_settings}, "
        f"{formats.whole(fastest.queries_per_s)} queries/s at recall {formats.measure(fastest.recall)} and "
        f"{formats.whole(fastest.bytes_per_vector)} bytes a vector."
    )


def _verdict(system: SystemResult, results: RetrievalResults, measure: str, *, best: bool) -> Verdict:
    found = system.figures[ALL][measure]
    clauses = _standing(system, results.comparisons, measure)
    lead = "has "
    if best and len(results.systems) > 1:
        beats_all = len(_beaten(system, results.comparisons, measure)) == len(results.systems) - 1
        lead = "is best: " if beats_all else "is best by the numbers: "
    return Verdict(system.name, f"{lead}{measure} {_figure(found)}{_found_early(system)}{''.join(clauses)}.", best=best)


def _found_early(system: SystemResult) -> str:
    hits = system.figures[ALL].get(f"hit@{SIDES_DEPTH}")
    if hits is None:
        return ""
    return (
        f"; the right passage is among its first {SIDES_DEPTH} for {_of(round(hits.mean * hits.n), hits.n, 'question')}"
    )


def _standing(system: SystemResult, comparisons: Sequence[Comparison], measure: str) -> list[str]:
    opponents = [
        (comparison, comparison.other if comparison.base == system.name else comparison.base)
        for comparison in comparisons
        if comparison.measure == measure and system.name in {comparison.base, comparison.other}
    ]
    beaten = _beaten(system, comparisons, measure)
    level = [name for comparison, name in opponents if comparison.p_corrected >= SIGNIFICANT]
    beaten_by = [name for _, name in opponents if name not in {*beaten, *level}]
    words = (
        ("; significantly better than ", beaten),
        ("; significantly worse than ", beaten_by),
        ("; no difference shown from ", level),
    )
    return [said + formats.listed(names) for said, names in words if names]


def _beaten(system: SystemResult, comparisons: Sequence[Comparison], measure: str) -> list[str]:
    """The systems that this one is significantly better than, by the measure."""
    return [
        comparison.other if comparison.base == system.name else comparison.base
        for comparison in comparisons
        if comparison.measure == measure
        and comparison.p_corrected < SIGNIFICANT
        and system.name == (comparison.other if comparison.difference > 0 else comparison.base)
    ]


def _figure(figure: Figure) -> str:
    return f"{formats.measure(figure.mean)} ({formats.interval(figure.low, figure.high)})"


def _of(count: int, whole: int, noun: str) -> str:
    return f"{count} of {whole} {noun}{'' if whole == 1 else 's'}"
