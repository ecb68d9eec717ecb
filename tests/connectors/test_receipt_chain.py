"""The signed chain of receipts: what it catches, on both logs, and what it says of it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connectors.control import FEEDS_TOPIC, RECEIPTS_TOPIC, control_record
from connectors.lander import Lander
from connectors.log import FencedError, Log, LogError, NewRecord, Record, TopicConfig, open_log
from connectors.receipt_chain import WRITER, last_link, parse_link, read_links, seal, sealable
from connectors.receipt_heads import FILE, HeadsError, add_heads, read_heads
from connectors.receipt_keys import (
    ReceiptKeyError,
    load_private,
    load_public,
    make_keys,
    public_hex,
    public_path,
)
from connectors.receipt_verify import verify
from connectors.receipts import receipt
from connectors.records import decode_rows, rows_record
from connectors.scan import scan_records
from connectors.sqlite_log import path_of
from connectors.sqlite_rows import to_row
from connectors.topics import create_topics
from schemas.market import QUOTES, TRADES
from tests.conformity.workload import topic_rows

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
TRUSTED = [public_hex(KEY.public_key())]
RECORDS = 6


@pytest.fixture
def fed(log: Log) -> Iterator[Log]:
    """Either log, fed and sealed."""
    _clear(log)
    _feed_and_seal(log)
    yield log
    _clear(log)


@pytest.fixture
def sealed(sqlite_log: Log) -> Log:
    """A SQLite log, fed and sealed."""
    _feed_and_seal(sqlite_log)
    return sqlite_log


def _feed_and_seal(log: Log) -> None:
    """Trades in two partitions, quotes, an inbox and a control topic, sealed in two links."""
    log.create_topic(TopicConfig(name=TRADES.name, partitions=2))
    for name in (QUOTES.name, TRADES.inbox_name, FEEDS_TOPIC):
        log.create_topic(TopicConfig(name=name, partitions=1))
    _feed(log, seed=1)
    assert seal(log, KEY) is not None
    _feed(log, seed=2)
    assert seal(log, KEY) is not None


def _clear(log: Log) -> None:
    # Several tests share one broker.
    for name in set(sealable(log)) | ({RECEIPTS_TOPIC} & set(log.topics())):
        log.delete_topic(name)


def _feed(log: Log, seed: int) -> None:
    rng = np.random.default_rng(seed)
    trades = topic_rows(TRADES, rng, 600, 0)
    quotes = topic_rows(QUOTES, rng, 300, 0)
    cuts = range(0, 600, 600 // RECORDS)
    log.append([rows_record(TRADES, at // 100 % 2, trades.slice(at, 100)) for at in cuts])
    log.append([rows_record(QUOTES, 0, quotes)])
    log.append([NewRecord(TRADES.inbox_name, 0, b'{"symbol": "AIG"}', key=b"AIG")])
    log.append([control_record(FEEDS_TOPIC, 0, {"run": seed})])


def _rewrite(log: Log, name: str, change: Callable[[int, Record], NewRecord | None]) -> None:
    """Write a topic anew, as whoever owns the log can, each record as ``change`` gives it."""
    config = log.topics()[name]
    fresh = []
    for partition in range(config.partitions):
        for at, record in enumerate(scan_records(log, name, partition)):
            changed = change(at, record)
            if changed is not None:
                fresh.append(changed)
    log.delete_topic(name)
    log.create_topic(config)
    for record in fresh:
        log.append([record])


def _as_it_is(record: Record) -> NewRecord:
    return NewRecord(
        record.topic, record.partition, record.value, key=record.key, headers=record.headers
    )


def _price_changed(at: int, record: Record) -> NewRecord:
    if (record.partition, at) != (1, 2):
        return _as_it_is(record)
    return replace(rows_record(TRADES, 1, _with_price(record, 7, 99.5)))


def _with_price(record: Record, row: int, price: float) -> pa.RecordBatch:
    batch = decode_rows(TRADES, record)
    at = TRADES.schema.get_field_index("price")
    prices = batch.column(at).to_numpy().copy()
    prices[row] = price
    return batch.set_column(at, TRADES.schema.field(at), pa.array(prices))


def test_the_chain_of_an_untouched_log_holds(fed: Log) -> None:
    found = verify(fed, TRUSTED)
    assert (found.problems, found.notes, found.unsealed) == ([], [], 0)
    assert found.links == 2
    # Two links of five partitions each.
    assert found.ranges == 10
    assert found.rows == 1_800
    last = last_link(fed)
    assert last is not None
    assert found.head == last.hash
    assert seal(fed, KEY) is None, "nothing is new"


def test_the_ranges_of_links_add_up_to_the_receipt_of_the_topic(sealed: Log) -> None:
    (whole,) = receipt(sealed, [TRADES])
    sealed = [
        one.receipt
        for _, value in read_links(sealed)
        for one in parse_link(value).ranges
        if one.receipt.topic == TRADES.name
    ]
    assert sum(one.rows for one in sealed) == whole.rows
    total = sum(int(one.digest, 16) for one in sealed) % (1 << 128)
    assert f"{total:032x}" == whole.digest
    ends = sorted((one.partition, one.start, one.end) for one in sealed)
    assert ends == [(0, 0, 3), (0, 3, 6), (1, 0, 3), (1, 3, 6)]


def test_what_is_new_is_said_to_be_unsealed(sealed: Log) -> None:
    _feed(sealed, seed=3)
    found = verify(sealed, TRUSTED)
    assert found.ok
    assert found.unsealed == 9


def test_an_altered_row_is_named_with_its_link_and_range(fed: Log) -> None:
    _rewrite(fed, TRADES.name, _price_changed)
    problems = verify(fed, TRUSTED).problems
    altered = [one for one in problems if "rows were altered" in one.what]
    assert [(one.link, one.topic, one.partition, one.start, one.end) for one in altered] == [
        (1, "trades", 1, 0, 3)
    ]


def test_a_record_taken_out_is_caught(sealed: Log) -> None:
    _rewrite(sealed, QUOTES.name, lambda at, record: _as_it_is(record) if at else None)
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
    _rewrite(fed, TRADES.name, _price_changed)
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
    _rewrite(sealed, TRADES.name, _price_changed)
    sealed.delete_topic(RECEIPTS_TOPIC)
    assert seal(sealed, OTHER) is not None
    (problem,) = verify(sealed, TRUSTED).problems
    assert problem.link == 1
    assert "none of those given" in problem.what


def test_the_last_links_cut_away_are_caught_by_the_head_kept_outside(sealed: Log) -> None:
    last = last_link(sealed)
    assert last is not None
    _rewrite(sealed, RECEIPTS_TOPIC, lambda at, record: None if at else _as_it_is(record))
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


def test_ranges_cut_by_retention_are_said_so_and_counted_from_the_lake(
    sqlite_log: Log, tmp_path: Path, store_url: str
) -> None:
    log = sqlite_log
    create_topics(log, 1)
    rows = topic_rows(TRADES, np.random.default_rng(4), 600, 0)
    log.append([rows_record(TRADES, 0, rows.slice(at, 50)) for at in range(0, 300, 50)])
    seal(log, KEY)
    log.append([rows_record(TRADES, 0, rows.slice(at, 50)) for at in range(300, 600, 50)])
    seal(log, KEY)
    with Lander(log, store_url, tmp_path / "lake") as lander:
        lander.run_until_end()
    # In the middle of the first range: its half comes from the lake, its half from the log.
    log.trim(TRADES.name, 0, 4)
    found = verify(log, TRUSTED)
    assert found.ok
    assert found.rows == 300
    (note,) = found.notes
    assert (note.link, note.topic, note.start, note.end) == (1, "trades", 0, 6)
    assert "cut by retention" in note.what
    with open_log(f"lake:///{tmp_path / 'lake'}") as lake:
        found = verify(log, TRUSTED, older=lake)
        assert (found.problems, found.notes, found.rows) == ([], [], 600)
        # The chain is in the lake too, and so is all that it speaks of.
        alone = verify(lake, TRUSTED)
        assert (alone.problems, alone.rows, alone.head) == ([], 600, found.head)


def test_what_is_cut_before_it_is_sealed_is_told(sqlite_log: Log) -> None:
    log = sqlite_log
    log.create_topic(TopicConfig(name=QUOTES.name, partitions=1))
    rows = topic_rows(QUOTES, np.random.default_rng(4), 30, 0)
    log.append([rows_record(QUOTES, 0, rows.slice(at, 10)) for at in (0, 10, 20)])
    log.trim(QUOTES.name, 0, 2)
    seal(log, KEY)
    found = verify(log, TRUSTED)
    assert found.ok
    assert [(one.link, one.what) for one in found.notes] == [
        (1, "offsets 0 to 2 were cut before they were sealed")
    ]


def test_a_log_that_lost_what_was_sealed_is_sealed_again_only_when_told(sealed: Log) -> None:
    _rewrite(sealed, TRADES.name, lambda at, record: _as_it_is(record) if at < 5 else None)
    with pytest.raises(LogError, match=r"trades\[0\] is sealed up to offset 6.*--repaired"):
        seal(sealed, KEY)
    _rewrite(
        sealed, TRADES.name, lambda at, record: _as_it_is(record) if record.partition else None
    )
    link = seal(sealed, KEY, repaired=True)
    assert link is not None
    assert [(one.after, one.receipt.start, one.receipt.end) for one in link.ranges] == [
        (6, 0, 0),
        (6, 3, 5),
    ]
    found = verify(sealed, TRUSTED)
    assert [one.what.split(":")[0] for one in found.notes] == [
        "the log had lost sealed records"
    ] * 2
    # Partition 1 was appended anew, at other times: its first range does not hold, whatever is said.
    assert {(one.link, one.topic, one.partition) for one in found.problems} == {(1, "trades", 1)}


def test_a_seal_needs_the_key_of_the_chain_or_to_be_told(sealed: Log) -> None:
    _feed(sealed, seed=3)
    with pytest.raises(LogError, match="signed with another key"):
        seal(sealed, OTHER)
    assert seal(sealed, OTHER, new_key=True) is not None
    assert verify(sealed, [*TRUSTED, public_hex(OTHER.public_key())]).ok


def test_of_two_that_seal_at_once_one_is_fenced(
    sealed: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    _feed(sealed, seed=3)
    read = last_link

    def overtaken(log: Log) -> object:
        found = read(log)
        monkeypatch.setattr("connectors.receipt_chain.last_link", read)
        log.writer(WRITER).close()
        return found

    monkeypatch.setattr("connectors.receipt_chain.last_link", overtaken)
    with pytest.raises(FencedError):
        seal(sealed, KEY)
    assert verify(sealed, TRUSTED).links == 2
    assert seal(sealed, KEY) is not None
    assert verify(sealed, TRUSTED).ok


def test_a_link_has_one_form_only(sealed: Log) -> None:
    (_, value), *_ = read_links(sealed)
    spaced = orjson.dumps(orjson.loads(value or b""), option=orjson.OPT_INDENT_2)
    with pytest.raises(ValueError, match="no link in its canonical form"):
        parse_link(spaced)
    more = orjson.dumps({**orjson.loads(value or b""), "x": 1}, option=orjson.OPT_SORT_KEYS)
    with pytest.raises(ValueError, match="canonical"):
        parse_link(more)


def test_heads_that_were_missed_are_written_by_the_next_seal(sealed: Log, tmp_path: Path) -> None:
    links = [parse_link(value) for _, value in read_links(sealed)]
    add_heads(tmp_path, links[-1], lambda: links)
    assert read_heads(tmp_path) == {1: links[0].hash, 2: links[1].hash}
    add_heads(tmp_path, links[-1], lambda: links)
    assert (tmp_path / FILE).read_text().count("\n") == 2
    with pytest.raises(HeadsError, match="no folder"):
        read_heads(tmp_path / "unmounted")


def test_keys_are_kept_from_others_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "receipt.pem"
    public = make_keys(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert public_hex(load_private(path).public_key()) == public == load_public(public_path(path))
    with pytest.raises(ReceiptKeyError, match="is there already"):
        make_keys(path)
    path.chmod(0o640)
    with pytest.raises(ReceiptKeyError, match="chmod 600"):
        load_private(path)
    with pytest.raises(ReceiptKeyError, match="receipt keygen"):
        load_private(tmp_path / "gone.pem")
    path.write_text("x")
    path.chmod(0o600)
    with pytest.raises(ReceiptKeyError, match="no unencrypted PEM"):
        load_private(path)
