"""The examples of the OpenAPI page, made of the real reply models so that they cannot drift from them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from service.http.schemas import (
    AskResponse,
    CitationsData,
    DoneData,
    ErrorBody,
    ErrorDetail,
    HealthReply,
    IndexReply,
    JobReply,
    ProgressReply,
    ReadyReply,
    SearchResponse,
    TokenData,
)
from service.replies import CitationReply, HitReply, SignalReply

_REQUEST_ID = "6f1c2a9e4b7d4c0f9a3e5d8b1c2f4a60"
_SNAPSHOT = "000007"
_SENTENCE = "k1 控制词频的饱和速度：k1 越大，词频的影响越晚饱和。"

_HIT = HitReply(
    chunk_id="9c1f0a7be2d44e58",
    note="retrieval/bm25.md",
    heading=["BM25", "参数"],
    lines=(12, 18),
    text=f"{_SENTENCE}b 控制文档长度归一化的强度。",
    score=0.82,
    signals={"lexical": SignalReply(rank=1, score=11.3), "late": SignalReply(rank=1, score=0.82)},
)
_CITATION = CitationReply(
    n=1, chunk_id=_HIT.chunk_id, note=_HIT.note, heading=_HIT.heading, lines=_HIT.lines, quote=_SENTENCE
)
_SEARCH = SearchResponse(
    hits=[_HIT],
    timings={"encode": 8.1, "search": 3.4},
    stages_skipped=[],
    snapshot=_SNAPSHOT,
    request_id=_REQUEST_ID,
)
_ASK = AskResponse(
    answer=f"{_SENTENCE}[1]",
    abstained=False,
    written_by="extract",
    citations=[_CITATION],
    hits=[_HIT],
    timings={"encode": 8.1, "search": 3.4, "write": 2150.0},
    stages_skipped=[],
    snapshot=_SNAPSHOT,
    request_id=_REQUEST_ID,
)
_ERRORS: Mapping[HTTPStatus, tuple[str, str, str]] = {
    HTTPStatus.NOT_FOUND: ("job_unknown", "There is no job '42'.", "POST /v1/index starts one."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (
        "body_too_large",
        "The request body is larger than 1000000 bytes.",
        "Send a smaller body.",
    ),
    HTTPStatus.UNPROCESSABLE_ENTITY: (
        "request_invalid",
        "body.topk: Extra inputs are not permitted",
        "/openapi.json describes every request.",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: (
        "service_busy",
        "18 requests are being worked on or waiting.",
        "Try again in 5 s; `server.queue` sets how many may wait.",
    ),
    HTTPStatus.INTERNAL_SERVER_ERROR: (
        "internal_error",
        "Something went wrong inside the service.",
        "Its log tells more; look for the request id.",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: (
        "index_missing",
        "Nothing is published under data.",
        "Run `asknotes index PATH`.",
    ),
    HTTPStatus.GATEWAY_TIMEOUT: (
        "deadline_exceeded",
        "The deadline of 5.0 s passed before the question's turn came.",
        "Allow more time, or try again when less is going on.",
    ),
}

_STARTED = datetime(2025, 1, 31, 9, 30, tzinfo=UTC)
_RUNNING = JobReply(
    id="b54d3c0f9a3e5d8b1c2f4a606f1c2a9e",
    full=False,
    state="running",
    progress=ProgressReply(stage="encoding chunks", done=120, total=480),
    created_at=_STARTED,
    finished_at=None,
    summary=None,
    error=None,
)
_FINISHED = _RUNNING.model_copy(
    update={
        "state": "succeeded",
        "progress": None,
        "finished_at": _STARTED + timedelta(seconds=42),
        "summary": {
            "snapshot": _SNAPSHOT,
            "notes": {"added": 1, "changed": 2, "removed": 0, "unchanged": 15, "skipped": []},
            "chunks": 480,
            "duplicates": 3,
            "chunks_embedded": 12,
            "seconds": 42.0,
        },
    }
)

_Responses = dict[int | str, dict[str, Any]]


def _stream(*events: tuple[str, BaseModel]) -> dict[str, Any]:
    text = "".join(f"event: {name}\ndata: {data.model_dump_json()}\n\n" for name, data in events)
    return {"text/event-stream": {"schema": {"type": "string"}, "example": text}}


def _json(example: BaseModel) -> dict[str, Any]:
    return {"application/json": {"example": example.model_dump(mode="json")}}


SEARCH_REPLY: _Responses = {200: {"content": _json(_SEARCH)}}

ASK_REPLY: _Responses = {
    200: {
        "description": "The checked answer; with `stream: true` server-sent events: `retrieval`, `token`…, "
        "`citations` (the checked answer, which replaces the draft), then `done`, or `error` at any point.",
        "content": _json(_ASK)
        | _stream(
            ("retrieval", _SEARCH),
            ("token", TokenData(text="k1 控制")),
            (
                "citations",
                CitationsData(answer=_ASK.answer, abstained=False, written_by="extract", citations=[_CITATION]),
            ),
            (
                "done",
                DoneData(timings=_ASK.timings, snapshot=_SNAPSHOT, stages_skipped=[], request_id=_REQUEST_ID),
            ),
        ),
    }
}

START_INDEX_REPLY: _Responses = {
    202: {
        "description": "A job was started; its address is in the Location header.",
        "content": _json(_RUNNING),
    },
    200: {
        "model": JobReply,
        "description": "A job was running already: this one.",
        "content": _json(_RUNNING),
    },
}

INDEX_REPLY: _Responses = {
    200: {"content": _json(IndexReply(index={"snapshot": _SNAPSHOT, "counts": {"chunks": 480}}, job=_FINISHED))}
}

JOB_REPLY: _Responses = {200: {"content": _json(_FINISHED)}}

JOB_EVENTS_REPLY: _Responses = {
    200: {
        "description": "Server-sent events: `progress` whenever something changes, then `done` or `error`.",
        "content": _stream(("progress", _RUNNING), ("done", _FINISHED)),
    }
}

HEALTH_REPLY: _Responses = {200: {"content": _json(HealthReply())}}

READY_REPLY: _Responses = {200: {"content": _json(ReadyReply())}}


def error_replies(*statuses: HTTPStatus) -> _Responses:
    """Return the `responses` of a route for these statuses, each with an example of the one error shape."""
    return {status.value: _error_reply(status) for status in statuses}


def _error_reply(status: HTTPStatus) -> dict[str, Any]:
    kind, message, hint = _ERRORS[status]
    body = ErrorBody(error=ErrorDetail(type=kind, message=message, hint=hint, request_id=_REQUEST_ID))
    return {
        "model": ErrorBody,
        "description": status.phrase,
        "content": {"application/json": {"example": body.model_dump()}},
    }
