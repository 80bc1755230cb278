from __future__ import annotations

from fastapi.testclient import TestClient

from tests.service.toy_engine import TEA, ToyEngine


def test_hits_come_best_first_with_every_signal(client: TestClient) -> None:
    reply = client.post("/v1/search", json={"question": "绿茶用几度的水？", "top_k": 2})
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
