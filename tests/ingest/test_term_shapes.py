"""What a name looks like, and which Chinese and Latin names can mean the same."""

from __future__ import annotations

import pytest

from ingest.term_shapes import (
    can_translate,
    find_abbreviated,
    find_long_form,
    head_fits,
    is_acronym,
    is_chinese_name,
    is_latin_name,
    is_short_for,
    word_count,
)


@pytest.mark.parametrize("name", ["自注意力", "层归一化", "K最近邻", "词频-逆文档频率", "多头注意力机制"])
def test_chinese_noun_phrases_are_names(name: str) -> None:
    assert is_chinese_name(name)


@pytest.mark.parametrize(
    "text", ["默认", "见图", "如下表", "这种方法", "模型的参数", "词", "使用缓存", "一二三四五六七八九十甲乙丙丁戊"]
)
def test_asides_clauses_and_what_is_too_short_or_long_are_none(text: str) -> None:
    assert not is_chinese_name(text)


def test_a_long_name_may_have_a_link_within_but_not_at_its_end() -> None:
    assert is_chinese_name("基于人类反馈的强化学习", linked=True)
    assert not is_chinese_name("基于人类反馈的强化学习")
    assert not is_chinese_name("人类反馈的", linked=True)


@pytest.mark.parametrize(
    "name", ["self-attention", "Layer Normalization", "RAG", "word2vec", "lost in the middle", "USE"]
)
def test_latin_noun_phrases_are_names(name: str) -> None:
    assert is_latin_name(name)


@pytest.mark.parametrize(
    "text", ["2017", "GB", "d_model", "e.g. BERT", "this is slow", "see below", "x", "the model", "W4A16B32"]
)
def test_units_years_identifiers_and_clauses_are_none(text: str) -> None:
    assert not is_latin_name(text)


def test_acronyms_are_mostly_capitals() -> None:
    assert [
        name for name in ("RAG", "RoPE", "LLMs", "TF-IDF", "PyTorch", "Attention", "K-means") if is_acronym(name)
    ] == [
        "RAG",
        "RoPE",
        "LLMs",
        "TF-IDF",
    ]


@pytest.mark.parametrize(
    ("name", "words"),
    [("RAG", 3), ("LLMs", 3), ("self-attention", 2), ("LayerNorm", 2), ("lost in the middle", 2), ("variance", 1)],
)
def test_words_of_a_latin_name(name: str, words: int) -> None:
    assert word_count(name) == words


def test_an_acronym_abbreviates_its_long_form() -> None:
    assert is_short_for("RAG", "Retrieval-Augmented Generation")
    assert is_short_for("RoPE", "Rotary Position Embedding")
    assert is_short_for("MLP", "Multilayer Perceptron") is is_short_for("MLP", "multi-layer perceptron") is True
    assert not is_short_for("RAG", "Generation Augmented Retrieval")
    assert not is_short_for("BERT", "GPT")


def test_a_long_form_is_found_at_the_end_of_a_sentence() -> None:
    assert find_long_form("BPE", "we train with Byte Pair Encoding") == "Byte Pair Encoding"
    assert find_long_form("BPE", "we train a tokenizer") == ""
    assert find_long_form("attention", "a long text about attention") == ""


def test_a_chinese_short_form_shows_where_the_long_one_begins() -> None:
    assert find_abbreviated("地铁", "下面介绍地下铁道") == "地下铁道"
    assert find_abbreviated("地铁", "公共汽车") == ""


def test_lengths_must_fit() -> None:
    assert can_translate("循环神经网络", "RNN", bounded=False)
    assert not can_translate("网络", "RNN", bounded=False)
    assert not can_translate("强化学习", "RLHF", bounded=True)
    assert can_translate("双塔", "bi-encoder", bounded=True)
    assert not can_translate("双塔", "bi-encoder", bounded=False)
    assert not can_translate("用很多很多不同的数据", "data", bounded=True)


def test_the_head_must_be_in_an_acronym_or_a_proper_name() -> None:
    assert head_fits("卷积神经网络", "CNN") is True
    assert head_fits("段落向量", "Doc2vec") is True
    assert head_fits("注意力机制", "Attention") is True
    assert head_fits("激活函数", "ReLU") is False
    assert head_fits("深度学习框架", "Pytorch") is False
    assert head_fits("思维方式", "CoT") is None
    assert head_fits("激活函数", "relu") is None
