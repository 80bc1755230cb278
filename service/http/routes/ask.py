"""``POST /v1/ask``: a cited answer, at once or as server-sent events."""

from __future__ import annotations

import threading
from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from service.answering.exchange import Answer
from service.http.context import Context, ask_request, with_deadline
from service.http.errors import request_id_of
from service.http.examples import ASK_REPLY, error_replies
from service.http.schemas import AskBody, AskResponse
from service.http.sse import answer_stream

router = APIRouter(tags=["questions"])


@router.post(
    "/v1/ask",
    summary="Ask the notes",
    response_model=AskResponse,
    responses=ASK_REPLY
    | error_replies(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.INTERNAL_SERVER_ERROR,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    ),
)
async def ask(body: AskBody, request: Request, context: Context) -> AskResponse | Response:
    """Answer a question from the notes: every sentence is tied to a passage, or the answer is that they do not say."""
    server = context.settings.server
    wanted = ask_request(body, server)
    engine = context.engine.engine()
    place = context.queue.enter()
    if body.stream:
        return answer_stream(engine, wanted, place, request_id=request_id_of(request), grace_s=server.shutdown_grace_s)

    def work(cancelled: threading.Event, left_s: float | None) -> Answer:
        return engine.ask(with_deadline(wanted, left_s), cancelled=cancelled)

    with place:
        answer = await place.run_for(request, work, deadline_s=wanted.deadline_s)
    return AskResponse.of(answer, request_id=request_id_of(request))
