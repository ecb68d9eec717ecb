"""Named queries about best prices and depth, against the same questions asked of DuckDB over the same rows."""

from collections.abc import Callable
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from connectors.clickhouse import connect, insert
from schemas.registry import TOPICS
from serving.client import Desk
from tests.sql.queried_day import landed, made_books, made_nbbo, same

_SYMBOL = {"symbol": "IBM"}


def test_a_trade_has_the_best_prices_that_stood_when_it_printed(
    desk: Desk, duck: duckdb.DuckDBPyConnection
) -> None:
    expected = duck.sql(
        """
        WITH n AS (
            SELECT ts_event, arg_max(bid, number) AS bid, last(ask ORDER BY number) AS ask,
                arg_max(state, number) AS state
            FROM nbbo GROUP BY ts_event
        )
        SELECT t.ts_event, t.venue, t.price, t.size, n.ts_event AS ts_nbbo, n.bid, n.ask, n.state,
            (n.bid + n.ask) / 2 AS mid, 2 * abs(t.price - (n.bid + n.ask) / 2) AS effective_spread
        FROM trades t ASOF LEFT JOIN n ON t.ts_event >= n.ts_event
        ORDER BY t.ts_event, t._offset, t._row
        """
    ).pl()
    found = desk.query("trades_nbbo", **_SYMBOL)
    assert found["ts_nbbo"].null_count() > 0
    assert found["ask"].null_count() > found["bid"].null_count()
    same(found, expected)


_STOOD = """
    SELECT *, least((coalesce(lead(ts_event) OVER (PARTITION BY {by} ORDER BY number), ts_event) - ts_event) / 1e9, 60)
        AS stood
    FROM {table}
"""


def test_spreads_weigh_by_the_time_that_they_stood(
    desk: Desk, duck: duckdb.DuckDBPyConnection
) -> None:
    expected = duck.sql(
        f"""
        SELECT ts_event // 1800000000000 * 1800000000000 AS ts_start, count(*) AS updates,
            sum((ask - bid) * stood) FILTER (state = 'normal') / sum(stood) FILTER (state = 'normal') AS spread,
            sum(10000 * (ask - bid) / ((ask + bid) / 2) * stood) FILTER (state = 'normal')
                / sum(stood) FILTER (state = 'normal') AS spread_bps,
            sum((bid_size + ask_size) / 2 * stood) FILTER (state = 'normal')
                / sum(stood) FILTER (state = 'normal') AS size,
            sum(stood) FILTER (state = 'locked') / sum(stood) AS locked_share,
            coalesce(sum(stood) FILTER (state = 'crossed'), 0) / sum(stood) AS crossed_share
        FROM ({_STOOD.format(by="symbol", table="nbbo")}) GROUP BY ts_start ORDER BY ts_start
        """
    ).pl()
    same(desk.query("spread_statistics", **_SYMBOL), expected)


def test_depth_weighs_each_level_by_the_time_that_it_stood(
    desk: Desk, duck: duckdb.DuckDBPyConnection
) -> None:
    levels = " UNION ALL ".join(
        f"""SELECT venue, {level} AS level, bid_size_{level} AS bid_size, ask_size_{level} AS ask_size,
            mid - bid_{level} AS bid_distance, ask_{level} - mid AS ask_distance, stood FROM stood"""
        for level in range(1, 11)
    )
    means = ", ".join(
        f"sum({name} * stood) / sum(stood) FILTER ({name} IS NOT NULL) AS {name}"
        for name in ("bid_size", "ask_size", "bid_distance", "ask_distance")
    )
    expected = duck.sql(
        f"""WITH stood AS ({_STOOD.format(by="venue", table="book_top")})
        SELECT venue, level, {means} FROM ({levels}) GROUP BY ALL ORDER BY venue, level"""
    ).pl()
    same(desk.query("depth_statistics", **_SYMBOL), expected)


@pytest.mark.parametrize(
    ("query", "topic", "made"),
    [("spread_statistics", "nbbo", made_nbbo), ("depth_statistics", "book_top", made_books)],
)
def test_means_are_the_same_where_the_flow_began_anew_in_the_midst(
    desk: Desk, query: str, topic: str, made: Callable[[], dict[str, Any]]
) -> None:
    """Rows of two epochs have the same numbers: they were taken in turns, hours apart, forwards and back."""
    columns = made()
    rows = len(columns["number"])
    numbers = np.concatenate([np.arange(1, rows // 2 + 1), np.arange(1, rows - rows // 2 + 1)])
    again = columns | {"symbol": pa.array(["ANEW"] * rows), "number": numbers}
    with connect(desk.settings.store) as client:
        insert(client, TOPICS[topic], landed(TOPICS[topic], again), "anew")
    assert desk.query(query, symbol="ANEW").equals(desk.query(query, **_SYMBOL))


def test_depth_that_stood_for_no_time_is_null(desk: Desk) -> None:
    """A level that only the last row has weighs nothing: its mean was 0 / 0, a NaN."""
    columns = {name: values[:1] for name, values in made_books().items()}
    alone = columns | {"symbol": pa.array(["ALONE"])}
    with connect(desk.settings.store) as client:
        insert(client, TOPICS["book_top"], landed(TOPICS["book_top"], alone), "alone")
    found = desk.query("depth_statistics", symbol="ALONE").drop("venue", "level")
    assert found.null_count().row(0) == (10,) * 4
