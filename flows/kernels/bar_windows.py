"""What is done with one window of bars: find it, empty it, add a trade to it, make its bar."""

from typing import Any

import numpy as np

from flows.kernels.jit import jit
from flows.kernels.sessions import session_window
from schemas.arrays import Int64s

# Codes of sides and actions, as `flows.bars` numbers them; any other side is -1.
BUY, SELL = 0, 1
NEW, CORRECT, CANCEL = 0, 1, 2


@jit
def window_of(
    time: int, length: int, calendar: int, starts: Int64s, bounds: Int64s
) -> tuple[int, int, int]:
    """Number, start and end of the window of a length (0: the session's) that holds a time."""
    if length > 0:
        number = time // length
        return number, number * length, number * length + length
    return session_window(starts, bounds[calendar], bounds[calendar + 1], time)


@jit
def empty_window(window: Any, start: int, end: int) -> None:
    """Begin a window (`flows.kernels.bar_state.WINDOW`) without trades."""
    window.start = start
    window.end = end
    window.count = 0
    window.cancelled = 0
    window.corrected = 0
    window.open = np.nan
    window.high = np.nan
    window.low = np.nan
    window.close = np.nan
    window.volume = 0.0
    window.turnover = 0.0
    window.buy = 0.0
    window.sell = 0.0


@jit
def add_to_window(
    window: Any,
    price: float,
    size: float,
    side: int,
    high_low: bool,  # noqa: FBT001 - elements of arrays
    last: bool,  # noqa: FBT001 - elements of arrays
    volume: bool,  # noqa: FBT001 - elements of arrays
) -> None:
    """Take a trade into a window, behind those in it already."""
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
        if side == BUY:
            window.buy += size
        elif side == SELL:
            window.sell += size


@jit
def bar_of_window(window: Any, bar: Any) -> None:
    """Write a window's bar (`flows.kernels.bar_state.BAR`), all but its key and interval."""
    bar.start = window.start
    bar.end = window.end
    bar.count = window.count - window.cancelled
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


@jit
def same_bar(one: Any, other: Any) -> bool:
    """Whether two bars hold the same, null being the same as null."""
    if one.count != other.count:
        return False
    for a, b in (
        (one.open, other.open),
        (one.high, other.high),
        (one.low, other.low),
        (one.close, other.close),
        (one.volume, other.volume),
        (one.vwap, other.vwap),
        (one.buy, other.buy),
        (one.sell, other.sell),
    ):
        if a != b and not (np.isnan(a) and np.isnan(b)):
            return False
    return True
