"""The contract of a topic log: append, atomic append by a fenced writer, read from a position.

`connectors.sqlite_log` and `connectors.kafka` implement it and pass one contract test-suite. The log
knows bytes only; `connectors.records` knows what they hold.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

Headers = tuple[tuple[str, bytes], ...]

# Parts of a partition that an estimate of it looks at: its error is a few percent.
SAMPLES = 128
_STRETCH_BYTES = 1 << 16


class LogError(RuntimeError):
    """The log cannot do what was asked; the message says what, where and how to mend it."""


class UnknownTopicError(LogError):
    """A topic or partition that the log does not have."""


class FencedError(LogError):
    """A writer that a newer copy of it has replaced, or whose commit number is not the next one."""


class CorruptLogError(LogError):
    """A torn or corrupt log; names the file and the last good offset."""


class TruncatedError(LogError):
    """A position outside the log: below its start (retention) or above its end (records lost)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicConfig:
    """How the log keeps a topic.

    Parameters
    ----------
    name : str
        Topic name.
    partitions : int
        Count; fixed when the topic is made.
    retention_ns : int or None
        Minimum age before a record may be cut; None for ever.
    synced : bool
        Whether an append is on disk before it is acknowledged.
    """

    name: str
    partitions: int
    retention_ns: int | None = None
    synced: bool = False


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to append."""

    topic: str
    partition: int
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class Record:
    """A record in the log; ``append_time_ns`` is UTC, set by the log at the append."""

    topic: str
    partition: int
    offset: int
    append_time_ns: int
    key: bytes | None
    headers: Headers
    value: bytes | None

    def header(self, name: str) -> bytes | None:
        """The first header of that name, or None."""
        for known, value in self.headers:
            if known == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one read gave.

    ``next_offset`` is where to read on. Offsets may have gaps (Kafka's transaction markers), so it can
    lie beyond the last record's offset + 1, and can move although ``records`` is empty.
    """

    records: tuple[Record, ...]
    next_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What the records of a few consecutive offsets amount to.

    Parameters
    ----------
    first, stop : int
        The offsets, ``stop`` excluded.
    records, rows, size_bytes : int
        Records in them, rows by their headers, and bytes of keys, headers and values.
    """

    first: int
    stop: int
    records: int
    rows: int
    size_bytes: int


class Writer(ABC):
    """A named writer whose commits are atomic, numbered from 1, and fenced.

    Opening a writer of a name fences every earlier copy of it: their next `commit` raises
    `FencedError` and appends nothing.
    """

    name: str

    @property
    @abstractmethod
    def number(self) -> int:
        """Number of the last commit of this name; 0 before the first."""

    @abstractmethod
    def commit(self, records: Sequence[NewRecord], number: int) -> list[int]:
        """Append records to any topics, all or none, as commit ``number``.

        Parameters
        ----------
        records : sequence of NewRecord
            In the order in which they get offsets within their partitions.
        number : int
            Must be ``self.number + 1``.

        Returns
        -------
        list of int
            Offset of each record.

        Raises
        ------
        FencedError
            Where a newer copy of the writer was opened or the number is not the next one.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the writer's resources back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Log(ABC):
    """A topic log. One instance may be used from several threads; several processes may share a log."""

    url: str
    # Whether the newest records of a flow may be here without the progress record of their commit: so in a
    # copy such as the lake, never in a log.
    may_end_within_a_commit: bool = False

    @abstractmethod
    def create_topic(self, config: TopicConfig) -> None:
        """Make a topic if it is not there.

        Raises
        ------
        LogError
            Where it is there with another partition count.
        """

    def create_topics(self, configs: Sequence[TopicConfig]) -> None:
        """`create_topic` of several, by distinct names: a log that is far away makes them all at once."""
        for config in configs:
            self.create_topic(config)

    @abstractmethod
    def topics(self) -> dict[str, TopicConfig]:
        """The topics by name, control topics included, in order of name."""

    def counts_now(self) -> dict[str, int]:
        """How many partitions each topic has by now, where others may add some; empty where nobody can tell at once.

        For who looks now and again, and has other things to do.
        """
        return {}

    @abstractmethod
    def append(self, records: Sequence[NewRecord]) -> list[int]:
        """Append records and return their offsets once the log has acknowledged them.

        Order within a partition is the order given. Not fenced; atomic only where the log says so.
        """

    @abstractmethod
    def writer(self, name: str) -> Writer:
        """Open a writer, fencing every earlier copy of the same name."""

    @abstractmethod
    def read(self, topic: str, partition: int, offset: int, *, max_bytes: int = 8 << 20) -> Chunk:
        """Committed records from ``offset`` on, without waiting; at least one if there is one.

        Raises
        ------
        UnknownTopicError
            Where there is no such topic or partition.
        TruncatedError
            Where ``offset`` is below the start or above the end.
        CorruptLogError
            Where a record's bytes are not those that were appended.
        """

    @abstractmethod
    def start(self, topic: str, partition: int) -> int:
        """The first offset kept."""

    @abstractmethod
    def end(self, topic: str, partition: int) -> int:
        """The offset that follows the last committed record (and marker)."""

    @abstractmethod
    def last(self, topic: str, partition: int) -> Record | None:
        """The newest committed record, or None."""

    @abstractmethod
    def wait(self, positions: Mapping[tuple[str, int], int], timeout_s: float) -> bool:
        """Sleep until a partition may have a record at or beyond its position, or the time is over.

        Returns
        -------
        bool
            Whether there is something to read; False after ``timeout_s``.
        """

    def news(self, positions: Mapping[tuple[str, int], int]) -> list[tuple[str, int]]:
        """Which partitions a `read` may have something to say of at their position, without waiting; in order.

        For who follows many partitions. All of them, where to ask the log would take longer than to read.
        """
        return list(positions)

    @abstractmethod
    def trim(self, topic: str, partition: int, before: int) -> None:
        """Cut the records whose offset is below ``before``."""

    def give_back(self) -> int:
        """Give the space of records that were cut back to the file system; how many bytes.

        A log that does so by itself returns 0.
        """
        return 0

    def stretches(self, topic: str, partition: int, count: int = SAMPLES) -> list[Stretch]:
        """What evenly spread parts of a partition hold, for estimates that read little.

        Parameters
        ----------
        topic, partition : str, int
            Which.
        count : int
            How many parts; a log in which each costs more may take fewer.

        Returns
        -------
        list of Stretch
            In order, none overlapping another; all of the partition where it is small.
        """
        start, end = self.start(topic, partition), self.end(topic, partition)
        found: list[Stretch] = []
        at = start
        for number in range(count):
            at = max(at, start + number * (end - start) // count)
            if at >= end:
                break
            chunk = self.read(topic, partition, at, max_bytes=_STRETCH_BYTES)
            found.append(_stretch(at, chunk))
            at = chunk.next_offset
        return found

    def offset_at(self, topic: str, partition: int, time_ns: int) -> int:
        """The first offset whose record was appended at or after a time; the end where none was."""
        low, high = self.start(topic, partition), self.end(topic, partition)
        while low < high:
            middle = (low + high) // 2
            chunk = self.read(topic, partition, middle, max_bytes=1)
            if chunk.records and chunk.records[0].append_time_ns < time_ns:
                low = chunk.records[0].offset + 1
            else:
                high = middle
        return low

    @abstractmethod
    def delete_topic(self, name: str) -> None:
        """Delete a topic with all its records."""

    def unended(self) -> dict[tuple[str, int], int]:
        """Offsets that are behind a transaction which has not ended, by partition: what nobody reads yet.

        Of logs whose transactions others can hold open (Kafka); those of others end with their program.
        """
        return {}

    def note_positions(self, group: str, positions: Mapping[tuple[str, int], int]) -> None:
        """Show where a program is to the log's own tools, if it has some (Kafka's consumer groups).

        For monitoring only: called after each commit, returns at once, and never fails.

        Parameters
        ----------
        group : str
            The program, such as ``tapeflow.bars``.
        positions : mapping of (topic, partition) to int
            Offset from which it reads on; other partitions of the group stay as they are.
        """
        del group, positions

    @abstractmethod
    def close(self) -> None:
        """Give all resources back."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _stretch(first: int, chunk: Chunk) -> Stretch:
    headers = sum(
        len(name) + len(value) for record in chunk.records for name, value in record.headers
    )
    bodies = sum(len(record.key or b"") + len(record.value or b"") for record in chunk.records)
    rows = (record.header("rows") for record in chunk.records)
    return Stretch(
        first=first,
        stop=max(chunk.next_offset, first + 1),
        records=len(chunk.records),
        rows=sum(int(text) for text in rows if text is not None and text.isdigit()),
        size_bytes=headers + bodies,
    )


def open_log(url: str) -> Log:
    """The log that a URL names.

    Parameters
    ----------
    url : str
        ``sqlite:///path/to/log.db`` or ``kafka://host:port[,host:port]``; ``lake:///path/to/lake`` reads
        what has landed there as a log.

    Raises
    ------
    LogError
        For any other URL.
    """
    scheme = url.partition("://")[0]
    if scheme == "sqlite":
        from connectors.sqlite_log import SqliteLog  # noqa: PLC0415 - only the log in use is loaded

        return SqliteLog(url)
    if scheme == "kafka":
        from connectors.kafka import KafkaLog  # noqa: PLC0415 - only the log in use is loaded

        return KafkaLog(url)
    if scheme == "lake":
        from connectors.lake_log import LakeLog  # noqa: PLC0415 - only the log in use is loaded

        return LakeLog(url)
    raise LogError(
        f"log URL {url!r}: the scheme must be sqlite or kafka, as in sqlite:///data/log.db "
        "or kafka://127.0.0.1:9092, or lake to read what has landed, as in lake:///data/lake"
    )
