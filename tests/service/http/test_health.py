from __future__ import annotations

import threading

from fastapi.testclient import TestClient

from index.errors import GenerationFailed, IndexIncompatible, WeightsMissing
from service.answering.ports import AnswerEngine
from service.http.app import create_app
from tests.service.http.conftest import ToyIndexer, refused_source, serving, settings, wait_until
from tests.service.toy_engine import ToyEngine


def test_while_models_load_the_process_is_alive_but_not_ready_and_says_so(engine: ToyEngine) -> None:
    loaded = threading.Event()

    def source() -> AnswerEngine:
        loaded.wait(10)
        return engine

    with TestClient(create_app(source, settings(), indexer=ToyIndexer())) as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        for reply in (client.get("/readyz"), client.post("/v1/ask", json={"question": "茶"})):
            assert reply.status_code == 503
            assert reply.json()["error"]["type"] == "service_not_ready"
        loaded.set()
        wait_until(lambda: client.get("/readyz").status_code == 200)
        assert client.get("/readyz").json() == {"status": "ready"}


def test_missing_weights_are_the_reason_told_until_they_are_there(engine: ToyEngine) -> None:
    fetched = threading.Event()

    def source() -> AnswerEngine:
        if not fetched.is_set():
            raise WeightsMissing("no weights", hint="asknotes models --fetch")
        return engine

    with serving(create_app(source, settings(refresh_s=0.1), indexer=ToyIndexer())) as client:
        error = client.get("/readyz").json()["error"]
        assert (error["type"], error["hint"]) == ("weights_missing", "asknotes models --fetch")
        assert client.post("/v1/search", json={"question": "茶"}).json()["error"]["type"] == "weights_missing"
        fetched.set()
        wait_until(lambda: client.get("/readyz").status_code == 200)


def test_whatever_keeps_the_engine_from_answering_is_503(client: TestClient, engine: ToyEngine) -> None:
    engine.unready = GenerationFailed("the model is gone", hint="restart")
    reply = client.get("/readyz")
    assert reply.status_code == 503
    assert reply.json()["error"]["type"] == "generation_failed"


def test_an_engine_that_breaks_while_opening_does_not_take_the_service_down() -> None:
    def source() -> AnswerEngine:
        raise ZeroDivisionError

    with TestClient(create_app(source, settings(), indexer=ToyIndexer())) as client:
        wait_until(lambda: "ZeroDivisionError" in client.get("/readyz").text)
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200


def test_what_is_served_is_served_on_when_the_newest_snapshot_cannot_be(engine: ToyEngine) -> None:
    incompatible = refused_source(IndexIncompatible("other encoder", hint="index again"))
    engine.refresh = incompatible  # type: ignore[method-assign,assignment]
    with serving(create_app(lambda: engine, settings(refresh_s=0.1), indexer=ToyIndexer())) as client:
        assert client.post("/v1/ask", json={"question": "绿茶"}).status_code == 200


def test_snapshots_published_by_other_processes_are_followed(engine: ToyEngine) -> None:
    with serving(create_app(lambda: engine, settings(refresh_s=0.1), indexer=ToyIndexer())):
        wait_until(lambda: engine.refreshed >= 2)


def test_no_page_that_loads_scripts_from_elsewhere(client: TestClient) -> None:
    assert client.get("/docs").status_code == 404
    assert client.get("/redoc").status_code == 404
    assert client.get("/openapi.json").status_code == 200
