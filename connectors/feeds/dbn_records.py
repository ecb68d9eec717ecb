"""The records of a DBN file as numpy arrays: `MboMsg` has one layout in all versions of DBN."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from connectors.feeds.archive import ByteStream
from connectors.feeds.source import BrokenFileError, Fault
from schemas.arrays import Int64s

# "DBN", the version, and the length of the metadata behind it.
HEADER_BYTES = 8
_WORD_BYTES = 4
_MBO_TYPE = 0xA0
# The undefined time 2**64 - 1 reads as -1.
MBO = np.dtype(
    [
        ("length", "u1"),
        ("rtype", "u1"),
        ("publisher_id", "<u2"),
        ("instrument_id", "<u4"),
        ("ts_event", "<i8"),
        ("order_id", "<u8"),
        ("price", "<i8"),
        ("size", "<u4"),
        ("flags", "u1"),
        ("channel_id", "u1"),
        ("action", "u1"),
        ("side", "u1"),
        ("ts_recv", "<i8"),
        ("ts_in_delta", "<i4"),
        ("sequence", "<u4"),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Records:
    """Consecutive records.

    Parameters
    ----------
    values : numpy.ndarray of `MBO`, shape (n,)
        The market-by-order messages.
    lines : numpy.ndarray of int64, shape (n,)
        Their numbers in the file, from 1, ascending; records of other types have numbers too.
    faults : tuple of Fault
        Records of other types.
    last_line : int
        Number of the last record read.
    """

    values: np.ndarray[Any, Any]
    lines: Int64s
    faults: tuple[Fault, ...]
    last_line: int

    def joined(self, other: "Records") -> "Records":
        """These and the next ones."""
        return Records(
            values=np.concatenate([self.values, other.values]),
            lines=np.concatenate([self.lines, other.lines]),
            faults=(*self.faults, *other.faults),
            last_line=other.last_line,
        )

    def split(self, at: int) -> tuple["Records", "Records | None"]:
        """The first so many, and the others if there are any."""
        if at == len(self.values):
            return self, None
        last_line = int(self.lines[at]) - 1
        split = sum(fault.line <= last_line for fault in self.faults)
        head = Records(
            values=self.values[:at],
            lines=self.lines[:at],
            faults=self.faults[:split],
            last_line=last_line,
        )
        tail = Records(
            values=self.values[at:],
            lines=self.lines[at:],
            faults=self.faults[split:],
            last_line=self.last_line,
        )
        return head, tail


def read_records(stream: ByteStream, start: int, records: int) -> Iterator[Records]:
    """A file's records, in blocks.

    Parameters
    ----------
    stream : ByteStream
        The file.
    start : int
        Bytes before the first record.
    records : int
        How many a block has, about.

    Raises
    ------
    BrokenFileError
        Behind the last whole record, where the file breaks off.
    """
    held: list[bytes] = []
    held_bytes = -start
    line = 0
    broken: BrokenFileError | None = None
    chunks = iter(stream)
    while True:
        try:
            chunk = next(chunks, b"")
        except BrokenFileError as error:
            broken, chunk = error, b""
        held.append(chunk)
        held_bytes += len(chunk)
        if chunk and held_bytes < records * MBO.itemsize:
            continue
        data = b"".join(held)
        block, done = _records(data, max(0, len(data) - held_bytes), line)
        held, held_bytes = [data[done:]], len(data) - done
        if block.last_line > line:
            yield block
            line = block.last_line
        if held_bytes and data[done] == 0:
            broken = BrokenFileError(
                f"{stream.path}: the DBN file is damaged, a record of no length"
            )
        if not chunk or broken is not None:
            break
    if broken is None and held_bytes:
        broken = BrokenFileError(f"{stream.path}: the DBN file is truncated")
    if broken is not None:
        raise BrokenFileError(f"{broken} behind record {line}") from broken


def _records(data: bytes, at: int, line: int) -> tuple[Records, int]:
    """The whole records of some bytes from a place on, and where they end."""
    values: list[np.ndarray[Any, Any]] = []
    lines: list[Int64s] = []
    faults: list[Fault] = []
    while at < len(data):
        found = np.frombuffer(data, MBO, (len(data) - at) // MBO.itemsize, at)
        wrong = (found["length"] != MBO.itemsize // _WORD_BYTES) | (found["rtype"] != _MBO_TYPE)
        good = int(wrong.argmax()) if wrong.any() else len(found)
        if good:
            values.append(found[:good])
            lines.append(np.arange(line + 1, line + good + 1))
            at, line = at + good * MBO.itemsize, line + good
        # A record of another type or length, or the crumb of one.
        size = data[at] * _WORD_BYTES if at + 1 < len(data) else 0
        if size == 0 or at + size > len(data):
            break
        line += 1
        kind = f"record type {data[at + 1]:#04x}: only 0xa0 (market by order) of 56 bytes is fed"
        faults.append(Fault(line, kind, data[at : at + size]))
        at += size
    block = Records(
        values=np.concatenate(values) if values else np.empty(0, MBO),
        lines=np.concatenate(lines) if lines else np.empty(0, np.int64),
        faults=tuple(faults),
        last_line=line,
    )
    return block, at
