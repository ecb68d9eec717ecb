"""The best bid and offer over all venues: one pass in log order over explicit state.

`flows.kernels.venue_quotes` says what the arrays hold. A state that is locked or crossed is held back until
its key's time has moved on: a feed tells the two sides in two rows, and what stands for no time at all
between them is no state of the market.
"""

from typing import Any

import numpy as np

from flows.kernels.columns import defined
from flows.kernels.jit import jit
from flows.kernels.venue_quotes import (
    ASK,
    BID,
    ENDLESS,
    NEVER,
    UNTOLD,
    clear_side,
    find_best,
    place_of,
    session_end,
    time_takes_out,
)
from schemas.arrays import Bytes, Floats, Int32s, Int64s

# What a row of quotes is to the flow: it counts; its condition takes its sides out; it says nothing.
COUNTS, TAKES_OUT, SAYS_NOTHING = 0, 1, 2

# Added where the tape itself names the row the best of its side.
IS_BEST = 4

NORMAL, LOCKED, CROSSED, ONE_SIDED, EMPTY = range(5)

ROW = np.dtype(
    [
        ("key", "i8"),
        ("time", "i8"),
        ("number", "i8"),
        ("state", "i8"),
        ("bid", "f8"),
        ("bid_size", "f8"),
        ("bid_venues", "i8"),
        ("ask", "f8"),
        ("ask_size", "f8"),
        ("ask_venues", "i8"),
    ]
)

# What a pass has written so far: rows, quotes that came too late.
ROWS_AT, LATE_AT = 0, 1


@jit
def add_quotes(
    first: int,
    slots: Int64s,
    venues: Int64s,
    times: Int64s,
    columns: Any,
    kinds: Int32s,
    spec: Any,
    state: Any,
    out: Any,
) -> int:
    """Take quotes in, from row `first` on, and write out what they change.

    Parameters
    ----------
    first : int
        Row to begin with.
    slots, venues, times : numpy.ndarray of int64, shape (n,)
        Slot of the key, number of the venue, ns since 1970 UTC.
    columns : tuple of numpy.ndarray of float64, each of shape (n,)
        Bid, bid size, ask, ask size; NaN for null.
    kinds : numpy.ndarray of int32, shape (n,)
        `COUNTS`, `TAKES_OUT` or `SAYS_NOTHING`, plus `IS_BEST`.
    spec : tuple
        How long a quote stands that is not renewed (ns, 0 for ever), whether sizes are summed, whether
        quotes end with their session, session starts and their bounds.
    state : tuple
        ``arguments`` of `VenueQuotes`; changed.
    out : tuple
        Rows (ROW); late rows with the time of the newer row and of the key, shape (m, 3); counts; changed.

    Returns
    -------
    int
        The row to go on with: n, or less where a part of `out` is full. Nothing of that row was used.
    """
    stale, total, by_session, starts, bounds = spec
    keys, tops, quotes, orders, newest = state
    rows, late, counts = out
    for i in range(first, len(slots)):
        if counts[LATE_AT] == len(late):
            return i
        slot = slots[i]
        key = keys[slot]
        time = max(times[i], key.now)
        order = orders[slot, : key.venues]
        if not _pass(slot, key, time, tops[slot], quotes[slot], order, spec, rows, counts):
            return i
        # The row itself may write one row more.
        if counts[ROWS_AT] == len(rows):
            return i
        if by_session and key.session_end == ENDLESS:
            key.session_end = session_end(key, starts, bounds)
        kind = kinds[i]
        if kind & 3 == SAYS_NOTHING:
            continue
        venue = venues[i]
        is_best = kind & IS_BEST != 0
        newer = max(newest[slot, venue], key.newest_best if is_best else NEVER)
        if times[i] < newer:
            late[counts[LATE_AT], 0] = i
            late[counts[LATE_AT], 1] = newer
            late[counts[LATE_AT], 2] = key.now
            counts[LATE_AT] += 1
            continue
        place_of(key, orders[slot], newest[slot], venue)
        order = orders[slot, : key.venues]
        newest[slot, venue] = times[i]
        if is_best:
            key.newest_best = times[i]
        for side in range(2):
            price = columns[2 * side][i]
            size = columns[2 * side + 1][i]
            if np.isnan(price) and np.isnan(size):
                continue
            if is_best:
                clear_side(quotes[slot], order, side)
            quote = quotes[slot, venue, side]
            stands = not np.isnan(price) and size != 0.0 and kind & 3 == COUNTS
            quote.level = (price if side == BID else -price) if stands else np.nan
            quote.size = UNTOLD if np.isnan(size) else size
            quote.time = time
            if stands and stale > 0:
                key.next_stale = min(key.next_stale, time + stale)
            find_best(tops[slot, side], quotes[slot], order, side, total)
        key.held = 1 if _state(tops[slot]) in (LOCKED, CROSSED) else 0
        if not key.held:
            _tell(slot, key, tops[slot], rows, counts)
    return len(slots)


@jit
def pass_time(first: int, slots: Int64s, times: Int64s, spec: Any, state: Any, out: Any) -> int:
    """Take watermark rows in, from `first` on: what time takes out, and rows held back.

    Parameters and the value returned are those of `add_quotes`.
    """
    keys, tops, quotes, orders, _ = state
    rows, _, counts = out
    for i in range(first, len(slots)):
        slot = slots[i]
        key = keys[slot]
        time = max(times[i], key.now)
        order = orders[slot, : key.venues]
        if not _pass(slot, key, time, tops[slot], quotes[slot], order, spec, rows, counts):
            return i
    return len(slots)


@jit
def _pass(
    slot: int,
    key: Any,
    time: int,
    tops: Any,
    quotes: Any,
    order: Int64s,
    spec: Any,
    rows: Any,
    counts: Int64s,
) -> bool:
    # Bring a key to a time; false where there is no room left, to be gone on with.
    stale, total, _, starts, bounds = spec
    while key.now < time:
        if counts[ROWS_AT] == len(rows):
            return False
        if key.held:
            key.held = 0
            _tell(slot, key, tops, rows, counts)
            continue
        until = min(key.next_stale, key.session_end)
        if until > time:
            key.now = time
            break
        if tops[BID].venues | tops[ASK].venues == 0:
            # Nothing stands that could go: no need to walk through every session of a long silence.
            key.now = time
        else:
            key.now = max(until, key.now)
        time_takes_out(key, tops, quotes, order, stale, total, starts, bounds)
        key.held = 1 if _state(tops) in (LOCKED, CROSSED) else 0
        if not key.held:
            _tell(slot, key, tops, rows, counts)
    return True


@jit
def _state(tops: Any) -> int:
    bids = tops[BID].venues != 0
    asks = tops[ASK].venues != 0
    if not (bids and asks):
        return ONE_SIDED if bids or asks else EMPTY
    if tops[BID].level < -tops[ASK].level:
        return NORMAL
    return LOCKED if tops[BID].level == -tops[ASK].level else CROSSED


@jit
def _tell(slot: int, key: Any, tops: Any, rows: Any, counts: Int64s) -> None:
    # Write the key's state out where it is not what was told last.
    changed = False
    for side in range(2):
        top = tops[side]
        if top.venues != top.told_venues or (
            top.venues != 0 and (top.level != top.told_level or top.size != top.told_size)
        ):
            changed = True
            top.told_level = top.level
            top.told_size = top.size
            top.told_venues = top.venues
    if not changed:
        return
    key.number += 1
    row = rows[counts[ROWS_AT]]
    row.key = slot
    row.time = key.now
    row.number = key.number
    row.state = _state(tops)
    row.bid = tops[BID].level
    row.bid_size = _size(tops[BID])
    row.bid_venues = tops[BID].venues
    row.ask = -tops[ASK].level
    row.ask_size = _size(tops[ASK])
    row.ask_venues = tops[ASK].venues
    counts[ROWS_AT] += 1


@jit
def _size(top: Any) -> float:
    return np.nan if top.venues == 0 or top.size == UNTOLD else top.size


@jit
def nbbo_columns(rows: Any, count: int) -> tuple[Int32s, Int64s, Int64s, Floats, Int64s, Bytes]:
    """The first `count` rows (`ROW`) by column.

    Returns
    -------
    tuple of numpy.ndarray
        Key and state, shape (2, count); time and number, shape (2, count); venues of bid and ask as bits,
        shape (2, count); bid, bid size, ask and ask size, shape (4, count), NaN for null. What
        `flows.kernels.columns.defined` says of these.
    """
    codes = np.empty((2, count), dtype=np.int32)
    integers = np.empty((2, count), dtype=np.int64)
    venues = np.empty((2, count), dtype=np.int64)
    floats = np.empty((4, count), dtype=np.float64)
    for i in range(count):
        row = rows[i]
        codes[0, i] = row.key
        codes[1, i] = row.state
        integers[0, i] = row.time
        integers[1, i] = row.number
        venues[0, i] = row.bid_venues
        venues[1, i] = row.ask_venues
        floats[0, i] = row.bid
        floats[1, i] = row.bid_size
        floats[2, i] = row.ask
        floats[3, i] = row.ask_size
    undefined, bitmap = defined(floats)
    return codes, integers, venues, floats, undefined, bitmap
