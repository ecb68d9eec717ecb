"""A feed file as validated batches: what a format refuses and what the topic rejects become faults."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.feeds.source import Block, Fault, FeedBatch, Source
from schemas.arrays import Int64s
from schemas.faults import PAYLOAD_BYTES_MAX
from schemas.validation import validate


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The event times that are wanted: from ``start_ns`` on, before ``end_ns``; None is open."""

    start_ns: int | None = None
    end_ns: int | None = None

    @property
    def open(self) -> bool:
        """Whether every time is wanted."""
        return self.start_ns is None and self.end_ns is None

    def overlaps(self, other: "Window") -> bool:
        """Whether some time lies in both."""
        return (self.end_ns is None or other.start_ns is None or other.start_ns < self.end_ns) and (
            other.end_ns is None or self.start_ns is None or self.start_ns < other.end_ns
        )


def batches(
    source: Source, *, after_line: int, window: Window, latest_ns: int
) -> Iterator[FeedBatch]:
    """The good rows of a file behind a line, in the file's order.

    Parameters
    ----------
    source : Source
        The file.
    after_line : int
        Lines up to this one are skipped.
    window : Window
        Rows of other event times are left out; they are no faults.
    latest_ns : int
        Wall time of reading: rows too far ahead of it are faults (see `schemas.validation`).

    Raises
    ------
    BrokenFileError
        Behind the last good batch, where the file breaks off.
    """
    for block in source.blocks(after_line):
        yield _checked(source, block, window, latest_ns)


def _checked(source: Source, block: Block, window: Window, latest_ns: int) -> FeedBatch:
    batch, lines = block.rows.batch, block.lines
    faults = list(block.faults)
    keep = np.ones(batch.num_rows, np.bool_)
    for reason, rows in block.rows.refused.items():
        faults += _faults(block, lines, np.flatnonzero(rows & keep), reason)
        keep &= ~rows
    batch, lines = _kept(batch, lines, keep)
    batch, lines, giants = _without_giants(batch, lines)
    faults += giants
    validated = validate(source.topic, batch, latest_ns)
    if len(validated.rejected):
        faults += [
            Fault(int(lines[at]), reason, block.text(int(lines[at])))
            for at, reason in zip(validated.rejected.tolist(), validated.reasons, strict=True)
        ]
        lines = np.delete(lines, validated.rejected)
        batch = validated.good
    batch, lines = _windowed(source, batch, lines, window)
    if len(faults) > len(block.faults):
        faults.sort(key=lambda fault: fault.line)
    return FeedBatch(
        topic=source.topic,
        batch=batch,
        lines=lines,
        faults=tuple(map(_without_large_text, faults)),
        skipped=block.skipped,
        last_line=block.last_line,
    )


def _without_giants(
    batch: pa.RecordBatch, lines: Int64s
) -> tuple[pa.RecordBatch, Int64s, list[Fault]]:
    """Rows that no record of the log could hold become faults, as those of intake do."""
    if batch.nbytes <= PAYLOAD_BYTES_MAX:
        return batch, lines, []
    sizes = np.zeros(batch.num_rows, np.int64)
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            lengths = pc.binary_length(column.dictionary).take(column.indices)
        elif pa.types.is_string(column.type) or pa.types.is_binary(column.type):
            lengths = pc.binary_length(column)
        else:
            continue
        sizes += lengths.fill_null(0).to_numpy(zero_copy_only=False)
    giants = np.flatnonzero(sizes > PAYLOAD_BYTES_MAX)
    faults = [
        Fault(
            int(lines[at]),
            f"a row of {sizes[at]} bytes; at most {PAYLOAD_BYTES_MAX} are taken",
            None,
        )
        for at in giants.tolist()
    ]
    keep = np.ones(batch.num_rows, np.bool_)
    keep[giants] = False
    return *_kept(batch, lines, keep), faults


def _without_large_text(fault: Fault) -> Fault:
    if fault.text is None or len(fault.text) <= PAYLOAD_BYTES_MAX:
        return fault
    reason = f"{fault.reason}; its {len(fault.text)} bytes are in the file alone"
    return Fault(fault.line, reason, None)


def _faults(block: Block, lines: Int64s, rows: Int64s, reason: str) -> list[Fault]:
    return [Fault(int(lines[at]), reason, block.text(int(lines[at]))) for at in rows.tolist()]


def _kept(
    batch: pa.RecordBatch, lines: Int64s, keep: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> tuple[pa.RecordBatch, Int64s]:
    if keep.all():
        return batch, lines
    return batch.filter(pa.array(keep)), lines[keep]


def _windowed(
    source: Source, batch: pa.RecordBatch, lines: Int64s, window: Window
) -> tuple[pa.RecordBatch, Int64s]:
    if window.open:
        return batch, lines
    times = batch.column(source.topic.event_time).view(pa.int64()).to_numpy(zero_copy_only=False)
    keep = np.ones(len(times), np.bool_)
    if window.start_ns is not None:
        keep &= times >= window.start_ns
    if window.end_ns is not None:
        keep &= times < window.end_ns
    return _kept(batch, lines, keep)
