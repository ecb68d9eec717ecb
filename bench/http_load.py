"""A load generator for the API: raw HTTP/1.1 over keep-alive connections, so that it costs little beside the server.

Open loop: a request is due at its time whether or not others were answered, and its latency counts from then on.
"""

import asyncio
import contextlib
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from serving.api.scopes import Role, Scope
from serving.settings import Settings
from serving.users.users import Users

ROOT = Path(__file__).resolve().parents[1]
_SERVER = """
import sys, threading, structlog
from pathlib import Path
from serving.api.server import serve_api
from serving.settings import Settings
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
settings = Settings(
    home=Path(sys.argv[1]), api_port=0, api_rate=1_000_000, api_streams=100_000, partitions=1
)
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
serve_api(settings, stop, lambda address: print(address.url.rpartition(":")[2], flush=True))
"""


@dataclass(frozen=True, slots=True)
class Served:
    """An API that runs in a process of its own."""

    port: int
    key: str
    pid: int


@contextlib.contextmanager
def served(home: Path) -> Iterator[Served]:
    """Serve an API as `tapeflow serve` does, with a key of an admin; ended with the context."""
    users = Users(Settings(home=home))
    try:
        users.people.create("bench", [Role.ADMIN])
        scopes = (Scope.ORDERS_WRITE, Scope.ORDERS_READ, Scope.MARKET_READ, Scope.ME)
        _, key = users.keys.create("bench", "bench", scopes, rate=1e6)
    finally:
        users.close()
    with subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(home)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield Served(int(process.stdout.readline()), key, process.pid)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


def request(key: str, method: str, path: str, body: bytes = b"") -> bytes:
    """A request's bytes."""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass
class Load:
    """What a load found: latencies in ms, how long it took, and how much came."""

    latencies_ms: list[float] = field(default_factory=list)
    received_bytes: int = 0
    seconds: float = 0.0
    bad: int = 0

    def percentile(self, share: float) -> float:
        """Of the latencies."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies_ms) / self.seconds


class _Connection(asyncio.Protocol):
    """One request at a time; tells when it is answered."""

    def __init__(self, idle: Callable[["_Connection"], None], load: Load) -> None:
        self._idle = idle
        self._load = load
        self._buffer = b""
        self._due_s = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def send(self, data: bytes, due_s: float) -> None:
        """Send a request that was due at a time."""
        assert self._transport is not None
        self._due_s = due_s
        self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        at = buffer.lower().index(b"content-length:") + 15
        length = int(buffer[at : buffer.index(b"\r\n", at)])
        if len(buffer) < end + 4 + length:
            return
        self._buffer = b""
        self._load.received_bytes += end + 4 + length
        self._load.bad += not buffer.startswith((b"HTTP/1.1 20",))
        self._load.latencies_ms.append((time.perf_counter() - self._due_s) * 1e3)
        self._idle(self)

    def close(self) -> None:
        """Close the connection."""
        assert self._transport is not None
        self._transport.close()


async def paced(port: int, make: Callable[[int], bytes], *, rate: float, count: int) -> Load:
    """So many requests at a rate, whenever others are answered."""
    load, waiting = Load(), deque[tuple[bytes, float]]()
    done = asyncio.Event()
    idle: deque[_Connection] = deque()

    def free(connection: _Connection) -> None:
        if waiting:
            connection.send(*waiting.popleft())
        else:
            idle.append(connection)
        if len(load.latencies_ms) == count:
            done.set()

    connections = await _connect(port, 32, free, load)
    idle.extend(connections)
    begun = time.perf_counter()
    for number in range(count):
        due_s = begun + number / rate
        wait_s = due_s - time.perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        if idle:
            idle.popleft().send(make(number), due_s)
        else:
            waiting.append((make(number), due_s))
    await done.wait()
    load.seconds = time.perf_counter() - begun
    for connection in connections:
        connection.close()
    return load


async def flat_out(port: int, make: Callable[[int], bytes], *, clients: int, count: int) -> Load:
    """So many requests as fast as clients get answers, each one after the other."""
    load, numbers = Load(), iter(range(count))
    done = asyncio.Event()

    def free(connection: _Connection) -> None:
        number = next(numbers, None)
        if number is not None:
            connection.send(make(number), time.perf_counter())
        elif len(load.latencies_ms) == count:
            done.set()

    connections = await _connect(port, clients, free, load)
    begun = time.perf_counter()
    for connection in connections:
        free(connection)
    await done.wait()
    load.seconds = time.perf_counter() - begun
    for connection in connections:
        connection.close()
    return load


async def _connect(
    port: int, count: int, free: Callable[[_Connection], None], load: Load
) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    made = []
    for _ in range(count):
        _, connection = await loop.create_connection(
            lambda: _Connection(free, load), "127.0.0.1", port
        )
        made.append(connection)
    return made
