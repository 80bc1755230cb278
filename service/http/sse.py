"""Server-sent events: an answer as it is written, and a job as it goes on.

Each event has an ``event:`` line and one JSON object as its data. An error inside a stream, whose status has
long been sent, is an ``error`` event with the same object as any other error's body.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Iterator

import anyio
import anyio.from_thread
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from pydantic import BaseModel
from sse_starlette import EventSourceResponse, ServerSentEvent

from index.errors import AsknotesError
from service.answering.exchange import AnswerEvent, AnswerStreamEvent, AskRequest, RetrievalEvent, TokenEvent
from service.answering.ports import AnswerEngine
from service.http.context import with_deadline
from service.http.errors import error_body
from service.http.jobs import IndexJobs, Job
from service.http.schemas import CitationsData, DoneData, ErrorBody, JobReply, ProgressReply, SearchResponse, TokenData
from service.http.work import Place, Work
from service.replies import CitationReply

log = logging.getLogger(__name__)

SEND_TIMEOUT_S = 60.0
"""A client that takes nothing for so long is given up, and its turn goes to the next."""

JOB_POLL_S = 0.2
"""A job is looked at so often: it may advance thousands of times a second, a viewer wants five."""


def answer_stream(
    engine: AnswerEngine, request: AskRequest, place: Place, *, request_id: str, grace_s: float
) -> EventSourceResponse:
    """Answer with events: ``retrieval``, ``token``…, ``citations``, then ``done`` or ``error``.

    Takes over ``place`` and gives it back at the end. When the client leaves, the engine's event is set. On
    shutdown the stream goes on for at most ``grace_s`` seconds.
    """
    sender, receiver = anyio.create_memory_object_stream[ServerSentEvent]()

    async def send_events() -> None:
        with place, sender:
            try:
                await place.run(_pump(engine, request, sender, request_id), deadline_s=request.deadline_s)
            except AsknotesError as error:
                await sender.send(_event("error", error_body(error, request_id)))
            except Exception as error:
                log.exception("request %s failed in its stream", request_id)
                await sender.send(_event("error", error_body(error, request_id)))
            except anyio.get_cancelled_exc_class():
                receiver.close()
                raise

    return EventSourceResponse(
        _received(receiver),
        data_sender_callable=send_events,
        send_timeout=SEND_TIMEOUT_S,
        shutdown_grace_period=grace_s,
    )


def job_stream(jobs: IndexJobs, job_id: str, *, grace_s: float) -> EventSourceResponse:
    """Tell a job's progress: ``progress`` whenever it changes, then ``done`` or ``error``."""
    return EventSourceResponse(_job_events(jobs, job_id), send_timeout=SEND_TIMEOUT_S, shutdown_grace_period=grace_s)


def job_reply(job: Job) -> JobReply:
    """Return the JSON form of a job."""
    progress = job.progress
    return JobReply.model_validate(
        {
            "id": job.id,
            "full": job.full,
            "state": job.state,
            "progress": progress and ProgressReply(stage=progress.stage, done=progress.done, total=progress.total),
            "created_at": job.created_at,
            "finished_at": job.finished_at,
            "summary": job.summary,
            "error": job.error and error_body(job.error, job.request_id).error,
        }
    )


async def _received(receiver: MemoryObjectReceiveStream[ServerSentEvent]) -> AsyncIterator[ServerSentEvent]:
    with receiver:
        async for message in receiver:
            yield message


def _pump(
    engine: AnswerEngine, request: AskRequest, sender: MemoryObjectSendStream[ServerSentEvent], request_id: str
) -> Work[None]:
    """Return the work that carries events from the engine's thread to the event loop, no faster than they are taken."""

    def work(cancelled: threading.Event, left_s: float | None) -> None:
        for event in engine.stream(with_deadline(request, left_s), cancelled=cancelled):
            for message in _messages(event, request_id):
                anyio.from_thread.run(sender.send, message)

    return work


def _messages(event: AnswerStreamEvent, request_id: str) -> Iterator[ServerSentEvent]:
    if isinstance(event, RetrievalEvent):
        yield _event("retrieval", SearchResponse.of(event.result, request_id=request_id))
    elif isinstance(event, TokenEvent):
        yield _event("token", TokenData(text=event.text))
    elif isinstance(event, AnswerEvent):
        answer = event.answer
        yield _event(
            "citations",
            CitationsData(
                answer=answer.text,
                abstained=answer.abstained,
                written_by=answer.written_by,
                citations=[CitationReply.of(citation) for citation in answer.citations],
            ),
        )
        yield _event(
            "done",
            DoneData(
                timings=dict(answer.timings),
                snapshot=answer.snapshot,
                stages_skipped=list(answer.stages_skipped),
                request_id=request_id,
            ),
        )


async def _job_events(jobs: IndexJobs, job_id: str) -> AsyncIterator[ServerSentEvent]:
    told: Job | None = None
    while True:
        job = jobs.get(job_id)
        if job.state == "running":
            if job != told:
                yield _event("progress", job_reply(job))
            told = job
            await anyio.sleep(JOB_POLL_S)
            continue
        reply = job_reply(job)
        yield _event("done", reply) if reply.error is None else _event("error", ErrorBody(error=reply.error))
        return


def _event(name: str, data: BaseModel) -> ServerSentEvent:
    return ServerSentEvent(data=data.model_dump_json(), event=name)
