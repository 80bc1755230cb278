"""``/healthz`` and ``/readyz``: does the process live, and can questions be asked."""

from __future__ import annotations

from http import HTTPStatus

import anyio.to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from index.errors import AsknotesError
from service.http.context import Context
from service.http.errors import error_body, request_id_of
from service.http.examples import HEALTH_REPLY, READY_REPLY, error_replies
from service.http.schemas import HealthReply, ReadyReply

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Is the process alive", responses=HEALTH_REPLY)
async def health() -> HealthReply:
    """Answer at once, while models are still being loaded too."""
    return HealthReply()


@router.get(
    "/readyz",
    summary="Can questions be asked",
    response_model=ReadyReply,
    responses=READY_REPLY | error_replies(HTTPStatus.SERVICE_UNAVAILABLE),
)
async def ready(request: Request, context: Context) -> ReadyReply | JSONResponse:
    """Answer 200 when questions can be asked, and 503 with the reason otherwise."""
    try:
        await anyio.to_thread.run_sync(context.engine.engine().ready)
    except AsknotesError as error:
        # whatever the reason: not ready
        body = error_body(error, request_id_of(request))
        return JSONResponse(body.model_dump(), status_code=HTTPStatus.SERVICE_UNAVAILABLE)
    return ReadyReply()
