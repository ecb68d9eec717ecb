"""When markets are open by calendars that are known for a part of all years only."""

from datetime import UTC, datetime

import pytest

from flows.trading.hours import Hours
from schemas.opening_hours import hours_of_year


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("calendar", "night", "opening"),
    [
        ("XSHG", "2026-11-23T23:00", "2026-11-24T01:30"),
        ("XBOM", "2026-11-24T23:00", "2026-11-25T03:45"),
        ("XSES", "2026-11-23T23:00", "2026-11-24T01:00"),
        ("XNYS", "2049-12-30T23:00", "2049-12-31T14:30"),
    ],
)
def test_the_last_year_that_is_known_has_its_nights(
    calendar: str, night: str, opening: str
) -> None:
    """It was open all the year: some days of the next one were asked for too, and are not known."""
    hours = Hours(calendar)
    assert not hours.is_open(ns(night))
    assert hours.session(ns(night))[0] == hours.next_opening(ns(night)) == ns(opening)


def test_what_a_calendar_does_not_reach_to_is_always_open() -> None:
    hours = Hours("XSHG")
    assert len(hours_of_year("XSHG", 2026, margin_days=15)) > 240
    assert not hours.is_open(ns("2026-12-31T20:00"))
    assert hours.next_opening(ns("2026-12-31T20:00")) == ns("2027-01-01T00:00")
    for time in ("2027-01-01T00:00", "2027-03-06T20:00", "2031-05-05T20:00"):
        assert hours.is_open(ns(time))
    # This one begins with 2021.
    assert Hours("XSAU").is_open(ns("2020-05-05T20:00"))
    assert not Hours("XSAU").is_open(ns("2021-05-05T20:00"))
