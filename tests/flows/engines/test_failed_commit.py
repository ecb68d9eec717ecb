"""No data path goes on after a failed write: a shard whose commit or step has failed commits nothing more."""

from pathlib import Path
from typing import cast

import numpy as np
import pytest

from connectors.log import FencedError, Log, LogError, NewRecord, TopicConfig
from connectors.records import rows_record
from connectors.sqlite_log import SqliteLog
from connectors.topics import create_topics
from flows.bars import Bars, BarsParams
from flows.engines import bytewax
from flows.engines.progress import last_progress
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.flow import Emitted, FlowError, Rows
from schemas.market import TRADES
from schemas.sessions import CalendarError
from tests.conformity.outputs import logged
from tests.conformity.sample_flows import QUOTES_SEEN
from tests.conformity.workload import topic_rows
from tests.flows.engines.test_shard import Every, StepParams


@pytest.fixture
def log(tmp_path: Path) -> SqliteLog:
    log = SqliteLog(f"sqlite:///{tmp_path / 'log.db'}")
    create_topics(log, 1)
    log.create_topic(TopicConfig(name=QUOTES_SEEN.name, partitions=1))
    prepare(log, Every)
    return log


def trades(count: int) -> NewRecord:
    return rows_record(TRADES, 0, topic_rows(TRADES, np.random.default_rng(1), count, 0))


def opened(log: Log) -> Shard:
    shard = Shard(log, Every, StepParams(), 0, ShardOptions(snapshot_rows=1))
    shard.open()
    return shard


def test_a_shard_whose_commit_failed_commits_nothing_more(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = opened(log)
    log.append([trades(10)])

    def full(*_: object) -> list[int]:
        raise LogError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(shard._writer, "commit", full)
        with pytest.raises(LogError, match="the disk is full"):
            shard.step()
    # The disk has room again, and the rows of the failed commit are no longer in memory.
    log.append([trades(5)])
    for going_on in (shard.step, shard.commit, shard.save_snapshot, shard.close):
        with pytest.raises(FlowError, match="not to be trusted"):
            going_on()
    last = last_progress(log, Every, 0)
    assert last is not None
    assert last[1].number == 1
    opened(log).step()
    assert sorted(logged(log, QUOTES_SEEN).column("trade").to_pylist()) == list(range(1, 16))


class Breaks(Every):
    """Fails at its third batch, behind rows that it has taken in."""

    name = "every"

    def on_rows(self, rows: Rows) -> list[Emitted]:
        emitted = super().on_rows(rows)
        if self.seen == 30:
            raise FlowError("this row cannot be computed")
        return emitted


def test_a_shard_whose_flow_failed_does_not_commit_what_was_read(log: SqliteLog) -> None:
    log.append([trades(10)])
    shard = Shard(log, Breaks, StepParams(), 0, ShardOptions(commit_s=1e9))
    shard.open()
    shard.step()
    log.append([trades(10)])
    log.append([trades(10)])
    with pytest.raises(FlowError, match="cannot be computed"):
        shard.step()
    with pytest.raises(FlowError, match="not to be trusted"):
        shard.close()
    opened(log).step()
    assert logged(log, QUOTES_SEEN).num_rows == 30


def test_on_bytewax_the_error_ends_the_run_and_no_other_shard_is_closed_half_way(
    log: SqliteLog,
) -> None:
    for _ in range(3):
        log.append([trades(10)])
    with pytest.raises(FlowError, match="cannot be computed"):
        bytewax.run_kinds(log, [Breaks], until_end=True, options=ShardOptions(read_bytes=1))
    bytewax.run_kinds(log, [Every], until_end=True)
    assert sorted(logged(log, QUOTES_SEEN).column("trade").to_pylist()) == list(range(1, 31))


@pytest.mark.parametrize("workers", [1, 2])
def test_on_bytewax_an_error_comes_as_the_shard_raised_it(log: SqliteLog, workers: int) -> None:
    """A mistyped calendar was told in forty lines, the last of which named a line of Bytewax's."""
    params = {Bars.name: BarsParams(calendar="XNYX")}
    with pytest.raises(CalendarError, match="calendar 'XNYX' is not known"):
        bytewax.run_kinds(log, [Bars], params, workers=workers, until_end=True)


def test_the_older_copy_of_a_shard_stops_for_good(log: SqliteLog) -> None:
    log.append([trades(10)])
    older, newer = opened(log), opened(log)
    with pytest.raises(FencedError, match="another copy of it was started since"):
        older.step()
    with pytest.raises(FlowError, match="not to be trusted"):
        older.step()
    newer.step()
    newer.close()
    found = cast(list[int], logged(log, QUOTES_SEEN).column("trade").to_pylist())
    assert sorted(found) == list(range(1, 11))
