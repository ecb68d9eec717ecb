"""A second copy of a shard, started by mistake in another process; and commits of unknown outcome on Kafka."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from connectors.kafka_writer import KafkaWriter
from connectors.log import Log, LogError, NewRecord, TopicConfig, open_log
from connectors.records import rows_record
from flows.engines.progress import last_progress
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.flow import FlowError
from infra.kafka.artifacts import BrokerError
from infra.kafka.broker import start_broker
from schemas.faults import LATE
from schemas.market import TRADES
from tests.conformity.outputs import logged
from tests.conformity.sample_flows import QUOTES_SEEN
from tests.conformity.workload import topic_rows
from tests.conftest import skip_or_fail
from tests.flows.engines.shard_process import named
from tests.flows.engines.test_shard import StepParams

ROOT = Path(__file__).resolve().parents[3]


def made(log: Log, flow: str) -> Log:
    """The log with what the flow needs, all of it empty."""
    for name in (TRADES.name, QUOTES_SEEN.name, LATE.name):
        log.create_topic(TopicConfig(name=name, partitions=1))
    prepare(log, named(flow))
    return log


def trades(count: int) -> NewRecord:
    return rows_record(TRADES, 0, topic_rows(TRADES, np.random.default_rng(1), count, 0))


def rows_of(log: Log) -> list[int]:
    return sorted(logged(log, QUOTES_SEEN).column("trade").to_pylist())


class Copy:
    """A process that works the shard when it is told to."""

    def __init__(self, url: str, flow: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.flows.engines.shard_process", url, flow],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.answer() == "opened"

    def tell(self, word: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ended(self) -> int:
        code = self.process.wait(30)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        return code


def two_copies(log: Log, flow: str) -> None:
    """The newer one works on; the older one stops with the reason, and what both computed is there once."""
    log.append([trades(10)])
    older = Copy(log.url, flow)
    assert older.tell("step") == "stepped"
    newer = Copy(log.url, flow)
    log.append([trades(10)])
    told = older.tell("step")
    assert told.startswith("FencedError: ")
    assert "newer copy" in told or "another copy" in told
    assert older.ended() == 3
    assert newer.tell("step") == "stepped"
    assert newer.tell("close") == ""
    assert newer.ended() == 0
    assert rows_of(log) == list(range(1, 21))


def test_of_two_copies_on_sqlite_one_stops_and_nothing_is_doubled(sqlite_log: Log) -> None:
    two_copies(made(sqlite_log, "every"), "every")


@pytest.fixture(scope="module")
def broker() -> Iterator[str]:
    """A broker of this module's own: its topics have the platform's names."""
    running = ExitStack()
    try:
        address = running.enter_context(start_broker())
    except BrokerError as error:
        skip_or_fail("kafka", str(error))
    with running:
        yield address


@pytest.fixture
def kafka(broker: str) -> Iterator[Log]:
    with open_log(f"kafka://{broker}") as log:
        for name in log.topics():
            log.delete_topic(name)
        yield log


@pytest.mark.kafka
def test_of_two_copies_on_kafka_one_stops_and_nothing_is_doubled(kafka: Log) -> None:
    two_copies(made(kafka, "two"), "two")


def stepped(shard: Shard) -> None:
    """Step until something was read: on Kafka it comes with the next fetch."""
    while not shard.step():
        pass


def opened(log: Log, flow: str) -> Shard:
    shard = Shard(log, named(flow), StepParams(), 0, ShardOptions())
    shard.open()
    return shard


@pytest.mark.kafka
@pytest.mark.parametrize("point", ["records sent", "committed"])
def test_a_commit_that_a_kill_cut_through_is_settled_by_the_number_in_the_log(
    kafka: Log, point: str
) -> None:
    flow = point.partition(" ")[0]
    made(kafka, flow).append([trades(10)])
    copy = Copy(kafka.url, flow)
    assert copy.tell(f"die kafka: {point}") == ""
    assert copy.ended() == -signal.SIGKILL
    goes_on(kafka.url, flow)


@pytest.mark.kafka
def test_a_commit_that_took_place_though_nobody_heard_is_not_made_again(
    kafka: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = opened(made(kafka, "unheard"), "unheard")
    kafka.append([trades(10)])
    commits = KafkaWriter.commit

    def unheard(writer: KafkaWriter, records: Sequence[NewRecord], number: int) -> list[int]:
        commits(writer, records, number)
        raise LogError("the broker did not say whether it took place")

    with monkeypatch.context() as lost:
        lost.setattr(KafkaWriter, "commit", unheard)
        with pytest.raises(LogError, match="did not say"):
            stepped(shard)
    with pytest.raises(FlowError, match="not to be trusted"):
        shard.commit()
    goes_on(kafka.url, "unheard")


def goes_on(url: str, flow: str) -> None:
    """A new process, after the broker has come back: every row once, whatever became of the commit."""
    with open_log(url) as log:
        shard = opened(log, flow)
        log.append([trades(10)])
        while not shard.at_end({(TRADES.name, 0): log.end(TRADES.name, 0)}):
            shard.step()
        shard.close()
        assert rows_of(log) == list(range(1, 21))
        last = last_progress(log, named(flow), 0)
        assert last is not None
        assert last[1].positions[TRADES.name][0] == log.end(TRADES.name, 0)
