"""The first stage's default fusion, written plainly, to compare a search's scores with."""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Mapping
from typing import TypeVar

Row = TypeVar("Row", bound=Hashable)


def mean_of_z_scores(found: Mapping[str, Mapping[Row, float]], weights: Mapping[str, float]) -> dict[Row, float]:
    """By row, the weighted mean over the signals.

    A row that BM25 did not find has a score of 0; one that another signal did not find counts like the last it found.
    """
    scores: dict[Row, float] = {}
    heard = {name: weight for name, weight in weights.items() if weight and found.get(name)}
    rows = {row for name in heard for row in found[name]}
    for name, weight in heard.items():
        own = {row: found[name].get(row, 0.0) for row in rows} if name.startswith("lexical") else dict(found[name])
        values = own.values()
        mean, deviation = statistics.fmean(values), statistics.pstdev(values)
        for row in rows:
            z = (own.get(row, min(values)) - mean) / deviation if deviation else 0.0
            scores[row] = scores.get(row, 0.0) + weight * z / sum(heard.values())
    return scores
