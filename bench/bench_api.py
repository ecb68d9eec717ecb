"""The API over HTTP: durable orders one by one and in batches, newest values, and history of 50 M rows.

The server is `tapeflow serve`'s, one worker, with an API key as clients have one; the load generator shares the machine's
cores with it. What one sync of the disk costs is measured beside it: no durable answer can come sooner.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import orjson
import psutil

from bench.bench_views import fill
from bench.http_load import Load, Served, flat_out, paced, request, served
from bench.report import Result
from connectors.clickhouse import connect, create_tables
from connectors.log import open_log
from connectors.records import rows_record
from connectors.topics import create_topics
from schemas.market import QUOTES

ROOT = Path(__file__).resolve().parents[1]
_SYMBOLS = 500
_BATCH = 1_000


def run(quick: bool) -> list[Result]:
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=build) as folder:
        home = Path(folder)
        _quotes(home)
        sync_ms = _sync_ms(home)
        with served(home) as api:
            runner = _Runner(api, 3 if not quick else 1)
            results = [
                *runner.paced_orders(400 if quick else 5_000, sync_ms),
                runner.order_throughput(1_000 if quick else 15_000),
                runner.batches(20 if quick else 200),
                *runner.latest(2_000 if quick else 20_000),
            ]
    with tempfile.TemporaryDirectory(prefix="tapeflow-bench-") as folder:
        return [*results, *_history(Path(folder), 1_000_000 if quick else 50_000_000, quick=quick)]


class _Runner:
    """Loads on one server; the median of several rounds each."""

    def __init__(self, api: Served, rounds: int) -> None:
        self._api = api
        self._rounds = rounds
        self._names = 0

    def paced_orders(self, count: int, sync_ms: float) -> list[Result]:
        """One order a request, 500 a second."""
        loads = [
            _well_answered(paced(self._api.port, self._order, rate=500, count=count))
            for _ in range(self._rounds)
        ]
        note = f"{count:,} orders at 500/s, keep-alive, API key, audited in the same commit"
        return [
            Result(
                name=f"api: POST one durable order, {name}",
                value=median(load.percentile(share) for load in loads),
                unit="ms",
                wanted=wanted,
                baseline=sync_ms,
                baseline_name="a write and sync of 8 kB",
                note=note,
            )
            for name, share, wanted in (("p50", 0.5, "< 2"), ("p99", 0.99, "< 5"))
        ]

    def order_throughput(self, count: int) -> Result:
        """One order a request, as fast as 64 clients get answers."""
        loads, cpu = self._rounds_of(
            lambda: flat_out(self._api.port, self._order, clients=64, count=count)
        )
        return Result(
            name="api: POST one durable order, throughput",
            value=median(load.rate for load in loads),
            unit="requests/s",
            wanted=">= 3,000",
            note=f"64 clients; the server took {cpu / count * 1e6:.0f} µs of processor time a request",
        )

    def batches(self, count: int) -> Result:
        """1,000 orders a request."""
        loads, cpu = self._rounds_of(
            lambda: flat_out(self._api.port, self._batch, clients=2, count=count)
        )
        return Result(
            name="api: POST 1,000 durable orders",
            value=median(load.rate for load in loads) * _BATCH,
            unit="orders/s",
            wanted=">= 100,000",
            note=f"2 clients; {cpu / count / _BATCH * 1e6:.1f} µs of the server's processor time an order",
        )

    def latest(self, count: int) -> list[Result]:
        """The newest quote of a symbol."""

        def make(number: int) -> bytes:
            return request(self._api.key, "GET", f"/v1/quotes?symbol=S{number * 37 % _SYMBOLS}")

        loads, cpu = self._rounds_of(
            lambda: flat_out(self._api.port, make, clients=16, count=count)
        )
        note = f"16 clients; {cpu / count * 1e6:.0f} µs of the server's processor time a request"
        return [
            Result(
                name="api: newest quote of a symbol",
                value=median(load.rate for load in loads),
                unit="requests/s",
                wanted=">= 4,000",
                note=note,
            ),
            Result(
                name="api: newest quote of a symbol, p99",
                value=median(load.percentile(0.99) for load in loads),
                unit="ms",
                wanted="< 5",
                note=note,
            ),
        ]

    def _rounds_of(self, work: Callable[[], Load]) -> tuple[list[Load], float]:
        """Loads, and median seconds of the server's processor time."""
        process = psutil.Process(self._api.pid)
        loads, spent = [], []
        for _ in range(self._rounds):
            before = sum(process.cpu_times()[:2])
            loads.append(_well_answered(work()))
            spent.append(sum(process.cpu_times()[:2]) - before)
        return loads, median(spent)

    def _order(self, number: int) -> bytes:
        del number
        return request(self._api.key, "POST", "/v1/orders", orjson.dumps(self._one()))

    def _batch(self, number: int) -> bytes:
        del number
        orders = orjson.dumps([self._one() for _ in range(_BATCH)])
        return request(self._api.key, "POST", "/v1/orders", orders)

    def _one(self) -> dict[str, str]:
        self._names += 1
        return {
            "account": "desk-1",
            "client_order_id": f"bench-{self._names}",
            "symbol": f"S{self._names % _SYMBOLS}",
            "side": "buy",
            "quantity": "100",
            "order_type": "limit",
            "limit_price": "150.25",
            "time_in_force": "day",
        }


def _well_answered(load: Load) -> Load:
    if load.bad:
        raise RuntimeError(
            f"{load.bad} of {len(load.latencies_ms)} requests were not answered well"
        )
    return load


def _quotes(home: Path) -> None:
    """A newest quote of each symbol."""
    with open_log(f"sqlite:///{home / 'log.db'}") as log:
        create_topics(log, 1)
        times = np.arange(_SYMBOLS, dtype=np.int64)
        batch = QUOTES.batch(
            {
                "symbol": [f"S{number}" for number in range(_SYMBOLS)],
                "venue": ["N"] * _SYMBOLS,
                "ts_event": times,
                "ts_recv": times,
                **dict.fromkeys(("bid", "ask", "bid_size", "ask_size"), times + 100.0),
            }
        )
        log.append([rows_record(QUOTES, 0, batch)])


def _sync_ms(home: Path) -> float:
    """What a write and a sync of the disk cost: the median of many."""
    taken = []
    with (home / "sync").open("wb", buffering=0) as file:
        for _ in range(200):
            begun = time.perf_counter()
            file.write(bytes(8_192))
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - begun) * 1e3)
            time.sleep(0.001)
    return median(taken)


def _history(home: Path, rows: int, *, quick: bool) -> list[Result]:
    """Trades of a symbol and an hour, out of many rows."""
    with connect(f"chdb:///{home / 'store'}") as client:
        create_tables(client)
        days = fill(client, rows)
        with served(home) as api:

            def make(number: int) -> bytes:
                day = days[number % len(days)]
                hour = f"{day}T{15 + number % 5}"
                path = f"/v1/trades?symbol=S{number * 37 % _SYMBOLS}&from={hour}:00:00Z&to={hour}:59:00Z&limit=1000"
                return request(api.key, "GET", path)

            warm = flat_out(api.port, make, clients=1, count=5)
            if not quick and warm.received_bytes < 5 * 100_000:
                raise RuntimeError(
                    "the pages of history are not full: what was filled in is not what is asked for"
                )
            load = flat_out(api.port, make, clients=1, count=20 if quick else 300)
    note = f"{rows:,} trades of {_SYMBOLS} symbols and {len(days)} days; up to 1,000 rows as JSON"
    return [
        Result(
            name=f"api: trades of a symbol and an hour, {name}",
            value=load.percentile(share),
            unit="ms",
            wanted=wanted,
            note=note,
        )
        for name, share, wanted in (("p50", 0.5, "< 10"), ("p99", 0.99, "< 50"))
    ]
