"""Dictionary columns made of codes: the cheap way to columns of few words."""

import numpy as np
import pyarrow as pa

from schemas.arrays import Bools, Int64s


def constant(value: str | None, rows: int) -> pa.DictionaryArray:
    """A dictionary column of one value, or of nulls only."""
    if value is None:
        return pa.nulls(rows, pa.dictionary(pa.int32(), pa.string()))
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array([value]))


def coded(codes: Int64s, values: tuple[str, ...], mask: Bools | None = None) -> pa.DictionaryArray:
    """A dictionary column of codes into words.

    Parameters
    ----------
    codes : numpy.ndarray of int, shape (n,)
        Places in ``values``.
    values : tuple of str
        The words.
    mask : numpy.ndarray of bool, shape (n,), or None
        True where the row is null, whatever its code.
    """
    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32), mask=mask), pa.array(list(values))
    )
