"""``POST /v1/search``: the chunks that a question finds."""

from __future__ import annotations

import threading
from http import HTTPStatus

from fastapi import APIRouter, Request

from service.answering.exchange import SearchResult
from service.http.context import Context, search_request
from service.http.errors import request_id_of
from service.http.examples import SEARCH_REPLY, error_replies
from service.http.schemas import SearchBody, SearchResponse

router = APIRouter(tags=["questions"])


@router.post(
    "/v1/search",
    summary="Search the notes",
    responses=SEARCH_REPLY
    | error_replies(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.SERVICE_UNAVAILABLE,
    ),
)
async def search(body: SearchBody, request: Request, context: Context) -> SearchResponse:
    """Find the chunks for a question, best first, with what each stage thought of them."""
    wanted = search_request(body, context.settings.server)
    engine = context.engine.engine()

    def work(cancelled: threading.Event, left_s: float | None) -> SearchResult:  # noqa: ARG001 — a search is short
        return engine.search(wanted)

    with context.queue.enter() as place:
        result = await place.run_for(request, work)
    return SearchResponse.of(result, request_id=request_id_of(request))
