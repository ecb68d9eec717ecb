"""Serves a chDB folder on loopback, in this thread or another, and says where it is in ``store.json``."""

import contextlib
import http.client
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import uvicorn

from connectors.chdb_engine import Engine, StoreError
from connectors.chdb_http import STORE_HEADER, application

_PING_S = 2.0
# What a stop waits for queries that still run.
_STOP_S = 30


@dataclass(frozen=True, slots=True)
class Address:
    """Where a running store listens."""

    host: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        """Its HTTP address."""
        return f"http://{self.host}:{self.port}"


def running_store(path: Path) -> Address | None:
    """The address of the store that serves this folder now, or None.

    A ``store.json`` left by a killed process is seen by nobody answering for the folder.
    """
    try:
        found = orjson.loads(_note(path).read_bytes())
        address = Address(host=found["host"], port=found["port"], pid=found["pid"])
    except (OSError, orjson.JSONDecodeError, KeyError):
        return None
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_PING_S)
    try:
        connection.request("GET", "/ping")
        served = connection.getresponse().getheader(STORE_HEADER)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return address if served == str(path.resolve()) else None


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
            _note(path).unlink(missing_ok=True)
    finally:
        engine.close()


@contextlib.contextmanager
def run_in_thread(path: Path, host: str = "127.0.0.1", port: int = 0) -> Iterator[Address]:
    """Serve from a thread of this process for as long as the context lasts."""
    ready, stop = threading.Event(), threading.Event()
    addresses: list[Address] = []
    errors: list[BaseException] = []

    def note(address: Address) -> None:
        addresses.append(address)
        ready.set()

    def work() -> None:
        try:
            serve(path, host, port, note, stop)
        except (StoreError, OSError) as error:
            errors.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=work, name="store")
    thread.start()
    ready.wait()
    try:
        if errors:
            raise errors[0]
        yield addresses[0]
    finally:
        stop.set()
        thread.join()


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
            stop.wait()
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
    note = _note(path)
    fresh = note.with_suffix(".json.new")
    fresh.write_bytes(
        orjson.dumps(
            {"host": address.host, "port": address.port, "pid": address.pid, "url": address.url}
        )
    )
    fresh.replace(note)
    if ready is not None:
        ready(address)


def _note(path: Path) -> Path:
    return path / "store.json"
