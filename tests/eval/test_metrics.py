"""Measures against numbers worked by hand, and against the reference scorer on any ranking."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.metrics import DOCUMENT_MEASURES, QUOTE_MEASURES, document_measures, group_values, quote_measures
from tests.eval.small_notes import reference_scorer

NONE: frozenset[int] = frozenset()
QUOTES = ["甲乙丙丁戊己庚辛壬癸子丑", "寅卯辰巳午未申酉戌亥天地", "玄黄宇宙洪荒日月盈昃辰宿"]


def of_quotes(held: list[frozenset[int]], groups: int, relevant: list[str]) -> dict[str, float]:
    ranking = [f"c{rank}" for rank in range(1, len(held) + 1)]
    return quote_measures({"q": ranking}, {"q": held}, {"q": groups}, {"q": relevant})["q"]


class TestQuoteMeasures:
    def test_one_group_found_at_rank_three(self) -> None:
        values = of_quotes([NONE, NONE, frozenset({0})], 1, ["c3"])
        assert values["hit@1"] == 0
        assert values["hit@3"] == values["hit@5"] == values["hit@10"] == 1
        assert values["mrr@10"] == 1 / 3
        assert values["map@10"] == pytest.approx(1 / 3, abs=1e-12)
        assert values["precision@5"] == pytest.approx(1 / 5, abs=1e-12)
        assert values["ndcg@10"] == 1 / math.log2(4)
        assert values["recall@5"] == values["all@10"] == 1

    def test_a_second_passage_with_the_same_evidence_earns_nothing_in_ndcg_but_counts_for_precision(self) -> None:
        values = of_quotes([frozenset({0}), frozenset({0})], 2, ["c1", "c2"])
        assert values["recall@5"] == values["recall@10"] == 0.5
        assert values["all@10"] == 0
        assert values["ndcg@10"] == 1 / (1 + 1 / math.log2(3))
        assert values["precision@10"] == pytest.approx(2 / 10, abs=1e-12)

    def test_average_precision_counts_the_relevant_chunks_that_were_not_found(self) -> None:
        # Found at ranks 1 and 3, a third one nowhere: (1/1 + 2/3) / 3.
        values = of_quotes([frozenset({0}), NONE, frozenset({0})], 1, ["c1", "c3", "c99"])
        assert values["map@10"] == pytest.approx((1 + 2 / 3) / 3, abs=1e-12)

    def test_two_groups_in_one_passage_are_no_better_than_perfect(self) -> None:
        assert of_quotes([frozenset({0, 1})], 2, ["c1"])["ndcg@10"] == 1

    def test_nothing_found_is_zero_in_every_measure(self) -> None:
        values = of_quotes([], 1, ["c1"])
        assert set(values) == set(QUOTE_MEASURES)
        assert set(values.values()) == {0.0}

    def test_rank_eleven_is_too_late(self) -> None:
        assert of_quotes([NONE] * 10 + [frozenset({0})], 1, ["c11"])["hit@10"] == 0

    @settings(max_examples=150)
    @given(
        st.lists(st.frozensets(st.integers(0, 2), max_size=3), max_size=10),
        st.integers(1, 3),
    )
    def test_the_reference_scorer_gives_the_very_same_numbers(self, held: list[frozenset[int]], groups: int) -> None:
        held = [frozenset(group for group in found if group < groups) for found in held]
        chunks = ["".join(QUOTES[group] for group in sorted(found)) or "无关" for found in held]
        gold = {"evidence": [{"quote": QUOTES[group], "group": group} for group in range(groups)]}
        relevant = [f"c{rank}" for rank, found in enumerate(held, start=1) if found]
        values = of_quotes(held, groups, relevant)
        expected = reference_scorer().score_one(gold, chunks)
        assert {measure: values[measure] for measure in expected} == expected


class TestDocumentMeasures:
    def test_graded_gains_and_recall_by_hand(self) -> None:
        # The best document is at rank 2, a lesser one at rank 4, one is missing.
        ranking = ["x", "best", "y", "good", "z"]
        values = document_measures({"q": ranking}, {"q": {"best": 2, "good": 1, "missing": 1}})["q"]
        assert values["hit@1"] == 0
        assert values["mrr@10"] == 0.5
        assert values["recall@5"] == pytest.approx(2 / 3)
        assert values["map@10"] == pytest.approx((1 / 2 + 2 / 4) / 3)
        gained = 2 / math.log2(3) + 1 / math.log2(5)
        ideal = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
        assert values["ndcg@10"] == pytest.approx(gained / ideal)

    def test_our_order_holds_whatever_the_documents_are_called(self) -> None:
        first = document_measures({"q": ["zz", "aa"]}, {"q": {"aa": 1}})["q"]
        second = document_measures({"q": ["aa", "zz"]}, {"q": {"zz": 1}})["q"]
        assert first == second

    def test_a_query_that_found_nothing_is_there_with_zeros(self) -> None:
        values = document_measures({"q": [], "r": ["a"]}, {"q": {"a": 1}, "r": {"a": 1}})
        assert set(values["q"]) == set(DOCUMENT_MEASURES)
        assert set(values["q"].values()) == {0.0}
        assert values["r"]["mrr@10"] == 1


def test_group_values_of_the_worked_example_in_the_format_description() -> None:
    values = group_values([frozenset({0}), NONE, NONE, NONE, NONE, frozenset({1})], 2)
    assert (values["recall@5"], values["recall@10"], values["all@10"]) == (0.5, 1.0, 1.0)
