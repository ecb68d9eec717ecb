"""Many topics and partitions of a Kafka log at once, and clients that begin and end."""

import threading
from collections.abc import Iterator
from uuid import uuid4

import pytest
from confluent_kafka.admin import ClusterMetadata

from connectors.kafka_connection import connected
from connectors.kafka_reader import READERS_MAX
from connectors.kafka_topics import Topics
from connectors.log import Log, LogError, NewRecord, TopicConfig, open_log

MANY = READERS_MAX + 2


@pytest.fixture
def log(kafka_broker: str) -> Iterator[Log]:
    with open_log(f"kafka://{kafka_broker}") as opened:
        yield opened


@pytest.fixture
def wide(log: Log) -> str:
    """A topic of more partitions than there are readers for."""
    name = f"test-{uuid4().hex}"
    log.create_topics([TopicConfig(name=name, partitions=MANY)])
    return name


@pytest.mark.kafka
def test_of_topics_made_at_once_each_has_its_own_terms_and_those_that_are_there_stay(
    log: Log,
) -> None:
    prefix = f"test-{uuid4().hex}"
    there = TopicConfig(name=f"{prefix}.a", partitions=1)
    log.create_topic(there)
    log.append([NewRecord(there.name, 0, b"kept")])
    new = [
        TopicConfig(name=f"{prefix}.b", partitions=3, retention_ns=60 * 10**9, synced=True),
        TopicConfig(name=f"{prefix}.c", partitions=2),
    ]
    log.create_topics([there, *new])
    found = {name: one for name, one in log.topics().items() if name.startswith(prefix)}
    assert found == {one.name: one for one in (there, *new)}
    assert log.end(there.name, 0) == 1
    with pytest.raises(LogError, match="2 partitions were asked for and it has 3"):
        log.create_topics([new[1], TopicConfig(name=new[0].name, partitions=2)])


@pytest.mark.kafka
def test_a_topic_that_is_deleted_while_topics_are_listed_is_left_out(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever listed them just then ended, whosever topic it was."""
    kept, gone = f"test-{uuid4().hex}", f"test-{uuid4().hex}"
    log.create_topics([TopicConfig(name=name, partitions=1) for name in (kept, gone)])
    with open_log(log.url) as other:
        log.delete_topic(gone)
        # As it was when the other log was opened, a moment ago.
        monkeypatch.setattr(Topics, "_refresh", lambda _: None)
        assert gone not in other.topics()
        assert kept in other.topics()


@pytest.mark.kafka
def test_who_follows_many_partitions_is_told_which_have_something_to_read(
    log: Log, wide: str
) -> None:
    positions = {(wide, partition): 0 for partition in range(MANY)}
    assert log.news(positions) == []
    assert log.wait(positions, 0.0) is False
    with open_log(log.url) as other, other.writer(f"{wide}.writer") as writer:
        writer.commit([NewRecord(wide, 7, b"x"), NewRecord(wide, MANY - 1, b"y")], 1)
    assert log.wait(positions, 30.0) is True
    assert log.news(positions) == [(wide, 7), (wide, MANY - 1)]
    read: list[bytes | None] = []
    # Behind the records stands what ended their transaction: passing it is a read of its own.
    while news := log.news(positions):
        for where in news:
            chunk = log.read(*where, positions[where])
            assert chunk.next_offset > positions[where]
            positions[where] = chunk.next_offset
            read += [record.value for record in chunk.records]
    assert read == [b"x", b"y"]
    # A position that the log does not have any more: a read says why.
    positions[wide, 3] = 5
    assert log.news(positions) == [(wide, 3)]


@pytest.mark.kafka
def test_what_a_process_committed_itself_is_news_to_it_at_once(log: Log, wide: str) -> None:
    positions = {(wide, partition): 0 for partition in range(MANY)}
    with log.writer(f"{wide}.writer") as writer:
        for number in range(1, 20):
            writer.commit([NewRecord(wide, 0, b"x")], number)
            assert log.news(positions) == [(wide, 0)]
            assert log.wait(positions, 0.0) is True
            positions[wide, 0] = log.read(wide, 0, positions[wide, 0]).next_offset


@pytest.mark.kafka
def test_a_log_that_is_closed_while_another_thread_asks_it_lets_that_one_go(
    kafka_broker: str, wide: str
) -> None:
    """librdkafka kept a question for half a minute where its consumer was closed meanwhile."""
    told: list[LogError] = []
    asked = threading.Event()
    closing = open_log(f"kafka://{kafka_broker}")

    def ask_on() -> None:
        try:
            while True:
                closing.end(wide, 0)
                asked.set()
        except LogError as error:
            told.append(error)

    asking = threading.Thread(target=ask_on)
    asking.start()
    assert asked.wait(60)
    closing.close()
    asking.join()
    assert [str(error) for error in told] == ["the log was closed"]


class Answers:
    """A client whose answers come from brokers of these numbers; -1 is the address that it was given."""

    def __init__(self, *brokers: int) -> None:
        self._brokers = list(brokers)

    def list_topics(self, *, timeout: float) -> ClusterMetadata:
        assert timeout > 0
        told = ClusterMetadata()
        told.orig_broker_id = self._brokers.pop(0)
        return told

    @property
    def left(self) -> int:
        return len(self._brokers)


def test_a_client_is_connected_once_a_broker_itself_has_answered_or_none_does_so() -> None:
    assert connected(Answers(4, 5), "x").left == 1
    assert connected(Answers(-1, 4, 5), "x").left == 1
    # Behind an address that hides its brokers.
    assert connected(Answers(-1, -1, -1, -1), "x").left == 1
