"""How far a mean over questions can be trusted, and whether two systems differ.

Smucker, Allan & Carterette, "A comparison of statistical significance tests for information retrieval evaluation"
(CIKM 2007): the randomisation test for pairs, the bootstrap for intervals. Questions are the unit of resampling;
seeds are fixed, so the same values give the same figures.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from eval.results import Figure

RESAMPLES = 9_999
CONFIDENCE = 0.95
_SEED = 20_07
_BATCH = 1_000  # resamples held in memory at once


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean, summed in order as the reference scorer does; raises ValueError for no values."""
    if not values:
        raise ValueError("the mean of no values")
    return sum(values) / len(values)


def figure(values: Sequence[float]) -> Figure:
    """Return the mean with its percentile bootstrap interval; raises ValueError for no values."""
    middle = mean(values)
    low, high = bootstrap_interval(values)
    return Figure(mean=middle, low=low, high=high, n=len(values))


def bootstrap_interval(values: Sequence[float]) -> tuple[float, float]:
    """Percentile bootstrap interval (95 %) of the mean over questions; both ends are the mean where nothing varies."""
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2 or np.ptp(sample) == 0:  # noqa: PLR2004 - one value cannot vary
        return float(sample.mean()), float(sample.mean())
    found = stats.bootstrap(
        (sample,),
        np.mean,
        n_resamples=RESAMPLES,
        batch=_BATCH,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(_SEED),
    ).confidence_interval
    return float(found.low), float(found.high)


def randomisation_test(base: Sequence[float], other: Sequence[float]) -> float:
    """Two-sided p of the paired randomisation test on the mean difference; 1.0 where no question differs.

    Every sign pattern is tried where there are no more than RESAMPLES of them, else RESAMPLES random ones.
    """
    differences = np.asarray(other, dtype=np.float64) - np.asarray(base, dtype=np.float64)
    # A question without a difference keeps its difference of zero under every sign.
    changed = differences[differences != 0]
    if not len(changed):
        return 1.0
    if len(changed) == 1:
        return 1.0  # both signs are equally extreme
    tested = stats.permutation_test(
        (changed,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=_BATCH,
        rng=np.random.default_rng(_SEED),
    )
    return min(1.0, float(tested.pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Corrected p values in the same order (Holm, Scandinavian Journal of Statistics, 1979)."""
    order = sorted(range(len(p_values)), key=lambda position: p_values[position])
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for done, position in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - done) * p_values[position]))
        corrected[position] = largest
    return corrected


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least ``share`` of the values do not exceed; raises ValueError for no values."""
    if not values:
        raise ValueError("a percentile of no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
