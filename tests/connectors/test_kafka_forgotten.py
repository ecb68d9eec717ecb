"""What brokers do not know for a while, or not any more: who leads a partition, who a writer is."""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from connectors import kafka_outage, kafka_scout
from connectors.log import FencedError, LogError, NewRecord, TopicConfig, open_log
from infra.kafka.artifacts import BrokerError
from infra.kafka.broker import Broker, running_broker
from tests.conftest import skip_or_fail

pytestmark = pytest.mark.kafka


def test_a_writer_that_kafka_has_forgotten_while_it_rested_goes_on() -> None:
    """After a week, by default: each program that rested so long ended with "Purged in queue" at its next commit."""
    forgetful = (
        "transactional.id.expiration.ms=1000\n"
        "transaction.remove.expired.transaction.cleanup.interval.ms=200\n"
    )
    with ExitStack() as stack:
        try:
            broker = stack.enter_context(running_broker(overlay=forgetful))
        except BrokerError as error:
            skip_or_fail("kafka", str(error))
        log = stack.enter_context(open_log(f"kafka://{broker.address}"))
        log.create_topic(TopicConfig(name="t", partitions=2))
        writer = stack.enter_context(log.writer("w"))
        writer.commit([NewRecord("t", 0, b"1")], 1)
        time.sleep(4)
        writer.commit([NewRecord("t", 0, b"2"), NewRecord("t", 1, b"2")], 2)
        time.sleep(4)
        newer = stack.enter_context(log.writer("w"))
        assert newer.number == 2
        with pytest.raises(FencedError, match="a newer copy of the writer is at work"):
            writer.commit([NewRecord("t", 0, b"3")], 3)
        assert [one.value for one in log.read("t", 0, 0).records] == [b"1", b"2"]
        assert [one.value for one in log.read("t", 1, 0).records] == [b"2"]


def test_a_topic_whose_partitions_no_broker_leads_for_now_is_there_and_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was left out of `topics`: retention saw no flow that needs what it cuts, a start no flow that had run."""
    monkeypatch.setattr(kafka_outage, "RIDE_OUT_S", 1.0)
    monkeypatch.setattr(kafka_scout, "_MOVED_S", 0.2)
    kept, lost = tmp_path / "kept", tmp_path / "lost"
    with ExitStack() as stack:
        try:
            overlay = f"log.dirs={kept},{lost}\nmetadata.log.dir={kept}\n"
            broker = stack.enter_context(running_broker(overlay=overlay))
        except BrokerError as error:
            skip_or_fail("kafka", str(error))
        url = f"kafka://{broker.address}"
        configs = [TopicConfig(name=f"t{number}", partitions=2) for number in range(4)]
        with open_log(url) as log:
            log.create_topics(configs)
        # It tells its controller a moment later which partition is on which disk.
        time.sleep(3)
        broker.kill()
        # One disk of two does not come back.
        gone = sorted(folder.name for folder in lost.glob("t?-?"))
        lost.rename(tmp_path / "away")
        lost.touch()
        broker.start()
        topic, _, partition = gone[0].partition("-")
        _await_no_leader(broker, topic, int(partition))
        log = stack.enter_context(open_log(url))
        assert list(log.topics().values()) == configs
        log.create_topics(configs)
        assert not log.wait({(topic, int(partition)): 0}, 0.1)
        # Of many partitions, the others are told of, and the time is slept.
        monkeypatch.setattr("connectors.kafka.READERS_MAX", 1)
        led = next((one.name, 0) for one in configs if f"{one.name}-0" not in gone)
        began = time.monotonic()
        assert not log.wait({(topic, int(partition)): 0, led: 0}, 0.5)
        assert time.monotonic() - began >= 0.5
        log.append([NewRecord(*led, b"x")])
        assert log.wait({(topic, int(partition)): 0, led: 0}, 0.5)
        with pytest.raises(LogError, match="no answer from Kafka for"):
            log.end(topic, int(partition))


def _await_no_leader(broker: Broker, topic: str, partition: int) -> None:
    admin = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
    deadline = time.monotonic() + 60
    while admin.list_topics(timeout=30).topics[topic].partitions[partition].leader >= 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
