"""Brokers that go away, for a while, for longer than a transaction's time, or with their last records."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from connectors import kafka_options, kafka_outage, kafka_producer
from connectors.kafka_transaction import InterruptedTransactionError, TransactionSession
from connectors.log import (
    FencedError,
    Log,
    LogError,
    NewRecord,
    TopicConfig,
    TruncatedError,
    UnknownTopicError,
    open_log,
)
from connectors.metrics import RETRIES
from infra.kafka.artifacts import BrokerError
from infra.kafka.broker import Broker, running_broker
from tests.conftest import skip_or_fail

pytestmark = pytest.mark.kafka

# Of a transaction here; an outage is longer than it where a test says so.
_TRANSACTION_S = 3.0


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    try:
        with running_broker() as running:
            yield running
    except BrokerError as error:
        skip_or_fail("kafka", str(error))


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_options, "TRANSACTION_TIMEOUT_MS", int(_TRANSACTION_S * 1000))
    monkeypatch.setattr(kafka_producer, "_TELL_EVERY_S", 0.5)


@pytest.fixture
def log(broker: Broker) -> Iterator[Log]:
    with open_log(f"kafka://{broker.address}") as opened:
        yield opened


@pytest.fixture
def topic(log: Log) -> str:
    name = f"test-{uuid4().hex}"
    log.create_topic(TopicConfig(name=name, partitions=3))
    return name


def _values(log: Log, topic: str, partition: int) -> list[bytes | None]:
    at, found = log.start(topic, partition), []
    while at < log.end(topic, partition):
        chunk = log.read(topic, partition, at)
        found += [record.value for record in chunk.records]
        at = chunk.next_offset
    return found


def _retries() -> float:
    return sum(
        sample.value
        for metric in RETRIES.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and sample.labels["of"] == "kafka"
    )


def _wait_for_ever(log: Log, place: tuple[str, int]) -> None:
    while True:
        log.wait({place: 0}, 0.1)


def _pause(broker: Broker, seconds: float) -> None:
    broker.pause()
    time.sleep(seconds)
    broker.resume()


def _kill(broker: Broker, seconds: float) -> None:
    broker.kill()
    time.sleep(seconds)
    _start(broker)


def _start(broker: Broker) -> None:
    broker.start()
    _await_leaders(broker)


def _await_leaders(broker: Broker) -> None:
    # It listens before its controller has taken it in again.
    admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            topics = admin.list_topics(timeout=2).topics.values()
        except KafkaException:
            continue
        if all(one.leader >= 0 for topic in topics for one in topic.partitions.values()):
            return
        time.sleep(0.1)


@pytest.mark.parametrize(("outage", "seconds"), [(_pause, 8.0), (_kill, 5.0)])
def test_commits_appends_and_reads_ride_out_an_outage_longer_than_a_transaction(
    broker: Broker,
    log: Log,
    topic: str,
    outage: Callable[[Broker, float], None],
    seconds: float,
) -> None:
    """Each commit is there once, in order; the writer of before goes on, and its fence holds."""
    stop = threading.Event()
    # All three are at work, and the writer is open, when the outage begins.
    begun = threading.Barrier(4)
    before = _retries()

    def commits() -> int:
        number = 0
        with log.writer(f"w-{topic}") as writer:
            begun.wait(120)
            while not stop.is_set():
                number += 1
                records = [NewRecord(topic, p, b"%d" % number) for p in (0, 1)]
                writer.commit(records, number)
        return number

    def appends() -> int:
        begun.wait(120)
        number = 0
        while not stop.is_set():
            number += 1
            log.append([NewRecord(topic, 2, b"%d" % number)])
        return number

    def reads() -> list[bytes | None]:
        begun.wait(120)
        at, found = 0, []
        while not stop.is_set():
            log.wait({(topic, 0): at}, 0.2)
            chunk = log.read(topic, 0, at)
            found += [record.value for record in chunk.records]
            at = chunk.next_offset
        return found

    with ThreadPoolExecutor(3) as pool:
        work = [pool.submit(one) for one in (commits, appends, reads)]
        begun.wait(120)
        time.sleep(1)
        outage(broker, seconds)
        time.sleep(2)
        stop.set()
        committed, appended, read = (one.result(120) for one in work)
    assert isinstance(committed, int)
    assert isinstance(appended, int)
    wanted = [b"%d" % number for number in range(1, committed + 1)]
    assert _values(log, topic, 0) == _values(log, topic, 1) == wanted
    assert read == wanted[: len(read)]
    assert _values(log, topic, 2) == [b"%d" % number for number in range(1, appended + 1)]
    assert _retries() > before


def test_a_copy_that_slept_through_its_replacement_stops_and_the_newer_one_goes_on(
    log: Log, topic: str
) -> None:
    """Its transaction ran out of time, as in an outage, but it is not the newest copy any more."""
    with log.writer(f"w-{topic}") as old:
        old.commit([NewRecord(topic, 0, b"old 1")], 1)
        with open_log(log.url) as other, other.writer(f"w-{topic}") as new:
            new.commit([NewRecord(topic, 0, b"new 2")], 2)
            with pytest.raises(FencedError, match="a newer copy of the writer is at work"):
                old.commit([NewRecord(topic, 0, b"old 2")], 2)
            with pytest.raises(FencedError):
                old.commit([NewRecord(topic, 0, b"old 2")], 2)
            new.commit([NewRecord(topic, 0, b"new 3")], 3)
    assert _values(log, topic, 0) == [b"old 1", b"new 2", b"new 3"]


def test_fencing_goes_on_behind_a_restart_of_the_broker(
    broker: Broker, log: Log, topic: str
) -> None:
    with log.writer(f"w-{topic}") as old, open_log(log.url) as other:
        old.commit([NewRecord(topic, 0, b"old 1")], 1)
        new = other.writer(f"w-{topic}")
        _kill(broker, 0)
        with pytest.raises(FencedError, match="newer copy"):
            old.commit([NewRecord(topic, 0, b"old 2")], 2)
        assert new.number == 1
        new.commit([NewRecord(topic, 0, b"new 2")], 2)
        new.close()
    assert _values(log, topic, 0) == [b"old 1", b"new 2"]


def test_a_copy_whose_newer_one_has_not_written_its_name_yet_goes_on(
    broker: Broker, log: Log, topic: str
) -> None:
    """The newer one's session has fenced it already; the log knows the newest copy by what it wrote."""
    with log.writer(f"w-{topic}") as old:
        old.commit([NewRecord(topic, 0, b"1")], 1)
        newer = TransactionSession(broker.address, f"tapeflow.w-{topic}", "a newer copy")
        many = [NewRecord(topic, 1 + at % 2, bytes(10_000)) for at in range(2_000)]
        old.commit([NewRecord(topic, 0, b"2"), *many], 2)
        with pytest.raises(InterruptedTransactionError, match="newer"):
            newer.run([NewRecord(topic, 0, b"other")])
        newer.close()
        old.commit([NewRecord(topic, 0, b"3")], 3)
    assert _values(log, topic, 0) == [b"1", b"2", b"3"]


def test_a_commit_whose_answer_was_lost_is_not_made_twice(
    broker: Broker, log: Log, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = TransactionSession._end

    def lost(self: TransactionSession, offsets: list[int]) -> None:
        monkeypatch.setattr(TransactionSession, "_end", whole)
        whole(self, offsets)
        raise InterruptedTransactionError(LogError("the answer was lost"), offsets)

    with log.writer(f"w-{topic}") as writer:
        writer.commit([NewRecord(topic, 0, b"1")], 1)
        monkeypatch.setattr(TransactionSession, "_end", lost)
        assert writer.commit([NewRecord(topic, 0, b"2")], 2) == [2]
        assert writer.commit([NewRecord(topic, 0, b"3")], 3) == [4]
    assert _values(log, topic, 0) == [b"1", b"2", b"3"]


@pytest.mark.parametrize("took_place", [False, True])
def test_a_writer_is_opened_again_where_the_broker_fails_by_itself(
    log: Log, topic: str, monkeypatch: pytest.MonkeyPatch, *, took_place: bool
) -> None:
    whole = TransactionSession._end

    def failed(self: TransactionSession, offsets: list[int]) -> None:
        monkeypatch.setattr(TransactionSession, "_end", whole)
        if took_place:
            whole(self, offsets)
        raise InterruptedTransactionError(LogError("Unknown broker error"), offsets)

    with log.writer(f"w-{topic}") as first:
        first.commit([NewRecord(topic, 0, b"1")], 1)
    monkeypatch.setattr(TransactionSession, "_end", failed)
    with log.writer(f"w-{topic}") as second:
        assert second.number == 1
        second.commit([NewRecord(topic, 0, b"2")], 2)
    assert _values(log, topic, 0) == [b"1", b"2"]


def test_a_writer_that_is_fenced_while_it_opens_is_not_opened_again(
    log: Log, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def fenced(self: TransactionSession, offsets: list[int]) -> None:
        opened.append(self)
        cause = FencedError("a newer instance")
        raise InterruptedTransactionError(cause, offsets) from cause

    monkeypatch.setattr(TransactionSession, "_end", fenced)
    with pytest.raises(FencedError, match="a newer instance"):
        log.writer(f"w-{topic}")
    assert len(opened) == 1


def test_brokers_that_stay_away_are_an_error_that_says_so(
    broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (kafka_options, kafka_outage, kafka_producer):
        monkeypatch.setattr(module, "RIDE_OUT_S", 3.0)
    monkeypatch.setattr("connectors.kafka_scout.TIMEOUT_S", 1.0)
    with open_log(f"kafka://{broker.address}") as log:
        log.append([NewRecord(topic, 0, b"x")])
        log.end(topic, 0)
        broker.pause()
        try:
            with pytest.raises(LogError, match=r"no answer from Kafka for \d s .*up\?"):
                log.end(topic, 0)
            with pytest.raises(LogError, match=r"append.*(timed out|not acknowledged)"):
                log.append([NewRecord(topic, 0, b"x")])
        finally:
            broker.resume()


def test_who_waits_or_ends_hears_a_stop_while_brokers_are_away(
    broker: Broker, log: Log, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait that rode out the outage by itself kept a program from ending for two minutes."""
    log.append([NewRecord(topic, 0, b"x")])
    writer = log.writer(f"w-{topic}")
    writer.commit([NewRecord(topic, 1, b"y")], 1)
    before = _retries()
    broker.pause()
    try:
        for place in ((topic, 0), (topic, 2)):
            began = time.monotonic()
            assert not log.wait({place: int(place[1] == 0)}, 0.2)
            assert time.monotonic() - began < 3
        assert _retries() > before
        began = time.monotonic()
        writer.close()
        assert time.monotonic() - began < 3
        # It does not wait for ever: those who only wait end, as all others do.
        monkeypatch.setattr(kafka_outage, "RIDE_OUT_S", 0.5)
        with pytest.raises(LogError, match=r"waiting for records: no answer from Kafka for"):
            _wait_for_ever(log, (topic, 2))
    finally:
        broker.resume()
        _await_leaders(broker)


def test_a_record_that_is_refused_is_told_at_once(log: Log, topic: str) -> None:
    with log.writer(f"w-{topic}") as writer:
        began = time.monotonic()
        with pytest.raises(UnknownTopicError):
            writer.commit([NewRecord("nowhere", 0, b"x")], 1)
        assert time.monotonic() - began < 10
        writer.commit([NewRecord(topic, 0, b"x")], 1)


def test_an_end_below_a_position_stops_the_reader_and_names_the_repair(
    broker: Broker, log: Log, topic: str
) -> None:
    for number in range(50):
        log.append([NewRecord(topic, 0, b"%d" % number)])
    position = log.read(topic, 0, 0).next_offset
    assert position == 50
    assert log.read(topic, 0, position).records == ()
    broker.kill()
    _cut_off(broker.data / f"{topic}-0")
    _start(broker)
    with open_log(log.url) as fresh:
        assert 0 < fresh.end(topic, 0) < 50
        with pytest.raises(TruncatedError, match="tapeflow topics repair"):
            fresh.read(topic, 0, position)
    # A reader that was there all the time sees it too.
    with pytest.raises(TruncatedError, match="tapeflow topics repair"):
        _follow(log, topic, position)


def _follow(log: Log, topic: str, position: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        log.wait({(topic, 0): position}, 0.2)
        log.read(topic, 0, position)


def _cut_off(folder: Path) -> None:
    """Take the last records from a partition, as a disk does that loses what was not synced."""
    (segment,) = folder.glob("*.log")
    data = segment.read_bytes()
    segment.write_bytes(data[: len(data) // 2])
