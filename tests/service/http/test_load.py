"""Many at once, too many, too late, and clients that leave."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service.http.app import create_app
from tests.service.http.conftest import ToyIndexer, serving, settings, wait_until
from tests.service.toy_engine import ToyEngine

QUESTION = {"question": "绿茶用几度的水？"}


@pytest.fixture
def held() -> Iterator[ToyEngine]:
    engine = ToyEngine(hold=threading.Event())
    yield engine
    assert engine.hold is not None
    engine.hold.set()


@pytest.fixture
def narrow(held: ToyEngine) -> Iterator[TestClient]:
    """A service that works on one question and lets one wait."""
    app = create_app(lambda: held, settings(concurrency=1, queue=1, retry_after_s=7), indexer=ToyIndexer())
    with serving(app) as client:
        yield client


def test_beyond_the_queue_it_is_429_with_retry_after_and_later_there_is_room_again(
    narrow: TestClient, held: ToyEngine
) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(narrow.post, "/v1/ask", json=QUESTION)
        held.working.acquire(timeout=5)
        second = pool.submit(narrow.post, "/v1/ask", json=QUESTION)
        wait_until(lambda: _inside(narrow) == 2)
        refused = [narrow.post("/v1/ask", json={**QUESTION, "stream": stream}) for stream in (False, True)]
        assert held.hold is not None
        held.hold.set()
        assert (first.result(5).status_code, second.result(5).status_code) == (200, 200)
    for reply in refused:
        assert reply.status_code == 429
        assert reply.headers["Retry-After"] == "7"
        assert reply.json()["error"]["type"] == "service_busy"
    assert narrow.post("/v1/ask", json=QUESTION).status_code == 200
    assert len(held.asked) == 3


def test_health_is_answered_while_all_places_are_taken(narrow: TestClient, held: ToyEngine) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(narrow.post, "/v1/ask", json=QUESTION)
        held.working.acquire(timeout=5)
        assert narrow.get("/healthz").json() == {"status": "ok"}
        assert narrow.get("/readyz").status_code == 200
        assert held.hold is not None
        held.hold.set()
        first.result(5)


@pytest.mark.parametrize("stream", [False, True])
def test_a_deadline_that_passes_in_the_queue_is_an_error_and_the_question_is_not_begun(
    narrow: TestClient, held: ToyEngine, stream: bool
) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(narrow.post, "/v1/ask", json=QUESTION)
        held.working.acquire(timeout=5)
        late = narrow.post("/v1/ask", json={**QUESTION, "deadline_s": 0.05, "stream": stream})
        assert "deadline_exceeded" in late.text
        assert late.status_code == (200 if stream else 504)
        assert held.hold is not None
        held.hold.set()
        first.result(5)
    assert len(held.asked) == 1


def test_time_spent_waiting_is_taken_off_the_deadline(narrow: TestClient, held: ToyEngine) -> None:
    with ThreadPoolExecutor() as pool:
        first = pool.submit(narrow.post, "/v1/ask", json=QUESTION)
        held.working.acquire(timeout=5)
        second = pool.submit(narrow.post, "/v1/ask", json={**QUESTION, "deadline_s": 60})
        wait_until(lambda: _inside(narrow) == 2)
        time.sleep(0.1)
        assert held.hold is not None
        held.hold.set()
        first.result(5)
        second.result(5)
    left = held.asked[1].deadline_s
    assert left is not None
    assert 50 < left < 60


@pytest.fixture
def port(held: ToyEngine) -> Iterator[int]:
    """A real server with one place to work at, for clients that hang up."""
    app = create_app(lambda: held, settings(concurrency=1, queue=1), indexer=ToyIndexer())
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        number: int = listening.getsockname()[1]
        wait_until(lambda: _status(number) == 200)
        yield number
        assert held.hold is not None
        held.hold.set()
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_stops_the_work_and_frees_the_place(held: ToyEngine, port: int, stream: bool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(
        "POST", "/v1/ask", json.dumps({**QUESTION, "stream": stream}), {"Content-Type": "application/json"}
    )
    held.working.acquire(timeout=5)
    if stream:
        response = connection.getresponse()
        assert response.readline() == b"event: retrieval\r\n"
        response.close()
    connection.close()
    assert held.cancelled.wait(5)
    held.hold = None
    again = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    again.request("POST", "/v1/ask", json.dumps(QUESTION), {"Content-Type": "application/json"})
    assert again.getresponse().status == 200
    again.close()
    held.hold = threading.Event()


def test_a_client_that_leaves_the_queue_gives_up_its_place(held: ToyEngine, port: int) -> None:
    working = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    working.request("POST", "/v1/ask", json.dumps(QUESTION), {"Content-Type": "application/json"})
    held.working.acquire(timeout=5)
    for _ in range(5):  # more than may wait at once
        waiting = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        waiting.request("POST", "/v1/ask", json.dumps(QUESTION), {"Content-Type": "application/json"})
        time.sleep(0.05)
        waiting.close()
        time.sleep(0.05)
    assert held.hold is not None
    held.hold.set()
    assert working.getresponse().status == 200
    working.close()
    assert len(held.asked) == 1


def _inside(client: TestClient) -> int:
    assert isinstance(client.app, FastAPI)
    inside: int = client.app.state.context.queue.inside
    return inside


def _status(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    finally:
        connection.close()
