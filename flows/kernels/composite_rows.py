"""Rows that `flows.kernels.composite` writes, and the same by column."""

from typing import Any

import numpy as np

from flows.kernels.columns import defined
from flows.kernels.jit import jit
from schemas.arrays import Bytes, Floats, Int32s, Int64s

QUOTE_ROW = np.dtype(
    [
        ("key", "i8"),
        ("time", "i8"),
        ("number", "i8"),
        ("sources", "i8"),
        ("bid_venues", "i8"),
        ("ask_venues", "i8"),
        ("bid", "f8"),
        ("ask", "f8"),
        ("median", "f8"),
    ]
)

LAG_ROW = np.dtype(
    [
        ("key", "i8"),
        ("venue", "i8"),
        ("end", "i8"),
        ("age", "i8"),
        ("updates", "i8"),
        ("moves", "i8"),
        ("follows", "i8"),
        ("lag_sum", "i8"),
        ("lag_max", "i8"),
    ]
)

_SECOND_NS = 1e9


@jit
def quote_columns(rows: Any, count: int) -> tuple[Int32s, Int64s, Int64s, Floats, Int64s, Bytes]:
    """The first `count` rows (`QUOTE_ROW`) by column.

    Returns
    -------
    tuple of numpy.ndarray
        Key, shape (1, count); time, number and sources, shape (3, count); venues of bid and ask as bits, shape
        (2, count); bid, ask and median, shape (3, count), NaN for null. What `flows.kernels.columns.defined`
        says of these.
    """
    codes = np.empty((1, count), dtype=np.int32)
    integers = np.empty((3, count), dtype=np.int64)
    venues = np.empty((2, count), dtype=np.int64)
    floats = np.empty((3, count), dtype=np.float64)
    for i in range(count):
        row = rows[i]
        codes[0, i] = row.key
        integers[0, i] = row.time
        integers[1, i] = row.number
        integers[2, i] = row.sources
        venues[0, i] = row.bid_venues
        venues[1, i] = row.ask_venues
        floats[0, i] = row.bid
        floats[1, i] = row.ask
        floats[2, i] = row.median
    undefined, bitmap = defined(floats)
    return codes, integers, venues, floats, undefined, bitmap


@jit
def lag_columns(rows: Any, count: int) -> tuple[Int32s, Int64s, Floats, Int64s, Bytes]:
    """The first `count` rows (`LAG_ROW`) by column.

    Returns
    -------
    tuple of numpy.ndarray
        Key and venue, shape (2, count); end, updates, moves, leads and follows, shape (5, count); age, mean and
        longest lag in seconds, shape (3, count), NaN for null. What `flows.kernels.columns.defined` says of
        these.
    """
    codes = np.empty((2, count), dtype=np.int32)
    integers = np.empty((5, count), dtype=np.int64)
    floats = np.empty((3, count), dtype=np.float64)
    for i in range(count):
        row = rows[i]
        codes[0, i] = row.key
        codes[1, i] = row.venue
        integers[0, i] = row.end
        integers[1, i] = row.updates
        integers[2, i] = row.moves
        integers[3, i] = row.moves - row.follows
        integers[4, i] = row.follows
        floats[0, i] = row.age / _SECOND_NS
        followed = row.follows > 0
        floats[1, i] = row.lag_sum / row.follows / _SECOND_NS if followed else np.nan
        floats[2, i] = row.lag_max / _SECOND_NS if followed else np.nan
    undefined, bitmap = defined(floats)
    return codes, integers, floats, undefined, bitmap
