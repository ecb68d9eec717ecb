"""Rows of a topic from tuples, and columns as lists: Arrow is left and entered once a batch, not once a value."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from flows.columns import chosen, codes_or_end, times_ns
from flows.orders.money import decimal_column, scaled_ints
from schemas.field import CATEGORY, DECIMAL, INT64, TEXT, TIMESTAMP, Field
from schemas.topic import Topic

# Columns of one row that are kept: words, most of which every order says again. Beyond accounts and symbols of a shard.
_KEPT = 16_384

_ZERO = pa.array([0], pa.int32())


def batch_of(topic: Topic, rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    """A batch of rows that have the topic's fields in order.

    Parameters
    ----------
    topic : Topic
        Whose rows.
    rows : sequence of tuple
        At least one; decimals as scaled integers, times as ns since 1970 UTC.
    """
    if len(rows) == 1:
        return _batch_of_one(topic, rows[0])
    columns = zip(*rows, strict=True)
    arrays = [column_of(field, values) for field, values in zip(topic.fields, columns, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=topic.schema)


def column_of(field: Field, values: Sequence[Any]) -> pa.Array:
    """A field's values as a column: decimals are scaled integers, times ns since 1970 UTC, None is null."""
    if field.nullable and values.count(None) == len(values):
        return pa.nulls(len(values), field.type)
    if field.type == DECIMAL:
        return decimal_column(values)
    if field.type == CATEGORY:
        return pa.array(values, TEXT).dictionary_encode()
    if field.type == TIMESTAMP:
        return pa.array(values, pa.int64()).view(TIMESTAMP)
    return pa.array(values, field.type)


def _batch_of_one(topic: Topic, row: Sequence[Any]) -> pa.RecordBatch:
    """As `batch_of`, to the byte: of a column's 10 us nearly all are Arrow finding out what a list of one holds."""
    arrays = [
        nothing if value is None else column(value)
        for (column, nothing), value in zip(_columns_of_one(topic), row, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=topic.schema)


# Topic by name, which is found sooner than a declaration, whose hash is that of all its fields.
_OF_ONE: dict[str, tuple[Topic, list[tuple[Callable[[Any], pa.Array], pa.Array]]]] = {}


def _columns_of_one(topic: Topic) -> list[tuple[Callable[[Any], pa.Array], pa.Array]]:
    """Of each field what makes a column of one value, and the column of null."""
    of, made = _OF_ONE.get(topic.name, (None, []))
    if of is not topic:
        made = [
            (_MAKERS.get(field.type) or _other(field.type), pa.nulls(1, field.type))
            for field in topic.fields
        ]
        _OF_ONE[topic.name] = topic, made
    return made


@lru_cache(_KEPT)
def _one_word(word: str) -> pa.Array:
    return chosen(pa.array([word], TEXT), _ZERO)


@lru_cache(_KEPT)
def _one_decimal(value: int) -> pa.Array:
    return decimal_column([value])


def _one_int(value: int) -> pa.Array:
    return pa.Array.from_buffers(
        INT64, 1, [None, pa.py_buffer(value.to_bytes(8, "little", signed=True))]
    )


def _one_time(value: int) -> pa.Array:
    return pa.Array.from_buffers(
        TIMESTAMP, 1, [None, pa.py_buffer(value.to_bytes(8, "little", signed=True))]
    )


def _other(kind: pa.DataType) -> Callable[[Any], pa.Array]:
    return lambda value: pa.array([value], kind)


_MAKERS: dict[pa.DataType, Callable[[Any], pa.Array]] = {
    CATEGORY: _one_word,
    DECIMAL: _one_decimal,
    INT64: _one_int,
    TIMESTAMP: _one_time,
}


def lists(batch: pa.RecordBatch, names: Sequence[str]) -> list[list[Any]]:
    """Columns by name as lists: decimals as scaled integers, times as ns since 1970 UTC, None for null."""
    return [_list(batch.column(name)) for name in names]


def _list(column: pa.Array) -> list[Any]:
    count = len(column)
    if column.null_count == count:
        return [None] * count
    if column.type == DECIMAL:
        return scaled_ints(column)
    if column.type == CATEGORY:
        return _words(column)
    if column.type == TIMESTAMP and not column.null_count:
        times: list[Any] = times_ns(column).tolist()
        return times
    values: list[Any] = (
        column.view(pa.int64()) if column.type == TIMESTAMP else column
    ).to_pylist()
    return values


def _words(column: pa.DictionaryArray) -> list[Any]:
    words = [*column.dictionary.to_pylist(), None]
    if len(words) == 2 and not column.null_count:
        return words[:1] * len(column)
    values: list[Any] = np.array(words, object)[codes_or_end(column)].tolist()
    return values
