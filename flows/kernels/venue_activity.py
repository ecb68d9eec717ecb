"""What the tape shows of a symbol over time: what is traded at which venue and unseen before, how its mid moves.

Sums that forget: each minute of market time in which anything comes, they are told (so that who reads them at any
moment of a minute reads the same) and then lose a part. `flows.trading.estimates` says what follows from them.
"""

from typing import Any

import numpy as np

from flows.kernels.jit import jit
from schemas.arrays import Floats

RUNNING, TOLD = 0, 1
"""Halves of both arrays: what is summed now, and what it was when the minute began."""

MINUTE, MID, MID_TIME, SQUARES, SECONDS, VOLUME, MINUTES, PRINTS, COURSE_FIELDS = range(9)
"""Of a symbol: minute since 1970; mid of the newest sample and its time; squared returns of the logarithm of the mid,
and the seconds that they took; volume of late, and the minutes that it took; prints."""

TRADED, UNSEEN, ACTIVITY_FIELDS = range(3)
"""Of a symbol at a venue: size traded; size of it that nobody was shown (off exchanges: that traded at the mid)."""

MINUTE_NS = 60_000_000_000

_SAMPLE_NS = 10_000_000_000
"""Of the mid: the shorter, the more of what is measured is the quotes' flicker."""

_LONGEST_NS = 60_000_000_000
"""From sample to sample; a longer gap (a night) is none of the market's pace."""

_STALE_NS = 300_000_000_000
"""As `flows.execution.ExecutionParams.stale_after` unless set."""

_WIDEST = 0.01
"""Spread as a share of the mid: a wider market has no mid worth measuring, as before the opening."""

_SHORT, _LONG = 1.0 - 1.0 / 15.0, 1.0 - 1.0 / 390.0
"""What is kept from minute to minute: of pace a mean of a quarter of an hour, so that the quiet before the opening is
forgotten soon; of venues' parts one of a trading day."""

_MOST_MINUTES = 5.0
"""Minutes that a gap counts as at most, for the volume in a minute: a night is no quiet market."""

_SMALLEST, _LARGEST = 1e-10, 1e13
"""Prices and sizes beyond are no market's, as in `flows.trading.symbol_market`: sums and ratios of others are finite."""

_AT_MID = 0.1
"""How far from the mid a print may be to be one of a pool that trades there, as a share of the spread: retail orders
that a dealer improves by a hundredth of a cent are not."""


@jit
def pass_minute(now: int, slot: int, course: Floats, activity: Floats) -> None:
    """Tell the sums if a minute is over, and let them forget.

    Parameters
    ----------
    now : int
        Market time of the symbol, ns since 1970 UTC.
    slot : int
        The symbol's.
    course : numpy.ndarray of float64, shape (symbols, 2, COURSE_FIELDS)
        Changed.
    activity : numpy.ndarray of float64, shape (symbols, 2, venues, ACTIVITY_FIELDS)
        Changed.
    """
    # Field by field here and below: a view of an array costs more than all that is done with it.
    before = course[slot, RUNNING, MINUTE]
    if now < (np.int64(before) + 1) * MINUTE_NS:
        return
    minute = float(now // MINUTE_NS)
    if before > 0.0:
        course[slot, RUNNING, MINUTES] += min(minute - before, _MOST_MINUTES)
    course[slot, RUNNING, MINUTE] = minute
    for field in range(COURSE_FIELDS):
        course[slot, TOLD, field] = course[slot, RUNNING, field]
    for field in (SQUARES, SECONDS, VOLUME, MINUTES):
        course[slot, RUNNING, field] *= _SHORT
    course[slot, RUNNING, PRINTS] *= _LONG
    for venue in range(activity.shape[2]):
        for field in range(ACTIVITY_FIELDS):
            activity[slot, TOLD, venue, field] = activity[slot, RUNNING, venue, field]
            activity[slot, RUNNING, venue, field] *= _LONG


@jit
def sample_mid(now: int, slot: int, course: Floats, touches: Any, room: int) -> None:
    """Take the mid as it stands as a sample, if it is time for one.

    Parameters
    ----------
    touches : numpy.ndarray of TOUCH
        As in `flows.kernels.paper_quotes`.
    room : int
        How many venues a symbol has there.
    """
    passed = now - course[slot, RUNNING, MID_TIME]
    if passed < _SAMPLE_NS:
        return
    bid, ask = _best(now, touches, slot * room, room)
    middle = 0.5 * (bid + ask)
    if not (bid < ask and ask - bid <= _WIDEST * middle):
        return
    before = course[slot, RUNNING, MID]
    if before > 0.0 and passed <= _LONGEST_NS:
        move = np.log(middle / before)
        course[slot, RUNNING, SQUARES] += move * move
        course[slot, RUNNING, SECONDS] += passed / 1e9
    course[slot, RUNNING, MID] = middle
    course[slot, RUNNING, MID_TIME] = now


@jit
def add_print(
    time: int,
    price: float,
    size: float,
    slot: int,
    venue: int,
    is_off_exchange: bool,  # noqa: FBT001 - a kernel
    course: Floats,
    activity: Floats,
    touches: Any,
    room: int,
) -> None:
    """Take a trade in that met a book, or was reported off exchange.

    Parameters
    ----------
    time : int
        Of the trade, ns since 1970 UTC.
    price, size : float
        Of the trade; those that are no market's count nothing.
    venue : int
        Number of its venue.

    Notes
    -----
    What a venue was not showing is what traded between its bid and its ask, and what traded at one of them beyond the
    size displayed there, as in Hautsch and Huang (2012), SSRN 2004231. Quotes that are newer than the trade, as they
    may come first, say nothing of it.
    """
    if not (_SMALLEST <= size < _LARGEST and _SMALLEST <= price < _LARGEST):
        return
    course[slot, RUNNING, VOLUME] += size
    course[slot, RUNNING, PRINTS] += 1.0
    activity[slot, RUNNING, venue, TRADED] += size
    unseen = 0.0
    if is_off_exchange:
        bid, ask = _best(time, touches, slot * room, room)
        if bid < ask and abs(price - 0.5 * (bid + ask)) <= _AT_MID * (ask - bid):
            unseen = size
    else:
        bids = touches[2 * (slot * room + venue)]
        asks = touches[2 * (slot * room + venue) + 1]
        oldest = min(bids.time, asks.time)
        known = time - _STALE_NS <= oldest and max(bids.time, asks.time) <= time
        if known and bids.price < asks.price:
            if bids.price < price < asks.price:
                unseen = size
            elif price == bids.price:
                unseen = max(size - bids.size, 0.0)
            elif price == asks.price:
                unseen = max(size - asks.size, 0.0)
    activity[slot, RUNNING, venue, UNSEEN] += unseen


@jit
def _best(now: int, touches: Any, first: int, room: int) -> tuple[float, float]:
    """Best bid and ask over the venues' quotes that are no older than allowed, nor newer; NaN where there is none."""
    bid, ask = np.nan, np.nan
    for venue in range(first, first + room):
        buys, sells = touches[2 * venue], touches[2 * venue + 1]
        if now - _STALE_NS <= buys.time <= now and _SMALLEST <= buys.price < _LARGEST:
            bid = buys.price if np.isnan(bid) else max(bid, buys.price)
        if now - _STALE_NS <= sells.time <= now and _SMALLEST <= sells.price < _LARGEST:
            ask = sells.price if np.isnan(ask) else min(ask, sells.price)
    return bid, ask
