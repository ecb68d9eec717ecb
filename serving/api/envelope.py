"""What surrounds every request: its correlation id, limits of its body, headers of its answer, its log line.

Plain ASGI: Starlette's middleware classes would add a task and two streams to every request.
"""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from time import perf_counter
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection

from serving.api.problems import (
    CORRELATION_HEADER,
    ApiError,
    answer,
    correlation_of,
    failure,
    set_correlation,
)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# It goes into logs, headers and tables: words of a few harmless characters only.
_CORRELATION = re.compile(r"[A-Za-z0-9._:-]{1,64}")

# Of answers that are data; a page says itself what it needs.
_SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_HSTS = "max-age=31536000"

_logger = structlog.get_logger("api")


class Envelope:
    """The outermost layer of the application.

    Parameters
    ----------
    app : ASGI application
        What is inside.
    body_bytes : int
        Largest body of a request.
    body_s : float
        Longest time that a body may take to come in.
    """

    def __init__(self, app: Application, *, body_bytes: int, body_s: float) -> None:
        self._app = app
        self._body_bytes = body_bytes
        self._body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or serve a WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get(CORRELATION_HEADER, "")
        correlation = given if _CORRELATION.fullmatch(given) else uuid.uuid4().hex
        set_correlation(scope, correlation)
        with structlog.contextvars.bound_contextvars(correlation_id=correlation):
            if scope["type"] == "http":
                await self._http(scope, receive, send, headers)
            else:
                await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        begun_s = perf_counter()
        status = 0
        secure = scope.get("scheme") == "https"

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _dress(message, correlation_of(HTTPConnection(scope)), secure=secure)
            await send(message)

        body = _Body(receive, self._body_bytes, self._body_s)
        try:
            body.check_length(headers)
            await self._app(scope, body.receive, sending)
        except ApiError as error:
            if status:
                raise
            await answer(scope, error)(scope, receive, sending)
        except Exception:
            _logger.exception("request failed", method=scope["method"], path=scope["path"])
            if status:
                # The answer has begun: cutting it off is the only way left to say that it is not whole.
                raise
            await failure(correlation_of(HTTPConnection(scope)))(scope, receive, sending)
        finally:
            _logger.debug(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                ms=round((perf_counter() - begun_s) * 1e3, 3),
            )


class _Body:
    """A request's body as it comes in, not longer and not slower than it may."""

    def __init__(self, receive: Receive, bytes_max: int, seconds: float) -> None:
        self._receive = receive
        self._left = bytes_max
        self._bytes_max = bytes_max
        self._seconds = seconds
        self._whole = False
        self._deadline_s: float | None = None

    def check_length(self, headers: Headers) -> None:
        """Refuse a body that says itself that it is too long."""
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._bytes_max:
            raise self._too_long()

    async def receive(self) -> Message:
        """The next message, for the application."""
        if self._whole:
            return await self._receive()
        loop = asyncio.get_running_loop()
        if self._deadline_s is None:
            self._deadline_s = loop.time() + self._seconds
        try:
            async with asyncio.timeout_at(self._deadline_s):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(
                408,
                "too-slow",
                f"the body did not come in within {self._seconds:g} s",
                headers={"Connection": "close"},
            ) from None
        if message["type"] != "http.request":
            return message
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise self._too_long()
        self._whole = not message.get("more_body", False)
        return message

    def _too_long(self) -> ApiError:
        return ApiError(
            413,
            "too-long",
            f"a body has at most {self._bytes_max:,} bytes; send it in parts",
            headers={"Connection": "close"},
        )


def _dress(message: Message, correlation: str, *, secure: bool) -> None:
    headers = MutableHeaders(scope=message)
    headers[CORRELATION_HEADER] = correlation
    for name, value in _SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    # What a proxy or a shared browser would keep: answers are of one user and one moment.
    headers.setdefault("Cache-Control", "no-store")
    if secure:
        headers.setdefault("Strict-Transport-Security", _HSTS)
