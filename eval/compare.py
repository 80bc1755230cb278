"""Whether systems differ on the same questions, and on which ones."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from eval.results import Comparison, SystemResult
from eval.statistics import bootstrap_interval, holm, mean, randomisation_test

TESTED = ("mrr@10", "hit@5")
"""Measures that pairs are tested on unless others are asked for."""

SIDE = "hit@5"
"""The measure by which a question is on one side or the other."""


def compare_systems(systems: Sequence[SystemResult], measures: Sequence[str] = TESTED) -> list[Comparison]:
    """Compare every pair, the earlier system as the base, on each measure; p is corrected within a measure."""
    pairs = list(itertools.combinations(systems, 2))
    compared: list[Comparison] = []
    for measure in measures:
        p_values = [randomisation_test(_values(base, measure), _values(other, measure)) for base, other in pairs]
        for (base, other), p, corrected in zip(pairs, p_values, holm(p_values), strict=True):
            compared.append(_comparison(base, other, measure, p, corrected))
    return compared


def _comparison(base: SystemResult, other: SystemResult, measure: str, p: float, corrected: float) -> Comparison:
    differences = (np.array(_values(other, measure)) - np.array(_values(base, measure))).tolist()
    low, high = bootstrap_interval(differences)
    changed = {
        question: other.per_question[question][SIDE] - base.per_question[question][SIDE]
        for question in base.per_question
    }
    return Comparison(
        base=base.name,
        other=other.name,
        measure=measure,
        difference=mean(differences),
        low=low,
        high=high,
        p=p,
        p_corrected=corrected,
        wins=sum(difference > 0 for difference in differences),
        losses=sum(difference < 0 for difference in differences),
        ties=sum(difference == 0 for difference in differences),
        gained=[question for question, change in changed.items() if change > 0],
        lost=[question for question, change in changed.items() if change < 0],
    )


def _values(system: SystemResult, measure: str) -> list[float]:
    return [values[measure] for values in system.per_question.values()]
