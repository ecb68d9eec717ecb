"""Foreign Avro records as rows of a topic: Confluent's framing, the writer's schema, columns.

A record is a zero byte, the schema's identifier in a registry (four bytes, big-endian) and one Avro record.
https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from flows.avro_schema import Column
from flows.kernels import avro
from schemas.arrays import Bools, Int64s
from schemas.foreign_arrow import ForeignArrowError, topic_rows
from schemas.json_faults import Fault
from schemas.topic import Topic

MAGIC = b"\x00"
HEADER_BYTES = 5

_WHY = {
    avro.ENDS_EARLY: "the record ends within {}",
    avro.LONG_VARINT: "{} is a number of more than 64 bits",
    avro.NO_BRANCH: "{} has a branch that its union has not",
    avro.NO_SYMBOL: "{} has a symbol that its enum has not",
    avro.BAD_LENGTH: "{} has a length below 0",
    avro.OUT_OF_RANGE: "{} is no int of 32 bits",
    avro.NO_BOOLEAN: "{} is neither true nor false",
    avro.BYTES_LEFT: "bytes are left behind {}",
}
# So few rows are converted one by one where they cannot be together: halving further costs more.
_FEW = 8


@dataclass(frozen=True, kw_only=True)
class AvroRows:
    """What records of one schema held.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Rows with the topic's schema, not validated.
    record : numpy.ndarray of int64
        Which of the records each row is.
    faults : list of Fault
        The rest, without payload.
    """

    batch: pa.RecordBatch
    record: Int64s
    faults: list[Fault]


def schema_ids(values: pa.Array) -> Int64s:
    """The schema identifier of each record; -1 where it has no such header."""
    data, starts, ends = _spans(values)
    framed = ends - starts >= HEADER_BYTES
    at = np.where(framed, starts, 0)
    if len(data) < HEADER_BYTES:
        return np.full(len(values), -1, dtype=np.int64)
    ids = np.zeros(len(values), dtype=np.int64)
    for byte in range(1, HEADER_BYTES):
        ids = (ids << 8) | data[at + byte]
    found: Int64s = np.where(framed & (data[at] == MAGIC[0]), ids, -1)
    return found


def decode_avro(topic: Topic, columns: tuple[Column, ...], values: pa.Array) -> AvroRows:
    """The rows of framed records of one schema, column-wise; broken ones are faults, never an exception.

    Parameters
    ----------
    topic : Topic
        What the rows are of.
    columns : tuple of Column
        The writer's schema.
    values : pyarrow.BinaryArray
        At least one record, none null, each with its header.
    """
    refusal = _refusal(topic, columns)
    if refusal is not None:
        faults = [
            Fault(record=row, row=None, reason=refusal, payload=None) for row in range(len(values))
        ]
        return AvroRows(batch=topic.empty(), record=np.empty(0, np.int64), faults=faults)
    data, starts, ends = _spans(values)
    read, lengths, valid, broken, at = avro.read_records(
        data,
        starts + HEADER_BYTES,
        ends,
        np.array([column.kind for column in columns], dtype=np.int64),
        np.array([column.null_branch for column in columns], dtype=np.int64),
        np.array([column.size for column in columns], dtype=np.int64),
    )
    names = [f"field {column.name!r}" for column in columns] + ["the last field"]
    faults = [
        Fault(
            record=row,
            row=None,
            reason=f"not Avro of its schema: {_WHY[int(broken[row])].format(names[int(at[row])])}",
            payload=None,
        )
        for row in np.flatnonzero(broken).tolist()
    ]
    good = np.flatnonzero(broken == 0)
    parts, records = [], []
    sources = [
        _Source(column=column, data=data, values=read[n], lengths=lengths[n], valid=valid[n])
        for n, column in enumerate(columns)
    ]
    for rows, batch in _halves(topic, sources, good):
        if isinstance(batch, str):
            faults += [Fault(record=int(row), row=0, reason=batch, payload=None) for row in rows]
        else:
            parts.append(batch)
            records.append(rows)
    if not parts:
        return AvroRows(batch=topic.empty(), record=np.empty(0, np.int64), faults=faults)
    table = pa.Table.from_batches(parts).combine_chunks()
    return AvroRows(
        batch=topic.batch(dict(zip(table.column_names, table.columns, strict=True))),
        record=np.concatenate(records),
        faults=faults,
    )


def _refusal(topic: Topic, columns: tuple[Column, ...]) -> str | None:
    """Why no record of these columns can be a row of the topic; None where some can.

    Asked once, of no rows: half by half, a wrong schema would be found out for each record anew.
    """
    table = pa.table(
        [pa.array([], column.type) for column in columns], names=[one.name for one in columns]
    )
    try:
        topic_rows(topic, table)
    except (ForeignArrowError, pa.ArrowException) as error:
        return str(error)
    return None


@dataclass(frozen=True, kw_only=True)
class _Source:
    column: Column
    data: Any
    values: Any
    lengths: Any
    valid: Any


def _halves(
    topic: Topic, sources: list[_Source], rows: Int64s
) -> Iterator[tuple[Int64s, pa.RecordBatch | str]]:
    """Convert all together; on a mistake half by half, until it is known whose it is."""
    if len(rows) == 0:
        return
    try:
        table = pa.table(
            [_array(source, rows) for source in sources],
            names=[source.column.name for source in sources],
        )
        yield rows, topic_rows(topic, table)
    except (ForeignArrowError, pa.ArrowException) as error:
        if len(rows) == 1:
            yield rows, str(error)
            return
        middle = len(rows) // 2 if len(rows) > _FEW else 1
        yield from _halves(topic, sources, rows[:middle])
        yield from _halves(topic, sources, rows[middle:])


def _array(source: _Source, rows: Int64s) -> pa.Array:
    """A field's values in the rows, checked.

    Raises
    ------
    pyarrow.ArrowInvalid
        Where a text is no UTF-8, or a decimal has more digits than its precision.
    """
    values, valid = source.values[rows], source.valid[rows]
    if source.column.kind == avro.NULL:
        return pa.nulls(len(rows))
    if source.column.kind in (avro.BYTES, avro.FIXED):
        return _bytes(source, values, np.where(valid, source.lengths[rows], 0), valid)
    return _numbers(source.column, values, None if valid.all() else ~valid)


def _numbers(column: Column, values: Int64s, mask: Bools | None) -> pa.Array:
    if column.kind == avro.ENUM:
        return pa.array(column.symbols, pa.string()).take(pa.array(values, mask=mask))
    if column.kind == avro.DOUBLE:
        return pa.array(values.view(np.float64), mask=mask)
    if column.kind == avro.FLOAT:
        return pa.array(values.astype(np.uint32).view(np.float32), mask=mask)
    if column.kind == avro.BOOLEAN:
        return pa.array(values.astype(np.bool_), mask=mask)
    whole = values.astype(np.int32) if column.kind == avro.INT else values
    return pa.array(whole, mask=mask).cast(column.type)


def _bytes(source: _Source, starts: Int64s, lengths: Int64s, valid: Bools) -> pa.Array:
    kind = source.column.type
    nulls = None
    if not valid.all():
        nulls = pa.py_buffer(np.packbits(valid, bitorder="little").tobytes())
    if pa.types.is_decimal(kind):
        if (lengths > kind.byte_width).any():
            raise pa.ArrowInvalid(f"field {source.column.name!r} has more than 38 digits")
        numbers = np.zeros((len(starts), kind.byte_width), dtype=np.uint8)
        avro.widen(source.data, starts, lengths, numbers)
        array = pa.Array.from_buffers(kind, len(starts), [nulls, pa.py_buffer(numbers)])
    else:
        offsets = np.zeros(len(starts) + 1, dtype=np.int32)
        np.cumsum(lengths, out=offsets[1:])
        joined = np.empty(int(offsets[-1]), dtype=np.uint8)
        avro.gather(source.data, starts, lengths, joined)
        array = pa.Array.from_buffers(
            kind, len(starts), [nulls, pa.py_buffer(offsets), pa.py_buffer(joined)]
        )
    array.validate(full=True)
    return array


def _spans(values: pa.Array) -> tuple[Any, Any, Any]:
    """All bytes, at least one, and where each record is in them."""
    _, offsets, data = values.buffers()
    places = np.frombuffer(offsets, dtype=np.int32)[values.offset :][: len(values) + 1]
    places = places.astype(np.int64)
    if data is None or data.size == 0:
        return np.zeros(1, dtype=np.uint8), places[:-1], places[1:]
    return np.frombuffer(data, dtype=np.uint8), places[:-1], places[1:]
