"""Rows of the best levels: their measures, and their columns as Arrow takes them."""

from typing import Any

import numpy as np

from flows.kernels.book_state import MEASURES, ROWS_AT
from flows.kernels.jit import jit, jit_in_place
from schemas.arrays import Bytes, Floats, Int32s, Int64s

# Rows of which columns are made at a time.
_TOGETHER = 64


@jit_in_place
def best_flow(bid: float, bid_size: float, ask: float, ask_size: float, top: Floats) -> float:
    """Order-flow imbalance of one change of the best levels, from what they were to a top.

    With P the best price, q the size at it, and n - 1 what was before n::

        e_n = 1{Pb_n >= Pb_n-1} qb_n - 1{Pb_n <= Pb_n-1} qb_n-1
            - 1{Pa_n <= Pa_n-1} qa_n + 1{Pa_n >= Pa_n-1} qa_n-1

    A side without levels has size 0 at a price worse than any.

    References
    ----------
    Cont, Kukanov and Stoikov (2014), "The Price Impact of Order Book Events", Journal of Financial
    Econometrics 12(1), 47-88, section 2.
    """
    flow = 0.0
    if top[1] > 0 and (bid_size == 0 or top[0] >= bid):
        flow += top[1]
    if bid_size > 0 and (top[1] == 0 or top[0] <= bid):
        flow -= bid_size
    if top[3] > 0 and (ask_size == 0 or top[2] <= ask):
        flow -= top[3]
    if ask_size > 0 and (top[3] == 0 or top[2] >= ask):
        flow += ask_size
    return flow


@jit_in_place
def write_row(
    books: Any,
    book: int,
    time: int,
    top: Floats,
    depth: int,
    rows: Int64s,
    values: Floats,
    counts: Int64s,
) -> None:
    """Write a row of a book's best levels and number it within its book; there must be room."""
    books[book].number += 1
    at = counts[ROWS_AT]
    counts[ROWS_AT] += 1
    rows[at, 0] = book
    rows[at, 1] = time
    rows[at, 2] = books[book].number
    rows[at, 3] = int(top[len(top) - 1]) - 1
    row = values[at]
    bid_sum = 0.0
    ask_sum = 0.0
    for place in range(0, 4 * depth, 2):
        size = top[place + 1]
        row[place] = top[place] if size > 0 else np.nan
        row[place + 1] = size if size > 0 else np.nan
        if place & 2:
            ask_sum += size
        else:
            bid_sum += size
    bid, bid_size, ask, ask_size = row[0], top[1], row[2], top[3]
    first = len(row) - MEASURES
    # A side that is not there is NaN, and so is what is computed of it.
    row[first] = ask - bid
    row[first + 1] = (bid + ask) / 2
    row[first + 2] = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
    # 0 / 0 where the book is empty: NaN.
    row[first + 3] = (bid_size - ask_size) / (bid_size + ask_size)
    row[first + 4] = (bid_sum - ask_sum) / (bid_sum + ask_sum)
    row[first + 5] = books[book].ofi
    books[book].ofi = 0.0


@jit
def row_columns(
    rows: Int64s, values: Floats, books: Any, count: int
) -> tuple[Int32s, Int64s, Floats, Int64s, Bytes]:
    """The first `count` rows by column.

    Returns
    -------
    tuple of numpy.ndarray
        Symbol, venue and state (-1 for null), shape (3, count); event time and number, shape (2, count). Levels and
        measures, null where not finite, shape (ROW_WIDTH, n): n is count up to the next multiple of 8, what is
        behind the rows means nothing. How many of each are null, shape (ROW_WIDTH,), and Arrow's bitmaps of those columns that
        have any, shape (ROW_WIDTH, n / 8).
    """
    codes = np.empty((3, count), dtype=np.int32)
    integers = np.empty((2, count), dtype=np.int64)
    for i in range(count):
        book = books[rows[i, 0]]
        codes[0, i] = book.symbol
        codes[1, i] = book.venue
        codes[2, i] = rows[i, 3]
        integers[0, i] = rows[i, 1]
        integers[1, i] = rows[i, 2]
    width = values.shape[1]
    octets = (count + 7) // 8
    floats = np.empty((width, 8 * octets), dtype=np.float64)
    undefined = np.zeros(width, dtype=np.int64)
    # Some rows at a time, all of whose numbers stay near the processor while they are taken column by column.
    for first in range(0, count, _TOGETHER):
        end = min(first + _TOGETHER, count)
        for column in range(width):
            nulls = 0
            for i in range(first, end):
                value = values[i, column]
                floats[column, i] = value
                nulls += not np.isfinite(value)
            undefined[column] += nulls
    bitmap = np.zeros((width, octets), dtype=np.uint8)
    for column in range(width):
        if undefined[column] > 0:
            for i in range(count):
                if np.isfinite(floats[column, i]):
                    bitmap[column, i >> 3] |= np.uint8(1 << (i & 7))
    return codes, integers, floats, undefined, bitmap
