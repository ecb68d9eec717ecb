"""Time bars from trades: one pass in log order over explicit state.

`flows.kernels.bar_state` says what the arrays hold. Nothing here depends on where the rows were cut into
batches: every sum runs strictly from left to right within its window.

Helpers take single arrays, not the tuples they are in: a tuple handed on costs a reference count for each
of its arrays, which is dear beside the few nanoseconds that a trade takes.
"""

from typing import Any

import numpy as np

from flows.kernels.bar_state import BARS_AT, CORRECTIONS_AT, ENDLESS, LATE_AT
from flows.kernels.jit import jit
from flows.kernels.sessions import session_window
from schemas.arrays import Bools, Floats, Int32s, Int64s


@jit
def add_trades(
    first: int,
    slots: Int64s,
    times: Int64s,
    prices: Floats,
    sizes: Floats,
    sides: Int32s,
    actions: Int32s,
    updates_high_low: Bools,
    updates_last: Bools,
    updates_volume: Bools,
    codes: Any,
    spec: Any,
    state: Any,
    out: Any,
) -> int:
    """Take trades in, from row `first` on, and write out the bars that close.

    Parameters
    ----------
    first : int
        Row to begin with.
    slots, times, prices, sizes, sides, actions, updates_high_low, updates_last, updates_volume
        Columns of the trades, shape (n,): slot of the key, ns since 1970 UTC, price, quantity, codes.
    codes : tuple of int
        The codes that mean an aggressor that buys, one that sells, and a new trade.
    spec, state, out : tuple
        ``arguments`` of `Spec`, `BarState` and `Written`; the last two are changed.

    Returns
    -------
    int
        The row to go on with: n, or less where a part of `out` is full. Nothing of that row was added.
    """
    buy, sell, new = codes
    lengths, rings, starts, bounds, lateness, fill_limit = spec
    keys, pairs, windows = state
    bars, late, corrections, written = out
    intervals = len(lengths)
    ring = len(windows) // max(len(pairs), 1)
    pending = np.full(intervals, ENDLESS, dtype=np.int64)
    for i in range(first, len(slots)):
        if written[LATE_AT] + intervals > len(late) or written[CORRECTIONS_AT] == len(corrections):
            return i
        slot = slots[i]
        time = times[i]
        key = keys[slot]
        is_new = actions[i] == new
        # The row's own advance cannot make it late: its windows end after its time.
        key.frontier = max(key.frontier, time - lateness)
        frontier = key.frontier
        if fill_limit > 0:
            for j in range(intervals):
                pending[j] = ENDLESS
                if is_new:
                    _, start, end = _window(time, lengths[j], key.calendar, starts, bounds)
                    if end > frontier:
                        pending[j] = start
            if not _close_and_fill(slot, pending, spec, keys, pairs, windows, bars, written):
                return i
        elif frontier >= key.next_end and not _close(
            slot, intervals, ring, keys, pairs, windows, bars, written
        ):
            return i
        if not is_new:
            corrections[written[CORRECTIONS_AT]] = i
            written[CORRECTIONS_AT] += 1
            continue
        price = prices[i]
        size = sizes[i]
        side = sides[i]
        high_low = updates_high_low[i]
        last = updates_last[i]
        volume = updates_volume[i]
        late_before = written[LATE_AT]
        for j in range(intervals):
            pair = slot * intervals + j
            window = windows[pair * ring + pairs[pair].place]
            if not window.start <= time < window.end:
                number, start, end = _window(time, lengths[j], key.calendar, starts, bounds)
                if end <= frontier:
                    missed = late[written[LATE_AT]]
                    missed.row = i
                    missed.interval = j
                    missed.end = end
                    missed.frontier = frontier
                    written[LATE_AT] += 1
                    continue
                place = number % rings[j]
                pairs[pair].place = place
                window = windows[pair * ring + place]
                if window.count == 0:
                    window.start = start
                    window.end = end
                    window.open = np.nan
                    window.high = np.nan
                    window.low = np.nan
                    window.close = np.nan
                    window.volume = 0.0
                    window.turnover = 0.0
                    window.buy = 0.0
                    window.sell = 0.0
                    key.next_end = min(key.next_end, end)
            window.count += 1
            if last:
                if np.isnan(window.open):
                    window.open = price
                window.close = price
            if high_low:
                # A comparison with NaN is false: the first price is taken as it is.
                if not window.high >= price:
                    window.high = price
                if not window.low <= price:
                    window.low = price
            if volume:
                window.volume += size
                window.turnover += price * size
                if side == buy:
                    window.buy += size
                elif side == sell:
                    window.sell += size
        for at in range(late_before, written[LATE_AT]):
            late[at].used = written[LATE_AT] - late_before < intervals
    return len(slots)


@jit
def pass_time(first: int, slots: Int64s, times: Int64s, spec: Any, state: Any, out: Any) -> int:
    """Take watermark rows in, from `first` on: close the windows that end up to each key's time.

    Parameters and the value returned are those of `add_trades`.
    """
    keys, pairs, windows = state
    bars, _, _, written = out
    intervals = len(spec[0])
    ring = len(windows) // max(len(pairs), 1)
    pending = np.full(intervals, ENDLESS, dtype=np.int64)
    for i in range(first, len(slots)):
        slot = slots[i]
        keys[slot].frontier = max(keys[slot].frontier, times[i])
        if spec[5] > 0:
            done = _close_and_fill(slot, pending, spec, keys, pairs, windows, bars, written)
        else:
            done = _close(slot, intervals, ring, keys, pairs, windows, bars, written)
        if not done:
            return i
    return len(slots)


@jit
def _close(
    slot: int,
    intervals: int,
    ring: int,
    keys: Any,
    pairs: Any,
    windows: Any,
    bars: Any,
    written: Int64s,
) -> bool:
    # Write out what ends up to the key's frontier, by end of window, then order of interval. False where
    # there is no room left.
    key = keys[slot]
    begin = slot * intervals * ring
    while key.next_end <= key.frontier:
        if written[BARS_AT] == len(bars):
            return False
        first = -1
        second_end = ENDLESS
        for at in range(begin, begin + intervals * ring):
            if windows[at].count > 0:
                if first < 0 or windows[at].end < windows[first].end:
                    if first >= 0:
                        second_end = windows[first].end
                    first = at
                elif windows[at].end < second_end:
                    second_end = windows[at].end
        interval = (first - begin) // ring
        bar = bars[written[BARS_AT]]
        bar.key = slot
        bar.interval = interval
        _write(windows[first], pairs[slot * intervals + interval], bar, written)
        key.next_end = second_end
    return True


@jit
def _close_and_fill(
    slot: int,
    pending: Int64s,
    spec: Any,
    keys: Any,
    pairs: Any,
    windows: Any,
    bars: Any,
    written: Int64s,
) -> bool:
    # As `_close`, with the empty windows between trades. `pending` has, for each interval, the start of the
    # window of the key's next trade, which shows that windows before it lie between trades.
    lengths, rings, starts, bounds, _, fill_limit = spec
    intervals = len(lengths)
    ring = len(windows) // max(len(pairs), 1)
    frontier = keys[slot].frontier
    calendar = keys[slot].calendar
    while True:
        chosen = -1
        chosen_at = -1
        chosen_end = ENDLESS
        next_end = ENDLESS
        for j in range(intervals):
            pair = slot * intervals + j
            earliest = -1
            for at in range(pair * ring, pair * ring + rings[j]):
                if windows[at].count > 0 and (
                    earliest < 0 or windows[at].end < windows[earliest].end
                ):
                    earliest = at
            start = windows[earliest].start if earliest >= 0 else ENDLESS
            end = windows[earliest].end if earliest >= 0 else ENDLESS
            next_end = min(next_end, end)
            if _is_gap(
                pairs[pair],
                min(start, pending[j]),
                lengths[j],
                fill_limit,
                calendar,
                starts,
                bounds,
            ):
                earliest = -1
                end = pairs[pair].last_end + lengths[j]
            if end <= frontier and end < chosen_end:
                chosen = j
                chosen_at = earliest
                chosen_end = end
        if chosen < 0:
            keys[slot].next_end = next_end
            return True
        if written[BARS_AT] == len(bars):
            return False
        bar = bars[written[BARS_AT]]
        bar.key = slot
        bar.interval = chosen
        if chosen_at >= 0:
            _write(windows[chosen_at], pairs[slot * intervals + chosen], bar, written)
        else:
            bar.end = chosen_end
            bar.start = chosen_end - lengths[chosen]
            _fill(pairs[slot * intervals + chosen], bar, written)


@jit
def _is_gap(
    pair: Any,
    next_start: int,
    length: int,
    fill_limit: int,
    calendar: int,
    starts: Int64s,
    bounds: Int64s,
) -> bool:
    # Whether the window after the bar written last is empty and to be filled.
    if length == 0 or next_start == ENDLESS or np.isnan(pair.last_close):
        return False
    if pair.last_end >= next_start or (next_start - pair.last_end) // length > fill_limit:
        return False
    first = bounds[calendar]
    end = bounds[calendar + 1]
    before = session_window(starts, first, end, pair.last_end - 1)[0]
    return before == session_window(starts, first, end, next_start)[0]


@jit
def _window(
    time: int, length: int, calendar: int, starts: Int64s, bounds: Int64s
) -> tuple[int, int, int]:
    if length > 0:
        number = time // length
        return number, number * length, number * length + length
    return session_window(starts, bounds[calendar], bounds[calendar + 1], time)


@jit
def _write(window: Any, pair: Any, bar: Any, written: Int64s) -> None:
    bar.start = window.start
    bar.end = window.end
    bar.count = window.count
    high = window.high
    low = window.low
    # What opens or closes the bar is in it, even if its conditions keep it out of the range. A comparison
    # with NaN is false: what there is replaces what there is not.
    for price in (window.open, window.close):
        if not (high >= price or np.isnan(price)):
            high = price
        if not (low <= price or np.isnan(price)):
            low = price
    bar.open = window.open
    bar.high = high
    bar.low = low
    bar.close = window.close
    bar.volume = window.volume
    bar.vwap = window.turnover / window.volume if window.volume > 0 else np.nan
    bar.buy = window.buy
    bar.sell = window.sell
    written[BARS_AT] += 1
    pair.last_end = window.end
    pair.last_close = window.close
    window.start = 0
    window.end = 0
    window.count = 0


@jit
def _fill(pair: Any, bar: Any, written: Int64s) -> None:
    bar.count = 0
    bar.open = pair.last_close
    bar.high = pair.last_close
    bar.low = pair.last_close
    bar.close = pair.last_close
    bar.volume = 0.0
    bar.vwap = np.nan
    bar.buy = 0.0
    bar.sell = 0.0
    written[BARS_AT] += 1
    pair.last_end = bar.end
