"""Where two names stand side by side, and what only looks like it."""

from __future__ import annotations

import pytest

from ingest.term_pairs import prose, sightings, title_sightings


def found(text: str) -> list[tuple[str, str]]:
    """Each sighting's names; of an open beginning all words that may belong to it."""
    return [(each.first or "".join(word for word, _ in each.words), each.second) for each in sightings(prose(text))]


def in_title(title: str) -> list[tuple[str, str]]:
    return [(each.first, each.second) for each in title_sightings(prose(title))]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("重排（rerank）很慢", ("重排", "rerank")),
        ("模型的方差(variance)", ("方差", "variance")),
        ("提出了**层归一化**（Layer Normalization）", ("层归一化", "Layer Normalization")),
        ("“困惑度”（perplexity）越低越好", ("困惑度", "perplexity")),
        ("倒排文件（英文：inverted file）", ("倒排文件", "inverted file")),
        ("用 RoPE（旋转位置编码）", ("RoPE", "旋转位置编码")),
        ("trained with Byte Pair Encoding (BPE)", ("Byte Pair Encoding", "BPE")),
        ("BPE (Byte Pair Encoding) merges pairs", ("BPE", "Byte Pair Encoding")),
        ("挤在锥形里（anisotropy，各向异性）", ("各向异性", "anisotropy")),
        ("- 困惑度 perplexity：越低越好", ("困惑度", "perplexity")),
    ],
)
def test_two_names_side_by_side(text: str, names: tuple[str, str]) -> None:
    assert names in found(text)


@pytest.mark.parametrize(
    "text",
    [
        "准确率提高了（见图 3）",
        "自注意力（2017）",
        "预训练模型（如 BERT、GPT）",
        "预训练模型（BERT、GPT 等）",
        "常用的归一化（dropout, layernorm）",
        "输入张量（shape: batch）",
        "困惑度 = exp（平均交叉熵）",
        "头数 $h$（heads）",
        "学习率（1e-4）",
        "一共 316 份（大概）",
        "`rotate_half`（旋转一半）",
        "部署用的是 Flat（默认）",
        "索引放内存（3.7 GB）",
        "比之前慢（loss is nan）",
    ],
)
def test_asides_examples_and_formulas_are_no_pairs(text: str) -> None:
    assert found(text) == []


def test_a_category_with_its_example_is_no_pair() -> None:
    assert ("PyTorch", "深度学习框架") not in found("PyTorch（深度学习框架）")


def test_three_names_give_every_pair_but_the_enumeration_none() -> None:
    assert found("检索增强生成（Retrieval-Augmented Generation，RAG）") == [
        ("Retrieval-Augmented Generation", "RAG"),
        ("检索增强生成", "Retrieval-Augmented Generation"),
        ("检索增强生成", "RAG"),
    ]
    assert ("RAG", "检索增强生成") in found("RAG（Retrieval Augmented Generation，检索增强生成）")


def test_an_open_beginning_says_what_stands_before_it() -> None:
    (start,) = sightings(prose("- 多查询注意力（Multi-Query Attention）"))
    (middle,) = sightings(prose("我们利用自注意力机制（Self-Attention）"))

    assert (start.bounded, start.before) == (True, "")
    assert (middle.bounded, middle.before) == (False, "利用")
    assert [word for word, _ in middle.words] == ["自", "注意力", "机制"]


def test_a_long_acronym_takes_what_stands_before_a_link() -> None:
    assert found("- 基于人类反馈的强化学习（RLHF）") == [("基于人类反馈的强化学习", "RLHF")]
    assert found("- 模型的注意力（attention）") == [("注意力", "attention")]


def test_half_a_word_that_the_dictionary_lacks_is_no_beginning() -> None:
    assert found("- 外在幻觉（extrinsic）") == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("交叉熵，也叫对数损失。", ("交叉熵", "对数损失")),
        ("双塔又称 bi-encoder，", ("双塔", "bi-encoder")),
        ("检索增强生成简称 RAG。", ("检索增强生成", "RAG")),
        ("下面说地下铁道，简称地铁。", ("地铁", "地下铁道")),
        ("困惑度（又称混乱度）", ("困惑度", "混乱度")),
        ("地下铁道（简称地铁）", ("地铁", "地下铁道")),
    ],
)
def test_what_is_also_called_something(text: str, names: tuple[str, str]) -> None:
    assert names in found(text)


@pytest.mark.parametrize("text", ["他们也叫我去。", "这也叫做一种优化方法。", "结果也称得上不错。", "方差（即波动）"])
def test_other_uses_of_the_same_words(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("投机解码 speculative decoding", ("投机解码", "speculative decoding")),
        ("3. 困惑度 perplexity", ("困惑度", "perplexity")),
        ("句向量 / Sentence embeddings", ("句向量", "Sentence embeddings")),
        ("PQ 乘积量化", ("乘积量化", "PQ")),
        ("LayerNorm 层归一化", ("层归一化", "LayerNorm")),
    ],
)
def test_titles_that_are_two_names(title: str, names: tuple[str, str]) -> None:
    assert in_title(title) == [names]


@pytest.mark.parametrize(
    "title", ["RAG 项目日志", "训练 tokenizer", "BERT 预训练", "Transformer 结构", "安装 docker", "PPO / DPO"]
)
def test_titles_about_something_named(title: str) -> None:
    assert in_title(title) == []


def test_tables_whose_header_says_that_columns_are_names() -> None:
    table = (
        "| 术语 | 英文 | 说明 |\n| --- | --- | --- |\n| 学习率 | learning rate | 步长 |\n| 预热 | warmup | 先小后大 |"
    )

    assert found(table) == [("学习率", "learning rate"), ("预热", "warmup")]
    assert found(table.replace("英文", "代表")) == []


def test_traditional_script_and_full_width_are_read_alike() -> None:
    assert found("採用層歸一化（ｌａｙｅｒ ｎｏｒｍ）") == [("层归一化", "layer norm")]
