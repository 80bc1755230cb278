"""Names are found however they are written, the longest first, Latin ones as whole words."""

from __future__ import annotations

import pytest

from index.names import NameFinder, is_chinese, name_key

FINDER = NameFinder(
    [
        ("self-attention", 1),
        ("自注意力", 1),
        ("attention", 2),
        ("注意力", 2),
        ("LayerNorm", 3),
        ("层归一化", 3),
        ("LR", 4),
        ("LR", 5),
        ("……", 6),
        ("Lead-3", 7),
    ]
)


def used(text: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(text[use.start : use.end], use.values) for use in FINDER.uses(text)]


def test_a_longer_name_hides_the_shorter_one_within() -> None:
    assert used("为什么自注意力比注意力贵") == [("自注意力", (1,)), ("注意力", (2,))]
    assert used("Self-attention or attention?") == [("Self-attention", (1,)), ("attention", (2,))]


@pytest.mark.parametrize(
    "written", ["Self-Attention", "self attention", "SelfAttention", "ｓｅｌｆ－ａｔｔｅｎｔｉｏｎｓ"]
)
def test_a_latin_name_is_known_in_every_spelling(written: str) -> None:
    assert used(f"什么是{written}") == [(written, (1,))]


@pytest.mark.parametrize("written", ["LayerNorm", "layer norm", "layernorm", "Layer-Norm"])
def test_a_compound_is_known_with_and_without_joints(written: str) -> None:
    assert used(f"why {written} here") == [(written, (3,))]


def test_a_traditional_text_has_the_simplified_name() -> None:
    assert used("什麼是層歸一化") == [("層歸一化", (3,))]


def test_a_latin_name_is_no_part_of_a_word() -> None:
    assert used("the flr and attentive readers") == []


def test_the_beginning_of_a_name_at_the_end_of_a_text_is_no_use() -> None:
    assert used("self") == []
    assert used("层归一") == []


def test_a_name_may_stand_for_several_things() -> None:
    assert used("LR") == [("LR", (4, 5))]
    assert FINDER.values("lr") == (4, 5)
    assert FINDER.values("词袋") == ()


def test_a_number_is_part_of_a_name() -> None:
    assert used("leading, and Lead 3 or lead-3") == [("Lead 3", (7,)), ("lead-3", (7,))]


def test_a_name_without_a_letter_is_never_used() -> None:
    assert used("……") == []


def test_one_key_for_the_spellings_of_a_name() -> None:
    assert name_key("Self-Attention") == name_key("self attentions") == "selfattention"
    assert name_key("自注意力") != name_key("注意力")


def test_a_chinese_character_makes_a_name_chinese() -> None:
    assert is_chinese("KV 缓存")
    assert not is_chinese("KV cache")
