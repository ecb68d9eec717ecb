"""Serves a chDB folder on loopback, in this thread or another, and says where it is in ``store.json``."""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from connectors.chdb_address import Address, remove_note, write_note
from connectors.chdb_engine import Engine, StoreError
from connectors.chdb_http import application

# What a stop waits for queries that still run.
_STOP_S = 30
# How often a server in a thread asks whether its program has ended.
_ASK_S = 0.2


def serve(
    path: Path,
    host: str = "127.0.0.1",
    port: int = 0,
    ready: Callable[[Address], None] | None = None,
    stop: threading.Event | None = None,
) -> None:
    """Serve until the process is told to end (SIGINT, SIGTERM), or ``stop`` is set.

    Parameters
    ----------
    path : Path
        Folder of chDB's files.
    host, port : str, int
        Where to listen; port 0 takes a free one.
    ready : callable, optional
        Called with the address once queries are answered.
    stop : threading.Event, optional
        Ends the service from another thread.

    Raises
    ------
    StoreError
        Where the folder is held by another process or the port is taken.
    """
    path = path.resolve()
    engine = Engine(path)
    try:
        listener = _listen(host, port)
        address = Address(host=host, port=listener.getsockname()[1], pid=os.getpid())
        server = _Server(engine, lambda: _announce(path, address, ready))
        watcher = threading.Thread(target=server.stop_with, args=(stop,), daemon=True)
        if stop is not None:
            watcher.start()
        try:
            with listener:
                server.run(sockets=[listener])
        finally:
            remove_note(path)
    finally:
        engine.close()


@contextlib.contextmanager
def run_in_thread(path: Path, host: str = "127.0.0.1", port: int = 0) -> Iterator[Address]:
    """Serve from a thread of this process for as long as the context lasts, or until the program ends."""
    ready, stop = threading.Event(), threading.Event()
    addresses: list[Address] = []
    errors: list[BaseException] = []

    def note(address: Address) -> None:
        addresses.append(address)
        ready.set()

    def work() -> None:
        try:
            serve(path, host, port, note, stop)
        except BaseException as error:  # noqa: BLE001 - whoever waits for it has to be told
            errors.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="store")
    thread.start()
    ready.wait()
    try:
        if not errors:
            yield addresses[0]
    finally:
        stop.set()
        thread.join()
    if errors:
        raise errors[0]


class _Server(uvicorn.Server):
    """uvicorn, told to say when it is ready and to end by an event."""

    def __init__(self, engine: Engine, ready: Callable[[], None]) -> None:
        config = uvicorn.Config(
            application(engine),
            http="httptools",
            loop="uvloop",
            lifespan="on",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=_STOP_S,
            # A dashboard's idle connection should not have to be made anew between two queries.
            timeout_keep_alive=60,
        )
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    def stop_with(self, stop: threading.Event | None) -> None:
        if stop is not None:
            # Python waits at a program's end for this server's thread: one whose context nobody left would
            # go on for ever, and hold the folder.
            while threading.main_thread().is_alive() and not stop.wait(_ASK_S):
                pass
            self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise StoreError(
            f"store: cannot listen on {host}:{port} ({error.strerror}); take another port, or 0 for "
            "a free one"
        ) from error
    return listener


def _announce(path: Path, address: Address, ready: Callable[[Address], None] | None) -> None:
    write_note(path, address)
    if ready is not None:
        ready(address)
