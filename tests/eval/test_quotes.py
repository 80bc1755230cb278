"""What holds a quote, against hand-made cases and against the reference scorer on anything at all."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from eval.quotes import PassageSearch, fact_recall, groups_held, holds, normalised
from tests.eval.small_notes import reference_scorer

QUOTE = "把键和值存在不连续的显存块里，碎片就少得多了"
# Letters that compare equal in other spellings, radicals, marks, and few enough of each that runs do occur.
TEXTS = st.text(alphabet="键值显存块碎片ＡａＢb⻓长⻘12，。 *\n$", max_size=60)


class TestHolds:
    def test_the_quote_itself_whatever_marks_and_line_breaks_are_in_it(self) -> None:
        assert holds("前面 **把键和值**存在\n不连续的 显存块里，碎片就少得多了", QUOTE)

    def test_sixty_per_cent_in_one_run_is_enough_and_less_is_not(self) -> None:
        letters = normalised(QUOTE)
        assert holds(letters[: len(letters) * 7 // 10], QUOTE)
        assert not holds(letters[: len(letters) // 2], QUOTE)

    def test_the_same_words_scattered_are_not_the_quote(self) -> None:
        assert not holds("碎片 显存块 键和值 不连续", QUOTE)

    def test_a_quote_shorter_than_the_floor_must_stand_whole(self) -> None:
        assert holds("用 ＫＶ 缓存", "kv缓存")
        assert not holds("用 KV 缓", "kv缓存")

    def test_radicals_that_look_like_characters_are_those(self) -> None:
        assert normalised("⻓⻘Ａ·b") == "长青ab"


@settings(max_examples=300)
@given(TEXTS, TEXTS)
def test_the_reference_scorer_says_the_same_of_any_two_texts(passage: str, quote: str) -> None:
    score = reference_scorer()
    assert normalised(passage) == score.normalise(passage)
    assert holds(passage, quote) == score.contains(score.normalise(passage), score.normalise(quote))


@settings(max_examples=300)
@given(st.lists(TEXTS, max_size=6), TEXTS.filter(normalised))
def test_searching_all_passages_at_once_finds_those_that_hold_it(passages: list[str], quote: str) -> None:
    alone = {row for row, passage in enumerate(passages) if holds(passage, quote)}
    assert PassageSearch(passages).holding(quote) == alone


def test_groups_are_held_by_any_of_their_quotes() -> None:
    passages = ["绿茶用八十度的水冲泡", "红茶用开水，绿茶用八十度的水冲泡", "白茶"]
    groups = [["绿茶用八十度的水", "无"], ["红茶用开水"]]
    assert groups_held(passages, groups) == [frozenset({0}), frozenset({0, 1}), frozenset()]


@given(st.lists(st.lists(TEXTS, min_size=1, max_size=3), max_size=4), TEXTS)
def test_fact_recall_is_the_reference_scorers(facts: list[list[str]], answer: str) -> None:
    assert fact_recall(facts, answer) == reference_scorer().fact_recall({"key_facts": facts}, answer)
