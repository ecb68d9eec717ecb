"""Checkpoints of the SQLite log: its write-ahead log stays small, and appends hardly wait."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path

import pytest

from connectors import sqlite_checkpoint, sqlite_file
from connectors.file_lock import FileLock
from connectors.log import LogError, NewRecord, TopicConfig
from connectors.sqlite_log import SqliteLog


@pytest.fixture
def log(sqlite_log: SqliteLog) -> SqliteLog:
    """A log with one topic; a test may close it before its end."""
    sqlite_log.create_topic(TopicConfig(name="ticks", partitions=1))
    return sqlite_log


def test_the_wal_stays_bounded_while_readers_and_appenders_work(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_checkpoint, "CHECKPOINT_BYTES", 2 << 20)
    monkeypatch.setattr(sqlite_checkpoint, "LIMIT_BYTES", 8 << 20)
    wal = log.path.with_name("log.db-wal")
    largest = 0
    with ThreadPoolExecutor(1) as pool:
        ended = False

        def follow() -> int:
            at = 0
            while not ended or at < log.end("ticks", 0):
                if log.wait({("ticks", 0): at}, 0.05):
                    at = log.read("ticks", 0, at).next_offset
            return at

        following = pool.submit(follow)
        for number in range(600):
            log.append([NewRecord("ticks", 0, bytes([number % 256]) * 150_000)])
            largest = max(largest, wal.stat().st_size)
        ended = True
        assert following.result() == 600
    # One append more than the limit, and what came while the last checkpoint ran.
    assert largest < (8 << 20) + (2 << 20)
    log.close()
    assert not wal.exists()


def test_a_checkpoint_runs_by_itself_once_it_is_worth_it(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_checkpoint, "CHECKPOINT_BYTES", 1 << 20)
    log.append([NewRecord("ticks", 0, bytes(1 << 20))])
    before = log.path.stat().st_size
    deadline = time.monotonic() + 20
    while log.path.stat().st_size < before + (1 << 20):
        assert time.monotonic() < deadline, "the WAL was not folded into the file"
        time.sleep(0.01)


def test_a_new_connection_writes_nothing_and_copies_nothing(log: SqliteLog) -> None:
    """A setting that SQLite keeps in the file was a commit, and that commit a checkpoint: both beside all locks."""
    # More than the thousand pages from which on SQLite checkpoints by itself.
    log.append([NewRecord("ticks", 0, bytes(20 << 20))])
    wal = log.path.with_name(log.path.name + "-wal")
    before = wal.stat().st_size, wal.read_bytes()[-64:], log.path.read_bytes()
    with closing(sqlite_file.connect(log.path)) as connection:
        assert connection.execute("SELECT count(*) FROM topics").fetchone() == (1,)
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    assert (wal.stat().st_size, wal.read_bytes()[-64:], log.path.read_bytes()) == before


def test_the_long_passes_of_a_checkpoint_do_not_hold_up_appends(log: SqliteLog) -> None:
    """Only the short pass behind them does, which keeps the rest from growing while it is copied."""
    log.append([NewRecord("ticks", 0, bytes(150_000))] * 20)
    locks = sqlite_file.locks_folder(log.path)
    passes: list[bool] = []

    def connect(path: Path) -> sqlite3.Connection:
        connection = sqlite_file.connect(path)
        connection.set_trace_callback(append_while_at_it)
        return connection

    def append_while_at_it(statement: str) -> None:
        if "wal_checkpoint" in statement:
            appending = pool.submit(log.append, [NewRecord("ticks", 0, b"beside")])
            passes.append(appending in wait([appending], timeout=2).done)

    with ThreadPoolExecutor(2) as pool:
        checkpointer = sqlite_checkpoint.Checkpointer(
            log.path, FileLock(locks / "write"), FileLock(locks / "checkpoint"), connect
        )
        checkpointer._checkpoint(0, sqlite_checkpoint._PASSIVE)
    # The second pass finds what came beside the first.
    assert passes == [True, True, False]
    assert log.end("ticks", 0) == 23


def test_a_checkpoint_ends_where_nothing_came_beside_it(log: SqliteLog) -> None:
    """The commit with which the next pass begins has begun the WAL anew: there is nothing left to copy."""
    log.append([NewRecord("ticks", 0, bytes(150_000))] * 20)
    passes: list[str] = []

    def connect(path: Path) -> sqlite3.Connection:
        connection = sqlite_file.connect(path)
        connection.set_trace_callback(passes.append)
        return connection

    locks = sqlite_file.locks_folder(log.path)
    checkpointer = sqlite_checkpoint.Checkpointer(
        log.path, FileLock(locks / "write"), FileLock(locks / "checkpoint"), connect
    )
    checkpointer._checkpoint(1 << 20, sqlite_checkpoint._PASSIVE)
    assert [one for one in passes if "wal_checkpoint" in one] == [sqlite_checkpoint._PASSIVE]
    checkpointer.close()


def test_while_a_read_lasts_the_log_is_copied_step_by_step_and_not_at_every_append(
    log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_checkpoint, "CHECKPOINT_BYTES", 1 << 20)
    monkeypatch.setattr(sqlite_checkpoint, "_STEP_BYTES", 4 << 20)
    checkpointer = log._file._here.checkpointer
    log.append([NewRecord("ticks", 0, bytes(2 << 20))])
    copied: list[Path] = []
    with log._file.reading() as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM topics").fetchall()

        def connect(path: Path) -> sqlite3.Connection:
            copied.append(path)
            return sqlite_file.connect(path)

        monkeypatch.setattr(checkpointer, "_connect", connect)
        for _ in range(24):
            log.append([NewRecord("ticks", 0, bytes(500_000))])
            checkpointer._wanted.set()
            deadline = time.monotonic() + 20
            while checkpointer._wanted.is_set() or checkpointer._turn._mutex.locked():
                assert time.monotonic() < deadline
                time.sleep(0.001)
        connection.execute("COMMIT")
    # 12 MB came while the read lasted: a step each 4 MiB, and the one at its beginning.
    assert 2 <= len(copied) <= 5


def test_what_a_checkpoint_met_is_raised_before_the_next_append(log: SqliteLog) -> None:
    checkpointer = log._file._here.checkpointer
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    checkpointer._error = error
    with pytest.raises(LogError, match="the disk failed") as caught:
        log.append([NewRecord("ticks", 0, b"0")])
    assert caught.value.__cause__ is error
    assert log.append([NewRecord("ticks", 0, b"0")]) == [0]
