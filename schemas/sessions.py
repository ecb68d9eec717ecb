"""Session windows of exchange calendars: where one trading day ends and the next begins.

A window is for cutting data into trading days. It is not the time in which an exchange is open: what is
printed before the opening, after the close or on a weekend belongs to a session too.
"""

import warnings
from functools import cache, partial
from threading import Lock

import numpy as np

from schemas.arrays import Int64s
from schemas.kept_calendars import kept

DEFAULT_CALENDAR = "XNYS"
DAY_NS = 86_400_000_000_000

# Fixed, so that no result hangs on the day on which the platform was started.
_FIRST_DATE = "1990-01-01"
_END_DATE = "2050-01-01"

# So far windows of 24 hours go on where those of a calendar are to be listed.
_CONTINUED = np.array(["1900-01-01", "2200-01-01"], "M8[ns]").astype(np.int64)


# Shards on several threads ask at once; making a calendar changes the process's warning filters meanwhile.
MAKING = Lock()


class CalendarError(ValueError):
    """A calendar that exchange_calendars does not know or cannot make."""


def session_starts(calendar: str) -> Int64s:
    """Starts of a calendar's session windows.

    Session window *i* is ``[starts[i], starts[i + 1])``. Windows tile time: each runs from local midnight
    of a session's date to local midnight of the next session's date, so that weekends and holidays belong
    to the session before them, and a day has 23 or 25 hours where daylight saving time begins or ends.

    Parameters
    ----------
    calendar : str
        Name in exchange_calendars, such as ``XNYS``; ``24/7`` has UTC days.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        Ascending, ns since 1970 UTC, read-only; sessions from 1990 to 2049, or the part of that
        range which exchange_calendars has for this calendar.

    Raises
    ------
    CalendarError
        For a name that exchange_calendars does not know or cannot make.

    Examples
    --------
    >>> import numpy as np
    >>> starts = session_starts("XNYS")
    >>> friday = np.datetime64("2013-10-04T20:30", "ns").astype(np.int64)
    >>> at = np.searchsorted(starts, friday, side="right")
    >>> [str(edge) for edge in starts[at - 1 : at + 1].astype("datetime64[ns]").astype("datetime64[h]")]
    ['2013-10-04T04', '2013-10-07T04']
    """
    with MAKING:
        return _session_starts(calendar)


def days_before(starts: Int64s) -> Int64s:
    """Starts of the windows of 24 hours before a calendar's first session, from 1900 on, as kernels have them."""
    return np.arange(starts[0] - DAY_NS, _CONTINUED[0], -DAY_NS, dtype=np.int64)[::-1]


def days_behind(starts: Int64s) -> Int64s:
    """Starts of the windows of 24 hours behind a calendar's last session, up to 2200, as kernels have them."""
    return np.arange(starts[-1] + DAY_NS, _CONTINUED[1], DAY_NS, dtype=np.int64)


@cache
def _session_starts(calendar: str) -> Int64s:
    if calendar == "24/7":
        days = np.arange(_FIRST_DATE, _END_DATE, dtype="datetime64[D]")
        starts = days.astype("datetime64[ns]").astype(np.int64)
        starts.flags.writeable = False
        return starts
    return kept(calendar, partial(_local_midnights, calendar), __file__)


def _local_midnights(name: str) -> tuple[str, Int64s]:
    # Half a second of imports, which programs that need no calendar, or one that is kept, should not wait for.
    import exchange_calendars  # noqa: PLC0415 - see above
    import pandas as pd  # noqa: PLC0415 - see above
    from exchange_calendars.calendar_utils import global_calendar_dispatcher  # noqa: PLC0415 - see above

    dispatcher = global_calendar_dispatcher
    # Not get_calendar(): it keeps a calendar of other bounds that someone else asked for before.
    if name in dispatcher.get_calendar_names(include_aliases=True):
        factory = dispatcher._calendar_factories[dispatcher.resolve_alias(name)]  # noqa: SLF001 - it has no public way to the class
    else:
        known = ", ".join(sorted(dispatcher.get_calendar_names(include_aliases=False)))
        raise CalendarError(
            f"calendar {name!r} is not known to exchange_calendars, which has {known}"
        )
    # Some exchanges' holidays are only known for a part of the range.
    first = max(pd.Timestamp(_FIRST_DATE), factory.bound_min() or pd.Timestamp.min)
    end = pd.Timestamp(_END_DATE) - pd.Timedelta(days=1)
    last = min(end, factory.bound_max() or pd.Timestamp.max)
    with warnings.catch_warnings():
        # exchange_calendars 4.13 uses what pandas 3.1 deprecates; that is theirs to mend.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            # A calendar of one month knows its rule for every day, and is made in a tenth of the time:
            # opening hours of sixty years are not needed here.
            found = factory(start=last - pd.Timedelta(days=31), end=last)
            sessions = pd.date_range(first, last, freq=found.day)
        except (NotImplementedError, ValueError) as error:
            raise CalendarError(
                f"calendar {name!r}: exchange_calendars {exchange_calendars.__version__} with pandas "
                f"{pd.__version__} cannot make it ({type(error).__name__}); choose another calendar"
            ) from error
    # In a few zones the clocks change at midnight: then a day begins at the first moment it has.
    midnights = sessions.tz_localize(
        found.tz, nonexistent="shift_forward", ambiguous=np.ones(len(sessions), dtype=bool)
    )
    return str(found.tz), midnights.tz_convert("UTC").as_unit("ns").asi8.astype(np.int64)
