"""Reads ranges of log topics for the lander: rows decoded once, other records as they are."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from connectors.clock import CLOCK_TOPIC
from connectors.control import LANDINGS_TOPIC
from connectors.landed import Decoded
from connectors.landings import Span
from connectors.log import Log, LogError, Record, TopicConfig
from connectors.records import decode_rows, is_rows
from schemas.topic import Topic

# Small enough that a step over all topics stays within the lander's memory.
_READ_BYTES = 1 << 21
_SNAPSHOTS = "_snapshots."


@dataclass(kw_only=True)
class Piece:
    """What a range of a partition holds.

    Parameters
    ----------
    name : str
        Log topic.
    span : Span
        The range.
    rows : list of Decoded
        Records of rows, in order of offset.
    records : list of Record
        All records of the range, in order of offset.
    """

    name: str
    span: Span
    rows: list[Decoded] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)

    @property
    def row_count(self) -> int:
        """Rows in all its records."""
        return sum(one.batch.num_rows for one in self.rows)

    @property
    def weight(self) -> int:
        """Rows, or records where they are more: those of inboxes and control topics have no rows."""
        return max(self.row_count, len(self.records))

    @property
    def size_bytes(self) -> int:
        """Bytes of its records' keys and values in the log."""
        return sum(len(one.key or b"") + len(one.value or b"") for one in self.records)

    def after(self, start: int) -> "Piece":
        """The part of it from an offset on."""
        if start <= self.span.start:
            return self
        return Piece(
            name=self.name,
            span=Span(self.span.partition, min(start, self.span.end), self.span.end),
            rows=[one for one in self.rows if one.record.offset >= start],
            records=[one for one in self.records if one.offset >= start],
        )


def read_piece(
    log: Log, name: str, topic: Topic | None, partition: int, start: int, end: int | None = None
) -> Piece | None:
    """The next piece of a partition, of a few MiB; None where there is nothing to read.

    Parameters
    ----------
    log : Log
        Where.
    name : str
        Log topic.
    topic : Topic or None
        Declaration of its rows; None for a control topic.
    partition, start : int
        From where.
    end : int, optional
        Offset to stop before.
    """
    chunk = log.read(name, partition, start, max_bytes=_READ_BYTES)
    if chunk.next_offset <= start:
        return None
    stop = chunk.next_offset if end is None else min(chunk.next_offset, end)
    piece = Piece(name=name, span=Span(partition, start, stop))
    for record in chunk.records:
        if record.offset >= stop:
            break
        piece.records.append(record)
        if topic is not None and is_rows(record):
            piece.rows.append(Decoded(record, decode_rows(topic, record)))
    return piece


def read_span(log: Log, name: str, topic: Topic | None, span: Span) -> Piece:
    """Exactly a range, whole.

    Raises
    ------
    LogError
        Where the log has lost a part of it.
    """
    whole = Piece(name=name, span=span)
    at = span.start
    while at < span.end:
        piece = read_piece(log, name, topic, span.partition, at, span.end)
        if piece is None:
            raise LogError(
                f"{name}[{span.partition}]: the lander began to land offsets {span.start} to "
                f"{span.end}, and the log now ends at {at}: it has lost records; see "
                "`tapeflow topics repair`"
            )
        whole.rows += piece.rows
        whole.records += piece.records
        at = piece.span.end
    return whole


def landed_topics(
    configs: Mapping[str, TopicConfig], topics: Mapping[str, Topic]
) -> Iterator[tuple[str, Topic | None, int]]:
    """Log topics that land, with their declaration (None where records land as they are) and partition count.

    As they are land control topics and inboxes, in the lake alone. What its own writer trims is left out,
    as it may be gone before it has landed: snapshots and the clock's state, which can be computed again, and
    the lander's own records.
    """
    inboxes = {topic.inbox_name for topic in topics.values() if topic.inbox}
    for name, config in configs.items():
        control = name.startswith("_") and name not in {LANDINGS_TOPIC, CLOCK_TOPIC}
        if name in topics:
            yield name, topics[name], config.partitions
        elif name in inboxes or (control and not name.startswith(_SNAPSHOTS)):
            yield name, None, config.partitions
