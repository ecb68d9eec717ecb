"""When exchanges are open: from each session's opening to its close, as exchange_calendars knows them."""

import warnings
from typing import Any

import numpy as np

from schemas.arrays import Int64s
from schemas.kept_calendars import kept
from schemas.sessions import DAY_NS, MAKING, CalendarError, session_starts

ALWAYS = "24/7"


def opening_hours(calendar: str, first_day: int, last_day: int) -> Int64s:
    """The open times of a calendar within UTC days, each cut at midnight UTC.

    Parameters
    ----------
    calendar : str
        Name in exchange_calendars, such as ``XNYS``; ``24/7`` is always open.
    first_day, last_day : int
        Days since 1970-01-01 UTC, both inclusive.

    Returns
    -------
    numpy.ndarray of int64, shape (n, 3)
        UTC day (days since 1970), open and close (ns since 1970), ascending. Lunch breaks are not cut out.

    Raises
    ------
    CalendarError
        For a name that exchange_calendars does not know or cannot make.

    Examples
    --------
    >>> import numpy as np
    >>> day = int(np.datetime64("2013-10-07", "D").astype(int))
    >>> [[str(time) for time in one[1:].astype("datetime64[ns]").astype("datetime64[m]")]
    ...  for one in opening_hours("XNYS", day - 1, day)]
    [['2013-10-07T13:30', '2013-10-07T20:00']]
    """
    if calendar == ALWAYS:
        days = np.arange(first_day, last_day + 1, dtype=np.int64)
        return np.column_stack([days, days * DAY_NS, (days + 1) * DAY_NS])
    return _opening_hours(calendar, first_day, last_day)[1]


def hours_of_year(calendar: str, year: int, *, margin_days: int) -> Int64s:
    """As `opening_hours`, from some days before a UTC year to as many behind it; kept on disk.

    Only years are, whose number is bounded. Of days that the calendar does not reach to there are none: some are known
    up to the present year only.
    """
    january = np.array([year - 1970, year + 1 - 1970], "datetime64[Y]").astype("datetime64[D]")
    first_day, end_day = january.astype(int).tolist()
    days = (first_day - margin_days, end_day + margin_days)
    if calendar == ALWAYS:
        return opening_hours(calendar, *days)

    def make() -> tuple[str, Int64s]:
        session_starts(calendar)  # raises, with the names that there are
        known = [None if bound is None else bound // DAY_NS for bound in _bounds(calendar)]
        first = days[0] if known[0] is None else max(days[0], known[0])
        last = days[1] if known[1] is None else min(days[1], known[1])
        zone, found = _opening_hours(calendar, first, max(first, last))
        return zone, found.ravel()

    return kept(f"{calendar} {year} {margin_days}", make, __file__).reshape(-1, 3)


def _opening_hours(calendar: str, first_day: int, last_day: int) -> tuple[str, Int64s]:
    """A calendar's time zone and its open times."""
    session_starts(calendar)  # raises, with the names that there are
    with MAKING:
        zone, opens, closes = _sessions(calendar, first_day, last_day)
    found = [
        (day, max(start, day * DAY_NS), min(end, (day + 1) * DAY_NS))
        for start, end in zip(opens.tolist(), closes.tolist(), strict=True)
        for day in range(start // DAY_NS, (end - 1) // DAY_NS + 1)
        if first_day <= day <= last_day
    ]
    return zone, np.array(found, dtype=np.int64).reshape(-1, 3)


def _bounds(calendar: str) -> tuple[int | None, int | None]:
    """First and last day that a calendar knows, ns since 1970 UTC; None where it knows all."""
    factory = _factory(calendar)
    first, last = factory.bound_min(), factory.bound_max()
    return first and first.value, last and last.value


def _factory(calendar: str) -> Any:
    """What makes a calendar of given years; exchange_calendars has no public way to it."""
    from exchange_calendars.calendar_utils import global_calendar_dispatcher  # noqa: PLC0415 - as pandas below

    dispatcher = global_calendar_dispatcher
    return dispatcher._calendar_factories[dispatcher.resolve_alias(calendar)]  # noqa: SLF001


def _sessions(calendar: str, first_day: int, last_day: int) -> tuple[str, Int64s, Int64s]:
    import pandas as pd  # noqa: PLC0415 - half a second of imports, which most programs do not need

    factory = _factory(calendar)
    # A session may begin on the UTC day before; and the range must hold a session, whatever the holidays. What is asked
    # for must be known, what is looked at beside it need not.
    first, last = pd.Timestamp(first_day, unit="D"), pd.Timestamp(last_day, unit="D")
    first = min(first, max(first - pd.Timedelta(days=10), factory.bound_min() or pd.Timestamp.min))
    last = max(last, min(last + pd.Timedelta(days=10), factory.bound_max() or pd.Timestamp.max))
    with warnings.catch_warnings():
        # exchange_calendars 4.13 uses what pandas 3.1 deprecates; that is theirs to mend.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            found = factory(start=first, end=last)
            opens, closes = found.opens_nanos, found.closes_nanos
        except (NotImplementedError, ValueError) as error:
            raise CalendarError(
                f"calendar {calendar!r} from {first:%Y-%m-%d} to {last:%Y-%m-%d}: {error}"
            ) from error
    return str(found.tz), np.asarray(opens, dtype=np.int64), np.asarray(closes, dtype=np.int64)
