"""What only the Kafka log has: other programs on its topics, transactions, and its own limits."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which
from uuid import uuid4

import orjson
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka_options import MAX_RECORD_BYTES
from connectors.kafka_writer import WRITERS_TOPIC
from connectors.log import (
    FencedError,
    Log,
    LogError,
    NewRecord,
    Record,
    TopicConfig,
    TruncatedError,
    open_log,
)
from schemas.partition import murmur2, partition_of
from tests.conftest import skip_or_fail

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parents[2]

# org.apache.kafka.common.utils.UtilsTest.testMurmur2, Apache Kafka 4.x (Java ints are signed).
JAVA_VECTORS = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}

# A process that has sent the records of a commit, has not ended it, and waits to be killed.
MID_COMMIT = """
import sys, time
from connectors.kafka_transaction import TransactionSession
from connectors.log import NewRecord, open_log

def hang(self, offsets):
    print("sent", flush=True)
    time.sleep(600)

url, topic, name = sys.argv[1:]
with open_log(url) as log:
    writer = log.writer(name)
    writer.commit([NewRecord(topic, 0, b"whole")], 1)
    TransactionSession._end = hang
    writer.commit([NewRecord(topic, 0, b"torn"), NewRecord(topic, 1, b"torn")], 2)
"""


@pytest.fixture
def log(kafka_broker: str) -> Iterator[Log]:
    with open_log(f"kafka://{kafka_broker}") as opened:
        yield opened


@pytest.fixture
def topic(log: Log) -> str:
    name = f"test-{uuid4().hex}"
    log.create_topic(TopicConfig(name=name, partitions=2))
    return name


def read_all(log: Log, topic: str, partition: int) -> list[Record]:
    at, records = log.start(topic, partition), []
    while at < log.end(topic, partition):
        chunk = log.read(topic, partition, at)
        records += chunk.records
        at = chunk.next_offset
    return records


def values(log: Log, topic: str, partition: int) -> list[bytes | None]:
    return [record.value for record in read_all(log, topic, partition)]


@pytest.mark.parametrize("key", JAVA_VECTORS)
def test_murmur2_gives_the_vectors_of_kafkas_own_test(key: str) -> None:
    assert murmur2(key.encode()) == JAVA_VECTORS[key] & 0xFFFFFFFF


def test_keys_land_where_a_murmur2_producer_puts_them(kafka_broker: str, log: Log) -> None:
    name = f"test-{uuid4().hex}"
    log.create_topic(TopicConfig(name=name, partitions=7))
    producer = Producer({"bootstrap.servers": kafka_broker, "partitioner": "murmur2"})
    keys = [*JAVA_VECTORS, "AIG", "BRK.B", "Größe", *(f"SYM{number}" for number in range(100))]
    for key in keys:
        producer.produce(name, key=key.encode(), value=b"")
    assert producer.flush(30) == 0
    found = {
        (record.key or b"").decode(): partition
        for partition in range(7)
        for record in read_all(log, name, partition)
    }
    assert found == {key: partition_of(key, 7) for key in keys}


def test_one_event_json_of_a_plain_producer_is_read_back(kafka_broker: str, log: Log) -> None:
    inbox = f"trades.in.{uuid4().hex}"
    log.create_topic(TopicConfig(name=inbox, partitions=3))
    events = [{"symbol": f"S{number % 17}", "price": number / 8} for number in range(30_000)]
    producer = Producer({"bootstrap.servers": kafka_broker, "queue.buffering.max.messages": 50_000})
    for event in events:
        producer.produce(inbox, key=event["symbol"], value=orjson.dumps(event))
    assert producer.flush(30) == 0
    by_key: dict[bytes, list[dict[str, object]]] = {}
    for partition in range(3):
        for record in read_all(log, inbox, partition):
            by_key.setdefault(record.key or b"", []).append(orjson.loads(record.value or b""))
    for key, found in by_key.items():
        assert found == [event for event in events if event["symbol"] == key.decode()]
    assert sum(map(len, by_key.values())) == len(events)


def test_kcat_reads_values_keys_and_headers(kafka_broker: str, log: Log, topic: str) -> None:
    if which("kcat") is None:
        skip_or_fail("kcat", "no `kcat` on PATH; on Debian: apt-get install kcat")
    log.append([NewRecord(topic, 1, b"plain", key=b"k", headers=(("kind", b"rows"),))])
    with log.writer(f"w-{topic}") as writer:
        writer.commit([NewRecord(topic, 1, b"committed", key=b"k2")], 1)
    command = ["kcat", "-C", "-b", kafka_broker, "-t", topic, "-p", "1", "-e", "-q"]
    shown = subprocess.run(
        [*command, "-f", r"%o %k %s %h\n"], check=True, capture_output=True, text=True, timeout=60
    )
    assert shown.stdout.splitlines() == ["0 k plain kind=rows", "1 k2 committed "]


def test_a_header_whose_name_is_no_text_costs_its_record_the_headers_and_nobody_else(
    kafka_broker: str, log: Log, topic: str
) -> None:
    """Kafka takes any bytes there; the client raises SystemError, and the inbox could not be read on."""
    if which("kcat") is None:
        skip_or_fail("kcat", "no `kcat` on PATH; on Debian: apt-get install kcat")
    for value, header in (
        (b"a", b"ok=1"),
        (b"b", b"\xff\xfe=2"),
        (b"c", b"\xff=3"),
        (b"d", b"ok=4"),
    ):
        command = ["kcat", "-P", "-b", kafka_broker, "-t", topic, "-p", "0", "-H", header]
        subprocess.run(command, input=value, check=True, timeout=60)
    records = log.read(topic, 0, 0).records
    assert [(record.value, record.headers) for record in records] == [
        (b"a", (("ok", b"1"),)),
        (b"b", ()),
        (b"c", ()),
        (b"d", (("ok", b"4"),)),
    ]


def test_a_java_consumer_reads_what_was_committed(kafka_broker: str, log: Log, topic: str) -> None:
    from infra.kafka.artifacts import java, libraries  # noqa: PLC0415 - the fixture has skipped

    with log.writer(f"w-{topic}") as writer:
        writer.commit([NewRecord(topic, 0, b"one"), NewRecord(topic, 0, b"two")], 1)
    shown = subprocess.run(
        [
            *(java(), "-XX:TieredStopAtLevel=1", "-cp", f"{libraries()}/*"),
            *("org.apache.kafka.tools.consumer.ConsoleConsumer", "--topic", topic),
            *("--bootstrap-server", kafka_broker, "--from-beginning", "--max-messages", "2"),
            *("--isolation-level", "read_committed", "--timeout-ms", "30000"),
        ],
        check=True,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert shown.stdout.splitlines() == ["one", "two"]


def test_a_writer_killed_inside_a_commit_leaves_nothing(
    kafka_broker: str, log: Log, topic: str
) -> None:
    name = f"w-{topic}"
    kill_in_a_commit(log, topic, name, timeout_ms=20_000)
    # The torn records are in the broker's files, and hidden.
    assert _high_watermark(kafka_broker, topic, 1) == 1
    assert values(log, topic, 0) == [b"whole"]
    with log.writer(name) as writer:
        assert writer.number == 1
        writer.commit([NewRecord(topic, 0, b"next"), NewRecord(topic, 1, b"next")], 2)
    assert values(log, topic, 0) == [b"whole", b"next"]
    assert values(log, topic, 1) == [b"next"]
    last = log.last(topic, 1)
    assert last is not None
    assert last.value == b"next"


def test_an_open_transaction_of_another_writer_does_not_hide_a_writers_number(
    kafka_broker: str, log: Log, topic: str
) -> None:
    """The other one's first record stands before our commits in the topic of commit numbers."""
    ours, other = names_of_one_partition(topic)
    with log.writer(ours) as writer:
        kill_in_a_commit(log, topic, other, timeout_ms=3000)
        writer.commit([], 1)
        writer.commit([], 2)
    with log.writer(ours) as again:
        assert again.number == 2


def test_a_writer_of_which_nothing_is_hidden_does_not_wait_for_anothers_open_transaction(
    log: Log, topic: str
) -> None:
    """Of shards that were killed together, the first to be opened waited for the others' time to be over."""
    ours, other = names_of_one_partition(topic)
    with log.writer(ours) as writer:
        writer.commit([], 1)
    kill_in_a_commit(log, topic, other, timeout_ms=60_000)
    with log.writer(ours) as again:
        assert again.number == 1
        # It is open still: its record is not seen, and neither is what is appended behind it.
        log.append([NewRecord(topic, 1, b"behind")])
        assert log.end(topic, 1) == 0
    log.writer(other).close()
    assert values(log, topic, 1) == [b"behind"]


def names_of_one_partition(topic: str) -> tuple[str, str]:
    """Two writers' names whose commit numbers stand in the same partition."""
    ours, *names = (f"w{number}-{topic}" for number in range(64))
    return ours, next(name for name in names if partition_of(name, 8) == partition_of(ours, 8))


def kill_in_a_commit(log: Log, topic: str, name: str, *, timeout_ms: int) -> None:
    """Leave a transaction of a writer open, for a time."""
    program = f"import connectors.kafka_options as o; o.TRANSACTION_TIMEOUT_MS = {timeout_ms}\n"
    with subprocess.Popen(
        [sys.executable, "-c", program + MID_COMMIT, log.url, topic, name],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "sent\n"
        process.kill()
        assert process.wait(30) == -signal.SIGKILL


def test_a_fenced_writer_appends_nothing_and_stays_fenced(log: Log, topic: str) -> None:
    with log.writer(f"w-{topic}") as old, log.writer(f"w-{topic}") as new:
        for number in (1, 2):
            with pytest.raises(FencedError, match=f"w-{topic}"):
                old.commit([NewRecord(topic, 0, b"old")], number)
        new.commit([NewRecord(topic, 0, b"new")], 1)
    assert values(log, topic, 0) == [b"new"]


def test_a_commit_that_cannot_be_sent_is_undone_and_can_be_made_again(log: Log, topic: str) -> None:
    with log.writer(f"w-{topic}") as writer:
        too_large = NewRecord(topic, 1, bytes(MAX_RECORD_BYTES + 1))
        with pytest.raises(LogError, match="MSG_SIZE_TOO_LARGE"):
            writer.commit([NewRecord(topic, 0, b"half"), too_large], 1)
        assert writer.number == 0
        assert writer.commit([NewRecord(topic, 0, b"whole")], 1)
    assert values(log, topic, 0) == [b"whole"]


def test_a_closed_writer_says_so(log: Log, topic: str) -> None:
    writer = log.writer(f"w-{topic}")
    writer.close()
    with pytest.raises(LogError, match="closed"):
        writer.commit([], 1)


def test_records_of_many_megabytes_pass(log: Log, topic: str) -> None:
    large = bytes(range(256)) * (40 << 12)
    log.append([NewRecord(topic, 0, large), NewRecord(topic, 0, b"small")])
    assert values(log, topic, 0) == [large, b"small"]


def test_append_times_are_the_brokers(kafka_broker: str, log: Log, topic: str) -> None:
    producer = Producer({"bootstrap.servers": kafka_broker})
    producer.produce(topic, b"dated by its producer", partition=0, timestamp=1_000)
    assert producer.flush(30) == 0
    (record,) = read_all(log, topic, 0)
    assert abs(record.append_time_ns - time.time_ns()) < 60 * 10**9


def test_a_topic_that_another_made_is_refused_where_rows_would_be_lost(
    kafka_broker: str, log: Log
) -> None:
    """A producer's first record makes one, where brokers allow that: rows go after a week, with its own times."""
    name = f"test-{uuid4().hex}"
    admin = AdminClient({"bootstrap.servers": kafka_broker})
    theirs = {"message.timestamp.type": "CreateTime", "retention.ms": "604800000"}
    new = NewTopic(name, num_partitions=3, config=theirs)
    admin.create_topics([new])[name].result(timeout=30)
    with pytest.raises(
        LogError, match=r"message\.timestamp\.type is CreateTime, retention\.ms is .*--add-config"
    ):
        log.create_topic(TopicConfig(name=name, partitions=3))
    assert log.topics()[name].partitions == 3


def test_the_writers_own_bookkeeping_is_not_listed(log: Log, topic: str) -> None:
    with log.writer(f"w-{topic}") as writer:
        writer.commit([], 1)
    names = list(log.topics())
    assert topic in names
    assert WRITERS_TOPIC not in names
    assert not [name for name in names if name.startswith("__")]


def test_a_reader_at_its_own_pace_does_not_disturb_another(log: Log, topic: str) -> None:
    log.append([NewRecord(topic, 0, b"%d" % number) for number in range(5_000)])

    def read_slices(max_bytes: int) -> list[bytes | None]:
        at, found = 0, []
        while at < 5_000:
            chunk = log.read(topic, 0, at, max_bytes=max_bytes)
            found += [record.value for record in chunk.records]
            at = chunk.next_offset
        return found

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(read_slices, [100, 1_000, 3_000, 1 << 20]))
    assert results == [[b"%d" % number for number in range(5_000)]] * 4


def test_wait_sees_a_record_within_ten_milliseconds(log: Log, topic: str) -> None:
    delays = []
    with ThreadPoolExecutor(1) as pool:
        for number in range(20):
            positions = {(topic, p): log.end(topic, p) for p in (0, 1)}
            waiting = pool.submit(_time_of_wait, log, positions)
            time.sleep(0.05)
            log.append([NewRecord(topic, number % 2, b"x")])
            acknowledged = time.perf_counter()
            delays.append(waiting.result() - acknowledged)
    # The median: single scheduling delays of a busy machine are not the log's.
    assert sorted(delays)[10] < 0.010


def test_a_position_that_is_trimmed_while_it_is_held_is_an_error(log: Log, topic: str) -> None:
    log.append([NewRecord(topic, 0, b"%d" % number) for number in range(10)])
    one = log.read(topic, 0, 0, max_bytes=1)
    log.trim(topic, 0, 8)
    with pytest.raises(TruncatedError, match="below its start"):
        log.read(topic, 0, one.next_offset)


def test_no_broker_is_a_clear_error() -> None:
    with pytest.raises(LogError, match=r"127\.0\.0\.1:1 .*make kafka"):
        open_log("kafka://127.0.0.1:1")


@pytest.mark.parametrize("url", ["kafka://", "kafka://host", "kafka://host:port", "kafka://a:1,b"])
def test_a_url_without_host_and_port_is_a_clear_error(url: str) -> None:
    with pytest.raises(LogError, match="host:port"):
        open_log(url)


def _time_of_wait(log: Log, positions: dict[tuple[str, int], int]) -> float:
    assert log.wait(positions, 10)
    return time.perf_counter()


def _high_watermark(broker: str, topic: str, partition: int) -> int:
    consumer = Consumer(
        {
            "bootstrap.servers": broker,
            "group.id": "test",
            "isolation.level": "read_uncommitted",
        }
    )
    _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
    consumer.close()
    return int(high)
