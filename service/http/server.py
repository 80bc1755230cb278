"""The app on a socket: binding with a clear refusal, and uvicorn with its logs on standard error."""

from __future__ import annotations

import copy
import socket
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import LOGGING_CONFIG

from index.errors import ConfigInvalid
from service.settings import ServerConfig


def listen(server: ServerConfig) -> socket.socket:
    """Bind the configured address; raises ConfigInvalid where that is not possible."""
    try:
        family, *_, address = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)[0]
        return socket.create_server((str(address[0]), int(address[1])), family=family, backlog=2048)
    except OSError as error:
        raise ConfigInvalid(
            f"Cannot listen on {server.host} port {server.port}: {error.strerror or error}.",
            hint="Choose another with --host and --port, or stop what listens there; --port 0 takes any free one.",
        ) from error


def run_until_stopped(app: ASGIApp, listening: socket.socket, server: ServerConfig) -> None:
    """Serve until SIGINT or SIGTERM; what is running then has ``shutdown_grace_s`` to end."""
    config = uvicorn.Config(
        app, log_config=_log_to_stderr(), timeout_graceful_shutdown=server.shutdown_grace_s, server_header=False
    )
    uvicorn.Server(config).run(sockets=[listening])


def _log_to_stderr() -> dict[str, Any]:
    """Return uvicorn's own logging with the access log on standard error too, and ours beside it."""
    logging: dict[str, Any] = copy.deepcopy(LOGGING_CONFIG)
    logging["handlers"]["access"]["stream"] = "ext://sys.stderr"
    logging["loggers"]["service"] = {"handlers": ["default"], "level": "INFO", "propagate": False}
    return logging
