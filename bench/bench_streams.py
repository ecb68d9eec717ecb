"""Fan-out of a stream: many WebSocket clients, each with its own symbols, conflated; and what a client waits for a row.

One process serves, one appends quotes of 500 symbols (each 10 times a second, and as in a market not all at once: a
tenth of them every 10 ms), one is all the clients. A row's delay is from its append to the receipt of the frame that
holds it: for the newest row of a frame that is what serving costs, for any row the interval of conflation is in it.
"""

import asyncio
import base64
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import psutil
import uvloop

from bench.http_load import ROOT, Served, served
from bench.report import Result

_SYMBOLS = 500
_KEYS = 100
_CONFLATE_MS = 100
_APPEND_S = 0.1
_SLICES = 10
# Of the frames, so many are looked into: the clients share two cores with the server.
_LOOKED_AT = 8

_PUBLISHER = """
import sys, time
import numpy as np
from connectors.log import open_log
from connectors.records import rows_record
from schemas.market import QUOTES
symbols, slices, pause = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
names = [[f"S{number}" for number in range(at, symbols, slices)] for at in range(slices)]
count = symbols // slices
with open_log(sys.argv[1]) as log:
    due, number = time.monotonic(), 0
    print("ready", flush=True)
    while True:
        number += 1
        times = np.full(count, number, dtype=np.int64)
        price = times + 100.0
        now = np.full(count, time.time())
        batch = QUOTES.batch({"symbol": names[number % slices], "venue": ["N"] * count, "ts_event": times,
                              "ts_recv": times, "bid": price, "bid_size": price, "ask": price, "ask_size": now})
        log.append([rows_record(QUOTES, 0, batch)])
        due += pause / slices
        time.sleep(max(0.0, due - time.monotonic()))
"""


def run(quick: bool) -> list[Result]:
    clients, seconds = (100, 5.0) if quick else (1_000, 30.0)
    (ROOT / "build").mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=ROOT / "build") as folder,
        served(Path(folder)) as api,
        _publisher(Path(folder)),
    ):
        return uvloop.run(_Crowd(api, clients).measure(seconds))


class _Crowd:
    """All the clients."""

    def __init__(self, api: Served, count: int) -> None:
        self._api = api
        self._count = count

    async def measure(self, seconds: float) -> list[Result]:
        """Connect, let it settle, and look for some seconds."""
        loop = asyncio.get_running_loop()
        clients = []
        for number in range(self._count):
            keys = [f"S{(number * 37 + at) % _SYMBOLS}" for at in range(_KEYS)]
            _, client = await loop.create_connection(
                lambda keys=keys: _Client(self._api.key, keys), "127.0.0.1", self._api.port
            )
            await client.subscribed
            clients.append(client)
        await asyncio.sleep(3)
        process = psutil.Process(self._api.pid)
        for client in clients:
            client.reset()
        memory, cpu = process.memory_info().rss, sum(process.cpu_times()[:2])
        begun = time.perf_counter()
        await asyncio.sleep(seconds)
        taken = time.perf_counter() - begun
        cpu = sum(process.cpu_times()[:2]) - cpu
        grown = (process.memory_info().rss - memory) / 2**20
        return self._results(clients, taken, cpu, grown)

    def _results(
        self, clients: list["_Client"], taken: float, cpu: float, grown: float
    ) -> list[Result]:
        counts = sorted(client.frames for client in clients)
        newest = sorted(delay for client in clients for delay in client.newest_ms)
        every = sorted(delay for client in clients for delay in client.oldest_ms)
        frames = sum(counts)
        note = (
            f"{self._count:,} clients, {_KEYS} symbols each, {_CONFLATE_MS} ms; "
            f"{frames / taken:,.0f} frames/s, {sum(c.bytes for c in clients) / taken / 1e6:,.0f} MB/s"
        )
        cpu_note = (
            f"{cpu / taken * 100:.0f} % of a core, {cpu / max(frames, 1) * 1e6:.0f} µs a frame"
        )
        return [
            Result(
                name="streams: newest row of a frame, append to client, p50",
                value=_percentile(newest, 0.5),
                unit="ms",
                note=note,
            ),
            Result(
                name="streams: newest row of a frame, append to client, p99",
                value=_percentile(newest, 0.99),
                unit="ms",
                wanted="< 100",
                note=cpu_note,
            ),
            Result(
                name="streams: oldest row of a frame, append to client, p99",
                value=_percentile(every, 0.99),
                unit="ms",
                note="the interval of conflation is in it",
            ),
            Result(
                name="streams: frames of the client with fewest, of the median's",
                value=counts[0] / max(1, counts[len(counts) // 2]) * 100,
                unit="%",
                wanted="> 90",
            ),
            Result(
                name="streams: growth of the server's memory",
                value=grown,
                unit="MiB",
                wanted="< 10",
                note=f"in {taken:.0f} s",
            ),
        ]


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[int(share * (len(ordered) - 1))] if ordered else float("nan")


class _Client(asyncio.Protocol):
    """A WebSocket client that does no more than it must (RFC 6455, frames of a server only)."""

    def __init__(self, key: str, keys: list[str]) -> None:
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._key = key
        self._keys = keys
        self._buffer = bytearray()
        self._open = False
        self.reset()

    def reset(self) -> None:
        """Count anew."""
        self.frames = self.bytes = 0
        self.newest_ms: list[float] = []
        self.oldest_ms: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        nonce = base64.b64encode(os.urandom(16)).decode()
        head = (
            f"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {nonce}\r\nSec-WebSocket-Version: 13\r\nX-API-Key: {self._key}\r\n\r\n"
        )
        self._write(head.encode())

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if not self._open:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            if not buffer.startswith(b"HTTP/1.1 101"):
                self.subscribed.set_exception(RuntimeError(buffer.decode()))
                return
            self._open = True
            del buffer[: end + 4]
            asked = {"topic": "quotes", "keys": self._keys, "conflate_ms": _CONFLATE_MS}
            self._write(_masked(1, orjson.dumps({"subscribe": asked})))
        while (size := _frame_size(buffer)) and len(buffer) >= size[0] + size[1]:
            head, length = size
            self._take(buffer[0] & 15, buffer, head, head + length)
            del buffer[: head + length]

    def _take(self, code: int, buffer: bytearray, start: int, end: int) -> None:
        if code == 9:
            self._write(_masked(10, bytes(buffer[start:end])))
            return
        if code != 1:
            return
        if not self.subscribed.done():
            self.subscribed.set_result(None)
            return
        self.frames += 1
        self.bytes += end - start
        if self.frames % _LOOKED_AT == 0:
            now = time.time()
            self.newest_ms.append(
                (now - _sent(buffer, buffer.rfind(b'"ask_size":', start, end))) * 1e3
            )
            self.oldest_ms.append(
                (now - _sent(buffer, buffer.find(b'"ask_size":', start, end))) * 1e3
            )

    def _write(self, data: bytes) -> None:
        self._transport.write(data)  # type: ignore[attr-defined]


def _sent(buffer: bytearray, at: int) -> float:
    return float(buffer[at + 11 : buffer.index(b",", at)])


def _frame_size(buffer: bytearray) -> tuple[int, int] | None:
    """Bytes of the head and of the payload of the first frame, as far as they are known."""
    if len(buffer) < 2:
        return None
    short = buffer[1] & 127
    if short < 126:
        return 2, short
    head = 4 if short == 126 else 10
    return (head, int.from_bytes(buffer[2:head], "big")) if len(buffer) >= head else None


def _masked(code: int, payload: bytes) -> bytes:
    """A client's frame; a mask of zeros is one."""
    size = len(payload)
    length = bytes([128 | size]) if size < 126 else bytes([254]) + size.to_bytes(2, "big")
    return bytes([128 | code]) + length + bytes(4) + payload


@contextlib.contextmanager
def _publisher(home: Path) -> Iterator[None]:
    log = f"sqlite:///{home / 'log.db'}"
    numbers = (str(number) for number in (_SYMBOLS, _SLICES, _APPEND_S))
    command = [sys.executable, "-c", _PUBLISHER, log, *numbers]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield
        finally:
            process.terminate()
