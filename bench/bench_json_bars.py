"""1-minute bars from one-event JSON trades on real Kafka: ours beside Quix Streams and Flink SQL.

All read the same topic, which a plain producer wrote, on a broker of the same machine. Ours does more:
it validates each event, writes the valid trades to their topic, and commits exactly once.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import polars as pl
import pyarrow as pa
from confluent_kafka import Producer

from bench.bench_end_to_end import json_landed
from bench.bench_flows import market_trades
from bench.report import Result
from connectors.log import Log, NewRecord, TopicConfig, open_log
from connectors.scan import scan_rows
from connectors.topics import create_topics
from flows.bars import BarsParams
from flows.engines import bytewax
from infra.kafka.broker import start_broker
from schemas.bars import BARS
from schemas.market import TRADES

_ROOT = Path(__file__).resolve().parents[1]
_FLINK_HOME = _ROOT / ".venv-flink"
_FLINK = "apache-flink==2.3.0"
_FLINK_JAR = "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2"
_PARTITIONS = 2
_QUICK_ROWS = 100_000
# Quix handles some ten thousand messages a second: the head of the topic is enough to tell.
_QUIX_ROWS = 150_000
_PARAMS = {"bars": BarsParams(intervals=("1m",))}


def run(quick: bool) -> list[Result]:
    """Ours with one and two workers, each beside both peers."""
    trades, source = market_trades(_QUICK_ROWS if quick else None)
    _warm_up(trades.slice(0, 2_000))
    rates = {}
    for workers in (1, 2):
        with start_broker(lasting=True) as address:
            _produce(address, trades)
            rates[workers] = trades.num_rows / _ours(address, trades, workers)
            if workers == 1:
                quix = _quix(address, min(trades.num_rows, _QUIX_ROWS))
                # Flink is measured in full runs only: it takes minutes to install.
                flink = None if quick else trades.num_rows / _flink(address)
    with start_broker(lasting=True) as address:
        landed = json_landed(
            trades.num_rows, f"kafka://{address}", lambda: _produce(address, trades)
        )
    note = f"{trades.num_rows:,} trades, {source}; broker on the same cores"
    results = [landed]
    for workers, rate in rates.items():
        name = f"JSON on Kafka to 1m bars, {workers} worker" + "s" * (workers > 1)
        beside = {"Quix Streams": (quix, ">= 5 x"), "Flink SQL, 2 tasks": (flink, "aim >= 1 x")}
        results += [
            Result(
                name=name,
                value=rate,
                unit="msgs/s",
                wanted=wanted,
                baseline=baseline,
                baseline_name=peer,
                note=note,
            )
            for peer, (baseline, wanted) in beside.items()
            if baseline is not None
        ]
    return results


def json_events(trades: pa.RecordBatch) -> tuple[list[str], list[str]]:
    """Symbol and one-event JSON of each trade."""
    frame = pl.DataFrame(trades).select(
        pl.col("symbol", "venue").cast(pl.String),
        pl.col("ts_event").cast(pl.Int64),
        pl.col("price", "size"),
    )
    events = frame.select(pl.struct(pl.all()).struct.json_encode()).to_series()
    return frame["symbol"].to_list(), events.to_list()


def _produce(address: str, trades: pa.RecordBatch) -> None:
    with open_log(f"kafka://{address}") as log:
        create_topics(log, _PARTITIONS)
        for name in ("bars.quix", "bars.flink"):
            log.create_topic(TopicConfig(name=name, partitions=_PARTITIONS))
    producer = Producer(
        {
            "bootstrap.servers": address,
            "linger.ms": 20,
            "queue.buffering.max.messages": trades.num_rows + 1,
            "enable.idempotence": True,
        }
    )
    for symbol, event in zip(*json_events(trades), strict=True):
        producer.produce(TRADES.inbox_name, event, symbol)
        producer.poll(0)
    producer.flush()


def _warm_up(trades: pa.RecordBatch) -> None:
    """Compile the kernels: the others' compilers are not in their times either."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/log.db"
        with open_log(url) as log:
            create_topics(log, 1)
            log.append(
                [
                    NewRecord(TRADES.inbox_name, 0, event.encode())
                    for event in json_events(trades)[1]
                ]
            )
        bytewax.run(url, ["intake", "bars"], _PARAMS, until_end=True)


def _ours(address: str, trades: pa.RecordBatch, workers: int) -> float:
    url = f"kafka://{address}"
    begun = perf_counter()
    bytewax.run(url, ["intake", "bars"], _PARAMS, workers=workers, until_end=True)
    took = perf_counter() - begun
    with open_log(url) as log:
        _check(log, trades)
    return took


def _check(log: Log, trades: pa.RecordBatch) -> None:
    """Every bar but the last of each symbol, which no later trade closes, equals Polars' own."""
    key = ["symbol", "ts_event"]
    ours = pl.concat(
        pl.DataFrame(batch).with_columns(pl.col("symbol").cast(pl.String))
        for partition in range(_PARTITIONS)
        for _, batch in scan_rows(log, BARS, partition)
    ).sort(key)
    ends = pl.col("ts_event").dt.truncate("1m").dt.offset_by("1m")
    wanted = (
        pl.DataFrame(trades)
        .with_columns(pl.col("symbol").cast(pl.String), ends)
        .group_by(key, maintain_order=True)
        .agg(
            open=pl.col("price").first(),
            high=pl.col("price").max(),
            low=pl.col("price").min(),
            close=pl.col("price").last(),
            volume=pl.col("size").sum(),
        )
        .filter(pl.col("ts_event") < pl.col("ts_event").max().over("symbol"))
        .sort(key)
    )
    columns = [*key, "open", "high", "low", "close", "volume"]
    if not ours.select(columns).equals(wanted.select(columns)):
        raise SystemExit(
            f"bench: {ours.height} bars of ours differ from {wanted.height} of Polars:\n"
            f"{ours.select(columns).head()}\n{wanted.select(columns).head()}"
        )


def _quix(address: str, count: int) -> float:
    command = [sys.executable, "-W", "ignore", "-m", "bench.json_bars_quix", address, str(count)]
    told = _told(command)
    return float(told["messages"]) / float(told["seconds"])


def _flink(address: str) -> float:
    python, jar = _flink_home()
    return float(_told([str(python), "bench/json_bars_flink.py", address, str(jar)])["seconds"])


def _flink_home() -> tuple[Path, Path]:
    """Flink's Python and connector, installed where missing: it pins an old pyarrow and pandas."""
    python = _FLINK_HOME / "bin" / "python"
    if not (_FLINK_HOME / "bin" / "pyflink-shell.sh").is_file():
        subprocess.run([sys.executable, "-m", "venv", str(_FLINK_HOME)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", _FLINK], check=True)
    group, name, version = _FLINK_JAR.split(":")
    jar = _FLINK_HOME / "jars" / f"{name}-{version}.jar"
    if not jar.is_file():
        subprocess.run(
            [
                *("mvn", "-q", "-B", "dependency:copy"),
                *(f"-Dartifact={group}:{name}:{version}", f"-DoutputDirectory={jar.parent}"),
            ],
            check=True,
        )
    return python, jar


def _told(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {' '.join(command)} failed:\n{done.stderr[-3000:]}")
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told
