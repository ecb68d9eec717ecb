"""Canonical bytes of rows: what a row's digest is taken of, whatever the batch looks like in memory.

A row is its schema's version (2 bytes) and each declared field but `RECEIVE_TIME`: one byte 0 for null,
or 1 and the value, all little-endian. Numbers and times have their Arrow width (a bool one byte, a
decimal 16), strings and binaries a 4-byte length before them. -0.0 is written as 0.0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.arrays import Int64s
from schemas.field import BOOL, BYTES, CATEGORY, FLOAT, RECEIVE_TIME, TEXT
from schemas.machine_code import compiled
from schemas.topic import Topic

_NONE = np.zeros(0, dtype=np.uint8)
_NONE.flags.writeable = False


@dataclass(frozen=True, kw_only=True)
class _Column:
    """One column's buffers as read-only bytes, so that each kernel is compiled once.

    ``valid`` is empty where no row is null; ``dictionary`` is the column of a CATEGORY's words.
    """

    type: pa.DataType
    rows: int
    first: int
    width: int
    valid: Any
    values: Any
    text: Any
    dictionary: "_Column | None" = None


def canonical_bytes(topic: Topic, batch: pa.RecordBatch) -> tuple[Any, Int64s]:
    """Canonical bytes of each row, one behind the other.

    Parameters
    ----------
    topic : Topic
        What the rows are.
    batch : pyarrow.RecordBatch
        n rows with exactly the topic's schema.

    Returns
    -------
    data : numpy.ndarray of uint8
        All bytes.
    starts : numpy.ndarray of int64, shape (n + 1,)
        Row *i* is ``data[starts[i]:starts[i + 1]]``.
    """
    columns = [
        _column(column)
        for field, column in zip(topic.fields, batch.columns, strict=True)
        if field.name != RECEIVE_TIME
    ]
    sizes = np.full(batch.num_rows, 2, dtype=np.int64)
    for column in columns:
        _add_sizes(column, sizes)
    starts = np.zeros(batch.num_rows + 1, dtype=np.int64)
    np.cumsum(sizes, out=starts[1:])
    data = np.empty(starts[-1], dtype=np.uint8)
    at = starts[:-1].copy()
    _put_version(topic.version, data, at)
    for column in columns:
        _put(column, data, at)
    return data, starts


def _column(column: pa.Array) -> _Column:
    kind = column.type
    valid, *rest = column.buffers()
    dictionary = None
    if kind == CATEGORY:
        dictionary = _column(column.dictionary)
        column = column.indices
        valid, *rest = column.buffers()
    return _Column(
        type=kind,
        rows=len(column),
        first=column.offset,
        width=1 if kind == BOOL else column.type.bit_width // 8 if len(rest) == 1 else 0,
        valid=_bytes(valid) if column.null_count else _NONE,
        values=_bytes(rest[0]),
        text=_bytes(rest[1]) if len(rest) > 1 else _NONE,
        dictionary=dictionary,
    )


def _bytes(buffer: pa.Buffer | None) -> Any:
    if buffer is None or buffer.size == 0:
        return _NONE
    view = np.frombuffer(buffer, dtype=np.uint8)
    view.flags.writeable = False
    return view


def _add_sizes(column: _Column, sizes: Int64s) -> None:
    if column.dictionary is not None:
        words = np.ones(column.dictionary.rows, dtype=np.int64)
        _add_sizes(column.dictionary, words)
        words -= 1
        _add_category_sizes(column.valid, column.values, column.first, words, sizes)
    elif column.type in (TEXT, BYTES):
        _add_text_sizes(column.valid, column.values, column.first, sizes)
    elif len(column.valid):
        _add_fixed_sizes(column.valid, column.first, column.width, sizes)
    else:
        sizes += 1 + column.width


def _put(column: _Column, data: Any, at: Int64s) -> None:
    if column.dictionary is not None:
        words = column.dictionary
        _put_category(
            column.valid,
            column.values,
            column.first,
            words.valid,
            words.values,
            words.first,
            words.text,
            data,
            at,
        )
    elif column.type in (TEXT, BYTES):
        _put_text(column.valid, column.values, column.first, column.text, data, at)
    elif column.type == BOOL:
        _put_bool(column.valid, column.values, column.first, data, at)
    else:
        put = _PUT_FIXED.get(column.width, _put_wide)
        if column.type == FLOAT:
            put = _put_float
        put(column.valid, column.values, column.first, data, at)


# An index that cannot be negative (uint64) needs no check, which lets LLVM make one move of the eight
# byte moves of a value: 4 ns where int64 indices take 19.
_U = np.uint64


@compiled
def _is_null(valid: Any, row: Any) -> bool:
    return not (valid[row >> _U(3)] >> np.uint8(row & _U(7))) & np.uint8(1)


@compiled
def _int32(values: Any, index: Any) -> Any:
    """An Arrow offset or code, neither of which is negative, as uint64."""
    word = _U(0)
    for byte in range(4):
        word |= _U(values[_U(4) * index + _U(byte)]) << _U(8 * byte)
    return word


@compiled
def _add_fixed_sizes(valid: Any, first: int, width: int, sizes: Any) -> None:
    for row in range(len(sizes)):
        sizes[row] += 1 if _is_null(valid, _U(first + row)) else 1 + width


@compiled
def _add_text_sizes(valid: Any, offsets: Any, first: int, sizes: Any) -> None:
    for row in range(len(sizes)):
        at = _U(first + row)
        if len(valid) > 0 and _is_null(valid, at):
            sizes[row] += 1
        else:
            sizes[row] += np.int64(_int32(offsets, at + _U(1)) - _int32(offsets, at)) + 5


@compiled
def _add_category_sizes(valid: Any, codes: Any, first: int, words: Any, sizes: Any) -> None:
    for row in range(len(sizes)):
        at = _U(first + row)
        if len(valid) > 0 and _is_null(valid, at):
            sizes[row] += 1
        else:
            sizes[row] += words[_int32(codes, at)]


@compiled
def _put_version(version: int, data: Any, at: Any) -> None:
    for row in range(len(at)):
        data[_U(at[row])] = version & 0xFF
        data[_U(at[row] + 1)] = version >> 8
        at[row] += 2


@compiled
def _put_bool(valid: Any, values: Any, first: int, data: Any, at: Any) -> None:
    for row in range(len(at)):
        source, to = _U(first + row), _U(at[row])
        null = len(valid) > 0 and _is_null(valid, source)
        data[to] = not null
        if null:
            at[row] += 1
        else:
            # A validity bitmap and a bool's values look the same: a cleared bit is "false".
            data[to + _U(1)] = not _is_null(values, source)
            at[row] += 2


@compiled
def _put_float(valid: Any, values: Any, first: int, data: Any, at: Any) -> None:
    negative_zero = _U(1) << _U(63)
    for row in range(len(at)):
        source, to = _U(first + row), _U(at[row])
        null = len(valid) > 0 and _is_null(valid, source)
        data[to] = not null
        if null:
            at[row] += 1
        else:
            word = _U(0)
            for byte in range(8):
                word |= _U(values[_U(8) * source + _U(byte)]) << _U(8 * byte)
            if word == negative_zero:
                word = _U(0)
            for byte in range(8):
                data[to + _U(1 + byte)] = (word >> _U(8 * byte)) & _U(0xFF)
            at[row] += 9


def _put_fixed(width: int) -> Any:
    """The kernel for values of 4 or 8 bytes: the width is known when it is compiled."""

    def put(valid: Any, values: Any, first: int, data: Any, at: Any) -> None:
        for row in range(len(at)):
            source, to = _U(first + row), _U(at[row])
            null = len(valid) > 0 and _is_null(valid, source)
            data[to] = not null
            if null:
                at[row] += 1
            else:
                word = _U(0)
                for byte in range(width):
                    word |= _U(values[_U(width) * source + _U(byte)]) << _U(8 * byte)
                for byte in range(width):
                    data[to + _U(1 + byte)] = (word >> _U(8 * byte)) & _U(0xFF)
                at[row] += 1 + width

    return compiled(put)


_PUT_FIXED = {4: _put_fixed(4), 8: _put_fixed(8)}


@compiled
def _put_wide(valid: Any, values: Any, first: int, data: Any, at: Any) -> None:
    """Decimals, 16 bytes."""
    for row in range(len(at)):
        source, to = _U(first + row), _U(at[row])
        null = len(valid) > 0 and _is_null(valid, source)
        data[to] = not null
        at[row] += 1
        if not null:
            for byte in range(16):
                data[to + _U(1 + byte)] = values[_U(16) * source + _U(byte)]
            at[row] += 16


@compiled
def _put_span(text: Any, start: Any, end: Any, data: Any, to: Any) -> Any:
    size = end - start
    for byte in range(4):
        data[to + _U(byte)] = (size >> _U(8 * byte)) & _U(0xFF)
    for byte in range(size):
        data[to + _U(4) + _U(byte)] = text[start + _U(byte)]
    return np.int64(size) + 4


@compiled
def _put_text(valid: Any, offsets: Any, first: int, text: Any, data: Any, at: Any) -> None:
    for row in range(len(at)):
        source, to = _U(first + row), _U(at[row])
        null = len(valid) > 0 and _is_null(valid, source)
        data[to] = not null
        at[row] += 1
        if not null:
            start, end = _int32(offsets, source), _int32(offsets, source + _U(1))
            at[row] += _put_span(text, start, end, data, to + _U(1))


@compiled
def _put_category(
    valid: Any,
    codes: Any,
    first: int,
    words_valid: Any,
    words_offsets: Any,
    words_first: int,
    words_text: Any,
    data: Any,
    at: Any,
) -> None:
    for row in range(len(at)):
        source, to = _U(first + row), _U(at[row])
        null = len(valid) > 0 and _is_null(valid, source)
        word = _U(words_first)
        if not null:
            word += _int32(codes, source)
            null = len(words_valid) > 0 and _is_null(words_valid, word)
        data[to] = not null
        at[row] += 1
        if not null:
            start, end = _int32(words_offsets, word), _int32(words_offsets, word + _U(1))
            at[row] += _put_span(words_text, start, end, data, to + _U(1))
