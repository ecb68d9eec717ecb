"""What stands in each symbol's market: touches of all venues, deeper levels, last trades. One pass in log order.

Rows of symbols that nobody works an order in are taken in and gone over. A pass stops before a row of a symbol
that is ``active``, so that its orders can be told of time first, then of the row.
"""

from typing import Any

import numpy as np

from flows.kernels.jit import jit
from flows.kernels.nbbo import IS_BEST, SAYS_NOTHING, TAKES_OUT
from flows.kernels.venue_activity import add_print, pass_minute, sample_mid
from schemas.arrays import Bools, Floats, Int32s, Int64s

NEVER = np.iinfo(np.int64).min

# One side of one venue: its best price (NaN where there is none), the size there, and when it was told.
TOUCH = np.dtype([("price", "f8"), ("size", "f8"), ("time", "i8")])

# A symbol: its time, the price of its last trade (NaN before the first), and when that was.
SYMBOL = np.dtype([("now", "i8"), ("last", "f8"), ("sold", "i8")])


@jit
def take_quotes(
    first: int,
    taken: bool,  # noqa: FBT001 - a kernel
    slots: Int64s,
    venues: Int64s,
    times: Int64s,
    columns: Any,
    kinds: Int32s,
    active: Bools,
    symbols: Any,
    touches: Any,
    newest: Int64s,
    course: Floats,
    activity: Floats,
) -> int:
    """Take quotes in, from row `first` on, until one is of an active symbol.

    Parameters
    ----------
    first : int
        Row to begin with.
    taken : bool
        Whether that row is to be taken in even if its symbol is active.
    slots, venues, times : numpy.ndarray of int64, shape (n,)
        Slot of the symbol, number of the venue, ns since 1970 UTC.
    columns : tuple of numpy.ndarray of float64, each of shape (n,)
        Bid, bid size, ask, ask size; NaN for null.
    kinds : numpy.ndarray of int32, shape (n,)
        As in `flows.kernels.nbbo.add_quotes`.
    active : numpy.ndarray of bool, shape (symbols,)
        Which symbols stop the pass.
    symbols, touches, newest : numpy.ndarray of SYMBOL, TOUCH and int64
        The state, changed: symbol *s* has its venue *v* at ``s * room + v`` of ``newest``, and the venue's bid
        and ask at twice that of ``touches``.
    course, activity : numpy.ndarray of float64
        Of each symbol what `flows.kernels.venue_activity` has; changed.

    Returns
    -------
    int
        The row to go on with, of an active symbol; n if there is none.

    Notes
    -----
    A row older than its venue's newest says nothing of how the venue stands now. A row that the tape names
    the best of its side takes all other venues' out: they are behind it, by how much nobody says.
    """
    bids, bid_sizes, asks, ask_sizes = columns
    room = len(newest) // len(symbols)
    for i in range(first, len(slots)):
        slot = slots[i]
        if active[slot] and not (taken and i == first):
            return i
        now = max(symbols[slot].now, times[i])
        symbols[slot].now = now
        pass_minute(now, slot, course, activity)
        at = slot * room + venues[i]
        kind = kinds[i]
        if kind & 3 == SAYS_NOTHING or times[i] < newest[at]:
            continue
        newest[at] = times[i]
        for side in range(2):
            price = bids[i] if side == 0 else asks[i]
            size = bid_sizes[i] if side == 0 else ask_sizes[i]
            if np.isnan(price) and np.isnan(size):
                continue
            if kind & IS_BEST:
                for other in range(slot * room, (slot + 1) * room):
                    touches[2 * other + side].price = np.nan
            stands = size > 0.0 and kind & 3 != TAKES_OUT
            touch = touches[2 * at + side]
            touch.price = price if stands else np.nan
            touch.size = size if stands else 0.0
            touch.time = times[i]
        sample_mid(now, slot, course, touches, room)
    return len(slots)


@jit
def take_tops(
    first: int,
    taken: bool,  # noqa: FBT001 - a kernel
    slots: Int64s,
    venues: Int64s,
    times: Int64s,
    matrix: Floats,
    stops: Bools,
    places: Int64s,
    active: Bools,
    levels: Floats,
    halted: Bools,
    symbols: Any,
    touches: Any,
    newest: Int64s,
    course: Floats,
    activity: Floats,
) -> int:
    """Take rows of ``book_top`` in; as `take_quotes` but for these.

    Parameters
    ----------
    matrix : numpy.ndarray of float64, shape (4 * levels, n)
        Bid, bid size, ask, ask size of the first level, then of the second, and so on; NaN for null.
    stops : numpy.ndarray of bool, shape (n,)
        Whether the venue does not trade.
    places : numpy.ndarray of int64, shape (n,)
        Row of `levels` that is the symbol's at the venue.
    levels : numpy.ndarray of float64, shape (places, 4 * levels)
        As the matrix; changed.
    halted : numpy.ndarray of bool, as ``newest``
        Whether a venue does not trade a symbol; changed.
    """
    room = len(newest) // len(symbols)
    for i in range(first, len(slots)):
        slot = slots[i]
        if active[slot] and not (taken and i == first):
            return i
        now = max(symbols[slot].now, times[i])
        symbols[slot].now = now
        pass_minute(now, slot, course, activity)
        at = slot * room + venues[i]
        if times[i] < newest[at]:
            continue
        newest[at] = times[i]
        halted[at] = stops[i]
        for side in range(2):
            price = matrix[2 * side, i]
            size = matrix[2 * side + 1, i]
            stands = size > 0.0
            touch = touches[2 * at + side]
            touch.price = price if stands else np.nan
            touch.size = size if stands else 0.0
            touch.time = times[i]
        for level in range(len(matrix)):
            levels[places[i], level] = matrix[level, i]
        sample_mid(now, slot, course, touches, room)
    return len(slots)


@jit
def take_trades(
    first: int,
    taken: bool,  # noqa: FBT001 - a kernel
    slots: Int64s,
    venues: Int64s,
    times: Int64s,
    prices: Floats,
    sizes: Floats,
    off_exchange: Bools,
    sets: Bools,
    active: Bools,
    symbols: Any,
    touches: Any,
    newest: Int64s,
    course: Floats,
    activity: Floats,
) -> int:
    """Take trades in; as `take_quotes` but for these.

    Parameters
    ----------
    prices, sizes : numpy.ndarray of float64, shape (n,)
        Price of each, and size; the size of one that met no book, or met it in an auction, is 0.
    off_exchange : numpy.ndarray of bool, shape (venues,)
        Of which venues the trades were made off exchanges.
    sets : numpy.ndarray of bool, shape (n,)
        Whether it sets the last price.
    """
    room = len(newest) // len(symbols)
    for i in range(first, len(slots)):
        slot = slots[i]
        if active[slot] and not (taken and i == first):
            return i
        now = max(symbols[slot].now, times[i])
        symbols[slot].now = now
        pass_minute(now, slot, course, activity)
        add_print(
            times[i],
            prices[i],
            sizes[i],
            slot,
            venues[i],
            off_exchange[venues[i]],
            course,
            activity,
            touches,
            room,
        )
        if sets[i]:
            symbols[slot].last = prices[i]
            symbols[slot].sold = times[i]
    return len(slots)
