from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eval.answers.run import RunInvalid, ask_all, read_run, watch, write_run
from eval.gold import Gold, GoldInvalid
from index.errors import GenerationFailed
from service.answering.exchange import AnswerEvent, AnswerStreamEvent, AskRequest, RetrievalEvent, TokenEvent
from tests.eval.answers.made_up_answers import question, unanswerable
from tests.service.toy_engine import TEA, ToyEngine

QUESTION = "绿茶用几度的水？"


def gold(*ids: str) -> Gold:
    return Gold("g", Path("g.jsonl"), tuple(question(one, text=QUESTION) for one in ids or ("T1", "T2")), "0" * 64)


def line(identity: str, **changes: Any) -> dict[str, Any]:
    citation = {"n": 1, "chunk_id": "b" * 16, "note": "t.md", "heading": ["茶"], "lines": [1, 2], "quote": "八十度"}
    row = {
        "id": identity,
        "chunks": ["别的。", "水要八十度。"],
        "answer": "八十度[1]。",
        "abstained": False,
        "citations": [citation],
        "timings": {"total": 12.5},
    }
    return {**row, **changes}


def saved(folder: Path, *rows: object) -> Path:
    path = folder / "run.jsonl"
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding="utf-8")
    return path


class TestAsking:
    def test_every_question_is_asked_and_watched(self) -> None:
        engine, done = ToyEngine(), []
        found = ask_all(engine, gold().questions, top_k=10, count_tokens=len, answered=lambda: done.append(1))
        assert [one.id for one in found] == ["T1", "T2"]
        assert [request.top_k for request in engine.asked] == [10, 10]
        assert len(done) == 2
        first = found[0]
        assert first.text == "绿茶用八十度的水。[1]"
        assert first.written_by == "extract"
        assert (first.citations[0].passage, first.citations[0].heading) == (TEA.text, ("茶", "冲泡"))
        assert first.first_text_ms is not None
        assert first.total_ms is not None
        assert 0 <= first.first_text_ms <= first.total_ms

    def test_without_a_draft_the_first_words_are_the_whole_answer(self) -> None:
        engine = ToyEngine(tokens=())
        (found,) = ask_all(engine, gold("T1").questions, top_k=10, count_tokens=len, answered=lambda: None)
        assert found.first_text_ms == found.total_ms
        assert found.tokens_per_s is None

    def test_the_rate_counts_tokens_from_the_first_piece_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = iter([100.0, 300.0, 500.0, 600.0])
        monkeypatch.setattr("eval.answers.run.milliseconds_since", lambda _: next(now))
        found = watch("T1", self.events("ab", "cd", "efg"), len)
        assert (found.first_text_ms, found.total_ms) == (100.0, 600.0)
        assert found.tokens_per_s == 5 / 0.4

    def test_one_piece_has_no_rate_and_neither_has_an_unknown_tokenizer(self) -> None:
        assert watch("T1", self.events("ab"), len).tokens_per_s is None
        assert watch("T1", self.events("ab", "cd"), None).tokens_per_s is None

    def test_an_answer_that_breaks_off_names_its_question(self) -> None:
        with pytest.raises(GenerationFailed, match="T1"):
            watch("T1", iter([TokenEvent("a")]))

    @staticmethod
    def events(*pieces: str) -> Iterator[AnswerStreamEvent]:
        engine = ToyEngine()
        answer = engine.ask(AskRequest(QUESTION))
        found = ToyEngine()._found(QUESTION, 10)
        return iter([RetrievalEvent(found), *map(TokenEvent, pieces), AnswerEvent(answer)])


class TestSavedRuns:
    def test_what_was_asked_is_read_back_as_it_was(self, tmp_path: Path) -> None:
        found = ask_all(ToyEngine(), gold().questions, top_k=10, count_tokens=len, answered=lambda: None)
        write_run(tmp_path / "run.jsonl", found)
        read = read_run(tmp_path / "run.jsonl", gold())
        plain = ("id", "text", "abstained", "citations", "written_by", "first_text_ms", "total_ms", "tokens_per_s")
        for one, other in zip(found, read, strict=True):
            assert [getattr(one, name) for name in plain] == [getattr(other, name) for name in plain]

    def test_a_line_has_what_asknotes_ask_writes(self, tmp_path: Path) -> None:
        found = ask_all(ToyEngine(), gold("T1").questions, top_k=3, count_tokens=None, answered=lambda: None)
        write_run(tmp_path / "run.jsonl", found)
        row = json.loads((tmp_path / "run.jsonl").read_text(encoding="utf-8"))
        assert {"id", "chunks", "answer", "abstained", "citations", "timings"} <= set(row)
        assert row["chunks"][0] == TEA.text
        assert row["hits"][0]["chunk_id"] == TEA.id

    def test_a_run_of_asknotes_ask_says_less_and_cites_by_its_quotes(self, tmp_path: Path) -> None:
        first, second = read_run(saved(tmp_path, line("T2", timings={}), line("T1")), gold())
        assert (first.id, second.id) == ("T1", "T2")
        assert (first.total_ms, second.total_ms) == (12.5, None)
        assert first.first_text_ms is None
        assert first.written_by is None
        assert first.citations[0].passage == "水要八十度。"

    def test_with_ids_a_citation_is_found_by_its_chunk_and_not_by_its_quote(self, tmp_path: Path) -> None:
        hits = [{"chunk_id": "b" * 16}, {"chunk_id": "c" * 16}]
        (found,) = read_run(saved(tmp_path, line("T1", hits=hits)), gold("T1"))
        assert found.citations[0].passage == "别的。"

    def test_a_citation_of_what_the_run_does_not_hold_has_no_passage(self, tmp_path: Path) -> None:
        (found,) = read_run(saved(tmp_path, line("T1", chunks=["别的。"])), gold("T1"))
        assert found.citations[0].passage is None

    def test_a_missing_question_is_refused_by_name(self, tmp_path: Path) -> None:
        with pytest.raises(RunInvalid, match="no answer to 1 of 2 questions: T2"):
            read_run(saved(tmp_path, line("T1")), gold())

    def test_an_unknown_or_repeated_question_is_refused_with_its_line(self, tmp_path: Path) -> None:
        with pytest.raises(RunInvalid, match=r"run.jsonl:2: .*'X9'"):
            read_run(saved(tmp_path, line("T1"), line("X9")), gold("T1"))
        with pytest.raises(GoldInvalid, match=r"run.jsonl:2: .*twice"):
            read_run(saved(tmp_path, line("T1"), line("T1")), gold("T1"))

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"answer": None}, "answer"),
            ({"abstained": "no"}, "abstained"),
            ({"citations": [{"n": 1}]}, "citations.0.quote"),
            ({"hits": [{"chunk_id": "b"}]}, "1 hits for 2 chunks"),
        ],
    )
    def test_a_malformed_line_is_refused_with_what_is_wrong(
        self, tmp_path: Path, changes: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(RunInvalid, match=rf"run.jsonl:1: {message}"):
            read_run(saved(tmp_path, line("T1", **changes)), gold("T1"))

    def test_unanswerable_questions_need_an_answer_too(self, tmp_path: Path) -> None:
        both = Gold("g", Path("g.jsonl"), (question("T1"), unanswerable("U1")), "0" * 64)
        with pytest.raises(RunInvalid, match="U1"):
            read_run(saved(tmp_path, line("T1")), both)
