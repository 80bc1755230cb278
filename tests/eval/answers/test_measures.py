from __future__ import annotations

import math
from typing import Any

import pytest

from eval.answers.measures import (
    figures_by_slice,
    latency,
    measure,
    measure_all,
    sentence_marks,
    shares_of_writers,
)
from eval.gold import Evidence, Question
from index.tokenizer import Tokenizer
from tests.eval.answers.made_up_answers import (
    COFFEE,
    COFFEE_QUOTE,
    TEA,
    abstained,
    answered,
    cited,
    question,
    unanswerable,
)
from tests.eval.small_notes import reference_scorer

TOKENIZER = Tokenizer()


def values(asked: Question, said: Any) -> dict[str, float]:
    return measure(asked, said, TOKENIZER)


class TestKeyFacts:
    def test_share_of_the_facts_stated_in_any_spelling(self) -> None:
        assert values(question(), answered("水温 80 度[1]。"))["key_fact_recall"] == 0.5
        assert values(question(), answered("八十度，不然**发苦**[1]。"))["key_fact_recall"] == 1.0

    def test_beside_it_stands_what_repeating_the_question_earns(self) -> None:
        asked = question(text="八十度的水泡绿茶会怎样？")
        assert values(asked, answered("会淡。"))["key_fact_recall_echo"] == 0.5

    def test_an_abstention_states_none(self) -> None:
        assert values(question(), abstained())["key_fact_recall"] == 0.0

    def test_questions_without_facts_and_unanswerable_ones_are_left_out(self) -> None:
        assert "key_fact_recall" not in values(question(key_facts=()), answered())
        assert "key_fact_recall" not in values(unanswerable(), answered(identity="U1"))

    def test_equals_the_reference_scorer_to_the_last_digit(self) -> None:
        scorer = reference_scorer()
        facts = (("八十度", "80 度"), ("三次",), ("发苦", "ＢＩＴＴＥＲ"))
        texts = ["八十度，三次。", "８０度", "Bitter, [1] 三 次", "", "别的"]
        questions = [question(f"T{n}", key_facts=facts[: 1 + n % 3]) for n in range(len(texts))]
        said = [answered(text, f"T{n}") for n, text in enumerate(texts)]
        gold = [
            {"id": one.id, "type": one.type, "lang": one.language, "answerable": True, "key_facts": one.key_facts,
             "evidence": [{"quote": one.evidence[0].quote}]}
            for one in questions
        ]  # fmt: skip
        run = {one.id: {"chunks": [], "answer": one.text, "abstained": False} for one in said}
        _, extra = scorer.evaluate(gold, run)
        ours = figures_by_slice(measure_all(questions, said))["all"].measures["key_fact_recall"]
        assert ours.mean == extra["key_fact_recall"]
        assert 0 < ours.mean < 1


class TestCitations:
    def test_a_citation_is_right_where_its_passage_holds_a_gold_quote(self) -> None:
        both = (cited(), cited(COFFEE, n=2, quote="The water has 93 degrees."))
        assert values(question(), answered(citations=both))["citation_precision"] == 0.5

    def test_or_where_its_quoted_sentence_states_a_key_fact(self) -> None:
        elsewhere = cited("另一篇说：用八十度的水。", quote="用八十度的水。")
        assert values(question(), answered(citations=(elsewhere,)))["citation_precision"] == 1.0

    def test_a_passage_that_the_run_does_not_hold_is_wrong_whatever_its_quote_says(self) -> None:
        assert values(question(), answered(citations=(cited(None),)))["citation_precision"] == 0.0

    def test_a_quote_beyond_the_first_2000_characters_does_not_count(self) -> None:
        far = cited("茶" * 2000 + TEA, quote="茶茶茶")
        assert values(question(), answered(citations=(far,)))["citation_precision"] == 0.0

    def test_recall_is_the_share_of_the_evidence_groups_that_are_cited(self) -> None:
        groups = (Evidence("tea.md", question().evidence[0].quote), Evidence("c.md", COFFEE_QUOTE, group=1))
        asked = question(evidence=groups)
        assert values(asked, answered())["citation_recall"] == 0.5
        assert values(asked, answered(citations=(cited(), cited(COFFEE, n=2))))["citation_recall"] == 1.0
        assert values(asked, abstained())["citation_recall"] == 0.0

    def test_precision_is_of_answers_that_cite_something(self) -> None:
        assert "citation_precision" not in values(question(), answered(citations=()))
        assert "citation_precision" not in values(unanswerable(), answered(identity="U1"))

    def test_rate_is_the_share_of_sentences_with_a_mark_of_some_citation(self) -> None:
        text = "水要八十度[1]。太烫会发苦。泡两分钟[2]。最多三次[1]。"
        assert values(question(), answered(text))["citation_rate"] == 0.5

    def test_marks_behind_code_are_its_own_and_those_in_code_are_none(self) -> None:
        assert sentence_marks("先泡茶[1]。\n```py\na[2] = 3\n```\n[3]\n再喝[1]。") == [{1}, {3}, {1}]

    def test_lines_without_words_are_no_sentences(self) -> None:
        assert sentence_marks("| 茶 | 度 [1] |\n| --- | --- |\n| 绿茶 | 80 [1] |") == [{1}, {1}]
        assert sentence_marks("") == []


class TestNumbers:
    def test_share_of_the_numbers_that_stand_in_no_cited_passage_nor_in_the_question(self) -> None:
        asked = question(text="A shot of 30 ml: how much coffee?", language="en", key_facts=())
        said = answered("It takes 18 grams at 93 degrees for 30 ml in 25 seconds [1].", citations=(cited(COFFEE),))
        assert values(asked, said)["unsupported_numbers"] == 0.25

    def test_an_answer_without_numbers_is_left_out_and_marks_and_single_digits_are_none(self) -> None:
        assert "unsupported_numbers" not in values(question(), answered("分 3 次泡[12]。"))

    def test_numbers_of_a_passage_that_is_not_cited_are_unsupported(self) -> None:
        assert values(question(), answered("用 93 度的水[1]。"))["unsupported_numbers"] == 1.0


class TestForm:
    def test_an_answer_in_another_language_than_the_question_is_a_mismatch(self) -> None:
        english = question(text="How hot for green tea?", language="en")
        assert values(english, answered())["language_match"] == 0.0
        gloss = (
            "Pour hot water over the leaves of green tea (绿茶), but let it cool, for water that boils turns it bitter."
        )
        assert values(english, answered(gloss))["language_match"] == 1.0

    def test_simplified_and_traditional_are_one_language(self) -> None:
        assert values(question(language="zh-Hant"), answered())["language_match"] == 1.0

    def test_marks_are_not_counted_as_length(self) -> None:
        assert values(question(), answered("八十度[1]。"))["answer_chars"] == 4.0

    def test_an_abstention_has_neither_form_nor_length(self) -> None:
        assert set(values(unanswerable(), abstained("U1"))) == {"abstention_recall", "abstention_precision"}


class TestAbstention:
    def test_precision_recall_f1_and_the_wrongly_abstained(self) -> None:
        asked = [question("T1"), question("T2"), question("T3"), unanswerable("U1"), unanswerable("U2")]
        said = [answered(), abstained("T2"), answered(identity="T3"), abstained("U1"), answered(identity="U2")]
        found = figures_by_slice(measure_all(asked, said))["all"].measures
        assert (found["abstention_precision"].mean, found["abstention_precision"].n) == (0.5, 2)
        assert (found["abstention_recall"].mean, found["abstention_recall"].n) == (0.5, 2)
        assert found["abstention_f1"].mean == 0.5
        assert found["wrongly_abstained"].mean == 1 / 3

    def test_f1_has_an_interval_around_it(self) -> None:
        asked = [unanswerable(f"U{n}") for n in range(8)] + [question(f"T{n}") for n in range(8)]
        said = [abstained(one.id) if n % 4 else answered(identity=one.id) for n, one in enumerate(asked)]
        f1 = figures_by_slice(measure_all(asked, said))["all"].measures["abstention_f1"]
        assert f1.mean == 0.6  # 6 of 8 found, 6 of 8 wrongly: 12 / (12 + 6 + 2)
        assert 0 <= f1.low < f1.mean < f1.high <= 1

    def test_a_single_question_and_one_without_variation_have_a_point_for_an_interval(self) -> None:
        asked = [unanswerable("U1"), unanswerable("U2")]
        for part in (asked[:1], asked):
            f1 = figures_by_slice(measure_all(part, [abstained(one.id) for one in part]))["all"].measures
            assert (f1["abstention_f1"].low, f1["abstention_f1"].mean, f1["abstention_f1"].high) == (1.0, 1.0, 1.0)

    def test_where_nothing_is_unanswerable_there_is_no_f1(self) -> None:
        found = figures_by_slice(measure_all([question()], [abstained()]))["all"].measures
        assert "abstention_f1" not in found
        assert found["abstention_precision"].mean == 0.0


class TestSlices:
    def test_all_each_type_and_each_language(self) -> None:
        asked = [question("T1"), question("T2", type="multi", language="en", text="How hot?"), unanswerable("U1")]
        said = [answered(), answered("80 degrees [1].", "T2"), abstained("U1")]
        slices = figures_by_slice(measure_all(asked, said))
        assert {name: part.questions for name, part in slices.items()} == {
            "all": 3, "type:colloquial": 1, "type:multi": 1, "type:unanswerable": 1, "language:en": 1, "language:zh": 2
        }  # fmt: skip

    def test_answers_to_other_questions_are_refused(self) -> None:
        with pytest.raises(ValueError, match="not those"):
            measure_all([question("T1")], [answered(identity="T2")])


class TestWayOfAnAnswer:
    def test_shares_of_who_wrote(self) -> None:
        said = [answered(written_by="model"), answered(written_by="model"), answered(written_by="none")]
        assert shares_of_writers(said) == {"model": 2 / 3, "extract": 0.0, "none": 1 / 3}
        assert shares_of_writers([answered(written_by="model"), answered()]) == {}

    def test_percentiles_only_where_every_answer_has_its_time(self) -> None:
        said = [answered(total_ms=float(n), first_text_ms=None if n == 3 else 1.0) for n in range(1, 21)]
        found = latency(said)
        assert set(found) == {"total"}
        assert (found["total"].p50, found["total"].p95) == (10.0, 19.0)

    def test_tokens_a_second_are_those_of_the_answers_that_a_model_wrote(self) -> None:
        asked = [question("T1"), question("T2")]
        said = [answered(tokens_per_s=20.0), answered(identity="T2")]
        found = figures_by_slice(measure_all(asked, said))["all"].measures["tokens_per_s"]
        assert (found.mean, found.n) == (20.0, 1)
        assert math.isclose(found.low, 20.0)
