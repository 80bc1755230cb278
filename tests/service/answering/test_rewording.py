"""The same question in other words: which of its terms are its key words, and what the model may make of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from index.lexical import LexicalIndex
from index.tokenizer import Tokenizer
from service.answering.drafting import Drafts
from service.answering.rewording import fault_of, key_words, write_rewordings, write_translation
from tests.service.answering.small_indexes import asked, chunk, snapshot_of
from tests.service.answering.toy_language_model import ToyLanguageModel

QUESTION = "训练时为什么要丢掉神经元"
TOKENIZER = Tokenizer()


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def lexical(tmp_path_factory: pytest.TempPathFactory) -> LexicalIndex:
    """``t1`` stands in one chunk of eight, ``t8`` in all of them."""
    texts = [" ".join(f"t{number}" for number in range(first, 9)) for first in range(1, 9)]
    chunks = [chunk(text, note=f"{number}.md") for number, text in enumerate(texts)]
    return snapshot_of(chunks, tmp_path_factory.mktemp("snapshot")).lexical


class TestKeyWords:
    @pytest.mark.parametrize(
        ("question", "expected"),
        [
            ("t8 t3 t7 t1 t5 t2 t6 t4", "t3 t1 t5 t2 t6 t4"),  # the six rarest, in the question's order
            ("t8 unknown t2", "t8 t2"),
            ("t2 t2 unknown", "t2"),
        ],
    )
    def test_the_rarest_known_terms_in_the_questions_order(
        self, lexical: LexicalIndex, question: str, expected: str
    ) -> None:
        assert key_words(asked(question), lexical) == expected

    @pytest.mark.parametrize("question", ["t1 t2", "t1 t2 t1", "unknown words", "？"])
    def test_where_they_are_the_whole_question_or_nothing_there_are_none(
        self, lexical: LexicalIndex, question: str
    ) -> None:
        assert key_words(asked(question), lexical) is None

    def test_an_empty_index_knows_none(self, tmp_path: Path) -> None:
        assert key_words(asked(QUESTION), snapshot_of([], tmp_path).lexical) is None


class TestRewordings:
    @pytest.mark.parametrize(
        "written",
        [
            "怎么训练？\n怎么学？",
            "1. 怎么训练？\n2. 怎么学？",
            "1、怎么训练？\n2、怎么学？",
            "1) 怎么训练？\n（2）怎么学？",
            "- 怎么训练？\n\n* 怎么学？\n",
            "“怎么训练？”\n「怎么学？」",
            ' 1. "怎么训练？"\n\t•\t怎么学？',
        ],
    )
    def test_lines_are_taken_without_numbers_dashes_and_quotation_marks(self, written: str) -> None:
        model = ToyLanguageModel([written])
        assert write_rewordings(asked(QUESTION), model, Drafts(), number=2, stop=never) == ["怎么训练？", "怎么学？"]

    @pytest.mark.parametrize(
        "line", ["3D 卷积是什么？", "1.5B 的模型要多少显存？", "2 的补码是什么？", "0.85 是什么？"]
    )
    def test_a_number_that_the_question_begins_with_is_its_own(self, line: str) -> None:
        for written in (line, f"1. {line}"):
            model = ToyLanguageModel([written])
            assert write_rewordings(asked(QUESTION), model, Drafts(), number=2, stop=never) == [line]

    def test_no_more_than_were_asked_for(self) -> None:
        model = ToyLanguageModel(["一\n二\n三\n四"])
        assert write_rewordings(asked(QUESTION), model, Drafts(), number=3, stop=never) == ["一", "二", "三"]

    @pytest.mark.parametrize("written", ["", "\n \n", "- \n1."])
    def test_what_has_no_line_of_text_has_no_rewording(self, written: str) -> None:
        model = ToyLanguageModel([written])
        assert write_rewordings(asked(QUESTION), model, Drafts(), number=2, stop=never) == []

    @pytest.mark.parametrize("number", [1, 3])
    def test_the_model_is_told_how_many_and_has_room_for_them(self, number: int) -> None:
        model = ToyLanguageModel(["好"] * 999)
        found = write_rewordings(asked(QUESTION), model, Drafts(), number=number, stop=never)
        (prompt,) = model.prompts
        assert str(number) in prompt.instruction
        assert prompt.request == QUESTION
        assert found == ["好" * 64 * number]


class TestTranslation:
    def test_the_first_line_is_the_translation(self) -> None:
        model = ToyLanguageModel(['\n"Why are neurons dropped?"\nNote: dropout.'])
        found = write_translation(asked(QUESTION), model, Drafts(), to="en", stop=never)
        assert found == "Why are neurons dropped?"
        (prompt,) = model.prompts
        assert "into English" in prompt.instruction
        assert prompt.request == QUESTION

    def test_nothing_written_is_an_empty_one(self) -> None:
        assert write_translation(asked(QUESTION), ToyLanguageModel(), Drafts(), to="en", stop=never) == ""


class TestTime:
    @pytest.mark.parametrize("fails_after", [None, 0], ids=["out of time", "broken"])
    def test_what_is_not_finished_is_none(self, fails_after: int | None) -> None:
        model = ToyLanguageModel(["怎么学？", "怎么练？"], fails_after=fails_after)

        def stop() -> bool:
            return len(model.given) == 1

        query = asked(QUESTION)
        assert write_rewordings(query, model, Drafts(), number=2, stop=stop) is None
        assert write_translation(query, model, Drafts(), to="en", stop=stop) is None

    def test_without_time_the_model_is_not_asked(self) -> None:
        model = ToyLanguageModel(["怎么学？"])
        assert write_rewordings(asked(QUESTION), model, Drafts(), number=2, stop=lambda: True) is None
        assert write_translation(asked(QUESTION), model, Drafts(), to="en", stop=lambda: True) is None
        assert model.prompts == []

    def test_what_was_written_is_remembered_even_when_there_is_no_time(self) -> None:
        model, drafts, query = ToyLanguageModel(["怎么学？"]), Drafts(), asked(QUESTION)
        first = write_rewordings(query, model, drafts, number=2, stop=never)
        assert write_rewordings(query, model, drafts, number=2, stop=lambda: True) == first == ["怎么学？"]
        assert len(model.prompts) == 1

    def test_another_number_or_question_is_written_anew(self) -> None:
        model, drafts, query = ToyLanguageModel(["怎么学？"]), Drafts(), asked(QUESTION)
        write_rewordings(query, model, drafts, number=2, stop=never)
        write_rewordings(query, model, drafts, number=3, stop=never)
        write_rewordings(replace(query, text="另一个"), model, drafts, number=2, stop=never)
        write_translation(query, model, drafts, to="en", stop=never)
        assert len(set(model.prompts)) == len(model.prompts) == 4


class TestFaults:
    @pytest.mark.parametrize("text", ["随机失活起什么作用？", "Dropout 丢弃神经元的目的是什么"])
    def test_another_way_to_ask_is_fit(self, text: str) -> None:
        assert fault_of(text, asked(QUESTION), TOKENIZER, language="zh") is None

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("", "is empty"),
            ("？！", "is empty"),
            (QUESTION, "is the question again"),
            ("训练时，为什么要丢掉神经元呢？", "is the question again"),
            ("訓練時為什麼要丟掉神經元", "is the question again"),
            ("神经元被丢掉是为了什么", "is the question again"),
            ("Why are neurons dropped?", "is in another language"),
            (
                "随机失活能让网络不依赖少数几个特征因而更稳健并且减轻过拟合现象还可以看作许多子网络的平均结果",
                "is too long",
            ),
            ("随机失活，随机失活，随机失活，随机失活", "repeats itself"),
        ],
    )
    def test_what_is_not_fit_says_why(self, text: str, fault: str) -> None:
        others = ["神经元被丢掉是为了什么"]
        assert fault_of(text, asked(QUESTION), TOKENIZER, language="zh", others=others) == fault

    @pytest.mark.parametrize(
        ("language", "text", "fault"),
        [
            ("en", "Why are neurons dropped?", None),
            ("en", "神经元为什么会被随机地丢掉", "is in another language"),
            ("zh", "神经元为什么会被随机地丢掉", None),
            ("zh-Hant", "神经元为什么会被随机地丢掉", None),
        ],
    )
    def test_the_language_is_that_which_was_asked_for_whichever_the_script(
        self, language: str, text: str, fault: str | None
    ) -> None:
        assert fault_of(text, asked(QUESTION), TOKENIZER, language=language) == fault

    def test_a_longer_question_may_be_asked_at_greater_length(self) -> None:
        text = " ".join(f"w{number}" for number in range(30))
        short, long = asked("warmup decay"), asked(" ".join(f"q{number}" for number in range(10)))
        assert fault_of(text, short, TOKENIZER, language="en") == "is too long"
        assert fault_of(text, long, TOKENIZER, language="en") is None
