"""The commands that made orders, read again from the log: what their retries are compared with."""

from collections.abc import Iterable, Iterator, Mapping
from heapq import heapify, heappop, heapreplace
from typing import Any

import pyarrow as pa

from connectors.log import Chunk, Log, TruncatedError
from connectors.records import decode_rows
from schemas.field import INT64
from schemas.orders import ORDERS
from serving.gateway.known_orders import Place, unpacked
from serving.gateway.order_rows import said

# Of one partition before it is the others' turn: some thousand orders.
_READ_BYTES = 1 << 20


def row_at(log: Log, place: int) -> pa.RecordBatch | None:
    """The row at a packed place; None where the log keeps it no more."""
    at = unpacked(place)
    record = _record_at(log, at)
    return None if record is None else record.slice(at.row, 1)


def words_at(log: Log, places: Iterable[int]) -> dict[int, dict[str, Any]]:
    """What clients said, by packed place; of places that the log keeps no more there is nothing.

    Each record is read once, however many of its rows are asked for: a batch that is given again has all of them.
    """
    records: dict[tuple[int, int], dict[int, Place]] = {}
    for place in places:
        at = unpacked(place)
        records.setdefault((at.partition, at.offset), {})[place] = at
    found: dict[int, dict[str, Any]] = {}
    for asked in records.values():
        batch = _record_at(log, next(iter(asked.values())))
        if batch is not None:
            rows = pa.array([at.row for at in asked.values()], INT64)
            found.update(zip(asked, said(batch.take(rows)), strict=True))
    return found


def chunks_by_time(log: Log, positions: Mapping[int, int]) -> Iterator[tuple[int, Chunk]]:
    """All of `orders` from offsets of partitions on, each partition in order, and the oldest first of what comes next."""
    behind = [(0, partition, at) for partition, at in positions.items()]
    heapify(behind)
    while behind:
        _, partition, at = behind[0]
        chunk = log.read(ORDERS.name, partition, at, max_bytes=_READ_BYTES)
        if chunk.next_offset == at:
            heappop(behind)
            continue
        times = [record.append_time_ns for record in chunk.records]
        heapreplace(behind, (max(times, default=0), partition, chunk.next_offset))
        yield partition, chunk


def _record_at(log: Log, at: Place) -> pa.RecordBatch | None:
    try:
        chunk = log.read(ORDERS.name, at.partition, at.offset, max_bytes=1)
    except TruncatedError:
        return None
    return decode_rows(ORDERS, chunk.records[0])
