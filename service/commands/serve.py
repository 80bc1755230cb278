"""``asknotes serve``: the HTTP service."""

from __future__ import annotations

import functools
import ipaddress
import socket
from typing import Annotated

import typer

from service.answering.engine import open_engine
from service.commands.console import messages
from service.commands.lazy import plain_app
from service.commands.options import ConfigOption, DataOption, settings_from
from service.http.app import create_app
from service.http.server import listen, run_until_stopped
from service.indexing import run_index

app = plain_app()


@app.command()
def serve(
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address to listen on; 127.0.0.1 unless configured.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port to listen on; 8000 unless configured; 0 for any.")
    ] = None,
    data: DataOption = None,
    config: ConfigOption = None,
) -> None:
    """Serve questions over HTTP, until Ctrl-C or SIGTERM; what is running then is finished first."""
    settings = settings_from(config, data, server={"host": host, "port": port})
    service = create_app(
        functools.partial(open_engine, settings, settings.data),
        settings,
        indexer=functools.partial(run_index, settings, ()),
    )
    with listen(settings.server) as listening:
        _announce(listening)
        run_until_stopped(service, listening, settings.server)


def _announce(listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    console = messages()
    console.print(f"asknotes serves http://{shown}:{port}; /readyz says when the models are loaded.", soft_wrap=True)
    if not ipaddress.ip_address(host).is_loopback:
        console.print("This is no loopback address: whoever reaches it can ask and re-index.", soft_wrap=True)
