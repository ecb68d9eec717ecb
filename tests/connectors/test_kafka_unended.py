"""Transactions that foreign producers begin and do not end: what lies behind them is told of, not passed over."""

import time
from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from structlog.testing import capture_logs

from connectors import kafka_unended
from connectors.kafka_connection import connected
from connectors.kafka_options import addresses
from connectors.log import Log, NewRecord, TopicConfig, open_log
from connectors.metrics import REGISTRY
from serving.topics import partition_states

pytestmark = pytest.mark.kafka


@pytest.fixture
def log(kafka_broker: str) -> Iterator[Log]:
    with open_log(f"kafka://{kafka_broker}") as opened:
        yield opened


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_lies_behind_a_transaction_that_does_not_end_is_told_of_until_it_ends(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An inbox stood still at it, with a lag of nothing and no word: as if no row came."""
    monkeypatch.setattr(kafka_unended, "_LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(kafka_unended, "TOLD_AFTER_S", 0.5)
    topic = TopicConfig(name=f"test-{uuid4().hex}", partitions=2)
    log.create_topic(topic)
    # The others on the broker are other tests'.
    monkeypatch.setattr(log, "topics", lambda: {topic.name: topic})
    first, second = (topic.name, 0), (topic.name, 1)
    options = {"bootstrap.servers": addresses(log.url), "transactional.id": topic.name}
    theirs = connected(Producer(options), "theirs")
    theirs.init_transactions(30)
    theirs.begin_transaction()
    theirs.produce(topic.name, b"first", partition=1)
    assert theirs.flush(30) == 0
    log.append([NewRecord(*second, b"behind it"), NewRecord(*first, b"beside it")])
    assert log.unended() == {second: 2}
    states = {one.partition: one for one in partition_states(log)}
    assert [(states[at].end, states[at].unended) for at in (0, 1)] == [(1, 0), (0, 2)]

    def held() -> float | None:
        labels = {"topic": topic.name, "partition": "1"}
        return REGISTRY.get_sample_value("tapeflow_log_unended_offsets", labels)

    with capture_logs() as lines:
        assert not log.wait({first: 1, second: 0}, 0.1)
        assert held() is None
        _until(lambda: held() == 2)
        theirs.abort_transaction(30)
        _until(lambda: held() is None)
        assert log.wait({first: 1, second: 0}, 30)
    told = [one for one in lines if one["event"].startswith("transaction")]
    assert [(one["event"], one["partition"], one["offset"]) for one in told] == [
        ("transaction_not_ended", 1, 0),
        ("transaction_ended", 1, 0),
    ]
    assert log.unended() == {}
