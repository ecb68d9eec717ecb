"""A shard's life: progress, snapshots, restart, epochs, fencing, late rows, held rows."""

from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import orjson
import pyarrow as pa
import pytest

from connectors.control import (
    control_record,
    control_value,
    progress_topic,
    snapshots_topic,
)
from connectors.log import FencedError, Log, NewRecord, TopicConfig
from connectors.records import rows_record, watermarks_batch, watermarks_record
from connectors.topics import create_topics
from flows.engines.epochs import epochs
from flows.engines.progress import last_progress, read_progress
from flows.engines.recompute import recompute
from flows.engines.shard import EpochError, Shard, ShardOptions, prepare
from flows.flow import Emit, Emitted, Flow, FlowError, Input, Params, Rows, Watermarks
from schemas.faults import LATE
from schemas.field import TIMESTAMP
from schemas.market import QUOTES, TRADES
from schemas.registry import TOPICS
from tests.conformity.outputs import logged
from tests.conformity.sample_flows import QUOTES_SEEN, QuotesBeforeTrades
from tests.conformity.workload import START_NS, topic_rows


class StepParams(Params):
    """How many trades a row is emitted for."""

    every: int = 1


class Every(Flow):
    """Emits a row for every n-th trade: a flow whose state and parameters both show in its rows."""

    name = "every"
    version = 1
    inputs: ClassVar[tuple[Input, ...]] = (Input(topic=TRADES),)
    outputs = (QUOTES_SEEN,)
    params_type = StepParams

    def __init__(self, params: Params, snapshot: bytes | None) -> None:
        self.every = cast(StepParams, params).every
        self.seen = int(snapshot or b"0")

    def on_rows(self, rows: Rows) -> list[Emitted]:
        _, one = rows.only
        numbers = self.seen + 1 + np.arange(one.batch.num_rows)
        self.seen += one.batch.num_rows
        picked = np.flatnonzero(numbers % self.every == 0)
        batch = one.batch.take(pa.array(picked))
        columns = {
            "symbol": batch.column("symbol"),
            "ts_event": batch.column("ts_event"),
            "trade": numbers[picked],
            "quotes": np.full(len(picked), self.every),
        }
        return [Emit(topic=QUOTES_SEEN, batch=QUOTES_SEEN.batch(columns))]

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        return []

    def snapshot(self) -> bytes:
        return str(self.seen).encode()


OPTIONS = ShardOptions(snapshot_rows=100)


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 1)
    sqlite_log.create_topic(TopicConfig(name=QUOTES_SEEN.name, partitions=1))
    return sqlite_log


def trades(count: int, seed: int = 1) -> NewRecord:
    return rows_record(TRADES, 0, topic_rows(TRADES, np.random.default_rng(seed), count, 0))


def started(log: Log, kind: type[Flow] = Every, **params: int) -> Shard:
    prepare(log, kind)
    options = OPTIONS if not params.pop("new_epoch", 0) else ShardOptions(new_epoch=True)
    shard = Shard(log, kind, kind.params_type(**params), 0, options)
    shard.open()
    return shard


def run(log: Log, kind: type[Flow] = Every, **params: int) -> None:
    shard = started(log, kind, **params)
    while shard.step():
        pass
    shard.close()


def test_the_first_progress_record_begins_epoch_1_and_holds_the_parameters(log: Log) -> None:
    started(log, every=3)
    record = log.last(progress_topic("every"), 0)
    assert record is not None
    value = control_value(record)
    assert (value["epoch"], value["number"], value["params"]) == (1, 1, {"every": 3})


def test_rows_and_progress_are_one_commit(log: Log) -> None:
    log.append([trades(10)])
    run(log)
    offset_and_progress = last_progress(log, Every, 0)
    assert offset_and_progress is not None
    _, progress = offset_and_progress
    assert progress.positions == {"trades": {0: 1}}
    assert (progress.counts["trades"].read, progress.counts["trades"].used) == (10, 10)
    assert log.writer("every/0").number == progress.number
    assert logged(log, QUOTES_SEEN).num_rows == 10


def test_records_say_which_flow_shard_and_commit_made_them(log: Log) -> None:
    log.append([trades(10)])
    run(log)
    record = log.last(QUOTES_SEEN.name, 0)
    assert record is not None
    assert record.header("flow") == b"every/1"
    assert (record.header("shard"), record.header("commit")) == (b"0", b"2")


@pytest.mark.parametrize("snapshot_rows", [1, 10**9])
def test_a_restart_emits_nothing_twice_and_goes_on(log: Log, snapshot_rows: int) -> None:
    options = ShardOptions(snapshot_rows=snapshot_rows)
    prepare(log, Every)
    for seed in range(5):
        log.append([trades(7, seed)])
        shard = Shard(log, Every, StepParams(every=2), 0, options)
        shard.open()
        shard.step()
        shard.commit()  # and then the process dies: no close, no last snapshot
    table = logged(log, QUOTES_SEEN)
    assert sorted(table.column("trade").to_pylist()) == list(range(2, 36, 2))


def test_rows_computed_but_not_committed_are_computed_again(log: Log) -> None:
    log.append([trades(10)])
    prepare(log, Every)
    shard = Shard(log, Every, StepParams(), 0, ShardOptions(commit_s=1e9))
    shard.open()
    shard.step()
    assert shard.dirty
    run(log)
    assert logged(log, QUOTES_SEEN).num_rows == 10


def test_an_older_copy_of_a_shard_is_fenced(log: Log) -> None:
    log.append([trades(10)])
    older = started(log)
    newer = started(log)
    with pytest.raises(FencedError):
        older.step()
    newer.step()
    newer.close()
    assert logged(log, QUOTES_SEEN).num_rows == 10


def test_other_parameters_are_refused_unless_a_new_epoch_is_asked_for(log: Log) -> None:
    log.append([trades(10)])
    run(log, every=1)
    with pytest.raises(EpochError, match="--new-epoch"):
        started(log, every=2)


def test_a_new_epoch_begins_with_fresh_state_where_the_old_one_stopped(log: Log) -> None:
    log.append([trades(10, 1)])
    run(log, every=1)
    log.append([trades(10, 2)])
    run(log, every=5, new_epoch=1)
    run(log, every=5)
    assert [one.number for one in epochs(log, Every, 0)] == [1, 2]
    found = sorted(
        zip(
            *(logged(log, QUOTES_SEEN).column(c).to_pylist() for c in ("quotes", "trade")),
            strict=True,
        )
    )
    assert found == [(1, at) for at in range(1, 11)] + [(5, 5), (5, 10)]
    progress = last_progress(log, Every, 0)
    assert progress is not None
    assert progress[1].counts["trades"].read == 20


def test_recompute_gives_each_epoch_its_own_parameters(log: Log) -> None:
    log.append([trades(10, 1)])
    run(log, every=1)
    log.append([trades(10, 2)])
    run(log, every=5, new_epoch=1)
    outs = [
        one for _, outputs in recompute(log, Every, 0) for one in outputs if isinstance(one, Emit)
    ]
    assert [one.batch.num_rows for one in outs] == [10, 2]


def test_a_damaged_snapshot_is_passed_over_for_an_older_one(log: Log) -> None:
    for seed in range(3):
        log.append([trades(150, seed)])
        run(log)
    topic = snapshots_topic("every")
    newest = log.last(topic, 0)
    assert newest is not None
    manifest = control_value(newest)
    log.append([NewRecord(topic, 0, b"{}", headers=(("kind", b"chunk"),))])
    damaged = manifest | {"number": manifest["number"], "sha256": "0" * 64}
    log.append([NewRecord(topic, 0, orjson.dumps(damaged), headers=(("kind", b"control"),))])
    log.append([trades(5, 9)])
    run(log)
    assert sorted(logged(log, QUOTES_SEEN).column("trade").to_pylist()) == list(range(1, 456))


def test_only_two_snapshots_are_kept(log: Log) -> None:
    for seed in range(6):
        log.append([trades(150, seed)])
        run(log)
    topic = snapshots_topic("every")
    assert log.end(topic, 0) - log.start(topic, 0) == 4  # two chunks, two manifests


def test_watermark_rows_alone_come_to_a_snapshot_too(log: Log) -> None:
    """A clock writes them through nights and weekends; a restart must not read them all again."""
    shard = started(log)
    for at in range(OPTIONS.snapshot_rows):
        batch = watermarks_batch(["AIG"], np.array([START_NS + at]))
        log.append([watermarks_record("trades", 0, batch)])
    shard.step()
    shard.commit()
    shard.close()  # waits for what the commit began
    assert log.end(snapshots_topic("every"), 0) == 2  # a chunk and its manifest


def test_late_rows_of_event_order_name_position_and_frontier(log: Log) -> None:
    def quotes(*seconds: int) -> NewRecord:
        rows = topic_rows(QUOTES, np.random.default_rng(1), len(seconds), 0)
        times = pa.array([START_NS + s * 10**9 for s in seconds], pa.int64()).cast(TIMESTAMP)
        rows = rows.set_column(2, "ts_event", times)
        one = pa.array(["AIG"] * len(seconds)).dictionary_encode()
        rows = pa.RecordBatch.from_arrays([one, *rows.columns[1:]], schema=QUOTES.schema)
        return rows_record(QUOTES, 0, rows)

    log.append([quotes(10, 20), quotes(15, 21)])
    run(log, QuotesBeforeTrades)
    late = logged(log, LATE).to_pylist()
    assert [(row["source_offset"], row["source_row"], row["key"]) for row in late] == [
        (1, 0, "AIG")
    ]
    assert late[0]["ts_frontier"].value == START_NS + 20 * 10**9
    assert late[0]["used"] is False
    progress = last_progress(log, QuotesBeforeTrades, 0)
    assert progress is not None
    counts = progress[1].counts["quotes"]
    assert (counts.read, counts.used, counts.late, counts.held) == (4, 0, 1, 3)


def test_held_rows_survive_a_restart_and_are_released_by_watermarks(log: Log) -> None:
    log.append([trades(50)])
    run(log, QuotesBeforeTrades)
    assert logged(log, QUOTES_SEEN).num_rows == 0
    symbols = ["AIG", "BAC", "IBM", "SPY", "GOOG", "AAPL", "MSFT"]
    far = np.full(len(symbols), START_NS + 10**15)
    log.append(
        [
            watermarks_record(name, 0, watermarks_batch(symbols, far))
            for name in ("trades", "quotes")
        ]
    )
    run(log, QuotesBeforeTrades)
    assert logged(log, QUOTES_SEEN).num_rows == 50


def test_an_input_with_too_many_held_rows_is_not_read_further(log: Log) -> None:
    rows = topic_rows(TRADES, np.random.default_rng(1), 1_000, 0)
    log.append([rows_record(TRADES, 0, rows.slice(at, 100)) for at in range(0, 1_000, 100)])
    prepare(log, QuotesBeforeTrades)
    options = ShardOptions(held_rows=250, read_bytes=1)
    shard = Shard(log, QuotesBeforeTrades, Params(), 0, options)
    shard.open()
    while shard.step():
        pass
    assert shard.positions()["trades", 0] == 3
    assert shard.positions()["quotes", 0] == 0


def test_watermarks_are_passed_on_behind_the_rows_they_caused(log: Log) -> None:
    log.append(
        [trades(5), watermarks_record("trades", 0, watermarks_batch(["AIG"], np.array([START_NS])))]
    )
    run(log)
    kinds = [record.header("kind") for record in log.read(QUOTES_SEEN.name, 0, 0).records]
    assert kinds == [b"rows", b"watermarks"]


def test_a_record_that_is_not_ours_stops_the_shard_and_is_named(log: Log) -> None:
    log.append([NewRecord("trades", 0, b"{}")])
    shard = started(log)
    with pytest.raises(FlowError, match=r"trades\[0\] at offset 0: .*trades.in"):
        shard.step()


def test_progress_that_the_writer_does_not_know_is_an_error(log: Log) -> None:
    log.append([trades(5)])
    run(log)
    stale = log.last(progress_topic("every"), 0)
    assert stale is not None
    value = control_value(stale)
    log.append(
        [control_record(progress_topic("every"), 0, value | {"number": value["number"] + 1})]
    )
    with pytest.raises(FlowError, match="--new-epoch"):
        started(log)
    run(log, new_epoch=1)
    log.append([trades(5, 2)])
    run(log)
    assert logged(log, QUOTES_SEEN).num_rows == 10


def test_the_registry_has_no_sample_topics() -> None:
    assert QUOTES_SEEN.name not in TOPICS


def test_progress_records_can_be_read_from_any_offset(log: Log, tmp_path: Path) -> None:
    log.append([trades(5)])
    run(log)
    everything = list(read_progress(log, Every, 0, 0))
    assert next(read_progress(log, Every, 0, everything[1][0])) == everything[1]


def test_a_log_without_a_topic_of_the_flow_is_named_with_the_topic(sqlite_log: Log) -> None:
    with pytest.raises(FlowError, match="has no topic trades, quotes_seen"):
        prepare(sqlite_log, Every)
