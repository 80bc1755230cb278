"""Several rankings into one: by rank (reciprocal rank fusion) or by score (convex combination)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from index.errors import ConfigInvalid

Normaliser = Literal["min-max", "z-score", "theoretical-min-max"]


def reciprocal_rank_fusion(
    rankings: Mapping[str, Sequence[int]], *, weights: Mapping[str, float], k: int
) -> list[tuple[int, float]]:
    """Return every row with its sum of weight / (k + rank) over the rankings it is in, best first, ties by row.

    G. V. Cormack, C. L. A. Clarke and S. Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
    Learning Methods", SIGIR 2009, with weights; ranks count from 1. ``rankings`` maps a signal to its rows, best
    first; a row named twice counts at its better rank. A signal of weight 0 is as if it were not there: its rows do
    not appear either. Raises ConfigInvalid for a signal without a weight, a negative weight, or k below 0.
    """
    if k < 0:
        raise ConfigInvalid(f"The k of rank fusion is {k}.", hint="Set fusion.rrf_k to 0 or more.")
    totals: dict[int, float] = {}
    # In the order of their names, so that the order in which signals come cannot decide between equal rows.
    for signal, weight in sorted(_weighted(rankings, weights)):
        for rank, row in enumerate(dict.fromkeys(rankings[signal]), start=1):
            totals[row] = totals.get(row, 0.0) + weight / (k + rank)
    return _best_first(totals)


def convex_combination(
    scores: Mapping[str, Mapping[int, float]],
    weights: Mapping[str, float],
    *,
    normaliser: Normaliser = "min-max",
    minima: Mapping[str, float] | None = None,
    absent: Mapping[str, float] | None = None,
) -> list[tuple[int, float]]:
    """Return every row with the weighted mean of its normalised scores, best first, ties by row.

    S. Bruch, S. Gai and A. Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM TOIS 42(1), 2023,
    sections 3 and 4. ``scores`` maps a signal to the scores of the rows it found; weights are scaled to a sum of 1.
    A row that a signal did not find has the signal's score in ``absent``, as if it had been found with it, or else the
    lowest that was found. Normalisers, with the extremes of what was found:

    * ``min-max``: (score - lowest) / (highest - lowest), so that the lowest found counts as not found;
    * ``theoretical-min-max``: the same from the lowest score possible, which ``minima`` gives for each signal (0 for
      BM25, -1 for a cosine): the paper's TM2C2, stable where few rows are found;
    * ``z-score``: (score - mean) / standard deviation.

    A signal whose scores are all the same, and all at its minimum, tells rows apart by nothing and adds 0.
    A signal of weight 0 is as if it were not there: its rows do not appear either. Raises ConfigInvalid for a signal
    without a weight or, where it is needed, a minimum, and for a negative weight.
    """
    # In the order of their names, so that the order in which signals come cannot decide between equal rows.
    used = [(signal, weight) for signal, weight in sorted(_weighted(scores, weights)) if scores[signal]]
    if not used:
        return []
    total_weight = math.fsum(weight for _, weight in used)
    rows = np.unique(np.concatenate([_keys(scores[signal]) for signal, _ in used]))
    totals = np.zeros(len(rows))
    for signal, weight in used:
        found = np.fromiter(scores[signal].values(), dtype=np.float64)
        places = np.searchsorted(rows, _keys(scores[signal]))
        if absent is not None and signal in absent:
            everywhere = np.full(len(rows), absent[signal], dtype=np.float64)
            everywhere[places] = found
            found, places = everywhere, np.arange(len(rows))
        normalised, missing = _normalised(found, signal, normaliser, minima or {})
        spread = np.full(len(rows), missing)
        spread[places] = normalised
        totals += weight / total_weight * spread
    order = np.lexsort((rows, -totals))
    return list(zip(rows[order].tolist(), totals[order].tolist(), strict=True))


def _keys(found: Mapping[int, float]) -> npt.NDArray[np.int64]:
    return np.fromiter(found, dtype=np.int64, count=len(found))


def _weighted(signals: Iterable[str], weights: Mapping[str, float]) -> list[tuple[str, float]]:
    for signal in signals:
        weight = weights.get(signal)
        if weight is None or not math.isfinite(weight) or weight < 0:
            raise ConfigInvalid(f"The fusion weight of {signal!r} is {weight}.", hint="Give it a number of 0 or more.")
    return [(signal, weights[signal]) for signal in signals if weights[signal] > 0]


def _normalised(
    found: npt.NDArray[np.float64], signal: str, normaliser: Normaliser, minima: Mapping[str, float]
) -> tuple[npt.NDArray[np.float64], float]:
    """Return the normalised scores of the rows found, and that of every other row."""
    lowest, highest = float(found.min()), float(found.max())
    if normaliser == "z-score":
        least, origin, scale = lowest, float(found.mean()), float(found.std())
    else:
        least = origin = lowest if normaliser == "min-max" else _minimum(signal, minima)
        scale = highest - origin
    # Where all scores are equal, their mean may differ from them by rounding.
    if lowest == highest == least or scale <= 0:
        return np.zeros(len(found)), 0.0
    return (found - origin) / scale, (least - origin) / scale


def _minimum(signal: str, minima: Mapping[str, float]) -> float:
    if signal not in minima:
        raise ConfigInvalid(
            f"The lowest possible score of {signal!r} is not given.", hint="Pass it in minima, or choose min-max."
        )
    return minima[signal]


def _best_first(totals: Mapping[int, float]) -> list[tuple[int, float]]:
    return sorted(totals.items(), key=lambda entry: (-entry[1], entry[0]))
