"""The service as a process of its own."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from index.errors import ConfigInvalid
from service.http.server import listen
from service.settings import ServerConfig
from tests.service.http.conftest import wait_until

ROOT = Path(__file__).parents[3]

SERVER = """
import threading
from service.http.app import create_app
from service.http.server import listen, run_until_stopped
from tests.service.http.conftest import ToyIndexer, settings
from tests.service.toy_engine import ToyEngine

configured = settings(port=0, shutdown_grace_s=20)
held = threading.Event()
engine = ToyEngine(hold=held)
threading.Thread(target=lambda: (engine.working.acquire(), threading.Timer(1.5, held.set).start()), daemon=True).start()
with listen(configured.server) as listening:
    print(listening.getsockname()[1], flush=True)
    run_until_stopped(create_app(lambda: engine, configured, indexer=ToyIndexer()), listening, configured.server)
"""


@pytest.fixture
def server() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


@pytest.mark.parametrize("stream", [False, True])
def test_on_sigterm_what_is_running_is_finished_first(server: subprocess.Popen[str], stream: bool) -> None:
    port = int(_line(server.stdout))
    drained = threading.Thread(target=server.stderr.read) if server.stderr else None
    assert drained is not None
    drained.start()
    wait_until(lambda: _status(port) == 200, seconds=20)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    body = json.dumps({"question": "绿茶用几度的水？", "stream": stream})
    connection.request("POST", "/v1/ask", body, {"Content-Type": "application/json"})
    if stream:
        response = connection.getresponse()
        assert response.readline() == b"event: retrieval\r\n"
        server.send_signal(signal.SIGTERM)
        assert b"event: done" in response.read()
    else:
        threading.Timer(0.5, server.send_signal, [signal.SIGTERM]).start()
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["answer"]) == (200, "绿茶用八十度的水。[1]")
    connection.close()
    assert server.wait(20) == -signal.SIGTERM
    assert server.stdout is not None
    assert server.stdout.read() == ""  # logs are on standard error
    drained.join(5)


def test_a_port_that_is_taken_is_refused_with_a_remedy() -> None:
    with listen(ServerConfig(port=0)) as taken, pytest.raises(ConfigInvalid, match="Cannot listen on") as caught:
        listen(ServerConfig(port=taken.getsockname()[1]))
    assert "--port" in caught.value.hint


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.1"])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    with pytest.raises(ConfigInvalid, match=host):
        listen(ServerConfig(host=host, port=0))


def _status(port: int) -> int | None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status
    except OSError:
        return None
    finally:
        connection.close()
