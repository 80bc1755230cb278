"""The Pareto front: the points that no other beats in one figure without losing in another."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

Point = TypeVar("Point")
Figure = Callable[[Point], float]
"""Reads one figure of a point."""


def front(
    points: Sequence[Point], *, higher: Sequence[Figure[Point]] = (), lower: Sequence[Figure[Point]] = ()
) -> list[bool]:
    """Say of each point whether it is on the front, in the order given.

    ``higher`` reads the figures that should be high, ``lower`` those that should be low. A point is off the front when
    another is at least as good in all figures and better in one; of equal points, either all are on it or none. Cost:
    every pair is compared. Raises ValueError without figures, and for one that is not a number.
    """
    if not (higher or lower):
        raise ValueError("a front of no figures")
    values = [(*(read(point) for read in higher), *(-read(point) for read in lower)) for point in points]
    if any(math.isnan(value) for row in values for value in row):
        raise ValueError("a figure is not a number")
    return [not any(_dominates(other, own) for other in values) for own in values]


def _dominates(other: Sequence[float], own: Sequence[float]) -> bool:
    return other != own and all(theirs >= ours for theirs, ours in zip(other, own, strict=True))
