"""From chunks to the names that they use for the same thing."""

from __future__ import annotations

import itertools

from index.glossary import Glossary
from index.schema import Chunk, chunk_id
from ingest.glossary import mine_glossary


def chunk(text: str, *, heading: tuple[str, ...] = (), note: str = "a.md", title: str = "") -> Chunk:
    return Chunk(chunk_id(note, heading, text), note, heading, text, (1, 1), title=title)


def names(glossary: Glossary) -> dict[tuple[str, str], int]:
    return {pair.names: pair.count for pair in glossary.pairs}


def mined(*texts: str) -> dict[tuple[str, str], int]:
    return names(mine_glossary([chunk(text) for text in texts]))


def test_spellings_of_one_pair_are_counted_together_under_the_most_frequent() -> None:
    found = mined("- 重排（rerank）", "- 重排（Rerank）很慢", "- rerank（重排）")

    assert found == {("rerank", "重排"): 3}


def test_a_name_begins_where_the_notes_use_it_elsewhere() -> None:
    text = "效果最后都取决于拿来的训练编排（scheduling）。"

    assert mined(text, "先训练。", "重新训练。", "编排要紧。", "又是编排。") == {("scheduling", "编排"): 1}
    assert mined(text) == {}


def test_a_noun_phrase_of_a_fitting_length_needs_no_other_place() -> None:
    assert mined("最后拿这些样本训练分类器（classifier）。", "先训练。", "换样本。") == {("classifier", "分类器"): 1}


def test_a_name_does_not_begin_behind_half_of_a_word() -> None:
    assert mined("它采用自编码（autoencoding）的方式。", "编码很快。", "自行车。") == {("autoencoding", "自编码"): 1}


def test_a_word_that_is_used_nowhere_else_belongs_to_the_name() -> None:
    assert mined("图里只打墓碑标记（tombstone）。", "标记很多。", "做标记。") == {("tombstone", "墓碑标记"): 1}


def test_a_name_with_a_latin_part_in_front_is_left_out() -> None:
    assert mined("在Stanford自然语言推理（SNLI）上训练。", "自然语言推理难。") == {}


def test_a_short_gloss_of_one_word_needs_a_second_place() -> None:
    once, twice = "decode（解码）慢。", "先 decode（解码）。"

    assert mined(once) == {}
    assert mined(once, twice) == {("decode", "解码"): 2}


def test_a_title_counts_once_in_a_note() -> None:
    heading = ("投机解码 speculative decoding", "对齐税（alignment tax）")
    chunks = [chunk(text, heading=heading) for text in ("甲说一。", "乙说二。")]
    other = chunk("丙说三。", heading=heading[:1], note="b.md")

    assert names(mine_glossary([*chunks, other])) == {
        ("speculative decoding", "投机解码"): 2,
        ("alignment tax", "对齐税"): 1,
    }


def test_a_pair_knows_a_chunk_that_holds_it() -> None:
    first, second = chunk("- 重排（rerank）"), chunk("无关。")

    (pair,) = mine_glossary([first, second]).pairs

    assert pair.chunk_id == first.id


def test_the_order_of_chunks_changes_nothing() -> None:
    texts = [
        "我们利用自注意力机制（Self-Attention）。",
        "自注意力机制很贵，self-attention（自注意力）也是。",
        "检索增强生成（Retrieval-Augmented Generation，RAG）",
        "RAG（检索增强生成）",
    ]
    chunks = [chunk(text, note=f"{number}.md") for number, text in enumerate(texts)]
    expected = mine_glossary(chunks).pairs

    for shuffled in itertools.permutations(chunks):
        assert mine_glossary(shuffled).pairs == expected


def test_a_chinese_name_of_one_character_is_left_out() -> None:
    assert mined("- 键（Key）", "键（Key）和值（Value）") == {}


def test_no_chunks_give_an_empty_glossary() -> None:
    assert mine_glossary([]).pairs == ()
    assert mine_glossary([chunk("")]).pairs == ()
