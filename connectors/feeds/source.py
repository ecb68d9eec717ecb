"""The contract of a feed format: what a reader of outside files gives, and its errors.

A format knows how a file's columns become a topic's; bytes, lines, faults, merging and appending are the
same for all of them and lie in `archive`, `text`, `reading`, `merge` and `append`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrays import Bools, Int64s
from schemas.topic import Topic


class FeedError(RuntimeError):
    """A feed that cannot go on; the message says which file, what was found and how to mend it."""


class BrokenFileError(FeedError):
    """A file that ends or breaks off before its end; the good lines before that were given."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that is no row: its number in the file (from 1), why, and its text."""

    line: int
    reason: str
    text: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Rows of a topic as a format understood them, before validation.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        With the topic's schema; ``ts_recv`` is ``ts_event`` until the rows are appended.
    refused : dict of str to numpy.ndarray of bool, shape (rows,)
        Reason to the rows that the format itself refuses for it.
    """

    batch: pa.RecordBatch
    refused: dict[str, Bools] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedBatch:
    """Good rows of one file in the file's order, with their lines and the lines that were no rows.

    Parameters
    ----------
    topic : Topic
        Of the rows.
    batch : pyarrow.RecordBatch
        Validated rows; ``ts_recv`` is set where they are appended.
    lines : numpy.ndarray of int64, shape (rows,)
        Line number of each row, ascending.
    faults : tuple of Fault
        Lines that were no rows, ascending.
    last_line : int
        The last line that the batch speaks of; the next one begins behind it.
    """

    topic: Topic
    batch: pa.RecordBatch
    lines: Int64s
    faults: tuple[Fault, ...] = ()
    last_line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What detection sees of a file: its path, its container and its first line."""

    path: Path
    container: str
    member: str
    first_line: bytes

    def __str__(self) -> str:
        inner = f" with member {self.member}" if self.member else ""
        return f"{self.path} ({self.container}{inner}), first line {self.first_line[:120]!r}"


class Source(ABC):
    """An opened file of one topic; iterating again reads it again from the start.

    ``bytes_done`` of ``bytes_total`` (of the file as it lies there, compressed or not) is progress.
    """

    topic: Topic
    path: Path
    bytes_done: int
    bytes_total: int

    @abstractmethod
    def blocks(self, after_line: int = 0) -> Iterator["Block"]:
        """The file's rows behind a line, in order, in blocks of bounded size.

        Raises
        ------
        BrokenFileError
            Behind the last good block, where the file breaks off.
        """

    @abstractmethod
    def scan(self) -> dict[str, int]:
        """Key to its first event time (ns) in the file, as cheaply as the format allows."""


class Block(ABC):
    """A block of a source: rows as understood, their lines, and lines that could not be read."""

    rows: Rows
    lines: Int64s
    faults: tuple[Fault, ...]
    last_line: int

    @abstractmethod
    def text(self, line: int) -> bytes:
        """The text of one of its lines, for the dead letter."""


class Format(ABC):
    """A kind of file that can be fed."""

    name: str
    summary: str

    @abstractmethod
    def matches(self, probe: Probe) -> bool:
        """Whether the file, by its name and first line, is of this format."""

    @abstractmethod
    def open(self, probe: Probe, block_bytes: int) -> Source:
        """Open a file of this format.

        Raises
        ------
        FeedError
            Where name or content lack what the format needs.
        """


def first_times(source: Source, *, whole: bool) -> dict[str, int]:
    """Key to its first event time (ns) in a source: of its first rows, or of a whole pass over it."""
    first: dict[str, int] = {}
    try:
        for block in source.blocks():
            batch = block.rows.batch
            times = pa.table(
                {
                    "key": batch.column(source.topic.key).cast(pa.string()),
                    "ts": pc.cast(batch.column(source.topic.event_time), pa.int64()),
                }
            )
            found = times.group_by("key").aggregate([("ts", "min")]).to_pydict()
            for key, ts in zip(found["key"], found["ts_min"], strict=True):
                if key is not None and ts is not None:
                    first[key] = min(ts, first.get(key, ts))
            if first and not whole:
                break
    except BrokenFileError:
        # What comes before the fault is fed, and the same error is met again, and told, on that way.
        return first
    return first
