"""Names of bar intervals, such as 5m, and what they mean."""

import re

SESSION = "1d"

# The longest time that a parameter may say, 31 years: a time and it together are still an int64.
LONGEST_NS = 10**18

_UNITS_NS = {"s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}


def interval_ns(interval: str) -> int:
    """Length of an interval in ns; 0 for ``1d``, which is as long as the calendar's session.

    Parameters
    ----------
    interval : str
        A number and ``s``, ``m`` or ``h``, on the UTC grid that begins with 1970; or ``1d``.

    Raises
    ------
    ValueError
        For anything else, with what is allowed.

    Examples
    --------
    >>> interval_ns("5m") // 10**9, interval_ns("1d")
    (300, 0)
    """
    if interval == SESSION:
        return 0
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smh])", interval)
    if found is None:
        raise ValueError(
            f"interval {interval!r} is not known; write a number and s, m or h (as in 1s, 5m, 4h), "
            f"or {SESSION} for the calendar's session"
        )
    return int(found[1]) * _UNITS_NS[found[2]]


def known_intervals(intervals: tuple[str, ...]) -> tuple[str, ...]:
    """The intervals, checked: at least one, each known, none twice in any spelling.

    Raises
    ------
    ValueError
        Saying which is wrong.
    """
    if not intervals:
        raise ValueError("at least one interval is needed, such as 1m")
    seen: dict[int, str] = {}
    for interval in intervals:
        length = interval_ns(interval)
        if length in seen:
            raise ValueError(f"intervals {seen[length]!r} and {interval!r} are the same; drop one")
        seen[length] = interval
    return intervals
