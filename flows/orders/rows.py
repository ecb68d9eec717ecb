"""Rows of a topic from tuples, and columns as lists: Arrow is left and entered once a batch, not once a value."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from flows.columns import times_ns
from flows.orders.money import decimal_column, scaled_ints
from schemas.field import CATEGORY, DECIMAL, TEXT, TIMESTAMP, Field
from schemas.topic import Topic


def batch_of(topic: Topic, rows: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    """A batch of rows that have the topic's fields in order.

    Parameters
    ----------
    topic : Topic
        Whose rows.
    rows : sequence of tuple
        At least one; decimals as scaled integers, times as ns since 1970 UTC.
    """
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
    words: list[Any] = column.dictionary.to_pylist()
    indices = column.indices
    if column.null_count:
        words.append(None)
        indices = indices.fill_null(len(words) - 1)
    return [words[code] for code in indices.to_numpy().tolist()]
