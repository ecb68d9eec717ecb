"""The audit log's chain: nobody alters it unseen, and no two writers fork it."""

import hashlib
import io
import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors import audit_log
from connectors.audit_log import (
    NO_ROW,
    AuditEntry,
    AuditLogError,
    AuditWriter,
    Break,
    Head,
    chained,
    head_of,
    read_rows,
    verify_chain,
)
from connectors.log import FencedError, Log, LogError, NewRecord, TopicConfig, Writer, open_log
from connectors.records import rows_record
from schemas.audit_log import AUDIT_LOG
from schemas.validation import validate
from serving.audit_verification import run_verification

CONFIG = TopicConfig(name=AUDIT_LOG.name, partitions=1, synced=True)


def entry(number: int = 0, **more: Any) -> AuditEntry:
    return AuditEntry(
        **{
            "actor": f"user{number % 3}",
            "ts_event": 1_700_000_000_000_000_000 + number,
            "action": "sign_in",
            "result": "done",
            "subject": f"on {number}",
            **more,
        }
    )


def rows_of(log: Log) -> list[dict[str, Any]]:
    """All rows as they are in the log, times as integers, the oldest first."""
    return list(reversed(read_rows(log, limit=10_000)))


def batch_of(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    columns = {field.name: [row[field.name] for row in rows] for field in AUDIT_LOG.fields}
    return AUDIT_LOG.batch(columns)


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    sqlite_log.create_topic(CONFIG)
    return sqlite_log


def forged(folder: Path, rows: list[dict[str, Any]]) -> list[Break]:
    """What the verifier finds in a log that holds these rows."""
    with open_log(f"sqlite:///{folder / f'{uuid4().hex}.db'}") as other:
        other.create_topic(CONFIG)
        if rows:
            other.append([rows_record(AUDIT_LOG, 0, batch_of(rows))])
        return list(verify_chain(other))


def test_rows_are_numbered_and_each_has_the_hash_of_the_one_before(log: Log) -> None:
    writer = AuditWriter(log)
    writer.append([entry(1), entry(2)])
    writer.append([entry(3, reason="né", correlation_id="c-1")])
    rows = rows_of(log)
    assert [row["sequence"] for row in rows] == [1, 2, 3]
    previous = NO_ROW
    for row in rows:
        # As `schemas.audit_log` describes it, by another JSON writer.
        body = {name: value for name, value in row.items() if name not in ("ts_recv", "hash")}
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert row["previous_hash"] == previous
        assert row["hash"] == hashlib.sha256(text.encode()).hexdigest()
        previous = row["hash"]
    assert list(verify_chain(log)) == []
    assert head_of(log) == Head(3, previous)


def test_its_rows_are_valid_rows_of_the_topic(log: Log) -> None:
    AuditWriter(log).append([entry(1, actor="", subject="x" * 100_000), entry(2)])
    batch = batch_of(rows_of(log))
    checked = validate(AUDIT_LOG, batch)
    assert (checked.good.num_rows, checked.reasons) == (2, [])


def test_what_is_too_long_is_cut_and_says_so(log: Log) -> None:
    AuditWriter(log).append([entry(1, subject="x" * 100_000)])
    (row,) = rows_of(log)
    assert len(row["subject"]) < 9_000
    assert row["subject"].endswith("… (100000 characters)")
    assert list(verify_chain(log)) == []


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    with open_log(f"sqlite:///{tmp_path_factory.mktemp('chain') / 'log.db'}") as log:
        log.create_topic(CONFIG)
        AuditWriter(log).append([entry(number) for number in range(12)])
        return rows_of(log)


def _without(rows: list[dict[str, Any]], at: int) -> list[dict[str, Any]]:
    return rows[:at] + rows[at + 1 :]


def _exchanged(rows: list[dict[str, Any]], one: int, two: int) -> list[dict[str, Any]]:
    rows = list(rows)
    rows[one], rows[two] = rows[two], rows[one]
    return rows


def _doubled(rows: list[dict[str, Any]], at: int) -> list[dict[str, Any]]:
    return [*rows[:at], rows[at], *rows[at:]]


def _shuffled(dice: random.Random, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    other = list(rows)
    while other == rows:
        dice.shuffle(other)
    return other


ALTERATIONS: dict[str, Callable[[random.Random, list[dict[str, Any]]], list[dict[str, Any]]]] = {
    "one row taken out": lambda dice, rows: _without(rows, dice.randrange(len(rows) - 1)),
    "two rows exchanged": lambda dice, rows: _exchanged(rows, *dice.sample(range(len(rows)), 2)),
    "one row doubled": lambda dice, rows: _doubled(rows, dice.randrange(len(rows))),
    "rows in another order": _shuffled,
    "the first rows cut off": lambda dice, rows: rows[dice.randrange(1, len(rows)) :],
}


@pytest.mark.parametrize("what", ALTERATIONS)
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_rows_taken_out_moved_or_doubled_are_found(
    what: str, seed: int, chain: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    altered = ALTERATIONS[what](random.Random(seed), chain)
    assert forged(tmp_path_factory.mktemp("forged"), altered)


@settings(max_examples=60)
@given(
    at=st.integers(0, 11),
    field=st.sampled_from([f.name for f in AUDIT_LOG.fields if f.name != "ts_recv"]),
    text=st.text(min_size=1, max_size=20),
    number=st.integers(1, 2**40),
)
def test_any_change_of_any_field_is_found(
    at: int,
    field: str,
    text: str,
    number: int,
    chain: list[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    value: Any = number if field in ("ts_event", "sequence") else text
    if field == "result":
        value = "failed"
    if chain[at][field] == value:
        return
    altered = [dict(row) for row in chain]
    altered[at][field] = value
    found = forged(tmp_path_factory.mktemp("forged"), altered)
    assert found
    assert found[0].row == at


def test_a_changed_row_with_its_hash_made_anew_is_found_by_the_row_behind_it(
    chain: list[dict[str, Any]], tmp_path: Path
) -> None:
    altered = [dict(row) for row in chain]
    altered[4]["actor"] = "somebody else"
    altered[4]["hash"] = audit_log.row_hash(altered[4])
    (found,) = forged(tmp_path, altered)
    assert found.row == 5
    assert "replaced" in found.why


def test_rows_cut_off_at_the_end_are_found_by_a_head_that_was_kept(
    log: Log, chain: list[dict[str, Any]], tmp_path: Path
) -> None:
    AuditWriter(log).append([entry(number) for number in range(12)])
    kept = io.StringIO()
    assert run_verification(log, heads=[], as_json=True, out=kept) == 0
    head = orjson.loads(kept.getvalue())["head"]
    assert head == f"12:{chain[-1]['hash']}"
    with open_log(f"sqlite:///{tmp_path / 'cut.db'}") as other:
        other.create_topic(CONFIG)
        other.append([rows_record(AUDIT_LOG, 0, batch_of(chain[:-1]))])
        assert list(verify_chain(other)) == []
        told = io.StringIO()
        assert run_verification(other, heads=[head], as_json=False, out=told) == 1
        assert "row 12 with hash" in told.getvalue()
        assert "THE CHAIN DOES NOT HOLD: 11 rows" in told.getvalue()


def test_many_writers_at_once_do_not_fork_the_chain(log: Log) -> None:
    """As several API processes: each has a log and a writer of its own, and takes over from the others."""
    each = 15

    def work(worker: int) -> None:
        with open_log(log.url) as mine:
            writer = AuditWriter(mine)
            for number in range(each):
                writer.append([entry(worker * each + number, actor=f"worker{worker}")])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert list(verify_chain(log)) == []
    rows = rows_of(log)
    assert len(rows) == 4 * each
    assert len({row["ts_event"] for row in rows}) == 4 * each
    for worker in range(4):
        mine = [row["ts_event"] for row in rows if row["actor"] == f"worker{worker}"]
        assert mine == sorted(mine)


def test_a_writer_that_was_taken_over_goes_on_behind_the_other(log: Log) -> None:
    one, two = AuditWriter(log), AuditWriter(log)
    one.append([entry(1)])
    two.append([entry(2)])
    one.append([entry(3)])
    assert [row["ts_event"] % 10 for row in rows_of(log)] == [1, 2, 3]
    assert list(verify_chain(log)) == []


def test_records_and_their_audit_are_one_commit(log: Log) -> None:
    log.create_topic(TopicConfig(name="orders", partitions=2, synced=True))
    writer = AuditWriter(log)
    offsets = writer.append(
        [entry(1)], [NewRecord("orders", 1, b"a"), NewRecord("orders", 0, b"b")]
    )
    assert offsets == [0, 0]
    with pytest.raises(LogError, match="nowhere"):
        writer.append([entry(2)], [NewRecord("orders", 0, b"c"), NewRecord("nowhere", 0, b"d")])
    assert log.end("orders", 0) == 1
    # What failed left no gap, and the next one follows.
    writer.append([entry(3)])
    assert [row["sequence"] for row in rows_of(log)] == [1, 2]
    assert list(verify_chain(log)) == []


def test_records_without_entries_leave_the_chain_alone(log: Log) -> None:
    log.create_topic(TopicConfig(name="orders", partitions=1, synced=True))
    writer = AuditWriter(log)
    assert writer.append([], [NewRecord("orders", 0, b"a")]) == [0]
    writer.append([entry(1)])
    assert [row["sequence"] for row in rows_of(log)] == [1]


def test_a_writer_that_is_always_taken_over_gives_up_with_a_word(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fenced:
        number = 0

        def commit(self, *_: object) -> list[int]:
            raise FencedError("another copy")

        def close(self) -> None:
            pass

    def writer(_: str) -> Writer:
        return Fenced()

    monkeypatch.setattr(log, "writer", writer)
    monkeypatch.setattr(audit_log, "_TAKEOVER_WAIT_S", 0)
    with pytest.raises(AuditLogError, match="end one of the API processes"):
        AuditWriter(log).append([entry(1)])


def test_pages_go_from_the_newest_row_to_the_oldest(log: Log) -> None:
    writer = AuditWriter(log)
    number = 0
    for size in (1, 7, 2, 30, 1, 1, 5):
        writer.append([entry(number + at) for at in range(size)])
        number += size
    found: list[int] = []
    before: int | None = None
    while page := read_rows(log, before=before, limit=4):
        assert len(page) <= 4
        found += [row["sequence"] for row in page]
        before = found[-1]
    assert found == list(range(number, 0, -1))


def test_a_record_that_is_none_of_the_chain_stops_writers_with_a_word(log: Log) -> None:
    AuditWriter(log).append([entry(1)])
    log.append([NewRecord(AUDIT_LOG.name, 0, b"not a row")])
    with pytest.raises(AuditLogError, match="audit-log verify"):
        AuditWriter(log).append([entry(2)])


def test_an_empty_chain_holds(log: Log) -> None:
    told = io.StringIO()
    assert run_verification(log, heads=[], as_json=False, out=told) == 0
    assert told.getvalue() == f"the chain holds: 0 rows, head 0:{NO_ROW}\n"
    batch, head = chained([], Head(0, NO_ROW))
    assert (batch.num_rows, head) == (0, Head(0, NO_ROW))


@pytest.mark.kafka
def test_two_writers_take_turns_on_kafka(kafka_broker: str) -> None:
    """The fence of Kafka is its transactions': it holds over brokers, too."""
    with open_log(f"kafka://{kafka_broker}") as one, open_log(f"kafka://{kafka_broker}") as two:
        if AUDIT_LOG.name in one.topics():
            one.delete_topic(AUDIT_LOG.name)
        one.create_topic(CONFIG)
        writers = [AuditWriter(one), AuditWriter(two)]
        for number in range(6):
            writers[number % 2].append([entry(number)])
        assert list(verify_chain(one)) == []
        assert [row["sequence"] for row in read_rows(one, limit=10)] == [6, 5, 4, 3, 2, 1]
        for writer in writers:
            writer.close()
