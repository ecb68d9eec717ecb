"""The signed chain of receipts: what it catches, on both logs, and what it says of it."""

from pathlib import Path

import numpy as np
import orjson
import pytest

from connectors.lander import Lander
from connectors.log import Chunk, FencedError, Log, LogError, TopicConfig, open_log
from connectors.receipt_chain import WRITER, last_link, parse_link, read_links, seal
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
from connectors.records import rows_record
from connectors.topics import create_topics
from schemas.market import QUOTES, TRADES
from tests.conformity.workload import topic_rows
from tests.connectors.sealed_log import KEY, OTHER, TRUSTED, as_it_is, feed, rewrite
from tests.full_disk import room_of


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
    feed(sealed, seed=3)
    found = verify(sealed, TRUSTED)
    assert found.ok
    assert found.unsealed == 9


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
    rewrite(sealed, TRADES.name, lambda at, record: as_it_is(record) if at < 5 else None)
    with pytest.raises(LogError, match=r"trades\[0\] is sealed up to offset 6.*--repaired"):
        seal(sealed, KEY)
    rewrite(sealed, TRADES.name, lambda at, record: as_it_is(record) if record.partition else None)
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
    feed(sealed, seed=3)
    with pytest.raises(LogError, match="signed with another key"):
        seal(sealed, OTHER)
    assert seal(sealed, OTHER, new_key=True) is not None
    assert verify(sealed, [*TRUSTED, public_hex(OTHER.public_key())]).ok


def test_of_two_that_seal_at_once_one_is_fenced(
    sealed: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(sealed, seed=3)
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


@pytest.mark.parametrize("more_bytes", [0, 10, 66])
def test_a_head_that_was_cut_by_a_full_disk_is_written_by_the_next_seal(
    sealed: Log, tmp_path: Path, more_bytes: int
) -> None:
    """Half a line stayed: with space again, sealing ended until someone took it out by hand."""
    links = [parse_link(value) for _, value in read_links(sealed)]
    add_heads(tmp_path, links[0], lambda: links[:1])
    before = (tmp_path / FILE).read_bytes()
    with room_of(len(before) + more_bytes), pytest.raises(HeadsError, match="cannot be written"):
        add_heads(tmp_path, links[1], lambda: links)
    assert (tmp_path / FILE).read_bytes() == before
    add_heads(tmp_path, links[1], lambda: links)
    assert read_heads(tmp_path) == {1: links[0].hash, 2: links[1].hash}


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


@pytest.mark.parametrize("room_bytes", [0, 50, 116])
def test_keys_for_which_there_is_no_room_are_made_once_there_is(
    tmp_path: Path, room_bytes: int
) -> None:
    """A file without a key in it stayed: no other could be made, and what sealed said that it was no PEM."""
    path = tmp_path / "key.pem"
    with room_of(room_bytes), pytest.raises(ReceiptKeyError, match=r"cannot be written.*none"):
        make_keys(path)
    assert list(tmp_path.iterdir()) == []
    public = make_keys(path)
    assert load_public(public_path(path)) == public


@pytest.mark.parametrize("at", range(1, 11))
def test_what_retention_cuts_while_it_is_verified_is_a_note(
    fed: Log, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    whole, reads = fed.read, list[str]()

    def cutting(topic: str, partition: int, offset: int, *, max_bytes: int = 8 << 20) -> Chunk:
        reads.append(topic)
        if len(reads) == at:
            fed.trim(TRADES.name, 0, 4)
        return whole(topic, partition, offset, max_bytes=max_bytes)

    monkeypatch.setattr(fed, "read", cutting)
    found = verify(fed, TRUSTED)
    assert found.problems == []
    assert found.ranges + found.uncounted == 10
    assert len(found.notes) == found.uncounted
