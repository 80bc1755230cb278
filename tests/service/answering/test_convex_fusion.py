"""The first stage's default order: a weighted mean of z-scores, and what the question describes on top."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.concept_index import ConceptMatch
from index.config import FusionConfig, IndexConfig
from service.answering.exchange import SearchMode
from service.answering.query import Described, Hypothesis, Query, Variant
from service.answering.rankings import Ranked, ranked
from tests.service.answering.given_indexes import (
    ROWS,
    GivenConcepts,
    GivenDense,
    GivenLexical,
    GivenSnapshot,
    Table,
    question,
    scope_of,
    vector_of,
)
from tests.service.answering.plain_fusion import mean_of_z_scores

ASKED, OTHER, HYPOTHESIS = 0, 1, 2
BM25: Table = {ASKED: [6, 2, 0, 0, 0], OTHER: [0, 1, 3, 0, 0]}
COSINES: Table = {
    ASKED: [0.3, 0.7, 0.5, 0.7, 0.3],
    OTHER: [0.5, 0.1, 0.2, 0.3, 0.4],
    HYPOTHESIS: [0, 0.1, 0, 0.5, 0.9],
}
KEYWORDS = Variant("keywords", question(OTHER), 0.5)
IN_ADVANCE = Hypothesis("网络更稳。", vector_of(HYPOTHESIS), 0.4)
DESCRIBED = Described((ConceptMatch(7, ("残差",), 0.5, "近路"),), 3.0)
SALIENCE: Table = {7: [0, 0.4, 0, 0, 0.9]}
scores_from = st.lists(st.integers(0, 9), min_size=ROWS, max_size=ROWS)


def indexes(known: float = 1.0, *, bm25: Table = BM25, cosines: Table = COSINES) -> GivenSnapshot:
    return GivenSnapshot(
        GivenLexical(bm25, known={ASKED: known, OTHER: 0.5}), GivenDense(cosines), None, GivenConcepts(SALIENCE)
    )


def fused(
    query: Query,
    snapshot: GivenSnapshot | None = None,
    *,
    mode: SearchMode = "hybrid",
    allowed: Sequence[int] | None = None,
    fusion: FusionConfig | None = None,
) -> Ranked:
    config = IndexConfig(fusion=fusion or FusionConfig())
    scope = scope_of(snapshot or indexes(), mode=mode, allowed=allowed, config=config)
    return ranked(query, scope, by_late=False)


def assert_mean(found: Ranked, **weights: float) -> None:
    """The order is that of the weighted mean of the z-scores in the rankings that are weighted, ties by row."""
    signals = {name.replace("_", ":"): weight for name, weight in weights.items()}
    expected = mean_of_z_scores({name: dict(found.rankings[name]) for name in signals}, signals)
    assert dict(found.order) == pytest.approx(expected, abs=1e-6)
    assert found.order == sorted(found.order, key=lambda entry: (-entry[1], entry[0]))


class TestMean:
    def test_bm25_counts_one_and_a_half_of_the_vectors(self) -> None:
        unit = 0.2 / 0.032**0.5
        dense = [unit * steps for steps in (-1, 1, 0, 1, -1)]
        bm25 = [(score - 1.6) / 5.44**0.5 for score in (6, 2, 0, 0, 0)]  # what it did not find has a score of 0
        expected = {row: (1.5 * bm25[row] + dense[row]) / 2.5 for row in range(ROWS)}
        found = fused(question(ASKED))
        assert dict(found.order) == pytest.approx(expected, abs=1e-6)
        assert [row for row, _ in found.order] == [0, 1, 3, 2, 4]

    def test_a_word_in_one_passage_alone_tells_it_from_the_others(self) -> None:
        alone = indexes(bm25={ASKED: [0, 0, 0, 0, 9]}, cosines={ASKED: [0.3, 0.32, 0.31, 0.34, 0.3]})
        assert fused(question(ASKED), alone).order[0][0] == 4

    @given(scores_from, scores_from, st.floats(0.1, 10), st.floats(0.1, 10))
    def test_it_is_the_weighted_mean_of_z_scores(
        self, bm25: list[float], cosines: list[float], lexical: float, dense: float
    ) -> None:
        snapshot = indexes(bm25={ASKED: bm25}, cosines={ASKED: cosines})
        fusion = FusionConfig(lexical_weight=lexical, dense_weight=dense)
        assert_mean(fused(question(ASKED), snapshot, fusion=fusion), lexical=lexical, dense=dense)

    def test_a_row_beyond_a_signals_depth_counts_like_the_last_that_it_gave(self) -> None:
        found = fused(question(ASKED), fusion=FusionConfig(depth=3))
        assert [row for row, _ in found.rankings["dense"]] == [1, 3, 2]
        assert sorted(row for row, _ in found.order) == [0, 1, 2, 3]
        assert_mean(found, lexical=1.5, dense=1.0)

    @pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
    def test_bm25_counts_by_the_square_of_the_known_share(self, share: float) -> None:
        assert_mean(fused(question(ASKED), indexes(share)), lexical=1.5 * share**2, dense=1.0)

    def test_bm25_says_nothing_where_no_term_is_known(self) -> None:
        assert_mean(fused(question(ASKED), indexes(0.0)), dense=1.0)

    def test_what_a_row_gains_by_bm25_falls_with_the_known_share(self) -> None:
        leads = []
        for share in (1.0, 0.75, 0.5, 0.25, 0.0):
            scores = dict(fused(question(ASKED), indexes(share)).order)
            leads.append(scores[0] - scores[4])  # of one cosine; BM25 found only the former
        assert all(more > less for more, less in itertools.pairwise(leads))
        assert leads[-1] == pytest.approx(0, abs=1e-9)


class TestOtherSignals:
    def test_a_hypothesis_is_a_signal_by_its_weight(self) -> None:
        assert_mean(fused(question(ASKED, hypothesis=IN_ADVANCE)), lexical=1.5, dense=1.0, hyde=0.4)

    def test_a_variant_is_two_by_its_weight_and_that_of_each_stage(self) -> None:
        found = fused(question(ASKED, KEYWORDS))
        heard = 0.5**2  # half of the variant's terms are known
        assert_mean(found, lexical=1.5, dense=1.0, lexical_keywords=0.5 * 1.5 * heard, dense_keywords=0.5)

    @given(st.permutations([Variant("a", question(OTHER), 0.3), Variant("b", question(HYPOTHESIS), 0.7), KEYWORDS]))
    def test_the_order_does_not_hang_on_that_of_the_signals(self, ways: list[Variant]) -> None:
        snapshot = replace(indexes(), lexical=GivenLexical({**BM25, 2: [1, 0, 0, 1, 7]}, known={0: 1, 1: 0.5, 2: 0.3}))
        first = replace(question(ASKED, *sorted(ways, key=lambda way: way.stage)), described=DESCRIBED)
        asked = replace(question(ASKED, *ways), described=DESCRIBED)
        assert fused(asked, snapshot).order == fused(first, snapshot).order

    @pytest.mark.parametrize("described", [None, DESCRIBED])
    def test_equal_rows_stand_in_their_order(self, described: Described | None) -> None:
        alike = indexes(bm25={ASKED: [0, 2, 1, 1, 2]}, cosines={ASKED: [0.1, 0.5, 0.1, 0.1, 0.5]})
        concepts = GivenConcepts({7: [0.2, 0, 1, 1, 0]})
        order = fused(question(ASKED, described=described), replace(alike, concepts=concepts)).order
        assert [row for row, _ in order] == [1, 4, 2, 3, 0]
        scores = dict(order)
        assert (scores[1], scores[2]) == (scores[4], scores[3])


class TestOneSignal:
    """Where BM25 or vectors search alone, what the one counts beside the other changes nothing."""

    UNHEARD = FusionConfig(lexical_weight=0, dense_weight=0)

    @pytest.mark.parametrize("known", [0.0, 0.5])
    def test_a_lexical_search_weighs_its_ways_to_ask_alone(self, known: float) -> None:
        found = fused(question(ASKED, KEYWORDS), indexes(known), mode="lexical", fusion=self.UNHEARD)
        assert_mean(found, lexical=1.0, lexical_keywords=0.5)

    @pytest.mark.parametrize("known", [0.0, 0.5])
    def test_a_dense_search_weighs_its_ways_and_the_hypothesis(self, known: float) -> None:
        asked = question(ASKED, KEYWORDS, hypothesis=IN_ADVANCE)
        found = fused(asked, indexes(known), mode="dense", fusion=self.UNHEARD)
        assert_mean(found, dense=1.0, dense_keywords=0.5, hyde=0.4)

    @pytest.mark.parametrize("mode", ["lexical", "dense"])
    def test_a_question_alone_keeps_the_signals_own_scores(self, mode: SearchMode) -> None:
        found = fused(question(ASKED), indexes(0.5), mode=mode, fusion=self.UNHEARD)
        assert found.order == found.rankings[mode]


class TestConcepts:
    ASKED = question(ASKED, KEYWORDS, hypothesis=IN_ADVANCE)
    DESCRIBES = replace(ASKED, described=DESCRIBED)

    def test_they_add_weight_times_relevance_to_the_rows_that_name_one(self) -> None:
        without = dict(fused(self.ASKED).order)
        gains = {row: score - without[row] for row, score in fused(self.DESCRIBES).order}
        assert gains == pytest.approx({0: 0, 1: 3.0 * 0.5 * 0.4, 2: 0, 3: 0, 4: 3.0 * 0.5 * 0.9}, abs=1e-6)

    def test_the_order_is_by_what_comes_of_it(self) -> None:
        order = fused(question(ASKED, described=DESCRIBED)).order
        assert [row for row, _ in fused(question(ASKED)).order] == [0, 1, 3, 2, 4]
        assert [row for row, _ in order] == [1, 0, 4, 3, 2]

    def test_a_row_that_only_they_name_starts_where_the_lowest_stands(self) -> None:
        blind = replace(indexes(), dense=GivenDense(COSINES, reached=frozenset({1, 2, 3})))
        without = dict(fused(question(ASKED), blind).order)
        scores = dict(fused(question(ASKED, described=DESCRIBED), blind).order)
        assert 4 not in without
        assert scores[4] == pytest.approx(min(without.values()) + 3.0 * 0.5 * 0.9)
        assert scores.keys() == {*without, 4}

    def test_where_no_signal_found_anything_it_starts_at_nothing(self) -> None:
        blind = replace(indexes(0.0), dense=GivenDense(COSINES, reached=frozenset()))
        order = fused(question(ASKED, described=DESCRIBED), blind).order
        assert [row for row, _ in order] == [4, 1]
        assert dict(order) == pytest.approx({4: 1.35, 1: 0.6})

    @pytest.mark.parametrize("weight", [0.5, 6.0])
    def test_what_they_add_is_no_matter_of_how_many_signals_there_are(self, weight: float) -> None:
        described = replace(DESCRIBED, weight=weight)
        for asked in (question(ASKED), question(ASKED, KEYWORDS), self.ASKED):
            without, scores = (dict(fused(each).order) for each in (asked, replace(asked, described=described)))
            assert scores[4] - without[4] == pytest.approx(weight * 0.45, abs=1e-6)


class TestFilter:
    ASKED = question(ASKED, KEYWORDS, hypothesis=IN_ADVANCE, described=DESCRIBED)

    @given(st.sets(st.integers(0, ROWS - 1)))
    def test_only_what_it_lets_through_is_ordered(self, allowed: set[int]) -> None:
        order = fused(self.ASKED, allowed=sorted(allowed)).order
        assert {row for row, _ in order} == allowed

    def test_z_scores_are_of_what_it_lets_through(self) -> None:
        found = fused(question(ASKED), allowed=[0, 1, 2])
        assert_mean(found, lexical=1.5, dense=1.0)
        assert set(dict(found.order)) == {0, 1, 2}

    def test_a_row_outside_of_it_does_not_enter_by_its_concept(self) -> None:
        blind = replace(indexes(), dense=GivenDense(COSINES, reached=frozenset({1, 2, 3})))
        order = fused(question(ASKED, described=DESCRIBED), blind, allowed=[0, 1, 2, 3]).order
        assert {row for row, _ in order} == {0, 1, 2, 3}
