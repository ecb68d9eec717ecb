"""What verify catches: rows, records, links and heads that were altered after they were sealed, on both logs."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest

from connectors.control import RECEIPTS_TOPIC, control_record
from connectors.log import Log, NewRecord, Record, TopicConfig, open_log
from connectors.receipt_chain import last_link, parse_link, read_links, seal
from connectors.receipt_heads import HeadsError, add_heads, read_heads
from connectors.receipt_verify import verify
from connectors.records import decode_rows, rows_record
from connectors.scan import scan_records
from connectors.sqlite_log import path_of
from connectors.sqlite_rows import to_row
from schemas.market import QUOTES, TRADES
from tests.conformity.workload import topic_rows
from tests.connectors.sealed_log import KEY, OTHER, TRUSTED, as_it_is, rewrite


def _price_changed(at: int, record: Record) -> NewRecord:
    if (record.partition, at) != (1, 2):
        return as_it_is(record)
    return replace(rows_record(TRADES, 1, _with_price(record, 7, 99.5)))


def _with_price(record: Record, row: int, price: float) -> pa.RecordBatch:
    batch = decode_rows(TRADES, record)
    at = TRADES.schema.get_field_index("price")
    prices = batch.column(at).to_numpy().copy()
    prices[row] = price
    return batch.set_column(at, TRADES.schema.field(at), pa.array(prices))


def test_an_altered_row_is_named_with_its_link_and_range(fed: Log) -> None:
    rewrite(fed, TRADES.name, _price_changed)
    problems = verify(fed, TRUSTED).problems
    altered = [one for one in problems if "rows were altered" in one.what]
    assert [(one.link, one.topic, one.partition, one.start, one.end) for one in altered] == [
        (1, "trades", 1, 0, 3)
    ]


def test_a_record_taken_out_is_caught(sealed: Log) -> None:
    rewrite(sealed, QUOTES.name, lambda at, record: as_it_is(record) if at else None)
    problems = verify(sealed, TRUSTED).problems
    # What was record 1 is record 0 now, so that the first range has other rows and the second none.
    assert [(one.link, one.topic) for one in problems] == [(1, "quotes"), (2, "quotes")]
    assert "the log ends at 1: 1 sealed offsets are gone" in problems[1].what


def test_a_log_and_its_chain_rewritten_with_the_same_key_are_caught_by_the_head_kept_outside(
    fed: Log, tmp_path: Path
) -> None:
    last = last_link(fed)
    assert last is not None
    add_heads(tmp_path, last, lambda: [parse_link(value) for _, value in read_links(fed)])
    rewrite(fed, TRADES.name, _price_changed)
    fed.delete_topic(RECEIPTS_TOPIC)
    again = seal(fed, KEY)
    assert again is not None
    assert verify(fed, TRUSTED).ok, "the new chain holds in itself"
    by_hash = verify(fed, TRUSTED, heads=[last.hash])
    assert [one.link for one in by_hash.problems] == [0]
    assert f"no link has the head {last.hash}" in by_hash.problems[0].what
    by_folder = verify(fed, TRUSTED, numbered_heads=read_heads(tmp_path))
    assert [one.link for one in by_folder.problems] == [1, 2]
    with pytest.raises(HeadsError, match="not the same chain"):
        add_heads(tmp_path, again, lambda: [again])


def test_a_chain_rewritten_with_another_key_is_caught_by_the_key(sealed: Log) -> None:
    rewrite(sealed, TRADES.name, _price_changed)
    sealed.delete_topic(RECEIPTS_TOPIC)
    assert seal(sealed, OTHER) is not None
    (problem,) = verify(sealed, TRUSTED).problems
    assert problem.link == 1
    assert "none of those given" in problem.what


def test_the_last_links_cut_away_are_caught_by_the_head_kept_outside(sealed: Log) -> None:
    last = last_link(sealed)
    assert last is not None
    rewrite(sealed, RECEIPTS_TOPIC, lambda at, record: None if at else as_it_is(record))
    assert verify(sealed, TRUSTED).ok
    assert not verify(sealed, TRUSTED, heads=[last.hash]).ok
    assert "not there" in verify(sealed, TRUSTED, numbered_heads={2: last.hash}).problems[0].what


def test_a_byte_of_a_link_that_is_flipped_is_caught(fed: Log) -> None:
    values = [value for _, value in read_links(fed)]
    value = values[0] or b""
    rng = np.random.default_rng(11)
    many = fed.url.startswith("sqlite")
    places = range(0, len(value), 23) if many else rng.integers(0, len(value), 3).tolist()
    tried = 0
    for place in places:
        flipped = bytearray(value)
        flipped[place] ^= 1 << int(rng.integers(8))
        fed.delete_topic(RECEIPTS_TOPIC)
        fed.create_topic(TopicConfig(name=RECEIPTS_TOPIC, partitions=1))
        fed.append([NewRecord(RECEIPTS_TOPIC, 0, one) for one in (bytes(flipped), values[1])])
        problems = verify(fed, TRUSTED).problems
        assert problems, f"byte {place} of link 1"
        assert problems[0].link == 1, f"byte {place} of link 1"
        tried += 1
    assert tried >= 3


@pytest.mark.parametrize("what", ["number", "previous", "after", "ends", "format"])
def test_a_link_that_is_signed_but_does_not_follow_is_named(sealed: Log, what: str) -> None:
    """Whoever has the key can sign anything, but not make it fit the links before."""
    first, second = (parse_link(value) for _, value in read_links(sealed))
    start = second.ranges[0]
    forged = {
        "number": replace(second, number=3),
        "previous": replace(second, previous="1" * 64),
        "after": replace(
            second, ranges=(replace(start, after=start.after - 1), *second.ranges[1:])
        ),
        "ends": replace(second, ends={**second.ends, "bars": [7]}),
        "format": replace(second, format=cast("Any", 2)),
    }[what]
    forged = replace(forged, signature=KEY.sign(forged.body).hex())
    sealed.delete_topic(RECEIPTS_TOPIC)
    sealed.create_topic(TopicConfig(name=RECEIPTS_TOPIC, partitions=1))
    sealed.append([control_record(RECEIPTS_TOPIC, 0, one.value()) for one in (first, forged)])
    problems = verify(sealed, TRUSTED).problems
    assert {one.link for one in problems} == {2}


def test_what_the_rows_do_not_say_is_sealed_too(sqlite_log: Log) -> None:
    """Times of receipt and append, headers and order of rows: same rows and digest, another hash."""
    log = sqlite_log
    log.create_topic(TopicConfig(name=TRADES.name, partitions=1))
    rows = topic_rows(TRADES, np.random.default_rng(4), 50, 0)
    log.append([rows_record(TRADES, 0, rows, headers=(("source", b"x"),))])
    seal(log, KEY)
    (record,) = scan_records(log, TRADES.name, 0)
    at = TRADES.schema.get_field_index("ts_recv")
    later = pa.compute.add(rows.column(at).cast(pa.int64()), 1).cast(rows.column(at).type)
    order = pa.array([1, 0, *range(2, 50)])
    for changed in (
        replace(record, headers=(*record.headers[:-1], ("source", b"y"))),
        replace(record, append_time_ns=record.append_time_ns + 1),
        replace(record, key=b"k"),
        replace(record, value=rows_record(TRADES, 0, rows.take(order)).value),
        replace(
            record,
            value=rows_record(TRADES, 0, rows.set_column(at, TRADES.schema.field(at), later)).value,
        ),
    ):
        _put_in_place(log, changed)
        (problem,) = verify(log, TRUSTED).problems
        assert "append" in problem.what
        assert "altered" not in problem.what
    _put_in_place(log, record)
    assert verify(log, TRUSTED).ok


def test_records_put_where_they_had_been_cut_before_they_were_sealed_are_caught(
    sqlite_log: Log,
) -> None:
    """No range speaks of them, and every reader would take them."""
    log = sqlite_log
    for topic in (TRADES, QUOTES):
        log.create_topic(TopicConfig(name=topic.name, partitions=1))
        rows = topic_rows(topic, np.random.default_rng(4), 30, 0)
        log.append([rows_record(topic, 0, rows.slice(at, 10)) for at in (0, 10, 20)])
    cut = list(scan_records(log, TRADES.name, 0)) + list(scan_records(log, QUOTES.name, 0))
    log.trim(TRADES.name, 0, 2)
    log.trim(QUOTES.name, 0, 3)
    seal(log, KEY)
    assert verify(log, TRUSTED).ok
    for record in cut[:2] + cut[3:]:
        _put_in_place(log, record)
    with closing(sqlite3.connect(path_of(log.url))) as connection, connection:
        connection.execute("UPDATE partitions SET start = 0 WHERE topic IN ('trades', 'quotes')")
    with open_log(log.url) as forged:
        problems = verify(forged, TRUSTED).problems
    assert [(one.topic, one.start, one.end, one.what[:42]) for one in problems] == [
        ("quotes", 0, 3, "records are there that no link speaks of: "),
        ("trades", 0, 2, "records are there that no link speaks of: "),
    ]


def test_two_heads_of_one_link_are_no_heads(sealed: Log, tmp_path: Path) -> None:
    link = last_link(sealed)
    assert link is not None
    add_heads(tmp_path, link, lambda: [link])
    file = next(tmp_path.iterdir())
    file.write_text(file.read_text() + f"{link.number} {'0' * 64}\n")
    with pytest.raises(HeadsError, match="another head here"):
        read_heads(tmp_path)


def _put_in_place(log: Log, record: Record) -> None:
    """Alter a record in the log's file, with a checksum that fits."""
    with closing(sqlite3.connect(path_of(log.url))) as connection, connection:
        ((place,),) = connection.execute(
            "SELECT p.id FROM partitions p JOIN topics t ON p.topic = t.name WHERE t.name = ?",
            (record.topic,),
        ).fetchall()
        new = NewRecord(
            record.topic, record.partition, record.value, key=record.key, headers=record.headers
        )
        row = to_row(place, record.offset, record.append_time_ns, new)
        connection.execute(
            f"REPLACE INTO records_{place} (record_offset, append_time_ns, key, headers, checksum, value) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            row,
        )


def test_bytes_that_are_no_rows_any_more_are_a_difference_and_no_crash(sqlite_log: Log) -> None:
    log = sqlite_log
    log.create_topic(TopicConfig(name=TRADES.name, partitions=1))
    log.append([rows_record(TRADES, 0, topic_rows(TRADES, np.random.default_rng(4), 50, 0))])
    seal(log, KEY)
    (record,) = scan_records(log, TRADES.name, 0)
    value = record.value or b""
    rng = np.random.default_rng(9)
    for _ in range(200):
        torn = bytearray(value)
        torn[int(rng.integers(len(value)))] ^= 1 << int(rng.integers(8))
        _put_in_place(log, replace(record, value=bytes(torn)))
        found = verify(log, TRUSTED)
        if not found.ok:
            assert found.problems[0].topic == TRADES.name
    _put_in_place(log, replace(record, value=value[: len(value) // 2]))
    assert not verify(log, TRUSTED).ok


def test_damage_in_the_log_is_told_with_the_range(sqlite_log: Log) -> None:
    log = sqlite_log
    log.create_topic(TopicConfig(name=TRADES.name, partitions=1))
    log.append([rows_record(TRADES, 0, topic_rows(TRADES, np.random.default_rng(4), 50, 0))])
    seal(log, KEY)
    with closing(sqlite3.connect(path_of(log.url))) as connection, connection:
        (name,) = connection.execute(
            "SELECT 'records_' || p.id FROM partitions p JOIN topics t ON p.topic = t.name "
            "WHERE t.name = 'trades'"
        ).fetchone()
        connection.execute(f"UPDATE {name} SET checksum = checksum + 1")
    (problem,) = verify(log, TRUSTED).problems
    assert (problem.link, problem.topic, problem.start) == (1, "trades", 0)
    assert "damaged" in problem.what
