"""Damaged files are told as such, and mended by truncation; the damage is done with real bytes."""

import sqlite3
from pathlib import Path

import pytest

from connectors.log import (
    CorruptLogError,
    LogError,
    NewRecord,
    TopicConfig,
    TruncatedError,
    open_log,
)
from connectors.sqlite_file import PAGE_BYTES, connect
from connectors.sqlite_repair import Removed, repair

COUNT = 60
SIZE = 50_000


def value(partition: int, number: int) -> bytes:
    """Bytes that are found in the file by their beginning."""
    return b"<%d:%d>" % (partition, number) * (SIZE // len(b"<%d:%d>" % (partition, number)))


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A closed log: two partitions of sixty records, a small topic, and a writer with two commits."""
    url = f"sqlite:///{tmp_path / 'log.db'}"
    with open_log(url) as log:
        log.create_topic(TopicConfig(name="ticks", partitions=2))
        log.create_topic(TopicConfig(name="small", partitions=1, retention_ns=5, synced=True))
        for number in range(COUNT):
            keys = [b"key-%d-%d." % (partition, number) for partition in (0, 1)]
            log.append([NewRecord("ticks", p, value(p, number), keys[p]) for p in (0, 1)])
        log.trim("ticks", 1, 5)
        with log.writer("w") as writer:
            writer.commit([NewRecord("small", 0, b"a", b"k", (("h", b"v"),))], 1)
            writer.commit([NewRecord("small", 0, b"b")], 2)
    return url


@pytest.fixture
def path(url: str, tmp_path: Path) -> Path:
    return tmp_path / "log.db"


def readable(url: str, topic: str, partition: int) -> tuple[list[bytes | None], str | None]:
    """The values up to the first error, and the error."""
    values: list[bytes | None] = []
    with open_log(url) as log:
        at = log.start(topic, partition)
        try:
            while (chunk := log.read(topic, partition, at, max_bytes=200_000)).records:
                values += [record.value for record in chunk.records]
                at = chunk.next_offset
        except CorruptLogError as error:
            return values, str(error)
    return values, None


def overwrite(path: Path, needle: bytes, junk: bytes, shift: int = 0) -> None:
    """Write junk over the file where some bytes are."""
    at = path.read_bytes().find(needle)
    assert at > 0
    with path.open("r+b") as file:
        file.seek(at + shift)
        file.write(junk)


def root_page(path: Path, name: str) -> int:
    connection = sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)
    ).fetchone()
    connection.close()
    return int(page)


def whole_until(path: Path, partition: int, first: int) -> int:
    """The first offset whose value is not what was appended, asked for one by one without our reader."""
    connection = sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)
    connection.execute("PRAGMA writable_schema=ON")
    query = f"SELECT value FROM records_{partition + 1} WHERE record_offset = ?"
    offset = first
    try:
        while connection.execute(query, (offset,)).fetchone() == (value(partition, offset),):
            offset += 1
    except sqlite3.DatabaseError:
        return offset
    finally:
        connection.close()
    return offset


def overwrite_page(path: Path, page: int) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE_BYTES)
        file.write(b"\xa5" * PAGE_BYTES)


def test_one_changed_byte_in_a_value_is_found_and_cut(url: str, path: Path) -> None:
    overwrite(path, b"<0:40>", b"!", shift=20_000)
    values, error = readable(url, "ticks", 0)
    assert values == [value(0, number) for number in range(40)]
    assert error is not None
    for part in (str(path), "ticks[0]", "offset 40", "last good offset is 39", "topics repair"):
        assert part in error
    damaged = path.read_bytes()
    (removed,) = repair(url)
    assert removed == Removed(
        topic="ticks", partition=0, first=40, last=COUNT - 1, reason=removed.reason
    )
    assert removed.records == 20
    assert "ticks[0]: removed offsets 40 to 59, 20 records" in str(removed)
    assert path.with_name("log.db.corrupt").read_bytes() == damaged
    assert readable(url, "ticks", 0) == ([value(0, number) for number in range(40)], None)
    assert readable(url, "ticks", 1) == ([value(1, number) for number in range(5, COUNT)], None)
    with open_log(url) as log:
        assert (log.start("ticks", 1), log.end("ticks", 1)) == (5, COUNT)
        assert (log.start("ticks", 0), log.end("ticks", 0)) == (0, 40)
        with pytest.raises(TruncatedError, match="0 to 39"):
            log.read("ticks", 0, 50)
        assert log.append([NewRecord("ticks", 0, b"on")]) == [40]
        small = log.last("small", 0)
        assert small is not None
        assert small.value == b"b"
        assert log.read("small", 0, 0).records[0].headers == (("h", b"v"),)
        assert log.topics()["small"].synced
        with log.writer("w") as writer:
            assert writer.number == 2
    assert repair(url) == []


@pytest.mark.parametrize("needle", [b"<1:30>", b"key-1-30."])
def test_a_page_overwritten_in_the_middle_is_found_and_cut(
    url: str, path: Path, needle: bytes
) -> None:
    """A page of values, which only the checksum shows; a page of the tree, which SQLite trips over."""
    at = path.read_bytes().find(needle)
    assert at > 0
    overwrite_page(path, at // PAGE_BYTES + 1)
    good = whole_until(path, 1, 5)
    assert 20 < good <= 30
    values, error = readable(url, "ticks", 1)
    assert error is not None
    assert values == [value(1, number) for number in range(5, good)]
    assert f"last good offset is {good - 1}" in error
    removed = [each for each in repair(url) if each.topic == "ticks" and each.partition == 1]
    assert [each.first for each in removed] == [good]
    assert readable(url, "ticks", 1) == (values, None)


def test_a_file_cut_short_is_mended(url: str, path: Path) -> None:
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size * 6 // 10)
    with pytest.raises(CorruptLogError, match="topics repair"), open_log(url) as log:
        log.read("ticks", 0, 0)
    good = [whole_until(path, 0, 0), whole_until(path, 1, 5)]
    removed = {(each.topic, each.partition): each for each in repair(url) if each.topic}
    for partition, start in ((0, 0), (1, 5)):
        values, error = readable(url, "ticks", partition)
        assert error is None
        assert values == [value(partition, start + number) for number in range(len(values))]
        assert removed["ticks", partition].first == good[partition] == start + len(values)
        assert 20 < len(values) < COUNT - 5
    with open_log(url) as log:
        log.append([NewRecord("ticks", 0, b"on"), NewRecord("small", 0, b"on")])


def test_a_partition_whose_tree_has_lost_its_root_is_emptied_and_the_others_kept(
    url: str, path: Path
) -> None:
    overwrite_page(path, root_page(path, "records_1"))
    with open_log(url) as log, pytest.raises(CorruptLogError, match="topics repair"):
        log.read("ticks", 0, 0)
    (removed,) = repair(url)
    assert (removed.topic, removed.partition, removed.first, removed.last) == ("ticks", 0, 0, None)
    assert removed.records is None
    assert "an unknown count" in str(removed)
    assert readable(url, "ticks", 0) == ([], None)
    assert len(readable(url, "ticks", 1)[0]) == COUNT - 5


def test_readers_of_a_partition_whose_end_is_damaged_read_up_to_it(url: str, path: Path) -> None:
    # The newest page alone, which is what tells where the partition ends.
    overwrite_page(path, path.read_bytes().find(b"key-0-%d." % (COUNT - 1)) // PAGE_BYTES + 1)
    with open_log(url) as log:
        where = ("ticks", 0)
        with pytest.raises(CorruptLogError):
            log.end(*where)
        assert set(log.news({where: 0, ("small", 0): 0})) == {where, ("small", 0)}
        assert log.wait({where: 0}, 0.0)
    values, error = readable(url, *where)
    assert values == [value(0, number) for number in range(len(values))]
    assert 0 < len(values) < COUNT
    assert error is not None


def test_lost_writers_are_told(url: str, path: Path) -> None:
    overwrite_page(path, root_page(path, "writers"))
    (removed,) = repair(url)
    assert removed.topic == ""
    assert "--new-epoch" in str(removed)
    with open_log(url) as log, log.writer("w") as writer:
        assert writer.number == 0


def test_a_log_without_a_readable_list_of_topics_is_left_as_it_is(url: str, path: Path) -> None:
    overwrite_page(path, root_page(path, "topics"))
    damaged = path.read_bytes()
    with pytest.raises(CorruptLogError, match="from the lake"):
        repair(url)
    assert path.read_bytes() == damaged
    assert not path.with_name("log.db.corrupt").exists()


def test_a_file_whose_first_page_is_lost_is_left_as_it_is(url: str, path: Path) -> None:
    overwrite_page(path, 1)
    with pytest.raises(CorruptLogError, match="from the lake"):
        repair(url)


def test_records_that_are_missing_in_the_middle_are_damage(url: str, path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM records_1 WHERE record_offset BETWEEN 20 AND 22")
    connection.commit()
    connection.close()
    values, error = readable(url, "ticks", 0)
    assert len(values) == 20
    assert error is not None
    assert "offsets 20 to 22 are missing" in error
    (removed,) = repair(url)
    assert (removed.first, removed.last) == (20, COUNT - 1)


def test_a_torn_write_ahead_log_loses_whole_commits_from_its_end(url: str, path: Path) -> None:
    """A power cut may tear what was not synced: what is left is a prefix of the commits."""
    log = open_log(url)
    for number in range(COUNT, COUNT + 20):
        log.append([NewRecord("ticks", p, value(p, number)) for p in (0, 1)])
    torn = path.with_name("torn.db")
    torn.write_bytes(path.read_bytes())
    wal = path.with_name("log.db-wal").read_bytes()
    log.close()
    torn.with_name("torn.db-wal").write_bytes(wal[: len(wal) // 2] + b"\x00" * 5000)
    with open_log(f"sqlite:///{torn}") as after:
        ends = {after.end("ticks", partition) for partition in (0, 1)}
        assert len(ends) == 1
        assert COUNT < ends.pop() < COUNT + 20
    assert repair(f"sqlite:///{torn}") == []


def test_damage_in_a_log_with_a_write_ahead_log_is_mended_and_both_files_are_kept(
    url: str, path: Path
) -> None:
    log = open_log(url)
    log.append([NewRecord("ticks", 0, b"in the WAL")])
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    wal = path.with_name("log.db-wal").read_bytes()
    copy.with_name("copy.db-wal").write_bytes(wal)
    log.close()
    overwrite(copy, b"<1:50>", b"!")
    (removed,) = repair(f"sqlite:///{copy}")
    assert (removed.partition, removed.first) == (1, 50)
    assert copy.with_name("copy.db.corrupt-wal").read_bytes() == wal
    assert not copy.with_name("copy.db-wal").exists()
    with open_log(f"sqlite:///{copy}") as after:
        last = after.last("ticks", 0)
        assert last is not None
        assert last.value == b"in the WAL"


def test_a_log_in_use_is_not_repaired(url: str) -> None:
    with open_log(url), pytest.raises(LogError, match="a program has it open"):
        repair(url)


def test_a_log_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="no such file"):
        repair(f"sqlite:///{tmp_path}/none.db")
    assert list(tmp_path.iterdir()) == []


def test_an_older_kept_file_is_not_overwritten(url: str, path: Path) -> None:
    for number in (1, 2):
        overwrite(path, b"<1:%d0>" % (6 - number), b"!")
        assert len(repair(url)) == 1
    assert path.with_name("log.db.corrupt").exists()
    assert path.with_name("log.db.corrupt2").exists()


def test_a_disk_without_room_for_the_copy_is_told_and_nothing_is_changed(
    url: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended with SQLite's own traceback."""

    def connect_small(copy: Path) -> sqlite3.Connection:
        new = connect(copy)
        new.execute("PRAGMA max_page_count=30")
        return new

    before = path.read_bytes()
    monkeypatch.setattr("connectors.sqlite_repair.connect", connect_small)
    with pytest.raises(LogError, match=r"cannot be written .*is full.*as much room as the log"):
        repair(url)
    assert path.read_bytes() == before
    assert not path.with_name("log.db.repaired").exists()
