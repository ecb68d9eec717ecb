"""How far SQLite's write-ahead log is filled, which the size of its file does not say.

The file keeps its size when the log begins anew: a sync of blocks that are there writes them and no more, where one
of new blocks also commits the file system's journal, with what all others have given to it.
The frames tell: each carries the salts of the file's header, which are new at each beginning
(sqlite.org/walformat.html).
"""

import os
import struct
from pathlib import Path
from threading import Lock

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_PAGE_BYTES_AT = 8
_SALTS = slice(16, 24)
_SALTS_OF_FRAME = slice(8, 16)
_PAGE_BYTES = struct.Struct(">I")


class WriteAheadLog:
    """The WAL of a database, looked at from outside; never written.

    Parameters
    ----------
    path : pathlib.Path
        Its file; it need not be there yet, and may be deleted and made anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._using = Lock()

    def round(self) -> bytes:
        """What tells one filling of the WAL from the next: its salts; empty where there is none."""
        return self._header()[_SALTS]

    def reaches(self, size_bytes: int) -> bool:
        """Whether it is filled so far, in 4 us.

        True, too, where all of it was copied into the database and no commit has begun anew yet.
        """
        header = self._header()
        frame = _frame_bytes(header)
        return bool(frame) and self._is_filled(header, frame, size_bytes // frame)

    def filled_bytes(self) -> int:
        """How far it is filled."""
        header = self._header()
        frame = _frame_bytes(header)
        if not frame:
            return 0
        first, after = 0, self._size() // frame + 1
        while first < after:
            middle = (first + after) // 2
            if self._is_filled(header, frame, middle):
                first = middle + 1
            else:
                after = middle
        return first * frame

    def close(self) -> None:
        """Give the descriptor back."""
        with self._using:
            self._forget()

    def _is_filled(self, header: bytes, frame_bytes: int, number: int) -> bool:
        """Whether a frame, counted from 0, was written since the WAL began anew."""
        frame = self._read(_FRAME_HEADER_BYTES, _HEADER_BYTES + number * frame_bytes)
        return frame[_SALTS_OF_FRAME] == header[_SALTS]

    def _header(self) -> bytes:
        header = self._read(_HEADER_BYTES, 0)
        return header if len(header) == _HEADER_BYTES else b""

    def _read(self, count: int, at: int) -> bytes:
        with self._using:
            descriptor = self._opened()
            return b"" if descriptor is None else os.pread(descriptor, count, at)

    def _size(self) -> int:
        with self._using:
            descriptor = self._opened()
            return 0 if descriptor is None else os.fstat(descriptor).st_size

    def _opened(self) -> int | None:
        """A descriptor of the file of now: the last connection of all processes deletes it."""
        if self._descriptor is not None and not os.fstat(self._descriptor).st_nlink:
            self._forget()
        if self._descriptor is None:
            try:
                # None of SQLite's locks lies on this file, so that a close frees none.
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
        return self._descriptor

    def _forget(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _frame_bytes(header: bytes) -> int:
    """Size of a frame; 0 where there is no WAL."""
    if not header:
        return 0
    (page_bytes,) = _PAGE_BYTES.unpack_from(header, _PAGE_BYTES_AT)
    return _FRAME_HEADER_BYTES + int(page_bytes)
