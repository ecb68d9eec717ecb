"""A part of a topic on its way into a sink: its ranges, rows as one table, and its records' particulars."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from connectors.landed import landed_table
from connectors.landing_tail import Piece
from connectors.landings import Span
from connectors.log import Record
from connectors.records import is_rows
from schemas.topic import Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """Ranges of one topic.

    Parameters
    ----------
    spans : tuple of Span
        At most one a partition, in order of partition.
    rows : pyarrow.Table or None
        Landed rows, each partition's in order of offset and row; None without any.
    records : list of Record
        All records of the ranges; without the value where it is in ``rows``.
    appended : list of (int, int)
        Append time in ns and row count of each record of rows.
    """

    spans: tuple[Span, ...]
    rows: pa.Table | None
    records: list[Record]
    appended: list[tuple[int, int]]

    @property
    def row_count(self) -> int:
        """Rows in it."""
        return 0 if self.rows is None else int(self.rows.num_rows)

    @property
    def size_bytes(self) -> int:
        """Memory that it holds, nearly."""
        values = sum(len(record.value or b"") + 200 for record in self.records)
        return values + (0 if self.rows is None else int(self.rows.nbytes))


def portion_of(topic: Topic | None, pieces: Sequence[Piece]) -> Portion:
    """One portion of pieces of one topic."""
    decoded = [one for piece in pieces for one in piece.rows]
    return Portion(
        spans=_joined(piece.span for piece in pieces),
        rows=landed_table(topic, decoded) if topic is not None and decoded else None,
        records=[
            # What others wrote to an inbox may say that it is rows; it is kept as it came.
            replace(record, value=None) if topic is not None and is_rows(record) else record
            for piece in pieces
            for record in piece.records
        ],
        appended=[(one.record.append_time_ns, one.batch.num_rows) for one in decoded],
    )


def merged(portions: Sequence[Portion]) -> Portion:
    """One portion of several that follow each other."""
    if len(portions) == 1:
        return portions[0]
    tables = [one.rows for one in portions if one.rows is not None]
    rows = pa.concat_tables(tables).combine_chunks() if tables else None
    return Portion(
        spans=_joined(span for one in portions for span in one.spans),
        rows=rows,
        records=[record for one in portions for record in one.records],
        appended=[pair for one in portions for pair in one.appended],
    )


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    joined: dict[int, Span] = {}
    for span in spans:
        known = joined.get(span.partition)
        start = span.start if known is None else known.start
        joined[span.partition] = Span(span.partition, start, span.end)
    return tuple(joined[partition] for partition in sorted(joined))
