"""The contract of a feed format: what a reader of outside files gives, and its errors.

A format knows how a file's columns become a topic's; bytes, lines, faults, merging and appending are the
same for all of them and lie in `archive`, `text`, `reading`, `merge` and `append`.

A file may be several parts: the topics that its messages go to, or the members of a zip. Each part is a
`Source` of one topic with a progress of its own. What is not lines has numbers all the same: "line" is then
the number of the message, packet or row in the file (or in the member), from 1.
"""

from abc import ABC, abstractmethod
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
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
    """A line that is no row: its number in the file (from 1), why, and its text; None where that is too large."""

    line: int
    reason: str
    text: bytes | None


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
    skipped : mapping of str to numpy.ndarray of int64
        Reason to the lines, ascending, that are left out for it by the format's own rules.
    last_line : int
        The last line that the batch speaks of; the next one begins behind it.
    """

    topic: Topic
    batch: pa.RecordBatch
    lines: Int64s
    faults: tuple[Fault, ...] = ()
    skipped: Mapping[str, Int64s] = field(default_factory=dict)
    last_line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What detection sees of a file.

    Parameters
    ----------
    path : pathlib.Path
        Where it lies.
    container : str
        ``plain``, ``gzip``, ``zstd``, ``zip`` or ``parquet``.
    member : str
        Of a zip the first member's name; empty otherwise.
    first_line : bytes
        Unpacked, without its end.
    members : tuple of str
        Of a zip all its members' names, in the order in which they lie there.
    head : bytes
        The first bytes unpacked (some kilobytes), for formats that are not lines.
    """

    path: Path
    container: str
    member: str
    first_line: bytes
    members: tuple[str, ...] = ()
    head: bytes = b""

    def __str__(self) -> str:
        inner = f" with member {self.member}" if self.member else ""
        return f"{self.path} ({self.container}{inner}), first line {self.first_line[:120]!r}"


class Source(ABC):
    """An opened file of one topic, or one part of a file; iterating again reads it again from the start.

    ``part`` names it within its file and is empty where it is the whole file. The name belongs to what
    was fed: it must be the same every time the file is opened. ``bytes_done`` of ``bytes_total`` (of the
    file as it lies there, compressed or not) is progress.
    """

    topic: Topic
    path: Path
    part: str = ""
    bytes_total: int

    @property
    @abstractmethod
    def bytes_done(self) -> int:
        """Bytes of the file read so far."""

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
    """A block of a source: rows as understood, their lines, and lines that could not be read.

    Lines ascend and may repeat: a message may give several rows. All rows of one line are in one block.
    ``skipped`` has, by reason, the lines (ascending) that the format leaves out by its own rules, such as
    heartbeats. Where a file has several parts, one of them tells the faults and skipped lines that
    belong to none.
    """

    rows: Rows
    lines: Int64s
    faults: tuple[Fault, ...]
    skipped: Mapping[str, Int64s] = {}
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

    def why_not(self, probe: Probe) -> str:
        """What speaks against a file that does not match, where that can be said; else nothing."""
        marked = probe.first_line.startswith(BOM_UTF8)
        return "it begins with a byte-order mark: save it without one" if marked else ""

    @abstractmethod
    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a file of this format: its parts, one or more, each with its own name.

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
            note_first_times(first, source.topic, block.rows)
            if first and not whole:
                break
    except BrokenFileError:
        # What comes before the fault is fed, and the same error is met again, and told, on that way.
        return first
    return first


def note_first_times(first: dict[str, int], topic: Topic, rows: Rows) -> None:
    """Note the event time (ns) of each key's first row, where it is earlier than what is known.

    Rows that the format refuses do not count: their time may be what is wrong with them.
    """
    batch = rows.batch
    if rows.refused and (refused := np.logical_or.reduce([*rows.refused.values()])).any():
        batch = batch.filter(pa.array(~refused))
    times = pa.table(
        {
            "key": batch.column(topic.key).cast(pa.string()),
            "ts": pc.cast(batch.column(topic.event_time), pa.int64()),
        }
    )
    found = times.group_by("key").aggregate([("ts", "min")]).to_pydict()
    for key, ts in zip(found["key"], found["ts_min"], strict=True):
        if key is not None and ts is not None:
            first[key] = min(ts, first.get(key, ts))
