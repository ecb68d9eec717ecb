"""What the Kafka log carries on a broker of the same machine: rates, transactions, latency."""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from uuid import uuid4

import numpy as np
import pyarrow as pa
from confluent_kafka import Consumer, Producer, TopicPartition

from bench.bench_end_to_end import whole_way
from bench.exactly_once import cost, log_of
from bench.report import Result, seconds
from connectors.kafka_options import transaction_options
from connectors.log import Log, NewRecord, TopicConfig, open_log
from infra.kafka.broker import start_broker
from schemas.codec import encode

_SEED = 20240517
_ROWS = 5_000
_JSON = b'{"symbol":"AIG","ts_event":1190000000%09d,"venue":"N","price":67.25,"size":300,"trade_id":"%d"}'


def run(quick: bool = False) -> list[Result]:  # noqa: FBT002 - every bench has this form
    """Measure on a broker started for it."""
    with start_broker(lasting=True) as address, open_log(f"kafka://{address}") as log:
        results = [
            *_arrow(log, records=100 if quick else 600),
            *_json(log, address, messages=40_000 if quick else 400_000),
            *_transactions(log, address, commits=50 if quick else 300),
            *_latency(log, rounds=20 if quick else 200),
        ]
    results += _cost(400_000 if quick else 6_000_000, 1 if quick else 3)
    with start_broker(lasting=True) as address:
        return [
            *results,
            *whole_way(
                400_000 if quick else 10_000_000,
                log_url=f"kafka://{address}",
                name="whole way on Kafka, everything landed",
                wanted="≥ 300,000",
            ),
        ]


def _arrow(log: Log, records: int) -> list[Result]:
    topic = _topic(log)
    value = encode(_batch())
    batch = [NewRecord(topic, 0, value, headers=(("kind", b"rows"),))] * 50
    megabytes = records * len(value) / 1e6
    appended = seconds(lambda: [log.append(batch) for _ in range(records // 50)], rounds=3)
    # Each of the three rounds appended them all; a read passes over all three.
    read = seconds(lambda: _read_all(log, topic), rounds=3) / 3
    note = f"{_ROWS} rows, {len(value) / 1e3:.0f} kB a record"
    return [
        _result("kafka append, Arrow records", records * _ROWS / appended, "rows/s", note),
        _result("kafka append, Arrow bytes", megabytes / appended, "MB/s", note),
        _result("kafka read, Arrow records", records * _ROWS / read, "rows/s", note),
        _result("kafka read, Arrow bytes", megabytes / read, "MB/s", note),
    ]


def _json(log: Log, address: str, messages: int) -> list[Result]:
    topic = _topic(log)
    values = [_JSON % (number, number) for number in range(messages)]
    records = [NewRecord(topic, 0, value) for value in values]
    appended = seconds(
        lambda: [log.append(records[at : at + 20_000]) for at in range(0, messages, 20_000)],
        rounds=1,
    )
    _read_all(log, topic)
    read = seconds(lambda: _read_all(log, topic, max_bytes=2 << 20), rounds=3)
    plain_read = seconds(lambda: _plain_consume(address, topic, messages), rounds=3)
    other = _topic(log)
    plain_appended = seconds(lambda: _plain_produce(address, other, values), rounds=1)
    note = "one-event JSON, 100 bytes, one core each for broker and client at best"
    return [
        Result(
            name="kafka append, small JSON",
            value=messages / appended,
            unit="msgs/s",
            baseline=messages / plain_appended,
            baseline_name="confluent-kafka alone",
            note=note,
        ),
        Result(
            name="kafka read, small JSON to records",
            value=messages / read,
            unit="msgs/s",
            wanted=">= 400 k",
            baseline=messages / plain_read,
            baseline_name="confluent-kafka alone, messages",
            note=note,
        ),
    ]


def _transactions(log: Log, address: str, commits: int) -> list[Result]:
    value = encode(_batch())
    results = []
    for count in (1, 10):
        topic = _topic(log)
        times = []
        with log.writer(f"bench-{uuid4().hex}") as writer:
            for number in range(1, commits + 1):
                begun = perf_counter()
                writer.commit([NewRecord(topic, 0, value)] * count, number)
                times.append(perf_counter() - begun)
        plain = _plain_transactions(address, topic, [value] * count, commits)
        results.append(
            Result(
                name=f"kafka commits of {count} records",
                value=commits / sum(times),
                unit="commits/s",
                baseline=commits / sum(plain),
                baseline_name="confluent-kafka alone, as many records and one in another topic",
                note=f"p50 {median(times) * 1e3:.1f} ms a commit; {_ROWS} rows a record",
            )
        )
    return results


def _plain_transactions(address: str, topic: str, values: list[bytes], commits: int) -> list[float]:
    """What a commit costs that also writes one small record elsewhere, as ours does its number."""
    name = f"plain-{uuid4().hex}"
    producer = Producer(transaction_options(address, name))
    producer.init_transactions(30)
    times = []
    for _ in range(commits):
        begun = perf_counter()
        producer.begin_transaction()
        for value in values:
            producer.produce(topic, value, partition=0)
        producer.produce(topic, b"number", partition=1)
        producer.commit_transaction(30)
        times.append(perf_counter() - begun)
    return times


def _cost(trades: int, rounds: int) -> list[Result]:
    """Each run on a broker of its own, whose transactions were warmed up."""

    @contextmanager
    def opened(promised: bool) -> Iterator[Log]:
        with start_broker() as address:
            with open_log(f"kafka://{address}") as log, log.writer("warming-up") as writer:
                topic = _topic(log)
                for number in range(1, 100):
                    writer.commit([NewRecord(topic, 0, b"x")], number)
            with log_of(f"kafka://{address}", promised=promised) as log:
                yield log

    return cost(opened, trades, rounds, "kafka")


def _latency(log: Log, rounds: int) -> list[Result]:
    topic = _topic(log)
    position, times = 0, []
    for _ in range(rounds):
        begun = perf_counter()
        log.append([NewRecord(topic, 0, b"x")])
        while not (chunk := log.read(topic, 0, position)).records:
            log.wait({(topic, 0): position, (topic, 1): 0}, 1)
        times.append(perf_counter() - begun)
        position = chunk.next_offset
    p99_ms = float(np.quantile(times, 0.99)) * 1e3
    return [
        Result(
            name="kafka append to read, one record",
            value=median(times) * 1e3,
            unit="ms",
            wanted="< 10",
            note=f"p99 {p99_ms:.1f} ms",
        )
    ]


def _read_all(log: Log, topic: str, max_bytes: int = 8 << 20) -> int:
    at, end, count = 0, log.end(topic, 0), 0
    while at < end:
        chunk = log.read(topic, 0, at, max_bytes=max_bytes)
        at, count = chunk.next_offset, count + len(chunk.records)
    return count


def _plain_consume(address: str, topic: str, messages: int) -> None:
    consumer = Consumer(
        {"bootstrap.servers": address, "group.id": "bench", "enable.auto.commit": False}
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    count = 0
    while count < messages:
        count += len(consumer.consume(20_000, 0.05))
    consumer.close()


def _plain_produce(address: str, topic: str, values: list[bytes]) -> None:
    producer = Producer(
        {
            "bootstrap.servers": address,
            "enable.idempotence": True,
            "linger.ms": 5,
            "queue.buffering.max.messages": len(values) + 1,
        }
    )
    for value in values:
        producer.produce(topic, value, partition=0)
    producer.flush()


def _topic(log: Log) -> str:
    name = f"bench-{uuid4().hex}"
    log.create_topic(TopicConfig(name=name, partitions=2))
    return name


def _batch() -> pa.RecordBatch:
    random = np.random.default_rng(_SEED)
    return pa.RecordBatch.from_pydict(
        {
            "ts_event": np.cumsum(random.integers(1, 10**6, _ROWS)),
            "price": np.round(100 + np.cumsum(random.normal(0, 0.01, _ROWS)), 2),
            "size": random.integers(1, 20, _ROWS) * 100.0,
            "symbol": pa.array(random.choice(["AIG", "BAC", "IBM"], _ROWS)).dictionary_encode(),
        }
    )


def _result(name: str, value: float, unit: str, note: str) -> Result:
    return Result(name=name, value=value, unit=unit, note=note)
