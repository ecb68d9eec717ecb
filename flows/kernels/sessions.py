"""Which session window a time belongs to; the windows themselves are in `schemas.sessions`."""

from flows.kernels.jit import jit
from schemas.arrays import Int64s

_DAY_NS = 86_400_000_000_000


@jit
def session_window(starts: Int64s, first: int, end: int, time: int) -> tuple[int, int, int]:
    """Number, start and end of the session window that holds a time.

    Beyond a calendar's known range windows of 24 hours go on in both directions, so that every time has
    one.

    Parameters
    ----------
    starts : numpy.ndarray of int64
        Starts of the windows of several calendars, one calendar after the other.
    first, end : int
        The calendar's part of `starts`: ``starts[first:end]``, at least one.
    time : int
        ns since 1970 UTC.

    Returns
    -------
    tuple of int
        Number (consecutive within the calendar, negative before its first), start, end in ns.
    """
    opening = starts[first]
    if time < opening:
        # The distance in whole days, rounded up, without forming a difference that could overflow.
        days = opening // _DAY_NS - time // _DAY_NS
        if time % _DAY_NS < opening % _DAY_NS:
            days += 1
        start = opening - days * _DAY_NS
        return -days, start, start + _DAY_NS
    last = starts[end - 1]
    if time >= last:
        days = (time - last) // _DAY_NS
        start = last + days * _DAY_NS
        return end - first - 1 + days, start, start + _DAY_NS
    low = first
    high = end - 1
    while high - low > 1:
        middle = (low + high) // 2
        if starts[middle] <= time:
            low = middle
        else:
            high = middle
    return low - first, starts[low], starts[low + 1]
