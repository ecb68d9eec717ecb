"""Quote bars from best bids and offers: one pass in log order over explicit state."""

from typing import Any

import numpy as np

from flows.kernels.bar_windows import window_of
from flows.kernels.jit import jit
from schemas.arrays import Bools, Floats, Int64s

# A key: its time (newest row or watermark row), its calendar, and the mid and spread that stand (NaN: none).
QUOTE_KEY = np.dtype([("time", "i8"), ("calendar", "i8"), ("mid", "f8"), ("spread", "f8")])

# The open window of a key and an interval; none where the count is 0. Sums are up to `until`.
QUOTE_WINDOW = np.dtype(
    [
        ("key", "i8"),
        ("interval", "i8"),
        ("start", "i8"),
        ("end", "i8"),
        ("until", "i8"),
        ("count", "i8"),
        ("quoted", "i8"),
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("mid", "f8"),
        ("spread", "f8"),
    ]
)

# Counts of what a pass has written.
BARS_AT, LATE_AT = 0, 1


@jit
def add_quotes(
    first: int,
    slots: Int64s,
    times: Int64s,
    bids: Floats,
    asks: Floats,
    counts: Bools,
    spec: Any,
    state: Any,
    out: Any,
) -> int:
    """Take best bids and offers in, from row `first` on, and write out the bars that close.

    Parameters
    ----------
    first : int
        Row to begin with.
    slots, times, bids, asks : numpy.ndarray, shape (n,)
        Slot of the key, ns since 1970 UTC, best prices, NaN for null.
    counts : numpy.ndarray of bool, shape (n,)
        Whether the row has a mid.
    spec : tuple
        Length of each interval (0: session), session starts and bounds of all calendars.
    state, out : tuple
        Keys and windows; bars, late rows and counts. Changed.

    Returns
    -------
    int
        The row to go on with: n, or less where a part of `out` is full. Nothing of that row was added.
    """
    lengths, starts, bounds = spec
    keys, windows = state
    bars, late, written = out
    intervals = len(lengths)
    for i in range(first, len(slots)):
        if written[BARS_AT] + intervals > len(bars) or written[LATE_AT] + intervals > len(late):
            return i
        slot = slots[i]
        key = keys[slot]
        key.time = max(key.time, times[i])
        _close(slot, intervals, keys, windows, bars, written)
        late_before = written[LATE_AT]
        for j in range(intervals):
            window = windows[slot * intervals + j]
            _, start, end = window_of(times[i], lengths[j], key.calendar, starts, bounds)
            if end <= key.time:
                missed = late[written[LATE_AT]]
                missed.row = i
                missed.interval = j
                missed.end = end
                missed.frontier = key.time
                written[LATE_AT] += 1
                if window.count > 0:
                    _stand(window, key, key.time)
                continue
            if window.count == 0:
                _begin(window, slot, j, start, end)
                # What a row at the very start replaces has not stood in the window.
                if key.time > start:
                    _tell(window, key.mid)
            # A row behind its key's time stands from that time on.
            _stand(window, key, key.time)
            window.count += 1
        missed_all = written[LATE_AT] - late_before == intervals
        for at in range(late_before, written[LATE_AT]):
            late[at].used = not missed_all
        if missed_all:
            continue
        key.mid = (bids[i] + asks[i]) / 2 if counts[i] else np.nan
        key.spread = asks[i] - bids[i]
        for j in range(intervals):
            if windows[slot * intervals + j].count > 0:
                _tell(windows[slot * intervals + j], key.mid)
    return len(slots)


@jit
def pass_quote_time(
    first: int, slots: Int64s, times: Int64s, spec: Any, state: Any, out: Any
) -> int:
    """Take watermark rows in, from `first` on: close the windows that end up to each key's time."""
    intervals = len(spec[0])
    keys, windows = state
    bars, _, written = out
    for i in range(first, len(slots)):
        if written[BARS_AT] + intervals > len(bars):
            return i
        keys[slots[i]].time = max(keys[slots[i]].time, times[i])
        _close(slots[i], intervals, keys, windows, bars, written)
    return len(slots)


@jit
def _begin(window: Any, slot: int, interval: int, start: int, end: int) -> None:
    window.key = slot
    window.interval = interval
    window.start = start
    window.end = end
    window.until = start
    window.quoted = 0
    window.open = np.nan
    window.high = np.nan
    window.low = np.nan
    window.close = np.nan
    window.mid = 0.0
    window.spread = 0.0


@jit
def _tell(window: Any, mid: float) -> None:
    # A mid begins to stand in a window.
    if np.isnan(mid):
        return
    if np.isnan(window.open):
        window.open = mid
    if not window.high >= mid:
        window.high = mid
    if not window.low <= mid:
        window.low = mid
    window.close = mid


@jit
def _stand(window: Any, key: Any, until: int) -> None:
    # What stands has stood up to a time.
    span = until - window.until
    window.until = until
    if not np.isnan(key.mid):
        window.quoted += span
        window.mid += key.mid * span
        window.spread += key.spread * span


@jit
def _close(slot: int, intervals: int, keys: Any, windows: Any, bars: Any, written: Int64s) -> None:
    # Write out what ends up to the key's time, by end of window, then order of interval.
    key = keys[slot]
    while True:
        chosen = -1
        for at in range(slot * intervals, (slot + 1) * intervals):
            window = windows[at]
            if window.count == 0 or window.end > key.time:
                continue
            if chosen < 0 or window.end < windows[chosen].end:
                chosen = at
        if chosen < 0:
            return
        window = windows[chosen]
        _stand(window, key, window.end)
        bars[written[BARS_AT]] = window
        written[BARS_AT] += 1
        window.count = 0
