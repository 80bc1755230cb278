from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi.testclient import TestClient

from index.errors import GenerationFailed
from service.answering.exchange import ChunkFilter, Turn
from tests.service.toy_engine import TEA, ToyEngine

QUESTION = {"question": "绿茶用几度的水？"}
GENERATION_FAILED = GenerationFailed("the model fell over", hint="restart it")


def events(text: str) -> list[tuple[str, Any]]:
    """Parse a stream; comments (pings) are left out."""
    found = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_an_answer_cites_its_chunk_with_lines_and_says_who_wrote_it(client: TestClient) -> None:
    reply = client.post("/v1/ask", json=QUESTION)
    assert reply.status_code == 200
    body = reply.json()
    assert body["answer"] == "绿茶用八十度的水。[1]"
    assert body["citations"] == [
        {
            "n": 1,
            "chunk_id": TEA.id,
            "note": "tea.md",
            "heading": ["茶", "冲泡"],
            "lines": [3, 4],
            "quote": "绿茶用八十度的水。",
        }
    ]
    assert body["hits"][0]["chunk_id"] == TEA.id
    assert (body["abstained"], body["written_by"], body["snapshot"]) == (False, "extract", "000001")
    assert body["timings"] == {"search": 1.5, "write": 2.5}
    assert body["request_id"] == reply.headers["X-Request-ID"]
    assert set(body) == {
        "answer", "abstained", "written_by", "citations", "hits", "timings", "stages_skipped", "snapshot", "request_id"
    }  # fmt: skip


def test_a_question_that_the_notes_do_not_answer_is_abstained_on(client: TestClient) -> None:
    body = client.post("/v1/ask", json={"question": "XYZ"}).json()
    assert (body["abstained"], body["written_by"], body["citations"], body["hits"]) == (True, "none", [], [])


def test_every_field_of_the_contract_reaches_the_engine(client: TestClient, engine: ToyEngine) -> None:
    client.post(
        "/v1/ask",
        json={
            "question": "  绿茶？ ",
            "history": [{"role": "user", "content": "茶？"}, {"role": "assistant", "content": "什么茶？"}],
            "top_k": 7,
            "filter": {"path": "tea", "tags": ["茶"], "language": "zh", "date_from": "2024-01-01"},
            "hyde": True,
            "rerank": "none",
            "deadline_s": 30,
        },
    )
    (asked,) = engine.asked
    assert asked.question == "绿茶？"
    assert asked.history == (Turn("user", "茶？"), Turn("assistant", "什么茶？"))
    assert (asked.top_k, asked.hyde, asked.rerank) == (7, True, "none")
    assert asked.filter == ChunkFilter(path="tea", tags=("茶",), language="zh", date_from="2024-01-01")
    assert asked.deadline_s is not None
    assert 29 < asked.deadline_s <= 30


@pytest.mark.parametrize("stream", [False, True])
def test_stages_are_switched_by_name(client: TestClient, engine: ToyEngine, stream: bool) -> None:
    switched = {"glossary": False, "translation": True}
    assert client.post("/v1/ask", json={**QUESTION, "stages": switched, "stream": stream}).status_code == 200
    assert client.post("/v1/ask", json={**QUESTION, "stream": stream}).status_code == 200
    assert [asked.stages for asked in engine.asked] == [switched, {}]


@pytest.mark.parametrize("wrong", [{"stages": {"telepathy": True}}, {"stages": {"glossary": 1}}, {"explain": True}])
def test_an_unknown_stage_and_what_only_a_search_can_do_are_refused(
    client: TestClient, engine: ToyEngine, wrong: dict[str, Any]
) -> None:
    reply = client.post("/v1/ask", json={**QUESTION, **wrong})
    assert (reply.status_code, reply.json()["error"]["type"]) == (422, "request_invalid")
    assert engine.asked == []


def test_an_answers_hits_are_not_explained(client: TestClient) -> None:
    plain = client.post("/v1/ask", json=QUESTION).json()["hits"]
    ((_, retrieval), *_) = events(client.post("/v1/ask", json={**QUESTION, "stream": True}).text)
    assert retrieval["hits"] == plain
    assert "explanation" not in retrieval
    assert set().union(*plain) == {"chunk_id", "note", "heading", "lines", "text", "score", "signals"}


def test_stages_that_were_skipped_are_passed_on(client: TestClient) -> None:
    assert client.post("/v1/ask", json={**QUESTION, "top_k": 7}).json()["stages_skipped"] == ["hyde"]


def test_a_stream_tells_retrieval_then_tokens_then_the_checked_answer_then_done(client: TestClient) -> None:
    reply = client.post("/v1/ask", json={**QUESTION, "stream": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    request_id = reply.headers["X-Request-ID"]
    told = events(reply.text)
    assert [name for name, _ in told] == ["retrieval", "token", "token", "citations", "done"]
    data = [body for _, body in told]
    assert data[0]["hits"][0]["chunk_id"] == TEA.id
    assert data[0]["request_id"] == request_id
    assert [data[1], data[2]] == [{"text": "绿茶"}, {"text": "用水"}]
    assert set(data[3]) == {"answer", "abstained", "written_by", "citations"}
    assert data[3]["answer"] == "绿茶用八十度的水。[1]"
    assert data[3]["citations"][0]["quote"] == "绿茶用八十度的水。"
    assert data[4] == {
        "timings": {"search": 1.5, "write": 2.5},
        "snapshot": "000001",
        "stages_skipped": [],
        "request_id": request_id,
    }


def test_a_token_with_line_breaks_stays_one_event(client: TestClient, engine: ToyEngine) -> None:
    engine.tokens = ("一\n\n二\r\n三",)
    told = events(client.post("/v1/ask", json={**QUESTION, "stream": True}).text)
    assert told[1] == ("token", {"text": "一\n\n二\r\n三"})


@pytest.mark.parametrize(
    ("failure", "kind"), [(GENERATION_FAILED, "generation_failed"), (ZeroDivisionError("secret"), "internal_error")]
)
def test_an_error_inside_a_stream_is_its_last_event_in_the_one_shape(
    client: TestClient, engine: ToyEngine, failure: Exception, kind: str
) -> None:
    engine.break_after_tokens = failure
    reply = client.post("/v1/ask", json={**QUESTION, "stream": True})
    told = events(reply.text)
    assert [name for name, _ in told] == ["retrieval", "token", "token", "error"]
    error = told[-1][1]["error"]
    assert set(error) == {"type", "message", "hint", "request_id"}
    assert (error["type"], error["request_id"]) == (kind, reply.headers["X-Request-ID"])
    assert "secret" not in reply.text


def test_a_failed_stream_gives_its_place_back(client: TestClient, engine: ToyEngine) -> None:
    engine.break_after_tokens = GENERATION_FAILED
    for _ in range(30):  # more than there are places
        assert client.post("/v1/ask", json={**QUESTION, "stream": True}).status_code == 200
