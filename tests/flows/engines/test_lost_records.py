"""A log that has lost its newest records, as a repair leaves it: said at once, and never waited for."""

from pathlib import Path

import numpy as np
import pytest

from connectors.control import control_record, control_value, progress_topic, snapshots_topic
from connectors.log import Log, LogError, NewRecord, TopicConfig
from connectors.log_loss import stored_beyond
from connectors.records import rows_record
from connectors.scan import scan_records
from connectors.topics import create_topics
from flows.engines import local
from flows.engines.recompute import recompute
from flows.engines.recovery import NoStateError
from flows.engines.shard import Shard, ShardOptions, prepare
from schemas.market import TRADES
from tests.conformity.outputs import logged
from tests.conformity.sample_flows import QUOTES_SEEN, QuotesArrivedBeforeTrades
from tests.conformity.workload import topic_rows
from tests.connectors.corrupting import corrupt
from tests.flows.engines.test_shard import Every, StepParams


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 1)
    sqlite_log.create_topic(TopicConfig(name=QUOTES_SEEN.name, partitions=1))
    prepare(sqlite_log, Every)
    return sqlite_log


def trades(count: int) -> NewRecord:
    return rows_record(TRADES, 0, topic_rows(TRADES, np.random.default_rng(1), count, 0))


def opened(log: Log, options: ShardOptions | None = None, **params: int) -> Shard:
    shard = Shard(log, Every, StepParams(**params), 0, options or ShardOptions())
    shard.open()
    return shard


def cut(log: Log, topic: str, count: int) -> None:
    """Leave only the first records of a topic of one partition."""
    kept = [
        NewRecord(topic, 0, record.value, record.key, record.headers)
        for record in log.read(topic, 0, 0).records[:count]
    ]
    config = log.topics()[topic]
    log.delete_topic(topic)
    log.create_topic(config)
    log.append(kept)


@pytest.fixture
def short(log: Log) -> Log:
    """A log whose trades end before what progress says was read."""
    log.append([trades(10)] * 5)
    shard = opened(log)
    shard.step()
    cut(log, "trades", 4)
    return log


def test_a_restart_behind_lost_rows_says_what_is_missing(short: Log) -> None:
    with pytest.raises(LogError, match=r"trades\[0\]: the log ends at 4, .* read up to 5"):
        opened(short)


def made_anew(log: Log) -> None:
    """Delete the trades' topic, make it again, and append more than there was."""
    config = log.topics()["trades"]
    log.delete_topic("trades")
    log.create_topic(config)
    log.append([trades(3)] * 9)


def test_a_restart_on_a_topic_that_was_made_anew_says_that_it_has_other_records(log: Log) -> None:
    """It read on at the old position, and the rows before that were lost unseen."""
    log.append([trades(10)] * 5)
    opened(log).step()
    # Another run that reads nothing still knows what was read last.
    opened(log, ShardOptions(new_epoch=True), every=3).commit()
    made_anew(log)
    for new_epoch in (False, True):
        with pytest.raises(
            LogError,
            match=r"trades\[0\]: every/0 has read up to 5, and at 4 the log has another .* anew",
        ):
            opened(log, ShardOptions(new_epoch=new_epoch), every=3)
    (found,) = stored_beyond(log)
    assert str(found).startswith("flow every/0 stands at offset 5 of trades[0], which ends at 9: ")
    assert str(found).endswith("others have taken the offsets of lost records")


def test_damage_in_what_was_read_last_is_no_other_record(log: Log, tmp_path: Path) -> None:
    log.append([trades(10)] * 5)
    shard = opened(log)
    shard.step()
    shard.close()
    corrupt(tmp_path / "log.db", "trades", 4)
    log.append([trades(2)])
    assert opened(log).step() == 2


def test_progress_of_earlier_versions_does_not_say_what_was_read_last_and_is_gone_on_with(
    log: Log,
) -> None:
    log.append([trades(10)] * 5)
    opened(log).step()
    name = progress_topic("every")
    (*_, last) = log.read(name, 0, 0).records
    value = control_value(last)
    del value["newest"]
    cut(log, name, log.end(name, 0) - 1)
    log.append([control_record(name, 0, value)])
    made_anew(log)
    assert opened(log).step() == 12


def test_a_replay_behind_lost_rows_says_what_is_missing(short: Log) -> None:
    with pytest.raises(LogError, match=r"trades\[0\]: the log ends at 4, .* read up to 5"):
        list(recompute(short, Every, 0))


def test_a_scan_to_a_position_behind_lost_rows_says_what_is_missing(short: Log) -> None:
    with pytest.raises(LogError, match=r"trades\[0\]: the log ends at 4, .* up to 5"):
        list(scan_records(short, "trades", 0, end=5))


def test_a_snapshot_of_commits_that_were_lost_is_not_started_from(log: Log) -> None:
    """A second epoch 2, behind a repair that cut the first one off, must not wake up in its state."""
    log.append([trades(10)])
    opened(log).step()
    first = log.end(progress_topic("every"), 0)
    lost = opened(log, ShardOptions(new_epoch=True, snapshot_rows=1), every=3)
    log.append([trades(7)])
    lost.step()
    assert log.end(progress_topic("every"), 0) == first + 2
    cut(log, progress_topic("every"), first)
    opened(log, ShardOptions(new_epoch=True), every=3)
    again = opened(log, every=3)
    log.append([trades(2)])
    again.step()
    rows = zip(
        *(logged(log, QUOTES_SEEN).column(name).to_pylist() for name in ("quotes", "trade")),
        strict=True,
    )
    # What the lost epoch emitted is there still; the second one reads its 7 rows too, and 2 more.
    assert sorted(trade for every, trade in rows if every == 3) == [3, 3, 6, 6, 9]


def test_where_the_order_of_reads_is_cut_away_a_new_epoch_goes_on(log: Log) -> None:
    """Without a snapshot, a flow by arrival cannot be computed again from inputs alone."""
    kind = QuotesArrivedBeforeTrades
    for _ in range(2):
        log.append([trades(5)])
        local.run_until_end(log, [kind])
    log.delete_topic(snapshots_topic(kind.name))
    end = log.end(progress_topic(kind.name), 0)
    log.trim(progress_topic(kind.name), 0, end - 1)
    with pytest.raises(NoStateError, match=r"order in which it read .* is cut away .* --new-epoch"):
        local.run_until_end(log, [kind])
    log.append([trades(5)])
    assert local.run_until_end(log, [kind], options=ShardOptions(new_epoch=True)) == 5
