"""Breadth and index levels against polars and plain Python, at any partition count, on real daily bars."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from pydantic import ValidationError

from connectors.log import Log, open_log
from connectors.records import Partitioner, rows_record, watermarks_batch, watermarks_record
from connectors.topics import create_topics
from flows.breadth import Breadth, BreadthParams
from flows.breadth_parts import BreadthParts, BreadthPartsParams
from flows.engines import local
from flows.engines.compare import compare
from flows.engines.recount import recount
from flows.flow import Params
from flows.index_levels import Index, IndexLevels, IndexLevelsParams
from schemas.bars import BARS
from schemas.breadth import BREADTH, INDEX_LEVELS
from schemas.faults import LATE
from schemas.instruments import INSTRUMENTS
from schemas.sessions import session_starts
from schemas.topic import Topic
from tests.conformity.outputs import logged

MINUTE = 60 * 10**9
DAY = 86_400 * 10**9
# 7 October 2013, 04:00 UTC: midnight in New York.
MONDAY = 1_381_118_400_000_000_000
OPEN = MONDAY + 570 * MINUTE
FLOWS = [BreadthParts, Breadth, IndexLevels]

Bar = tuple[str, int, float, float]


def bars(given: list[Bar], interval: str, length: int) -> pa.RecordBatch:
    """Bars (symbol, end, close, volume) without a range."""
    symbol, end, close, volume = zip(*given, strict=True)
    prices = dict.fromkeys(("open", "high", "low", "close", "vwap"), close)
    return BARS.batch(
        {
            "symbol": list(symbol),
            "interval": [interval] * len(given),
            "ts_event": list(end),
            "ts_start": [one - length for one in end],
            "trade_count": [1] * len(given),
            "volume": list(volume),
            "buy_volume": [0.0] * len(given),
            "sell_volume": [0.0] * len(given),
            **prices,
        }
    )


def instruments(sectors: dict[str, str]) -> pa.RecordBatch:
    count = len(sectors)
    return INSTRUMENTS.batch(
        {
            "symbol": list(sectors),
            "ts_event": [0] * count,
            "ts_recv": [0] * count,
            "type": ["stock"] * count,
            "currency": ["USD"] * count,
            "sector": list(sectors.values()),
            "calendar": ["XNYS"] * count,
            "is_active": [True] * count,
        }
    )


def append(log: Log, topic: Topic, batch: pa.RecordBatch) -> None:
    partitioner = Partitioner(log.topics()[topic.name].partitions)
    log.append(
        [
            rows_record(topic, partition, part)
            for partition, part in partitioner.split(batch.column(topic.key), batch)
        ]
    )


def append_watermarks(log: Log, times: dict[str, int]) -> None:
    partitioner = Partitioner(log.topics()["bars"].partitions)
    batch = watermarks_batch(list(times), np.array(list(times.values())))
    log.append(
        [
            watermarks_record("bars", partition, part)
            for partition, part in partitioner.split(batch.column("key"), batch)
        ]
    )


@pytest.fixture
def make_log(tmp_path: Path) -> Callable[[int], Log]:
    def make(partitions: int) -> Log:
        log = open_log(f"sqlite:///{tmp_path / f'log-{partitions}.db'}")
        create_topics(log, partitions)
        return log

    return make


def run(log: Log, params: dict[str, Params]) -> None:
    local.run_until_end(log, FLOWS, params)
    for kind in FLOWS:
        for check in recount(log, kind):
            assert check.left == check.right, check
        for shard in range(log.topics()["bars"].partitions):
            assert all(one.identical for one in compare(log, kind, shard))


def final(log: Log) -> pl.DataFrame:
    """The highest revision of each row of breadth."""
    rows = pl.DataFrame(logged(log, BREADTH))
    keys = ["universe", "interval", "ts_event"]
    assert not rows.select(*keys, "revision").is_duplicated().any()
    newest = rows.filter(pl.col("revision") == pl.col("revision").max().over(keys))
    return newest.drop("revision").sort(keys).with_columns(pl.col("ts_event").to_physical())


def test_a_day_of_three_symbols_counts_as_one_would_by_hand(make_log: Callable[[int], Log]) -> None:
    ends = [MONDAY + DAY, MONDAY + 2 * DAY, MONDAY + 3 * DAY]
    closes = {"A": [10.0, 11.0, 11.0], "B": [20.0, 19.0, 21.0], "C": [5.0, 4.0, 3.0]}
    given = [
        (symbol, end, close, 100.0 * (1 + at))
        for at, end in enumerate(ends)
        for symbol, series in closes.items()
        for close in series[at : at + 1]
    ]
    params = {"breadth_parts": BreadthPartsParams(sessions=1, universes={"AB": ("A", "B")})}
    with make_log(1) as log:
        append(log, INSTRUMENTS, instruments({"A": "Energy", "C": "Energy"}))
        append(log, BARS, bars(given, "1d", DAY))
        run(log, params)
        rows = {(row["universe"], row["ts_event"]): row for row in final(log).to_dicts()}
        assert {universe for universe, _ in rows} == {"ALL", "AB", "sector:Energy"}
        first, second, third = (rows["ALL", end] for end in ends)
        assert (first["members"], first["advances"], first["declines"], first["unchanged"]) == (
            3,
            0,
            0,
            0,
        )
        assert (
            second["advances"],
            second["declines"],
            second["new_highs"],
            second["new_lows"],
        ) == (
            1,
            2,
            1,
            2,
        )
        assert (second["up_volume"], second["down_volume"], second["volume"]) == (200, 400, 600)
        assert second["net_advances"] == -1
        assert second["trin"] == (1 / 2) / (200 / 400)
        assert (third["advances"], third["declines"], third["unchanged"]) == (1, 1, 1)
        assert rows["AB", ends[1]]["members"] == 2
        assert rows["sector:Energy", ends[1]]["declines"] == 1


def test_a_row_waits_for_quiet_members_until_a_watermark_passes_them(
    make_log: Callable[[int], Log],
) -> None:
    def minute(at: int, *symbols: str) -> pa.RecordBatch:
        return bars([(one, OPEN + at * MINUTE, 1.0, 1.0) for one in symbols], "1m", MINUTE)

    with make_log(1) as log:
        append(log, BARS, minute(1, "A", "B"))
        append(log, BARS, minute(2, "A"))
        run(log, {})
        # B might still have a bar of the second minute.
        assert final(log)["ts_event"].to_list() == [OPEN + MINUTE]
        append_watermarks(log, {"B": OPEN + 2 * MINUTE + 1})
        run(log, {})
        rows = final(log)
        assert rows["ts_event"].to_list() == [OPEN + MINUTE, OPEN + 2 * MINUTE]
        assert rows["members"].to_list() == [2, 1]


def test_a_day_waits_for_those_who_were_seen_in_its_minutes(make_log: Callable[[int], Log]) -> None:
    with make_log(1) as log:
        for symbol in "AB":
            append(log, BARS, bars([(symbol, OPEN + MINUTE, 1.0, 1.0)], "1m", MINUTE))
        append(log, BARS, bars([("A", MONDAY + DAY, 1.0, 1.0)], "1d", DAY))
        run(log, {})
        assert "1d" not in set(final(log)["interval"])
        append(log, BARS, bars([("B", MONDAY + DAY, 1.0, 1.0)], "1d", DAY))
        run(log, {})
        [day] = pl.DataFrame(logged(log, BREADTH)).filter(pl.col("interval") == "1d").to_dicts()
        assert (day["members"], day["revision"]) == (2, 0)


def test_a_symbol_that_has_ended_holds_nobody_up_for_longer_than_the_patience(
    make_log: Callable[[int], Log],
) -> None:
    given = [("GONE", OPEN + MINUTE, 1.0, 1.0)]
    given += [("A", OPEN + at * MINUTE, 1.0, 1.0) for at in range(1, 30)]
    with make_log(1) as log:
        append(log, BARS, bars(given, "1m", MINUTE))
        run(log, {"breadth": BreadthParams(patience=5)})
        rows = final(log)
        # The patience over, GONE is waited for no more: all is written up to the newest.
        assert rows["ts_event"].max() == OPEN + 29 * MINUTE
        assert rows["members"].to_list() == [2] + [1] * 28


def test_what_is_fed_later_revises_and_what_is_too_old_is_late(
    make_log: Callable[[int], Log],
) -> None:
    def day(symbol: str) -> pa.RecordBatch:
        return bars([(symbol, OPEN + at * MINUTE, 1.0, 1.0) for at in range(1, 101)], "1m", MINUTE)

    params = {"breadth": BreadthParams(patience=5, horizon=40)}
    with make_log(1) as log:
        append(log, BARS, day("A"))
        append(log, BARS, day("B"))
        run(log, params)
        rows = final(log)
        assert rows["members"].to_list() == [1] * 60 + [2] * 40
        late = pl.DataFrame(logged(log, LATE))
        assert len(late) == 60
        assert set(late["window"]) == {"ALL 1m"}


def test_an_index_waits_for_its_slowest_member_and_carries_the_last_close_of_a_quiet_one(
    make_log: Callable[[int], Log],
) -> None:
    index = Index(weights={"A": 2.0, "B": 1.0}, base_level=50.0)
    params: dict[str, Params] = {"index_levels": IndexLevelsParams(indices={"AB": index})}
    with make_log(1) as log:
        quick = [("B", OPEN + at * MINUTE, 10.0 + at, 1.0) for at in range(1, 5)]
        append(log, BARS, bars(quick, "1m", MINUTE))
        run(log, params)
        assert logged(log, INDEX_LEVELS).num_rows == 0
        append(log, BARS, bars([("A", OPEN + 2 * MINUTE, 20.0, 1.0)], "1m", MINUTE))
        run(log, params)
        # The first minute has no close of A; the second sets the divisor: (2 * 20 + 12) / 50.
        rows = logged(log, INDEX_LEVELS).to_pylist()
        assert [(row["level"], row["divisor"], row["members"]) for row in rows] == [(50.0, 1.04, 2)]
        append_watermarks(log, {"A": OPEN + 4 * MINUTE})
        run(log, params)
        rows = logged(log, INDEX_LEVELS).to_pylist()[1:]
        assert [row["level"] for row in rows] == [(40.0 + close) / 1.04 for close in (13.0, 14.0)]
        assert [row["members"] for row in rows] == [1, 1]


def test_an_index_goes_on_without_a_member_beyond_the_horizon_and_says_so(
    make_log: Callable[[int], Log],
) -> None:
    index = Index(weights={"A": 1.0, "B": 1.0}, divisor=2.0)
    params: dict[str, Params] = {
        "index_levels": IndexLevelsParams(indices={"AB": index}, horizon=3)
    }
    given = [(symbol, OPEN + MINUTE, 10.0, 1.0) for symbol in "AB"]
    given += [("A", OPEN + at * MINUTE, 10.0 + at, 1.0) for at in range(2, 9)]
    given += [("B", OPEN + at * MINUTE, 20.0, 1.0) for at in range(2, 9)]
    with make_log(1) as log:
        append(log, BARS, bars(given, "1m", MINUTE))
        run(log, params)
        rows = logged(log, INDEX_LEVELS).to_pylist()
        assert [row["stale"] for row in rows] == [0, 1, 1, 1, 1, 0, 0, 0]
        assert [row["level"] for row in rows] == [10, 11, 11.5, 12, 12.5, 18, 18.5, 19]
        late = logged(log, LATE).to_pylist()
        assert [(row["window"], row["used"]) for row in late] == [("index level", False)] * 4


@pytest.mark.shared
def test_real_daily_bars_count_as_polars_counts_them_at_any_partition_count(
    make_log: Callable[[int], Log], shared: Path
) -> None:
    table = daily(shared)
    sectors = dict(
        pl.read_csv(shared / "ohlcv/sp500_constituents_2021-06-05.csv")
        .filter(pl.col("Symbol").is_in(table["symbol"].unique().to_list()))
        .select("Symbol", "Sector")
        .iter_rows()
    )
    weights = {"AAPL": 3.0, "IBM": 1.5, "XOM": 0.25}
    params: dict[str, Params] = {
        "breadth_parts": BreadthPartsParams(intervals=("1d",), sessions=20),
        "breadth": BreadthParams(intervals=("1d",)),
        "index_levels": IndexLevelsParams(
            indices={"THREE": Index(weights=weights, base_level=1000.0)}, intervals=("1d",)
        ),
    }
    found: list[pl.DataFrame] = []
    levels: list[pl.DataFrame] = []
    for partitions in (1, 2, 4):
        with make_log(partitions) as log:
            append(log, INSTRUMENTS, instruments(sectors))
            append(log, BARS, as_bars(table))
            run(log, params)
            found.append(final(log))
            levels.append(pl.DataFrame(logged(log, INDEX_LEVELS)))
    assert found[0].equals(found[1])
    assert found[0].equals(found[2])
    assert levels[0].equals(levels[1])
    assert levels[0].equals(levels[2])
    expected = reference(table, sectors, sessions=20)
    names = [name for name in expected.columns if name != "trin"]
    assert found[0].select(names).equals(expected.select(names))
    assert_level_is_the_weighted_sum(levels[0], table, weights)


def assert_level_is_the_weighted_sum(
    levels: pl.DataFrame, table: pl.DataFrame, weights: dict[str, float]
) -> None:
    wide = table.filter(pl.col("symbol").is_in(list(weights))).pivot(
        on="symbol", index="end", values="close"
    )
    totals = [
        sum(weight * row[symbol] for symbol, weight in weights.items())
        for row in wide.sort("end").iter_rows(named=True)
    ]
    assert levels["level"].to_list() == [total / (totals[0] / 1000.0) for total in totals]
    assert levels["stale"].max() == 0
    assert levels["members"].to_list() == [3] * len(levels)


def daily(shared: Path) -> pl.DataFrame:
    """250 days of 60 stocks, with the ends of their sessions."""
    table = pl.read_parquet(shared / "ohlcv/sp500_daily_adjusted_2012_2021.parquet").with_columns(
        pl.col("symbol").cast(pl.String)
    )
    full = table.filter(pl.col("date") == pl.date(2012, 1, 3))["symbol"].unique().sort().to_list()
    chosen = sorted({*full[::9], "AAPL", "IBM", "XOM"})
    table = table.filter(
        pl.col("symbol").is_in(chosen) & (pl.col("date") < pl.date(2012, 12, 31))
    ).sort("date", "symbol")
    starts = session_starts("XNYS")
    noon = table["date"].dt.epoch("ns").to_numpy() + DAY // 2
    at = np.searchsorted(starts, noon, side="right")
    return table.with_columns(start=pl.Series(starts[at - 1]), end=pl.Series(starts[at]))


def as_bars(table: pl.DataFrame) -> pa.RecordBatch:
    count = len(table)
    columns: dict[str, Any] = {
        name: table[name].to_numpy() for name in ("open", "high", "low", "close")
    }
    return BARS.batch(
        {
            **columns,
            "symbol": table["symbol"].to_list(),
            "interval": ["1d"] * count,
            "ts_event": table["end"].to_numpy(),
            "ts_start": table["start"].to_numpy(),
            "trade_count": np.ones(count, np.int64),
            "volume": table["volume"].cast(pl.Float64).to_numpy(),
            "buy_volume": np.zeros(count),
            "sell_volume": np.zeros(count),
        }
    )


def reference(table: pl.DataFrame, sectors: dict[str, str], sessions: int) -> pl.DataFrame:
    """The same counts by polars, from the whole table at once."""
    change = pl.col("close") - pl.col("close").shift(1).over("symbol")
    highest = pl.col("high").shift(1).rolling_max(sessions).over("symbol")
    lowest = pl.col("low").shift(1).rolling_min(sessions).over("symbol")
    marked = table.sort("symbol", "end").with_columns(
        sign=change.sign(),
        new_high=(pl.col("high") > highest).fill_null(value=False),
        new_low=(pl.col("low") < lowest).fill_null(value=False),
        volume=pl.col("volume").cast(pl.Float64),
        sector="sector:"
        + pl.col("symbol").replace_strict(sectors, default=None, return_dtype=pl.String),
    )
    both = pl.concat(
        [
            marked.with_columns(universe=pl.lit("ALL")),
            marked.filter(pl.col("sector").is_not_null()).with_columns(universe=pl.col("sector")),
        ]
    )
    up, down = pl.col("sign") == 1, pl.col("sign") == -1
    counts = both.group_by("universe", pl.col("end").alias("ts_event")).agg(
        members=pl.len().cast(pl.Int64),
        advances=up.sum().cast(pl.Int64),
        declines=down.sum().cast(pl.Int64),
        unchanged=(pl.col("sign") == 0).sum().cast(pl.Int64),
        new_highs=pl.col("new_high").sum().cast(pl.Int64),
        new_lows=pl.col("new_low").sum().cast(pl.Int64),
        up_volume=pl.col("volume").filter(up).sum(),
        down_volume=pl.col("volume").filter(down).sum(),
        volume=pl.col("volume").sum(),
    )
    return counts.sort("universe", "ts_event")


def test_a_named_universe_of_several_calendars_is_refused_where_days_are_counted() -> None:
    lists = {"universes": {"BOTH": ("A", "L")}, "calendars": {"L": "XLON"}}
    with pytest.raises(ValidationError, match="'BOTH' has symbols of the calendars XLON, XNYS,"):
        BreadthPartsParams(**lists)
    assert BreadthPartsParams(intervals=("1m",), **lists)
