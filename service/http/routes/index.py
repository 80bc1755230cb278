"""``/v1/index`` and ``/v1/jobs``: read the notes again, and watch it being done."""

from __future__ import annotations

from http import HTTPStatus

import anyio.to_thread
from fastapi import APIRouter, Request, Response
from sse_starlette import EventSourceResponse

from service.http.context import Context
from service.http.errors import request_id_of
from service.http.examples import INDEX_REPLY, JOB_EVENTS_REPLY, JOB_REPLY, START_INDEX_REPLY, error_replies
from service.http.schemas import IndexBody, IndexReply, JobReply
from service.http.sse import job_reply, job_stream

router = APIRouter(tags=["index"])


@router.post(
    "/v1/index",
    status_code=HTTPStatus.ACCEPTED,
    summary="Read new and changed notes",
    response_model=JobReply,
    responses=START_INDEX_REPLY | error_replies(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def start_index(
    request: Request, response: Response, context: Context, body: IndexBody | None = None
) -> JobReply:
    """Start an index run over the configured notes in the background; questions are answered meanwhile."""
    job, started = context.jobs.start(full=body is not None and body.full, request_id=request_id_of(request))
    if not started:
        response.status_code = HTTPStatus.OK
    response.headers["Location"] = f"/v1/jobs/{job.id}"
    return job_reply(job)


@router.get(
    "/v1/index", summary="What is served", responses=INDEX_REPLY | error_replies(HTTPStatus.SERVICE_UNAVAILABLE)
)
async def index_status(context: Context) -> IndexReply:
    """Describe the published snapshot and the latest job."""
    status = await anyio.to_thread.run_sync(context.engine.engine().status)
    job = context.jobs.latest()
    return IndexReply.model_validate({"index": status, "job": job and job_reply(job)})


@router.get(
    "/v1/jobs/{job_id}",
    summary="Look at a job",
    responses=JOB_REPLY | error_replies(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def job(job_id: str, context: Context) -> JobReply:
    """Tell how far a job has come, or how it ended."""
    return job_reply(context.jobs.get(job_id))


@router.get(
    "/v1/jobs/{job_id}/events",
    summary="Watch a job",
    response_class=EventSourceResponse,
    responses=JOB_EVENTS_REPLY | error_replies(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
)
async def job_events(job_id: str, context: Context) -> EventSourceResponse:
    """Tell how a job goes on, as server-sent events, to its end."""
    context.jobs.get(job_id)
    return job_stream(context.jobs, job_id, grace_s=0)
