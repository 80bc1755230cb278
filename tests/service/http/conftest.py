"""A service around the toy engine and a toy indexer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from index.errors import AsknotesError
from index.progress import ProgressListener
from service.http.app import create_app
from service.http.errors import ServiceNotReady
from service.settings import Settings
from tests.service.toy_engine import ToyEngine

SUMMARY = {"snapshot": "000002", "notes": {"added": 1, "skipped": []}, "chunks": 3}


@dataclass(frozen=True)
class ToyOutcome:
    def as_json(self) -> Mapping[str, object]:
        return SUMMARY


@dataclass
class ToyIndexer:
    """Counts its runs; waits for ``hold`` in the middle of its stage, then fails with ``error`` if there is one."""

    hold: threading.Event | None = None
    error: Exception | None = None
    runs: list[bool] = field(default_factory=list)

    def __call__(self, *, full: bool, listener: ProgressListener) -> ToyOutcome:
        self.runs.append(full)
        listener.start("encoding chunks", 4)
        listener.advance(1)
        listener.advance(2)
        if self.hold is not None:
            self.hold.wait(10)
        if self.error is not None:
            raise self.error
        listener.finish()
        return ToyOutcome()


@pytest.fixture
def engine() -> ToyEngine:
    return ToyEngine()


@pytest.fixture
def indexer() -> ToyIndexer:
    return ToyIndexer()


@pytest.fixture
def client(engine: ToyEngine, indexer: ToyIndexer) -> Iterator[TestClient]:
    with serving(create_app(lambda: engine, Settings(), indexer=indexer)) as ready:
        yield ready


class ServingClient(TestClient):
    """A client of an app whose unexpected errors become responses; on entering it waits until the engine is open."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(app, raise_server_exceptions=False)

    def __enter__(self) -> ServingClient:
        super().__enter__()
        wait_until(lambda: _error_type(self) != ServiceNotReady.type)
        return self


def _error_type(client: TestClient) -> str | None:
    return client.get("/readyz").json().get("error", {}).get("type")  # type: ignore[no-any-return]


def serving(app: FastAPI) -> ServingClient:
    return ServingClient(app)


def settings(**server: Any) -> Settings:
    return Settings.model_validate({"server": server})


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.005)


def refused_source(error: AsknotesError) -> Callable[[], ToyEngine]:
    def source() -> ToyEngine:
        raise error

    return source
