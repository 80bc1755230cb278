"""The app factory: settings and the means to open an engine in, an ASGI app out."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import anyio
import anyio.to_thread
from fastapi import FastAPI, Request
from starlette.responses import Response

from service.answering.ports import EngineSource, Indexer
from service.http.context import ServiceContext
from service.http.engine_holder import EngineHolder
from service.http.errors import install_error_handlers
from service.http.jobs import IndexJobs
from service.http.middleware import BodyLimitMiddleware, RequestIdMiddleware
from service.http.routes import ask, health, index, search
from service.http.work import ClientLeft, WorkQueue
from service.settings import Settings

API_VERSION = "1"

CLIENT_CLOSED_REQUEST = 499
"""What nobody receives any more is logged with the status that nginx gave it."""


def create_app(engine_source: EngineSource, settings: Settings, *, indexer: Indexer) -> FastAPI:
    """Build the service. Nothing is opened before the app starts; then ``engine_source`` is called in a thread.

    The interactive pages of FastAPI are off: they load scripts from elsewhere.
    """
    app = FastAPI(
        title="asknotes",
        version=API_VERSION,
        summary="Cited answers from a folder of study notes.",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
    )
    app.state.context = _context(engine_source, settings, indexer)
    for route in (ask, search, index, health):
        app.include_router(route.router)
    install_error_handlers(app)
    app.add_exception_handler(ClientLeft, _client_left)
    app.add_middleware(BodyLimitMiddleware, max_bytes=settings.server.max_body_bytes)
    app.add_middleware(RequestIdMiddleware)
    return app


def _context(engine_source: EngineSource, settings: Settings, indexer: Indexer) -> ServiceContext:
    server = settings.server
    engine = EngineHolder(engine_source)
    return ServiceContext(
        settings=settings,
        engine=engine,
        queue=WorkQueue(concurrency=server.concurrency, queue=server.queue, retry_after_s=server.retry_after_s),
        jobs=IndexJobs(indexer, published=engine.refresh, kept=server.jobs_kept),
    )


@contextlib.asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: ServiceContext = app.state.context
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_keep_fresh, context)
        yield
        tasks.cancel_scope.cancel()


async def _keep_fresh(context: ServiceContext) -> None:
    """Open the engine, then follow what other processes publish; try again what could not be opened."""
    while True:
        # abandoned at shutdown: loading models cannot be interrupted and must not hold it up
        await anyio.to_thread.run_sync(context.engine.refresh_or_report, abandon_on_cancel=True)
        await anyio.sleep(context.settings.server.refresh_s)


async def _client_left(request: Request, error: Exception) -> Response:  # noqa: ARG001 — the signature is Starlette's
    return Response(status_code=CLIENT_CLOSED_REQUEST)
