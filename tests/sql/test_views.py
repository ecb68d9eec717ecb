"""Views in the embedded store against the same questions asked of Polars and DuckDB."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from clickhouse_connect.driver.client import Client

from connectors.clickhouse import connect, create_tables, create_views, insert
from connectors.feeds.options import FeedOptions
from connectors.feeds.program import feed
from connectors.landed import Decoded, landed_table
from connectors.lander import Lander
from connectors.log import Log, Record
from connectors.sql_texts import sql_folder
from connectors.topics import create_topics
from flows.indicators import Indicators, IndicatorsParams
from schemas.bars import BARS
from schemas.indicators import INDICATORS
from schemas.market import QUOTES, TRADES
from schemas.topic import Topic
from tests.stores import store_process

_OPEN_NS = 1_709_303_400_000_000_000  # 2024-03-01T14:30Z
_DAY_NS = 86_400_000_000_000


def landed(topic: Topic, columns: dict[str, object]) -> pa.Table:
    record = Record(topic.name, 0, 0, _OPEN_NS, None, (), None)
    return landed_table(topic, [Decoded(record, topic.batch(columns))])


def sample_trades(rng: np.random.Generator, rows: int) -> pa.Table:
    """Trades of five symbols; several share a nanosecond, and some set neither last nor high."""
    times = np.sort(_OPEN_NS + rng.integers(0, 1_200, rows) * 1_000_000_000)
    return landed(
        TRADES,
        {
            "symbol": pa.array([f"S{i}" for i in rng.integers(0, 5, rows)]),
            "venue": pa.array([("N", "Q")[i] for i in rng.integers(0, 2, rows)]),
            "ts_event": times,
            "ts_recv": times,
            "price": np.round(rng.uniform(10, 20, rows), 2),
            "size": rng.integers(0, 9, rows).astype(float) * 100,
            "side": pa.array([("buy", "sell", None)[i] for i in rng.integers(0, 3, rows)]),
            "conditions": pa.array([("@", None)[i] for i in rng.integers(0, 2, rows)]),
            "updates_high_low": rng.random(rows) < 0.6,
            "updates_last": rng.random(rows) < 0.6,
            "updates_volume": rng.random(rows) < 0.6,
            "action": pa.array(
                [("new", "cancel")[i] for i in (rng.random(rows) < 0.05).astype(int)]
            ),
        },
    )


def sample_quotes(rng: np.random.Generator, rows: int) -> pa.Table:
    """Quotes that each speak of one side; two in five say that the side is empty."""
    times = np.sort(_OPEN_NS + rng.integers(100, 1_200, rows) * 1_000_000_000)
    is_bid = rng.random(rows) < 0.5
    empty = rng.random(rows) < 0.4
    prices = np.round(rng.uniform(10, 20, rows), 2)
    sizes = np.where(empty, 0.0, rng.integers(1, 9, rows) * 100.0)
    price = [None if none else value for none, value in zip(empty, prices, strict=True)]

    def side(holds: np.ndarray, values: list[float | None]) -> pa.Array:
        return pa.array(
            [v if here else None for here, v in zip(holds, values, strict=True)], pa.float64()
        )

    return landed(
        QUOTES,
        {
            "symbol": pa.array([f"S{i}" for i in rng.integers(0, 5, rows)]),
            "venue": pa.array([("N", "Q")[i] for i in rng.integers(0, 2, rows)]),
            "ts_event": times,
            "ts_recv": times,
            "bid": side(is_bid, price),
            "bid_size": side(is_bid, list(sizes)),
            "ask": side(~is_bid, price),
            "ask_size": side(~is_bid, list(sizes)),
        },
    )


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    path = tmp_path_factory.mktemp("views") / "store"
    with store_process(path), connect(f"chdb:///{path}") as client:
        create_tables(client)
        create_views(client)
        yield client


@pytest.fixture(autouse=True)
def empty_tables(client: Client) -> None:
    for topic in (TRADES, QUOTES, BARS, INDICATORS):
        client.command(f"TRUNCATE TABLE {topic.name}")


@pytest.fixture(params=[1, 2])
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    return np.random.default_rng(request.param)


def frame(rows: pa.Table) -> pl.DataFrame:
    """As Polars has it, with plain strings."""
    found = pl.from_arrow(rows)
    assert isinstance(found, pl.DataFrame)
    return found.with_columns(pl.col(pl.Categorical).cast(pl.String))


def rows_of(client: Client, statement: str) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for row in client.query_arrow(statement).to_pylist()]


def test_every_view_says_in_its_first_line_what_it_is_for() -> None:
    files = sorted(sql_folder("views").glob("*.sql"))
    assert len(files) >= 6
    for file in files:
        assert file.read_text().startswith("-- "), file.name
        assert f"VIEW {file.stem.split('_', 1)[1]} AS" in file.read_text(), file.name


def test_trades_latest_is_the_last_new_trade_in_log_order(
    client: Client, rng: np.random.Generator
) -> None:
    rows = sample_trades(rng, 2_000)
    insert(client, TRADES, rows, "t")
    wanted = (
        frame(rows)
        .filter(action="new")
        .sort("ts_event", "_offset", "_row")
        .group_by("symbol")
        .last()
        .sort("symbol")
        .select("symbol", "venue", "price", "size", "side", "conditions")
    )
    names = ", ".join(wanted.columns)
    assert rows_of(client, f"SELECT {names} FROM trades_latest ORDER BY symbol") == wanted.rows()


def test_quotes_latest_keeps_each_side_as_last_told(
    client: Client, rng: np.random.Generator
) -> None:
    rows = sample_quotes(rng, 2_000)
    insert(client, QUOTES, rows, "q")
    order = frame(rows).sort("ts_event", "_offset", "_row")

    def last(side: str) -> pl.DataFrame:
        told = order.filter(pl.col(f"{side}_size").is_not_null())
        return (
            told.group_by("symbol", "venue").last().select("symbol", "venue", side, f"{side}_size")
        )

    wanted = last("bid").join(last("ask"), on=["symbol", "venue"]).sort("symbol", "venue")
    names = ", ".join(wanted.columns)
    found = rows_of(client, f"SELECT {names} FROM quotes_latest ORDER BY symbol, venue")
    assert found == wanted.rows()
    assert any(row[2] is None for row in found), "an empty side has no price"


def test_quotes_latest_has_no_time_of_a_side_that_was_never_told(client: Client) -> None:
    """It was 1970-01-01: an age of half a century, and no sign that the venue had said nothing."""
    columns = {
        "symbol": ["S0"],
        "venue": ["N"],
        "ts_event": [_OPEN_NS],
        "ts_recv": [_OPEN_NS],
        "bid": [10.0],
        "bid_size": [100.0],
        "ask": pa.nulls(1, pa.float64()),
        "ask_size": pa.nulls(1, pa.float64()),
    }
    insert(client, QUOTES, landed(QUOTES, columns), "q")
    asked = "SELECT toUnixTimestamp64Nano(ts_bid), bid, ts_ask, ask, ask_size FROM quotes_latest"
    assert rows_of(client, asked) == [(_OPEN_NS, 10.0, None, None, None)]


@pytest.mark.parametrize("seconds", [7, 60, 900])
def test_ohlcv_at_any_interval_honours_what_a_trade_may_set(
    client: Client, rng: np.random.Generator, seconds: int
) -> None:
    rows = sample_trades(rng, 3_000)
    insert(client, TRADES, rows, "t")
    wanted = duckdb.sql(
        f"""
        SELECT symbol, epoch_ns(ts_event) // {seconds * 10**9} AS bucket,
               first(price ORDER BY ts_event, _offset, _row) FILTER (updates_last),
               max(price) FILTER (updates_high_low), min(price) FILTER (updates_high_low),
               last(price ORDER BY ts_event, _offset, _row) FILTER (updates_last),
               coalesce(sum(size) FILTER (updates_volume), 0), count(*),
               sum(price * size) FILTER (updates_volume)
                   / nullif(sum(size) FILTER (updates_volume), 0),
               coalesce(sum(size) FILTER (updates_volume AND side = 'buy'), 0),
               coalesce(sum(size) FILTER (updates_volume AND side = 'sell'), 0)
        FROM rows WHERE action = 'new' GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    found = rows_of(
        client,
        f"SELECT symbol, intDiv(toUnixTimestamp64Nano(ts_start), {seconds * 10**9}), open, high, low, "
        f"close, volume, trade_count, vwap, buy_volume, sell_volume FROM ohlcv(seconds = {seconds})",
    )
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert one[:8] == other[:8]
        assert one[8] == (None if other[8] is None else pytest.approx(other[8], rel=1e-12))
        assert one[9:] == other[9:]
    ends = f"SELECT DISTINCT ts_event - ts_start FROM ohlcv(seconds = {seconds})"
    assert [float(str(row[0])) for row in rows_of(client, ends)] == [seconds]


def test_trades_quotes_joins_each_side_as_of_the_trade(
    client: Client, rng: np.random.Generator
) -> None:
    trades, quotes = sample_trades(rng, 2_000), sample_quotes(rng, 1_500)
    insert(client, TRADES, trades, "t")
    insert(client, QUOTES, quotes, "q")
    order = frame(quotes).sort("ts_event", "_offset", "_row")
    wanted = frame(trades).filter(action="new").sort("ts_event")
    for side in ("bid", "ask"):
        told = order.filter(pl.col(f"{side}_size").is_not_null())
        told = told.select(
            "symbol",
            "venue",
            "ts_event",
            side,
            f"{side}_size",
            pl.col("ts_event").alias(f"ts_{side}"),
        )
        wanted = wanted.join_asof(
            told, on="ts_event", by=["symbol", "venue"], strategy="backward", check_sortedness=False
        )
    names = ["_row", "symbol", "price", "bid", "bid_size", "ts_bid", "ask", "ask_size", "ts_ask"]
    asked = [
        f"SELECT {', '.join(names)} FROM trades_quotes(symbol = 'S{number}', start = '2024-03-01 00:00:00', "
        "end = '2024-03-02 00:00:00')"
        for number in range(5)
    ]
    found = frame(client.query_arrow(" UNION ALL ".join(asked))).sort("_row")
    wanted = wanted.select(names).sort("_row")
    for name in names:
        assert found[name].to_list() == wanted[name].to_list(), name
    assert found["ts_bid"].null_count() > 0, "some trades come before any quote"


def test_trades_quotes_takes_the_last_in_the_log_that_speaks_of_the_side(
    client: Client, rng: np.random.Generator
) -> None:
    """Against a walk through the rows: many share a nanosecond, and some speak of both sides, one or none.

    Venue Q has quotes of the day before only, and its asks are older still: they count no more.
    """
    trades, rows = sample_trades(rng, 400), 4_000
    is_old = rng.random(rows) < 0.5
    seconds = np.where(is_old, rng.integers(-90_000, 0, rows), rng.integers(0, 300, rows))

    def some(may_be: np.ndarray) -> list[float | None]:
        here = may_be & (rng.random(rows) < 0.4)
        values = rng.integers(0, 9, rows).astype(float).tolist()
        return [value if known else None for value, known in zip(values, here, strict=True)]

    any_time, ask_time = np.ones(rows, dtype=bool), ~is_old | (seconds < -86_400)
    times = _OPEN_NS + seconds * 1_000_000_000
    columns = {
        "symbol": ["S0"] * rows,
        "venue": pa.array(["Q" if old else "N" for old in is_old]),
        "ts_event": times,
        "ts_recv": times,
        **{name: some(any_time) for name in ("bid", "bid_size")},
        **{name: some(ask_time) for name in ("ask", "ask_size")},
    }
    quotes = landed(QUOTES, columns)
    insert(client, TRADES, trades, "t")
    insert(client, QUOTES, quotes, "q")
    names = ("bid", "bid_size", "ts_bid", "ask", "ask_size", "ts_ask")
    found = client.query_arrow(
        f"SELECT _row, {', '.join(names)} FROM trades_quotes(symbol = 'S0', start = '2024-03-01 14:30:00', "
        "end = '2024-03-02 00:00:00')"
    ).to_pylist()
    in_log = sorted(
        quotes.to_pylist(), key=lambda row: (row["ts_event"], row["_offset"], row["_row"])
    )
    wanted = {
        trade["_row"]: _told(
            trade, [row for row in in_log if row["ts_event"].value >= _OPEN_NS - _DAY_NS]
        )
        for trade in trades.to_pylist()
        if (trade["symbol"], trade["action"]) == ("S0", "new")
    }
    assert {row.pop("_row"): row for row in found} == wanted
    assert {row["ts_ask"] is None for row in wanted.values()} == {True, False}
    assert any(row["ts_bid"] is not None and row["bid"] is None for row in wanted.values())


def _told(trade: dict[str, Any], quotes: list[dict[str, Any]]) -> dict[str, object]:
    """What the trade's venue had told of each side, by a look at each of its quotes."""
    row: dict[str, object] = dict.fromkeys(
        ("bid", "bid_size", "ts_bid", "ask", "ask_size", "ts_ask")
    )
    for quote in quotes:
        if quote["venue"] == trade["venue"] and quote["ts_event"] <= trade["ts_event"]:
            for side in ("bid", "ask"):
                if (quote[side], quote[f"{side}_size"]) != (None, None):
                    row |= {name: quote[name] for name in (side, f"{side}_size")}
                    row[f"ts_{side}"] = quote["ts_event"]
    return row


def test_indicators_wide_has_a_column_an_indicator_beside_their_bar(client: Client) -> None:
    names = sorted(Indicators(IndicatorsParams(), None)._names.to_pylist())
    bars = {
        "symbol": ["A", "A", "B"],
        "interval": ["1m", "1m", "1m"],
        "ts_event": [60, 120, 60],
        "ts_start": [0, 60, 0],
        "close": [1.0, 2.0, 3.0],
        "volume": [1.0, 1.0, 1.0],
        "trade_count": [1, 1, 1],
        "buy_volume": [0.0] * 3,
        "sell_volume": [0.0] * 3,
    }
    insert(client, BARS, landed(BARS, bars), "b")
    values = {
        "symbol": ["A"] * len(names) + ["B"] * len(names),
        "interval": ["1m"] * 2 * len(names),
        "ts_event": [60] * 2 * len(names),
        "name": names * 2,
        "value": [float(at) for at in range(len(names))] + [None] * len(names),
    }
    insert(client, INDICATORS, landed(INDICATORS, values), "i")
    wide = client.query_arrow("SELECT * FROM indicators_wide ORDER BY symbol").to_pylist()
    assert {name: wide[0][name] for name in names} == dict(
        zip(names, map(float, range(99)), strict=False)
    )
    assert all(wide[1][name] is None for name in names)
    assert set(wide[0]) == {"symbol", "interval", "ts_event", *names}
    beside = client.query_arrow("SELECT * FROM bars_wide ORDER BY symbol, ts_event").to_pylist()
    assert [row["close"] for row in beside] == [1.0, 2.0, 3.0]
    assert [row[names[3]] for row in beside] == [3.0, None, None]


def test_a_day_of_real_taq_in_the_store_and_the_lake_gives_the_same_bars(
    tmp_path: Path, sqlite_log: Log, shared: Path
) -> None:
    create_topics(sqlite_log, 2)
    files = sorted((shared / "ticks" / "us_equity_taq" / "ibm").glob("20131007_*.zip"))
    feed(sqlite_log, files, FeedOptions())
    url, lake = f"chdb:///{tmp_path / 'own'}", tmp_path / "lake"
    with (
        store_process(tmp_path / "own"),
        connect(url) as client,
        Lander(sqlite_log, url, lake) as lander,
    ):
        lander.run_until_end()
        found = rows_of(
            client,
            "SELECT intDiv(toUnixTimestamp64Nano(ts_start), 60000000000), open, high, low, close, volume, "
            "trade_count FROM ohlcv(seconds = 60) WHERE symbol = 'IBM'",
        )
        sides = rows_of(
            client,
            "SELECT count(), countIf(ask < bid), count(ts_bid), count(ts_ask) FROM trades_quotes(symbol = 'IBM', "
            "start = '2013-10-07 00:00:00', end = '2013-10-08 00:00:00')",
        )
    wanted = duckdb.sql(
        f"""
        SELECT epoch_ns(ts_event) // 60000000000,
               first(price ORDER BY ts_event, _offset, _row) FILTER (updates_last),
               max(price) FILTER (updates_high_low), min(price) FILTER (updates_high_low),
               last(price ORDER BY ts_event, _offset, _row) FILTER (updates_last),
               coalesce(sum(size) FILTER (updates_volume), 0), count(*)
        FROM read_parquet('{lake}/trades/**/*.parquet', hive_partitioning = true)
        WHERE symbol = 'IBM' AND action = 'new' AND date = '2013-10-07' GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    assert len(found) > 390
    assert found == wanted
    ((trades, _, with_bid, with_ask),) = sides
    assert trades == sum(row[-1] for row in wanted)
    # Trades of facilities that quote nothing (FINRA's) have no side; an exchange's nearly always both.
    assert 0 < with_bid <= trades
    assert 0 < with_ask <= trades
