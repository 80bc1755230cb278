"""The first stage's default fusion, written plainly, to compare a search's scores with."""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Mapping
from typing import TypeVar

Row = TypeVar("Row", bound=Hashable)


def mean_of_z_scores(found: Mapping[str, Mapping[Row, float]], weights: Mapping[str, float]) -> dict[Row, float]:
    """By row, the weighted mean over the signals; a row that a signal did not find counts like the last it found."""
    scores: dict[Row, float] = {}
    heard = {name: weight for name, weight in weights.items() if weight and found.get(name)}
    for name, weight in heard.items():
        values = found[name].values()
        mean, deviation = statistics.fmean(values), statistics.pstdev(values)
        for row in {row for other in heard for row in found[other]}:
            z = (found[name].get(row, min(values)) - mean) / deviation if deviation else 0.0
            scores[row] = scores.get(row, 0.0) + weight * z / sum(heard.values())
    return scores
