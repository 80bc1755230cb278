"""The text that is shown: a mark in every sentence, and a citation behind every mark."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.schema import Chunk
from ingest.sentences import split_sentences, verbatim_spans
from service.answering.composing import CitedSentence, compose, marked, without_list_mark
from service.answering.context import Sentence
from tests.service.answering.small_indexes import chunk

MARK = re.compile(r"\[(\d+)\]")
ONE = chunk("词频会饱和。\n- 少见的词更重。\n- 长文档要压低。", heading=("BM25",))
TWO = chunk("Attention looks everywhere. It costs a lot.", note="attention.md")
CODE = chunk("这样写：\n```py\nx = a[0]\n\ny = 2\n```\n就好。", note="code.md")
TABLE = chunk("| 名称 | 值 |\n|---|---|\n| k1 | 1.5 |", note="table.md")
FORMULA = chunk("公式是\n$$\ns = q^T k\n$$", note="formula.md")
REFERENCES = chunk("这一点有人证明过 [12]。另见[3]。", note="paper.md")
BLOCKS = ("```", "$$")
EVERY = (ONE, TWO, CODE, TABLE, FORMULA, REFERENCES)


def sentences_of(source: Chunk) -> list[CitedSentence]:
    """What an extract of the whole chunk is composed of."""
    return [
        CitedSentence(without_list_mark(text), Sentence(0, position, source, text, 1.0))
        for position, text in enumerate(split_sentences(source.text))
    ]


def marks_of(text: str) -> list[int]:
    """Numbers of the marks outside of code and formulas."""
    verbatim = verbatim_spans(text)
    return [int(mark.group(1)) for mark in MARK.finditer(text) if not any(a <= mark.start() < b for a, b in verbatim)]


SOURCES = st.sampled_from([sentence for each in EVERY for sentence in sentences_of(each)])
WRITTEN = st.text('词频会饱和 abZ1.。！？:："”）)*_|-[3]\n', min_size=1, max_size=40).filter(
    lambda text: any(character.isalnum() for character in without_list_mark(MARK.sub("", text)))
)


@st.composite
def cited(draw: st.DrawFn) -> CitedSentence:
    """A sentence of the notes as it stands, or one that a model made of it."""
    own = draw(SOURCES)
    return CitedSentence(draw(WRITTEN), own.source) if draw(st.booleans()) else own


class TestEveryAnswer:
    @given(st.lists(cited(), min_size=1, max_size=8))
    def test_has_a_mark_in_every_sentence_and_a_citation_for_every_mark(self, sentences: list[CitedSentence]) -> None:
        text, citations = compose(sentences)
        marks = marks_of(text)
        assert set(marks) == {citation.n for citation in citations}
        rules = sum(set(sentence.text.strip()) <= set("|-") for sentence in sentences)
        assert len(marks) >= len(sentences) - rules

    @given(st.lists(cited().filter(lambda sentence: not any(b in sentence.text for b in BLOCKS)), min_size=1))
    def test_has_a_mark_on_every_line_of_prose(self, sentences: list[CitedSentence]) -> None:
        for line in compose(sentences)[0].splitlines():
            assert marks_of(line) or not any(character.isalnum() for character in line)

    @given(st.lists(cited(), min_size=1, max_size=8))
    def test_numbers_its_citations_by_first_use(self, sentences: list[CitedSentence]) -> None:
        text, citations = compose(sentences)
        assert [citation.n for citation in citations] == list(range(1, len(citations) + 1))
        assert list(dict.fromkeys(marks_of(text))) == [citation.n for citation in citations]
        assert len({citation.chunk_id for citation in citations}) == len(citations)

    @given(st.lists(cited(), min_size=1, max_size=8))
    def test_quotes_what_stands_in_the_chunk(self, sentences: list[CitedSentence]) -> None:
        chunks = {each.id: each for each in EVERY}
        for citation in compose(sentences)[1]:
            source = chunks[citation.chunk_id]
            assert citation.quote
            assert citation.quote in source.text
            assert (citation.note, citation.heading, citation.lines) == (source.note, source.heading, source.lines)

    @given(st.lists(cited(), min_size=1, max_size=8))
    def test_loses_no_word(self, sentences: list[CitedSentence]) -> None:
        text, _ = compose(sentences)
        words = re.compile(r"[^\W\d_]+")
        assert words.findall(text) == [word for sentence in sentences for word in words.findall(sentence.text)]


def test_two_sentences_of_one_chunk_share_a_number_and_the_first_is_quoted() -> None:
    first, second, _ = sentences_of(ONE)
    other = sentences_of(TWO)[0]
    text, citations = compose([second, other, first])
    assert text == "少见的词更重[1]。Attention looks everywhere [2]. 词频会饱和[1]。"
    assert [citation.quote for citation in citations] == ["- 少见的词更重。", "Attention looks everywhere."]


def test_nothing_is_composed_of_nothing() -> None:
    assert compose([]) == ("", ())


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("会饱和。", "会饱和[2]。"),
        ("会饱和！？", "会饱和[2]！？"),
        ("“会饱和。”", "“会饱和[2]。”"),
        ("（会饱和。）", "（会饱和[2]。）"),
        ("如下：", "如下[2]："),
        ("没有句号", "没有句号[2]"),
        ("It saturates.", "It saturates [2]."),
        ("It saturates...", "It saturates [2]..."),
        ("BM25。", "BM25 [2]。"),
        ("**会饱和。**", "**会饱和[2]。**"),
        ("取均值 (mean)", "取均值 (mean) [2]"),
        ("写成 f(x)。", "写成 f(x) [2]。"),
        ("`__init__`", "`__init__` [2]"),
        ("$a_i = b$", "$a_i = b$ [2]"),
        ("。", "[2]。"),
        ("  会饱和。\n", "会饱和[2]。"),
    ],
)
def test_a_mark_stands_before_what_closes_the_sentence(sentence: str, shown: str) -> None:
    assert marked(sentence, 2) == shown


class TestBlocks:
    def test_a_mark_stands_below_a_code_block_so_that_the_fence_stays_one(self) -> None:
        assert marked("```py\nx\n```", 1) == "```py\nx\n```\n[1]"
        assert marked("这样写：\n```py\nx\n```\n", 1) == "这样写：\n```py\nx\n```\n[1]"

    def test_every_line_of_a_list_has_its_own_mark(self) -> None:
        assert marked("两步：\n先算分。\n再排序。", 1) == "两步[1]：\n先算分[1]。\n再排序[1]。"

    def test_code_keeps_its_brackets(self) -> None:
        text, _ = compose(sentences_of(CODE))
        assert "x = a[0]\n\ny = 2\n```" in text

    def test_a_code_block_begins_on_its_own_line(self) -> None:
        code = CitedSentence("```py\nx\n```", sentences_of(TWO)[0].source)
        assert compose([sentences_of(TWO)[0], code])[0] == "Attention looks everywhere [1].\n```py\nx\n```\n[1]"

    def test_a_mark_stands_below_a_display_formula(self) -> None:
        assert compose(sentences_of(FORMULA))[0] == "公式是\n$$\ns = q^T k\n$$\n[1]"

    def test_a_mark_stands_in_the_last_cell_of_a_row_and_the_rule_stays_one(self) -> None:
        text, citations = compose(sentences_of(TABLE))
        assert text == "| 名称 | 值 [1] |\n|---|---|\n| k1 | 1.5 [1] |"
        assert len(citations) == 1

    def test_prose_goes_on_below_a_table(self) -> None:
        text, _ = compose([*sentences_of(TABLE), sentences_of(TWO)[1]])
        assert text.splitlines()[-1] == "It costs a lot [2]."

    def test_items_stand_on_lines_of_their_own_without_their_dashes(self) -> None:
        assert compose(sentences_of(ONE))[0] == "词频会饱和[1]。\n少见的词更重[1]。\n长文档要压低[1]。"

    def test_sentences_go_on_in_the_line_as_their_language_has_it(self) -> None:
        assert compose(sentences_of(TWO))[0] == "Attention looks everywhere [1]. It costs a lot [1]."


def test_reference_numbers_of_the_notes_do_not_pass_for_citations() -> None:
    text, citations = compose(sentences_of(REFERENCES))
    assert text == "这一点有人证明过[1]。另见[1]。"
    assert citations[0].quote == "这一点有人证明过 [12]。"


@pytest.mark.parametrize(("text", "bare"), [("- 一", "一"), ("  * - 二", "二"), ("-3 度", "-3 度"), ("1. 三", "1. 三")])
def test_a_list_mark_is_dropped(text: str, bare: str) -> None:
    assert without_list_mark(text) == bare
