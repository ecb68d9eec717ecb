"""Epochs over restarts and kills; an input more; records that were lost; a beginning that was cut away."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from pydantic import Field

from connectors.control import control_value, progress_topic
from connectors.log import Log, LogError, NewRecord, TopicConfig
from connectors.records import rows_record, watermarks_batch, watermarks_record
from connectors.scan import scan_rows
from connectors.topics import create_topics
from flows.engines import history
from flows.engines.commits import Commits
from flows.engines.epochs import epochs
from flows.engines.origin import origin_of
from flows.engines.progress import last_progress
from flows.engines.recompute import recompute
from flows.engines.recount import recount
from flows.engines.shard import EpochError, Shard, ShardOptions, prepare
from flows.engines.snapshots import manifests
from flows.flow import Emit, Flow, FlowError, Input
from schemas.field import TIMESTAMP
from schemas.market import BOOK_EVENTS, QUOTES, TRADES
from tests.conformity.outputs import logged
from tests.conformity.sample_flows import (
    QUOTES_SEEN,
    QuotesArrivedBeforeTrades,
    QuotesBeforeTrades,
)
from tests.conformity.workload import START_NS, SYMBOLS, pieces, records, topic_rows
from tests.flows.engines.test_shard import Every, StepParams

NEVER = 10**9


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 1)
    sqlite_log.create_topic(TopicConfig(name=QUOTES_SEEN.name, partitions=1))
    return sqlite_log


def trades(count: int, seed: int = 1) -> NewRecord:
    return rows_record(TRADES, 0, topic_rows(TRADES, np.random.default_rng(seed), count, 0))


def opened(
    log: Log,
    kind: type[Flow] = Every,
    *,
    new_epoch: bool = False,
    snapshot_rows: int = NEVER,
    **params: int,
) -> Shard:
    prepare(log, kind)
    options = ShardOptions(new_epoch=new_epoch, snapshot_rows=snapshot_rows)
    shard = Shard(log, kind, kind.params_type(**params), 0, options)
    shard.open()
    return shard


def stepped(log: Log, kind: type[Flow] = Every, **how: int) -> Shard:
    """A shard that has read what there is and committed it, and is then killed: nobody closes it."""
    shard = opened(log, kind, **how)
    while shard.step():
        pass
    shard.commit()
    return shard


def again(log: Log, kind: type[Flow]) -> list[dict[str, object]]:
    return [
        row
        for _, outputs in recompute(log, kind, 0)
        for one in outputs
        if isinstance(one, Emit)
        for row in one.batch.to_pylist()
    ]


@pytest.mark.parametrize("snapshot_rows", [1, NEVER])
def test_a_replay_over_three_epochs_a_restart_and_a_kill_uses_the_parameters_of_each(
    log: Log, snapshot_rows: int
) -> None:
    how = {"snapshot_rows": snapshot_rows}
    log.append([trades(10, 1)])
    stepped(log, every=1, **how).close()
    log.append([trades(10, 2)])
    stepped(log, every=1, **how)  # killed
    log.append([trades(10, 3)])
    stepped(log, every=3, new_epoch=True, **how)  # killed, too
    log.append([trades(10, 4)])
    stepped(log, every=3, **how).close()
    log.append([trades(10, 5)])
    stepped(log, every=5, new_epoch=True, **how)
    found = epochs(log, Every, 0)
    assert [(one.number, one.params) for one in found] == [
        (1, {"every": 1}),
        (2, {"every": 3}),
        (3, {"every": 5}),
    ]
    assert [one.begin["trades"][0] for one in found] == [0, 2, 4]
    assert [one.end["trades"][0] for one in found] == [2, 4, 5]
    rows = in_log_order(log)
    assert [(row["quotes"], row["trade"]) for row in rows] == [
        *((1, at) for at in range(1, 21)),
        *((3, at) for at in range(3, 21, 3)),
        *((5, at) for at in (5, 10)),
    ]
    assert again(log, Every) == rows


def test_another_version_is_refused_and_told_what_to_do(log: Log) -> None:
    class Newer(Every):
        version: ClassVar[int] = 2

    log.append([trades(10)])
    stepped(log).close()
    with pytest.raises(
        EpochError, match=r"is of version 1, .* this is version 2, .*--new-epoch"
    ) as told:
        opened(log, Newer)
    assert "or with the earlier ones to go on as before" in str(told.value)
    log.append([trades(10)])
    stepped(log, Newer, new_epoch=True).close()
    assert logged(log, QUOTES_SEEN).num_rows == 20
    with pytest.raises(FlowError, match="install that version"):
        again(log, Newer)
    with pytest.raises(FlowError, match="install that version"):
        again(log, Every)


def test_parameters_that_the_installed_flow_does_not_take_are_told_by_name(log: Log) -> None:
    class Stricter(StepParams):
        every: int = Field(default=5, ge=5)

    class Changed(Every):
        params_type: ClassVar[type[StepParams]] = Stricter

    log.append([trades(10)])
    stepped(log, every=1).close()
    with pytest.raises(
        FlowError, match=r"'every'.*takes \(every: .*5\); install what computed them"
    ):
        again(log, Changed)


def far(*names: str) -> list[NewRecord]:
    end = np.full(len(SYMBOLS), START_NS + 10**15)
    return [watermarks_record(name, 0, watermarks_batch(SYMBOLS, end)) for name in names]


class WithBook(QuotesBeforeTrades):
    """A new version that reads one input more, and before the others."""

    version: ClassVar[int] = 2
    inputs: ClassVar[tuple[Input, ...]] = (
        Input(topic=BOOK_EVENTS),
        Input(topic=QUOTES),
        Input(topic=TRADES),
    )


@pytest.mark.parametrize("has_snapshot", [True, False])
def test_a_new_version_with_an_input_more_gives_no_old_row_again(
    log: Log, *, has_snapshot: bool
) -> None:
    log.append([trades(20), *far("trades", "quotes")])
    first = stepped(log, QuotesBeforeTrades)
    log.append([rows_record(TRADES, 0, late_trades(7))])
    first.step()
    first.commit()
    if has_snapshot:
        first.close()
    assert logged(log, QUOTES_SEEN).num_rows == 20, "seven are held"
    with pytest.raises(EpochError, match="book_events"):
        opened(log, WithBook)
    second = stepped(log, WithBook, new_epoch=True)
    assert logged(log, QUOTES_SEEN).num_rows == 20
    later = np.full(len(SYMBOLS), START_NS + 3 * 10**15)
    log.append(
        [
            watermarks_record(name, 0, watermarks_batch(SYMBOLS, later))
            for name in ("trades", "quotes", "book_events")
        ]
    )
    second.step()
    second.close()
    assert logged(log, QUOTES_SEEN).num_rows == 27
    # And a restart in the new epoch goes on from there.
    log.append([rows_record(TRADES, 0, late_trades(1, 4 * 10**15))])
    third = stepped(log, WithBook)
    last = last_progress(log, WithBook, 0)
    assert last is not None
    counts = last[1].counts["trades"]
    assert (counts.read, counts.used, counts.held) == (28, 27, 1)
    third.close()


def late_trades(count: int, after_ns: int = 2 * 10**15) -> pa.RecordBatch:
    """Trades beyond the watermarks of `far`."""
    rows = topic_rows(TRADES, np.random.default_rng(5), count, 0)
    at = rows.schema.get_field_index("ts_event")
    times = pa.array(START_NS + after_ns + np.arange(count), pa.int64()).cast(TIMESTAMP)
    return rows.set_column(at, rows.schema.field(at), times)


def test_the_same_version_with_another_input_in_event_order_needs_a_new_epoch(log: Log) -> None:
    class Sly(QuotesBeforeTrades):
        inputs: ClassVar[tuple[Input, ...]] = WithBook.inputs

    log.append([trades(20), *far("trades", "quotes")])
    stepped(log, QuotesBeforeTrades).close()
    with pytest.raises(EpochError, match=r"inputs quotes, trades; .* inputs book_events, quotes"):
        opened(log, Sly)
    stepped(log, Sly, new_epoch=True)
    assert logged(log, QUOTES_SEEN).num_rows == 20
    assert len(again(log, Sly)) == 20, "a replay knows which inputs each epoch had"


def test_an_input_less_in_event_order_without_a_snapshot_says_what_to_do(log: Log) -> None:
    class Narrow(QuotesBeforeTrades):
        version: ClassVar[int] = 3
        inputs: ClassVar[tuple[Input, ...]] = (Input(topic=TRADES),)

    log.append([trades(20)])
    stepped(log, QuotesBeforeTrades)
    with pytest.raises(FlowError, match=r"had quotes as input, .* start the earlier version"):
        opened(log, Narrow, new_epoch=True)
    first = opened(log, QuotesBeforeTrades)
    first.save_snapshot()
    first.close()
    log.append(far("trades"))
    stepped(log, Narrow, new_epoch=True)
    assert logged(log, QUOTES_SEEN).num_rows == 20, "what waited for quotes alone is used"


def test_a_start_and_an_audit_read_two_progress_records_however_many_there_are(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "CHECKPOINT_RECORDS", 7)
    shard = opened(log, every=2)
    for seed in range(40):
        log.append([trades(3, seed)])
        shard.step()
    shard.close()
    topic = progress_topic("every")
    read: list[int] = []
    plain = log.read

    def counted(name: str, partition: int, offset: int, **how: int) -> object:
        chunk = plain(name, partition, offset, **how)
        read.extend([offset] * (name == topic))
        return chunk

    values = [control_value(record) for record in log.read(topic, 0, 0).records]
    checkpoints = [at for at, value in enumerate(values) if value["epochs"] is not None]
    assert len(values) == 41
    assert max(np.diff([*checkpoints, len(values)])) <= 8
    monkeypatch.setattr(log, "read", counted)
    opened(log, every=2)
    assert recount(log, Every)[0].ok
    # The checkpoint, the snapshot's own record and what came behind it; and none from the beginning.
    assert min(read) >= checkpoints[-1]


@pytest.mark.parametrize("kind", [Every, QuotesBeforeTrades, QuotesArrivedBeforeTrades])
def test_where_the_beginning_is_cut_all_goes_on_from_the_oldest_snapshot(
    log: Log, kind: type[Flow]
) -> None:
    made = records(kind, pieces(kind, 3, 2_000), 1)
    for at in range(0, len(made), 4):
        log.append(made[at : at + 4])
        stepped(log, kind, snapshot_rows=1).close()
    whole = origin_of(log, kind, 0, epochs(log, kind, 0))
    assert (whole.commit, whole.why) == (0, "")
    oldest, _ = manifests(log, kind.name, 0)
    for topic, places in oldest.read_on.items():
        for partition, offset in places.items():
            log.trim(topic, partition, offset)
    log.trim(progress_topic(kind.name), 0, oldest.checkpoint_offset)
    known = epochs(log, kind, 0)
    found = origin_of(log, kind, 0, known)
    assert found.commit == oldest.number
    assert str(found).startswith(f"compared from commit {oldest.number} on: the log before is cut")
    commits = Commits(log=log, kind=kind, upto={0: known[-1].commit}, after={0: found.commit})
    behind = in_log_order(log, commits)
    computed = [
        row
        for _, outputs in recompute(log, kind, 0, found.rest, found.start)
        for one in outputs
        if isinstance(one, Emit) and one.topic is QUOTES_SEEN
        for row in one.batch.to_pylist()
    ]
    assert computed == behind
    checks = recount(log, kind)
    assert [check for check in checks if not check.ok] == []
    assert f"shard 0 compared from commit {oldest.number} on" in checks[0].claim
    log.append([trades(4, 99)])
    stepped(log, kind).close()
    assert [check for check in recount(log, kind) if not check.ok] == []


def in_log_order(log: Log, commits: Commits | None = None) -> list[dict[str, object]]:
    return [
        row
        for record, batch in scan_rows(log, QUOTES_SEEN, 0)
        if commits is None or commits.has(record)
        for row in batch.to_pylist()
    ]


def test_where_beginning_and_snapshots_are_gone_it_is_said_what_to_do(log: Log) -> None:
    for seed in range(3):
        log.append([trades(10, seed)])
        stepped(log)
    log.trim("trades", 0, 2)
    with pytest.raises(FlowError, match=r"no whole snapshot .*trades\[0\] from 0: kept from 2 on"):
        opened(log)
    checks = recount(log, Every)
    assert "compared from commit 4 on: the log before is cut" in checks[0].claim
    assert checks[0].claim.endswith("the lake has all of it")
    log.append([trades(10, 9)])
    stepped(log, new_epoch=True)
    found = logged(log, QUOTES_SEEN).column("trade").to_pylist()
    assert sorted(found) == sorted([*range(1, 31), *range(1, 11)]), "a fresh state, no row lost"


def test_positions_beyond_the_end_are_an_error_even_with_a_new_epoch(log: Log) -> None:
    log.append([trades(10)] * 5)
    stepped(log).close()
    config = log.topics()["trades"]
    log.delete_topic("trades")
    log.create_topic(config)
    log.append([trades(10)] * 4)
    for new_epoch in (False, True):
        with pytest.raises(LogError, match=r"ends at 4, .* up to 5.*`tapeflow topics repair`"):
            opened(log, every=2, new_epoch=new_epoch)


def test_commits_without_any_progress_record_are_an_error_that_says_what_to_do(log: Log) -> None:
    log.append([trades(10)])
    stepped(log).close()
    log.delete_topic(progress_topic("every"))
    with pytest.raises(FlowError, match=r"knows 2 commits .* no progress record.*--new-epoch"):
        opened(log)
    stepped(log, new_epoch=True)
    assert logged(log, QUOTES_SEEN).num_rows == 20
