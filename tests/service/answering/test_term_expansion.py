"""What the glossary adds to a question."""

from __future__ import annotations

import pytest

from index.glossary import Glossary, TermPair
from index.tokenizer import Tokenizer
from service.answering.term_expansion import TermExpansion, expand_terms

GLOSSARY = Glossary(
    [
        TermPair(("self-attention", "自注意力"), 3, "a"),
        TermPair(("SA", "self-attention"), 1, "a"),
        TermPair(("交叉熵", "对数损失"), 1, "b"),
        TermPair(("RAG", "检索增强生成"), 1, "c"),
    ]
)
TOKENIZER = Tokenizer()


def expanded(question: str) -> TermExpansion:
    return expand_terms(question, GLOSSARY, TOKENIZER)


def test_an_english_question_gets_the_chinese_name() -> None:
    assert expanded("What does self-attention cost?").text == "What does 自注意力 cost?"


def test_a_chinese_question_gets_english_names_but_no_synonyms() -> None:
    assert expanded("自注意力和交叉熵").text == "self-attention 和交叉熵"


@pytest.mark.parametrize("question", ["RAG", "什么是 RAG？", "what is self-attention", "自注意力和交叉熵是什么"])
def test_a_question_for_names_alone(question: str) -> None:
    assert expanded(question).names_only


@pytest.mark.parametrize("question", ["RAG 为什么慢", "how does RAG fail", "词袋", "什么", ""])
def test_a_question_for_more_or_for_an_unknown_name(question: str) -> None:
    assert not expanded(question).names_only


@pytest.mark.parametrize("question", ["怎么做饭", "", "？", "a  b"])
def test_a_question_without_known_names_is_left_as_it_is(question: str) -> None:
    assert expanded(question) == TermExpansion(text=question, names_only=False)


def test_every_name_of_a_question_is_replaced() -> None:
    assert expanded("RAG和SA，还是RAG").text == "检索增强生成 和 self-attention ，还是 检索增强生成"
