"""Folds SQLite's write-ahead log into the database file beside the appends, and bounds its size."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread

from connectors.file_lock import FileLock
from connectors.sqlite_wal import WriteAheadLog

# A checkpoint syncs the disk twice, and appends wait for its end. Small synced commits write 84 kB each: of orders
# that came one by one, every hundredth waited with a fourth of this size.
CHECKPOINT_BYTES = 128 << 20
# Beyond this, appenders wait for the checkpoint: the disk is slower than they are.
LIMIT_BYTES = 256 << 20
# A process looks at the WAL each time it has written so much: a look reads the file four times, and whoever commits
# single orders waits at each for the interpreter.
LOOK_BYTES = 1 << 20
# A read that lasts keeps the WAL from beginning anew: so much more is written before the next attempt.
_STEP_BYTES = 16 << 20
# A pass beside the appends that had no more to copy leaves little behind it, for which they wait.
_SHORT_FRAMES = 64
# Where they append as fast as it copies, it leaves what it leaves.
_PASSES_MAX = 4

_ADVANCE = "UPDATE checkpoints SET number = number + 1"
_PASSIVE = "PRAGMA wal_checkpoint(PASSIVE)"
# Waits for the reads that are going on, so that readers who never pause cannot keep the WAL growing.
_RESTART = "PRAGMA wal_checkpoint(RESTART)"


class Checkpointer:
    """Checkpoints in a thread of its own, started when there is something to do.

    A checkpoint copies most of the WAL while appends go on, pass after pass, until only few pages are left; these
    it copies while they wait, for two syncs of the disk. The next append starts the WAL anew, in the same file.

    All checkpoints of all processes go through one lock, and each unlocked pass begins with a tiny commit: so the
    WAL is never wholly copied when it begins, and no append can start it anew meanwhile.
    SQLite before 3.51.3 may lose commits where that happens (sqlite.org/wal.html#walresetbug).

    Parameters
    ----------
    path : pathlib.Path
        The database.
    queue : FileLock
        The lock of those who write.
    turn : FileLock
        The lock of those who checkpoint.
    connect : callable
        Opens a connection.
    """

    def __init__(
        self,
        path: Path,
        queue: FileLock,
        turn: FileLock,
        connect: Callable[[Path], sqlite3.Connection],
    ) -> None:
        self._path = path
        self._wal = WriteAheadLog(path.with_name(path.name + "-wal"))
        self._queue = queue
        self._turn = turn
        self._connect = connect
        self._wanted = Event()
        self._stopping = False
        self._thread: Thread | None = None
        self._starting = Lock()
        self._error: sqlite3.Error | None = None
        # Of this process, since it looked last; and whether it found the WAL beyond its limit.
        self._written_bytes = 0
        self._is_beyond = False
        # Which filling of the WAL was copied last, and from where on it is worth it again.
        self._copied = (b"", 0)

    def make_room(self) -> None:
        """Wait, before an append, where the WAL is beyond its limit.

        Raises
        ------
        sqlite3.Error
            What the last checkpoint met; raised before the append, which has then not been done.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if self._is_beyond:
            self._is_beyond = False
            with self._turn:
                self._checkpoint(LIMIT_BYTES, _RESTART)

    def written(self, size_bytes: int) -> None:
        """Say that about so much was appended."""
        self._written_bytes += size_bytes
        if self._written_bytes < LOOK_BYTES:
            return
        self._written_bytes = 0
        self._is_beyond = self._wal.reaches(LIMIT_BYTES)
        if self._is_due():
            self._start()
            self._wanted.set()

    def close(self) -> None:
        """End the thread."""
        self._stopping = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join()
        self._turn.close()
        self._wal.close()

    def _is_due(self) -> bool:
        if not self._wal.reaches(CHECKPOINT_BYTES):
            return False
        copied, again_bytes = self._copied
        return self._wal.round() != copied or self._wal.reaches(again_bytes)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = Thread(target=self._run, name="log-checkpoint", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            if self._stopping:
                return
            # What was appended while the last one ran has asked for this one, too.
            if not self._is_due() or not self._turn.try_acquire():
                continue  # another process is at it
            try:
                self._checkpoint(CHECKPOINT_BYTES, _PASSIVE)
            except sqlite3.Error as error:
                self._error = error  # raised to the next append: it must not go unseen
            finally:
                self._turn.release()

    def _checkpoint(self, at_least: int, rest: str) -> None:
        """One checkpoint, unless another process has just done it; ``rest`` is its last pass."""
        connection = self._connect(self._path)
        try:
            copied = 0
            for _ in range(_PASSES_MAX):
                with self._queue:
                    connection.execute(_ADVANCE)
                    if not self._wal.reaches(at_least):
                        return
                _, _, upto = connection.execute(_PASSIVE).fetchone()
                if upto - copied <= _SHORT_FRAMES:
                    break
                copied = upto
            with self._queue:
                connection.execute(rest).fetchone()
                self._copied = (self._wal.round(), self._wal.filled_bytes() + _STEP_BYTES)
        finally:
            connection.close()
