"""Event bars from trades: one pass in log order over explicit state.

Source of the definitions: M. López de Prado, Advances in Financial Machine Learning (Wiley, 2018), chapter 2,
sections 2.3.1 (tick, volume and dollar bars) and 2.3.2.1 and 2.3.2.2 (imbalance bars).
"""

from typing import Any

import numpy as np

from flows.kernels.bar_windows import BUY, NEW, SELL
from flows.kernels.jit import jit
from flows.kernels.sessions import session_window
from schemas.arrays import Bools, Floats, Int32s, Int64s

# What fills a bar.
TICK, VOLUME, DOLLAR = 0, 1, 2

# A key: newest time, which is its frontier (log order counts, lateness does not), end of its session, calendar; the last price, and the last sign by the tick
# rule (0 before there is one).
EVENT_KEY = np.dtype(
    [
        ("newest", "i8"),
        ("session_end", "i8"),
        ("calendar", "i8"),
        ("price", "f8"),
        ("sign", "f8"),
    ]
)

# A key and a label: the open bar, and what imbalance bars expect: ticks of a bar, signed quantity of a tick.
EVENT_STATE = np.dtype(
    [
        ("number", "i8"),
        ("start", "i8"),
        ("end", "i8"),
        ("count", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("volume", "f8"),
        ("turnover", "f8"),
        ("buy", "f8"),
        ("sell", "f8"),
        ("ticks", "f8"),
        ("quantity", "f8"),
        ("imbalance", "f8"),
        ("threshold", "f8"),
        ("expected_ticks", "f8"),
        ("expected_signed", "f8"),
    ]
)

# A bar as written: its key and label, when it is known, whether it is complete, and its state.
EVENT_BAR = np.dtype([("key", "i8"), ("label", "i8"), ("event", "i8"), ("complete", "i8")])

# Counts of what a pass has written.
BARS_AT, LATE_AT = 0, 1


@jit
def add_to_event_bars(
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
    spec: Any,
    state: Any,
    out: Any,
) -> int:
    """Take trades in, from row `first` on, and write out the bars that end.

    Parameters
    ----------
    first : int
        Row to begin with.
    slots, times, prices, sizes, sides, actions, updates_high_low, updates_last, updates_volume
        Columns of the trades, shape (n,).
    spec : tuple
        Kind and whether it is an imbalance bar, of each label; size (or ticks expected at first); weights of
        the newest bar and tick in what is expected; bound of the ticks expected; whether sides are used;
        whether sessions cut; session starts and bounds of all calendars.
    state, out : tuple
        Keys and states (labels of a key together); bars, their states, late rows and counts. Changed.

    Returns
    -------
    int
        The row to go on with: n, or less where a part of `out` is full. Nothing of that row was added.
    """
    kinds, imbalances, sizes_of, weights, use_sides, cut, starts, bounds = spec
    keys, states = state
    bars, ended, late, written = out
    labels = len(kinds)
    for i in range(first, len(slots)):
        if written[BARS_AT] + 2 * labels > len(bars) or written[LATE_AT] == len(late):
            return i
        slot = slots[i]
        key = keys[slot]
        time = times[i]
        key.newest = max(key.newest, time)
        if cut and key.newest >= key.session_end:
            _end_session(slot, labels, keys, states, starts, bounds, bars, ended, written)
        if actions[i] != NEW:
            continue
        if cut and time < key.session_end:
            calendar = key.calendar
            end = session_window(starts, bounds[calendar], bounds[calendar + 1], time)[2]
            if end <= key.newest:
                missed = late[written[LATE_AT]]
                missed.row = i
                missed.end = end
                missed.frontier = key.newest
                written[LATE_AT] += 1
                continue
        price = prices[i]
        size = sizes[i]
        if updates_last[i]:
            if price > key.price:
                key.sign = 1.0
            elif price < key.price:
                key.sign = -1.0
            key.price = price
        sign = key.sign
        if use_sides and sides[i] == BUY:
            sign = 1.0
        elif use_sides and sides[i] == SELL:
            sign = -1.0
        for j in range(labels):
            one = states[slot * labels + j]
            if one.count == 0:
                _begin(one, time, imbalances[j], sizes_of[j])
            one.count += 1
            one.end = time
            if updates_last[i]:
                if np.isnan(one.open):
                    one.open = price
                one.close = price
            if updates_high_low[i]:
                if not one.high >= price:
                    one.high = price
                if not one.low <= price:
                    one.low = price
            if not updates_volume[i]:
                continue
            one.volume += size
            one.turnover += price * size
            if sign > 0:
                one.buy += size
            elif sign < 0:
                one.sell += size
            quantity = 1.0
            if kinds[j] == VOLUME:
                quantity = size
            elif kinds[j] == DOLLAR:
                quantity = price * size
            one.ticks += 1
            one.quantity += quantity
            one.imbalance += sign * quantity
            if _full(one, imbalances[j], sizes_of[j], sign * quantity, weights):
                _write(one, slot, j, key.newest, 1, bars, ended, written)
    return len(slots)


@jit
def pass_event_time(
    first: int, slots: Int64s, times: Int64s, spec: Any, state: Any, out: Any
) -> int:
    """Take watermark rows in, from `first` on: cut the bars of the sessions that end up to each key's time."""
    kinds, _, _, _, _, cut, starts, bounds = spec
    keys, states = state
    bars, ended, _, written = out
    for i in range(first, len(slots)):
        if written[BARS_AT] + len(kinds) > len(bars):
            return i
        key = keys[slots[i]]
        key.newest = max(key.newest, times[i])
        if cut and key.newest >= key.session_end:
            _end_session(slots[i], len(kinds), keys, states, starts, bounds, bars, ended, written)
    return len(slots)


@jit
def _begin(one: Any, time: int, imbalance: bool, size: float) -> None:  # noqa: FBT001 - an element
    one.number += 1
    one.start = time
    one.open = np.nan
    one.high = np.nan
    one.low = np.nan
    one.close = np.nan
    one.volume = 0.0
    one.turnover = 0.0
    one.buy = 0.0
    one.sell = 0.0
    one.ticks = 0.0
    one.quantity = 0.0
    one.imbalance = 0.0
    one.threshold = size
    if imbalance:
        # What is expected at the beginning of the bar; of the first one nothing is known yet.
        one.threshold = np.nan
        if one.expected_ticks > 0:
            one.threshold = one.expected_ticks * abs(one.expected_signed)


@jit
def _full(
    one: Any,
    imbalance: bool,  # noqa: FBT001 - an element of an array
    size: float,
    signed: float,
    weights: tuple[float, float, float],
) -> bool:
    # Whether the tick just added ends the bar; what imbalance bars expect takes it into account.
    if not imbalance:
        return bool(one.quantity >= one.threshold)
    of_bar, of_tick, bound = weights
    if np.isnan(one.expected_signed):
        one.expected_signed = signed
    else:
        one.expected_signed += of_tick * (signed - one.expected_signed)
    if np.isnan(one.threshold):
        # Cut or not, the first bars are as long as is expected at first.
        if one.ticks < size:
            return False
        one.expected_ticks = size
        return True
    if abs(one.imbalance) < one.threshold:
        return False
    ticks = one.expected_ticks + of_bar * (one.ticks - one.expected_ticks)
    one.expected_ticks = min(max(ticks, size / bound), size * bound)
    return True


@jit
def _end_session(
    slot: int,
    labels: int,
    keys: Any,
    states: Any,
    starts: Int64s,
    bounds: Int64s,
    bars: Any,
    ended: Any,
    written: Int64s,
) -> None:
    key = keys[slot]
    for j in range(labels):
        one = states[slot * labels + j]
        if one.count > 0:
            _write(one, slot, j, key.session_end, 0, bars, ended, written)
    first, end = bounds[key.calendar], bounds[key.calendar + 1]
    key.session_end = session_window(starts, first, end, key.newest)[2]


@jit
def _write(
    one: Any,
    slot: int,
    label: int,
    time: int,
    complete: int,
    bars: Any,
    ended: Any,
    written: Int64s,
) -> None:
    bar = bars[written[BARS_AT]]
    bar.key = slot
    bar.label = label
    bar.event = time
    bar.complete = complete
    # What opens or closes the bar is in it, even if its conditions keep it out of the range.
    for price in (one.open, one.close):
        if not (one.high >= price or np.isnan(price)):
            one.high = price
        if not (one.low <= price or np.isnan(price)):
            one.low = price
    ended[written[BARS_AT]] = one
    written[BARS_AT] += 1
    one.count = 0
