"""Errors as RFC 9457 problem documents: every error of the API is one, and none tells more than it should.

One exception base with a status, one table from exception to response. No stack trace, no value that came with
the request (it may be a secret), and the correlation id under which the logs have the rest.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from fastapi import APIRouter, FastAPI, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.routing import Match
from starlette.websockets import WebSocketState

from connectors.log import LogError
from serving.users.database import UsersDatabaseError

CONTENT_TYPE = "application/problem+json"
CORRELATION_HEADER = "X-Correlation-ID"
_CORRELATION = "tapeflow.correlation_id"
# A body may be wrong in ten thousand places; the first ones tell what is wrong.
_FAULTS_MAX = 50

# Of WebSockets (RFC 6455, 7.4.1 and 5.5).
_POLICY_VIOLATION = 1008
_REASON_MAX = 123
_UNAVAILABLE = {"log": "log", "users": "users database"}

_logger = structlog.get_logger("api")


class ApiError(HTTPException):
    """What a request cannot have, and why.

    An `HTTPException`, for FastAPI takes any other that comes out of reading a body for a fault of the body.

    Parameters
    ----------
    status : int
        HTTP status.
    kind : str
        Short name of what is wrong, for programs: the last part of the problem's ``type``.
    detail : str
        For people: what is wrong and what to do. Without secrets.
    headers : mapping, optional
        More headers of the answer.
    **extra : JSON value
        More members of the problem document.
    """

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(status, detail, headers)
        self.kind = kind
        self.extra = extra

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.status_code


HANDLED = (ApiError, HTTPException, RequestValidationError, LogError, UsersDatabaseError)
"""Errors that have an answer of their own; all others are faults of ours."""


def correlation_of(connection: HTTPConnection) -> str:
    """Correlation id of a request, as in its logs, its answer's header and ``orders.correlation_id``."""
    return str(connection.scope.get(_CORRELATION, ""))


def set_correlation(scope: Any, correlation: str) -> None:
    """Say what the correlation id of a request is."""
    scope[_CORRELATION] = correlation


def problem(
    status: int,
    kind: str,
    detail: str,
    *,
    correlation: str,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
    """A problem document (RFC 9457)."""
    body = {
        "type": f"urn:tapeflow:problem:{kind}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "correlation_id": correlation,
        **(extra or {}),
    }
    return Response(
        orjson.dumps(body), status_code=status, headers=dict(headers or {}), media_type=CONTENT_TYPE
    )


def failure(correlation: str) -> Response:
    """The answer to a request that failed by our own fault."""
    return problem(
        500,
        "internal",
        "This failed by a fault of the server; its log has the reason under the correlation id.",
        correlation=correlation,
    )


def add_to(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Turn every error of an application, with the routes of some routers, into a problem document."""
    routes = [one for router in routers for one in router.routes if isinstance(one, APIRoute)]

    async def answered(connection: HTTPConnection, error: Exception) -> Response | None:
        if isinstance(error, HTTPException) and error.status_code == 405:
            error = _not_allowed(routes, connection)
        return await _answer(connection, error)

    # One handler for requests and WebSockets, which Starlette's types do not foresee.
    handler: Any = answered
    for kind in HANDLED:
        app.add_exception_handler(kind, handler)


def answer(scope: Any, error: Exception) -> Response:
    """The problem document of an error, for a request whose scope is given."""
    return _response(error, str(scope.get(_CORRELATION, "")))


async def _answer(connection: HTTPConnection, error: Exception) -> Response | None:
    response = _response(error, correlation_of(connection))
    if not isinstance(connection, WebSocket):
        return response
    if connection.application_state is WebSocketState.CONNECTING:
        await connection.send_denial_response(response)
    elif connection.application_state is WebSocketState.CONNECTED:
        reason = error.detail if isinstance(error, ApiError) else "unavailable"
        await connection.close(
            _POLICY_VIOLATION, reason.encode()[:_REASON_MAX].decode(errors="ignore")
        )
    return None


def _not_allowed(routes: Iterable[APIRoute], connection: HTTPConnection) -> ApiError:
    """With the methods of all routes of the path: Starlette tells those of the first."""
    # Of a method that is not the route's, a match is partial.
    found = [one for one in routes if one.matches(connection.scope)[0] is Match.PARTIAL]
    methods = ", ".join(sorted({method for one in found for method in one.methods or ()}))
    return ApiError(
        405,
        "method-not-allowed",
        f"what is here takes {methods} only",
        headers={"Allow": methods},
    )


def _response(error: Exception, correlation: str) -> Response:
    if isinstance(error, ApiError):
        return problem(
            error.status,
            error.kind,
            error.detail,
            correlation=correlation,
            headers=error.headers,
            extra=error.extra,
        )
    if isinstance(error, RequestValidationError):
        faults = [
            {"at": "/".join(str(part) for part in one["loc"]), "fault": _said(one)}
            for one in error.errors()[:_FAULTS_MAX]
        ]
        return problem(
            422,
            "invalid-request",
            "The request is not what this route takes; `errors` says where.",
            correlation=correlation,
            extra={"errors": faults},
        )
    if isinstance(error, HTTPException):
        kind = HTTPStatus(error.status_code).name.lower().replace("_", "-")
        return problem(
            error.status_code,
            kind,
            str(error.detail),
            correlation=correlation,
            headers=error.headers,
        )
    what = "log" if isinstance(error, LogError) else "users"
    _logger.error("unavailable", what=what, error=str(error))
    return problem(
        503,
        f"{what}-unavailable",
        f"The {_UNAVAILABLE[what]} does not answer; nothing was acknowledged. Try again.",
        correlation=correlation,
        headers={"Retry-After": "1"},
    )


def _said(fault: Mapping[str, Any]) -> str:
    # A validator's own words are ours and name no value; pydantic's give the type and the bounds.
    return str(fault["msg"]).removeprefix("Value error, ")
