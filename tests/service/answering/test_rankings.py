"""One question's ranking, worked out by hand from indexes whose scores are given."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.concept_index import ConceptMatch
from index.config import FusionConfig, IndexConfig, LateConfig
from service.answering.exchange import SearchMode
from service.answering.query import Described, Hypothesis, Query, Variant
from service.answering.rankings import Ranked, Ranking, below, ranked, ranking_of
from tests.service.answering.given_indexes import (
    ROWS,
    GivenConcepts,
    GivenDense,
    GivenLate,
    GivenLexical,
    GivenSnapshot,
    Table,
    question,
    scope_of,
    vector_of,
)

ASKED, OTHER, HYPOTHESIS = 0, 1, 2

# Mean 3 and deviation 4 for what was asked, 1 and 2 for the other way to ask it.
BM25: Table = {ASKED: [10, 5, 0, 0, 0], OTHER: [0, 0, 5, 0, 0]}
COSINES: Table = {
    ASKED: [0.1, 0.5, 0.3, 0.2, 0.4],
    OTHER: [0.5, 0.1, 0.2, 0.3, 0.4],
    HYPOTHESIS: [0, 0, 0, 0.5, 1],  # mean 0.3 and deviation 0.4
}
MAXSIM: Table = {ASKED: [0.2, 0.5, 0.1, 0.4, 0.3], OTHER: [0.3, 0.1, 0.5, 0.1, 0.2]}
SPREAD = 0.2
SALIENCE: Table = {7: [0.5, 0, 1, 0, 0], 8: [0, 0, 0.5, 0.5, 0]}

KEYWORDS = Variant("keywords", question(OTHER), 0.5)
IN_ADVANCE = Hypothesis("网络更稳。", vector_of(HYPOTHESIS), 0.4)
HEARD = 0.5**2  # of BM25, beside another stage, for the other way: half of its terms are known
BY_LATE_ALONE = [1.4375, 2.625, 0.3125, 1.8125, 1.3125]  # 0.5 / 0.2 + 0.25 * (5 - 3) / 4 for row 1, and so on
DESCRIBED = Described((ConceptMatch(8, ("残差",), 0.8, "近路"), ConceptMatch(7, ("预热",), 0.2, "先小后大")), 3.0)
RELEVANCE = [0.1, 0, 0.4, 0.4, 0]  # of the two concepts that by which a row has more
BY_THE_OTHER = [1.46875, 0.46875, 2.625, 0.46875, 0.96875]  # half of its terms known: BM25 at 0.25 * 0.5²
BY_RANK = FusionConfig(method="rrf", lexical_weight=1.0)


def indexes(*, exhaustive: bool = True, spread: float = SPREAD, late: bool = True) -> GivenSnapshot:
    return GivenSnapshot(
        GivenLexical(BM25, known={ASKED: 1.0, OTHER: 0.5}),
        GivenDense(COSINES),
        GivenLate(MAXSIM, spread, exhaustive) if late else None,
        GivenConcepts(SALIENCE),
    )


def found(
    query: Query,
    snapshot: GivenSnapshot | None = None,
    *,
    mode: SearchMode = "hybrid",
    by_late: bool = False,
    fusion: FusionConfig | None = None,
) -> Ranked:
    config = IndexConfig(fusion=fusion or FusionConfig())
    return ranked(query, scope_of(snapshot or indexes(), mode=mode, config=config), by_late=by_late)


def rows_of(ranking: Ranking) -> list[int]:
    return [row for row, _ in ranking]


def scores_of(ranking: Ranking) -> list[float]:
    return [score for _, score in sorted(ranking)]


def assert_ranking(ranking: Ranking, expected: Ranking) -> None:
    assert rows_of(ranking) == rows_of(expected)
    assert [score for _, score in ranking] == pytest.approx([score for _, score in expected])


def is_best_first(ranking: Ranking) -> bool:
    return all(one > other for (_, one), (_, other) in itertools.pairwise(ranking))


class TestNames:
    def test_a_variants_rankings_carry_its_stage(self) -> None:
        rankings = found(question(ASKED, KEYWORDS), by_late=True).rankings
        assert list(rankings) == [
            "lexical", "dense", "lexical:keywords", "dense:keywords", "late", "late:keywords"
        ]  # fmt: skip

    def test_the_second_of_a_stage_carries_its_number_too(self) -> None:
        ways = [replace(KEYWORDS, stage=stage) for stage in ("rewording", "glossary", "rewording", "rewording")]
        rankings = found(question(ASKED, *ways), mode="dense").rankings
        assert list(rankings) == ["dense", *(f"dense:{way}" for way in WAYS)]

    def test_each_is_the_variants_own_ranking(self) -> None:
        rankings = found(question(ASKED, KEYWORDS), by_late=True).rankings
        assert rankings["lexical"] == [(0, 10), (1, 5)]
        assert rankings["lexical:keywords"] == [(2, 5)]
        assert rows_of(rankings["dense"]) == [1, 4, 2, 3, 0]
        assert rows_of(rankings["dense:keywords"]) == [0, 4, 3, 2, 1]
        assert rows_of(rankings["late"]) == [1, 3, 4, 0, 2]
        assert rows_of(rankings["late:keywords"]) == [2, 0, 4, 1, 3]
        assert scores_of(rankings["late:keywords"]) == pytest.approx(MAXSIM[OTHER])

    @pytest.mark.parametrize(
        ("mode", "names"),
        [("lexical", ["lexical", "lexical:keywords"]), ("dense", ["dense", "dense:keywords", "hyde"])],
    )
    def test_a_mode_has_its_own_stages_only(self, mode: SearchMode, names: list[str]) -> None:
        assert list(found(question(ASKED, KEYWORDS, hypothesis=IN_ADVANCE), mode=mode).rankings) == names


WAYS = ["rewording", "glossary", "rewording-2", "rewording-3"]


class TestRankFusion:
    def test_it_is_the_sum_of_weight_over_sixty_and_rank(self) -> None:
        order = found(question(ASKED, KEYWORDS), fusion=BY_RANK).order
        assert dict(order) == pytest.approx(
            {
                0: 1 / 61 + 1 / 65 + 0.5 / 61,
                1: 1 / 62 + 1 / 61 + 0.5 / 65,
                2: 1 / 63 + 0.5 * HEARD / 61 + 0.5 / 64,
                3: 1 / 64 + 0.5 / 63,
                4: 1 / 62 + 0.5 / 62,
            }
        )
        assert is_best_first(order)

    def test_a_variant_counts_by_its_weight_and_that_of_the_signal(self) -> None:
        fusion = FusionConfig(method="rrf", rrf_k=10, lexical_weight=2, dense_weight=3)
        order = found(question(ASKED, KEYWORDS), fusion=fusion).order
        assert dict(order)[2] == pytest.approx(3 / 13 + 0.5 * HEARD * 2 / 11 + 0.5 * 3 / 14)

    def test_a_hypothetical_answer_is_one_more_ranking(self) -> None:
        with_it = dict(found(question(ASKED, hypothesis=IN_ADVANCE), fusion=BY_RANK).order)
        without = dict(found(question(ASKED), fusion=BY_RANK).order)
        gains = {row: with_it[row] - without[row] for row in without}
        assert gains == pytest.approx({4: 0.4 / 61, 3: 0.4 / 62, 0: 0.4 / 63, 1: 0.4 / 64, 2: 0.4 / 65})

    @pytest.mark.parametrize(("mode", "table"), [("lexical", BM25), ("dense", COSINES)])
    def test_a_ranking_that_is_alone_keeps_its_own_scores(self, mode: SearchMode, table: Table) -> None:
        order = found(question(ASKED), mode=mode).order
        assert [score for _, score in order] == pytest.approx(sorted((x for x in table[ASKED] if x), reverse=True))

    def test_a_lexical_search_is_fused_with_its_variants_whatever_weight_bm25_has_beside_the_vectors(self) -> None:
        fusion = FusionConfig(method="rrf", lexical_weight=0)
        order = found(question(ASKED, KEYWORDS), mode="lexical", fusion=fusion).order
        assert_ranking(order, [(0, 1 / 61), (1, 1 / 62), (2, 0.5 / 61)])

    def test_a_dense_search_is_fused_with_its_variants_whatever_weight_vectors_have_beside_bm25(self) -> None:
        fusion = FusionConfig(method="rrf", dense_weight=0)
        order = dict(found(question(ASKED, KEYWORDS, hypothesis=IN_ADVANCE), mode="dense", fusion=fusion).order)
        assert order[4] == pytest.approx(1 / 62 + 0.5 / 62 + 0.4 / 61)

    def test_each_signal_gives_as_many_as_its_depth(self) -> None:
        fusion = FusionConfig(method="rrf", lexical_weight=1.0, depth=1)
        result = found(question(ASKED, KEYWORDS), fusion=fusion)
        assert {name: rows_of(ranking) for name, ranking in result.rankings.items()} == {
            "lexical": [0], "dense": [1], "lexical:keywords": [2], "dense:keywords": [0]
        }  # fmt: skip
        assert_ranking(result.order, [(0, 1.5 / 61), (1, 1 / 61), (2, 0.5 * HEARD / 61)])


class TestLateInteraction:
    def test_a_question_alone_is_maxsim_by_its_spread_and_a_quarter_of_bm25s_z_score(self) -> None:
        result = found(question(ASKED), by_late=True)
        assert scores_of(result.order) == pytest.approx(BY_LATE_ALONE)
        assert rows_of(result.order) == [1, 3, 0, 4, 2]
        assert scores_of(result.rankings["late"]) == pytest.approx(MAXSIM[ASKED])

    def test_a_variant_of_half_the_weight_is_a_third_of_the_mean(self) -> None:
        order = found(question(ASKED, KEYWORDS), by_late=True).order
        assert scores_of(order) == pytest.approx([1.4479167, 1.90625, 1.0833333, 1.3645833, 1.1979167])
        assert rows_of(order) == [1, 0, 3, 4, 2]

    @given(st.lists(st.floats(0.01, 10), max_size=4))
    def test_a_variant_of_weight_w_counts_w_of_one_and_all_weights(self, weights: list[float]) -> None:
        ways = [Variant("rewording", question(OTHER), weight) for weight in weights]
        scores = np.array(scores_of(found(question(ASKED, *ways), by_late=True).order))
        share = sum(weights) / (1 + sum(weights))
        np.testing.assert_allclose(
            scores, (1 - share) * np.array(BY_LATE_ALONE) + share * np.array(BY_THE_OTHER), atol=1e-5
        )

    def test_bm25_counts_by_the_square_of_the_known_share(self) -> None:
        assert scores_of(found(question(OTHER), by_late=True).order) == pytest.approx(BY_THE_OTHER)

    def test_words_that_are_not_the_notes_leave_late_interaction_alone(self) -> None:
        silent = replace(indexes(), lexical=GivenLexical(BM25, known={ASKED: 0.0}))
        order = found(question(ASKED), silent, by_late=True).order
        assert scores_of(order) == pytest.approx([1, 2.5, 0.5, 2, 1.5])

    def test_and_leave_vectors_alone_in_rank_fusion_but_not_a_search_by_bm25(self) -> None:
        silent = replace(indexes(), lexical=GivenLexical(BM25, known={ASKED: 0.0, OTHER: 0.0}))
        fused = found(question(ASKED), silent, fusion=BY_RANK).order
        assert_ranking(fused, [(1, 1 / 61), (4, 1 / 62), (2, 1 / 63), (3, 1 / 64), (0, 1 / 65)])
        lexical = found(question(ASKED, KEYWORDS), silent, mode="lexical", fusion=BY_RANK).order
        assert_ranking(lexical, [(0, 1 / 61), (1, 1 / 62), (2, 0.5 / 61)])

    def test_so_does_a_weight_of_zero(self) -> None:
        config = IndexConfig(late=LateConfig(lexical_weight=0))
        order = ranked(question(ASKED), scope_of(indexes(), config=config), by_late=True).order
        assert scores_of(order) == pytest.approx([1, 2.5, 0.5, 2, 1.5])

    def test_a_hypothetical_answers_z_score_comes_on_top_by_its_weight(self) -> None:
        alone = np.array(scores_of(found(question(ASKED, KEYWORDS), by_late=True).order))
        both = scores_of(found(question(ASKED, KEYWORDS, hypothesis=IN_ADVANCE), by_late=True).order)
        np.testing.assert_allclose(both - alone, [-0.3, -0.3, -0.3, 0.2, 0.7], atol=1e-5)

    def test_what_an_approximate_index_does_not_reach_counts_as_the_farthest_that_it_does(self) -> None:
        reached = replace(indexes(), dense=GivenDense(COSINES, reached=frozenset({2, 3, 4})))
        asked = question(ASKED, hypothesis=IN_ADVANCE)
        scores = np.array(scores_of(found(asked, reached, by_late=True).order))
        np.testing.assert_allclose(scores - BY_LATE_ALONE, [-0.3, -0.3, -0.3, 0.2, 0.7], atol=1e-5)

    def test_where_no_spread_was_measured_it_is_that_of_what_is_scored(self) -> None:
        order = found(question(ASKED), indexes(spread=0.0), by_late=True).order
        z = (np.array(MAXSIM[ASKED]) - 0.3) / np.sqrt(0.02)  # deviations 0.1, 0.2, 0.2, 0.1 and 0
        assert scores_of(order) == pytest.approx(z + 0.25 * np.array([1.75, 0.5, -0.75, -0.75, -0.75]))

    def test_a_dense_search_that_it_orders_counts_bm25_as_well(self) -> None:
        result = found(question(ASKED, KEYWORDS), mode="dense", by_late=True)
        assert "lexical" not in result.rankings
        assert scores_of(result.order) == pytest.approx(scores_of(found(question(ASKED, KEYWORDS), by_late=True).order))

    @pytest.mark.parametrize(("late", "by_late"), [(True, False), (False, True)])
    def test_it_is_left_out_where_it_is_not_wanted_or_not_there(self, late: bool, by_late: bool) -> None:
        result = found(question(ASKED), indexes(late=late), by_late=by_late)
        assert list(result.rankings) == ["lexical", "dense"]
        assert result.order == found(question(ASKED)).order


class TestCandidates:
    CONFIG = IndexConfig(late=LateConfig(candidates=2), fusion=BY_RANK)

    def test_only_the_best_fused_are_scored_and_the_rest_stand_below_in_their_order(self) -> None:
        snapshot = indexes(exhaustive=False)
        order = ranked(question(ASKED, KEYWORDS), scope_of(snapshot, config=self.CONFIG), by_late=True).order
        assert snapshot.late is not None
        assert snapshot.late.scored == [(ASKED, [1, 0]), (OTHER, [1, 0])]  # fused: 1, 0, 2, 4, 3
        expected = [(1, 1.90625), (0, 1.4479167), (2, 0.4479167), (4, -0.5520833), (3, -1.5520833)]
        assert_ranking(order, expected)

    def test_in_a_small_collection_every_row_is_scored_even_where_no_stage_found_it(self) -> None:
        snapshot = replace(indexes(), dense=GivenDense(COSINES, reached=frozenset({1})))
        order = found(question(ASKED), snapshot, by_late=True).order
        assert snapshot.late is not None
        assert snapshot.late.scored == [(ASKED, [0, 1, 2, 3, 4])]
        assert scores_of(order) == pytest.approx(BY_LATE_ALONE)

    def test_a_lexical_search_is_ordered_among_what_bm25_found(self) -> None:
        snapshot = indexes()
        order = found(question(ASKED), snapshot, mode="lexical", by_late=True).order
        assert snapshot.late is not None
        assert snapshot.late.scored == [(ASKED, [0, 1])]
        assert_ranking(order, [(1, 2.625), (0, 1.4375)])


class TestConcepts:
    ASKED = question(ASKED, KEYWORDS, hypothesis=IN_ADVANCE)
    DESCRIBES = replace(ASKED, described=DESCRIBED)

    def test_weight_times_relevance_comes_on_top_for_the_rows_that_name_one_and_nothing_for_others(self) -> None:
        without = np.array(scores_of(found(self.ASKED, by_late=True).order))
        scores = np.array(scores_of(found(self.DESCRIBES, by_late=True).order))
        np.testing.assert_allclose(scores - without, 3.0 * np.array(RELEVANCE), atol=1e-6)

    def test_their_ranking_holds_what_names_one_by_its_relevance(self) -> None:
        rankings = found(self.DESCRIBES, by_late=True).rankings
        assert_ranking(rankings["concepts"], [(2, 0.4), (3, 0.4), (0, 0.1)])
        others = {name: ranking for name, ranking in rankings.items() if name != "concepts"}
        assert others == found(self.ASKED, by_late=True).rankings

    def test_it_gives_as_many_as_the_depth(self) -> None:
        config = IndexConfig(fusion=FusionConfig(depth=2))
        rankings = ranked(self.DESCRIBES, scope_of(indexes(), config=config), by_late=True).rankings
        assert rows_of(rankings["concepts"]) == [2, 3]

    def test_in_rank_fusion_they_have_no_part_but_count_beside_late_interaction(self) -> None:
        fused = found(self.DESCRIBES, fusion=BY_RANK)
        assert "concepts" in fused.rankings
        assert fused.order == found(self.ASKED, fusion=BY_RANK).order
        late = found(self.DESCRIBES, by_late=True, fusion=BY_RANK).order
        assert scores_of(late) == pytest.approx(scores_of(found(self.DESCRIBES, by_late=True).order))

    def test_late_interaction_scores_what_only_its_concept_finds(self) -> None:
        blind = replace(indexes(exhaustive=False), dense=GivenDense(COSINES, reached=frozenset({1})))
        config = IndexConfig(late=LateConfig(candidates=3))
        order = ranked(question(ASKED, described=DESCRIBED), scope_of(blind, config=config), by_late=True).order
        assert blind.late is not None
        assert blind.late.scored == [(ASKED, [0, 2, 3])]  # fused: 0.9, 0.6, 0.6 and -0.6 for row 1
        assert_ranking(order[:3], [(3, 1.8125 + 1.2), (0, 1.4375 + 0.3), (2, 0.3125 + 1.2)])

    @pytest.mark.parametrize("by_late", [True, False])
    @pytest.mark.parametrize("mode", ["lexical", "dense"])
    def test_a_search_by_one_signal_has_nothing_of_them(self, mode: SearchMode, by_late: bool) -> None:
        described = found(self.DESCRIBES, mode=mode, by_late=by_late)
        assert described == found(self.ASKED, mode=mode, by_late=by_late)
        assert "concepts" not in described.rankings

    @pytest.mark.parametrize("by_late", [True, False])
    def test_in_notes_without_concepts_the_order_is_what_it_was(self, by_late: bool) -> None:
        without = replace(indexes(), concepts=None)
        assert found(self.DESCRIBES, without, by_late=by_late) == found(self.ASKED, without, by_late=by_late)
        assert found(self.ASKED, without, by_late=by_late) == found(self.ASKED, by_late=by_late)


class TestFilter:
    @pytest.mark.parametrize("exhaustive", [True, False])
    @pytest.mark.parametrize("mode", ["lexical", "dense", "hybrid"])
    @given(allowed=st.sets(st.integers(0, ROWS - 1)))
    def test_no_ranking_of_any_way_to_ask_sees_a_row_outside_of_it(
        self, mode: SearchMode, exhaustive: bool, allowed: set[int]
    ) -> None:
        asked = question(ASKED, KEYWORDS, hypothesis=IN_ADVANCE, described=DESCRIBED)
        scope = scope_of(indexes(exhaustive=exhaustive), mode=mode, allowed=sorted(allowed))
        result = ranked(asked, scope, by_late=True)
        for name, ranking in [*result.rankings.items(), ("order", result.order)]:
            assert set(rows_of(ranking)) <= allowed, name
        if mode != "lexical":
            assert set(rows_of(result.order)) == allowed

    def test_what_is_allowed_scores_what_it_scores_without_it(self) -> None:
        asked = question(ASKED, KEYWORDS, hypothesis=IN_ADVANCE, described=DESCRIBED)
        every = dict(ranked(asked, scope_of(indexes()), by_late=True).order)
        some = ranked(asked, scope_of(indexes(), allowed=[1, 2, 4]), by_late=True).order
        assert dict(some) == pytest.approx({row: every[row] for row in (1, 2, 4)})

    def test_a_row_outside_of_it_takes_no_rank_among_what_names_a_concept(self) -> None:
        scope = scope_of(indexes(), allowed=[0, 1, 3])
        asked = question(ASKED, described=DESCRIBED)
        assert_ranking(ranked(asked, scope, by_late=True).rankings["concepts"], [(3, 0.4), (0, 0.1)])
        fused = dict(ranked(asked, scope, by_late=False).order)
        without = dict(ranked(question(ASKED), scope, by_late=False).order)
        assert fused[3] - without[3] == pytest.approx(3.0 * 0.4)


class TestOrder:
    def test_best_first_and_ties_by_row(self) -> None:
        rows, scores = np.array([7, 3, 5, 1]), np.array([0.5, 0.5, 0.9, 0.1], dtype=np.float32)
        assert_ranking(ranking_of(rows, scores), [(5, 0.9), (3, 0.5), (7, 0.5), (1, 0.1)])

    def test_what_was_not_reranked_stands_one_below_the_other_under_the_lowest(self) -> None:
        order = [(4, 9.0), (2, 8.0), (0, 7.0), (1, 6.0)]
        assert below([(2, 0.75), (4, -0.25)], order) == [(0, -1.25), (1, -2.25)]
        assert below([], order[:2]) == [(4, -1.0), (2, -2.0)]
        assert below([(4, 0.5)], [(4, 9.0)]) == []
