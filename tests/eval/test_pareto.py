"""The Pareto front of points given as pairs of figures."""

import math

import pytest

from eval.pareto import front

Pair = tuple[float, float]


def first(pair: Pair) -> float:
    return pair[0]


def second(pair: Pair) -> float:
    return pair[1]


def test_a_point_that_another_beats_in_one_figure_and_equals_in_the_other_is_off_the_front() -> None:
    assert front([(1, 1), (1, 2), (2, 1), (0, 9)], higher=[first, second]) == [False, True, True, True]


def test_figures_may_be_better_high_or_low() -> None:
    quality_and_latency = [(0.9, 5.0), (0.8, 1.0), (0.8, 2.0), (0.95, 50.0), (0.9, 6.0)]
    assert front(quality_and_latency, higher=[first], lower=[second]) == [True, True, False, True, False]


def test_equal_points_share_their_place() -> None:
    assert front([(1, 1), (1, 1), (0, 0)], higher=[first, second]) == [True, True, False]


def test_of_one_figure_only_the_best_are_left() -> None:
    assert front([(3, 0), (1, 0), (1, 5)], lower=[first]) == [False, True, True]


def test_no_points_have_no_front() -> None:
    assert front([], higher=[first]) == []


def test_a_front_needs_figures_that_are_numbers() -> None:
    with pytest.raises(ValueError, match="no figures"):
        front([(1.0, 1.0)])
    with pytest.raises(ValueError, match="not a number"):
        front([(math.nan, 1.0)], higher=[first])
