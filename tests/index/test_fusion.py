"""Two rankings into one, by hand."""

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.errors import ConfigInvalid
from index.fusion import Normaliser, convex_combination, reciprocal_rank_fusion

RANKINGS = st.dictionaries(st.sampled_from("abc"), st.lists(st.integers(0, 12), unique=True, max_size=8), min_size=1)
SCORES = st.dictionaries(
    st.sampled_from("abc"), st.dictionaries(st.integers(0, 9), st.floats(-5, 5), max_size=8), min_size=1
)
WEIGHTS = {"a": 1.0, "b": 0.5, "c": 2.0}


def _rows(fused: list[tuple[int, float]]) -> list[int]:
    return [row for row, _ in fused]


def _scores(fused: list[tuple[int, float]]) -> list[float]:
    return [score for _, score in fused]


def test_reciprocal_rank_fusion_by_hand() -> None:
    fused = reciprocal_rank_fusion({"lexical": [7, 3], "dense": [3, 5]}, weights={"lexical": 1.0, "dense": 2.0}, k=60)
    assert _rows(fused) == [3, 5, 7]
    assert _scores(fused) == pytest.approx([1 / 62 + 2 / 61, 2 / 62, 1 / 61])


def test_equal_ranks_tie_by_row() -> None:
    fused = reciprocal_rank_fusion({"a": [9, 2], "b": [2, 9]}, weights={"a": 1, "b": 1}, k=60)
    assert _rows(fused) == [2, 9]
    assert fused[0][1] == fused[1][1]


def test_a_row_named_twice_counts_once_at_its_better_rank() -> None:
    weights = {"a": 1.0}
    assert reciprocal_rank_fusion({"a": [4, 4, 1]}, weights=weights, k=1) == [(4, 1 / 2), (1, 1 / 3)]


def test_nothing_fuses_to_nothing() -> None:
    assert reciprocal_rank_fusion({}, weights={}, k=60) == []
    assert reciprocal_rank_fusion({"a": []}, weights={"a": 1}, k=60) == []
    assert convex_combination({}, {}) == []
    assert convex_combination({"a": {}}, {"a": 1}) == []


@given(RANKINGS, st.integers(0, 100))
def test_a_ranking_of_weight_zero_is_as_if_left_out(rankings: dict[str, list[int]], k: int) -> None:
    without = {signal: rows for signal, rows in rankings.items() if signal != "a"}
    assert reciprocal_rank_fusion(rankings, weights=WEIGHTS | {"a": 0.0}, k=k) == reciprocal_rank_fusion(
        without, weights=WEIGHTS, k=k
    )


@given(RANKINGS)
def test_the_order_of_the_signals_does_not_matter(rankings: dict[str, list[int]]) -> None:
    backwards = dict(reversed(rankings.items()))
    assert reciprocal_rank_fusion(rankings, weights=WEIGHTS, k=60) == reciprocal_rank_fusion(
        backwards, weights=WEIGHTS, k=60
    )


@given(st.lists(st.integers(0, 50), unique=True, max_size=20))
def test_one_ranking_alone_keeps_its_order(rows: list[int]) -> None:
    assert _rows(reciprocal_rank_fusion({"a": rows}, weights={"a": 3.0}, k=60)) == rows


@pytest.mark.parametrize("normaliser", get_args(Normaliser))
def test_a_score_for_what_was_not_found_is_as_if_it_had_been_found_with_it(normaliser: Normaliser) -> None:
    scores = {"lexical": {1: 10.0, 2: 6.0, 3: 2.0}, "dense": {2: 0.9, 4: 0.5, 5: 0.2}}
    filled = {**scores, "lexical": {**scores["lexical"], 4: 1.0, 5: 1.0}}
    weights, options = {"lexical": 1.5, "dense": 1.0}, {"lexical": 0.0, "dense": -1.0}
    assert convex_combination(
        scores, weights, normaliser=normaliser, minima=options, absent={"lexical": 1.0}
    ) == convex_combination(filled, weights, normaliser=normaliser, minima=options)
    assert convex_combination(scores, weights, absent={"lexical": 1.0}) != convex_combination(scores, weights)


def test_min_max_by_hand() -> None:
    scores = {"lexical": {1: 10.0, 2: 6.0, 3: 2.0}, "dense": {2: 0.9, 4: 0.5}}
    fused = convex_combination(scores, {"lexical": 1.0, "dense": 3.0})
    # 1: .25*1; 2: .25*.5 + .75*1; 3: .25*0; 4: .75*0
    assert _rows(fused) == [2, 1, 3, 4]
    assert _scores(fused) == pytest.approx([0.875, 0.25, 0, 0])


def test_theoretical_min_max_by_hand_counts_the_lowest_found_above_not_found() -> None:
    scores = {"lexical": {1: 10.0, 2: 5.0}, "dense": {1: 0.0, 3: 1.0}}
    fused = convex_combination(
        scores, {"lexical": 1.0, "dense": 1.0}, normaliser="theoretical-min-max", minima={"lexical": 0, "dense": -1}
    )
    # 1: .5*1 + .5*(1/2); 2: .5*(5/10); 3: .5*1
    assert _rows(fused) == [1, 3, 2]
    assert _scores(fused) == pytest.approx([0.75, 0.5, 0.25])


def test_z_score_by_hand_gives_missing_rows_the_minimum() -> None:
    fused = convex_combination(
        {"a": {1: 3.0, 2: 1.0}, "b": {3: 8.0, 1: 4.0}}, {"a": 1.0, "b": 1.0}, normaliser="z-score"
    )
    # a: 1 -> 1, 2 -> -1, 3 missing -> -1; b: 3 -> 1, 1 -> -1, 2 missing -> -1
    assert _rows(fused) == [1, 3, 2]
    assert _scores(fused) == pytest.approx([0, 0, -1])


@pytest.mark.parametrize("normaliser", ["min-max", "z-score"])
def test_a_constant_signal_tells_nothing_apart(normaliser: Normaliser) -> None:
    fused = convex_combination({"a": {1: 0.1, 2: 0.1, 3: 0.1}, "b": {2: 1.0, 3: 2.0}}, WEIGHTS, normaliser=normaliser)
    assert _rows(fused) == [3, 1, 2]
    assert fused[1][1] == fused[2][1]


def test_a_single_row_found_counts_from_the_theoretical_minimum() -> None:
    options = {"a": 0.0}
    fused = convex_combination({"a": {5: 2.0}}, {"a": 1}, normaliser="theoretical-min-max", minima=options)
    assert fused == [(5, 1.0)]


@given(SCORES, st.sampled_from(["min-max", "z-score", "theoretical-min-max"]))
def test_scores_of_weight_zero_are_as_if_left_out(scores: dict[str, dict[int, float]], normaliser: Normaliser) -> None:
    without = {signal: found for signal, found in scores.items() if signal != "a"}
    minima = dict.fromkeys("abc", -5.0)
    assert convex_combination(scores, WEIGHTS | {"a": 0.0}, normaliser=normaliser, minima=minima) == convex_combination(
        without, WEIGHTS, normaliser=normaliser, minima=minima
    )


@given(SCORES, st.floats(0.1, 100))
def test_only_the_ratio_of_the_weights_matters(scores: dict[str, dict[int, float]], factor: float) -> None:
    scaled = dict(convex_combination(scores, {signal: weight * factor for signal, weight in WEIGHTS.items()}))
    assert scaled == pytest.approx(dict(convex_combination(scores, WEIGHTS)))


@given(SCORES)
def test_min_max_results_lie_between_zero_and_one(scores: dict[str, dict[int, float]]) -> None:
    assert all(-1e-9 <= score <= 1 + 1e-9 for _, score in convex_combination(scores, WEIGHTS))


@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_weights_that_are_no_weights_are_refused(weight: float) -> None:
    with pytest.raises(ConfigInvalid, match="'a'"):
        reciprocal_rank_fusion({"a": [1]}, weights={"a": weight}, k=60)
    with pytest.raises(ConfigInvalid, match="'a'"):
        convex_combination({"a": {1: 1.0}}, {"a": weight})


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ConfigInvalid, match="'dense'"):
        reciprocal_rank_fusion({"dense": [1]}, weights={"lexical": 1.0}, k=60)
    with pytest.raises(ConfigInvalid, match="lowest possible score of 'dense'"):
        convex_combination({"dense": {1: 1.0}}, {"dense": 1.0}, normaliser="theoretical-min-max")
    with pytest.raises(ConfigInvalid, match="-1"):
        reciprocal_rank_fusion({"a": [1]}, weights={"a": 1.0}, k=-1)
