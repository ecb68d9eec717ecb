"""Retention on both logs: cut by age and size, and never what somebody still needs."""

import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectors.control import RECEIPTS_TOPIC, control_record, progress_topic, snapshots_topic
from connectors.landings import CLICKHOUSE, LAKE, Done, LandingRecorder, Span
from connectors.log import (
    Chunk,
    CorruptLogError,
    Log,
    NewRecord,
    Record,
    Stretch,
    TopicConfig,
    TruncatedError,
)
from connectors.log_sizes import estimate, offset_of_size
from connectors.receipt_chain import seal
from connectors.retention import Cut, Retention, RetentionError, apply, plan, policies
from connectors.run_log import MANIFEST_TOPIC, run_topic
from connectors.sqlite_log import SqliteLog
from connectors.topics import create_topics
from tests.connectors.corrupting import corrupt
from tests.connectors.landing_rows import append_trades

_NOW_NS = 1 << 62
_ALL = {"trades": Retention(age_ns=1)}


def of_trades(cuts: list[Cut]) -> Cut:
    (found,) = (one for one in cuts if one.topic == "trades")
    return found


def landed(log: Log, upto: int | None = None, sinks: tuple[str, ...] = (CLICKHOUSE, LAKE)) -> None:
    """The lander's records, as if it had written all trades up to an offset."""
    end = log.end("trades", 0) if upto is None else upto
    recorder = LandingRecorder(log)
    for sink in sinks:
        intent = recorder.intent(sink, "trades", [Span(0, 0, end)])
        recorder.record([], [intent])
        recorder.record([Done(intent, 1, 1)], [])
    recorder.close()


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 1)
    append_trades(sqlite_log, 1, 30)
    return sqlite_log


def progress(log: Log, flow: str, offset: int, *, epoch: int = 1, **more: int) -> None:
    for name in (progress_topic(flow), snapshots_topic(flow)):
        log.create_topic(TopicConfig(name=name, partitions=1))
    positions = {"trades": {"0": offset}}
    value = {"flow": flow, "epoch": epoch, "positions": positions, "counts": {}, **more}
    log.append([control_record(progress_topic(flow), 0, value)])


def snapshot(log: Log, flow: str, offset: int, *, epoch: int = 1) -> list[int]:
    """One of a single chunk; the offsets of that, and of its manifest."""
    name = snapshots_topic(flow)
    chunk = NewRecord(name, 0, b"state", headers=(("kind", b"chunk"),))
    value = {
        "epoch": epoch,
        "positions": {"trades": {"0": offset}},
        "checkpoint_offset": 0,
        "chunks": [log.end(name, 0)],
    }
    return log.append([chunk, control_record(name, 0, value)])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("30d", Retention(age_ns=30 * 86_400 * 10**9)),
        ("50GB", Retention(size_bytes=50 * 10**9)),
        ("12h, 5MB", Retention(age_ns=12 * 3600 * 10**9, size_bytes=5 * 10**6)),
        ("forever", Retention()),
    ],
)
def test_a_retention_is_an_age_a_size_or_both(text: str, wanted: Retention) -> None:
    assert Retention.of(text) == wanted
    assert Retention.of(str(wanted)) == wanted


@pytest.mark.parametrize("text", ["", "30", "d", "30d 12h", "5XB", "-1d", "0d", "1d 1GB 1d"])
def test_a_retention_that_cannot_be_read_is_told(text: str) -> None:
    with pytest.raises(RetentionError, match=r"such as 30d|were needed"):
        Retention.of(text)


def test_what_a_topic_declares_holds_unless_the_settings_say_otherwise(log: Log) -> None:
    own = policies(log, {})
    assert own["trades"] == Retention(age_ns=7 * 86_400 * 10**9)
    assert "bars" not in own
    said = policies(log, {"trades": Retention.of("forever"), "bars": Retention.of("1GB")})
    assert "trades" not in said
    assert said["bars"] == Retention(size_bytes=10**9)


def test_progress_is_kept_for_a_week_or_as_the_settings_say(log: Log) -> None:
    """Ticks that were kept for ever could not be compared as far back: their progress was cut all the same."""
    progress(log, "one", 5)
    name = progress_topic("one")
    assert str(policies(log, {})[name]) == "1w"
    assert str(policies(log, {"progress": Retention.of("30d")})[name]) == "30d"
    assert name not in policies(log, {"progress": Retention.of("forever")})


def test_nothing_is_cut_that_has_not_landed_in_both_sinks(log: Log) -> None:
    newest = log.end("trades", 0) - 1
    assert of_trades(plan(log, _ALL, _NOW_NS)).before == 0
    assert "lander" in of_trades(plan(log, _ALL, _NOW_NS)).held_by
    landed(log, 20, (CLICKHOUSE,))
    assert of_trades(plan(log, _ALL, _NOW_NS)).held_by == "lander: not in lake yet"
    landed(log, 9, (LAKE,))
    cut = of_trades(plan(log, _ALL, _NOW_NS))
    assert (cut.before, cut.wanted, cut.held_by) == (9, newest, "lander: not in lake yet")
    landed(log)
    cut = of_trades(plan(log, _ALL, _NOW_NS))
    assert (cut.before, cut.held_by) == (newest, "")
    apply(log, [cut])
    assert (log.start("trades", 0), log.end("trades", 0)) == (newest, newest + 1)


def test_the_newest_record_stays_though_it_is_damaged_or_a_marker_follows(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    landed(log)
    newest = log.last("trades", 0)
    assert newest is not None
    end, last = log.end, log.last
    monkeypatch.setattr(log, "end", lambda name, at: end(name, at) + (name == "trades"))
    assert of_trades(plan(log, _ALL, _NOW_NS)).before == newest.offset
    monkeypatch.undo()

    def damaged(name: str, partition: int) -> Record | None:
        if name == "trades":
            raise CorruptLogError("it is damaged")
        return last(name, partition)

    monkeypatch.setattr(log, "last", damaged)
    assert of_trades(plan(log, _ALL, _NOW_NS)).before == newest.offset


def test_what_the_lander_may_have_to_write_again_stays(log: Log) -> None:
    landed(log, 20)
    recorder = LandingRecorder(log)
    recorder.record([], [recorder.intent(LAKE, "trades", [Span(0, 12, 25)])])
    recorder.close()
    assert of_trades(plan(log, _ALL, _NOW_NS)).before == 12


def test_nothing_is_cut_behind_a_flows_oldest_snapshot(log: Log) -> None:
    landed(log)
    progress(log, "one", 25)
    cut = of_trades(plan(log, _ALL, _NOW_NS))
    assert (cut.before, cut.held_by) == (0, "one/0: has no whole snapshot yet")
    snapshot(log, "one", 11)
    snapshot(log, "one", 22)
    cut = of_trades(plan(log, _ALL, _NOW_NS))
    assert cut.before == 11
    assert cut.held_by.startswith("one/0: a restart reads on from here")
    # A new epoch has no use for the snapshots of the one before.
    progress(log, "one", 26, epoch=2)
    assert of_trades(plan(log, _ALL, _NOW_NS)).before == 0
    snapshot(log, "one", 26, epoch=2)
    assert of_trades(plan(log, _ALL, _NOW_NS)).before == 26
    assert of_trades(plan(log, _ALL, _NOW_NS, without=["one"])).before == log.end("trades", 0) - 1


@pytest.mark.parametrize("record", [0, 1])
def test_a_damaged_snapshot_is_told_and_the_others_count(
    sqlite_log: SqliteLog, record: int
) -> None:
    """Of a damaged manifest all of retention stopped; one of damaged chunks counted as a snapshot."""
    log = sqlite_log
    create_topics(log, 1)
    append_trades(log, 1, 30)
    landed(log)
    progress(log, "one", 25)
    whole = snapshot(log, "one", 11)
    damaged = snapshot(log, "one", 5)
    corrupt(log.path, snapshots_topic("one"), damaged[record])
    told: list[CorruptLogError] = []
    cut = of_trades(plan(log, _ALL, _NOW_NS, on_damage=told.append))
    assert cut.before == 11
    assert f"is damaged at offset {damaged[record]} " in str(told[0])
    assert len(told) == 1
    corrupt(log.path, snapshots_topic("one"), whole[record])
    cut = of_trades(plan(log, _ALL, _NOW_NS))
    assert (cut.before, cut.held_by) == (0, "one/0: has no whole snapshot yet")


def test_where_state_was_carried_over_an_epoch_the_snapshot_before_it_is_held_too(log: Log) -> None:
    """The new epoch's only one may turn out to be damaged."""
    landed(log)
    for epoch, offset in ((1, 5), (2, 11), (3, 22)):
        progress(log, "one", offset, epoch=epoch, state_since=2)
        snapshot(log, "one", offset, epoch=epoch)
    assert of_trades(plan(log, _ALL, _NOW_NS)).before == 11
    progress(log, "one", 25, epoch=4, state_since=2)
    assert of_trades(plan(log, _ALL, _NOW_NS)).before == 0, "the epoch has no snapshot of its own"


def test_books_are_held_whole_until_there_are_two_snapshots_of_them(log: Log) -> None:
    landed(log)
    progress(log, "one", 25, state_since=1)
    snapshot(log, "one", 11)
    cut = of_trades(plan(log, _ALL, _NOW_NS))
    assert cut.before == 0
    assert cut.held_by.startswith("one/0: has one whole snapshot yet")
    snapshot(log, "one", 22)
    assert of_trades(plan(log, _ALL, _NOW_NS)).before == 11


def test_a_run_that_is_not_complete_holds_everything(log: Log) -> None:
    landed(log)
    manifest = run_topic("trial", MANIFEST_TOPIC)
    log.create_topic(TopicConfig(name=manifest, partitions=1))
    log.append([control_record(manifest, 0, {"kind": "begun"})])
    cut = of_trades(plan(log, _ALL, _NOW_NS))
    assert (cut.before, cut.held_by) == (0, "run trial: not complete")
    log.append([control_record(manifest, 0, {"kind": "done"})])
    assert of_trades(plan(log, _ALL, _NOW_NS)).before == log.end("trades", 0) - 1


def test_who_seals_receipts_has_what_is_not_sealed_kept(log: Log) -> None:
    """It was cut, and the receipt then said that it knows nothing of these offsets."""
    landed(log)
    key = Ed25519PrivateKey.generate()
    end = log.end("trades", 0)
    assert of_trades(plan(log, _ALL, _NOW_NS)).before == end - 1, "nobody has asked for receipts"
    seal(log, key)
    append_trades(log, 2, 5)
    landed(log)
    cut = of_trades(plan(log, _ALL, _NOW_NS))
    assert (cut.before, cut.held_by) == (end, "receipts: not sealed yet")
    assert of_trades(plan(log, _ALL, _NOW_NS, without=["receipts"])).before == cut.end - 1
    seal(log, key)
    assert of_trades(plan(log, _ALL, _NOW_NS)).before == cut.end - 1
    log.append([control_record(RECEIPTS_TOPIC, 0, {"no": "link"})])
    cut = of_trades(plan(log, _ALL, _NOW_NS))
    assert (cut.before, cut.held_by) == (0, "receipts: the chain is broken")


def test_snapshots_are_not_read_while_there_is_nothing_to_cut(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They were every minute, all of them, by a lander that had nothing to cut for a week."""
    landed(log)
    progress(log, "one", 25)
    snapshot(log, "one", 11)
    asked: list[str] = []
    read = log.read

    def counted(topic: str, *rest: int, **options: int) -> Chunk:
        asked.append(topic)
        return read(topic, *rest, **options)

    monkeypatch.setattr(log, "read", counted)
    assert of_trades(plan(log, {}, time.time_ns())).before == 0
    assert asked == []
    assert of_trades(plan(log, _ALL, _NOW_NS)).before == 11
    assert snapshots_topic("one") in asked


def test_by_age_only_what_is_older_goes(log: Log) -> None:
    middle = log.end("trades", 0)
    time.sleep(0.02)
    now_ns = time.time_ns()
    time.sleep(0.02)
    append_trades(log, 2, 10)
    landed(log)
    cut = of_trades(plan(log, {"trades": Retention(age_ns=10**9)}, now_ns + 10**9))
    assert cut.before == cut.wanted == middle
    assert of_trades(plan(log, {"trades": Retention(age_ns=10**12)}, now_ns)).before == 0


def test_by_size_the_newest_stay(log: Log) -> None:
    landed(log)
    for kept in (10_000, 60_000):
        cut = of_trades(plan(log, {"trades": Retention(size_bytes=kept)}, 0))
        left = estimate(log.stretches("trades", 0), log.end("trades", 0), cut.before)
        more = estimate(log.stretches("trades", 0), log.end("trades", 0), cut.before - 1)
        assert left.size_bytes <= kept < more.size_bytes
    assert of_trades(plan(log, {"trades": Retention(size_bytes=10**9)}, 0)).before == 0


def test_the_file_of_an_sqlite_log_shrinks(log: Log, tmp_path: Path) -> None:
    log.append([NewRecord("trades", 0, bytes(200_000)) for _ in range(60)])
    landed(log)
    cut = of_trades(plan(log, _ALL, _NOW_NS))
    with log.writer("x"):
        given_back = apply(log, [cut])
    assert given_back > 10_000_000
    log.append([NewRecord("trades", 0, b"goes on")])
    log.close()
    assert (tmp_path / "log.db").stat().st_size < 3_000_000


def test_an_estimate_is_near_and_a_small_partition_is_counted(log: Log) -> None:
    end = log.end("trades", 0)
    exact = estimate(log.stretches("trades", 0, 1000), end)
    assert exact.exact
    assert (exact.records, exact.rows) == (end, 1200)
    near = estimate(log.stretches("trades", 0, 8), end)
    assert not near.exact
    assert near.size_bytes == pytest.approx(exact.size_bytes, rel=0.2)
    assert near.rows == pytest.approx(exact.rows, rel=0.2)


def test_a_size_ends_within_a_stretch() -> None:
    parts = [
        Stretch(first=0, stop=10, records=10, rows=0, size_bytes=100),
        Stretch(first=50, stop=60, records=10, rows=0, size_bytes=1000),
    ]
    assert estimate(parts, 100).size_bytes == 500 + 5000
    assert offset_of_size(parts, 100, 5000) == 50
    assert offset_of_size(parts, 100, 1000) == 90
    assert offset_of_size(parts, 100, 5050) == 45
    assert offset_of_size(parts, 100, 10_000) == 0
    assert offset_of_size(parts, 100, 0) == 100


@pytest.fixture
def kafka_topic(kafka_broker: str) -> Iterator[tuple[Log, str]]:
    from connectors.log import open_log  # noqa: PLC0415 - where there is no broker there is none to open

    with open_log(f"kafka://{kafka_broker}") as log:
        name = f"test-{uuid4().hex}"
        log.create_topic(TopicConfig(name=name, partitions=1, retention_ns=5 * 10**9))
        yield log, name


@pytest.mark.kafka
def test_kafka_finds_offsets_by_time_estimates_sizes_and_cuts_nothing_by_itself(
    kafka_topic: tuple[Log, str],
) -> None:
    log, name = kafka_topic
    rows = (("rows", b"3"),)
    log.append([NewRecord(name, 0, bytes(1000), headers=rows) for _ in range(200)])
    time.sleep(0.05)
    between_ns = time.time_ns()
    time.sleep(0.05)
    with log.writer(f"w-{name}") as writer:
        writer.commit([NewRecord(name, 0, bytes(1000), headers=rows) for _ in range(100)], 1)
    end = log.end(name, 0)
    assert end == 301
    assert log.offset_at(name, 0, between_ns) == 200
    assert log.offset_at(name, 0, 0) == 0
    assert log.offset_at(name, 0, _NOW_NS) == end
    found = estimate(log.stretches(name, 0), end)
    assert found.size_bytes == pytest.approx(300 * 1005, rel=0.2)
    assert found.rows == pytest.approx(900, rel=0.2)
    assert log.topics()[name].retention_ns == 5 * 10**9
    log.trim(name, 0, log.offset_at(name, 0, between_ns))
    assert log.start(name, 0) == 200
    with pytest.raises(TruncatedError):
        log.read(name, 0, 199)
    assert log.read(name, 0, 200).records[0].offset == 200
