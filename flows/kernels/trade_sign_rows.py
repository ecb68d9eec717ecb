"""Rows that `flows.kernels.trade_signs` writes, and the same by column."""

from typing import Any

import numpy as np

from flows.kernels.columns import defined
from flows.kernels.jit import jit
from schemas.arrays import Bytes, Floats, Int32s, Int64s

SIGN = np.dtype(
    [
        ("row", "i8"),
        ("key", "i8"),
        ("number", "i8"),
        ("quote_time", "i8"),
        ("side", "i8"),
        ("rule", "i8"),
        ("tick", "i8"),
        ("fault", "i8"),
        ("bid", "f8"),
        ("ask", "f8"),
        ("mid", "f8"),
        ("quoted", "f8"),
        ("effective", "f8"),
    ]
)

IMPACT = np.dtype(
    [
        ("key", "i8"),
        ("time", "i8"),
        ("number", "i8"),
        ("trade_time", "i8"),
        ("side", "i8"),
        ("status", "i8"),
        ("price", "f8"),
        ("size", "f8"),
        ("mid", "f8"),
        ("mid_after", "f8"),
        ("effective", "f8"),
        ("realized", "f8"),
        ("impact", "f8"),
    ]
)


@jit
def sign_columns(rows: Any, count: int) -> tuple[Int32s, Int64s, Floats, Int64s, Bytes]:
    """The first `count` rows (`SIGN`) by column.

    Returns
    -------
    tuple of numpy.ndarray
        Key, side, rule, tick and fault, shape (5, count); row of the trade, number and time of the quotes, shape
        (3, count); bid, ask, mid, quoted and effective spread, shape (5, count), NaN for null. What
        `flows.kernels.columns.defined` says of these.
    """
    codes = np.empty((5, count), dtype=np.int32)
    integers = np.empty((3, count), dtype=np.int64)
    floats = np.empty((5, count), dtype=np.float64)
    for i in range(count):
        row = rows[i]
        codes[0, i] = row.key
        codes[1, i] = row.side
        codes[2, i] = row.rule
        codes[3, i] = row.tick
        codes[4, i] = row.fault
        integers[0, i] = row.row
        integers[1, i] = row.number
        integers[2, i] = row.quote_time
        floats[0, i] = row.bid
        floats[1, i] = row.ask
        floats[2, i] = row.mid
        floats[3, i] = row.quoted
        floats[4, i] = row.effective
    undefined, bitmap = defined(floats)
    return codes, integers, floats, undefined, bitmap


@jit
def impact_columns(rows: Any, count: int) -> tuple[Int32s, Int64s, Floats, Int64s, Bytes]:
    """The first `count` rows (`IMPACT`) by column.

    Returns
    -------
    tuple of numpy.ndarray
        Key, side and status, shape (3, count); time, number and time of the trade, shape (3, count); price,
        size, mid, mid after, effective and realised spread and impact, shape (7, count), NaN for null. What
        `flows.kernels.columns.defined` says of these.
    """
    codes = np.empty((3, count), dtype=np.int32)
    integers = np.empty((3, count), dtype=np.int64)
    floats = np.empty((7, count), dtype=np.float64)
    for i in range(count):
        row = rows[i]
        codes[0, i] = row.key
        codes[1, i] = row.side
        codes[2, i] = row.status
        integers[0, i] = row.time
        integers[1, i] = row.number
        integers[2, i] = row.trade_time
        floats[0, i] = row.price
        floats[1, i] = row.size
        floats[2, i] = row.mid
        floats[3, i] = row.mid_after
        floats[4, i] = row.effective
        floats[5, i] = row.realized
        floats[6, i] = row.impact
    undefined, bitmap = defined(floats)
    return codes, integers, floats, undefined, bitmap
