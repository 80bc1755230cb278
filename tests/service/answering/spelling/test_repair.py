"""Misspelt questions: repaired by the notes' own words, and what is right is never touched."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.normalise import normalise
from index.tokenizer import Tokenizer
from service.answering.spelling.ordinary_words import chinese_count, english_count
from service.answering.spelling.repair import Repair, SpellingResult, repair_spelling
from service.answering.spelling.vocabulary import Vocabulary, same_sound

NOTES = [
    "注意力机制让每个词看见其他词。注意力机制的残差连接把输入加回来。",
    "残差连接缓解梯度消失，归一化放在残差连接之前。",
    "位置编码告诉模型词的先后，正弦位置编码不用学。位置编码可以外推。",
    "梯度消失时网络学不动，梯度消失可以换激活函数。",
    "激活函数给神经网络加上非线性，神经网络没有激活函数只是线性变换。",
    "学习率太大会发散，学习率太小又太慢，学习率预热。",
    "交叉熵损失衡量分布的差别；交叉熵越小越好；交叉熵和困惑度有关。",
    "The tokenizer splits a word. Beam search keeps several candidates; beam search beats greedy decoding.",
    "The transformer of BERT uses attention, Adam and softmax. A tokenizer has a vocabulary. Multi-head attention.",
    "PagedAttention stores the cache in pages. Transformer layers normalize; the tokenizer does not.",
]
TOKENIZER = Tokenizer()


def vocabulary_of(texts: list[str]) -> Vocabulary:
    counts: dict[str, int] = {}
    for text in texts:
        for term in set(TOKENIZER.terms(text)):
            counts[term] = counts.get(term, 0) + 1
    return Vocabulary.build(counts, texts)


VOCABULARY = vocabulary_of(NOTES)


def repaired(question: str) -> str:
    return repair_spelling(question, VOCABULARY).text


class TestChinese:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("什么是位置便码", "什么是位置编码"),
            ("残叉连接有什么用", "残差连接有什么用"),
            ("激活涵数", "激活函数"),
            ("梯度肖失怎么办？", "梯度消失怎么办？"),
        ],
    )
    def test_a_character_that_sounds_alike_is_put_right(self, written: str, meant: str) -> None:
        assert repaired(written) == meant

    def test_a_sound_that_southerners_confuse_is_put_right(self) -> None:
        assert not same_sound("残擦", "残差")
        assert repaired("残擦连接") == "残差连接"

    def test_an_ordinary_word_is_replaced_where_the_notes_have_the_other_beside_the_same_characters(self) -> None:
        assert chinese_count("机智") > 0
        assert repaired("什么是注意力机智") == "什么是注意力机制"

    def test_so_is_a_word_of_which_every_character_is_wrong(self) -> None:
        assert repaired("提督消失怎么办") == "梯度消失怎么办"

    @pytest.mark.parametrize("question", ["机智的人怎么学习", "海军提督是谁", "这个人很机智"])
    def test_it_stays_elsewhere(self, question: str) -> None:
        assert repaired(question) == question

    @pytest.mark.parametrize(
        ("written", "meant"), [("交叉商损失怎么算", "交叉熵损失怎么算"), ("学习绿怎么设", "学习率怎么设")]
    )
    def test_a_word_and_a_character_that_no_dictionary_has_as_one_are_known_from_the_notes(
        self, written: str, meant: str
    ) -> None:
        assert repaired(written) == meant

    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("什么是注力意机制", "什么是注意力机制"),
            ("神井网络", "神经网络"),
            ("神网络为什么", "神经网络为什么"),
            ("神经经网络", "神经网络"),
        ],
    )
    def test_one_character_of_a_longer_word_may_be_wrong_swapped_missing_or_doubled(
        self, written: str, meant: str
    ) -> None:
        assert repaired(written) == meant

    def test_what_the_notes_say_themselves_is_right_however_rare(self) -> None:
        with_slip = vocabulary_of([*NOTES, "这一页写的是位置便码。"])
        assert repair_spelling("位置便码", with_slip).text == "位置便码"

    @pytest.mark.parametrize(
        "question",
        [
            "哪一个模型没有残差连接",
            "第一个字为什么慢",
            "张良是谁",
            "京急线有几站",
            "这个方法的花费是多少",
            "它和其本身有什么关系",
        ],
    )
    def test_names_and_small_words_stay(self, question: str) -> None:
        assert repair_spelling(question, VOCABULARY) == SpellingResult(question)


class TestTraditional:
    def test_the_right_characters_stay_traditional(self) -> None:
        result = repair_spelling("什麼是注意力機智？", VOCABULARY)
        assert result.text == "什麼是注意力機制？"
        assert result.repairs == (Repair("機智", "機制", 6, 8, "pinyin"),)

    def test_a_traditional_question_that_is_right_stays(self) -> None:
        question = "殘差連接為什麼能緩解梯度消失"
        assert repair_spelling(question, VOCABULARY) == SpellingResult(question)

    def test_traditional_notes_are_known_too(self) -> None:
        notes = vocabulary_of(["位置編碼告訴模型詞的先後，位置編碼可以外推。", "這裡有一把機智的鎖"])
        assert repair_spelling("位置便碼", notes).text == "位置编碼"
        assert repair_spelling("機智的鎖和位置編碼", notes).repairs == ()


class TestLatin:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("tokneizer 的词表", "tokenizer 的词表"),
            ("用tokneizer切词", "用tokenizer切词"),
            ("how to train a tranformer?", "how to train a transformer?"),
            ("multi-head attenion", "multi-head attention"),
            ("softtmax", "softmax"),
            ("candiddates", "candidates"),
        ],
    )
    def test_a_slip_of_the_keyboard_is_put_right(self, written: str, meant: str) -> None:
        assert repaired(written) == meant

    def test_a_short_word_needs_its_neighbour(self) -> None:
        assert repaired("beem search") == "beam search"
        assert repaired("beem") == "beem"

    def test_capitals_are_those_of_the_question_or_of_a_name_in_the_notes(self) -> None:
        assert repaired("Tokneizer") == "Tokenizer"
        assert repaired("pagedatention") == "PagedAttention"
        assert repaired("PagedAtention") == "PagedAttention"

    def test_an_inflection_of_a_word_of_the_notes_is_known(self) -> None:
        assert "transformers" not in VOCABULARY.latin
        assert repaired("transfromers") == "transformers"
        assert repaired("tokenizers") == "tokenizers"

    @pytest.mark.parametrize(
        "word",
        [
            "adamw",
            "AdamW",
            "LLaMA-3",
            "GPT-5",
            "bert4",
            "softmax2",
            "token_izer",
            "tokneizer.py",
            "tokneizer()",
            "//tokneizer/pages",
            "TOKNEIZER",
            "xtokenizer",
            "transformerx",
            "attentive",
            "pytransformer",
            "tokénizer",
            "betoken",
        ],
    )
    def test_names_numbers_identifiers_and_other_words_stay(self, word: str) -> None:
        assert repaired(f"What is {word} used for?") == f"What is {word} used for?"

    def test_two_words_written_as_one_stay(self) -> None:
        assert repaired("beamsearch") == "beamsearch"

    def test_between_two_equally_close_words_none_is_chosen(self) -> None:
        both = ["zanflorbix", "zanflurbix"]
        assert repair_spelling("zanfllrbix", vocabulary_of(both[:1])).text == "zanflorbix"
        assert repair_spelling("zanfllrbix", vocabulary_of(both)).text == "zanfllrbix"
        assert repair_spelling("zanfllrbix", vocabulary_of([*both, *both[:1] * 3])).text == "zanflorbix"


class TestPositions:
    def test_they_are_those_of_the_question_as_written(self) -> None:
        question = "tokneizer 和残叉连接、位置便码"
        result = repair_spelling(question, VOCABULARY)
        assert result.text == "tokenizer 和残差连接、位置编码"
        assert [(one.written, one.repaired, one.by) for one in result.repairs] == [
            ("tokneizer", "tokenizer", "edit"),
            ("残叉", "残差", "pinyin"),
            ("便码", "编码", "pinyin"),
        ]
        assert [question[one.start : one.end] for one in result.repairs] == ["tokneizer", "残叉", "便码"]

    def test_full_width_letters_and_invisible_characters_are_seen_through(self) -> None:
        question = "\u200b①ｔｏｋｎｅｉｚｅｒ\u200b的㎏"
        result = repair_spelling(question, VOCABULARY)
        assert result.text == "\u200b①ｔｏｋｎｅｉｚｅｒ\u200b的㎏"  # the folded ① is a digit: an identifier
        assert repaired("\u200bｔｏｋｎｅｉｚｅｒ\u200b的㎏") == "\u200btokenizer\u200b的㎏"


class TestNothingToGoBy:
    def test_without_notes_nothing_is_repaired(self) -> None:
        empty = Vocabulary.build({}, [])
        assert repair_spelling("位置便码 tokneizer", empty) == SpellingResult("位置便码 tokneizer")

    @pytest.mark.parametrize("question", ["", " ", "？", "\n"])
    def test_nothing_written_stays_nothing(self, question: str) -> None:
        assert repair_spelling(question, VOCABULARY) == SpellingResult(question)


MISSPELT = st.lists(
    st.one_of(
        st.text(max_size=6),
        st.sampled_from(
            [
                "位置便码",
                "位置便碼",
                "残叉",
                "连接",
                "机智",
                "注意力",
                "tokneizer",
                "Tranformer",
                "beem search",
                " ",
                "？",
                "㎏",
                "的",
            ]
        ),
        st.text(alphabet="位置便编码残叉差连接注意力机智制梯提度督消失神经网络学习率绿", max_size=8),
        st.text(alphabet=st.characters(categories=["Cs", "Cf", "Mn", "Lo", "So"]), max_size=5),
    ),
    max_size=8,
).map("".join)


class TestOfAnyText:
    @settings(deadline=None)  # the word lists are read at first use
    @given(MISSPELT)
    def test_the_text_is_the_question_with_its_repairs_at_their_places(self, question: str) -> None:
        result = repair_spelling(question, VOCABULARY)
        rebuilt, done = "", 0
        for one in result.repairs:
            assert done <= one.start < one.end
            assert question[one.start : one.end] == one.written
            assert normalise(one.written) != normalise(one.repaired)
            rebuilt += question[done : one.start] + one.repaired
            done = one.end
        assert rebuilt + question[done:] == result.text

    @settings(deadline=None)  # the word lists are read at first use
    @given(MISSPELT)
    def test_what_is_repaired_needs_no_more_repair(self, question: str) -> None:
        text = repair_spelling(question, VOCABULARY).text
        assert repair_spelling(text, VOCABULARY) == SpellingResult(text)

    @settings(deadline=None)  # the word lists are read at first use
    @given(st.lists(st.sampled_from(NOTES), max_size=3).map("。".join))
    def test_the_notes_themselves_are_right(self, text: str) -> None:
        assert repair_spelling(text, VOCABULARY) == SpellingResult(text)


class TestOrdinaryWords:
    def test_a_word_of_the_list_counts_and_another_does_not(self) -> None:
        assert english_count("search") > english_count("gradient") > 0
        assert english_count("tokneizer") == 0

    def test_a_chinese_word_counts_as_in_the_dictionary(self) -> None:
        assert chinese_count("机制") > chinese_count("机智") > 0
        assert chinese_count("便码") == 0
