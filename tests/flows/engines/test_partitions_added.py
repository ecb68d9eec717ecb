"""Partitions that somebody adds to a topic of a Kafka cluster, between runs of the flows or while they run.

What foreign producers wrote to them was read by nobody, in silence, and no program could be started any more.
"""

import threading
import time
from collections.abc import Iterator

import orjson
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions

from connectors.log import Log, LogError, open_log
from connectors.log_holds import holds
from connectors.scan import scan_rows
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines import bytewax
from flows.engines.local import run_until_end
from flows.engines.recompute import recompute
from flows.engines.recount import recount
from flows.engines.stepper import Output
from flows.flow import Emit, Flow, FlowError
from flows.intake import Intake
from infra.kafka.artifacts import BrokerError
from infra.kafka.broker import start_broker
from schemas.market import TRADES
from tests.conftest import skip_or_fail

pytestmark = pytest.mark.kafka

PARTITIONS = 2
INBOX = TRADES.inbox_name


@pytest.fixture
def log() -> Iterator[Log]:
    """A log with a broker of its own: the registry's topics are changed for good."""
    try:
        with start_broker() as address, open_log(f"kafka://{address}") as opened:
            create_topics(opened, PARTITIONS)
            yield opened
    except BrokerError as error:
        skip_or_fail("kafka", str(error))


def add_partitions(log: Log, topic: str, count: int) -> None:
    admin = AdminClient({"bootstrap.servers": log.url.removeprefix("kafka://")})
    (done,) = admin.create_partitions([NewPartitions(topic, count)]).values()
    done.result()


def write(log: Log, partition: int, symbol: str) -> None:
    value = {"symbol": symbol, "venue": "N", "price": 61.5, "size": 100}
    value["ts_event"] = "2024-05-01T12:00:00Z"
    # A client that is new, and so has heard of the partition.
    producer = Producer({"bootstrap.servers": log.url.removeprefix("kafka://")})
    producer.produce(INBOX, orjson.dumps(value), partition=partition)
    assert producer.flush(30) == 0


def symbols(log: Log) -> list[str]:
    return sorted(
        symbol
        for partition in range(PARTITIONS)
        for _, batch in scan_rows(log, TRADES, partition)
        for symbol in batch.column("symbol").to_pylist()
    )


def symbols_again(log: Log, shard: int) -> list[str]:
    """Of the trades that intake gives when it is computed again."""
    outputs: list[Output] = [one for _, some in recompute(log, Intake, shard) for one in some]
    return [
        symbol
        for one in outputs
        if isinstance(one, Emit) and one.topic is TRADES
        for symbol in one.batch.column("symbol").to_pylist()
    ]


class Running:
    """Flows in a thread of their own."""

    def __init__(self, url: str, kind: type[Flow]) -> None:
        self.error: Exception | None = None
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(url, kind))
        self.thread.start()

    def _run(self, url: str, kind: type[Flow]) -> None:
        try:
            with open_log(url) as log:
                bytewax.run_kinds(log, [kind], stop=self.stop)
        except FlowError as error:
            self.error = error

    def end(self) -> None:
        self.stop.set()
        self.thread.join()


@pytest.mark.timeout(300)
def test_intake_reads_the_partitions_that_are_added_to_an_inbox(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bytewax, "_COUNTS_S", 0.5)
    write(log, 0, "A")
    running = Running(log.url, Intake)
    try:
        while symbols(log) != ["A"]:
            time.sleep(0.1)
        add_partitions(log, INBOX, 4)
        for partition in range(4):
            write(log, partition, f"B{partition}")
        deadline = time.monotonic() + 60
        wanted = ["A", "B0", "B1", "B2", "B3"]
        while symbols(log) != wanted and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        running.end()
    assert symbols(log) == wanted

    # Another while it does not run; others still hold back what it has not read.
    add_partitions(log, INBOX, 5)
    write(log, 4, "C4")
    assert [hold.before for hold in holds(log)[INBOX, 4] if hold.who.startswith("intake")] == [0]
    with open_log(log.url) as again:
        create_topics(again, PARTITIONS)
        run_until_end(again, [Intake])
        run_until_end(again, [Intake])
        assert symbols(again) == [*wanted, "C4"]
        assert all(check.ok for check in recount(again, Intake))
        rows = [symbol for shard in range(PARTITIONS) for symbol in symbols_again(again, shard)]
        assert sorted(rows) == symbols(again)


@pytest.mark.timeout(300)
def test_a_flow_whose_keyed_input_gets_partitions_ends_and_says_which(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bytewax, "_COUNTS_S", 0.5)
    running = Running(log.url, Bars)
    try:
        time.sleep(2)
        add_partitions(log, TRADES.name, 3)
        running.thread.join(60)
        assert not running.thread.is_alive()
    finally:
        running.end()
    told = str(running.error)
    assert "topic 'trades' had 2 partitions when it began, and has 3 now" in told
    assert "docs/kafka.md" in told
    with (
        open_log(log.url) as again,
        pytest.raises(LogError, match=r"'trades': 2 partitions .* it has 3; .* docs/kafka\.md"),
    ):
        create_topics(again, PARTITIONS)
