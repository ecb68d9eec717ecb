"""Wakes those who wait for the next commit to a log's file, in whatever process they are.

Each commit reads a byte of a file beside the log; Linux tells whoever watches that file (inotify) within some 50 us,
and a waiter costs nothing while nothing happens. Where there is no inotify, or no more of it, a waiter naps.
"""

import ctypes
import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

# From <sys/inotify.h>. Reads are told like writes are, and leave nothing for the disk to do.
_IN_ACCESS = 0x1
_IN_NONBLOCK = os.O_NONBLOCK
_IN_CLOEXEC = os.O_CLOEXEC
# Of 16 bytes each, and equal ones that follow one another are one.
_EVENTS_BYTES = 4096

# Without a signal: 2 % of a core a waiter, 3 % at half of it.
_NAP_S = 0.002


class Watch(Protocol):
    """What one waiter holds."""

    def clear(self) -> None:
        """Forget the commits so far: look at the log after this, then wait."""

    def wait(self, timeout_s: float) -> bool:
        """Sleep until a commit or the time is over, or somewhat shorter; whether there was a commit."""

    def close(self) -> None:
        """Give everything back."""


class CommitSignal:
    """The signal of one log, as one process has it; its threads may send and wait at once.

    Parameters
    ----------
    path : pathlib.Path
        A file that all processes of the log share; made where it is not there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        # A read of nothing would not be told. A hole takes no room: a log must open where the disk is full.
        os.ftruncate(self._descriptor, 1)
        self._idle: list[Watch] = []
        self._closed = False

    def send(self) -> None:
        """Wake all who wait, in 2 us."""
        os.pread(self._descriptor, 1, 0)

    @contextmanager
    def watching(self) -> Iterator[Watch]:
        """A watch that no other thread uses; commits from here on are noticed."""
        watch = self._idle.pop() if self._idle else self._new()
        try:
            yield watch
        finally:
            if self._closed:
                watch.close()
            else:
                self._idle.append(watch)

    def close(self) -> None:
        """Give the file and all watches back; one in use when it is left."""
        self._closed = True
        for watch in self._idle:
            watch.close()
        self._idle.clear()
        os.close(self._descriptor)

    def _new(self) -> Watch:
        try:
            return _Inotify(self._path)
        except OSError:
            return _Naps()


class _Inotify:
    """Sleeps in the kernel.

    Raises
    ------
    OSError
        Where the system has no inotify, or this user's instances are all in use (128 by default).
    """

    def __init__(self, path: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            begin, add = libc.inotify_init1, libc.inotify_add_watch
        except AttributeError as error:
            raise OSError("no inotify") from error
        self._descriptor = _checked(begin(_IN_NONBLOCK | _IN_CLOEXEC))
        try:
            _checked(add(self._descriptor, os.fsencode(path), _IN_ACCESS))
        except OSError:
            os.close(self._descriptor)
            raise
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    def clear(self) -> None:
        """Forget the commits so far."""
        try:
            os.read(self._descriptor, _EVENTS_BYTES)
        except BlockingIOError:
            return

    def wait(self, timeout_s: float) -> bool:
        """Sleep until a commit, or the time is over."""
        return bool(self._poll.poll(timeout_s * 1000))

    def close(self) -> None:
        """Give the instance back."""
        os.close(self._descriptor)


class _Naps:
    """Sleeps for a little, again and again."""

    def clear(self) -> None:
        """Nothing is remembered."""

    def wait(self, timeout_s: float) -> bool:
        """Sleep for a nap."""
        time.sleep(min(_NAP_S, timeout_s))
        return False

    def close(self) -> None:
        """Nothing is held."""


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
