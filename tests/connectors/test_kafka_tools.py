"""Foreign producers and consumers on the platform's own topics: librdkafka, kcat, Java's console tools.

They write to inboxes and read derived topics; how far we have read is what their tools show as lag.
"""

import logging
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from shutil import which
from typing import Any

import orjson
import polars as pl
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer
from confluent_kafka.admin import AdminClient

from connectors import kafka_groups
from connectors.kafka_groups import GroupOffsets
from connectors.landings import CLICKHOUSE, Done, LandingRecorder, Span
from connectors.log import Log, Record, open_log
from connectors.scan import scan_rows
from connectors.topics import create_topics
from flows.bars import Bars, BarsParams
from flows.engines.local import run_until_end
from flows.intake import Intake
from infra.kafka.artifacts import BrokerError, java_command
from infra.kafka.broker import start_broker
from schemas.faults import DEAD_LETTER
from schemas.market import TRADES
from schemas.partition import partition_of
from schemas.topic import Topic
from tests.conftest import skip_or_fail

pytestmark = pytest.mark.kafka

PARTITIONS = 3
INBOX = TRADES.inbox_name
_DOCS = Path(__file__).resolve().parents[2] / "docs" / "kafka.md"
_GOOD: dict[str, Any] = {
    "symbol": "AIG",
    "venue": "N",
    "ts_event": "2024-05-01T12:00:00.123456789Z",
    "price": 61.5,
    "size": 100,
}


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """A broker whose topics are the registry's: the session's is shared by tests with names of their own."""
    try:
        with start_broker() as address:
            yield address
    except BrokerError as error:
        skip_or_fail("kafka", str(error))


@pytest.fixture(scope="module")
def log(broker: str) -> Iterator[Log]:
    with open_log(f"kafka://{broker}") as opened:
        create_topics(opened, PARTITIONS)
        yield opened


@pytest.fixture
def taken(log: Log) -> Callable[[], tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Runs intake; the rows of trades, and the dead letters, that came since the test began."""
    run_until_end(log, [Intake])
    starts = {
        (topic.name, partition): log.end(topic.name, partition)
        for topic in (TRADES, DEAD_LETTER)
        for partition in range(PARTITIONS)
    }

    def new(topic: Topic) -> list[dict[str, Any]]:
        return [
            row
            for partition in range(PARTITIONS)
            for _, batch in scan_rows(log, topic, partition, start=starts[topic.name, partition])
            for row in pl.DataFrame(batch).to_dicts()
        ]

    def run() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        run_until_end(log, [Intake])
        return new(TRADES), new(DEAD_LETTER)

    return run


def _value(**changed: Any) -> bytes:
    return orjson.dumps(_GOOD | changed)


def _produce(broker: str, values: Sequence[tuple[bytes | None, Any]]) -> None:
    producer = Producer({"bootstrap.servers": broker, "message.max.bytes": 64 << 20})
    for value, headers in values:
        producer.produce(INBOX, value, partition=1, headers=headers)
    assert producer.flush(60) == 0


def _tool(main: str, *arguments: str, given: bytes = b"") -> str:
    command = [*java_command(), "-XX:TieredStopAtLevel=1", main, *arguments]
    done = subprocess.run(command, input=given, capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(errors="replace")


def test_any_client_s_json_is_taken_whatever_its_partitioner_and_key(
    broker: str, taken: Callable[[], Any]
) -> None:
    symbols = [f"S{number}" for number in range(40)]
    producer = Producer({"bootstrap.servers": broker})
    for symbol in symbols:
        # librdkafka's own partitioner is another than Java's; the platform's is Java's.
        producer.produce(INBOX, _value(symbol=symbol), key=symbol[::-1])
    assert producer.flush(30) == 0
    good, dead = taken()
    assert dead == []
    assert sorted(row["symbol"] for row in good) == sorted(symbols)


def test_rows_are_keyed_anew_by_intake(broker: str, log: Log, taken: Callable[[], Any]) -> None:
    _produce(broker, [(_value(symbol=f"K{number}"), None) for number in range(30)])
    good, _ = taken()
    assert len(good) == 30
    for partition in range(PARTITIONS):
        found = {
            row["symbol"]
            for _, batch in scan_rows(log, TRADES, partition)
            for row in batch.select(["symbol"]).to_pylist()
        }
        assert all(partition_of(symbol, PARTITIONS) == partition for symbol in found)


def test_tombstones_odd_headers_and_giant_records_are_rows_or_dead_letters(
    broker: str, taken: Callable[[], Any]
) -> None:
    many = (
        b"["
        + b",".join(_value(symbol=f"G{at % 7}", trade_id=str(at)) for at in range(90_000))
        + b"]"
    )
    assert len(many) > 10_000_000
    garbage = b"\xfe" * 10_000_000
    _produce(
        broker,
        [
            (None, None),
            (b"", None),
            (_value(symbol="H1"), [("traceparent", b"00-ab"), ("", b""), ("empty", None)]),
            (
                _value(symbol="H2"),
                [("kind", b"rows"), ("schema", b"trades/1"), ("flow", b"bars/1")],
            ),
            (_value(symbol="H3"), [("content-type", b"\xff\xfe")] * 3),
            (many, [("content-type", b"application/json")]),
            (garbage, None),
        ],
    )
    good, dead = taken()
    symbols = [row["symbol"] for row in good]
    assert sorted(symbol for symbol in symbols if symbol[0] == "H") == ["H1", "H2", "H3"]
    assert sum(symbol[0] == "G" for symbol in symbols) == 90_000
    assert len(symbols) == 90_003
    assert sorted((letter["reason"], len(letter["payload"] or b"")) for letter in dead) == [
        ("not JSON: no UTF-8 at byte 0", 10_000_000),
        ("the record has no value", 0),
        ("the record holds no row", 0),
    ]


@pytest.mark.parametrize("packed", ["gzip", "lz4", "snappy", "zstd"])
def test_a_record_that_unpacked_no_record_of_ours_could_hold_does_not_stop_intake(
    broker: str, taken: Callable[[], Any], packed: str
) -> None:
    """The brokers bound what is packed. It was read, could not be committed, and so was read for ever.

    With zstd it was not even read: the client unpacks no more than it takes of an answer.
    """
    size = 70 << 20
    producer = Producer(
        {"bootstrap.servers": broker, "message.max.bytes": 100 << 20, "compression.type": packed}
    )
    producer.produce(INBOX, b"\xfe" * size, partition=1)
    assert producer.flush(60) == 0
    _produce(broker, [(_value(symbol="AFTER"), None)])
    good, dead = taken()
    assert [row["symbol"] for row in good] == ["AFTER"]
    assert [(letter["payload"], f"its {size} bytes" in letter["reason"]) for letter in dead] == [
        (None, True)
    ]


def test_kcat_feeds_an_inbox(broker: str, taken: Callable[[], Any]) -> None:
    if which("kcat") is None:
        skip_or_fail("kcat", "no `kcat` on PATH; on Debian: apt-get install kcat")
    lines = b"\n".join([_value(symbol="C1"), b"nonsense", _value(symbol="C2")]) + b"\n"
    subprocess.run(
        ["kcat", "-P", "-b", broker, "-t", INBOX, "-p", "2", "-H", "via=kcat", "-X", "acks=all"],
        input=lines,
        check=True,
        timeout=60,
    )
    good, dead = taken()
    assert sorted(row["symbol"] for row in good) == ["C1", "C2"]
    assert [letter["payload"] for letter in dead] == [b"nonsense"]


def test_java_s_console_producer_feeds_an_inbox(broker: str, taken: Callable[[], Any]) -> None:
    lines = b"".join(b"JAVA\t" + _value(symbol=f"J{at}") + b"\n" for at in range(5))
    _tool(
        "org.apache.kafka.tools.ConsoleProducer",
        *("--bootstrap-server", broker, "--topic", INBOX),
        *("--reader-property", "parse.key=true", "--compression-codec", "zstd"),
        given=lines,
    )
    good, dead = taken()
    assert dead == []
    assert sorted(row["symbol"] for row in good) == ["J0", "J1", "J2", "J3", "J4"]


def test_java_s_console_consumer_sees_committed_rows_only(
    broker: str, log: Log, taken: Callable[[], Any]
) -> None:
    _produce(broker, [(_value(symbol="V1"), None)])
    taken()
    partition = partition_of("V1", PARTITIONS)
    count = len(list(_records(log, TRADES.name, partition)))
    options = {
        "bootstrap.servers": broker,
        "transactional.id": "torn",
        "transaction.timeout.ms": 60_000,
        "log_level": 0,
    }
    torn = Producer(options)
    torn.init_transactions(30)
    torn.begin_transaction()
    torn.produce(TRADES.name, b"torn", partition=partition)
    torn.flush(30)
    try:
        shown = _tool(
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            *("--bootstrap-server", broker, "--topic", TRADES.name, "--partition", str(partition)),
            *(
                "--offset",
                "earliest",
                "--isolation-level",
                "read_committed",
                "--timeout-ms",
                "5000",
            ),
            *(
                "--formatter-property",
                "print.headers=true",
                "--formatter-property",
                "print.offset=true",
            ),
        )
    finally:
        torn.abort_transaction(30)
    assert "torn" not in shown
    # Values are bytes with line feeds of their own; each record's headers are there once.
    assert shown.count("schema:trades/1") == count
    assert "kind:rows" in shown


def _records(log: Log, topic: str, partition: int) -> Iterator[Record]:
    at = log.start(topic, partition)
    while at < log.end(topic, partition):
        chunk = log.read(topic, partition, at)
        yield from chunk.records
        at = chunk.next_offset


def test_a_foreign_consumer_reads_derived_rows_as_the_documentation_shows(
    broker: str, log: Log, taken: Callable[[], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    times = ["2024-05-01T12:00:00Z", "2024-05-01T12:05:00Z"]
    _produce(broker, [(_value(symbol="DOCS", ts_event=time), None) for time in times])
    taken()
    run_until_end(log, [Bars], {"bars": BarsParams(intervals=("1m",))})
    (program,) = re.findall("```python\n(.*?)```", _DOCS.read_text(), re.DOTALL)
    exec(compile(program, str(_DOCS), "exec"), {"ADDRESS": broker})
    assert "DOCS" in capsys.readouterr().out


def test_how_far_flows_have_read_is_lag_in_kafkas_tools(
    broker: str, log: Log, taken: Callable[[], Any]
) -> None:
    _produce(broker, [(_value(symbol=f"L{number}"), None) for number in range(10)])
    taken()
    run_until_end(log, [Bars], {"bars": BarsParams(intervals=("1m",))})
    none = {(TRADES.name, at): 0 for at in range(PARTITIONS)}
    assert _await(lambda: _lag(log, broker, "tapeflow.bars") == none)
    assert _await(lambda: _lag(log, broker, "tapeflow.intake")[INBOX, 1] == 0)
    _produce(broker, [(_value(symbol="L1"), None), (_value(symbol="L1"), None)])
    assert _lag(log, broker, "tapeflow.intake")[INBOX, 1] == 2
    shown = _tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        *("--bootstrap-server", broker, "--describe", "--group", "tapeflow.intake"),
    )
    (row,) = [line.split() for line in shown.splitlines() if line.split()[1:3] == [INBOX, "1"]]
    assert row[5] == "2"


def test_what_has_landed_is_lag_in_kafkas_tools(broker: str, log: Log) -> None:
    recorder = LandingRecorder(log)
    spans = [Span(0, 0, 3), Span(2, 0, 5)]
    intent = recorder.intent(CLICKHOUSE, "quotes", spans)
    recorder.record([], [intent])
    recorder.record([Done(intent, 1, 8)], [])
    recorder.close()
    assert _await(
        lambda: (
            _offsets(broker, "tapeflow.lander.clickhouse")
            == {
                ("quotes", 0): 3,
                ("quotes", 2): 5,
            }
        )
    )


def test_positions_that_cannot_be_shown_are_told_once_and_stop_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kafka_groups, "_REQUEST_S", 0.2)
    monkeypatch.setattr(kafka_groups, "_EVERY_S", 0.05)
    offsets = GroupOffsets("127.0.0.1:1")
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "connectors.kafka"):
        for number in range(20):
            offsets.note("tapeflow.bars", {("trades", 0): number})
            time.sleep(0.05)
        offsets.close()
    assert time.monotonic() - began < 5
    told = [line.message for line in caplog.records if "tapeflow.bars" in line.message]
    assert len(told) == 1


def test_only_the_newest_position_is_sent_at_most_once_a_second(broker: str, log: Log) -> None:
    offsets = GroupOffsets(broker)
    for number in range(1, 4):
        offsets.note("tapeflow.test", {(TRADES.name, 0): number})
    offsets.note("tapeflow.test", {(TRADES.name, 1): 1})
    offsets.close()
    assert _offsets(broker, "tapeflow.test") == {(TRADES.name, 0): 3, (TRADES.name, 1): 1}


def _offsets(address: str, group: str) -> dict[tuple[str, int], int]:
    admin = AdminClient({"bootstrap.servers": address})
    asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
    found = asked[group].result(timeout=30).topic_partitions
    return {(one.topic, one.partition): one.offset for one in found}


def _lag(log: Log, address: str, group: str) -> dict[tuple[str, int], int]:
    """Records that a group has still to read, as a monitor works it out."""
    return {at: log.end(*at) - offset for at, offset in _offsets(address, group).items()}


def _await(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
