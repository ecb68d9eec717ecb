"""Bars rolled up from finer ones: one pass in log order over explicit state."""

from typing import Any

import numpy as np

from flows.kernels.bar_windows import bar_of_window, empty_window, window_of
from flows.kernels.jit import jit
from schemas.arrays import Floats, Int32s, Int64s

# A key: up to where its windows are closed (inclusive end), and the index of its calendar.
ROLLED_KEY = np.dtype([("frontier", "i8"), ("calendar", "i8")])

# Counts of what a pass has written.
BARS_AT, LATE_AT = 0, 1


@jit
def roll(
    first: int,
    slots: Int64s,
    intervals: Int32s,
    ends: Int64s,
    counts: Int64s,
    numbers: tuple[Floats, ...],
    spec: Any,
    state: Any,
    out: Any,
) -> int:
    """Take bars in, from row `first` on, and write out the coarser bars that close.

    A bar belongs to the window that its last ns lies in. A row whose time is t tells that no bar will come
    that ends before t, so windows that end before t close. A window whose last bar comes closes with it.

    Parameters
    ----------
    first : int
        Row to begin with.
    slots, intervals, ends, counts : numpy.ndarray, shape (n,)
        Slot of the key, code of the interval, end of the bar, trades.
    numbers : tuple of numpy.ndarray of float64, each of shape (n,)
        Open, high, low, close, volume, VWAP, buy and sell volume, NaN for null.
    spec : tuple
        Length of each target (0: weeks, -1: months of sessions), its source's code, starts of the periods of
        all calendars (weeks, then months, of each), bounds of these.
    state, out : tuple
        Keys, windows (`WINDOW`, targets of a key together) and up to where each is closed; bars (`BAR`), late
        rows (`LATE`) and counts. Changed.

    Returns
    -------
    int
        The row to go on with: n, or less where a part of `out` is full. Nothing of that row was added.
    """
    lengths, sources, starts, bounds = spec
    keys, windows, closed = state
    bars, late, written = out
    targets = len(lengths)
    for i in range(first, len(slots)):
        if written[BARS_AT] + 2 * targets > len(bars) or written[LATE_AT] + targets > len(late):
            return i
        slot = slots[i]
        end = ends[i]
        key = keys[slot]
        before = key.frontier
        if end - 1 > before:
            key.frontier = end - 1
            _close(slot, targets, key.frontier, windows, closed, bars, written)
        if counts[i] == 0:
            # Filled, or all of its trades cancelled: it has nothing to add.
            continue
        late_before = written[LATE_AT]
        entered = 0
        for j in range(targets):
            if sources[j] != intervals[i]:
                continue
            length = lengths[j]
            _, begin, stop = window_of(
                end - 1, max(length, 0), 2 * key.calendar - min(length, 0), starts, bounds
            )
            at = slot * targets + j
            if stop <= before or stop <= closed[at]:
                missed = late[written[LATE_AT]]
                missed.row = i
                missed.interval = j
                missed.end = stop
                missed.frontier = max(before, closed[at])
                written[LATE_AT] += 1
                continue
            window = windows[at]
            if window.count == 0:
                empty_window(window, begin, stop)
            _add(window, i, counts[i], numbers)
            entered += 1
            if stop == end:
                _write(window, slot, j, bars, written)
                closed[at] = stop
        for at in range(late_before, written[LATE_AT]):
            late[at].used = entered > 0
    return len(slots)


@jit
def pass_rolled(first: int, slots: Int64s, times: Int64s, spec: Any, state: Any, out: Any) -> int:
    """Take watermark rows in, from `first` on: close the windows that end up to each key's time."""
    targets = len(spec[0])
    keys, windows, closed = state
    bars, _, written = out
    for i in range(first, len(slots)):
        if written[BARS_AT] + targets > len(bars):
            return i
        key = keys[slots[i]]
        key.frontier = max(key.frontier, times[i])
        _close(slots[i], targets, key.frontier, windows, closed, bars, written)
    return len(slots)


@jit
def _close(
    slot: int, targets: int, frontier: int, windows: Any, closed: Int64s, bars: Any, written: Int64s
) -> None:
    # Write out what ends up to the frontier, by end of window, then order of target.
    while True:
        chosen = -1
        for at in range(slot * targets, (slot + 1) * targets):
            window = windows[at]
            if window.count == 0 or window.end > frontier:
                continue
            if chosen < 0 or window.end < windows[chosen].end:
                chosen = at
        if chosen < 0:
            return
        closed[chosen] = windows[chosen].end
        _write(windows[chosen], slot, chosen - slot * targets, bars, written)


@jit
def _write(window: Any, slot: int, target: int, bars: Any, written: Int64s) -> None:
    bar = bars[written[BARS_AT]]
    bar.key = slot
    bar.interval = target
    bar_of_window(window, bar)
    written[BARS_AT] += 1
    empty_window(window, 0, 0)


@jit
def _add(window: Any, row: int, count: int, numbers: tuple[Floats, ...]) -> None:
    opening, high, low, close, volume, vwap, buy, sell = numbers
    window.count += count
    if np.isnan(window.open):
        window.open = opening[row]
    if not np.isnan(close[row]):
        window.close = close[row]
    # A comparison with NaN is false: what there is replaces what there is not.
    if not (window.high >= high[row] or np.isnan(high[row])):
        window.high = high[row]
    if not (window.low <= low[row] or np.isnan(low[row])):
        window.low = low[row]
    window.volume += volume[row]
    if not np.isnan(vwap[row]):
        window.turnover += vwap[row] * volume[row]
    window.buy += buy[row]
    window.sell += sell[row]
