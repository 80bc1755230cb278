"""The lines of a passage that match a question: by the rarity of the terms they share with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import fsum, log

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from index.config import LexicalConfig
from index.lexical import LexicalIndex
from index.postings import LexicalDocument
from index.tokenizer import Tokenizer
from service.answering.matching import matching_lines
from service.answering.query import Variant
from tests.service.answering.small_indexes import asked

# Eight documents: `rare` is in one of them, `some` in two, `half` in four, `every` in all.
DOCUMENTS = [
    ["rare", "some", "half", "every"],
    ["some", "half", "every"],
    *[["half", "every"]] * 2,
    *[["every"]] * 4,
]
FREQUENCY = {"rare": 1, "some": 2, "half": 4, "every": 8}
TOKENIZER = Tokenizer()


@pytest.fixture(scope="module")
def lexical() -> LexicalIndex:
    return LexicalIndex.build([LexicalDocument(heading=[], body=terms) for terms in DOCUMENTS], LexicalConfig())


def matched(text: str, question: str, lexical: LexicalIndex, *others: str) -> tuple[str, ...]:
    query = asked(question)
    variants = tuple(Variant("rewording", asked(other), 0.25) for other in others)
    return matching_lines(text, replace(query, variants=variants), lexical, TOKENIZER)


def rarity(*words: str) -> float:
    return fsum(log(1 + (8.5 - FREQUENCY.get(word, 0)) / (FREQUENCY.get(word, 0) + 0.5)) for word in words)


def test_lines_come_as_they_stand_and_in_their_order(lexical: LexicalIndex) -> None:
    text = "## Some, some more\nnothing of it\n  - **Rare** and half\n"
    assert matched(text, "rare some half", lexical) == ("## Some, some more", "  - **Rare** and half")


def test_a_line_with_less_than_a_fifth_of_the_rarity_asked_for_is_none(lexical: LexicalIndex) -> None:
    assert rarity("half") / rarity("rare", "some", "half") == pytest.approx(0.1841, abs=1e-4)
    assert rarity("half") / rarity("some", "half") == pytest.approx(0.3511, abs=1e-4)
    assert matched("half", "rare some half", lexical) == ()
    assert matched("half", "some half", lexical) == ("half",)


def test_a_term_counts_once_however_often_it_stands_in_the_line_or_the_question(lexical: LexicalIndex) -> None:
    assert matched("half half half half", "rare some half", lexical) == ()
    assert matched("half", "half half half some rare", lexical) == ()


def test_a_word_that_the_notes_do_not_have_is_the_rarest_of_what_is_asked(lexical: LexicalIndex) -> None:
    assert rarity("some") / rarity("some", "zyzzyva") == pytest.approx(0.3071, abs=1e-4)
    assert rarity("some") / rarity("some", "zyzzyva", "xylem", "quokka") < 0.2
    assert matched("some", "some zyzzyva", lexical) == ("some",)
    assert matched("some", "some zyzzyva xylem quokka", lexical) == ()


def test_there_are_three_at_most_and_they_are_the_best_of_equals_the_first(lexical: LexicalIndex) -> None:
    text = "some 1\nrare\nsome 2\nrare some\nsome 3"
    assert matched(text, "rare some", lexical) == ("some 1", "rare", "rare some")


def test_the_words_of_another_way_to_ask_match_as_well(lexical: LexicalIndex) -> None:
    assert matched("rare\nsome", "some", lexical) == ("some",)
    assert matched("rare\nsome", "some", lexical, "rare") == ("rare", "some")


def test_unknown_words_of_another_way_to_ask_hide_no_line(lexical: LexicalIndex) -> None:
    unknown = "zyzzyva quux frobnicate gadzooks"
    assert matched("BM25 counts words", "BM25", lexical, unknown) == matched("BM25 counts words", "BM25", lexical)
    assert matched("BM25 counts words", "BM25", lexical)


def test_terms_are_those_of_the_index(lexical: LexicalIndex) -> None:
    assert matched("Halves\nＲＡＲＥ", "rare", lexical) == ("ＲＡＲＥ",)
    assert matched("自注意力讓每個詞看見其他詞\n另一行", "注意力的作用", lexical) == ("自注意力讓每個詞看見其他詞",)


def test_across_languages_there_are_none(lexical: LexicalIndex) -> None:
    assert matched("注意力让每个词看见其他词。", "What does attention do?", lexical) == ()
    assert matched("Every word sees the others.", "注意力有什么用？", lexical) == ()


@pytest.mark.parametrize(("text", "question"), [("", "rare"), (" \n\n", "rare"), ("rare", "？")])
def test_without_lines_or_terms_there_are_none(lexical: LexicalIndex, text: str, question: str) -> None:
    assert matched(text, question, lexical) == ()


@example(lines=[["every", "half", "rare"]] * 3 + [["every", "half", "rare", "some"]], words=["every", "half", "rare"])
@given(
    st.lists(st.sets(st.sampled_from(sorted(FREQUENCY))).map(sorted), max_size=8),
    st.sets(st.sampled_from(sorted(FREQUENCY)), min_size=1).map(sorted),
)
def test_as_summed_up_plainly(lexical: LexicalIndex, lines: list[list[str]], words: list[str]) -> None:
    texts = [f"{' '.join(line)} - {number}" for number, line in enumerate(lines)]
    assert matched("\n".join(texts), " ".join(words), lexical) == tuple(expected(texts, lines, words))


def expected(texts: Sequence[str], lines: Sequence[Sequence[str]], words: Sequence[str]) -> list[str]:
    shares = [rarity(*set(line) & set(words)) / rarity(*words) for line in lines]
    best = sorted(range(len(lines)), key=lambda i: (-shares[i], i))[:3]
    return [texts[i] for i in sorted(best) if shares[i] >= 0.2]
