"""Arrow columns to and from numpy arrays, without copies and without work by the row in Python."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from schemas.arrays import Bytes, Floats, Int32s, Int64s
from schemas.field import FLOAT

# Stands for the memory of a column without rows, which need not have any.
_NOTHING = bytes(8)

# Room of a column of one number at first; about a batch.
_SAME_ROWS = 1_024


class Codes:
    """Numbers the values of dictionary-encoded columns by a fixed list of known values.

    Parameters
    ----------
    known : sequence of str
        The values that get the numbers 0, 1, …; every other value, and null, gets -1.
    """

    def __init__(self, known: Sequence[str]) -> None:
        self._numbers = {value: number for number, value in enumerate(known)}
        # Set and taken as one: shards of other threads may number columns of theirs meanwhile.
        self._newest: tuple[pa.Array, Int32s] | None = None
        self._same: dict[int, Int32s] = {}

    def of(self, column: pa.DictionaryArray) -> Int32s:
        """The number of each row's value, shape (n,); only to be read."""
        if column.null_count == len(column):
            return self._repeated(-1, len(column))
        dictionary, newest = column.dictionary, self._newest
        if newest is None or not dictionary.equals(newest[0]):
            numbers = [self._numbers.get(value, -1) for value in dictionary.to_pylist()]
            # The place behind the dictionary is null's.
            newest = self._newest = (dictionary, np.array([*numbers, -1], dtype=np.int32))
        of_code = newest[1]
        if len(dictionary) == 1 and not column.null_count:
            return self._repeated(int(of_code[0]), len(column))
        found: Int32s = of_code[codes_or_end(column)]
        return found

    def _repeated(self, number: int, count: int) -> Int32s:
        kept = self._same.get(number)
        if kept is None or len(kept) < count:
            kept = np.full(max(count, _SAME_ROWS), number, dtype=np.int32)
            self._same[number] = kept
        return kept[:count]


def times_ns(column: pa.Array) -> Int64s:
    """Times of a column without nulls as int64, ns since 1970 UTC; a view."""
    times: Int64s = _stored(column, np.dtype(np.int64))
    return times


def text_column(column: pa.Array) -> tuple[Int32s, Bytes]:
    """Where each row's text begins and ends in the bytes of all; a view. Null is an empty text."""
    if column.null_count == len(column):
        ends, codes = np.zeros(len(column) + 1, np.int32), np.zeros(1, np.uint8)
    else:
        if column.null_count:
            column = column.fill_null("")
        _, offsets, text = column.buffers()
        ends = np.frombuffer(offsets, np.int32, len(column) + 1, 4 * column.offset)
        codes = np.frombuffer(text or _NOTHING, np.uint8)
    # A kernel is compiled for each kind of array, and only some of these are read-only.
    ends.flags.writeable = False
    codes.flags.writeable = False
    return ends, codes


def dictionary_codes(column: pa.DictionaryArray) -> Int32s:
    """Each row's place in the dictionary, of a column without nulls; a view."""
    codes: Int32s = _stored(column, np.dtype(np.int32))
    return codes


def codes_or_end(column: pa.DictionaryArray) -> Int32s:
    """Each row's place in the dictionary; behind its end for null."""
    if not column.null_count:
        return dictionary_codes(column)
    codes: Int32s = column.indices.fill_null(len(column.dictionary)).to_numpy()
    return codes


def _stored(column: pa.Array, kind: np.dtype[Any]) -> NDArray[Any]:
    # Half the time of `to_numpy`, and of the column `indices`, which would have to be made first.
    buffer = column.buffers()[1] or _NOTHING
    values = np.frombuffer(buffer, kind, len(column), kind.itemsize * column.offset)
    # A kernel is compiled for each kind of array, and only some of Arrow's buffers are read-only.
    values.flags.writeable = False
    return values


def floats_or_nan(column: pa.Array) -> Floats:
    """Numbers of a float column, NaN for null; a view where there is no null."""
    values: Floats = column.to_numpy(zero_copy_only=False)
    if column.null_count:
        # As the views of Arrow arrays are.
        values.flags.writeable = False
    return values


def columns(kinds: Sequence[pa.DataType], values: Int32s | Int64s) -> list[pa.Array]:
    """Columns without nulls, views of the rows of a matrix, of types stored as its integers are."""
    buffer = pa.py_buffer(values)
    count = values.shape[1]
    return [
        pa.Array.from_buffers(kind, count, [None, buffer], 0, at * count)
        for at, kind in enumerate(kinds)
    ]


def float_columns(values: Floats, undefined: Int64s, bitmap: Bytes) -> list[pa.Array]:
    """Float columns, views of the rows of a matrix, with what `flows.kernels.columns.defined` says of it."""
    buffer = pa.py_buffer(values)
    valid = pa.py_buffer(bitmap)
    count = values.shape[1]
    return [
        pa.Array.from_buffers(FLOAT, count, [valid if nulls else None, buffer], nulls, at * count)
        for at, nulls in enumerate(undefined.tolist())
    ]


def chosen(values: pa.Array, codes: pa.Array) -> pa.DictionaryArray:
    """A dictionary-encoded column: for each row the number of its value in a dictionary."""
    return pa.DictionaryArray.from_arrays(codes, values, safe=False)
