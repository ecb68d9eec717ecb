"""Rows of a topic as JSON: objects, arrays of objects, or lines, for inboxes and the API.

A time is written as RFC 3339 text with nine decimals, and read from such text or from whole ns since
1970 UTC; a decimal is a string, bytes are base64. A field left out, or null, has its declared default.
An unknown field, a wrong type, a field given twice: the row is a fault with its reason, and only it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.arrays import Bools, Int64s
from schemas.field import BYTES, CATEGORY, DECIMAL, TEXT, TIMESTAMP, Field
from schemas.interrupts import uninterrupted
from schemas.json_faults import Fault, JsonFaultError, normal_row
from schemas.json_reader import (
    JsonMismatchError,
    JsonRows,
    read_arrays,
    read_objects,
)
from schemas.json_units import BLANKS, Unit, Units, lines_of
from schemas.topic import Topic

# So few texts are read one by one when they cannot be read together: halving further costs more.
_FEW = 32


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """What records held.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        n rows with the topic's schema, in order of record and row, not validated: a field that was
        not given is null even if it must not be.
    record, row : numpy.ndarray of int64, shape (n,)
        Where each row was.
    faults : list of Fault
        The rest, in the same order.
    """

    batch: pa.RecordBatch
    record: Int64s
    row: Int64s
    faults: list[Fault]


@dataclass(frozen=True, kw_only=True)
class _Part:
    columns: pa.RecordBatch
    record: Int64s
    row: Int64s


@dataclass(frozen=True, kw_only=True)
class _Texts:
    """Texts that should be an object each, and where each was; ``whole`` where it is a record."""

    texts: pa.Array
    record: Int64s
    row: Int64s
    whole: Bools


def decode_json(topic: Topic, records: pa.Array) -> Decoded:
    """The rows of JSON records, column-wise; malformed ones are faults, never an exception.

    Parameters
    ----------
    topic : Topic
        What the rows are of.
    records : pyarrow.BinaryArray
        Each an object, an array of objects, or lines of objects; none null.

    Returns
    -------
    Decoded
        Every record gives a row or a fault at least.
    """
    if len(records) == 0:
        return _decoded(topic, [], [])
    parts: list[_Part] = []
    units = Units()
    objects, arrays, others = _sorted_out(records)
    for group, rows in _halves(topic, objects.texts, read_objects):
        if rows is not None:
            parts.append(
                _Part(columns=rows.columns, record=objects.record[group], row=objects.row[group])
            )
            continue
        for at in group.tolist():
            units.add_text(
                int(objects.record[at]),
                int(objects.row[at]),
                objects.texts[at].as_py(),
                whole=bool(objects.whole[at]),
            )
    for group, rows in _halves(topic, records.take(pa.array(arrays)), read_arrays):
        if rows is not None and (rows.lengths > 0).all():
            parts.append(_part(arrays[group], rows))
        else:
            others = np.concatenate([others, arrays[group]])
    for number in others.tolist():
        units.add_record(number, records[number].as_py())
    parts += _read_alone(topic, units)
    return _decoded(topic, parts, units.faults)


def encode_lines(topic: Topic, batch: pa.RecordBatch) -> bytes:
    """A batch as JSON lines; nulls are written as null, and each line ends with a line feed."""
    import polars as pl  # noqa: PLC0415 - a sixth of a second, which `run` spends only where others have written JSON

    def written() -> bytes:
        columns = []
        for field, column in zip(topic.fields, batch.columns, strict=True):
            series = pl.Series(field.name, _json_column(field, column))
            columns.append(series.bin.encode("base64") if field.type == BYTES else series)
        return pl.DataFrame(columns).write_ndjson().encode()

    return uninterrupted(written)


def time_texts(column: pa.Array) -> pa.Array:
    """Times as RFC 3339, such as ``2024-05-01T12:00:00.000000000Z``."""
    # Of a time with a zone Arrow looks the zone up, row by row: five times the work. Without one it writes a blank
    # where the T belongs, and nothing behind.
    texts = column.cast(pa.timestamp("ns")).cast(TEXT)
    return pc.binary_join_element_wise(pc.utf8_replace_slice(texts, 10, 11, "T"), "Z", "")


def _json_column(field: Field, column: pa.Array) -> pa.Array:
    if field.type == TIMESTAMP:
        return time_texts(column)
    if field.type == DECIMAL:
        return _decimal_texts(column)
    return column.cast(TEXT if field.type == CATEGORY else field.type)


def _decimal_texts(column: pa.Array) -> pa.Array:
    """Decimals with all their places: Arrow writes zero as 0E-10, which whoever cuts at the point misreads."""
    texts = column.cast(TEXT)
    powers = pc.match_substring(texts, "E").fill_null(False)
    if not pc.any(powers).as_py():
        return texts
    found = texts.filter(powers).dictionary_encode()
    whole = pa.array([format(Decimal(text), "f") for text in found.dictionary.to_pylist()], TEXT)
    return pc.replace_with_mask(texts, powers, whole.take(found.indices))


def _sorted_out(records: pa.Array) -> tuple[_Texts, Int64s, Int64s]:
    """Texts of objects, numbers of records that begin as an array, and of all others."""
    first = _first_bytes(records)
    numbers = np.arange(len(records), dtype=np.int64)
    broken = _has_line_feed(records)
    is_object = first == ord("{")
    arrays = numbers[first == ord("[")]
    others = numbers[~is_object & (first != ord("["))]
    plain = numbers[is_object & ~broken]
    if len(plain) == len(records):
        zeros, whole = np.zeros(len(records), dtype=np.int64), np.ones(len(records), dtype=np.bool_)
        return _Texts(texts=records, record=plain, row=zeros, whole=whole), arrays, others
    texts = [records.take(pa.array(plain))]
    record, row = [plain], [np.zeros(len(plain), dtype=np.int64)]
    alone = [np.ones(len(plain), dtype=np.bool_)]
    unlike = []
    for number in numbers[is_object & broken].tolist():
        data = records[number].as_py()
        lines = lines_of(data)
        if not all(line.lstrip(BLANKS).startswith(b"{") for line in lines):
            unlike.append(number)
            continue
        texts.append(pa.array([data] if len(lines) == 1 else lines, BYTES))
        record.append(np.full(len(lines), number, dtype=np.int64))
        row.append(np.arange(len(lines), dtype=np.int64))
        alone.append(np.full(len(lines), len(lines) == 1))
    objects = _Texts(
        texts=pa.concat_arrays(texts),
        record=np.concatenate(record),
        row=np.concatenate(row),
        whole=np.concatenate(alone),
    )
    return objects, arrays, np.concatenate([others, np.array(unlike, dtype=np.int64)])


def _first_bytes(records: pa.Array) -> Any:
    """First byte of each record; 0 where it is empty. Blanks in front make a record a rare one."""
    starts, data = _spans(records)
    found = data[np.minimum(starts[:-1], len(data) - 1)]
    return np.where(starts[1:] > starts[:-1], found, 0)


def _has_line_feed(records: pa.Array) -> Bools:
    starts, data = _spans(records)
    feeds = np.flatnonzero(data == ord("\n"))
    found: Bools = np.diff(np.searchsorted(feeds, starts)) > 0
    return found


def _spans(records: pa.Array) -> tuple[Any, Any]:
    """Where each record starts (and the last ends), and the bytes, at least one."""
    _, offsets, data = records.buffers()
    starts = np.frombuffer(offsets, dtype=np.int32)[records.offset :][: len(records) + 1]
    if data is None or data.size == 0:
        return starts, np.zeros(1, dtype=np.uint8)
    return starts, np.frombuffer(data, dtype=np.uint8)


def _halves(
    topic: Topic, texts: pa.Array, read: Callable[[Topic, pa.Array], JsonRows], start: int = 0
) -> Iterator[tuple[Int64s, JsonRows | None]]:
    """Read all together; on a mistake half by half, until few are left: those are given unread."""
    count = len(texts)
    if count == 0:
        return
    try:
        rows = read(topic, texts)
    except JsonMismatchError:
        if count > _FEW:
            yield from _halves(topic, texts[: count // 2], read, start)
            yield from _halves(topic, texts[count // 2 :], read, start + count // 2)
            return
        rows = None
    yield np.arange(start, start + count, dtype=np.int64), rows


def _part(numbers: Int64s, rows: JsonRows) -> _Part:
    starts = np.cumsum(rows.lengths) - rows.lengths
    row = np.arange(rows.columns.num_rows, dtype=np.int64) - np.repeat(starts, rows.lengths)
    return _Part(columns=rows.columns, record=np.repeat(numbers, rows.lengths), row=row)


def _read_alone(topic: Topic, units: Units) -> list[_Part]:
    """Units one by one: a fault each, or a text that can be read together with the others."""
    good: list[Unit] = []
    texts = []
    for unit in units.found:
        try:
            texts.append(normal_row(topic, unit.value))
            good.append(unit)
        except JsonFaultError as fault:
            units.faults.append(_fault(unit, fault))
    parts = []
    for group, rows in _halves(topic, pa.array(texts, BYTES), read_objects):
        some = [good[at] for at in group.tolist()]
        if rows is not None:
            record = np.array([unit.record for unit in some], dtype=np.int64)
            row = np.array([unit.row for unit in some], dtype=np.int64)
            parts.append(_Part(columns=rows.columns, record=record, row=row))
            continue
        for unit, at in zip(some, group.tolist(), strict=True):
            # The two readers disagree, as on a lone surrogate: the strict one has the last word.
            try:
                columns = read_objects(topic, pa.array([texts[at]], BYTES)).columns
            except JsonMismatchError as mismatch:
                units.faults.append(_fault(unit, mismatch))
            else:
                one = np.ones(1, dtype=np.int64)
                parts.append(_Part(columns=columns, record=one * unit.record, row=one * unit.row))
    return parts


def _fault(unit: Unit, why: Exception) -> Fault:
    return Fault(record=unit.record, row=unit.row, reason=str(why), payload=unit.payload)


def _decoded(topic: Topic, parts: list[_Part], faults: list[Fault]) -> Decoded:
    faults.sort(key=lambda fault: (fault.record, -1 if fault.row is None else fault.row))
    if not parts:
        none = np.empty(0, dtype=np.int64)
        return Decoded(batch=topic.empty(), record=none, row=none, faults=faults)
    record = np.concatenate([part.record for part in parts])
    row = np.concatenate([part.row for part in parts])
    columns = pa.concat_batches([part.columns for part in parts])
    steps = np.diff(record)
    if (steps < 0).any() or ((steps == 0) & (np.diff(row) < 0)).any():
        order = np.lexsort((row, record))
        record, row = record[order], row[order]
        columns = columns.take(pa.array(order))
    filled = {}
    for field in topic.fields:
        column = columns.column(field.name)
        if field.default is not None:
            column = column.fill_null(field.default)
        filled[field.name] = column
    return Decoded(batch=topic.batch(filled), record=record, row=row, faults=faults)
