"""What a shard has read, decoded: rows or watermark rows of one input, with their positions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
import pyarrow as pa

from connectors.log import Record
from connectors.records import decode_each, decode_watermarks, is_rows, is_watermarks
from flows.flow import INBOX_SCHEMA, FlowError, Input, InputRows

# Records smaller than this are joined, so that a trickle of tiny records costs one call of the flow.
_JOIN_BELOW_ROWS = 2_048
_JOIN_UP_TO_ROWS = 16_384


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Rows or watermark rows of one input; exactly one of ``rows`` and ``watermarks`` is set.

    Parameters
    ----------
    input : int
        Which of the flow's inputs.
    rows : InputRows or None
        Rows.
    watermarks : pyarrow.RecordBatch or None
        Watermark rows (``schemas.codec.WATERMARKS_SCHEMA``).
    """

    input: int
    rows: InputRows | None = None
    watermarks: Any = None

    @property
    def length(self) -> int:
        """Count of its rows or watermark rows."""
        batch = self.watermarks if self.rows is None else self.rows.batch
        return int(batch.num_rows)


def decode_records(at: int, declared: Input, records: Sequence[Record]) -> Iterator[Segment]:
    """The segments of consecutive records of one partition of an input, in order.

    Parameters
    ----------
    at : int
        Place of the input in the flow's ``inputs``.
    declared : Input
        The input.
    records : sequence of Record
        Records of one partition, in order of offset.

    Raises
    ------
    FlowError
        For a record that is neither rows nor watermarks; nobody but Tapeflow writes to a topic.
    CodecError
        For a record whose bytes are not rows of the topic.
    """
    if declared.inbox:
        if records:
            yield Segment(input=at, rows=_foreign(records))
        return
    joined: list[InputRows] = []
    total = 0
    decoded = decode_each(declared.topic, [record for record in records if is_rows(record)])
    for record in records:
        if is_rows(record):
            rows = _positioned(record, next(decoded))
            if total + rows.batch.num_rows > _JOIN_UP_TO_ROWS or not _small(rows):
                yield from _segments(at, joined)
                joined, total = [], 0
            joined.append(rows)
            total += rows.batch.num_rows
        elif is_watermarks(record):
            yield from _segments(at, joined)
            joined, total = [], 0
            yield Segment(input=at, watermarks=decode_watermarks(record))
        else:
            raise FlowError(
                f"{record.topic}[{record.partition}] at offset {record.offset}: neither rows nor "
                f"watermarks (headers {record.headers}); others must write to {declared.topic.inbox_name}"
            )
    yield from _segments(at, joined)


def _small(rows: InputRows) -> bool:
    return bool(rows.batch.num_rows < _JOIN_BELOW_ROWS)


def _segments(at: int, joined: list[InputRows]) -> Iterator[Segment]:
    filled = [rows for rows in joined if rows.batch.num_rows]
    if filled:
        yield Segment(input=at, rows=join_rows(filled))


def join_rows(parts: Sequence[InputRows]) -> InputRows:
    """The rows of several batches of one partition as one, in order; dictionaries are unified."""
    if len(parts) == 1:
        return parts[0]
    return InputRows(
        batch=join_batches([part.batch for part in parts]),
        partition=parts[0].partition,
        offset=np.concatenate([part.offset for part in parts]),
        row=np.concatenate([part.row for part in parts]),
    )


def join_batches(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    """The rows of several batches as one batch, whose dictionaries become one."""
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)


def _positioned(record: Record, batch: pa.RecordBatch) -> InputRows:
    return InputRows(
        batch=batch,
        partition=record.partition,
        offset=np.full(batch.num_rows, record.offset, dtype=np.int64),
        row=np.arange(batch.num_rows, dtype=np.int32),
    )


def _content_types(records: Sequence[Record]) -> pa.Array:
    # Most foreign producers send no headers, hundreds of thousands of times a second.
    if not any(map(attrgetter("headers"), records)):
        return pa.nulls(len(records), pa.string())
    found = [record.header("content-type") for record in records]
    return pa.array(
        [None if not value else value.decode(errors="replace") for value in found], pa.string()
    )


def _foreign(records: Sequence[Record]) -> InputRows:
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(list(map(attrgetter("value"), records)), pa.binary()),
            pa.array(list(map(attrgetter("append_time_ns"), records)), pa.int64()),
            _content_types(records),
        ],
        schema=INBOX_SCHEMA,
    )
    return InputRows(
        batch=batch,
        partition=records[0].partition,
        offset=np.fromiter(map(attrgetter("offset"), records), np.int64, len(records)),
        row=np.zeros(len(records), dtype=np.int32),
    )
