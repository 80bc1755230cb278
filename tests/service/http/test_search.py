from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.answering.exchange import STAGES
from tests.service.toy_engine import CHUNKS, TEA, ToyEngine

QUESTION = "绿茶用几度的水？"


def test_hits_come_best_first_with_every_signal(client: TestClient) -> None:
    reply = client.post("/v1/search", json={"question": QUESTION, "top_k": 2})
    body = reply.json()
    assert reply.status_code == 200
    assert set(body) == {"hits", "timings", "stages_skipped", "snapshot", "request_id"}
    assert len(body["hits"]) == 2
    assert body["hits"][0] == {
        "chunk_id": TEA.id,
        "note": "tea.md",
        "heading": ["茶", "冲泡"],
        "lines": [3, 4],
        "text": TEA.text,
        "score": 6.0,
        "signals": {"lexical": {"rank": 1, "score": 6.0}},
    }
    assert body["hits"][0]["score"] >= body["hits"][1]["score"]
    assert (body["snapshot"], body["request_id"]) == ("000001", reply.headers["X-Request-ID"])


def test_the_options_of_a_search_reach_the_engine(client: TestClient, engine: ToyEngine) -> None:
    client.post(
        "/v1/search",
        json={"question": "水", "mode": "lexical", "hyde": False, "rerank": "toy", "filter": {"date_to": "2025-01-31"}},
    )
    (searched,) = engine.searched
    assert (searched.mode, searched.hyde, searched.rerank) == ("lexical", False, "toy")
    assert searched.filter is not None
    assert searched.filter.date_to == "2025-01-31"


def test_stages_are_switched_by_name_and_otherwise_left_as_configured(client: TestClient, engine: ToyEngine) -> None:
    client.post("/v1/search", json={"question": QUESTION, "stages": {"keywords": True, "spelling": False}})
    client.post("/v1/search", json={"question": QUESTION})
    assert [searched.stages for searched in engine.searched] == [{"keywords": True, "spelling": False}, {}]


def test_every_stage_that_there_is_can_be_switched(client: TestClient, engine: ToyEngine) -> None:
    every = dict.fromkeys(STAGES, False)
    assert client.post("/v1/search", json={"question": QUESTION, "stages": every}).status_code == 200
    assert engine.searched[0].stages == every


@pytest.mark.parametrize(
    ("field", "wrong"), [("stages", {"telepathy": True}), ("stages", {"keywords": "yes"}), ("explain", "yes")]
)
def test_an_unknown_stage_or_a_switch_that_is_none_is_refused(
    client: TestClient, engine: ToyEngine, field: str, wrong: Any
) -> None:
    reply = client.post("/v1/search", json={"question": QUESTION, field: wrong})
    assert reply.status_code == 422
    assert reply.json()["error"]["type"] == "request_invalid"
    assert field in reply.json()["error"]["message"]
    assert engine.searched == []


def test_an_explained_search_says_how_it_came_about(client: TestClient, engine: ToyEngine) -> None:
    body = client.post("/v1/search", json={"question": QUESTION, "top_k": 2, "explain": True}).json()
    assert [searched.explain for searched in engine.searched] == [True]
    assert body["explanation"] == {
        "route": "question",
        "asked": [
            {
                "stage": "question",
                "text": QUESTION,
                "weight": 1.0,
                "terms": ["绿茶", "几度"],
                "known": ["绿茶"],
            }
        ],
        "rejected": [{"stage": "hyde", "reason": "drifted", "text": "红茶"}],
        "dropped": [
            {
                "chunk_id": CHUNKS[1].id,
                "note": "coffee.md",
                "lines": [1, 1],
                "score": 0.5,
                "reason": "rank",
                "hit": None,
            }
        ],
        "filtered_out": 3,
    }
    assert body["hits"][0]["matches"] == ["绿茶用八十度的水。"]
    assert body["hits"][0]["also_in"] == [{"note": "old/tea.md", "heading": ["茶"], "lines": [1, 2]}]
    assert "also_in" not in body["hits"][1]


def test_a_search_that_is_not_to_be_explained_is_not(client: TestClient, engine: ToyEngine) -> None:
    body = client.post("/v1/search", json={"question": QUESTION, "explain": False}).json()
    assert [searched.explain for searched in engine.searched] == [False]
    assert "explanation" not in body
    assert all(not {"matches", "also_in"} & set(hit) for hit in body["hits"])
