"""Orders into one: every part keeps its passage, and what says the same becomes one hit."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.schema import Chunk
from service.answering.config import AnsweringConfig
from service.answering.merging import NEVER_ALIKE, fold_alike, with_every_part
from service.answering.rankings import Ranking
from tests.service.answering.small_indexes import chunk

ALIKE = 0.6

# Each has more than the forty letters from which texts are compared by their shingles.
PRUNING = "剪枝是决策树里减少过拟合的常用办法，它把对结果帮助不大的分支去掉，让树变小也变稳，预测也会快一些。"
PRUNING_AGAIN = PRUNING.replace("常用", "常见")
PRUNING_LONGER = f"{PRUNING}先剪后剪都行。"
FORESTS = "随机森林让许多棵树投票，单棵树不稳也没有关系，整体的方差会小得多，这也是它在比赛里常用的原因。"
TEN_EPOCHS = "训练时每过 10 轮就把学习率减半，直到验证集上的损失连着几轮都没有下降，再回到最好的那一轮收尾。"
TWENTY_EPOCHS = TEN_EPOCHS.replace("10", "20")
NOT_HALVED = TEN_EPOCHS.replace("减半", "不减半")
SHORT, SHORT_AGAIN = "剪枝减少过拟合，是决策树的常用办法。", "剪枝减少过拟合，是决策树的常见办法。"
TEXTS = [PRUNING, PRUNING_AGAIN, PRUNING_LONGER, FORESTS, TEN_EPOCHS, TWENTY_EPOCHS, NOT_HALVED, SHORT, SHORT_AGAIN]


def falling(rows: Sequence[int], scores: Sequence[float]) -> Ranking:
    return list(zip(rows, sorted(scores, reverse=True), strict=True))


@st.composite
def rankings(draw: st.DrawFn, most: int = 8) -> Ranking:
    rows = draw(st.lists(st.integers(0, 11), unique=True, max_size=most))
    scores = st.lists(st.floats(-5, 5), min_size=len(rows), max_size=len(rows))
    return falling(rows, draw(scores))


parts = st.lists(rankings(), min_size=1, max_size=3)


class TestParts:
    def test_parts_and_question_take_turns_below_its_first_two(self) -> None:
        order = [(1, 0.9), (2, 0.5), (3, 0.4), (6, 0.2)]
        merged = with_every_part(order, [[(4, 0.8), (7, 0.3)], [(5, 0.7)]])
        assert merged == [(1, 0.9), (2, 0.5), (4, 0.5), (5, 0.5), (3, 0.4), (7, 0.4), (6, 0.2)]

    def test_a_row_that_a_part_moves_up_brings_the_scores_after_it_down(self) -> None:
        order = [(1, 0.9), (2, 0.5), (3, 0.4), (4, 0.3), (5, 0.2)]
        assert with_every_part(order, [[(4, 0.8)]]) == [(1, 0.9), (2, 0.5), (4, 0.3), (3, 0.3), (5, 0.2)]

    def test_a_part_finds_what_the_whole_question_does_not(self) -> None:
        assert with_every_part([], [[(2, 0.3)], [(1, 0.9), (2, 0.2)]]) == [(2, 0.0), (1, 0.0)]

    @given(rankings(), parts)
    def test_every_row_of_every_ranking_is_there_once(self, order: Ranking, others: list[Ranking]) -> None:
        merged = [row for row, _ in with_every_part(order, others)]
        assert len(merged) == len(set(merged))
        assert set(merged) == {row for ranking in (order, *others) for row, _ in ranking}

    @given(rankings(), parts)
    def test_scores_never_rise_nor_pass_those_of_the_whole_question(
        self, order: Ranking, others: list[Ranking]
    ) -> None:
        merged = with_every_part(order, others)
        assert all(one >= other for (_, one), (_, other) in itertools.pairwise(merged))
        known = dict(order)
        assert all(score <= known.get(row, score) for row, score in merged)

    @given(rankings(), parts)
    def test_the_first_n_of_each_stand_among_the_first_n_turns(self, order: Ranking, others: list[Ranking]) -> None:
        merged = [row for row, _ in with_every_part(order, others)]
        for ranking in (order, *others):
            for turn, (row, _) in enumerate(ranking, start=1):
                assert row in merged[: 2 + turn * (1 + len(others))]

    @given(rankings())
    def test_no_parts_or_parts_that_agree_change_nothing(self, order: Ranking) -> None:
        assert with_every_part(order, []) == order
        assert with_every_part(order, [order, order[:1]]) == order


def chunks_of(texts: Sequence[str]) -> list[Chunk]:
    return [chunk(text, note=f"{number}.md") for number, text in enumerate(texts)]


def folded(*texts: str, similarity: float = ALIKE, top_k: int = 10) -> tuple[list[int], dict[int, int]]:
    """Fold texts that rank as they are given; the rows that stay, and which was folded into which."""
    order = [(row, -float(row)) for row in range(len(texts))]
    left, homes = fold_alike(order, chunks_of(texts), top_k=top_k, similarity=similarity)
    return [row for row, _ in left], homes


def shingle_similarity(one: str, other: str) -> float:
    """Jaccard similarity of the runs of five letters and digits."""
    letters = ["".join(c for c in text if c.isalnum()) for text in (one, other)]
    first, second = ({text[i : i + 5] for i in range(len(text) - 4)} for text in letters)
    return len(first & second) / len(first | second)


class TestFolding:
    def test_what_says_the_same_is_folded_into_the_better_one(self) -> None:
        assert folded(PRUNING_AGAIN, FORESTS, PRUNING) == ([0, 1], {2: 0})
        assert folded(PRUNING, FORESTS, PRUNING_AGAIN) == ([0, 1], {2: 0})

    def test_the_better_one_stays_even_where_the_other_is_longer(self) -> None:
        assert folded(PRUNING, PRUNING_LONGER) == ([0], {1: 0})

    def test_a_number_or_a_negation_that_differs_keeps_two_apart(self) -> None:
        assert folded(TEN_EPOCHS, TWENTY_EPOCHS, NOT_HALVED, similarity=0.5) == ([0, 1, 2], {})

    def test_it_is_the_jaccard_similarity_of_their_shingles_from_which_they_are_alike(self) -> None:
        share = shingle_similarity(PRUNING, PRUNING_AGAIN)
        letters = len(PRUNING) - 4  # without its punctuation; four fewer shingles, of which five differ on either side
        assert share == pytest.approx((letters - 9) / (letters + 1))
        assert folded(PRUNING, PRUNING_AGAIN, similarity=share) == ([0], {1: 0})
        assert folded(PRUNING, PRUNING_AGAIN, similarity=share + 0.01) == ([0, 1], {})

    def test_at_one_nothing_is_folded_not_even_copies(self) -> None:
        assert folded(PRUNING, PRUNING, similarity=NEVER_ALIKE) == ([0, 1], {})

    def test_every_copy_is_folded_into_the_same_one(self) -> None:
        assert folded(PRUNING, PRUNING_AGAIN, FORESTS, PRUNING) == ([0, 2], {1: 0, 3: 0})

    def test_only_those_that_stay_count_and_what_comes_after_is_not_looked_at(self) -> None:
        texts = (PRUNING, PRUNING_AGAIN, FORESTS, FORESTS, PRUNING, TEN_EPOCHS)
        assert folded(*texts, top_k=2) == ([0, 2, 3, 4, 5], {1: 0})
        assert folded(*texts, top_k=3) == ([0, 2, 5], {1: 0, 3: 2, 4: 0})

    def test_short_texts_that_are_only_alike_stay(self) -> None:
        assert shingle_similarity(SHORT, SHORT_AGAIN) > 0.3
        assert folded(SHORT, SHORT_AGAIN, SHORT, similarity=0.3) == ([0, 1], {2: 0})

    def test_it_goes_as_low_as_it_can_be_configured(self) -> None:
        half = f"{PRUNING[:32]}，接下来要讲怎样挑选代价复杂度。"
        assert 0.3 <= shingle_similarity(PRUNING, half) < 0.5
        lowest = AnsweringConfig(fold_similarity=0.3).fold_similarity
        assert folded(PRUNING, half, similarity=lowest) == ([0], {1: 0})
        assert folded(PRUNING, half, similarity=0.5) == ([0, 1], {})

    @given(
        st.lists(st.sampled_from(TEXTS), max_size=8),
        st.integers(1, 8),
        st.sampled_from([0.3, 0.5, 0.6, 0.75, 0.9, 1.0]),
        st.randoms(use_true_random=False),
    )
    def test_every_row_stays_or_is_folded_into_a_better_one_that_stays(
        self, texts: list[str], top_k: int, similarity: float, random: object
    ) -> None:
        rows = list(range(len(texts)))
        random.shuffle(rows)  # type: ignore[attr-defined]  # hypothesis' own Random
        order = [(row, 1.0 / place) for place, row in enumerate(rows, 1)]
        left, homes = fold_alike(order, chunks_of(texts), top_k=top_k, similarity=similarity)
        assert left == [(row, score) for row, score in order if row not in homes]
        assert len(left) + len(homes) == len(order)
        best = [row for row, _ in left[:top_k]]
        for row, home in homes.items():
            assert home in best
            assert rows.index(home) < rows.index(row)
            assert shingle_similarity(texts[home], texts[row]) >= similarity or PRUNING_LONGER in {
                texts[home], texts[row]
            }  # fmt: skip
        if similarity < NEVER_ALIKE:
            assert len({texts[row] for row in best}) == len(best)
