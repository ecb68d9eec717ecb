"""The SQLite database file under the log: connections, the write queue, checkpoints, clear errors.

It knows nothing of records; `connectors.sqlite_log` does.
"""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Condition
from typing import Self

from connectors.commit_signal import CommitSignal, Watch
from connectors.crash_points import crash_point
from connectors.file_lock import FileLock
from connectors.log import CorruptLogError, LogError
from connectors.sqlite_checkpoint import LIMIT_BYTES, LOOK_BYTES, Checkpointer

# Larger pages read large records faster, and make small commits write more: a synced commit of two records writes
# 84 kB with 16 KiB and 131 kB with 32, and checkpoints are due the more often. Records of 150 kB are appended with
# 450 MB/s, 355 with 32 KiB, and read with 2.1 GB/s instead of 2.7.
PAGE_BYTES = 16384
# Of any version; SQLite's own largest.
_PAGE_MAX_BYTES = 65536
LAYOUT_VERSION = 1
APPLICATION_ID = 0x54464C47  # "TFLG"

# How long SQLite itself may wait for a lock that our queue does not cover: another program's, or recovery.
_BUSY_S = 30.0
# A page cache a connection; whole large records pass through it, so it need not hold the file.
_CACHE_KIB = 8192
# Statements are one or two a partition.
_STATEMENTS = 1024

# Connections of a parent process: a child must neither use nor close them (SQLite's rule on fork).
_abandoned: list[object] = []

_ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full: free space, then go on; nothing of this append was kept",
    sqlite3.SQLITE_READONLY: "the file is read-only: give this user the right to write it",
    sqlite3.SQLITE_PERM: "no permission: give this user the right to read and write it",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: does the folder exist, and may this user write it?",
    sqlite3.SQLITE_IOERR: "the disk failed to read or write: see the kernel's log; nothing was acknowledged",
    sqlite3.SQLITE_BUSY: f"another program has held it for {_BUSY_S:.0f} s: end that program",
    sqlite3.SQLITE_TOOBIG: "a record is larger than 1 GB: cut it into smaller ones",
}
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class SqliteFile:
    """A database file that threads and processes read and write together.

    Parameters
    ----------
    path : pathlib.Path
        Absolute path; the file and its folder are made where they are not there.
    schema : str
        Script that makes the tables of a new file.
    """

    def __init__(self, path: Path, schema: str) -> None:
        self.path = path
        self._closed = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._here = _Process(path)
        except OSError as error:
            raise LogError(
                f"log {path}: cannot be made: {error.strerror}; choose a folder that this user may write"
            ) from error
        try:
            with self.errors():
                self._create(schema)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for reads, in autocommit; another thread's read gets another."""
        process = self._process()
        with self.errors():
            connection = process.idle.pop() if process.idle else connect(self.path)
            try:
                yield connection
            finally:
                if self._closed:
                    connection.close()
                else:
                    process.idle.append(connection)

    @contextmanager
    def writing(
        self, *, synced: bool = False, size_bytes: int = LOOK_BYTES
    ) -> Iterator[sqlite3.Connection]:
        """One transaction, after those that came first in any process; all of it or nothing.

        Parameters
        ----------
        synced : bool
            Whether the commit (and all before it) is on disk when this returns.
        size_bytes : int
            How much it writes, about, if that is known.
        """
        with self._process().at_work(self._check_open) as process:
            with self.errors():
                process.checkpointer.make_room()
            with self.errors(), process.queue:
                connection = process.writer
                if connection is None:
                    connection = process.writer = connect(self.path)
                    process.synced = False
                if process.synced != synced:
                    # FULL syncs the write-ahead log at each commit; NORMAL only before a checkpoint.
                    connection.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
                    process.synced = synced
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    crash_point("sqlite: before COMMIT")
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            crash_point("sqlite: committed")
            process.commits.send()
            process.checkpointer.written(size_bytes)

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """A watch on the commits of every process; another thread's is another."""
        with self._process().commits.watching() as watch:
            yield watch

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Say of SQLite's errors which file, what is wrong and what to do."""
        try:
            yield
        except sqlite3.Error as error:
            if is_corrupt(error):
                raise self.corrupt(str(error)) from error
            advice = _ADVICE.get(self._reason(error), "this is a fault of Tapeflow: report it")
            raise LogError(f"log {self.path}: {error}: {advice}") from error

    def _reason(self, error: sqlite3.Error) -> int:
        """What went wrong: where the last page of a disk is taken, SQLite calls it a failure to write."""
        code = _primary(error)
        if code != sqlite3.SQLITE_IOERR:
            return code
        try:
            free = shutil.disk_usage(self.path.parent).free
        except OSError:
            return code
        return sqlite3.SQLITE_FULL if free < _PAGE_MAX_BYTES * 2 else code

    def corrupt(self, what: str) -> CorruptLogError:
        """The error for a damaged file whose last good offset is not known."""
        return CorruptLogError(
            f"log {self.path}: {what}; the last good offset is not known before repair: stop every "
            f"program that uses it, then `tapeflow topics repair` keeps what can be read"
        )

    def close(self) -> None:
        """Close this process's connections; the last one in any process folds the WAL into the file.

        A transaction of another thread, such as that of a snapshot, is waited for.
        """
        if self._closed:
            return
        self._closed = True
        if self._here.pid == os.getpid():
            with self.errors():
                self._here.close()

    def _check_open(self) -> None:
        if self._closed:
            raise LogError(f"log {self.path}: it was closed; open it again to use it")

    def _process(self) -> "_Process":
        self._check_open()
        if self._here.pid != os.getpid():
            _abandoned.append(self._here)
            self._here = _Process(self.path)
        return self._here

    def _create(self, schema: str) -> None:
        """Make the tables of a new file, and refuse one of another program or layout."""
        with self._here.queue:
            connection = connect(self.path)
            try:
                (layout,) = connection.execute("PRAGMA user_version").fetchone()
                (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                if layout == 0 and tables == 0:
                    create_tables(connection, schema, journal="WAL")
                    layout = LAYOUT_VERSION
            finally:
                connection.close()
        if layout != LAYOUT_VERSION:
            raise LogError(
                f"log {self.path}: layout {LAYOUT_VERSION} was needed, the file has {layout}: it belongs "
                "to another program or version of Tapeflow; name another file"
            )


class _Process:
    """What one process holds of the file; a forked child gets its own."""

    def __init__(self, path: Path) -> None:
        self.pid = os.getpid()
        self.idle: list[sqlite3.Connection] = []
        self.writer: sqlite3.Connection | None = None
        # Whether the writer syncs each commit, as `connect` leaves it.
        self.synced = False
        locks = locks_folder(path)
        locks.mkdir(exist_ok=True)
        self.queue = FileLock(locks / "write")
        # Held, shared, by all who have the log open, so that a repair knows that it is alone.
        self.use = FileLock(locks / "use")
        self.use.share()
        self.checkpointer = Checkpointer(path, self.queue, FileLock(locks / "checkpoint"), connect)
        self.commits = CommitSignal(locks / "commits")
        self._writers = 0
        self._left = Condition()

    @contextmanager
    def at_work(self, check_open: Callable[[], None]) -> Iterator[Self]:
        """For a transaction, if the file is open still: what is closed under one takes the program down."""
        with self._left:
            check_open()
            self._writers += 1
        try:
            yield self
        finally:
            with self._left:
                self._writers -= 1
                self._left.notify()

    def close(self) -> None:
        with self._left:
            self._left.wait_for(lambda: not self._writers)
        self.checkpointer.close()
        for connection in (*self.idle, self.writer):
            if connection is not None:
                connection.close()
        self.commits.close()
        self.use.close()
        self.queue.close()


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit that writes nothing and never checkpoints by itself."""
    connection = sqlite3.connect(
        path,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
    )
    try:
        # Before all others, and none of these may write: a commit here would be beside the queue, and a checkpoint of
        # it beside all other checkpoints, which `Checkpointer` says what for.
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute(f"PRAGMA cache_size=-{_CACHE_KIB}")
        # The WAL keeps its room when it starts anew: a commit that is synced then writes blocks that are there, and
        # does not wait until the file system has freed and found others.
        connection.execute(f"PRAGMA journal_size_limit={LIMIT_BYTES}")
        connection.execute("PRAGMA secure_delete=OFF")
        connection.execute("PRAGMA synchronous=NORMAL")
    except BaseException:
        connection.close()
        raise
    return connection


def create_tables(connection: sqlite3.Connection, schema: str, *, journal: str) -> None:
    """Make the tables of an empty file, in one transaction and with a journal mode, and sign it."""
    # What a trim frees can be given back; 7 % of an append of 150 kB. It is written into the file, and must be the first.
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute(f"PRAGMA journal_mode={journal}")
    connection.executescript(
        f"BEGIN IMMEDIATE; PRAGMA application_id={APPLICATION_ID}; "
        f"PRAGMA user_version={LAYOUT_VERSION}; {schema}; COMMIT"
    )


def locks_folder(path: Path) -> Path:
    """The folder of lock files beside a log."""
    return path.with_name(path.name + ".locks")


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is damaged."""
    return _primary(error) in _CORRUPT


def _primary(error: sqlite3.Error) -> int:
    """Primary result code; extended codes hold it in the low byte."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
