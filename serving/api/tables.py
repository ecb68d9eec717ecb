"""Rows as an answer: JSON, CSV or Arrow, as the client asks."""

from enum import StrEnum

import orjson
import polars as pl
import pyarrow as pa
from fastapi import Response

from schemas.field import CATEGORY, DECIMAL, TEXT, TIMESTAMP
from schemas.interrupts import uninterrupted
from schemas.json_codec import time_texts

ARROW_TYPE = "application/vnd.apache.arrow.stream"
CURSOR_HEADER = "X-Cursor"
"""Where the next page begins, in every format; JSON has it as ``cursor`` too."""


class Format(StrEnum):
    """What an answer is written in."""

    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


def lines_answer(lines: list[bytes], cursor: str | None = None) -> Response:
    """Rows that are JSON already."""
    body = b'{"rows":[%b],"cursor":%b}' % (b",".join(lines), orjson.dumps(cursor))
    return Response(body, media_type="application/json", headers=_headers(cursor))


def table_answer(batch: pa.RecordBatch, form: Format, cursor: str | None = None) -> Response:
    """Rows of a topic as CSV or Arrow."""
    if form is Format.CSV:
        return Response(_csv(batch), media_type="text/csv", headers=_headers(cursor))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return Response(sink.getvalue().to_pybytes(), media_type=ARROW_TYPE, headers=_headers(cursor))


def _csv(batch: pa.RecordBatch) -> bytes:
    """With a line of names; times as RFC 3339, decimals as they are, nothing where null."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    return uninterrupted(
        lambda: (
            pl.DataFrame({name: _csv_column(one) for name, one in columns.items()})
            .write_csv()
            .encode()
        )
    )


def _csv_column(column: pa.Array) -> pl.Series:
    if column.type == TIMESTAMP:
        return pl.Series(time_texts(column))
    return pl.Series(column.cast(TEXT) if column.type in (CATEGORY, DECIMAL) else column)


def _headers(cursor: str | None) -> dict[str, str]:
    return {} if cursor is None else {CURSOR_HEADER: cursor}
