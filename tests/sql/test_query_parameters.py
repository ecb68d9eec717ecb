"""What named queries take: which parameters, and which numbers and times these may be."""

import datetime as dt
import re

import numpy as np
import pytest

from connectors.sql_texts import sql_folder
from serving.queries import QueryError, named_query, queries

_SYMBOL = {"symbol": "IBM"}


def test_every_query_says_what_it_is_for_and_what_it_takes() -> None:
    found = queries()
    assert set(found) == {path.stem for path in sql_folder("queries").glob("*.sql")}
    for query in found.values():
        assert query.purpose.endswith(".")
        assert all(parameter.meaning.endswith(".") for parameter in query.parameters)


def test_an_unknown_query_names_the_nearest() -> None:
    with pytest.raises(QueryError, match="did you mean volume_profile"):
        named_query("volume_profil")


def test_a_missing_and_an_unknown_parameter_are_told_with_those_there_are() -> None:
    query = named_query("volume_profile")
    with pytest.raises(QueryError, match=r"needs symbol; it takes symbol: .*tick \(0.01\)"):
        query.values({})
    with pytest.raises(QueryError, match="has no parameter 'tik'"):
        query.values({"symbol": "IBM", "tik": 1})


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("ohlcv_from_ticks", {"seconds": "0"}, "seconds is '0': a whole number from 1 to 92"),
        ("ohlcv_from_bars", {"seconds": -900}, "seconds is -900: a whole number from 1 to 92"),
        ("spread_statistics", {"seconds": "9223372037"}, "seconds is '9223372037': a whole"),
        ("vwap_slippage", {"seconds": "1.5"}, "seconds is '1.5': a whole number"),
        ("spread_statistics", {"max_gap_s": -1}, "max_gap_s is -1: a number from 1e-9 to inf"),
        ("intraday_seasonality", {"minutes": 0}, "minutes is 0: a whole number from 1 to 1440"),
        ("volume_profile", {"tick": "0"}, "tick is '0': a number from 1e-9 to 1e18 is needed"),
        ("volume_profile", {"tick": float("nan")}, "tick is nan: a number from 1e-9 to 1e18"),
        ("volume_profile", {"tick": "1e-18"}, "tick is '1e-18': a number from 1e-9 to 1e18"),
        ("volume_profile", {"tick": "a cent"}, "tick is 'a cent': a number from 1e-9 to 1e18"),
        ("screener", {"min_price": "nan"}, "min_price is 'nan': a number from -inf to inf"),
    ],
)
def test_a_number_that_a_parameter_may_not_be_is_refused(
    name: str, given: dict[str, object], told: str
) -> None:
    """Some gave nonsense, such as bars of negative lengths, or all volume at one price."""
    with pytest.raises(QueryError, match=f"^query '{name}': {told}"):
        named_query(name).values(({} if name == "screener" else _SYMBOL) | given)


def test_a_number_may_be_given_as_text_or_as_a_number() -> None:
    query = named_query("ohlcv_from_ticks")
    for seconds in ("60", 60, 60.0, np.int64(60)):
        assert query.values({"symbol": "IBM", "seconds": seconds})["seconds"] == 60


def test_datetimes_are_times() -> None:
    values = named_query("ohlcv_from_ticks").values
    zone = dt.timezone(dt.timedelta(hours=1))
    for given, told in (
        (dt.date(2024, 1, 2), "2024-01-02T00:00:00.000000000"),
        (dt.datetime(2024, 1, 2, 15, 30, 0, 1, zone), "2024-01-02T14:30:00.000001000"),
        (np.datetime64("2024-01-02T14:30:00.123456789"), "2024-01-02T14:30:00.123456789"),
    ):
        assert values({**_SYMBOL, "start": given})["start"] == told


@pytest.mark.parametrize(
    "text", ["yesterday", "2024-13-01", "1704205800", "2300-01-01", "", "2024-01-02T14:30+99:00"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """Of the thirteenth month ClickHouse made 1900-01-01."""
    with pytest.raises(
        QueryError, match=rf"^query 'ohlcv_from_ticks': start is '{re.escape(text)}': a time"
    ):
        named_query("ohlcv_from_ticks").values(_SYMBOL | {"start": text})
