"""The whole embedded platform: how fast, how late, how large, with everything landed.

Figures are of supervised processes as `tapeflow up` runs them, on data that a seed makes.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from time import perf_counter_ns, sleep, time_ns

import numpy as np
import pyarrow as pa
from pyarrow.parquet import ParquetWriter

from bench.report import Result
from connectors.log import Log, Record, open_log
from connectors.records import decode_rows, is_rows, rows_record
from schemas.bars import BARS
from schemas.field import TIMESTAMP
from schemas.indicators import INDICATORS
from schemas.market import TRADES
from schemas.partition import partition_of
from serving.demo import DemoOptions
from serving.demo_run import LOOK_S, Memory, drain, feeding
from serving.demo_watch import Latencies, Watch
from serving.settings import Settings
from serving.supervisor import Supervisor
from serving.up import supervisor_of

_SYMBOLS = 500
_START_NS = 1_704_205_800_000_000_000
MAPPING = (
    "topic=trades,symbol=symbol,ts_event=ts_event:ns,price=price,size=size,venue=const:X,side=side"
)
# One second of event time holds so many of the file's trades: 40 a second and symbol.
_TRADES_PER_S = 20_000
_RATE = 20_000
_CHUNK = 1_000_000
_FILE_SCHEMA = pa.schema(
    [
        ("symbol", pa.string()),
        ("ts_event", pa.int64()),
        ("price", pa.float64()),
        ("size", pa.float64()),
        ("side", pa.string()),
    ]
)
# What the figures wanted are of; the other flows are measured for themselves.
_FLOWS = ("intake", "bars", "indicators")
_WARM_NS = 4_000_000_000


def run(quick: bool) -> list[Result]:
    """Throughput, latencies, memory."""
    # Last what leaves many deleted files behind: ext4 makes new ones slowly for minutes after that
    # (recently_deleted), and half of what a small insert costs is making its part's files.
    return [
        *_readable(4 if quick else 15),
        *_closed_bars(4 if quick else 15),
        *whole_way(400_000 if quick else 50_000_000),
    ]


def whole_way(
    trades: int,
    *,
    log_url: str = "",
    name: str = "whole embedded way, everything landed",
    wanted: str = "≥ 500,000; aim at 1,000,000",
) -> list[Result]:
    """A file through feed, flows and lander as supervised programs; on another log where one is named."""
    with platform(log_url=log_url) as (settings, supervisor, log):
        path = settings.home / "trades.parquet"
        write_trades(path, trades)
        watch, memory = Watch(log, live=False), Memory(itself=False)
        half: list[float] = []

        def look() -> None:
            supervisor.check()
            watch.read()
            memory.look()
            if not half and watch.raw_rows >= trades / 2:
                half.append(memory.largest_mib)

        with feeding(settings, ["feed", str(path), "--mapping", MAPPING, "--json"]) as feed:
            while feed.poll() is None:
                look()
                Event().wait(LOOK_S)
        drain(supervisor, watch, look)
        derived = watch.landed[BARS.name] + watch.landed[INDICATORS.name]
        return [
            Result(
                name=name,
                value=watch.rows_per_second,
                unit="trades/s",
                wanted=wanted,
                note=f"{trades:,} trades of {_SYMBOLS} symbols, {derived:,} derived rows",
            ),
            Result(
                name="memory of all programs, at most (PSS)",
                value=memory.largest_mib,
                unit="MiB",
                wanted="< 1,536, flat",
                baseline=half[0] if half else None,
                baseline_name="at most, up to half of the trades",
                note=f"{_SYMBOLS} symbols",
            ),
        ]


def _closed_bars(seconds: int) -> list[Result]:
    """From the append of the trade that closes a bar until its rows can be read in the log."""
    with platform({"indicators": {"intervals": ["1s"]}}) as (_, supervisor, log):
        readers = [_Reader(log, topic) for topic in (BARS, INDICATORS)]
        appended = _append_live(log, seconds)
        sleep(1.0)
        for reader in readers:
            reader.end()
        supervisor.retire("clock")
        found = []
        for reader in readers:
            # The first second compiles kernels and fills caches.
            first = min(second for _, second in appended) + 2
            late = [
                (seen - appended[key]) / 1e6
                for key, seen in reader.seen.items()
                if key in appended and key[1] >= first
            ]
            for percent, wanted in ((50, "< 5"), (99, "< 20")):
                found.append(
                    Result(
                        name=f"closing trade → {reader.name} readable in the log, p{percent}",
                        value=float(np.percentile(late, percent)) if late else float("nan"),
                        unit="ms",
                        wanted=wanted,
                        note=f"{len(late):,} bars at {_RATE:,} trades/s",
                    )
                )
        return found


def _readable(seconds: int) -> list[Result]:
    with platform() as (settings, supervisor, log):
        watch = Watch(log, live=True)
        options = DemoOptions(seconds=seconds, rate=_RATE, symbols=100, seed=1)
        with feeding(settings, options.feed_arguments) as feed:
            began = perf_counter_ns()
            warm = False
            while feed.poll() is None:
                supervisor.check()
                watch.read()
                Event().wait(LOOK_S)
                if not warm and perf_counter_ns() - began > _WARM_NS:
                    # The first seconds seed the market's books, compile kernels and fill caches.
                    watch.latencies, warm = Latencies(), True
        drain(supervisor, watch, watch.read)
        return [
            Result(
                name=f"event → row readable in ClickHouse, p{percent}",
                value=watch.latencies.percentile_ms(percent) or float("nan"),
                unit="ms",
                wanted=wanted,
                note=f"{watch.raw_rows:,} rows at {_RATE:,} rows/s",
            )
            for percent, wanted in ((50, "< 50"), (99, "< 250"))
        ]


def json_landed(messages: int, log_url: str, produce: Callable[[], None]) -> Result:
    """Foreign one-event messages, produced beforehand: decoded, computed, landed by supervised programs."""
    produce()
    # The topics have the partitions that the producer made.
    with platform(log_url=log_url, partitions=2) as (_, supervisor, log):
        began = perf_counter_ns()
        watch = Watch(log, live=False)
        while watch.raw_rows < messages:
            supervisor.check()
            watch.read()
            Event().wait(LOOK_S)
        took_s = (perf_counter_ns() - began) / 1e9
        return Result(
            name="foreign JSON on Kafka, decoded, computed, landed in ClickHouse",
            value=messages / took_s,
            unit="msgs/s",
            wanted="≥ 200,000",
            note=f"{messages:,} one-event messages; intake, bars, indicators; the programs' start is in it",
        )


@contextmanager
def platform(
    flows: dict[str, dict[str, object]] | None = None, log_url: str = "", partitions: int = 1
) -> Iterator[tuple[Settings, Supervisor, Log]]:
    """A whole embedded platform, with these parameters of flows; ended and deleted behind."""
    with tempfile.TemporaryDirectory(prefix="tapeflow-bench-") as folder:
        settings = Settings(
            home=Path(folder),
            log=log_url,
            partitions=partitions,
            flows=flows or {},
            run_flows=_FLOWS,
            lake_flush_s=5.0,
        )
        supervisor = supervisor_of(settings)
        supervisor.start()
        try:
            with open_log(settings.log) as log:
                yield settings, supervisor, log
        finally:
            supervisor.stop()


def write_trades(path: Path, trades: int) -> None:
    """Write so many trades of a seed as a Parquet file that `MAPPING` describes."""
    random = np.random.default_rng(7)
    names = pa.array([f"S{number}" for number in range(_SYMBOLS)])
    sides = pa.array(["sell", "buy"])
    with ParquetWriter(path, _FILE_SCHEMA) as writer:
        for begin in range(0, trades, _CHUNK):
            count = min(_CHUNK, trades - begin)
            symbol = random.integers(0, _SYMBOLS, count)
            steps = random.integers(-1, 2, count)
            columns = [
                names.take(pa.array(symbol)),
                pa.array(_START_NS + np.arange(begin, begin + count) * (10**9 // _TRADES_PER_S)),
                pa.array(50.0 + symbol + 0.01 * steps),
                pa.array(random.integers(1, 50, count) * 100.0),
                sides.take(pa.array((steps > 0).astype(np.int8))),
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=_FILE_SCHEMA))


def _append_live(log: Log, seconds: int) -> dict[tuple[str, int], int]:
    """Append trades at the wall's pace; (symbol, end of the closed second) to when its closer was appended."""
    names = [f"S{number}" for number in range(100)]
    count = log.topics()[TRADES.name].partitions
    partitions = np.array([partition_of(name, count) for name in names])
    random = np.random.default_rng(7)
    closers: dict[tuple[str, int], int] = {}
    last = np.zeros(len(names), np.int64)
    rows = _RATE // 200
    began = perf_counter_ns()
    for tick in range(seconds * 200):
        wait_ns = began + tick * 5_000_000 - perf_counter_ns()
        if wait_ns > 0:
            sleep(wait_ns / 1e9)
        symbol = random.integers(0, len(names), rows)
        now = time_ns()
        records = [
            rows_record(
                TRADES, partition, _trades(names, symbol[partitions[symbol] == partition], now)
            )
            for partition in range(count)
        ]
        before = perf_counter_ns()
        log.append(records)
        second = now // 10**9
        for at in np.unique(symbol):
            if 0 < last[at] < second:
                closers[names[at], int(last[at]) + 1] = before
            last[at] = second
    return closers


def _trades(names: list[str], symbol: np.ndarray, now: int) -> pa.RecordBatch:
    count = len(symbol)
    times = pa.array(np.full(count, now)).view(TIMESTAMP)
    return TRADES.batch(
        {
            "symbol": pa.DictionaryArray.from_arrays(pa.array(symbol.astype(np.int32)), names),
            "venue": ["X"] * count,
            "ts_event": times,
            "ts_recv": times,
            "price": 50.0 + symbol,
            "size": np.full(count, 100.0),
            "updates_high_low": np.ones(count, bool),
            "updates_last": np.ones(count, bool),
            "updates_volume": np.ones(count, bool),
            "action": ["new"] * count,
        }
    )


class _Reader:
    """Tails a topic in a thread and notes when each bar of a second was first seen."""

    def __init__(self, log: Log, topic: object) -> None:
        self._log = log
        self._topic = topic
        self.name = topic.name
        self.seen: dict[tuple[str, int], int] = {}
        self._records: list[tuple[int, Record]] = []
        self._stop = Event()
        self._thread = Thread(target=self._read)
        self._thread.start()

    def end(self) -> None:
        """Stop reading."""
        self._stop.set()
        self._thread.join()
        for seen, record in self._records:
            self._note(decode_rows(self._topic, record), seen)

    def _read(self) -> None:
        count = self._log.topics()[self.name].partitions
        positions = {
            (self.name, partition): self._log.end(self.name, partition)
            for partition in range(count)
        }
        while not self._stop.is_set():
            if not self._log.wait(positions, 0.1):
                continue
            for where, offset in list(positions.items()):
                chunk = self._log.read(*where, offset)
                seen = perf_counter_ns()
                positions[where] = chunk.next_offset
                for record in chunk.records:
                    if is_rows(record):
                        # Decoded at the end: here it would hold up the thread that appends.
                        self._records.append((seen, record))

    def _note(self, batch: pa.RecordBatch, seen: int) -> None:
        intervals = batch.column("interval").cast("string").to_pylist()
        symbols = batch.column("symbol").cast("string").to_pylist()
        times = (batch.column("ts_event").cast("int64").to_numpy() // 10**9).tolist()
        for symbol, interval, time in zip(symbols, intervals, times, strict=True):
            if interval == "1s":
                self.seen.setdefault((symbol, time), seen)
