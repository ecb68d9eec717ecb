"""Session windows against exchange_calendars and against dates that anyone can look up."""

import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from schemas.opening_hours import opening_hours
from schemas.sessions import CalendarError, session_starts

HOUR_NS = 3_600_000_000_000
NEW_YORK = ZoneInfo("America/New_York")


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000


def _session_date(calendar: str, moment: datetime) -> date:
    """The local date on which the window that holds a moment begins."""
    starts = session_starts(calendar)
    at = int(np.searchsorted(starts, _ns(moment), side="right")) - 1
    return datetime.fromtimestamp(int(starts[at]) // 10**9, UTC).astimezone(NEW_YORK).date()


def _new_york(year: int, month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=NEW_YORK)


@pytest.mark.parametrize("calendar", ["XNYS", "XLON", "XTKS", "CMES"])
def test_there_is_one_window_for_each_session_and_it_begins_at_local_midnight(
    calendar: str,
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        import exchange_calendars as xcals  # noqa: PLC0415 - it warns under pandas 3.1

        reference = xcals.get_calendar(calendar, start="2000-01-01", end="2025-12-31")
    starts = session_starts(calendar)
    assert (np.diff(starts) > 0).all()
    local = [
        datetime.fromtimestamp(int(ns) // 10**9, UTC).astimezone(ZoneInfo(str(reference.tz)))
        for ns in starts
    ]
    assert all((at.hour, at.minute, at.second) == (0, 0, 0) for at in local)
    dates = [at.date() for at in local if 2000 <= at.year <= 2025]
    assert dates == [session.date() for session in reference.sessions]


def test_the_day_on_which_the_clocks_change_has_25_or_23_hours_within_its_window() -> None:
    starts = session_starts("24/7")
    assert set(np.diff(starts).tolist()) == {24 * HOUR_NS}
    starts = session_starts("XNYS")
    for friday, hours in ((_new_york(2023, 11, 3, 0), 73), (_new_york(2023, 3, 10, 0), 71)):
        at = int(np.searchsorted(starts, _ns(friday)))
        assert starts[at] == _ns(friday)
        assert starts[at + 1] - starts[at] == hours * HOUR_NS


def test_a_weekend_a_holiday_and_the_evening_of_a_half_day_belong_to_the_session_before() -> None:
    assert _session_date("XNYS", _new_york(2023, 7, 1, 12)) == date(2023, 6, 30)
    assert _session_date("XNYS", _new_york(2023, 7, 3, 18)) == date(2023, 7, 3)
    assert _session_date("XNYS", _new_york(2023, 7, 4, 12)) == date(2023, 7, 3)
    assert _session_date("XNYS", _new_york(2023, 7, 5, 0)) == date(2023, 7, 5)
    assert _session_date("XNYS", _new_york(2023, 11, 24, 17)) == date(2023, 11, 24)


def test_the_range_is_fixed_and_an_alias_is_understood() -> None:
    starts = session_starts("XNYS")
    assert starts[0] == _ns(_new_york(1990, 1, 2, 0))
    assert starts[-1] == _ns(_new_york(2049, 12, 31, 0))
    np.testing.assert_array_equal(session_starts("NYSE"), starts)


def test_the_array_is_cached_and_cannot_be_written_to() -> None:
    assert session_starts("XNYS") is session_starts("XNYS")
    with pytest.raises(ValueError, match="read-only"):
        session_starts("XNYS")[0] = 0


def test_a_calendar_that_is_not_known_is_named_with_the_known_ones() -> None:
    with pytest.raises(CalendarError, match=r"'XNYC' is not known.*XNYS"):
        session_starts("XNYC")


def test_shards_on_several_threads_ask_for_opening_hours_at_once() -> None:
    """Warnings are errors here: a thread that makes a calendar must not take another's filter away."""
    days = range(15_000, 17_000, 50)
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda day: len(opening_hours("XNYS", day, day + 6)), days))
    finally:
        sys.setswitchinterval(usual)
    assert set(found) <= {3, 4, 5}
