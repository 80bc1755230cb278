"""From answers to results: the one place where measures, latency, judge and notices come together."""

from __future__ import annotations

from collections.abc import Sequence

from eval.answers.measures import (
    Measured,
    citations_without_passage,
    figures_by_slice,
    latency,
    shares_of_writers,
)
from eval.answers.results import AnswerResults, JudgeResults
from eval.answers.run import AnsweredQuestion
from eval.gold import Gold
from eval.results import Provenance
from eval.retrieval import summary_of


def evaluate_answers(
    gold: Gold,
    measured: Sequence[Measured],
    *,
    source: str,
    snapshot: str | None,
    provenance: Provenance | None,
    judge: JudgeResults | None = None,
    notices: Sequence[str] = (),
) -> AnswerResults:
    """Gather everything about one system's answers; ``source`` says in words where they come from."""
    answered = [one.answered for one in measured]
    return AnswerResults(
        gold=summary_of(gold),
        source=source,
        snapshot=snapshot,
        slices=figures_by_slice(measured),
        written_by=shares_of_writers(answered),
        latency_ms=latency(answered),
        per_question={one.question.id: one.values for one in measured},
        provenance=provenance,
        judge=judge,
        notices=(*notices, *_notices(gold, answered, judge)),
    )


def _notices(gold: Gold, answered: Sequence[AnsweredQuestion], judge: JudgeResults | None) -> list[str]:
    found = []
    without_facts = sum(not question.key_facts for question in gold.answerable)
    if without_facts:
        found.append(f"{without_facts} answerable questions have no key facts: they are not in key_fact_recall.")
    lost = citations_without_passage(answered)
    if lost:
        found.append(f"{lost} citations point to a passage that the run does not hold: they count as wrong.")
    if any(one.total_ms is None for one in answered):
        found.append("Not every answer of the run has its time: latency is left out.")
    if any(one.written_by is None for one in answered):
        found.append("The run does not say who wrote its answers: those shares are left out.")
    if judge is not None and judge.unjudged:
        found.append(f"{len(judge.unjudged)} answers were not judged: {', '.join(judge.unjudged)}.")
    return found
