"""What a partition of the SQLite log holds, told without reading it: sizes by samples, offsets by append time."""

import sqlite3
from collections.abc import Iterator

from connectors.log import Stretch
from connectors.sqlite_catalog import Place
from connectors.sqlite_rows import decode_headers, table
from schemas.codec import HEADER_ROWS

# Of a value only its length is asked, for which SQLite leaves its overflow pages unread.
_SIZES = (
    "record_offset, ifnull(length(key), 0) + length(headers) + ifnull(length(value), 0), headers"
)


def stretches(connection: sqlite3.Connection, place: Place, count: int) -> list[Stretch]:
    """Records evenly spread over a partition, or all of them where there are no more than ``count``."""
    start, end = place.start(connection), place.end(connection)
    if end - start <= count:
        query = f"SELECT {_SIZES} FROM {table(place.id)} WHERE record_offset >= ?"  # noqa: S608 - an integer of ours
        rows = connection.execute(query, (start,)).fetchall()
    else:
        rows = list(_spread(connection, place, start, end, count))
    return [
        Stretch(
            first=offset,
            stop=offset + 1,
            records=1,
            size_bytes=size,
            rows=_rows(headers),
        )
        for offset, size, headers in rows
    ]


def offset_at(connection: sqlite3.Connection, place: Place, time_ns: int) -> int:
    """The first offset whose record was appended at or after a time; append times never fall."""
    low, high = place.start(connection), place.end(connection)
    query = f"SELECT append_time_ns FROM {table(place.id)} WHERE record_offset = ?"  # noqa: S608 - an integer of ours
    while low < high:
        middle = (low + high) // 2
        row = connection.execute(query, (middle,)).fetchone()
        if row is not None and row[0] < time_ns:
            low = middle + 1
        else:
            high = middle
    return low


def _spread(
    connection: sqlite3.Connection, place: Place, start: int, end: int, count: int
) -> Iterator[tuple[int, int, bytes]]:
    query = f"SELECT {_SIZES} FROM {table(place.id)} WHERE record_offset = ?"  # noqa: S608 - an integer of ours
    for at in range(count):
        row = connection.execute(query, (start + at * (end - start) // count,)).fetchone()
        if row is not None:
            yield row


def _rows(headers: bytes) -> int:
    for name, value in decode_headers(headers):
        if name == HEADER_ROWS and value.isdigit():
            return int(value)
    return 0
