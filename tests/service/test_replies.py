"""Results as JSON: what is sent always, what only a search that is explained says, and what a run file holds."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from index.schema import Chunk, Hit, Place, Signal
from service.answering.exchange import Answer, SearchResult
from service.answering.explanation import Asked, Dropped, Explanation, Rejected
from service.replies import AnswerReply, ExplanationReply, HitReply, SearchReply, run_line

FOLDED = Place("f" * 16, "old/tea.md", ("旧", "茶"), (7, 8), "绿茶用八十度的水。")
TEA = Chunk("a" * 16, "tea.md", ("茶", "冲泡"), "绿茶用八十度的水。", (3, 3), alternatives=(FOLDED,))
BREWING = Chunk("b" * 16, "tea.md", ("茶", "时间"), "泡两分钟。", (5, 6))
ALIKE = Chunk("c" * 16, "green.md", ("绿茶",), "绿茶要用八十度的水。", (1, 1))
SIGNALS = {"lexical": Signal(2, 3.5), "late:translation": Signal(1, 0.75)}
HIT = Hit(TEA, 1.25, SIGNALS, span=(TEA, BREWING), alike=(ALIKE,), matches=("绿茶用八十度的水。",))
BARE = Hit(BREWING, 0.5)
EXPLANATION = Explanation(
    route="parts",
    asked=(Asked("question", "茶", 1.0, ("茶", "杯"), ("茶",)), Asked("part", "杯", 1.0, ("杯",), ())),
    rejected=(Rejected("hyde", "empty"),),
    dropped=(Dropped(ALIKE.id, "green.md", (1, 1), 0.25, "alike", 1), Dropped("d" * 16, "x.md", (2, 3), 0.1, "rank")),
    filtered_out=4,
)
ALWAYS = {"chunk_id", "note", "heading", "lines", "text", "score", "signals"}


def sent(hits: tuple[Hit, ...], explanation: Explanation | None) -> dict[str, Any]:
    result = SearchResult(hits, "000007", {"late": 1.5}, ("hyde",), explanation)
    dumped = SearchReply.of(result).model_dump(mode="json")
    assert json.loads(SearchReply.of(result).model_dump_json()) == dumped
    return dumped


class TestSearch:
    def test_what_is_not_explained_has_no_word_of_it(self) -> None:
        body = sent((HIT, BARE), None)
        assert set(body) == {"hits", "timings", "stages_skipped", "snapshot"}
        assert [set(hit) for hit in body["hits"]] == [ALWAYS, ALWAYS]

    def test_what_is_explained_has_matches_places_and_explanation(self) -> None:
        body = sent((HIT, BARE), EXPLANATION)
        assert set(body) == {"hits", "timings", "stages_skipped", "snapshot", "explanation"}
        first, second = body["hits"]
        assert set(first) == {*ALWAYS, "matches", "also_in"}
        assert first["matches"] == ["绿茶用八十度的水。"]
        assert set(second) == ALWAYS  # no line matches and nothing says the same

    def test_where_else_it_stands_are_its_duplicates_and_then_the_hits_folded_into_it(self) -> None:
        (hit,) = sent((HIT,), EXPLANATION)["hits"]
        assert hit["also_in"] == [
            {"note": "old/tea.md", "heading": ["旧", "茶"], "lines": [7, 8]},
            {"note": "green.md", "heading": ["绿茶"], "lines": [1, 1]},
        ]

    @pytest.mark.parametrize("explanation", [None, EXPLANATION])
    def test_text_and_lines_are_those_of_the_whole_passage(self, explanation: Explanation | None) -> None:
        (hit,) = sent((HIT,), explanation)["hits"]
        assert {name: hit[name] for name in ALWAYS} == {
            "chunk_id": TEA.id,
            "note": "tea.md",
            "heading": ["茶", "冲泡"],
            "lines": [3, 6],
            "text": "绿茶用八十度的水。\n\n时间\n\n泡两分钟。",
            "score": 1.25,
            "signals": {"lexical": {"rank": 2, "score": 3.5}, "late:translation": {"rank": 1, "score": 0.75}},
        }

    def test_an_explanation_of_nothing_is_still_one(self) -> None:
        nothing = Explanation("small-talk", (), (), (), 0)
        assert sent((), nothing)["explanation"] == {
            "route": "small-talk",
            "asked": [],
            "rejected": [],
            "dropped": [],
            "filtered_out": 0,
        }


class TestExplanation:
    def test_everything_of_it_is_sent(self) -> None:
        assert ExplanationReply.of(EXPLANATION).model_dump(mode="json") == {
            "route": "parts",
            "asked": [
                {"stage": "question", "text": "茶", "weight": 1.0, "terms": ["茶", "杯"], "known": ["茶"]},
                {"stage": "part", "text": "杯", "weight": 1.0, "terms": ["杯"], "known": []},
            ],
            "rejected": [{"stage": "hyde", "reason": "empty", "text": ""}],
            "dropped": [
                {
                    "chunk_id": ALIKE.id,
                    "note": "green.md",
                    "lines": [1, 1],
                    "score": 0.25,
                    "reason": "alike",
                    "hit": 1,
                },
                {"chunk_id": "d" * 16, "note": "x.md", "lines": [2, 3], "score": 0.1, "reason": "rank", "hit": None},
            ],
            "filtered_out": 4,
        }

    def test_a_reason_that_nobody_reads_is_refused(self) -> None:
        unread = replace(EXPLANATION.dropped[0], reason="whim")  # type: ignore[arg-type]  # what is tested
        with pytest.raises(ValidationError, match="whim"):
            ExplanationReply.of(replace(EXPLANATION, dropped=(unread,)))


def test_an_answer_shows_its_hits_without_explaining_them() -> None:
    body = AnswerReply.of(Answer("茶[1]。", False, (), (HIT,), "000007", "extract")).model_dump(mode="json")
    assert [set(hit) for hit in body["hits"]] == [ALWAYS]


def test_a_hit_comes_back_from_what_was_sent() -> None:
    for reply in (HitReply.of(HIT), HitReply.explained(HIT), HitReply.explained(BARE)):
        assert HitReply.model_validate_json(reply.model_dump_json()) == reply


@pytest.mark.parametrize("hit", [HIT, BARE])
def test_a_run_line_holds_texts_and_six_fields_of_every_hit(hit: Hit) -> None:
    line = json.loads(json.dumps(run_line([hit, BARE])))
    assert set(line) == {"chunks", "hits"}
    assert line["chunks"] == [hit.text, "泡两分钟。"]
    assert [set(each) for each in line["hits"]] == [{"chunk_id", "note", "heading", "lines", "score", "signals"}] * 2
    assert line["hits"][1] == {
        "chunk_id": BREWING.id,
        "note": "tea.md",
        "heading": ["茶", "时间"],
        "lines": [5, 6],
        "score": 0.5,
        "signals": {},
    }


def test_a_run_line_of_nothing_is_empty() -> None:
    assert run_line([]) == {"chunks": [], "hits": []}
