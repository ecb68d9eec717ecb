"""What the WAL's own bytes say of how far it is filled agrees with SQLite's word for it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from connectors.sqlite_file import PAGE_BYTES, connect
from connectors.sqlite_wal import WriteAheadLog

FRAME_BYTES = PAGE_BYTES + 24


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def database(path: Path) -> Iterator[sqlite3.Connection]:
    """A database with one table, in WAL mode, as the log's are."""
    with closing(connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (v BLOB)")
        yield connection


@pytest.fixture
def wal(path: Path) -> Iterator[WriteAheadLog]:
    with closing(WriteAheadLog(path.with_name(path.name + "-wal"))) as one:
        yield one


def put(database: sqlite3.Connection, pages: int) -> None:
    database.execute("INSERT INTO t VALUES (?)", (b"x" * pages * PAGE_BYTES,))


def frames(database: sqlite3.Connection) -> int:
    """Frames of the WAL, as SQLite counts them; copies them, too."""
    _, count, _ = database.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(count)


def test_it_is_filled_as_far_as_sqlite_says_round_after_round(
    database: sqlite3.Connection, wal: WriteAheadLog
) -> None:
    # Later rounds are shorter and longer than those before: what an earlier one left must not count.
    for pages in (1, 40, 3, 17, 90, 2, 2):
        put(database, pages)
        filled = wal.filled_bytes()
        assert filled == frames(database) * FRAME_BYTES
        assert wal.reaches(filled - 1)
        assert not wal.reaches(filled)


def test_its_file_keeps_its_room_when_it_begins_anew(
    database: sqlite3.Connection, wal: WriteAheadLog, path: Path
) -> None:
    file = path.with_name("log.db-wal")
    put(database, 60)
    frames(database)
    room, before = file.stat().st_size, wal.round()
    put(database, 1)
    assert file.stat().st_size == room
    assert wal.round() != before
    assert wal.filled_bytes() < 10 * FRAME_BYTES


def test_commits_add_to_a_round_and_do_not_begin_another(
    database: sqlite3.Connection, wal: WriteAheadLog
) -> None:
    before, filled = wal.round(), wal.filled_bytes()
    put(database, 1)
    assert wal.round() == before
    assert wal.filled_bytes() > filled


def test_where_there_is_no_wal_nothing_is_filled(wal: WriteAheadLog, path: Path) -> None:
    assert wal.filled_bytes() == 0
    assert not wal.reaches(0)
    assert wal.round() == b""
    path.with_name("log.db-wal").write_bytes(b"")
    assert wal.filled_bytes() == 0
    assert not wal.reaches(0)


def test_a_wal_that_was_deleted_and_made_anew_is_seen(wal: WriteAheadLog, path: Path) -> None:
    for pages in (50, 2):
        with closing(connect(path)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS t (v BLOB)")
            put(connection, pages)
            assert wal.filled_bytes() == frames(connection) * FRAME_BYTES
        assert not path.with_name("log.db-wal").exists()
        assert wal.filled_bytes() == 0
