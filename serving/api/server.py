"""Serves the application: uvicorn with uvloop and httptools, one worker, told apart from its default where it matters.

Where it listens is said in ``api.json`` in the home while it runs (`serving.api.address`).
"""

import asyncio
import gc
import socket
import threading
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from serving.api.address import ApiAddress, ApiServerError, remove_note, write_note
from serving.api.app import create_app
from serving.garbage import spare_what_is_loaded
from serving.settings import Settings

# Requests that run when it is told to end may finish.
_STOP_S = 20
_TELL_S = 0.1
# A new connection that says nothing, or only half a head, holds a place for so long.
_HEAD_S = 15.0
_KEEP_ALIVE_S = 75
# Connections at once; more are answered 503. Streams are connections too.
_CONNECTIONS_MAX = 4_000
# Of a message that a WebSocket's client sends: subscriptions, not data.
_WS_BYTES = 64 << 10


def serve_api(
    settings: Settings,
    stop: threading.Event,
    ready: Callable[[ApiAddress], None] | None = None,
) -> None:
    """Serve until ``stop`` is set: then requests finish, streams are told, and it ends.

    Parameters
    ----------
    settings : Settings
        The platform's.
    stop : threading.Event
        Ends it.
    ready : callable, optional
        Called with the address once requests are answered.

    Raises
    ------
    ApiServerError
        Where the port is taken, or the certificate cannot be used.
    """
    app = create_app(settings)
    with _listener(settings) as listener:
        scheme = "https" if settings.api_tls_cert else "http"
        host = f"[{settings.api_host}]" if ":" in settings.api_host else settings.api_host
        address = ApiAddress.of_this_process(f"{scheme}://{host}:{listener.getsockname()[1]}")

        def announce() -> None:
            write_note(settings.home, address)
            if ready is not None:
                ready(address)

        try:
            server = _Server(_config(settings, app), app, announce)
            server.config.load()
        except OSError as error:
            raise ApiServerError(
                f"api: the certificate or key cannot be used ({error}); see api_tls_cert and api_tls_key"
            ) from error
        threading.Thread(target=server.stop_with, args=(stop,), daemon=True).start()
        try:
            server.run(sockets=[listener])
        except SystemExit:
            # uvicorn's own way out where the application did not start; why, is kept.
            raise app.state.failure from None
        finally:
            remove_note(settings.home, address)


def _config(settings: Settings, app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Protocol,
        loop="uvloop",
        ws=_WebSocketProtocol,
        ws_max_size=_WS_BYTES,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.api_proxies),
        forwarded_allow_ips=settings.api_proxies or None,
        limit_concurrency=_CONNECTIONS_MAX,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_STOP_S,
        ssl_certfile=settings.api_tls_cert or None,
        ssl_keyfile=settings.api_tls_key or None,
    )


class _Protocol(HttpToolsProtocol):
    """uvicorn's, with an end for connections on which no head of a request comes in."""

    _head: asyncio.TimerHandle | None = None
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head = self.loop.call_later(_HEAD_S, transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        # Most heads come whole: these cost no timer.
        if self._in_head and self._head is None:
            self._head = self.loop.call_later(_HEAD_S, self.transport.abort)

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._headed()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._in_head = False
        self._headed()
        super().connection_lost(exc)

    def _headed(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


class _WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's, that takes an answer which refuses a handshake for its end, and not for an error of the application."""

    async def run_asgi(self) -> None:
        # Once a connection: `send` is on the way of every frame.
        self._inner, self.app = self.app, self._served
        await super().run_asgi()

    async def _served(self, *request: Any) -> None:
        await self._inner(*request)
        self.handshake_complete |= self.initial_response is not None


class _Server(uvicorn.Server):
    """uvicorn's, told to say when it is ready, to tell streams, and to end by an event."""

    def __init__(self, config: uvicorn.Config, app: Any, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._app = app
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        # What is here now, stays: a look through it takes 50 ms, in which nobody is answered.
        gc.collect()
        spare_what_is_loaded()
        if self.started:
            self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End; streams first, for they end only when they are told."""
        self._app.state.api.close()
        # uvicorn closes WebSockets at once, and without our word.
        await asyncio.sleep(_TELL_S)
        await super().shutdown(sockets)

    def stop_with(self, stop: threading.Event) -> None:
        """End when the event is set."""
        stop.wait()
        self.should_exit = True


def _listener(settings: Settings) -> socket.socket:
    host, port = settings.api_host, settings.api_port
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise ApiServerError(
            f"api: cannot listen on {host}:{port} ({error.strerror}); set api_port to another one, or to 0 for a "
            "free one"
        ) from error
    return listener
