"""Every refusal as the one JSON shape: ``{"error": {"type", "message", "hint", "request_id"}}``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from index import errors
from index.errors import AsknotesError
from service.http.schemas import ErrorBody, ErrorDetail

log = logging.getLogger(__name__)


class ServiceBusy(AsknotesError):
    """As many requests as may wait are waiting."""

    type = "service_busy"

    def __init__(self, message: str, *, hint: str, retry_after_s: int) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class ServiceNotReady(AsknotesError):
    """Models are still being loaded."""

    type = "service_not_ready"


class DeadlineExceeded(AsknotesError):
    """The request's deadline passed while it waited for its turn."""

    type = "deadline_exceeded"


class JobUnknown(AsknotesError):
    """No such job, or it is too long ago."""

    type = "job_unknown"


class LimitExceeded(AsknotesError):
    """A number or length in the request is beyond what this service is set to take."""

    type = "limit_exceeded"


class BodyTooLarge(HTTPException):
    """The body grew beyond the limit. An HTTPException, because only those pass FastAPI's body parsing unchanged."""

    type: ClassVar[str] = "body_too_large"

    def __init__(self, max_bytes: int) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The request body is larger than {max_bytes} bytes.")


STATUS: Mapping[type[AsknotesError], HTTPStatus] = {
    errors.ConfigInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotesMissing: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NoteRejected: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.QuestionInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    LimitExceeded: HTTPStatus.UNPROCESSABLE_ENTITY,
    JobUnknown: HTTPStatus.NOT_FOUND,
    errors.IndexLocked: HTTPStatus.CONFLICT,
    ServiceBusy: HTTPStatus.TOO_MANY_REQUESTS,
    ServiceNotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.WeightsMissing: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.WeightsCorrupt: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.FetchFailed: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.IndexMissing: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.IndexIncompatible: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.IndexCorrupt: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DataFolderForeign: HTTPStatus.SERVICE_UNAVAILABLE,
    DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
    errors.StorageFailed: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.GenerationFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""The status of each typed error; one that is not here is a 500."""

_HINTS: Mapping[int, tuple[str, str]] = {
    HTTPStatus.NOT_FOUND: ("not_found", "The routes are listed at /openapi.json."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method_not_allowed", "The Allow header names the methods of this route."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (BodyTooLarge.type, "Send a smaller body."),
}


def install_error_handlers(app: FastAPI) -> None:
    """Answer every failure of the app in the one shape."""
    app.add_exception_handler(AsknotesError, _refused)
    app.add_exception_handler(RequestValidationError, _request_invalid)
    app.add_exception_handler(HTTPException, _http_refused)
    app.add_exception_handler(Exception, _failed)


def error_body(error: Exception, request_id: str) -> ErrorBody:
    """Describe an exception without giving away anything of the inside of an unexpected one."""
    if isinstance(error, AsknotesError):
        return _body(error.type, error.message, error.hint, request_id)
    return _body(
        "internal_error",
        "Something went wrong inside the service.",
        "Its log tells more; look for the request id.",
        request_id,
    )


def request_id_of(request: Request) -> str:
    """Return the id that the middleware gave this request."""
    return str(request.state.request_id)


def status_of(error: AsknotesError) -> HTTPStatus:
    """Look a typed error up in STATUS, by the nearest class that has a row."""
    return next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), HTTPStatus.INTERNAL_SERVER_ERROR)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, AsknotesError):
        raise error
    headers = {"Retry-After": str(error.retry_after_s)} if isinstance(error, ServiceBusy) else None
    return _response(status_of(error), error_body(error, request_id_of(request)), headers)


async def _request_invalid(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    # the input is not echoed: it may be long, and need not be encodable
    message = "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors())
    body = _body("request_invalid", message, "/openapi.json describes every request.", request_id_of(request))
    return _response(HTTPStatus.UNPROCESSABLE_ENTITY, body)


async def _http_refused(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    kind, hint = _HINTS.get(error.status_code, ("http_error", "/openapi.json describes every request."))
    return _response(error.status_code, _body(kind, str(error.detail), hint, request_id_of(request)), error.headers)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    request_id = request_id_of(request)
    log.error("request %s failed", request_id, exc_info=error)
    # this answer is sent outside of the middleware that adds the header
    return _response(HTTPStatus.INTERNAL_SERVER_ERROR, error_body(error, request_id), {"X-Request-ID": request_id})


def _body(kind: str, message: str, hint: str, request_id: str) -> ErrorBody:
    return ErrorBody(error=ErrorDetail(type=kind, message=message, hint=hint, request_id=request_id))


def _response(status: int, body: ErrorBody, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(body.model_dump(), status_code=status, headers=dict(headers or {}))
