"""Intervals and tests against numbers worked by hand and against exhaustive enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.statistics import bootstrap_interval, figure, holm, percentile, randomisation_test


def enumerated(base: list[float], other: list[float]) -> float:
    """Two-sided p by trying every sign of every difference."""
    differences = np.array(other) - np.array(base)
    means = [abs(np.mean(differences * signs)) for signs in itertools.product([1, -1], repeat=len(differences))]
    return float(np.mean([mean >= abs(np.mean(differences)) - 1e-12 for mean in means]))


class TestRandomisation:
    def test_four_wins_and_no_loss_are_one_in_eight(self) -> None:
        assert randomisation_test([0, 0, 0, 0, 1], [1, 1, 1, 1, 1]) == pytest.approx(1 / 8)

    def test_equal_systems_do_not_differ(self) -> None:
        assert randomisation_test([0.5, 1, 0], [0.5, 1, 0]) == 1.0

    def test_one_changed_question_proves_nothing(self) -> None:
        assert randomisation_test([0, 0, 0], [0, 1, 0]) == 1.0

    def test_the_order_of_the_systems_does_not_matter(self) -> None:
        base, other = [0.0, 0.2, 1, 0.5, 0, 0.1], [1.0, 0.5, 1, 0.2, 1, 1]
        assert randomisation_test(base, other) == randomisation_test(other, base)

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.sampled_from([0.0, 0.5, 1.0])), max_size=9))
    def test_it_is_the_enumeration_where_there_are_few_questions(self, pairs: list[tuple[float, float]]) -> None:
        base, other = [a for a, _ in pairs], [b for _, b in pairs]
        if base:
            assert randomisation_test(base, other) == pytest.approx(enumerated(base, other))

    def test_two_hundred_questions_are_sampled_and_a_clear_gain_is_seen(self) -> None:
        rng = np.random.default_rng(0)
        base = rng.random(200)
        assert randomisation_test(base.tolist(), (base + 0.1 + 0.05 * rng.random(200)).tolist()) < 0.001
        assert randomisation_test(base.tolist(), rng.permutation(base).tolist()) > 0.05


class TestHolm:
    def test_the_textbook_example(self) -> None:
        assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])

    def test_nothing_above_one_and_nothing_to_correct(self) -> None:
        assert holm([0.9, 0.8]) == [1.0, 1.0]
        assert holm([]) == []

    @given(st.lists(st.floats(0, 1), max_size=8))
    def test_corrected_values_are_never_smaller_and_keep_their_order(self, p_values: list[float]) -> None:
        corrected = holm(p_values)
        assert all(after >= before for before, after in zip(p_values, corrected, strict=True))
        order = np.argsort(p_values, kind="stable")
        assert all(a <= b for a, b in itertools.pairwise(np.array(corrected)[order]))


class TestIntervals:
    def test_the_mean_lies_inside_and_the_interval_is_that_of_the_binomial(self) -> None:
        found = figure([1.0] * 80 + [0.0] * 20)
        assert found.mean == 0.8
        assert found.n == 100
        # The normal approximation: 0.8 +- 1.96 * sqrt(0.8 * 0.2 / 100).
        assert found.low == pytest.approx(0.7216, abs=0.015)
        assert found.high == pytest.approx(0.8784, abs=0.015)

    def test_what_does_not_vary_has_no_width(self) -> None:
        assert bootstrap_interval([1.0, 1.0, 1.0]) == (1.0, 1.0)
        assert bootstrap_interval([0.3]) == (0.3, 0.3)

    def test_the_same_values_give_the_same_interval(self) -> None:
        values = [0.0, 1.0, 0.5, 1.0, 0.0, 0.25]
        assert bootstrap_interval(values) == bootstrap_interval(values)

    def test_no_values_are_refused(self) -> None:
        with pytest.raises(ValueError, match="no values"):
            figure([])


def test_percentiles_are_values_that_occurred() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert percentile(values, 0.5) == 3.0
    assert percentile(values, 0.95) == 5.0
    assert percentile([7.0], 0.5) == 7.0
