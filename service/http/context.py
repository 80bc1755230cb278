"""What every route works with, and the checks that need the settings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, cast

from fastapi import Depends, Request

from service.answering.exchange import AskRequest, SearchRequest
from service.http.engine_holder import EngineHolder
from service.http.errors import LimitExceeded
from service.http.jobs import IndexJobs
from service.http.schemas import AskBody, SearchBody
from service.http.work import WorkQueue
from service.question import checked_question
from service.settings import ServerConfig, Settings


@dataclass(frozen=True, slots=True)
class ServiceContext:
    """The parts of one running service."""

    settings: Settings
    engine: EngineHolder
    queue: WorkQueue
    jobs: IndexJobs


def _context(request: Request) -> ServiceContext:
    return cast(ServiceContext, request.app.state.context)


Context = Annotated[ServiceContext, Depends(_context)]


def search_request(body: SearchBody, server: ServerConfig) -> SearchRequest:
    """Return the pipeline's request; raises QuestionInvalid or LimitExceeded."""
    _at_most("top_k", body.top_k, server.max_top_k)
    return body.to_request(checked_question(body.question, max_chars=server.max_question_chars))


def ask_request(body: AskBody, server: ServerConfig) -> AskRequest:
    """Return the pipeline's request; raises QuestionInvalid or LimitExceeded."""
    _at_most("top_k", body.top_k, server.max_top_k)
    _at_most("deadline_s", body.deadline_s, server.max_deadline_s)
    _at_most("messages in history", len(body.history), server.max_history_turns)
    _at_most("characters in history", sum(len(turn.content) for turn in body.history), server.max_history_chars)
    return body.to_request(checked_question(body.question, max_chars=server.max_question_chars))


def with_deadline(request: AskRequest, left_s: float | None) -> AskRequest:
    """Return the request with what is left of its deadline after it has waited."""
    return replace(request, deadline_s=left_s)


def _at_most(what: str, value: float | None, limit: float) -> None:
    if value is not None and value > limit:
        raise LimitExceeded(
            f"{what}: {value}; at most {limit} are taken.", hint="Ask for less, or change the `server` settings."
        )
