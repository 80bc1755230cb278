from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.schema import Chunk, chunk_id
from ingest.config import DuplicateConfig
from ingest.dedupe import are_duplicates, fold_duplicates

CONFIG = DuplicateConfig()
LONG = (
    "剪枝是决策树里减少过拟合的常用办法，它把对结果帮助不大的分支去掉，让树变小也变稳。"
    "预剪枝在分裂之前停止生长，后剪枝先让树长成再从叶子往上收缩，两者都要用验证集来决定去留。"
)


def chunk(text: str, note: str = "a.md", line: int = 1, heading: tuple[str, ...] = ("树",)) -> Chunk:
    return Chunk(chunk_id(note, heading, text), note, heading, text, (line, line))


def kept(*chunks: Chunk) -> list[str]:
    return [f"{found.note}:{found.lines[0]}" for found in fold_duplicates(chunks, CONFIG)]


def test_an_exact_duplicate_becomes_an_alternative_of_the_first() -> None:
    first, second = chunk(LONG, "a.md"), chunk(f"**{LONG}**", "b.md", 7)
    (found,) = fold_duplicates([second, first], CONFIG)
    assert found.id == first.id
    (place,) = found.alternatives
    assert (place.chunk_id, place.note, place.heading, place.lines, place.text) == (
        second.id,
        "b.md",
        ("树",),
        (7, 7),
        second.text,
    )


def test_a_near_duplicate_is_folded_into_the_longer_one() -> None:
    longer = LONG.replace("常用办法", "常用的办法")
    (found,) = fold_duplicates([chunk(LONG, "a.md"), chunk(longer, "b.md")], CONFIG)
    assert (found.note, [place.note for place in found.alternatives]) == ("b.md", ["a.md"])


def test_a_short_chunk_inside_a_longer_one_is_folded() -> None:
    inside = LONG[: LONG.index("后剪枝")]
    assert kept(chunk(inside, "a.md"), chunk(LONG + "此外还有代价复杂度剪枝。" * 3, "b.md")) == ["b.md:1"]


def test_different_texts_stay() -> None:
    assert kept(
        chunk(LONG),
        chunk("随机森林让许多棵树投票，单棵树不稳也没有关系，整体的方差会小得多，这也是它常用的原因。", line=9),
    ) == [
        "a.md:1",
        "a.md:9",
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("上下文长度是 4000 个 token", "上下文长度是 4096 个 token"),
        ("这对训练有利", "这对训练不利"),
        ("损失写作 $a+b$ 即可", "损失写作 $a-b$ 即可"),
        ("调用 `fit()` 即可", "调用 `fit` 即可"),
        ("模型用 BERT 编码", "模型用 GPT 编码"),
        ("温度 > 1 时更平", "温度 < 1 时更平"),
        ("学习率为 0.1", "学习率为 0.01"),
        ("偏移量为 -3", "偏移量为 3"),
    ],
)
def test_what_differs_in_a_detail_that_matters_is_not_folded(one: str, other: str) -> None:
    assert kept(chunk(f"{LONG}{one}。"), chunk(f"{LONG}{other}。", line=9)) == ["a.md:1", "a.md:9"]


def test_a_number_cut_short_is_not_contained() -> None:
    short = f"{LONG}长度是 40"
    assert kept(
        chunk(short), chunk(f"{short}96 个字，而且还可以再加长一些，直到内存放不下为止，那时就要换办法了。", line=9)
    ) == ["a.md:1", "a.md:9"]


def test_the_same_short_answer_to_different_questions_stays() -> None:
    assert kept(
        chunk("可以。", line=1, heading=("树可以并行吗？",)), chunk("可以。", line=5, heading=("林可以并行吗？",))
    ) == [
        "a.md:1",
        "a.md:5",
    ]
    assert kept(chunk("可以。", line=1), chunk("可以", line=5)) == ["a.md:1"]


def test_the_result_does_not_depend_on_the_order() -> None:
    chunks = [
        chunk(LONG, "b.md"),
        chunk(LONG, "a.md"),
        chunk(LONG + "完。", "c.md"),
        chunk("另一段完全不同的文字，讲的是森林和提升方法之间的差别，以及什么时候该用哪一种办法来训练。", "d.md"),
    ]
    results = [fold_duplicates(order, CONFIG) for order in permutations(chunks)]
    assert all(result == results[0] for result in results)
    assert [found.note for found in results[0]] == ["c.md", "d.md"]


def test_alternatives_of_a_folded_chunk_are_kept() -> None:
    first = fold_duplicates([chunk(LONG, "a.md"), chunk(LONG, "b.md")], CONFIG)
    (found,) = fold_duplicates([*first, chunk(LONG + "完。", "c.md")], CONFIG)
    assert [place.note for place in found.alternatives] == ["a.md", "b.md"]


def test_nothing_in_nothing_out() -> None:
    assert fold_duplicates([], CONFIG) == []


@given(st.lists(st.sampled_from([LONG, LONG + "完。", LONG[:60], "短。", "长度 4096。", ""]), max_size=8))
def test_every_chunk_is_kept_or_is_an_alternative(texts: list[str]) -> None:
    chunks = [chunk(text, line=line) for line, text in enumerate(texts, 1)]
    chunks = [Chunk(f"{c.id}{n}", c.note, c.heading, c.text, c.lines) for n, c in enumerate(chunks)]
    result = fold_duplicates(chunks, CONFIG)
    ids = [c.id for c in result] + [place.chunk_id for c in result for place in c.alternatives]
    assert sorted(ids) == sorted(c.id for c in chunks)


class TestTwoChunks:
    """Two chunks compared by themselves, with no search for candidates before it."""

    ALIKE = LONG.replace("常用办法", "常见办法")

    def test_they_are_duplicates_from_the_threshold_on(self) -> None:
        letters = sum(character.isalnum() for character in LONG)
        share = (letters - 9) / (letters + 1)  # five of the runs of five characters differ, on either side
        one, other = chunk(LONG), chunk(self.ALIKE, "b.md")
        assert are_duplicates(one, other, DuplicateConfig(threshold=share))
        assert not are_duplicates(one, other, DuplicateConfig(threshold=share + 0.001))

    def test_one_that_stands_whole_in_the_other_is_at_any_threshold(self) -> None:
        strict = DuplicateConfig(threshold=1.0)
        assert are_duplicates(chunk(LONG), chunk(LONG + "此外还有代价复杂度剪枝。" * 3, "b.md"), strict)
        assert not are_duplicates(chunk(LONG), chunk(self.ALIKE, "b.md"), strict)

    def test_a_short_text_is_only_where_text_and_heading_are_equal(self) -> None:
        assert are_duplicates(chunk("可以。"), chunk("可以", "b.md"), CONFIG)
        assert not are_duplicates(chunk("可以。"), chunk("可以。", heading=("林",)), CONFIG)
        assert not are_duplicates(chunk("可以。"), chunk(f"可以。{LONG}", "b.md"), CONFIG)

    @given(
        st.sampled_from(
            [LONG, ALIKE, LONG + "完。", LONG[:60], LONG.replace("不大", "大"), f"{LONG}共 3 种。", "可以。"]
        ),
        st.sampled_from([LONG, ALIKE, f"**{LONG}**", f"{LONG}共 4 种。", LONG[60:], "可以", "不可以。"]),
    )
    def test_they_are_what_is_folded_at_indexing_whichever_comes_first(self, one: str, other: str) -> None:
        first, second = chunk(one, "a.md"), chunk(other, "b.md")
        assert are_duplicates(first, second, CONFIG) == (len(fold_duplicates([first, second], CONFIG)) == 1)
        assert are_duplicates(second, first, CONFIG) == are_duplicates(first, second, CONFIG)
