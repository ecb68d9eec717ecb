"""Arrow columns to and from numpy arrays, without copies and without work by the row in Python."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from flows.kernels.columns import defined
from schemas.arrays import Floats, Int32s, Int64s
from schemas.field import FLOAT


class Codes:
    """Numbers the values of dictionary-encoded columns by a fixed list of known values.

    Parameters
    ----------
    known : sequence of str
        The values that get the numbers 0, 1, …; every other value, and null, gets -1.
    """

    def __init__(self, known: Sequence[str]) -> None:
        self._numbers = {value: number for number, value in enumerate(known)}
        self._dictionary: pa.Array | None = None
        self._of_code: Int32s = np.empty(0, dtype=np.int32)

    def of(self, column: pa.DictionaryArray) -> Int32s:
        """The number of each row's value, shape (n,)."""
        if column.null_count == len(column):
            return np.full(len(column), -1, dtype=np.int32)
        dictionary = column.dictionary
        if self._dictionary is None or not dictionary.equals(self._dictionary):
            self._dictionary = dictionary
            numbers = [self._numbers.get(value, -1) for value in dictionary.to_pylist()]
            # The place behind the dictionary is null's.
            self._of_code = np.array([*numbers, -1], dtype=np.int32)
        if len(dictionary) == 1 and not column.null_count:
            return np.full(len(column), self._of_code[0], dtype=np.int32)
        indices = column.indices
        if column.null_count:
            indices = indices.fill_null(len(dictionary))
        found: Int32s = self._of_code[indices.to_numpy()]
        return found


def times_ns(column: pa.Array) -> Int64s:
    """Times of a column without nulls as int64, ns since 1970 UTC; a view."""
    times: Int64s = column.to_numpy().view(np.int64)
    return times


def floats_or_nan(column: pa.Array) -> Floats:
    """Numbers of a float column, NaN for null; a view where there is no null."""
    values: Floats = column.to_numpy(zero_copy_only=False)
    # A kernel is compiled for each kind of array, and views of Arrow arrays are read-only.
    values.flags.writeable = False
    return values


def columns(kind: pa.DataType, values: Int32s | Int64s) -> list[pa.Array]:
    """Columns without nulls, views of the rows of a matrix, of a type stored as its integers are."""
    buffer = pa.py_buffer(values)
    count = values.shape[1]
    return [
        pa.Array.from_buffers(kind, count, [None, buffer], 0, at * count)
        for at in range(len(values))
    ]


def float_columns(values: Floats) -> list[pa.Array]:
    """Float columns, views of the rows of a matrix; what is not finite is null."""
    undefined, bitmap = defined(values)
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
