"""Named queries on real ticks, against the same questions asked of DuckDB over the same rows."""

import datetime as dt

import duckdb
import numpy as np
import polars as pl
import pytest

from connectors.clickhouse import connect
from serving.client import Desk
from serving.sql import SqlError
from tests.sql.queried_day import plain, same

_SYMBOL = {"symbol": "IBM"}


# From 2013-10-07T15:00Z, in the midst of the session, to 1970.
_BACK_S = 1_381_158_000


@pytest.fixture(scope="module")
def desk_before_1970(desk: Desk) -> Desk:
    """The same day once more under the symbol OLD, about the turn of 1969 to 1970."""
    with connect(desk.settings.store) as client:
        for topic, times in (
            ("trades", ["ts_event"]),
            ("bars", ["ts_start", "ts_event"]),
            ("nbbo", ["ts_event"]),
        ):
            moved = ", ".join(f"subtractSeconds({time}, {_BACK_S}) AS {time}" for time in times)
            client.command(
                f"INSERT INTO {topic} SELECT * REPLACE ('OLD' AS symbol, {moved}) FROM {topic} WHERE {topic}.symbol = 'IBM'"
            )
    return desk


def test_a_price_that_is_too_many_steps_of_the_tick_is_an_error(desk: Desk) -> None:
    """The number of the step was another one, and so the price."""
    with connect(desk.settings.store) as client:
        client.command(
            "INSERT INTO trades SELECT * REPLACE ('HIGH' AS symbol, 1e10 AS price) FROM trades "
            "WHERE trades.symbol = 'IBM' AND updates_volume LIMIT 1"
        )
    assert desk.query("volume_profile", symbol="HIGH")["price"].to_list() == [1e10]
    with pytest.raises(SqlError, match="cannot be safely converted into type Int64"):
        desk.query("volume_profile", symbol="HIGH", tick=1e-9)


def test_shares_and_means_of_nothing_are_null(desk: Desk) -> None:
    """They were NaN, which no other query gives: a trade of size 0, an hour in which the market was locked."""
    with connect(desk.settings.store) as client:
        for table, other, those in (
            ("trades", "0 AS size", "updates_volume"),
            ("bars", "0 AS volume", "interval = '1m'"),
            ("nbbo", "'locked' AS state", "true"),
        ):
            client.command(
                f"INSERT INTO {table} SELECT * REPLACE ('NONE' AS symbol, {other}) FROM {table} "
                f"WHERE {table}.symbol = 'IBM' AND {those} LIMIT 300"
            )
    for name, columns in (
        ("volume_profile", ["share", "value_area"]),
        ("intraday_seasonality", ["volume_share"]),
        ("spread_statistics", ["spread", "spread_bps", "size"]),
    ):
        found = desk.query(name, symbol="NONE").select(columns)
        assert found.height > 0, name
        assert found.null_count().row(0) == (found.height,) * len(columns), name


def test_bars_of_any_length_come_from_ticks(desk: Desk, duck: duckdb.DuckDBPyConnection) -> None:
    expected = duck.sql(
        """
        SELECT symbol, ts_event // 900000000000 * 900000000000 AS ts_start,
            arg_min(price, (ts_event, _offset, _row)) FILTER (updates_last) AS open,
            max(price) FILTER (updates_high_low) AS high,
            min(price) FILTER (updates_high_low) AS low,
            arg_max(price, (ts_event, _offset, _row)) FILTER (updates_last) AS close,
            coalesce(sum(size) FILTER (updates_volume), 0) AS volume,
            count(*) AS trade_count,
            sum(price * size) FILTER (updates_volume) / nullif(volume, 0) AS vwap
        FROM trades GROUP BY ALL ORDER BY ts_start
        """
    ).pl()
    same(desk.query("ohlcv_from_ticks", **_SYMBOL), expected)


def test_bars_rolled_up_from_minutes_equal_those_from_ticks(desk: Desk) -> None:
    whole = desk.query("ohlcv_from_ticks", **_SYMBOL, seconds=3600)
    rolled = desk.query("ohlcv_from_bars", **_SYMBOL, seconds=3600)
    same(rolled, plain(whole))


def test_times_bound_what_is_asked(desk: Desk) -> None:
    between = {"start": "2013-10-07 14:00:00", "end": "2013-10-07 15:00:00"}
    for name in ("ohlcv_from_ticks", "ohlcv_from_bars"):
        found = desk.query(name, **_SYMBOL, **between)
        assert found["ts_start"].dt.strftime("%H:%M").to_list() == [
            "14:00",
            "14:15",
            "14:30",
            "14:45",
        ]


def test_times_are_iso_with_a_zone_or_in_utc_to_the_nanosecond(desk: Desk) -> None:
    """`T14:00Z` and zones were refused, which replays and charts take."""
    with connect(desk.settings.store) as client:
        client.command(
            "INSERT INTO trades SELECT * REPLACE ('AT' AS symbol, "
            "toDateTime64('2013-10-07 14:00:00.000000001', 9, 'UTC') AS ts_event) FROM trades "
            "WHERE trades.symbol = 'IBM' AND updates_volume LIMIT 1"
        )
    for zone in ("16:00:00.00000000{}+02:00", "14:00:00.00000000{}Z", "14:00:00.00000000{}"):
        for between in ("T", " "):
            at, behind = (f"2013-10-07{between}{zone.format(place)}" for place in (1, 2))
            assert desk.query("ohlcv_from_ticks", symbol="AT", start=at, end=behind).height == 1
            assert desk.query("ohlcv_from_ticks", symbol="AT", end=at).is_empty()
            assert desk.query("ohlcv_from_ticks", symbol="AT", start=behind).is_empty()


def test_the_volume_profile_holds_all_volume_by_price(
    desk: Desk, duck: duckdb.DuckDBPyConnection
) -> None:
    expected = duck.sql(
        """
        SELECT step * 0.05::DOUBLE AS price, volume, trade_count, NULL::DOUBLE AS buy_share,
            volume / sum(volume) OVER () AS share,
            sum(volume) OVER (ORDER BY volume DESC, step) / sum(volume) OVER () AS value_area
        FROM (
            SELECT CAST(round_even(price / 0.05::DOUBLE, 0) AS BIGINT) AS step, sum(size) AS volume, count(*) AS trade_count
            FROM trades WHERE updates_volume GROUP BY step
        ) ORDER BY price
        """
    ).pl()
    found = desk.query("volume_profile", **_SYMBOL, tick=0.05)
    same(found, expected)
    # The price that a person would write: 162.95, where multiplying gives 162.95000000000002.
    assert found["price"].to_list() == [float(f"{price:.2f}") for price in found["price"]]


@pytest.mark.parametrize(
    "name", ["ohlcv_from_ticks", "ohlcv_from_bars", "spread_statistics", "vwap_slippage"]
)
def test_intervals_before_1970_begin_as_those_after_it_do(
    desk_before_1970: Desk, name: str
) -> None:
    """Times were rounded towards 1970: what came before it fell into the interval behind its own."""
    found = desk_before_1970.query(name, symbol="OLD", start="1900-01-01 00:00:00")
    later = desk_before_1970.query(name, **_SYMBOL)
    expected = later.with_columns(pl.selectors.datetime() - pl.duration(seconds=_BACK_S))
    same(found.drop("symbol", strict=False), plain(expected.drop("symbol", strict=False)))


def test_a_day_before_1970_is_told_as_it_is(desk_before_1970: Desk) -> None:
    """It was 2149-06-06."""
    days = desk_before_1970.query("realised_volatility", symbol="OLD", time_zone="Etc/GMT+12")
    assert days["day"].to_list() == [dt.date(1969, 12, 31)]


@pytest.mark.parametrize("interval", ["1m", "1s"])
def test_the_day_is_cut_into_steps_of_its_own_time_zone(
    desk: Desk, duck: duckdb.DuckDBPyConnection, interval: str
) -> None:
    """A fifth of the bars of a second have odd lots only: no close, but volume, which was left out."""
    expected = duck.sql(
        f"""
        WITH minutes AS (
            SELECT (ts_start // 60000000000 - 240) % 1440 AS minute, volume, trade_count,
                ln(close / last_value(close IGNORE NULLS) OVER (
                    ORDER BY ts_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) AS log_return
            FROM bars WHERE interval = '{interval}'
        ), steps AS (
            SELECT minute // 30 * 30 AS step, sum(volume) AS volume, sum(trade_count) AS trade_count,
                sqrt(sum(log_return * log_return)) AS volatility
            FROM minutes GROUP BY step
        )
        SELECT lpad((step // 60)::VARCHAR, 2, '0') || ':' || lpad((step % 60)::VARCHAR, 2, '0') AS time_of_day,
            1 AS days, volume::DOUBLE AS volume, trade_count::DOUBLE AS trade_count,
            volume / sum(volume) OVER () AS volume_share, volatility
        FROM steps ORDER BY step
        """
    ).pl()
    same(desk.query("intraday_seasonality", **_SYMBOL, interval=interval), expected)


def test_seasonality_s_means_are_over_all_days_also_where_a_day_has_no_bar(desk: Desk) -> None:
    """Steps of early hours, in which few days have bars, counted as if all days had them."""
    with connect(desk.settings.store) as client:
        for symbol, days, hour in (("TWO", 0, 0), ("TWO", 1, 15)):
            client.command(
                f"""
                INSERT INTO bars SELECT * REPLACE (
                    '{symbol}' AS symbol, ts_start + INTERVAL {days} DAY AS ts_start,
                    ts_event + INTERVAL {days} DAY AS ts_event
                ) FROM bars WHERE bars.symbol = 'IBM' AND interval = '5m' AND toHour(bars.ts_start) >= {hour}
                """
            )
    local = pl.col("ts_start").dt.convert_time_zone("America/New_York")
    bars = desk.sql(
        "SELECT ts_start, close, volume FROM bars WHERE symbol = 'TWO' ORDER BY ts_start"
    )
    steps = (
        bars.with_columns(local.dt.date().alias("day"))
        .with_columns(pl.col("close").forward_fill().log().diff().over("day").alias("return"))
        .group_by(local.dt.truncate("30m").dt.strftime("%H:%M").alias("time_of_day"))
        .agg(
            pl.col("day").n_unique().alias("days"),
            pl.col("volume").sum() / 2,
            ((pl.col("return") ** 2).sum() / 2).sqrt().alias("volatility"),
        )
        .sort("time_of_day")
    )
    found = desk.query("intraday_seasonality", symbol="TWO", interval="5m")
    assert set(found["days"]) == {1, 2}
    assert found["time_of_day"].to_list() == steps["time_of_day"].to_list()
    for name in ("days", "volume", "volatility"):
        assert found[name].fill_null(0).to_list() == pytest.approx(steps[name].to_list()), name
    assert found["volume"].sum() == pytest.approx(bars["volume"].sum() / 2)


def test_realised_volatility_is_of_the_day_s_returns_and_ranges(
    desk: Desk, duck: duckdb.DuckDBPyConnection
) -> None:
    bars = duck.sql(
        """SELECT open, high, low, close FROM bars
        WHERE interval = '5m' AND close IS NOT NULL AND high IS NOT NULL ORDER BY ts_start"""
    ).pl()
    closes = np.concatenate([[bars["open"][0]], bars["close"].to_numpy()])
    returns = np.diff(np.log(closes))
    ranges = np.log(bars["high"].to_numpy() / bars["low"].to_numpy())
    (found,) = desk.query("realised_volatility", **_SYMBOL).rows(named=True)
    assert found["bars"] == bars.height
    assert found["close_to_close"] == pytest.approx(np.sqrt(252 * np.sum(returns**2)))
    assert found["parkinson"] == pytest.approx(np.sqrt(252 * np.sum(ranges**2) / (4 * np.log(2))))


def test_realised_volatility_takes_closes_and_ranges_of_bars_that_lack_the_other(
    desk: Desk, duck: duckdb.DuckDBPyConnection
) -> None:
    """A bar without a range was left out with its close, and one without a close with its range."""
    with connect(desk.settings.store) as client:
        client.command(
            """
            INSERT INTO bars SELECT * REPLACE (
                'ODD' AS symbol,
                if(toMinute(ts_start) % 15 = 0, NULL, high) AS high,
                if(toMinute(ts_start) % 15 = 0, NULL, low) AS low,
                if(toMinute(ts_start) % 20 = 0, NULL, open) AS open,
                if(toMinute(ts_start) % 20 = 0, NULL, close) AS close
            ) FROM bars WHERE bars.symbol = 'IBM' AND interval = '5m'
            """
        )
    expected = duck.sql(
        """
        WITH odd AS (
            SELECT ts_start, ts_start // 60000000000 % 60 AS minute,
                if(minute % 15 = 0, NULL, ln(high / low)) AS reach,
                if(minute % 20 = 0, NULL, open) AS first, if(minute % 20 = 0, NULL, close) AS last
            FROM bars WHERE interval = '5m'
        ), steps AS (
            SELECT reach, ln(last / coalesce(last_value(last IGNORE NULLS) OVER (
                ORDER BY ts_start ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), first)) AS step
            FROM odd WHERE reach IS NOT NULL OR last IS NOT NULL
        )
        SELECT DATE '2013-10-07' AS day, count(*) AS bars, sqrt(252 * sum(step * step)) AS close_to_close,
            sqrt(252 * sum(reach * reach) / (4 * ln(2))) AS parkinson
        FROM steps
        """
    ).pl()
    same(desk.query("realised_volatility", symbol="ODD"), expected)


def test_slippage_is_against_the_vwap_of_its_interval(
    desk: Desk, duck: duckdb.DuckDBPyConnection
) -> None:
    expected = duck.sql(
        """
        WITH t AS (
            SELECT *, ts_event // 300000000000 AS bucket FROM trades WHERE updates_volume AND size > 0
        ), v AS (SELECT bucket, sum(price * size) / sum(size) AS vwap FROM t GROUP BY bucket)
        SELECT venue, 'unknown' AS aggressor, count(*) AS trade_count, sum(size) AS volume,
            10000 * sum(size * (price / vwap - 1)) / sum(size) AS slippage_bps
        FROM t JOIN v USING (bucket) GROUP BY venue ORDER BY venue
        """
    ).pl()
    found = desk.query("vwap_slippage", **_SYMBOL)
    assert found["slippage_bps"].to_list() == pytest.approx(
        expected["slippage_bps"].to_list(), rel=1e-6
    )
    same(found.drop("slippage_bps"), expected.drop("slippage_bps"))


def test_indicators_stand_beside_their_bars(desk: Desk, duck: duckdb.DuckDBPyConnection) -> None:
    found = desk.query("indicators_on_bars", **_SYMBOL, names=["rsi_14", "ema_20"])
    told = {
        (row["ts_event"], name): value
        for row in plain(found).rows(named=True)
        for name, value in _pairs(row["indicators"])
    }
    expected = duck.sql(
        """SELECT ts_event, name, value FROM indicators
        WHERE interval = '1m' AND name IN ('rsi_14', 'ema_20') AND value IS NOT NULL"""
    ).fetchall()
    assert told == {(at, name): value for at, name, value in expected}
    assert (
        found.height == duck.sql("SELECT count(*) FROM bars WHERE interval = '1m'").fetchall()[0][0]
    )


def _pairs(told: object) -> list[tuple[str, float]]:
    pairs = told.items() if isinstance(told, dict) else [one.values() for one in told]
    return [(name, value) for name, value in pairs]


def test_the_screener_bounds_the_newest_bar_and_indicator(
    desk: Desk, duck: duckdb.DuckDBPyConnection
) -> None:
    last, before = duck.sql(
        """SELECT close, volume, ts_event FROM bars WHERE interval = '1m' AND close IS NOT NULL
        ORDER BY ts_event DESC LIMIT 2"""
    ).fetchall()
    (rsi,) = duck.sql(
        """SELECT value FROM indicators WHERE interval = '1m' AND name = 'rsi_14' AND value IS NOT NULL
        ORDER BY ts_event DESC LIMIT 1"""
    ).fetchall()[0]
    expected = [("IBM", last[2], last[0], last[1], last[0] / before[0] - 1, rsi)]
    assert plain(desk.query("screener")).rows() == expected
    assert desk.query("screener", min_rsi=rsi + 0.01).is_empty()
    assert desk.query("screener", max_price=last[0] - 0.01).is_empty()
