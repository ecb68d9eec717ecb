"""Landing: inserts into the embedded store, both sinks from the log, small queries, append to readable."""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
from clickhouse_connect.driver.client import Client

from bench.own_store import own_store
from bench.report import Result
from connectors.clickhouse import connect, create_tables, insert
from connectors.landed import Decoded, landed_table
from connectors.lander import Lander
from connectors.log import Log, Record, open_log
from connectors.records import Partitioner, rows_record
from connectors.topics import create_topics
from schemas.market import TRADES

_START_NS = 1_709_303_400_000_000_000  # 2024-03-01T14:30Z
_RECORD_ROWS = 5_000
_BLOCK_ROWS = 400_000
_PACE = 20_000


def run(quick: bool) -> list[Result]:
    """All figures of landing."""
    rows = 1_000_000 if quick else 4_000_000
    return [
        *_inserts(3 if quick else 7),
        *_both_sinks(rows, rounds=1 if quick else 3),
        *_latency(3.0 if quick else 15.0),
    ]


def trades(rows: int, first: int) -> pa.RecordBatch:
    """Seeded trades of 500 symbols, 10 µs apart, with the venue's trade names."""
    rng = np.random.default_rng(first)

    def one_of(values: list[str]) -> pa.Array:
        codes = pa.array(rng.integers(0, len(values), rows).astype(np.int32))
        return pa.DictionaryArray.from_arrays(codes, pa.array(values))

    times = _START_NS + (first + np.arange(rows)) * 10_000
    return TRADES.batch(
        {
            "symbol": one_of([f"S{i}" for i in range(500)]),
            "venue": one_of([f"V{i}" for i in range(10)]),
            "ts_event": times,
            "ts_recv": times,
            "price": np.round(rng.uniform(10, 100, rows), 2),
            "size": rng.integers(1, 1_000, rows).astype(float),
            "side": one_of(["buy", "sell"]),
            "conditions": one_of(["@", "F"]),
            "updates_high_low": np.ones(rows, bool),
            "updates_last": np.ones(rows, bool),
            "updates_volume": np.ones(rows, bool),
            "trade_id": pa.array([str(first + i) for i in range(rows)]),
            "action": one_of(["new"]),
        }
    )


@contextmanager
def _platform() -> Iterator[tuple[Log, str, Path]]:
    """A log, a store in a process of its own, and a lake."""
    with (
        tempfile.TemporaryDirectory() as folder,
        own_store(Path(folder)) as store,
        open_log(f"sqlite:///{folder}/log.db") as log,
    ):
        create_topics(log, 2)
        yield log, store, Path(folder) / "lake"


def _inserts(rounds: int) -> list[Result]:
    """Rows a second into one table: landed rows as we send them, and as plain strings."""
    record = Record("trades", 0, 0, _START_NS, None, (), None)
    table = landed_table(TRADES, [Decoded(record, trades(_BLOCK_ROWS, 0))])
    plain = table.cast(
        pa.schema(
            [
                f.with_type(pa.string()) if pa.types.is_dictionary(f.type) else f
                for f in table.schema
            ]
        )
    )
    with _platform() as (_, url, _), connect(url) as client:
        create_tables(client)

        def ours(number: int) -> None:
            insert(client, TRADES, table, f"ours{number}")

        def arrow(number: int) -> None:
            client.insert_arrow(
                "trades", plain, settings={"insert_deduplication_token": f"plain{number}"}
            )

        speeds = {}
        for name, work in (("ours", ours), ("plain", arrow)):
            seconds = []
            for number in range(rounds):
                begun = time.perf_counter()
                work(number)
                seconds.append(time.perf_counter() - begun)
            speeds[name] = _BLOCK_ROWS / median(seconds)
        query_s = median(_small_queries(client, 100))
    return [
        Result(
            name="landing.insert",
            value=speeds["ours"],
            unit="trades/s",
            wanted="2 M",
            baseline=speeds["plain"],
            baseline_name="insert_arrow, plain strings",
        ),
        Result(name="landing.small_query", value=query_s * 1e3, unit="ms p50"),
    ]


def _small_queries(client: Client, times: int) -> list[float]:
    seconds = []
    for number in range(times):
        begun = time.perf_counter()
        client.query(
            "SELECT max(price), count() FROM trades WHERE symbol = {symbol:String}",
            parameters={"symbol": f"S{number}"},
        )
        seconds.append(time.perf_counter() - begun)
    return seconds


def _both_sinks(rows: int, rounds: int) -> list[Result]:
    """The lander alone, from the log into ClickHouse and Parquet, everything flushed."""
    speeds, baselines = [], []
    for _ in range(rounds):
        with _platform() as (log, url, lake):
            partitioner = Partitioner(2)
            for first in range(0, rows, _RECORD_ROWS):
                batch = trades(_RECORD_ROWS, first)
                log.append(
                    [
                        rows_record(TRADES, partition, part)
                        for partition, part in partitioner.split(batch.column("symbol"), batch)
                    ]
                )
            with Lander(log, url, lake) as lander:
                begun = time.perf_counter()
                lander.run_until_end()
                speeds.append(rows / (time.perf_counter() - begun))
            baselines.append(_plain_loop(rows))
    return [
        Result(
            name="landing.both_sinks",
            value=median(speeds),
            unit="trades/s",
            wanted="1 M",
            baseline=median(baselines),
            baseline_name="a loop of insert_arrow alone, batches in memory, no lake",
        )
    ]


def _plain_loop(rows: int) -> float:
    batches = [
        pa.table(trades(100_000, first)) for first in range(0, min(rows, 1_000_000), 100_000)
    ]
    with _platform() as (_, url, _), connect(url) as client:
        create_tables(client)
        begun = time.perf_counter()
        for batch in batches:
            client.insert_arrow("trades", batch)
        seconds = time.perf_counter() - begun
    return float(sum(batch.num_rows for batch in batches) / seconds)


def _latency(seconds: float) -> list[Result]:
    """20 k rows/s in records of 200, from their append until ClickHouse has them."""
    with _platform() as (log, url, lake), Lander(log, url, lake) as lander:
        stop = threading.Event()
        thread = threading.Thread(target=lander.run_forever, args=(stop,))
        thread.start()
        rows, partitioner = 200, Partitioner(2)
        batches = [trades(rows, first * rows) for first in range(50)]
        begun = time.perf_counter()
        for number in range(int(seconds * _PACE / rows)):
            batch = batches[number % len(batches)]
            log.append(
                [
                    rows_record(TRADES, partition, part)
                    for partition, part in partitioner.split(batch.column("symbol"), batch)
                ]
            )
            time.sleep(max(0.0, begun + (number + 1) * rows / _PACE - time.perf_counter()))
        stop.set()
        thread.join()
        found = lander.latencies()
    assert found.p50_ms is not None
    assert found.p99_ms is not None
    return [
        Result(name="landing.latency_p50", value=found.p50_ms, unit="ms", wanted="< 50"),
        Result(name="landing.latency_p99", value=found.p99_ms, unit="ms", wanted="< 250"),
    ]
