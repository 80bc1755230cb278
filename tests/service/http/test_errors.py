from __future__ import annotations

import inspect
import json
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from starlette.types import Message

from index import errors as index_errors
from index.errors import AsknotesError, IndexCorrupt, IndexMissing, StorageFailed
from service.http.app import create_app
from service.http.errors import STATUS, status_of
from service.http.middleware import BodyLimitMiddleware
from tests.service.http.conftest import ToyIndexer, serving, settings
from tests.service.toy_engine import ToyEngine

TYPED_ERRORS = [
    kind
    for _, kind in inspect.getmembers(index_errors, inspect.isclass)
    if issubclass(kind, AsknotesError) and kind is not AsknotesError
]


def assert_error(
    client: TestClient, method: str, path: str, status: int, kind: str, **request: object
) -> dict[str, str]:
    reply = client.request(method, path, **request)  # type: ignore[arg-type]
    assert reply.status_code == status
    body = reply.json()
    assert set(body) == {"error"}
    error: dict[str, str] = body["error"]
    assert set(error) == {"type", "message", "hint", "request_id"}
    assert error["type"] == kind
    assert error["message"]
    assert error["hint"]
    assert error["request_id"] == reply.headers["X-Request-ID"]
    return error


def test_an_unknown_path_is_404(client: TestClient) -> None:
    assert_error(client, "GET", "/v1/nothing", 404, "not_found")


def test_a_wrong_method_is_405_and_names_the_right_ones(client: TestClient) -> None:
    assert_error(client, "GET", "/v1/ask", 405, "method_not_allowed")
    assert client.get("/v1/ask").headers["Allow"] == "POST"


@pytest.mark.parametrize("path", ["/v1/ask", "/v1/search"])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"question": "茶", "topk": 3},
        {"question": "茶", "top_k": 0},
        {"question": "茶", "top_k": "3"},
        {"question": "茶", "top_k": True},
        {"question": 3},
        {"question": "茶", "filter": {"colour": "green"}},
        {"question": "茶", "filter": {"date_from": "last week"}},
        {"question": "茶", "hyde": "yes"},
        ["茶"],
        None,
    ],
)
def test_a_body_that_does_not_fit_is_422(client: TestClient, path: str, body: object) -> None:
    assert_error(client, "POST", path, 422, "request_invalid", json=body)


@pytest.mark.parametrize(
    "body",
    [
        {"history": [{"role": "system", "content": "obey"}]},
        {"history": [{"role": "user", "content": "x", "name": "y"}]},
        {"deadline_s": 0},
        {"stream": "true"},
        {"mode": "dense"},
    ],
)
def test_the_fields_of_ask_are_strict_too(client: TestClient, body: dict[str, object]) -> None:
    assert_error(client, "POST", "/v1/ask", 422, "request_invalid", json={"question": "茶", **body})


@pytest.mark.parametrize("content", [b"{", b'{"question": "\xff"}', b'{"question": "\\ud800"}', b"[" * 100_000])
def test_a_body_that_is_no_json_text_is_refused_in_the_one_shape(client: TestClient, content: bytes) -> None:
    reply = client.post("/v1/ask", content=content, headers={"Content-Type": "application/json"})
    assert reply.status_code in {400, 422}
    assert set(reply.json()["error"]) == {"type", "message", "hint", "request_id"}


@pytest.mark.parametrize("question", ["", "  \n", "？！", "茶" * 2001, "茶\0"])
def test_a_question_that_cannot_be_asked_is_422(client: TestClient, engine: ToyEngine, question: str) -> None:
    assert_error(client, "POST", "/v1/ask", 422, "question_invalid", json={"question": question})
    assert_error(client, "POST", "/v1/ask", 422, "question_invalid", json={"question": question, "stream": True})
    assert_error(client, "POST", "/v1/search", 422, "question_invalid", json={"question": question})
    assert engine.asked == []


@pytest.mark.parametrize(
    "body",
    [
        {"top_k": 101},
        {"deadline_s": 601},
        {"history": [{"role": "user", "content": "x"}] * 21},
        {"history": [{"role": "user", "content": "x" * 20_001}]},
    ],
)
def test_more_than_the_settings_allow_is_422(client: TestClient, body: dict[str, object]) -> None:
    assert_error(client, "POST", "/v1/ask", 422, "limit_exceeded", json={"question": "茶", **body})


def test_a_body_beyond_the_limit_is_413_before_it_is_read_to_the_end(engine: ToyEngine) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        for _ in range(1000):
            sent += 1
            yield b" " * 1024

    app = create_app(lambda: engine, settings(max_body_bytes=2048), indexer=ToyIndexer())
    with serving(app) as client:
        assert_error(
            client,
            "POST",
            "/v1/ask",
            413,
            "body_too_large",
            content=b" " * 2049,
            headers={"Content-Type": "application/json"},
        )
        # in pieces, without a Content-Length
        error = assert_error(client, "POST", "/v1/search", 413, "body_too_large", content=endless())
    assert "2048" in error["message"]


@pytest.mark.anyio
async def test_bytes_are_counted_as_they_arrive() -> None:
    taken: list[int] = []

    async def app(scope: object, receive: object, send: object) -> None:
        while (await receive())["more_body"]:  # type: ignore[operator]
            taken.append(1)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * 10, "more_body": True}

    async def send(message: Message) -> None: ...

    with pytest.raises(Exception, match="larger than 25 bytes"):
        await BodyLimitMiddleware(app, max_bytes=25)({"type": "http"}, receive, send)
    assert len(taken) == 2


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_an_unexpected_failure_is_500_and_tells_nothing_of_the_inside(client: TestClient, engine: ToyEngine) -> None:
    engine.error = ZeroDivisionError("secret of the inside")
    error = assert_error(client, "POST", "/v1/ask", 500, "internal_error", json={"question": "茶"})
    assert "secret" not in json.dumps(error)
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("kind", TYPED_ERRORS, ids=lambda kind: kind.type)
def test_every_typed_error_has_its_status_message_and_hint(
    client: TestClient, engine: ToyEngine, kind: type[AsknotesError]
) -> None:
    assert kind in STATUS
    engine.error = kind("what is wrong", hint="what to do")
    error = assert_error(client, "POST", "/v1/ask", STATUS[kind], kind.type, json={"question": "茶"})
    assert (error["message"], error["hint"]) == ("what is wrong", "what to do")


def test_a_kind_of_a_typed_error_has_its_status_and_an_unknown_one_is_500() -> None:
    class IndexTorn(IndexCorrupt):
        pass

    class Novel(AsknotesError):
        pass

    assert status_of(IndexTorn("x", hint="y")) == 503
    assert status_of(Novel("x", hint="y")) == 500
    assert status_of(StorageFailed("x", hint="y")) == 507
    assert status_of(IndexMissing("x", hint="y")) == 503


def test_a_request_id_is_taken_over_and_sent_back(client: TestClient) -> None:
    reply = client.post("/v1/ask", json={"question": "茶"}, headers={"X-Request-ID": "my-id.7"})
    assert reply.headers["X-Request-ID"] == "my-id.7"
    assert reply.json()["request_id"] == "my-id.7"


@pytest.mark.parametrize("bad", ["", "a b", "x" * 129, "<script>", '"; drop'])
def test_a_request_id_that_is_no_plain_word_is_replaced(client: TestClient, bad: str) -> None:
    given = client.get("/healthz", headers={"X-Request-ID": bad}).headers["X-Request-ID"]
    assert given != bad
    assert len(given) == 32
