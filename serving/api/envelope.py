"""What surrounds every request: its correlation id, limits, headers of its answer, its count, line and trace.

Plain ASGI: Starlette's middleware classes would add a task and two streams to every request.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from random import getrandbits
from time import perf_counter
from typing import Any, Self

import structlog
from prometheus_client import Counter, Histogram

from connectors.metrics import API_REQUESTS, API_SECONDS
from serving.api.problems import (
    CORRELATION_HEADER,
    ApiError,
    answer,
    failure,
    set_correlation,
)
from serving.settings import Settings

Scope = MutableMapping[str, Any]
RawHeaders = Mapping[bytes, bytes]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Trace = Callable[[Scope, str], AbstractContextManager[Callable[[str, int], None]]]

# Ten thousand orders with all their fields.
_BODY_BYTES = 16 << 20
# Of other bodies: FastAPI reads them, on the event loop, before anybody asks whose credentials these are.
_USUAL_BYTES = 1 << 20
# Its route asks who it is before it reads.
_LONG_PATH = "/v1/orders"
# Of who brings no credentials: a sign-in.
_STRANGER_BYTES = 64 << 10
_CREDENTIALS = (b"authorization", b"x-api-key", b"cookie")
_BODY_S = 30.0
# It goes into logs, headers and tables: words of a few harmless characters only.
_CORRELATION = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# Of answers that are data; a page says itself what it needs.
_SECURITY_HEADERS = (
    (b"content-security-policy", b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    # What a proxy or a shared browser would keep: answers are of one user and one moment.
    (b"cache-control", b"no-store"),
)
_SECURE_HEADERS = (*_SECURITY_HEADERS, (b"strict-transport-security", b"max-age=31536000"))
_SECURITY_NAMES = frozenset(name for name, _ in _SECURE_HEADERS)
_SECURE = ("https", "wss")
_CORRELATION_NAME = CORRELATION_HEADER.lower().encode()
_LOCAL = ("localhost", "127.0.0.1", "::1")
_NOWHERE = "unknown"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a request may be.

    Parameters
    ----------
    body_bytes : int
        Largest body of orders.
    body_s : float
        Longest time that a body may take to come in.
    hosts : frozenset of str
        Names by which the server may be asked for.
    """

    hosts: frozenset[str]
    body_bytes: int = _BODY_BYTES
    body_s: float = _BODY_S

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say."""
        names = (*_LOCAL, settings.api_host, *settings.api_hosts)
        return cls(hosts=frozenset(name.lower() for name in names))


def _new_correlation() -> str:
    """An identifier that no other request has; it is no secret.

    Not from the system's source: that call lets go of the interpreter, and while orders are written a request waits
    for it a millisecond longer.
    """
    return f"{getrandbits(128):032x}"


class Envelope:
    """The outermost layer of the application.

    Parameters
    ----------
    app : ASGI application
        What is inside.
    limits : Limits
        What a request may be.
    trace : callable or None
        Makes a span of a request, where traces are wanted.
    """

    def __init__(self, app: Application, *, limits: Limits, trace: Trace | None = None) -> None:
        self._app = app
        self._limits = limits
        self._trace = trace
        # Bound once: the logger's lazy proxy would be bound anew at each request.
        self._log: structlog.typing.FilteringBoundLogger = structlog.get_logger("api").bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or serve a WebSocket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        # Of a name that comes twice the first counts, as with Starlette's own, which looks through all each time.
        headers = dict(reversed(scope["headers"]))
        given = headers.get(_CORRELATION_NAME, b"").decode("latin-1")
        correlation = given if _CORRELATION.fullmatch(given) else _new_correlation()
        set_correlation(scope, correlation)
        exchange = _Exchange(scope, send, correlation, self._log)
        # Each request has a task of its own, and so its own context: nothing is to be unbound.
        structlog.contextvars.bind_contextvars(correlation_id=correlation)
        if self._trace is None:
            await self._serve(exchange, headers, receive)
            return
        with self._trace(scope, correlation) as ended:
            try:
                await self._serve(exchange, headers, receive)
            finally:
                ended(exchange.route, exchange.status)

    async def _serve(self, exchange: "_Exchange", headers: RawHeaders, receive: Receive) -> None:
        try:
            self._check_host(headers)
            if exchange.scope["type"] == "http":
                most = self._limits.body_bytes
                if exchange.scope["path"] != _LONG_PATH:
                    most = min(_USUAL_BYTES, most)
                body = _Body(receive, headers, bytes_max=most, body_s=self._limits.body_s)
                body.check_length()
                receive = body.receive
            await self._app(exchange.scope, receive, exchange.send)
        except ApiError as error:
            if exchange.status:
                raise
            await answer(exchange.scope, error)(exchange.scope, receive, exchange.send)
        except Exception:
            self._log.exception("request failed", path=exchange.scope["path"])
            if exchange.status:
                # The answer has begun: cutting it off is the only way left to say that it is not whole.
                raise
            await failure(exchange.correlation)(exchange.scope, receive, exchange.send)
        finally:
            exchange.told()

    def _check_host(self, headers: RawHeaders) -> None:
        """Refuse what was meant for another name: a page of another site may make its name ours."""
        host = headers.get(b"host", b"").decode("latin-1")
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        if name.lower() not in self._limits.hosts:
            raise ApiError(
                400,
                "host",
                "this server is not asked for by this name; the setting api_hosts lists its names",
            )


class _Exchange:
    """A request and the answer to it."""

    def __init__(
        self,
        scope: Scope,
        send: Send,
        correlation: str,
        log: structlog.typing.FilteringBoundLogger,
    ) -> None:
        self._log = log
        self.scope = scope
        self.correlation = correlation
        self.status = 0
        self._send = send
        self._begun_s = perf_counter()

    @property
    def route(self) -> str:
        """The route's path, with names in place of values."""
        return getattr(self.scope.get("route"), "path", _NOWHERE)

    async def send(self, message: Message) -> None:
        """Send on, with our headers."""
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self.status = message["status"]
            self._dress(message)
        elif kind == "websocket.accept":
            self.status = 101
        elif kind == "websocket.close" and not self.status:
            self.status = 403
        await self._send(message)

    def told(self) -> None:
        """Count it, and write a line where it changed something or went wrong.

        Without the query: it may have what is nobody's business. Streams count once, when they end.
        """
        method = self.scope.get("method", "WS")
        seconds = perf_counter() - self._begun_s
        count, duration = _counts(method, self.route, self.status)
        count.inc()
        duration.observe(seconds)
        if method != "GET" or self.status >= 400:
            self._log.info(
                "request",
                method=method,
                route=self.route,
                path=self.scope["path"],
                status=self.status,
                ms=round(seconds * 1e3, 3),
            )

    def _dress(self, message: Message) -> None:
        # On every request's way: no mapping of headers is made.
        headers = list(message.get("headers", ()))
        given = _SECURITY_NAMES.intersection([name for name, _ in headers])
        wanted = _SECURE_HEADERS if self.scope.get("scheme") in _SECURE else _SECURITY_HEADERS
        headers.append((_CORRELATION_NAME, self.correlation.encode()))
        headers += [header for header in wanted if header[0] not in given] if given else wanted
        message["headers"] = headers


@cache
def _counts(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Where such requests are counted; looking them up by label would cost more than counting.

    Routes are the application's, methods and statuses few: bounded.
    """
    return API_REQUESTS.labels(method, route, str(status)), API_SECONDS.labels(method, route)


class _Body:
    """A request's body as it comes in, not longer and not slower than it may."""

    def __init__(
        self, receive: Receive, headers: RawHeaders, *, bytes_max: int, body_s: float
    ) -> None:
        known = not headers.keys().isdisjoint(_CREDENTIALS)
        self._receive = receive
        self._headers = headers
        self._bytes_max = bytes_max if known else min(_STRANGER_BYTES, bytes_max)
        self._body_s = body_s
        self._left = self._bytes_max
        self._whole = False
        self._deadline_s: float | None = None

    def check_length(self) -> None:
        """Refuse a body that says itself that it is too long."""
        length = self._headers.get(b"content-length", b"0")
        # Of bytes, a digit is one of the ten.
        if not length.isdigit() or int(length) > self._bytes_max:
            raise self._too_long()

    async def receive(self) -> Message:
        """The next message, for the application."""
        if self._whole:
            return await self._receive()
        loop = asyncio.get_running_loop()
        if self._deadline_s is None:
            self._deadline_s = loop.time() + self._body_s
        try:
            async with asyncio.timeout_at(self._deadline_s):
                message = await self._receive()
        except TimeoutError:
            raise ApiError(
                408,
                "too-slow",
                f"the body did not come in within {self._body_s:g} s",
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
