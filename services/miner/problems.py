"""Problem details (RFC 9457): every error has a stable `code`, a sentence with the remedy, and never a traceback."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from shared.domain.analysis import Status
from shared.domain.errors import Conflict, NotFound, Permanent, TooLarge, Transient
from shared.domain.reasons import Reason
from shared.domain.request import RequestRefused
from shared.steps.register import AlreadyRegistered

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 2

log = logging.getLogger(__name__)


class Problem(BaseModel):
    """`code` is what programs go by; `reasons` names each field at fault; the status is the HTTP one."""

    type: str = Field(description="Identifies the kind of problem: `urn:iflow:problem:` and the code.")
    title: str = Field(description="The kind of problem, in words.")
    status: int
    code: str = Field(description="Stable name of the kind of problem.")
    detail: str = Field(description="What is wrong here and what to do about it.")
    instance: str = Field(description="The path that was asked.")
    reasons: list[Reason] = Field(default_factory=list, description="One for each field at fault.")
    analysis_status: Status | None = Field(default=None, description="With `already-final`: the current status.")


class Refusal(Exception):
    """An answer other than what was asked for, found by the API itself."""

    def __init__(
        self, status: int, code: str, detail: str, *, reasons: Sequence[Reason] = (),
        analysis_status: Status | None = None, headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.reasons = list(reasons)
        self.analysis_status = analysis_status
        self.headers = dict(headers or {})


def bad_parameter(field: str, message: str) -> Refusal:
    return Refusal(400, "bad-parameter", f"{field}: {message}", reasons=[Reason(field=field, message=message)])


def not_found(what: str) -> Refusal:
    """The same for what does not exist and for what is another project's."""
    return Refusal(404, "not-found", f"There is no {what}.")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For `responses=`: the errors that a route may answer, as problem details; those of the guard in any case."""
    return {
        status: {
            "model": Problem, "description": _DESCRIPTIONS[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in sorted({*statuses, *_OF_THE_GUARD})
    }


_OF_THE_GUARD = (401, 403, 429)

_DESCRIPTIONS = {
    400: "A header or parameter is missing or cannot be used; `reasons` names it.",
    401: "Nobody knows who asks; sign in.",
    403: "The caller's role does not allow it.",
    404: "It does not exist in this project.",
    409: "It cannot be done in the present state.",
    412: "It is another version than that of If-Match.",
    413: "The body is too large.",
    416: "The range lies outside the file.",
    422: "The content was refused; `reasons` names each field.",
    429: "Too many requests; `Retry-After` says when to ask again.",
    503: "A service that is needed does not answer; try again later.",
}

_TITLES = {
    400: "Bad request", 401: "Not signed in", 403: "Not allowed", 404: "Not found", 405: "Method not allowed",
    409: "Conflict", 412: "Changed meanwhile", 413: "Too large", 415: "Unsupported media type",
    416: "Range not satisfiable", 422: "Refused", 429: "Too many requests", 500: "Internal error",
    503: "Not available now",
}


def answer(request: Request, refusal: Refusal) -> JSONResponse:
    problem = Problem(
        type=f"urn:iflow:problem:{refusal.code}", title=_TITLES.get(refusal.status, "Error"), status=refusal.status,
        code=refusal.code, detail=str(refusal), instance=request.url.path, reasons=refusal.reasons,
        analysis_status=refusal.analysis_status,
    )
    body = problem.model_dump(mode="json", exclude_none=True)
    return JSONResponse(body, refusal.status, headers=refusal.headers, media_type=MEDIA_TYPE)


def refusal_of(error: Exception) -> Refusal:
    """Our errors as answers; anything that we do not know is a 500 that tells nothing of the inside."""
    match error:
        case Refusal():
            return error
        case RequestRefused():
            return Refusal(422, "request-refused", str(error), reasons=error.reasons)
        case NotFound():
            return Refusal(404, "not-found", str(error))
        case AlreadyRegistered():
            return Refusal(409, "already-registered", str(error))
        case TooLarge():
            return Refusal(413, "too-large", str(error))
        case Permanent():
            return Refusal(422, "refused", str(error))
        case Conflict():
            return _later("contention", f"{error}. Nothing was changed; try again.")
        case Transient():
            return _later("unavailable", str(error))
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            return _of_the_framework(error)
        case _:
            return Refusal(500, "internal", "Something broke in this service; its log says what.")


def _later(code: str, detail: str) -> Refusal:
    return Refusal(503, code, detail, headers={"Retry-After": str(RETRY_AFTER_S)})


def _invalid(error: RequestValidationError) -> Refusal:
    found = error.errors()
    if any(each["type"] == "json_invalid" for each in found):
        return Refusal(400, "not-json", "The body is not valid JSON.")
    reasons = [_reason(each) for each in found]
    detail = "; ".join(f"{reason.field}: {reason.message}" for reason in reasons)
    if all(each["loc"][:1] == ("body",) for each in found):
        return Refusal(422, "request-refused", detail, reasons=reasons)
    return Refusal(400, "bad-parameter", detail, reasons=reasons)


def _reason(found: Mapping[str, Any]) -> Reason:
    """`loc` begins with where it was found (query, header, body), which is no part of the field's name."""
    parts = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"][1:])
    message = "there is no such parameter" if found["type"] == "extra_forbidden" else found["msg"]
    return Reason(field=parts.removeprefix("."), message=message.removeprefix("Value error, "))


def _of_the_framework(error: HTTPException) -> Refusal:
    code = {404: "no-such-route", 405: "method-not-allowed", 413: "too-large"}.get(error.status_code, "refused")
    return Refusal(error.status_code, code, str(error.detail), headers=error.headers)


def install(
    app: FastAPI, wants_page: Callable[[Request], bool], page: Callable[[Request, Refusal], Response]
) -> None:
    """Every error that leaves a route, as problem details; for whoever `wants_page`, as a `page`."""

    def respond(request: Request, error: Exception) -> Response:
        refusal = refusal_of(error)
        if refusal.status == 500:
            log.error("a request failed", exc_info=error)
        return page(request, refusal) if wants_page(request) else answer(request, refusal)

    for kind in (Refusal, Permanent, Transient, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, respond)
