from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from eval.answers.evaluation import evaluate_answers
from eval.answers.measures import measure_all
from eval.answers.results import Agreement, AnswerResults, JudgeResults
from eval.answers.tables import TextTable, answer_tables, as_markdown
from eval.gold import Gold
from eval.results import Figure
from tests.eval.answers.made_up_answers import abstained, answered, cited, question, unanswerable

JUDGED = JudgeResults(
    model="big",
    url="http://127.0.0.1:1/v1",
    judged=2,
    unjudged={"U1": "too slow"},
    figures={"judged_correct": Figure(0.75, 0.5, 1.0, 2)},
    correctness=Agreement(n=2, share=0.5, kappa=None, correlation=0.25),
    abstention=Agreement(n=0, share=None, kappa=None),
    verdicts={},
)


def results(judge: JudgeResults | None = None) -> AnswerResults:
    asked = (question("T1"), question("T2", key_facts=()), unanswerable("U1"))
    said = [answered(), answered(identity="T2", citations=(cited(None),)), abstained("U1")]
    gold = Gold("small", Path("g.jsonl"), asked, "0" * 64)
    return evaluate_answers(
        gold, measure_all(asked, said), source="here", snapshot=None, provenance=None, judge=judge, notices=("First.",)
    )


def rows(tables: list[TextTable], start: str) -> list[tuple[str, ...]]:
    return next(list(table.rows) for table in tables if table.title.startswith(start))


def test_every_measure_has_its_row_with_the_baseline_below_key_facts() -> None:
    names = [row[0] for row in rows(list(answer_tables(results())), "small: 2 answerable questions, 1 not")]
    assert names[:2] == ["key fact recall", "… echoing the question"]
    assert "tokens/s of the model" not in names


def test_a_measure_that_a_slice_does_not_have_is_a_dash_and_not_a_zero() -> None:
    by_slice = {row[0]: row for row in rows(list(answer_tables(results())), "What is said")}
    assert by_slice["unanswerable"][2:] == ("–",) * 6
    assert by_slice["colloquial"][2] == "1.00"


def test_latency_and_writers_are_left_out_where_a_run_has_none() -> None:
    assert len(list(answer_tables(results()))) == 3
    with_times = replace(results(), written_by={"model": 1.0})
    assert rows(list(answer_tables(with_times)), "Who wrote") == [("written by model", "1.000", "")]


def test_what_is_left_out_is_said() -> None:
    notices = " ".join(results(JUDGED).notices)
    assert notices.startswith("First.")
    for said in ("1 answerable questions have no key facts", "1 citations point to", "latency is left out"):
        assert said in notices
    assert "1 answers were not judged: U1." in notices


def test_the_judge_stands_with_its_agreement() -> None:
    judged = rows(list(answer_tables(results(JUDGED))), "Judged by big: 2 answers, 1 not judged")
    assert judged == [
        ("judged correct", "0.750", "0.500 – 1.000", "2"),
        ("agrees with key-fact recall", "0.500", "rank correlation 0.25", "2"),
        ("agrees on abstention", "–", "–", "0"),
    ]


def test_markdown_escapes_bars_and_lists_notices() -> None:
    page = as_markdown([TextTable("T", ("a|b", "n"), (("x", "1"),))], ["Mind this."])
    assert page == "**T**\n\n| a\\|b | n |\n| --- | ---: |\n| x | 1 |\n\n- Mind this.\n"
