"""A load generator for the API: raw HTTP/1.1 over keep-alive connections, so that it costs little beside the server.

Open loop: a request is due at its time whether or not others were answered, and its latency counts from then on.
"""

import contextlib
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

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


class _Connection:
    """One request at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self._due_s = 0.0

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def send(self, data: bytes, due_s: float) -> None:
        """Send a request that was due at a time."""
        self._due_s = due_s
        self._socket.sendall(data)

    def receive(self, load: Load) -> bool:
        """Take in what has come; whether the request is answered."""
        came = self._socket.recv(1 << 20)
        if not came:
            raise RuntimeError("the server has closed a connection")
        received = self._received = self._received + came
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return False
        at = received.lower().index(b"content-length:", 0, end + 2) + 15
        length = int(received[at : received.index(b"\r\n", at)])
        if len(received) < end + 4 + length:
            return False
        load.latencies_ms.append((time.perf_counter() - self._due_s) * 1e3)
        load.received_bytes += len(received)
        load.bad += not received.startswith(b"HTTP/1.1 20")
        self._received = b""
        return True

    def close(self) -> None:
        """Close it."""
        self._socket.close()


def paced(port: int, make: Callable[[int], bytes], *, rate: float, count: int) -> Load:
    """So many requests at a rate, whenever others are answered: 32 connections, and more wait for one."""
    return _load(port, make, count=count, connections=32, every_s=1 / rate)


def flat_out(port: int, make: Callable[[int], bytes], *, clients: int, count: int) -> Load:
    """So many requests as fast as clients get answers, each one after the other."""
    return _load(port, make, count=count, connections=clients, every_s=0.0)


def _load(
    port: int, make: Callable[[int], bytes], *, count: int, connections: int, every_s: float
) -> Load:
    # Made before: who makes a thousand orders meanwhile takes the processor from the server that is measured.
    requests = [make(number) for number in range(count)]
    idle = deque(_Connection(port) for _ in range(connections))
    load, sent, busy = Load(), 0, set[_Connection]()
    begun = time.perf_counter()
    while len(load.latencies_ms) < count:
        now = time.perf_counter()
        while sent < count and idle and begun + sent * every_s <= now:
            connection = idle.popleft()
            connection.send(requests[sent], begun + sent * every_s if every_s else now)
            busy.add(connection)
            sent += 1
        wait_s = None
        if sent < count and idle:
            # Its clock is that of the processor; an event loop's goes by the millisecond, half of what is measured.
            wait_s = max(0.0, begun + sent * every_s - time.perf_counter())
        for connection in select.select(busy, [], [], wait_s)[0]:
            if connection.receive(load):
                busy.discard(connection)
                idle.append(connection)
    load.seconds = time.perf_counter() - begun
    for connection in idle:
        connection.close()
    return load
