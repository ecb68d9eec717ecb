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
    BID,
    ENDLESS,
    NEVER,
    UNTOLD,
    clear_side,
    put_quote,
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
        ("quote", "i8"),
    ]
)

# What a pass has written so far: rows, quotes that came too late; and which quote it is at, for the rows to name.
ROWS_AT, LATE_AT, QUOTE_AT = 0, 1, 2


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
        Rows (ROW); late rows with the time of the newer row, or when they stood no more, and of the key, shape
        (m, 3); counts; changed.

    Returns
    -------
    int
        The row to go on with: n, or less where a part of `out` is full. Nothing of that row was used.
    """
    stale, total, by_session, starts, bounds = spec
    keys, tops, quotes, order, newest = state
    rows, late, counts = out
    bids, bid_sizes, asks, ask_sizes = columns
    room = len(newest) // len(keys)
    for i in range(first, len(slots)):
        if counts[LATE_AT] == len(late):
            return i
        counts[QUOTE_AT] = i
        slot = slots[i]
        key = keys[slot]
        bid = tops[2 * slot]
        ask = tops[2 * slot + 1]
        at = slot * room
        time = max(times[i], key.now)
        if key.now < time and not _pass(
            slot, key, time, bid, ask, quotes, order, at, stale, total, starts, bounds, rows, counts
        ):
            return i
        # The row itself may write one row more.
        if counts[ROWS_AT] == len(rows):
            return i
        if by_session and key.session_end == ENDLESS:
            key.session_end = session_end(key, key.now, starts, bounds)
        kind = kinds[i]
        if kind & 3 == SAYS_NOTHING:
            continue
        venue = venues[i]
        is_best = kind & IS_BEST != 0
        newer = newest[at + venue]
        if is_best:
            newer = max(newer, key.newest_best)
        if times[i] < key.now and times[i] >= newer:
            newer = _over(key, times[i], stale, by_session, starts, bounds)
        if times[i] < newer:
            late[counts[LATE_AT], 0] = i
            late[counts[LATE_AT], 1] = newer
            late[counts[LATE_AT], 2] = key.now
            counts[LATE_AT] += 1
            continue
        if newest[at + venue] == NEVER:
            order[at + key.venues] = venue
            key.venues += 1
        newest[at + venue] = times[i]
        if is_best:
            key.newest_best = times[i]
        counted = kind & 3 == COUNTS
        for side in range(2):
            price = bids[i] if side == BID else -asks[i]
            size = bid_sizes[i] if side == BID else ask_sizes[i]
            if np.isnan(price) and np.isnan(size):
                continue
            top = bid if side == BID else ask
            if is_best and top.standing & ~(1 << venue):
                clear_side(key, top, quotes, order, at, side)
            level = price if counted and size != 0.0 else np.nan
            if np.isnan(size):
                size = UNTOLD
            put_quote(key, top, quotes, order, at, side, venue, (level, size, times[i], total))
            if stale > 0:
                key.next_stale = min(key.next_stale, times[i] + stale)
        state_now = _state(bid, ask)
        key.held = 1 if state_now in (LOCKED, CROSSED) else 0
        if not key.held:
            _tell(slot, key, bid, ask, state_now, rows, counts)
    return len(slots)


@jit
def pass_time(first: int, slots: Int64s, times: Int64s, spec: Any, state: Any, out: Any) -> int:
    """Take watermark rows in, from `first` on: what time takes out, and rows held back.

    Parameters and the value returned are those of `add_quotes`.
    """
    stale, total, _, starts, bounds = spec
    keys, tops, quotes, order, newest = state
    rows, _, counts = out
    room = len(newest) // len(keys)
    for i in range(first, len(slots)):
        slot = slots[i]
        key = keys[slot]
        bid = tops[2 * slot]
        ask = tops[2 * slot + 1]
        time = max(times[i], key.now)
        at = slot * room
        if not _pass(
            slot, key, time, bid, ask, quotes, order, at, stale, total, starts, bounds, rows, counts
        ):
            return i
    return len(slots)


@jit
def _pass(
    slot: int,
    key: Any,
    time: int,
    bid: Any,
    ask: Any,
    quotes: Any,
    order: Int64s,
    at: int,
    stale: int,
    total: bool,  # noqa: FBT001 - a kernel
    starts: Int64s,
    bounds: Int64s,
    rows: Any,
    counts: Int64s,
) -> bool:
    # Bring a key to a time; false where there is no room left, to be gone on with.
    while key.now < time:
        if counts[ROWS_AT] == len(rows):
            return False
        if key.held:
            key.held = 0
            _tell(slot, key, bid, ask, _state(bid, ask), rows, counts)
            continue
        until = min(key.next_stale, key.session_end)
        if until > time:
            key.now = time
            break
        # Where nothing stands nothing can go: no need to walk through every session of a long silence.
        key.now = time if bid.standing | ask.standing == 0 else max(until, key.now)
        time_takes_out(key, bid, ask, quotes, order, at, stale, total, starts, bounds)
        state = _state(bid, ask)
        key.held = 1 if state in (LOCKED, CROSSED) else 0
        if not key.held:
            _tell(slot, key, bid, ask, state, rows, counts)
    return True


@jit
def _over(
    key: Any,
    time: int,
    stale: int,
    by_session: bool,  # noqa: FBT001 - a kernel
    starts: Int64s,
    bounds: Int64s,
) -> int:
    # When a quote of a past time stood no more, if that was before the key's time or at it; else `NEVER`.
    if stale > 0 and time + stale <= key.now:
        return time + stale
    if by_session:
        end = session_end(key, time, starts, bounds)
        if end <= key.now:
            return end
    return NEVER


@jit
def _state(bid: Any, ask: Any) -> int:
    if bid.venues == 0 or ask.venues == 0:
        return EMPTY if bid.venues | ask.venues == 0 else ONE_SIDED
    if bid.level < -ask.level:
        return NORMAL
    return LOCKED if bid.level == -ask.level else CROSSED


@jit
def _tell(slot: int, key: Any, bid: Any, ask: Any, state: int, rows: Any, counts: Int64s) -> None:
    # Write the key's state out where it is not what was told last.
    bid_changed = _changed(bid)
    ask_changed = _changed(ask)
    if not (bid_changed or ask_changed):
        return
    key.number += 1
    row = rows[counts[ROWS_AT]]
    row.key = slot
    row.time = key.now
    row.number = key.number
    row.state = state
    row.bid = bid.level
    row.bid_size = _size(bid)
    row.bid_venues = bid.venues
    row.ask = -ask.level
    row.ask_size = _size(ask)
    row.ask_venues = ask.venues
    row.quote = counts[QUOTE_AT]
    counts[ROWS_AT] += 1


@jit
def _changed(top: Any) -> bool:
    # Whether a side is not what was told last; it is from now on.
    if top.venues == top.told_venues and (
        top.venues == 0 or (top.level == top.told_level and top.size == top.told_size)
    ):
        return False
    top.told_level = top.level
    top.told_size = top.size
    top.told_venues = top.venues
    return True


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
