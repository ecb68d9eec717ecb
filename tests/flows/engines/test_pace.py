"""How often a shard commits: at once where it keeps up, seldom while it is behind."""

from collections.abc import Sequence
from typing import Any

import pytest

from connectors.log import Log, NewRecord, TopicConfig
from connectors.topics import create_topics
from flows.engines import shard as shards
from flows.engines.progress import read_progress
from flows.engines.shard import Shard, ShardOptions, prepare
from tests.conformity.outputs import logged
from tests.conformity.sample_flows import QUOTES_SEEN
from tests.flows.engines.test_shard import Every, StepParams, trades

RECORDS = 20
ROWS = 10
COMMIT_S = 0.02


class Clock:
    """Time that passes only where something takes it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(shards, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(shards, "_MANY_ROWS", ROWS - 1)
    return Clock(monkeypatch)


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 1)
    sqlite_log.create_topic(TopicConfig(name=QUOTES_SEEN.name, partitions=1))
    return sqlite_log


def opened(log: Log, clock: Clock, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Shard:
    """A shard that reads a record a step, and whose commits take their time."""
    writer_of = log.writer

    def slow(name: str) -> object:
        writer = writer_of(name)
        commit = writer.commit

        def taking(records: Sequence[NewRecord], number: int) -> list[int]:
            clock.now += COMMIT_S
            return commit(records, number)

        monkeypatch.setattr(writer, "commit", taking)
        return writer

    monkeypatch.setattr(log, "writer", slow)
    prepare(log, Every)
    shard = Shard(log, Every, StepParams(), 0, ShardOptions(read_bytes=1, **options))
    shard.open()
    return shard


def numbers(log: Log, shard: Shard, clock: Clock, step_s: float) -> list[int]:
    """The commit that was the last one after each step, counted from where it opened."""
    begun, found = shard.number, []
    for _ in range(RECORDS):
        clock.now += step_s
        assert shard.step() == ROWS
        found.append(shard.number - begun)
    return found


def test_a_shard_that_is_behind_commits_for_a_tenth_of_its_time_and_at_once_at_the_end(
    log: Log, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([trades(ROWS, seed) for seed in range(RECORDS)])
    shard = opened(log, clock, monkeypatch)
    # Its first commit, at its opening, took 20 ms: the next ones come 200 ms apart, which is every fourth step.
    found = numbers(log, shard, clock, 0.051)
    assert found == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5]
    assert not shard.dirty
    shard.close()
    assert logged(log, QUOTES_SEEN).num_rows == RECORDS * ROWS
    assert [one.positions["trades"][0] for _, one in read_progress(log, Every, 0, 0)][1:] == [
        *(4, 8, 12, 16, 20)
    ]


def test_the_last_rows_are_committed_at_once_however_little_time_has_passed(
    log: Log, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([trades(ROWS, seed) for seed in range(RECORDS)])
    shard = opened(log, clock, monkeypatch)
    assert numbers(log, shard, clock, 0.0) == [0] * (RECORDS - 1) + [1]
    assert not shard.dirty


def test_commits_are_never_rarer_than_four_a_second(
    log: Log, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.flows.engines.test_pace.COMMIT_S", 5.0)
    log.append([trades(ROWS, seed) for seed in range(RECORDS)])
    shard = opened(log, clock, monkeypatch)
    assert numbers(log, shard, clock, 0.126)[:6] == [0, 1, 1, 2, 2, 3]


def test_a_shard_that_keeps_up_commits_each_step(
    log: Log, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = opened(log, clock, monkeypatch)
    for seed in range(3):
        log.append([trades(ROWS, seed)])
        shard.step()
        assert not shard.dirty


def test_few_rows_are_committed_each_step_though_there_are_more(
    log: Log, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_MANY_ROWS", ROWS)
    log.append([trades(ROWS, seed) for seed in range(RECORDS)])
    shard = opened(log, clock, monkeypatch)
    assert numbers(log, shard, clock, 0.0) == list(range(1, RECORDS + 1))


def test_rows_read_and_to_be_written_are_bounded_all_the_same(
    log: Log, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([trades(ROWS, seed) for seed in range(RECORDS)])
    # Each trade gives a row: with two steps, twenty are read and twenty are to be written.
    shard = opened(log, clock, monkeypatch, commit_rows=4 * ROWS)
    assert numbers(log, shard, clock, 0.0)[:6] == [0, 1, 1, 2, 2, 3]


def test_a_shard_told_to_wait_longer_waits_while_it_is_behind_too(
    log: Log, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([trades(ROWS, seed) for seed in range(RECORDS)])
    shard = opened(log, clock, monkeypatch, commit_s=1e9)
    assert numbers(log, shard, clock, 1.0) == [0] * RECORDS
