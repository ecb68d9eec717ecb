"""A lock that several processes queue for, freed by the kernel when its holder dies."""

import fcntl
import os
from pathlib import Path
from threading import Lock


class FileLock:
    """An exclusive lock between processes (flock on a file) and between threads (a mutex).

    SQLite's own write lock is polled with sleeps, so that a busy writer starves the others; waiters for
    this one sleep in the kernel and are woken in turn.

    Parameters
    ----------
    path : pathlib.Path
        Lock file; made where it is not there. Its content is never read.
    """

    def __init__(self, path: Path) -> None:
        self._mutex = Lock()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def acquire(self) -> None:
        """Wait for the lock."""
        self._mutex.acquire()
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        except BaseException:
            self._mutex.release()
            raise

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        if not self._mutex.acquire(blocking=False):
            return False
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._mutex.release()
            return False
        return True

    def release(self) -> None:
        """Let the next one in."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._mutex.release()

    def share(self) -> None:
        """Say for the lifetime of this object that the file is in use; others may say so too."""
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def close(self) -> None:
        """Free the lock and the descriptor."""
        os.close(self._descriptor)

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: object) -> None:
        self.release()
