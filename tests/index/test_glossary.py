"""Pairs of names: looked up however they are written, stored as one file, refused where that is damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from index.errors import IndexCorrupt
from index.glossary import GLOSSARY_FILE, Glossary, TermPair, expansion_terms
from index.tokenizer import Tokenizer

PAIRS = (
    TermPair(("self-attention", "自注意力"), 3, "a" * 16),
    TermPair(("attention", "注意力"), 1, "b" * 16),
    TermPair(("SA", "self-attention"), 1, "a" * 16),
    TermPair(("SA", "自注意力"), 2, "a" * 16),
    TermPair(("LayerNorm", "层归一化"), 1, "c" * 16),
)
GLOSSARY = Glossary(PAIRS)


def test_other_names_of_the_other_script_come_first_then_the_more_frequent() -> None:
    assert GLOSSARY.other_names("self-attention") == ("自注意力", "SA")
    assert GLOSSARY.other_names("自注意力") == ("self-attention", "SA")
    assert GLOSSARY.other_names("词袋") == ()


def test_names_of_names_are_not_followed() -> None:
    glossary = Glossary([TermPair(("LR", "学习率"), 1, "a"), TermPair(("LR", "逻辑回归"), 1, "b")])

    assert glossary.other_names("学习率") == ("LR",)


def test_expansion_terms_are_those_of_other_names_that_the_text_lacks() -> None:
    tokenizer = Tokenizer()

    terms = expansion_terms("attention 和 Self-Attention 的区别", GLOSSARY, tokenizer)

    assert "注意力" in terms
    assert "sa" in terms
    assert not {"attention", "区别"} & set(terms)
    assert len(terms) == len(set(terms))
    assert expansion_terms("随机森林", GLOSSARY, tokenizer) == []


def test_what_is_saved_is_read_again(tmp_path: Path) -> None:
    GLOSSARY.save(tmp_path)
    first = (tmp_path / GLOSSARY_FILE).read_bytes()
    Glossary(reversed(PAIRS)).save(tmp_path)

    assert Glossary.load(tmp_path).pairs == GLOSSARY.pairs
    assert (tmp_path / GLOSSARY_FILE).read_bytes() == first


def test_an_empty_glossary_mentions_nothing(tmp_path: Path) -> None:
    Glossary([]).save(tmp_path)

    assert Glossary.load(tmp_path).mentions("什么是自注意力") == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"version": 1}',
        '{"version": 2, "pairs": []}',
        '{"version": 1, "pairs": [["a", "b", 1]]}',
        '{"version": 1, "pairs": [["a", "b", 0, "c"]]}',
        '{"version": 1, "pairs": [["a", "b", true, "c"]]}',
        '{"version": 1, "pairs": [["a", "。", 1, "c"]]}',
        '{"version": 1, "pairs": [["a", 2, 1, "c"]]}',
        '{"version": 1, "pairs": 3}',
    ],
)
def test_a_damaged_file_is_refused_by_name(content: str, tmp_path: Path) -> None:
    (tmp_path / GLOSSARY_FILE).write_text(content, encoding="utf-8")

    with pytest.raises(IndexCorrupt, match=r"glossary\.json"):
        Glossary.load(tmp_path)


def test_a_missing_or_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(IndexCorrupt):
        Glossary.load(tmp_path)
    (tmp_path / GLOSSARY_FILE).write_bytes(b'{"version": 1, "pairs": [["\xff", "b", 1, "c"]]}')
    with pytest.raises(IndexCorrupt):
        Glossary.load(tmp_path)


def test_the_file_is_json_that_a_person_can_read(tmp_path: Path) -> None:
    GLOSSARY.save(tmp_path)

    text = (tmp_path / GLOSSARY_FILE).read_text(encoding="utf-8")

    assert "自注意力" in text
    assert len(json.loads(text)["pairs"]) == len(PAIRS)
