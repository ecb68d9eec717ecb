"""Snapshots: taken at a commit, appended behind the flow, and never used unless whole and of this log."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from connectors import crash_points
from connectors.control import progress_topic, snapshots_topic
from connectors.log import Chunk, Log, LogError, NewRecord, TopicConfig
from connectors.records import rows_record
from connectors.sqlite_log import SqliteLog
from connectors.topics import create_topics
from flows.engines import snapshots
from flows.engines.kept import is_of_this_log
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.engines.snapshots import manifests, newest, state_of
from schemas.market import TRADES
from tests.conformity.outputs import logged
from tests.conformity.sample_flows import QUOTES_SEEN
from tests.conformity.workload import topic_rows
from tests.connectors.corrupting import corrupt
from tests.flows.engines.test_shard import Every, StepParams

TOPIC = snapshots_topic("every")


class SlowLog(SqliteLog):
    """A log on which appends of snapshots wait, or fail, until they are told otherwise."""

    go_on = threading.Event()
    failure: LogError | None = None

    def append(self, records: Sequence[NewRecord]) -> list[int]:
        if records[0].topic == TOPIC:
            self.go_on.wait(10)
            if self.failure is not None:
                raise self.failure
        return super().append(records)


@pytest.fixture
def log(tmp_path: Path) -> SlowLog:
    log = SlowLog(f"sqlite:///{tmp_path / 'log.db'}")
    create_topics(log, 1)
    log.create_topic(TopicConfig(name=QUOTES_SEEN.name, partitions=1))
    prepare(log, Every)
    log.go_on = threading.Event()
    log.go_on.set()
    return log


def trades(count: int, seed: int = 1) -> NewRecord:
    return rows_record(TRADES, 0, topic_rows(TRADES, np.random.default_rng(seed), count, 0))


def opened(log: Log, snapshot_rows: int = 1) -> Shard:
    shard = Shard(log, Every, StepParams(), 0, ShardOptions(snapshot_rows=snapshot_rows))
    shard.open()
    return shard


def rows_of(log: Log) -> list[int]:
    return sorted(logged(log, QUOTES_SEEN).column("trade").to_pylist())


def with_snapshots(log: Log, count: int) -> None:
    for seed in range(count):
        log.append([trades(10, seed)])
        shard = opened(log)
        shard.step()
        shard.close()


def test_a_flow_goes_on_while_its_snapshot_is_appended(log: SlowLog) -> None:
    log.go_on.clear()
    shard = opened(log)
    for seed in range(3):
        log.append([trades(10, seed)])
        shard.step()
    assert logged(log, QUOTES_SEEN).num_rows == 30
    assert log.end(TOPIC, 0) == 0
    log.go_on.set()
    shard.close()
    # The first was under way when the others were due; what came meanwhile is in the last one.
    assert [one.number for one in manifests(log, "every", 0)] == [2, 4]


def test_a_snapshot_holds_the_state_of_its_commit_not_of_later_ones(log: SlowLog) -> None:
    log.go_on.clear()
    shard = opened(log)
    log.append([trades(10)])
    shard.step()
    log.append([trades(5)])
    shard.step()
    log.go_on.set()
    shard._snapshots.finish()
    (manifest,) = manifests(log, "every", 0)
    assert manifest.read_on == {"trades": {0: 1}}
    again = opened(log)
    log.append([trades(5)])
    again.step()
    assert rows_of(log) == list(range(1, 21))


def test_manifests_are_read_while_the_oldest_are_cut(
    log: SlowLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_snapshots(log, 2)
    kept = manifests(log, "every", 0)[-1:]
    start, starts = log.start(TOPIC, 0), iter([True])

    def start_before_the_cut(topic: str, partition: int) -> int:
        if next(starts, False):
            log.trim(topic, partition, kept[0].chunks[0])
            return start
        return SqliteLog.start(log, topic, partition)

    monkeypatch.setattr(log, "start", start_before_the_cut)
    assert manifests(log, "every", 0) == kept


def test_a_snapshot_that_could_not_be_appended_ends_the_shard(log: SlowLog) -> None:
    log.failure = LogError("the disk is full")
    shard = opened(log)
    log.append([trades(10)])
    shard.step()
    with pytest.raises(LogError, match="the disk is full"):
        shard.close()
    log.append([trades(10)])
    with pytest.raises(LogError, match="the disk is full"):
        shard.step()


def test_a_commit_that_is_told_as_done_and_hidden_for_a_while_is_waited_for(
    log: SlowLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Kafka hides it, until its markers are written: the flow ended with "tuple index out of range"."""
    shard = opened(log)
    log.append([trades(10)])
    hidden = [1, 2]

    def read(topic: str, partition: int, offset: int, *, max_bytes: int = 8 << 20) -> Chunk:
        if topic == progress_topic("every") and hidden:
            hidden.pop()
            return Chunk((), offset)
        return SqliteLog.read(log, topic, partition, offset, max_bytes=max_bytes)

    monkeypatch.setattr(log, "read", read)
    shard.step()
    shard.close()
    record = log.last(progress_topic("every"), 0)
    (manifest,) = manifests(log, "every", 0)
    assert record is not None
    assert not hidden
    assert (manifest.progress_offset, manifest.progress_time_ns) == (
        record.offset,
        record.append_time_ns,
    )


def test_a_flow_killed_between_two_chunks_starts_from_the_snapshot_before(
    log: SlowLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_snapshots(log, 1)
    (whole,) = manifests(log, "every", 0)
    monkeypatch.setattr(snapshots, "_CHUNK_BYTES", 64)
    monkeypatch.setattr(snapshots, "_CHUNKS_AT_ONCE", 1)

    def die() -> None:
        raise LogError("killed here")

    crash_points.arm("snapshot: between chunks", 2, die)
    try:
        shard = opened(log)
        log.append([trades(10)])
        shard.step()
        with pytest.raises(LogError, match="killed here"):
            shard.close()
    finally:
        crash_points.disarm()
    assert log.end(TOPIC, 0) > whole.chunks[-1] + 2, "chunks of a half one are there"
    found = newest(log, "every", 0, number=99, epoch=1)
    assert found is not None
    assert found[0] == whole
    log.append([trades(3)])
    shard = opened(log)
    shard.step()
    shard.close()
    assert rows_of(log) == list(range(1, 24))
    assert log.start(TOPIC, 0) == whole.chunks[0], "two whole ones are kept, and what lies between"


def test_a_snapshot_damaged_on_disk_is_passed_over_for_an_older_one(log: SlowLog) -> None:
    with_snapshots(log, 2)
    older, newer = manifests(log, "every", 0)
    corrupt(log.path, TOPIC, newer.chunks[0])
    assert state_of(log, TOPIC, 0, newer) is None
    found = newest(log, "every", 0, number=99, epoch=1)
    assert found is not None
    assert found[0] == older
    log.append([trades(3)])
    opened(log).step()
    assert rows_of(log) == list(range(1, 24))


def test_without_any_whole_snapshot_the_epoch_is_computed_from_its_beginning(log: SlowLog) -> None:
    with_snapshots(log, 2)
    for one in manifests(log, "every", 0):
        corrupt(log.path, TOPIC, one.chunks[0])
    log.append([trades(3)])
    opened(log).step()
    assert rows_of(log) == list(range(1, 24))


def test_a_snapshot_of_a_commit_that_the_log_has_lost_is_not_used(log: SlowLog) -> None:
    """Another commit may have its number, and even its place, by then: its append time tells."""
    with_snapshots(log, 1)
    (manifest,) = manifests(log, "every", 0)
    record = log.read(progress_topic("every"), 0, manifest.progress_offset).records[0]
    assert manifest.progress_time_ns == record.append_time_ns
    lost = replace(manifest, progress_time_ns=record.append_time_ns - 1)
    assert is_of_this_log(log, Every, 0, manifest)
    assert not is_of_this_log(log, Every, 0, lost)


def test_saving_reads_no_kept_snapshot_back(log: SlowLog, monkeypatch: pytest.MonkeyPatch) -> None:
    shard = opened(log)
    for seed in range(3):
        log.append([trades(10, seed)])
        shard.step()
        shard._snapshots.finish()
    monkeypatch.setattr(snapshots, "manifests", None)
    monkeypatch.setattr(snapshots, "state_of", None)
    log.append([trades(10, 9)])
    shard.step()
    shard.close()
    assert log.end(TOPIC, 0) - log.start(TOPIC, 0) == 4, "two chunks, two manifests"
