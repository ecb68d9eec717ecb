"""Several sources of one instrument together, and how each lags: one pass in log order over explicit state.

`flows.kernels.venue_quotes` says what the arrays of quotes hold. A source's mid *moves* when it is away from
where it was at its last move by a share of it. A move *follows* if another source's move in the same direction
came before it, within a limit, and has not been followed by this source yet; else it *leads*, and all other
sources with a fresh mid may follow it. A move against a direction ends what was to be followed in it.
"""

from typing import Any

import numpy as np

from flows.kernels.jit import jit
from flows.kernels.nbbo import COUNTS, IS_BEST, SAYS_NOTHING
from flows.kernels.venue_quotes import BID, ENDLESS, NEVER, UNTOLD, put_quote, time_takes_out
from schemas.arrays import Int32s, Int64s

# A key beside its quotes: the end of its interval, and the median and count of mids told last.
TOGETHER = np.dtype([("interval_end", "i8"), ("median", "f8"), ("sources", "i8")])

# A source of a key: the mid of its last move; the move that it may follow, as direction and time; and what its
# interval has so far.
SOURCE = np.dtype(
    [
        ("mid", "f8"),
        ("awaited", "i8"),
        ("awaited_time", "i8"),
        ("updates", "i8"),
        ("moves", "i8"),
        ("follows", "i8"),
        ("lag_sum", "i8"),
        ("lag_max", "i8"),
    ]
)

# What a pass has written so far: composite quotes, lags, rows that came too late.
QUOTES_AT, LAGS_AT, LATE_AT = 0, 1, 2


def new_sources(keys: int, venues: int) -> Any:
    """State of sources before their first row, shape (keys, venues)."""
    sources = np.zeros((keys, venues), SOURCE)
    sources["mid"] = np.nan
    return sources


def new_together(keys: int) -> Any:
    """State of keys before their first row."""
    together = np.zeros(keys, TOGETHER)
    together["interval_end"] = ENDLESS
    together["median"] = np.nan
    return together


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
    """Take quotes in, from row `first` on, and write out what they change and the intervals that end.

    Parameters
    ----------
    first, slots, venues, times, columns, kinds
        As in `flows.kernels.nbbo.add_quotes`; rows named best are no source's own, and say nothing.
    spec : tuple
        How long a quote is fresh, length of the interval, how long a silent source is told of, how old a move
        may be that is followed (all ns), share of the mid that is a move; no session starts and bounds.
    state : tuple
        ``arguments`` of `VenueQuotes`, then of the same keys TOGETHER and of their venues SOURCE; changed.
    out : tuple
        Rows (QUOTE_ROW), rows (LAG_ROW), late rows as in `flows.kernels.nbbo.add_quotes`, counts; changed.

    Returns
    -------
    int
        The row to go on with: n, or less where a part of `out` is full. Nothing of that row was used.
    """
    keys, tops, quotes, order, newest, together, sources = state
    rows, _, late, counts = out
    bids, _, asks, _ = columns
    fresh, interval, _, max_lag, share, _, _ = spec
    room = len(newest) // len(keys)
    for i in range(first, len(slots)):
        if counts[LATE_AT] == len(late):
            return i
        slot = slots[i]
        key = keys[slot]
        time = max(times[i], key.now)
        if not _pass(slot, time, spec, state, out):
            return i
        if counts[QUOTES_AT] == len(rows):
            return i
        if kinds[i] & IS_BEST or kinds[i] & 3 == SAYS_NOTHING:
            continue
        at = slot * room
        venue = venues[i]
        newer = newest[at + venue]
        if times[i] < newer:
            late[counts[LATE_AT], 0] = i
            late[counts[LATE_AT], 1] = newer
            late[counts[LATE_AT], 2] = key.now
            counts[LATE_AT] += 1
            continue
        if newer == NEVER:
            order[at + key.venues] = venue
            key.venues += 1
        if together[slot].interval_end == ENDLESS:
            together[slot].interval_end = (time // interval + 1) * interval
        newest[at + venue] = times[i]
        for side in range(2):
            price = bids[i] if side == BID else -asks[i]
            size = columns[2 * side + 1][i]
            if np.isnan(price) and np.isnan(size):
                continue
            # What comes when it is stale already is an update, but does not stand.
            stands = kinds[i] & 3 == COUNTS and size != 0.0 and times[i] + fresh > key.now
            level = price if stands else np.nan
            put = (level, UNTOLD, times[i], False)
            put_quote(key, tops[2 * slot + side], quotes, order, at, side, venue, put)
            if stands:
                key.next_stale = min(key.next_stale, times[i] + fresh)
        sources[at + venue].updates += 1
        _move(key, quotes, order, sources, at, venue, time, max_lag, share)
        _tell(slot, key, tops, quotes, order, at, together[slot], rows, counts)
    return len(slots)


@jit
def pass_time(first: int, slots: Int64s, times: Int64s, spec: Any, state: Any, out: Any) -> int:
    """Take watermark rows in, from `first` on: quotes that grow stale and intervals that end.

    Parameters and the value returned are those of `add_quotes`.
    """
    for i in range(first, len(slots)):
        if not _pass(slots[i], times[i], spec, state, out):
            return i
    return len(slots)


@jit
def _pass(slot: int, time: int, spec: Any, state: Any, out: Any) -> bool:
    # Bring a key to a time; false where there is no room left, to be gone on with.
    keys, tops, quotes, order, newest, together, sources = state
    rows, lags, _, counts = out
    fresh, interval, silent, _, _, starts, bounds = spec
    key = keys[slot]
    at = slot * (len(newest) // len(keys))
    one = together[slot]
    while key.now < time:
        if counts[QUOTES_AT] == len(rows) or counts[LAGS_AT] + key.venues > len(lags):
            return False
        until = min(key.next_stale, one.interval_end)
        if until > time:
            key.now = time
            break
        key.now = max(until, key.now)
        if key.now >= key.next_stale:
            bid, ask = tops[2 * slot], tops[2 * slot + 1]
            time_takes_out(key, bid, ask, quotes, order, at, fresh, False, starts, bounds)
            _tell(slot, key, tops, quotes, order, at, one, rows, counts)
        if key.now >= one.interval_end:
            told = _end_interval(
                slot, key, order, newest, sources, at, one.interval_end, silent, lags, counts
            )
            # After a long silence of all the intervals without a row are left out.
            begun = one.interval_end if told else time // interval * interval
            one.interval_end = max(begun, one.interval_end) + interval
    return True


@jit
def _end_interval(
    slot: int,
    key: Any,
    order: Int64s,
    newest: Int64s,
    sources: Any,
    at: int,
    end: int,
    silent: int,
    lags: Any,
    counts: Int64s,
) -> bool:
    # Write out what an interval had, source by source; whether there was one to tell of.
    told = False
    for place in range(at, at + key.venues):
        venue = order[place]
        source = sources[at + venue]
        age = end - newest[at + venue]
        if age > silent and source.updates == 0:
            continue
        told = True
        row = lags[counts[LAGS_AT]]
        row.key = slot
        row.venue = venue
        row.end = end
        row.age = age
        row.updates = source.updates
        row.moves = source.moves
        row.follows = source.follows
        row.lag_sum = source.lag_sum
        row.lag_max = source.lag_max
        counts[LAGS_AT] += 1
        source.updates = 0
        source.moves = 0
        source.follows = 0
        source.lag_sum = 0
        source.lag_max = 0
    return told


@jit
def _mid(quotes: Any, at: int, venue: int) -> float:
    # Mid of a source; NaN where a side is missing or stale, or it crosses itself.
    bid = quotes[2 * (at + venue)].level
    ask = -quotes[2 * (at + venue) + 1].level
    return bid / 2.0 + ask / 2.0 if bid <= ask else np.nan


@jit
def _move(
    key: Any,
    quotes: Any,
    order: Int64s,
    sources: Any,
    at: int,
    venue: int,
    time: int,
    max_lag: int,
    share: float,
) -> None:
    mid = _mid(quotes, at, venue)
    source = sources[at + venue]
    if np.isnan(mid):
        return
    change = mid - source.mid
    if np.isnan(change):
        source.mid = mid
        return
    if change == 0.0 or abs(change) < share * source.mid:
        return
    source.mid = mid
    source.moves += 1
    direction = 1 if change > 0.0 else -1
    lag = time - source.awaited_time
    if source.awaited == direction and lag <= max_lag:
        source.follows += 1
        source.lag_sum += lag
        source.lag_max = max(source.lag_max, lag)
        source.awaited = 0
        return
    source.awaited = 0
    for place in range(at, at + key.venues):
        other = order[place]
        if other == venue or np.isnan(_mid(quotes, at, other)):
            continue
        waits = sources[at + other]
        if waits.awaited != direction or time - waits.awaited_time > max_lag:
            waits.awaited = direction
            waits.awaited_time = time


@jit
def _tell(
    slot: int,
    key: Any,
    tops: Any,
    quotes: Any,
    order: Int64s,
    at: int,
    together: Any,
    rows: Any,
    counts: Int64s,
) -> None:
    # Write what all sources say together where it is not what was told last.
    bid = tops[2 * slot]
    ask = tops[2 * slot + 1]
    median, count = _median(key, quotes, order, at)
    same = count == together.sources and (count == 0 or median == together.median)
    for side in range(2):
        top = tops[2 * slot + side]
        if top.venues != top.told_venues or (top.venues != 0 and top.level != top.told_level):
            same = False
            top.told_venues = top.venues
            top.told_level = top.level
    if same:
        return
    together.median = median
    together.sources = count
    key.number += 1
    row = rows[counts[QUOTES_AT]]
    row.key = slot
    row.time = key.now
    row.number = key.number
    row.sources = count
    row.bid_venues = bid.venues
    row.ask_venues = ask.venues
    row.bid = bid.level
    row.ask = -ask.level
    row.median = median
    counts[QUOTES_AT] += 1


@jit
def _median(key: Any, quotes: Any, order: Int64s, at: int) -> tuple[float, int]:
    # Median of the mids of fresh sources, and how many they are: with few, counting is quicker than sorting.
    count = 0
    for place in range(at, at + key.venues):
        if not np.isnan(_mid(quotes, at, order[place])):
            count += 1
    low = np.nan
    high = np.nan
    for place in range(at, at + key.venues):
        mid = _mid(quotes, at, order[place])
        if np.isnan(mid):
            continue
        below = 0
        equal = 0
        for other in range(at, at + key.venues):
            others = _mid(quotes, at, order[other])
            if others < mid:
                below += 1
            elif others == mid:
                equal += 1
        if below <= (count - 1) // 2 < below + equal:
            low = mid
        if below <= count // 2 < below + equal:
            high = mid
    return (low + high) / 2.0, count
