"""Marks: a symbol's best bid and offer and its last trade, told at most once an interval of event time.

State is a record a symbol (`MARK`). A change is told at once where the symbol's time is an interval from its last
row, or where the price has moved by more than a share of what was told; else it waits for the first event, or
watermark, that is that far. No two rows of a symbol have one time.
"""

from typing import Any

import numpy as np

from flows.kernels.columns import defined
from flows.kernels.jit import jit
from schemas.arrays import Bools, Bytes, Floats, Int32s, Int64s

NEVER = np.iinfo(np.int64).min

# A symbol: its time, its values, the time of its last trade; time and values that were told last, whether what
# there is now differs from them. 8-byte fields only, so that a snapshot can hold them as plain integers.
MARK = np.dtype(
    [
        ("now", "i8"),
        ("bid", "f8"),
        ("ask", "f8"),
        ("last", "f8"),
        ("last_time", "i8"),
        ("told", "i8"),
        ("told_bid", "f8"),
        ("told_ask", "f8"),
        ("told_last", "f8"),
        ("told_price", "f8"),
        ("changed", "i8"),
    ]
)

ROW = np.dtype(
    [("key", "i8"), ("time", "i8"), ("bid", "f8"), ("ask", "f8"), ("last", "f8"), ("price", "f8")]
)


def new_marks(keys: int) -> Any:
    """State of symbols of which nothing is known, shape (keys,)."""
    marks = np.zeros(keys, MARK)
    for name in ("now", "last_time", "told"):
        marks[name] = NEVER
    for name in ("bid", "ask", "last", "told_bid", "told_ask", "told_last", "told_price"):
        marks[name] = np.nan
    return marks


@jit
def add_best(
    best: Any,
    count: int,
    slots: Int64s,
    times: Int64s,
    first: int,
    end: int,
    spec: Any,
    marks: Any,
    rows: Any,
) -> int:
    """Take quotes in, with what they made of the best bid and offer.

    Parameters
    ----------
    best : numpy.ndarray of flows.kernels.nbbo.ROW
        Changes of the best; the first ``count`` count, and name the quote that made each.
    count : int
        How many.
    slots, times : numpy.ndarray of int64, shape (n,)
        Slot and time (ns since 1970 UTC) of the quotes.
    first, end : int
        Which quotes were taken in; changes that are left at the end are of the next one.
    spec : tuple
        Interval (ns), share of the price that is told at once, and the widest spread that has a mid, as a share
        of it.
    marks : numpy.ndarray of MARK
        State; changed.
    rows : numpy.ndarray of ROW, at least twice as long as quotes and changes together
        Written.

    Returns
    -------
    int
        How many rows were written.
    """
    written = 0
    at = 0
    for i in range(first, end):
        slot = slots[i]
        while at < count and best[at].quote == i:
            written = _change_best(best[at], marks[slot], spec, rows, written)
            at += 1
        mark = marks[slot]
        mark.now = max(times[i], mark.now)
        if mark.changed:
            written = _tell_if_due(slot, mark, spec, rows, written)
    while at < count:
        written = _change_best(best[at], marks[best[at].key], spec, rows, written)
        at += 1
    return written


@jit
def add_trades(
    slots: Int64s,
    times: Int64s,
    prices: Floats,
    counts: Bools,
    spec: Any,
    marks: Any,
    rows: Any,
) -> int:
    """Take trades in; those that count set the last price, unless a newer one did.

    Parameters
    ----------
    slots, times : numpy.ndarray of int64, shape (n,)
        Slot and time of the trades.
    prices : numpy.ndarray of float64, shape (n,)
        Their prices.
    counts : numpy.ndarray of bool, shape (n,)
        Whether each may set the last price.
    spec, marks, rows
        As in `add_best`.

    Returns
    -------
    int
        How many rows were written.
    """
    written = 0
    for i in range(len(slots)):
        mark = marks[slots[i]]
        time = max(times[i], mark.now)
        if counts[i] and times[i] >= mark.last_time:
            mark.last = prices[i]
            mark.last_time = times[i]
        mark.now = time
        written = _tell_if_due(slots[i], mark, spec, rows, written)
    return written


@jit
def pass_time(slots: Int64s, times: Int64s, spec: Any, marks: Any, rows: Any) -> int:
    """Tell what waits where a symbol's time has passed; parameters and return value are those of `add_trades`.

    The row's time is that of the newest event in it, not that of the watermark row; or the next nanosecond, where
    that event is of the very time of the row before: two sides of a quote in two rows, trades of one moment.
    """
    written = 0
    for i in range(len(slots)):
        mark = marks[slots[i]]
        if mark.changed and times[i] > mark.told and times[i] - mark.told >= spec[0]:
            mark.now = max(mark.now, mark.told + 1)
            written = _tell(slots[i], mark, spec, rows, written)
    return written


@jit
def _change_best(best: Any, mark: Any, spec: Any, rows: Any, written: int) -> int:
    mark.bid = best.bid if best.bid_venues else np.nan
    mark.ask = best.ask if best.ask_venues else np.nan
    mark.now = max(mark.now, best.time)
    return _tell_if_due(best.key, mark, spec, rows, written)


@jit
def _tell_if_due(slot: int, mark: Any, spec: Any, rows: Any, written: int) -> int:
    if (
        _same(mark.bid, mark.told_bid)
        and _same(mark.ask, mark.told_ask)
        and _same(mark.last, mark.told_last)
    ):
        mark.changed = 0
        return written
    mark.changed = 1
    if mark.told != NEVER:
        if mark.now <= mark.told:
            return written
        if mark.now - mark.told < spec[0]:
            price = _price(mark, spec[2])
            if not abs(price - mark.told_price) > spec[1] * mark.told_price:
                return written
    return _tell(slot, mark, spec, rows, written)


@jit
def _tell(slot: int, mark: Any, spec: Any, rows: Any, written: int) -> int:
    price = _price(mark, spec[2])
    row = rows[written]
    row.key = slot
    row.time = mark.now
    row.bid = mark.bid
    row.ask = mark.ask
    row.last = mark.last
    row.price = price
    mark.told = mark.now
    mark.told_bid = mark.bid
    mark.told_ask = mark.ask
    mark.told_last = mark.last
    mark.told_price = price
    mark.changed = 0
    return written + 1


@jit
def _price(mark: Any, widest: float) -> float:
    # Halves are added, as the sum of two prices may be more than a float64 holds.
    mid: float = 0.5 * mark.bid + 0.5 * mark.ask
    last: float = mark.last
    return mid if mark.ask - mark.bid <= widest * mid else last


@jit
def _same(one: float, other: float) -> bool:
    return one == other or (np.isnan(one) and np.isnan(other))


@jit
def mark_columns(rows: Any, count: int) -> tuple[Int32s, Int64s, Floats, Int64s, Bytes]:
    """The first `count` rows (`ROW`) by column.

    Returns
    -------
    tuple of numpy.ndarray
        Key, shape (1, count); time, shape (1, count); bid, ask, last and price, shape (4, count), NaN for null.
        What `flows.kernels.columns.defined` says of these.
    """
    codes = np.empty((1, count), dtype=np.int32)
    times = np.empty((1, count), dtype=np.int64)
    floats = np.empty((4, count), dtype=np.float64)
    for i in range(count):
        row = rows[i]
        codes[0, i] = row.key
        times[0, i] = row.time
        floats[0, i] = row.bid
        floats[1, i] = row.ask
        floats[2, i] = row.last
        floats[3, i] = row.price
    undefined, bitmap = defined(floats)
    return codes, times, floats, undefined, bitmap
