"""Replay of bars and indicators, compared with the log: against the whole way live of the same run.

Both go over the same trades. A replay reads, decodes, computes and digests; it need not parse, validate, land.
"""

import io
import subprocess
import sys
from collections.abc import Callable
from threading import Event
from time import perf_counter

import orjson

from bench.bench_end_to_end import MAPPING, platform, write_trades
from bench.report import Result
from connectors.log import Log
from connectors.scan import scan_records, scan_rows
from flows.catalog import catalog
from flows.engines.recompute import recompute
from schemas.digest import row_digests
from schemas.registry import TOPICS
from serving.demo_run import LOOK_S, drain, feeding
from serving.demo_watch import Watch
from serving.replay import Request, run_replay
from serving.settings import Settings
from serving.settings_sources import program_environment

_FLOWS = ("bars", "indicators")


def run(quick: bool) -> list[Result]:
    """Trades a second, replayed; what each part of it takes; the whole verb."""
    trades = 400_000 if quick else 12_000_000
    with platform() as (settings, supervisor, log):
        path = settings.home / "trades.parquet"
        write_trades(path, trades)
        watch = Watch(log, live=False)

        def look() -> None:
            supervisor.check()
            watch.read()

        with feeding(settings, ["feed", str(path), "--mapping", MAPPING, "--json"]) as feed:
            while feed.poll() is None:
                look()
                Event().wait(LOOK_S)
        drain(supervisor, watch, look)
        supervisor.stop()
        live = watch.rows_per_second
        # The first one loads the kernels' machine code.
        _replayed(log, Request(flows=_FLOWS))
        again = [_replayed(log, Request(flows=_FLOWS)) for _ in range(3)]
        into = _replayed(log, Request(flows=_FLOWS, into="bench", compare=None))
        verb = _verb(settings)
        note = f"{trades:,} trades, {settings.partitions} partition"
        return [
            _result("replay --compare of bars and indicators", trades, min(again), live, note),
            _result("the same, the whole verb with its start", trades, verb, live, note),
            _result("replay --into, a run without landing", trades, into, live, note),
            *_parts(log, trades),
        ]


def _result(name: str, trades: int, seconds: float, live: float, note: str) -> Result:
    return Result(
        name=name,
        value=trades / seconds,
        unit="trades/s",
        wanted="≥ 5 times live" if name.startswith("replay --compare") else "",
        baseline=live,
        baseline_name="the whole embedded way, live",
        note=note,
    )


def _replayed(log: Log, request: Request) -> float:
    begun = perf_counter()
    code = run_replay(log, request.flows, as_json=True, out=io.StringIO(), request=request)
    assert code == 0, "replay and log differ"
    return perf_counter() - begun


def _verb(settings: Settings) -> float:
    begun = perf_counter()
    command = [sys.executable, "-m", "serving.cli", "replay", *_FLOWS, "--compare", "--json"]
    done = subprocess.run(
        command, env=program_environment(settings), capture_output=True, check=True
    )
    assert all(one["identical"] for one in orjson.loads(done.stdout)), "replay and log differ"
    return perf_counter() - begun


def _parts(log: Log, trades: int) -> list[Result]:
    """What a replay is made of, each alone in one thread."""

    def timed(name: str, work: Callable[[], int]) -> Result:
        begun = perf_counter()
        work()
        return Result(
            name=f"replay's part alone: {name}",
            value=(perf_counter() - begun) / trades * 1e9,
            unit="ns/trade",
        )

    topic = TOPICS["trades"]
    partitions = range(log.topics()[topic.name].partitions)

    def read() -> int:
        return sum(1 for p in partitions for _ in scan_records(log, topic.name, p))

    def decode() -> int:
        return sum(b.num_rows for p in partitions for _, b in scan_rows(log, topic, p))

    def digest() -> int:
        return sum(
            len(row_digests(TOPICS[name], batch))
            for name in _FLOWS
            for p in partitions
            for _, batch in scan_rows(log, TOPICS[name], p)
        )

    def compute() -> int:
        return sum(
            len(outputs)
            for name in _FLOWS
            for p in partitions
            for _, outputs in recompute(log, catalog()[name], p)
        )

    return [
        timed("read", read),
        timed("read and decode", decode),
        timed("read, decode and compute, two threads", compute),
        timed("read, decode and digest what was emitted", digest),
    ]
