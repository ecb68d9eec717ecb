"""A venue on loopback: plays scripted connections over WebSocket, and answers HTTP on the same port."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


@dataclass(frozen=True)
class Say:
    """Send a message, then call ``then``."""

    payload: bytes | str
    then: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Hear:
    """Wait for a message of the client's."""


@dataclass(frozen=True)
class Cut:
    """Send half of a frame and end the TCP connection without a word."""

    payload: bytes


@dataclass(frozen=True)
class Freeze:
    """Say nothing any more, and answer no ping: the socket is read no more."""


@dataclass(frozen=True)
class Close:
    """End the connection properly."""

    code: int = 1000
    reason: str = ""


@dataclass(frozen=True)
class Wait:
    """Go on after so long."""

    seconds: float


@dataclass(frozen=True)
class Do:
    """Do something on the venue's side."""

    what: Callable[[], object]


@dataclass(frozen=True)
class Until:
    """Go on when something is so."""

    condition: Callable[[], bool]


@dataclass(frozen=True)
class Refuse:
    """In place of a connection: an HTTP status."""

    status: int


@dataclass(frozen=True)
class Reset:
    """In place of a connection: the TCP connection is dropped before the handshake."""


Step = Say | Hear | Cut | Freeze | Close | Wait | Do | Until


@dataclass
class Venue:
    """Scripts of the connections in order; those beyond them stay open and silent.

    ``answer`` gives status, headers and body for the path of an HTTP request.
    """

    scripts: list[Sequence[Step] | Refuse | Reset]
    answer: Callable[[str], tuple[int, dict[str, str], bytes]] = lambda _: (404, {}, b"")
    heard: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    opened: int = 0
    played: int = 0
    port: int = 0
    handlers: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/stream"

    @property
    def rest_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator["Venue"]:
        """Serve in a thread of its own."""
        ready = threading.Event()
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()

        async def main() -> None:
            server = await self.server()
            self.port = server.sockets[0].getsockname()[1]
            ready.set()
            await stop.wait()
            server.close()
            # A handler that sleeps would keep it.
            for task in self.handlers:
                task.cancel()
            await server.wait_closed()

        thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
        thread.start()
        try:
            assert ready.wait(10)
            yield self
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)
            loop.close()

    def server(self) -> serve:
        return serve(
            self._handle,
            "127.0.0.1",
            self.port,
            process_request=self._request,
            ping_interval=None,
            close_timeout=0.2,
            max_size=1 << 24,
        )

    def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Upgrade", "").lower() != "websocket":
            self.asked.append(request.path)
            status, headers, body = self.answer(request.path)
            return _response(status, headers, body)
        at, self.opened = self.opened, self.opened + 1
        script = self.scripts[at] if at < len(self.scripts) else ()
        connection.script = script
        if isinstance(script, Refuse):
            self.played += 1
            return _response(script.status, {}, b"no")
        if isinstance(script, Reset):
            self.played += 1
            connection.transport.abort()
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        self.handlers.append(asyncio.current_task())
        try:
            for step in connection.script:
                await self._play(connection, step)
        except ConnectionClosed:
            pass
        self.played += 1
        await connection.wait_closed()

    async def _play(self, connection: ServerConnection, step: Step) -> None:
        match step:
            case Say():
                text = step.payload
                await connection.send(text.decode() if isinstance(text, bytes) else text)
                step.then()
            case Hear():
                self.heard.append(str(await connection.recv()))
            case Cut():
                # A text frame that says it has all of the payload, and has half of it.
                size = len(step.payload)
                head = b"\x81" + (
                    bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")
                )
                connection.transport.write(head + step.payload[: size // 2])
                await asyncio.sleep(0.05)
                connection.transport.abort()
            case Freeze():
                connection.transport.pause_reading()
                await asyncio.sleep(60)
            case Close():
                await connection.close(step.code, step.reason)
            case Do():
                step.what()
            case Until():
                while not step.condition():  # noqa: ASYNC110 - another thread makes it so
                    await asyncio.sleep(0.005)
            case Wait():
                await asyncio.sleep(step.seconds)


def _response(status: int, headers: dict[str, str], body: bytes) -> Response:
    named = Headers({"Content-Length": str(len(body)), "Connection": "close", **headers})
    return Response(status, HTTPStatus(status).phrase, named, body)
