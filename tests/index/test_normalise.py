"""One spelling for what readers take to be the same text."""

import threading
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.normalise import NORMALISER_VERSION, normalise, unify


@pytest.mark.parametrize(
    ("written", "matched"),
    [
        ("ＧＰＴ－４", "gpt-4"),
        ("⻓⽂本", "长文本"),
        ("深度學習與機器翻譯", "深度学习与机器翻译"),
        ("頭髮與發展", "头发与发展"),
        ("软\u200b件\ufeff", "软件"),
        ("soft\u00adware", "software"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("注意，力（一）", "注意,力(一)"),
        ("ﬁne-tuning", "fine-tuning"),
        ("⻑短", "长短"),
        ("Ü", "u\u0308"),
        ("", ""),
    ],
)
def test_spellings_of_one_text_meet(written: str, matched: str) -> None:
    assert normalise(written) == normalise(matched)


def test_results_are_exact() -> None:
    assert normalise("⾃注意⼒ ＡＢ\u200b 後來 ⻓") == "自注意力 ab 后来 长"


def test_every_radical_with_an_equivalent_becomes_a_character() -> None:
    radicals = [chr(point) for point in range(0x2E80, 0x2EF4) if unicodedata.name(chr(point), "")]
    left = [radical for radical in radicals if normalise(radical) == radical]
    assert left == ["⺀"]
    assert all(not 0x2E80 <= ord(character) <= 0x2FD5 for radical in radicals[1:] for character in normalise(radical))


@pytest.mark.parametrize(
    ("radical", "character"),
    list(zip("⺠⻅⻋⻔⻚⻛⻜⻢⻥⻰⻳⺟⺼⻩⻝⻤⻓⻑⻘⻬", "民见车门页风飞马鱼龙龟母肉黄食鬼长长青齐", strict=True)),
)
def test_radicals_become_the_character_a_reader_sees(radical: str, character: str) -> None:
    assert normalise(radical) == character


def test_unify_keeps_case() -> None:
    assert unify("ＰagedＡttention 與 LoRA") == "PagedAttention 与 LoRA"


def test_lone_surrogates_from_json_are_dropped_not_raised() -> None:
    assert normalise("a\ud800后") == "a后"


def test_nul_does_not_cut_the_text() -> None:
    assert normalise("a\0後來") == "a\0后来"


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text(alphabet=st.characters(min_codepoint=0x2E80, max_codepoint=0x9FFF), max_size=40))
def test_normalising_chinese_twice_changes_nothing(text: str) -> None:
    assert normalise(normalise(text)) == normalise(text)


@given(st.text())
def test_case_folding_is_all_that_unify_leaves_out(text: str) -> None:
    assert normalise(unify(text)) == normalise(text)


def test_threads_get_what_one_thread_gets() -> None:
    texts = [f"第{i}章 機器學習與⻓序列 {i}" * 50 for i in range(40)]
    expected = [normalise(text) for text in texts]
    results: list[list[str]] = []
    threads = [threading.Thread(target=lambda: results.append([normalise(text) for text in texts])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [expected] * 4


def test_a_long_text_is_normalised_as_a_whole() -> None:
    text = "自注意力機制實現了並行計算，⻓距離依賴。" * 25_000
    normalised = normalise(text)
    assert len(normalised) == len(text)


def test_the_version_names_what_the_result_depends_on() -> None:
    assert unicodedata.unidata_version in NORMALISER_VERSION
    assert "opencc-" in NORMALISER_VERSION
