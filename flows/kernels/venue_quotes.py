"""Standing quotes of many venues: the state, the best of a side, and quotes that time takes out.

An ask is kept with its sign turned: then the best of either side is the highest level, and both sides are
one code. Records have 8-byte fields only, so that a snapshot can hold them as plain integers.
"""

from typing import Any

import numpy as np

from flows.kernels.jit import jit
from flows.kernels.sessions import session_window
from schemas.arrays import Int64s

NEVER = np.iinfo(np.int64).min
ENDLESS = np.iinfo(np.int64).max

BID, ASK = 0, 1

# The size of a quote whose venue does not tell it.
UNTOLD = -1.0

# Bits of a positive int64: a set of venues is one number.
VENUES_MAX = 62

# A standing quote of one side of one venue: its level is NaN where there is none, its size -1 where the venue
# does not tell it.
QUOTE = np.dtype([("level", "f8"), ("size", "f8"), ("time", "i8")])

# A side of a key: the venues that have a standing quote, as bits; the best level, the size there and the venues
# that make it; and what of these was told last.
TOP = np.dtype(
    [
        ("standing", "i8"),
        ("level", "f8"),
        ("size", "f8"),
        ("venues", "i8"),
        ("told_level", "f8"),
        ("told_size", "f8"),
        ("told_venues", "i8"),
    ]
)

# A key: its time, the number of its last row, the end of its session, when its first quote grows stale, the
# time of the newest row that names a best, whether a row is held back, how many venues it has, the index of
# its calendar.
KEY = np.dtype(
    [
        ("now", "i8"),
        ("number", "i8"),
        ("session_end", "i8"),
        ("next_stale", "i8"),
        ("newest_best", "i8"),
        ("held", "i8"),
        ("venues", "i8"),
        ("calendar", "i8"),
    ]
)


class VenueQuotes:
    """The standing quotes of all keys.

    Parameters
    ----------
    keys, venues : int
        How many of each fit, at least 1.

    Attributes
    ----------
    keys : numpy.ndarray of KEY, shape (keys,)
    tops : numpy.ndarray of TOP, shape (keys, 2)
    quotes : numpy.ndarray of QUOTE, shape (keys, venues, 2)
    order : numpy.ndarray of int64, shape (keys, venues)
        Each key's venues in order of their first row: no sum hangs on the venues of other keys.
    newest : numpy.ndarray of int64, shape (keys, venues)
        Time of each venue's newest row.
    """

    def __init__(self, keys: int, venues: int) -> None:
        self.keys = np.zeros(keys, KEY)
        for name in ("now", "newest_best"):
            self.keys[name] = NEVER
        for name in ("session_end", "next_stale"):
            self.keys[name] = ENDLESS
        self.tops = np.zeros((keys, 2), TOP)
        self.quotes = np.zeros((keys, venues, 2), QUOTE)
        for array in (self.tops, self.quotes):
            array["level"] = np.nan
        self.tops["told_level"] = np.nan
        self.order = np.zeros((keys, venues), dtype=np.int64)
        self.newest = np.full((keys, venues), NEVER, dtype=np.int64)

    @property
    def room(self) -> tuple[int, int]:
        """Keys and venues that fit."""
        keys, venues = self.newest.shape
        return keys, venues

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The arrays as the kernels take them, in one dimension: a view for each key costs more than its sum."""
        return (
            self.keys,
            self.tops.reshape(-1),
            self.quotes.reshape(-1),
            self.order.reshape(-1),
            self.newest.reshape(-1),
        )

    def grown(self, keys: int, venues: int) -> "VenueQuotes":
        """The same state with room for so many keys and venues."""
        bigger = VenueQuotes(keys, venues)
        old_keys, old_venues = self.room
        bigger.keys[:old_keys] = self.keys
        bigger.tops[:old_keys] = self.tops
        bigger.quotes[:old_keys, :old_venues] = self.quotes
        bigger.order[:old_keys, :old_venues] = self.order
        bigger.newest[:old_keys, :old_venues] = self.newest
        return bigger

    def snapshot(self, keys: int, venues: int) -> dict[str, Any]:
        """The state of the first keys and venues as arrays of int64."""
        quotes = np.ascontiguousarray(self.quotes[:keys, :venues])
        return {
            "keys": self.keys[:keys].view(np.int64),
            "tops": self.tops[:keys].view(np.int64),
            "quotes": quotes.view(np.int64),
            "order": self.order[:keys, :venues],
            "newest": self.newest[:keys, :venues],
        }

    @classmethod
    def resumed(cls, arrays: dict[str, Any]) -> "VenueQuotes":
        """The state that `snapshot` gave the arrays of."""
        keys, venues = arrays["newest"].shape
        state = cls(max(keys, 1), max(venues, 1))
        state.keys[:keys] = arrays["keys"].view(KEY)
        state.tops[:keys] = arrays["tops"].view(TOP).reshape(keys, 2)
        state.quotes[:keys, :venues] = arrays["quotes"].view(QUOTE).reshape(keys, venues, 2)
        state.order[:keys, :venues] = arrays["order"]
        state.newest[:keys, :venues] = arrays["newest"]
        return state


@jit
def put_quote(
    key: Any, top: Any, quotes: Any, order: Int64s, at: int, side: int, venue: int, put: Any
) -> None:
    """Replace a venue's quote of a side, and keep the side's best right.

    Parameters
    ----------
    key, top : records of KEY and TOP
        The key, and its side; both are changed.
    quotes : numpy.ndarray of QUOTE
        Of all keys: venue *v* of the key has its bid at ``2 * (at + v)``, and its ask behind it.
    order : numpy.ndarray of int64
        Of all keys: the key's venues in order of their first row begin at ``at``.
    at, side, venue : int
        Where the key's venues begin, `BID` or `ASK`, number of the venue.
    put : tuple
        Level (NaN for none), size, time and whether sizes are summed.
    """
    level, size, time, total = put
    bit = 1 << venue
    quote = quotes[2 * (at + venue) + side]
    quote.level = level
    quote.size = size
    quote.time = time
    stands = not np.isnan(level)
    if stands:
        top.standing |= bit
    else:
        top.standing &= ~bit
    # What is not at the best and does not come there changes nothing.
    if top.venues & ~bit == 0:
        if top.standing & ~bit:
            find_best(key, top, quotes, order, at, side, total)
            return
    elif not stands or level < top.level:
        if top.venues & bit:
            find_best(key, top, quotes, order, at, side, total)
        return
    elif level == top.level:
        if not total and (top.venues & bit == 0 or size >= top.size):
            top.size = max(size, top.size)
            top.venues |= bit
        else:
            find_best(key, top, quotes, order, at, side, total)
        return
    top.level = level
    top.size = size
    top.venues = bit if stands else 0


@jit
def find_best(
    key: Any,
    top: Any,
    quotes: Any,
    order: Int64s,
    at: int,
    side: int,
    total: bool,  # noqa: FBT001 - a kernel
) -> None:
    """Find the best of a side among all standing quotes of a key; parameters are those of `put_quote`."""
    level = np.nan
    size = UNTOLD
    venues = 0
    for place in range(at, at + key.venues):
        venue = order[place]
        quote = quotes[2 * (at + venue) + side]
        if np.isnan(quote.level) or quote.level < level:
            continue
        # NaN is not equal to anything: the first level is taken as it is.
        if quote.level != level:
            level = quote.level
            size = quote.size
            venues = 1 << venue
            continue
        venues |= 1 << venue
        if not total:
            size = max(size, quote.size)
        elif UNTOLD in (size, quote.size):
            size = UNTOLD
        else:
            size += quote.size
    top.level = level
    top.size = size
    top.venues = venues


@jit
def clear_side(key: Any, top: Any, quotes: Any, order: Int64s, at: int, side: int) -> None:
    """Take all quotes of a side of a key out; parameters are those of `put_quote`."""
    if top.standing:
        for place in range(at, at + key.venues):
            quotes[2 * (at + order[place]) + side].level = np.nan
    top.level = np.nan
    top.standing = 0
    top.venues = 0


@jit
def time_takes_out(
    key: Any,
    bids: Any,
    asks: Any,
    quotes: Any,
    order: Int64s,
    at: int,
    stale: int,
    total: bool,  # noqa: FBT001 - a kernel
    starts: Int64s,
    bounds: Int64s,
) -> None:
    """Take out what is stale, or of a session that is over, at a key's time.

    Parameters
    ----------
    key : record of KEY
        Its ``now`` has come to its ``next_stale`` or ``session_end``; both are set anew.
    bids, asks : records of TOP
        The key's.
    quotes, order, at
        As in `put_quote`.
    stale : int
        How long a quote stands that is not renewed, ns; 0 for as long as the session.
    total : bool
        Whether sizes are summed.
    starts, bounds : numpy.ndarray of int64
        Calendar *c* has the sessions that begin at ``starts[bounds[c]:bounds[c + 1]]``.
    """
    over = key.now >= key.session_end
    key.next_stale = ENDLESS
    for side in range(2):
        top = bids if side == BID else asks
        if over:
            clear_side(key, top, quotes, order, at, side)
        elif stale > 0:
            for place in range(at, at + key.venues):
                quote = quotes[2 * (at + order[place]) + side]
                if np.isnan(quote.level):
                    continue
                if quote.time + stale <= key.now:
                    quote.level = np.nan
                    top.standing &= ~(1 << order[place])
                else:
                    key.next_stale = min(key.next_stale, quote.time + stale)
            find_best(key, top, quotes, order, at, side, total)
    if over:
        key.session_end = session_end(key, key.now, starts, bounds)


@jit
def session_end(key: Any, time: int, starts: Int64s, bounds: Int64s) -> int:
    """End of the session of a key's calendar that holds a time."""
    at = key.calendar
    return session_window(starts, bounds[at], bounds[at + 1], time)[2]
