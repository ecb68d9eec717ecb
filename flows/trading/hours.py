"""When a symbol's market is open, by its calendar: what day, at-open and at-close orders go by."""

from bisect import bisect_right
from functools import cache

import numpy as np

from schemas.opening_hours import ALWAYS, hours_of_year
from schemas.sessions import DAY_NS, CalendarError

# Longer than any closing of an exchange since 1914, so that a year's list has the session after each of its days.
_MARGIN_DAYS = 15


class Hours:
    """Sessions of a calendar.

    Parameters
    ----------
    calendar : str
        Name in exchange_calendars. One that is not known there, or that does not reach to a time (some are known up
        to the present year), is taken for always open then: refusing the market's events for a word in ``instruments`` would lose them.
    """

    def __init__(self, calendar: str) -> None:
        self._calendar = calendar
        self._open, self._close = 0, 0

    def session(self, ts_ns: int) -> tuple[int, int]:
        """Opening and close of the session that is open at a time, or else of the next one."""
        if self._open <= ts_ns < self._close:
            return self._open, self._close
        opens, closes = _sessions(self._calendar, _year(ts_ns))
        at = bisect_right(closes, ts_ns)
        self._open, self._close = opens[at], closes[at]
        return self._open, self._close

    def is_open(self, ts_ns: int) -> bool:
        """Whether a session is open at a time."""
        return self._open <= ts_ns < self._close or self.session(ts_ns)[0] <= ts_ns

    def next_opening(self, ts_ns: int) -> int:
        """The first opening after a time."""
        opens, _ = _sessions(self._calendar, _year(ts_ns))
        return opens[bisect_right(opens, ts_ns)]


def _year(ts_ns: int) -> int:
    return 1970 + int(np.datetime64(ts_ns, "ns").astype("datetime64[Y]").astype(int))


@cache
def _sessions(calendar: str, year: int) -> tuple[list[int], list[int]]:
    """Openings and closes from a year's first day to some days behind its end."""
    next_year = int(np.datetime64(str(year + 1), "D").astype(int))
    try:
        found = hours_of_year(calendar, year, margin_days=_MARGIN_DAYS)
    except CalendarError:
        return _sessions(ALWAYS, year)
    if not len(found) or found[0, 0] >= next_year:
        return _sessions(ALWAYS, year)
    opens, closes = found[:, 1], found[:, 2]
    if calendar != ALWAYS:
        # Cut at midnight UTC there; a session that runs through it is one.
        begins = np.append(True, opens[1:] != closes[:-1])
        opens, closes = opens[begins], closes[np.append(begins[1:], True)]
    if closes[-1] < (next_year + 1) * DAY_NS:
        # Behind the last session that is known it is always open; up to there it is not.
        days = np.arange(found[-1, 0] + 1, next_year + _MARGIN_DAYS) * DAY_NS
        opens, closes = np.append(opens, days), np.append(closes, days + DAY_NS)
    return opens.tolist(), closes.tolist()
