"""Columns of book events as kernels take them, and of best levels as kernels give them."""

import numpy as np
import pyarrow as pa

from schemas.arrays import Bools, Bytes, Floats, Int64s, UInt64s
from schemas.field import FLOAT


def whole_numbers(column: pa.Array) -> tuple[UInt64s, Bools]:
    """A uint64 column's numbers, and where it is not null; where it is, the number means nothing.

    Not by way of floats, which hold 53 bits.

    Parameters
    ----------
    column : pyarrow.Array of uint64, length n

    Returns
    -------
    tuple of numpy.ndarray, each of shape (n,)
        Views where the column's buffers allow it.
    """
    count = len(column)
    bitmap, buffer = column.buffers()
    values = np.frombuffer(buffer or bytes(8 * count), np.uint64, count, 8 * column.offset)
    if bitmap is None or not column.null_count:
        defined = np.ones(count, dtype=np.bool_)
    else:
        defined = column.is_valid().to_numpy(zero_copy_only=False)
    # A kernel is compiled for each kind of array, and only some of Arrow's buffers are read-only.
    values.flags.writeable = False
    defined.flags.writeable = False
    return values, defined


def level_columns(values: Floats, undefined: Int64s, bitmap: Bytes, count: int) -> list[pa.Array]:
    """What `flows.kernels.book_rows.row_columns` gives as columns: views.

    Parameters
    ----------
    values, undefined, bitmap : numpy.ndarray
        See there.
    count : int
        Rows.
    """
    # Slices of one array are half the price of arrays.
    width = values.shape[1]
    buffer, valid = pa.py_buffer(values), pa.py_buffer(bitmap)
    whole = pa.Array.from_buffers(FLOAT, values.size, [None, buffer], 0)
    return [
        pa.Array.from_buffers(FLOAT, count, [valid, buffer], nulls, at * width)
        if nulls
        else whole.slice(at * width, count)
        for at, nulls in enumerate(undefined.tolist())
    ]
