from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from index.errors import IndexLocked, IndexMissing
from service.http.app import create_app
from tests.service.http.conftest import SUMMARY, ToyIndexer, serving, settings, wait_until
from tests.service.http.test_ask import events
from tests.service.toy_engine import ToyEngine


def finished(client: TestClient, job_id: str) -> dict[str, Any]:
    wait_until(lambda: client.get(f"/v1/jobs/{job_id}").json()["state"] != "running")
    job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}").json()
    return job


def test_a_job_runs_in_the_background_and_keeps_its_summary(
    client: TestClient, indexer: ToyIndexer, engine: ToyEngine
) -> None:
    reply = client.post("/v1/index", json={"full": True})
    assert reply.status_code == 202
    job = reply.json()
    assert reply.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["kind"], job["full"], job["error"]) == ("index", True, None)
    done = finished(client, job["id"])
    assert (done["state"], done["summary"], done["error"], done["progress"]) == ("succeeded", SUMMARY, None, None)
    assert done["created_at"] <= done["finished_at"]
    assert indexer.runs == [True]
    assert engine.refreshed >= 1


def test_a_body_is_not_needed_and_a_wrong_one_is_refused(client: TestClient, indexer: ToyIndexer) -> None:
    job = client.post("/v1/index")
    assert job.status_code == 202
    assert finished(client, job.json()["id"])["full"] is False
    assert client.post("/v1/index", json={"fuller": True}).status_code == 422
    assert indexer.runs == [False]


def test_a_second_run_while_one_is_running_is_that_one(client: TestClient, indexer: ToyIndexer) -> None:
    indexer.hold = threading.Event()
    first = client.post("/v1/index")
    second = client.post("/v1/index", json={"full": True})
    assert (first.status_code, second.status_code) == (202, 200)
    assert second.json()["id"] == first.json()["id"]
    assert second.headers["Location"] == first.headers["Location"]
    indexer.hold.set()
    finished(client, first.json()["id"])
    third = client.post("/v1/index")
    assert third.status_code == 202
    finished(client, third.json()["id"])
    assert indexer.runs == [False, False]


def test_questions_are_answered_and_progress_is_told_while_a_job_runs(client: TestClient, indexer: ToyIndexer) -> None:
    indexer.hold = threading.Event()
    job_id = client.post("/v1/index").json()["id"]
    wait_until(lambda: client.get(f"/v1/jobs/{job_id}").json()["progress"] is not None)
    assert client.get(f"/v1/jobs/{job_id}").json()["progress"] == {"stage": "encoding chunks", "done": 3, "total": 4}
    assert client.post("/v1/ask", json={"question": "绿茶？", "stream": True}).status_code == 200
    assert client.get("/v1/index").json()["job"]["id"] == job_id
    indexer.hold.set()
    finished(client, job_id)


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (IndexLocked("someone else writes", hint="wait"), "index_locked", "someone else writes"),
        (ZeroDivisionError("secret"), "internal_error", "Something went wrong inside the service."),
    ],
)
def test_a_failed_job_keeps_its_typed_error_and_the_next_one_may_run(
    client: TestClient, indexer: ToyIndexer, failure: Exception, kind: str, message: str
) -> None:
    indexer.error = failure
    job = finished(client, client.post("/v1/index", headers={"X-Request-ID": "req-1"}).json()["id"])
    assert (job["state"], job["summary"]) == ("failed", None)
    assert (job["error"]["type"], job["error"]["message"]) == (kind, message)
    assert job["error"]["request_id"] == "req-1"
    assert events(client.get(f"/v1/jobs/{job['id']}/events").text) == [("error", {"error": job["error"]})]
    indexer.error = None
    assert finished(client, client.post("/v1/index").json()["id"])["state"] == "succeeded"


def test_the_events_of_a_job_end_with_its_summary(client: TestClient, indexer: ToyIndexer) -> None:
    indexer.hold = threading.Event()
    job_id = client.post("/v1/index").json()["id"]
    wait_until(lambda: client.get(f"/v1/jobs/{job_id}").json()["progress"] is not None)
    threading.Timer(0.3, indexer.hold.set).start()
    reply = client.get(f"/v1/jobs/{job_id}/events")
    assert reply.headers["content-type"].startswith("text/event-stream")
    told = events(reply.text)
    assert [name for name, _ in told] == ["progress", "done"]
    assert told[0][1]["progress"] == {"stage": "encoding chunks", "done": 3, "total": 4}
    assert (told[1][1]["state"], told[1][1]["summary"]) == ("succeeded", SUMMARY)


@pytest.mark.parametrize("path", ["/v1/jobs/42", "/v1/jobs/42/events"])
def test_an_unknown_job_is_404(client: TestClient, path: str) -> None:
    reply = client.get(path)
    assert reply.status_code == 404
    assert reply.json()["error"]["type"] == "job_unknown"


def test_only_the_latest_jobs_are_remembered(engine: ToyEngine) -> None:
    with serving(create_app(lambda: engine, settings(jobs_kept=2), indexer=ToyIndexer())) as client:
        ids = []
        for _ in range(3):
            ids.append(client.post("/v1/index").json()["id"])
            finished(client, ids[-1])
        assert [client.get(f"/v1/jobs/{job_id}").status_code for job_id in ids] == [404, 200, 200]


def test_the_status_is_the_engines(client: TestClient) -> None:
    assert client.get("/v1/index").json() == {"index": {"snapshot": "000001", "chunks": 13}, "job": None}


def test_the_first_index_of_all_makes_the_service_ready(engine: ToyEngine) -> None:
    published = threading.Event()

    def source() -> ToyEngine:
        if not published.is_set():
            raise IndexMissing("nothing is published", hint="index something")
        return engine

    class Publishing(ToyIndexer):
        def __call__(self, **options: Any) -> Any:
            published.set()
            return super().__call__(**options)

    with serving(create_app(source, settings(refresh_s=3600), indexer=Publishing())) as client:
        assert client.post("/v1/ask", json={"question": "绿茶？"}).json()["error"]["type"] == "index_missing"
        assert client.get("/v1/index").status_code == 503
        finished(client, client.post("/v1/index").json()["id"])
        assert client.post("/v1/ask", json={"question": "绿茶？"}).status_code == 200


def test_a_snapshot_that_cannot_be_served_fails_the_job_but_keeps_its_summary() -> None:
    engine = ToyEngine()

    def refused() -> None:
        raise IndexMissing("it is gone again", hint="index once more")

    engine.refresh: Callable[[], None] = refused  # type: ignore[method-assign,misc]
    with serving(create_app(lambda: engine, settings(), indexer=ToyIndexer())) as client:
        job = finished(client, client.post("/v1/index").json()["id"])
    assert (job["state"], job["summary"], job["error"]["type"]) == ("failed", SUMMARY, "index_missing")
