"""Questions that changed sides between two systems, and those that none found, with what was found instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from eval.report.readings import SIDES_DEPTH, best_system
from eval.results import RetrievalResults, ShownHit, SystemResult

TOP_HITS = 3
MOST_SHOWN = 25
"""Changed questions shown of one pair and direction; results.json names them all."""

_SIDE = f"hit@{SIDES_DEPTH}"


@dataclass(frozen=True, slots=True)
class Side:
    """What one system found for a question; ``first`` says where its first evidence stands."""

    system: str
    series: int
    first: str
    found: bool
    hits: Sequence[ShownHit]


@dataclass(frozen=True, slots=True)
class Case:
    """One question with what each of some systems found."""

    id: str
    text: str
    language: str
    type: str
    sides: Sequence[Side]


@dataclass(frozen=True, slots=True)
class ChangedPair:
    """The questions that changed sides at rank 5 between two systems; ``unshown`` were left out for length."""

    base: str
    other: str
    gained: Sequence[Case]
    lost: Sequence[Case]
    gained_count: int
    lost_count: int

    @property
    def unshown(self) -> int:
        """How many changed questions are not shown."""
        return self.gained_count + self.lost_count - len(self.gained) - len(self.lost)


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A question whose evidence no chunk holds, and in which systems' indexes."""

    case: Case
    systems: Sequence[str]


def changed_pairs(results: RetrievalResults) -> list[ChangedPair]:
    """The changed questions of each compared pair, once however many measures it was compared on."""
    by_name = {system.name: (number, system) for number, system in enumerate(results.systems)}
    pairs = {}
    for comparison in results.comparisons:
        if (comparison.base, comparison.other) in pairs:
            continue
        sides = [by_name[name] for name in (comparison.base, comparison.other) if name in by_name]
        pairs[comparison.base, comparison.other] = ChangedPair(
            base=comparison.base,
            other=comparison.other,
            gained=[_case(results, question, sides) for question in comparison.gained[:MOST_SHOWN]],
            lost=[_case(results, question, sides) for question in comparison.lost[:MOST_SHOWN]],
            gained_count=len(comparison.gained),
            lost_count=len(comparison.lost),
        )
    return list(pairs.values())


def missed_by_all(results: RetrievalResults) -> list[Case]:
    """The reachable questions that no system found at rank 5, with what the best system found."""
    best = best_system(results)
    if best is None:
        return []
    numbered = [(number, system) for number, system in enumerate(results.systems) if system is best]
    unreachable = {question for question, systems in _unreachable(results) if len(systems) == len(results.systems)}
    return [
        _case(results, question, numbered)
        for question in _asked(results.systems)
        if question not in unreachable
        and all(system.per_question.get(question, {}).get(_SIDE) == 0 for system in results.systems)
    ]


def unreachable_questions(results: RetrievalResults) -> list[Unreachable]:
    """The questions whose evidence is in no chunk of some system's whole index."""
    return [Unreachable(_case(results, question, []), systems) for question, systems in _unreachable(results)]


def _unreachable(results: RetrievalResults) -> Iterable[tuple[str, list[str]]]:
    questions = dict.fromkeys(question for system in results.systems for question in system.unreachable)
    for question in questions:
        yield question, [system.name for system in results.systems if question in system.unreachable]


def _asked(systems: Sequence[SystemResult]) -> list[str]:
    return list(dict.fromkeys(question for system in systems for question in system.per_question))


def _case(results: RetrievalResults, question: str, systems: Sequence[tuple[int, SystemResult]]) -> Case:
    known = results.gold.questions.get(question, {})
    return Case(
        id=question,
        text=known.get("text", ""),
        language=known.get("language", ""),
        type=known.get("type", ""),
        sides=[_side(number, system, question) for number, system in systems],
    )


def _side(number: int, system: SystemResult, question: str) -> Side:
    values = system.per_question.get(question, {})
    return Side(
        system=system.name,
        series=number,
        first=_first_evidence(values.get("mrr@10")),
        found=values.get(_SIDE, 0.0) > 0,
        hits=list(system.hits.get(question, ()))[:TOP_HITS],
    )


def _first_evidence(reciprocal_rank: float | None) -> str:
    if reciprocal_rank is None:
        return ""
    return f"first evidence at rank {round(1 / reciprocal_rank)}" if reciprocal_rank else "no evidence in the first 10"
