"""The rows that a comparison is of: computed again from a shard's inputs, or as a log has them."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

from connectors.control import progress_topic
from connectors.log import Log, Record
from connectors.records import decode_rows, event_times, is_rows
from connectors.scan import scan_records
from flows.engines.commits import Commits
from flows.engines.progress import Positions, read_progress
from flows.engines.recompute import computed
from flows.engines.segments import Segment
from flows.engines.sides import InputSpan
from flows.engines.stretches import Stretch
from flows.flow import Emit, Flow, InputRows
from schemas.arrays import Int64s
from schemas.codec import HEADER_COMMIT, HEADER_FLOW, HEADER_SHARD
from schemas.faults import LATE
from schemas.topic import Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class RowPlace:
    """Where a row is in a log."""

    topic: str
    partition: int
    offset: int
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Rows of one output topic, in order, and where they are from.

    Parameters
    ----------
    topic : Topic
        Whose rows.
    batch : pyarrow.RecordBatch
        The rows.
    index : numpy.ndarray of int64 or None
        Their places in the record; None for all of them.
    record : Record or None
        That holds them; None for rows that were just computed.
    segment : InputRows or None
        The input's rows that were taken in when they were computed; None at watermark rows.
    input : str
        Log topic of ``segment``.
    """

    topic: Topic
    batch: pa.RecordBatch
    index: Int64s | None = None
    record: Record | None = None
    segment: InputRows | None = None
    input: str = ""

    def place_of(self, at: int) -> RowPlace | None:
        """Where row ``at`` of the batch is in the log."""
        if self.record is None:
            return None
        row = at if self.index is None else int(self.index[at])
        return RowPlace(
            topic=self.record.topic,
            partition=self.record.partition,
            offset=self.record.offset,
            row=row,
        )


class RowSource(Protocol):
    """One side of a comparison."""

    def rows(self, names: Collection[str] | None = None) -> Iterator[Found]:
        """The rows of output topics (all where None), each key's in order."""

    def inputs_of(self, found: Found) -> list[InputSpan]:
        """What was read when rows were emitted."""


@dataclass(frozen=True)
class ComputedRows:
    """What a shard gives when its stretch is computed again.

    Parameters
    ----------
    log : Log
        With the inputs; nothing is written to it.
    kind : type of Flow
        The flow.
    stretch : Stretch
        Of one of its shards.
    on_segment : callable or None
        Told of every segment that was taken in: its log topic, and its rows.
    """

    log: Log
    kind: type[Flow]
    stretch: Stretch
    on_segment: Callable[[str, Segment], None] | None = None

    def rows(self, names: Collection[str] | None = None) -> Iterator[Found]:
        """The rows of output topics (all where None), each key's in order."""
        stretch = self.stretch
        epochs = [part.on(self.log, self.kind, stretch.shard) for part in stretch.parts]
        first = len(stretch.warm)
        for step in computed(self.log, self.kind, stretch.shard, epochs, stretch.start):
            name = self.kind.inputs[step.segment.input].name
            if self.on_segment is not None:
                self.on_segment(name, step.segment)
            if step.place < first:
                continue
            for one in step.outputs:
                if isinstance(one, Emit) and (names is None or one.topic.name in names):
                    found = Found(
                        topic=one.topic, batch=one.batch, segment=step.segment.rows, input=name
                    )
                    yield from within(stretch, found)

    def inputs_of(self, found: Found) -> list[InputSpan]:
        """The segment: rows of one input that the flow was given together."""
        rows = found.segment
        if rows is None:
            return []
        return [
            InputSpan(
                topic=found.input,
                partition=rows.partition,
                first_offset=int(rows.offset[0]),
                last_offset=int(rows.offset[-1]),
                first_row=int(rows.row[0]),
                last_row=int(rows.row[-1]),
            )
        ]


@dataclass(frozen=True)
class LoggedRows:
    """What a log has of a shard's stretch.

    Parameters
    ----------
    log : Log
        With the outputs.
    kind : type of Flow
        The flow.
    stretch : Stretch
        Of one of its shards.
    """

    log: Log
    kind: type[Flow]
    stretch: Stretch

    def rows(self, names: Collection[str] | None = None) -> Iterator[Found]:
        """The rows of output topics (all where None), each key's in order."""
        topics = self.log.topics()
        within_stretch = Membership(self.log, self.kind, self.stretch)
        for topic in (*self.kind.outputs, LATE):
            # A run of other flows has none of this one's topics, and so no rows.
            if topic.name not in topics or (names is not None and topic.name not in names):
                continue
            for partition in range(topics[topic.name].partitions):
                for record in scan_records(self.log, topic.name, partition):
                    if is_rows(record) and within_stretch.has(record):
                        found = Found(topic=topic, batch=decode_rows(topic, record), record=record)
                        yield from within(self.stretch, found)

    def inputs_of(self, found: Found) -> list[InputSpan]:
        """What the commit that the rows came with had read since the one before it."""
        commit = None if found.record is None else found.record.header(HEADER_COMMIT)
        if commit is None:
            return []
        before, ends = self._positions_at(int(commit))
        return [
            InputSpan(topic=topic, partition=partition, first_offset=start, last_offset=end - 1)
            for topic, places in ends.items()
            for partition, end in places.items()
            if (start := before.get(topic, {}).get(partition, end)) < end
        ]

    def _positions_at(self, number: int) -> tuple[Positions, Positions]:
        """Input positions before a commit and at it; of millions of records only these two are kept."""
        first = self.log.start(progress_topic(self.kind.name), self.stretch.shard)
        before: Positions = {}
        for _, one in read_progress(self.log, self.kind, self.stretch.shard, first):
            if one.number == number:
                return before, one.positions
            before = one.positions
        return {}, {}


class Membership:
    """Which records a comparison is of.

    Parameters
    ----------
    log : Log
        That has them.
    kind : type of Flow
        The flow.
    stretch : Stretch
        Of one of its shards.
    """

    def __init__(self, log: Log, kind: type[Flow], stretch: Stretch) -> None:
        self._flow = f"{kind.name}/".encode()
        self._shard = str(stretch.shard).encode()
        self._after = stretch.after
        # One for all records: it asks the log once how far the flow has come, not once a record.
        self._commits = Commits(log=log, kind=kind, upto={stretch.shard: stretch.upto})

    def has(self, record: Record) -> bool:
        """Whether a record is of the shard, of a commit that is compared.

        A record of the shard without a commit number, or of one that no progress record tells of, is in
        sight always: it is a fault.
        """
        by = record.header(HEADER_FLOW) or b""
        if not by.startswith(self._flow) or record.header(HEADER_SHARD) != self._shard:
            return False
        commit = record.header(HEADER_COMMIT)
        if commit is not None and int(commit) <= self._after:
            return False
        return self._commits.has(record)


def within(stretch: Stretch, found: Found) -> Iterator[Found]:
    """The rows whose event time is compared."""
    if stretch.from_ns is None and stretch.to_ns is None:
        yield found
        return
    times = event_times(found.topic, found.batch)
    mask = np.ones(len(times), dtype=np.bool_)
    if stretch.from_ns is not None:
        mask &= times >= stretch.from_ns
    if stretch.to_ns is not None:
        mask &= times < stretch.to_ns
    if mask.all():
        yield found
    elif mask.any():
        index = np.flatnonzero(mask)
        yield Found(
            topic=found.topic,
            batch=found.batch.take(pa.array(index)),
            index=index,
            record=found.record,
            segment=found.segment,
            input=found.input,
        )
