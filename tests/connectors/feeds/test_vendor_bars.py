"""Bars of vendors: every value of real files, when a bar begins and ends, and bad lines."""

import gzip
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from connectors.feeds.adjusted_bars import AdjustedBars
from connectors.feeds.archive import probe
from connectors.feeds.lean_bars import LeanBars
from connectors.feeds.named_bars import NamedBars
from connectors.feeds.reading import Window, batches
from connectors.feeds.source import Fault, Format

NOW_NS = 1_767_268_800_000_000_000
MINUTE_NS = 60_000_000_000
DAY_NS = 1440 * MINUTE_NS
NEW_YORK = ZoneInfo("America/New_York")
PRICES = ("open", "high", "low", "close")


def read(form: Format, path: Path) -> tuple[pl.DataFrame, list[Fault]]:
    seen = probe(path)
    assert form.matches(seen)
    [source] = form.open(seen, 1 << 18)
    found = list(batches(source, after_line=0, window=Window(), latest_ns=NOW_NS))
    rows = pl.concat([pl.DataFrame(batch.batch) for batch in found])
    return rows.with_columns(pl.selectors.datetime().to_physical()), [
        fault for batch in found for fault in batch.faults
    ]


def lines_of(path: Path) -> list[list[str]]:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            text = archive.read(archive.namelist()[0]).decode()
    else:
        text = gzip.decompress(path.read_bytes()).decode()
    return [line.split(",") for line in text.splitlines()]


def ns(local: datetime) -> int:
    return round(local.timestamp()) * 10**9


def columns(rows: pl.DataFrame, *names: str) -> list[tuple[Any, ...]]:
    return rows.select(names).rows()


@pytest.mark.shared
def test_minute_bars_of_trades_are_read_whole(shared: Path) -> None:
    path = shared / "ohlcv/us_equity_bars/minute/spy/20131008_trade.zip"
    got, faults = read(LeanBars(), path)
    lines = lines_of(path)
    midnight = ns(datetime(2013, 10, 8, tzinfo=NEW_YORK))
    assert faults == []
    assert columns(got, "ts_start", *PRICES, "volume") == [
        (midnight + int(at[0]) * 10**6, *(int(p) / 10_000 for p in at[1:5]), float(at[5]))
        for at in lines
    ]
    assert (got["ts_event"] - got["ts_start"]).unique().to_list() == [MINUTE_NS]
    assert set(columns(got, "symbol", "venue", "interval", "price_type")) == {
        ("SPY", None, "1m", "trade")
    }


@pytest.mark.shared
def test_a_minute_of_quotes_is_a_bar_of_the_bid_and_one_of_the_ask(shared: Path) -> None:
    path = shared / "ohlcv/us_equity_bars/minute/aig/20131007_quote.zip"
    got, faults = read(LeanBars(), path)
    lines = lines_of(path)
    midnight = ns(datetime(2013, 10, 7, tzinfo=NEW_YORK))
    assert faults == []
    want = []
    for at in lines:
        for side, numbers in (("bid", at[1:6]), ("ask", at[6:11])):
            prices = (int(p) / 10_000 for p in numbers[:4])
            want.append((side, midnight + int(at[0]) * 10**6, *prices, float(numbers[4]), None))
    assert columns(got, "price_type", "ts_start", *PRICES, "close_size", "volume") == want


@pytest.mark.shared
@pytest.mark.parametrize(("folder", "interval"), [("hour", "1h"), ("daily", "1d")])
def test_history_is_read_whole_on_both_sides_of_daylight_saving_time(
    shared: Path, folder: str, interval: str
) -> None:
    path = shared / f"ohlcv/us_equity_bars/{folder}/aapl.zip"
    got, faults = read(LeanBars(), path)
    lines = lines_of(path)
    assert faults == []
    starts = [datetime.strptime(at[0], "%Y%m%d %H:%M").replace(tzinfo=NEW_YORK) for at in lines]
    assert got["ts_start"].to_list() == [ns(at) for at in starts]
    assert columns(got, *PRICES, "volume") == [
        (*(int(p) / 10_000 for p in at[1:5]), float(at[5])) for at in lines
    ]
    assert got["interval"].unique().to_list() == [interval]
    lengths = set((got["ts_event"] - got["ts_start"]).to_list())
    assert lengths == {60 * MINUTE_NS} if folder == "hour" else {DAY_NS}


def test_a_daily_bar_over_a_change_of_the_clocks_ends_at_midnight(tmp_path: Path) -> None:
    path = tmp_path / "es.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("es.csv", "20131103 00:00,10000,10000,10000,10000,5\n")
    got, _ = read(LeanBars(), path)
    assert got["ts_event"][0] - got["ts_start"][0] == 25 * 60 * MINUTE_NS
    assert got["interval"].to_list() == ["1d"]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "symbol", "kind"),
    [
        ("gbpusd_m1_bid_2012.csv.gz", "GBPUSD", "bid"),
        ("gbpusd_m1_ask_2012.csv.gz", "GBPUSD", "ask"),
        ("btc_perp_1m_20211231_20220201.csv.gz", "BTC_PERP", "trade"),
    ],
)
def test_bars_whose_name_says_what_they_are_are_read_whole(
    shared: Path, name: str, symbol: str, kind: str
) -> None:
    path = shared / "ohlcv" / name
    got, faults = read(NamedBars(), path)
    _, *lines = lines_of(path)
    assert faults == []
    starts = [ns(datetime.fromisoformat(f"{at[0].partition('+')[0]}+00:00")) for at in lines]
    assert got["ts_start"].to_list() == starts
    assert columns(got, *PRICES) == [tuple(float(p) for p in at[1:5]) for at in lines]
    volumes = [float(at[5]) if len(at) > 5 else None for at in lines]
    assert got["volume"].to_list() == volumes
    assert (got["ts_event"] - got["ts_start"]).unique().to_list() == [MINUTE_NS]
    assert set(columns(got, "symbol", "interval", "price_type")) == {(symbol, "1m", kind)}


@pytest.mark.shared
def test_daily_bars_with_adjusted_closes_are_read_whole(shared: Path) -> None:
    path = shared / "ohlcv/sp500_daily_adjusted_2012_2021.parquet"
    got, faults = read(AdjustedBars(), path)
    want = pl.read_parquet(path)
    assert faults == []
    begins = pl.col("date").dt.replace_time_zone("America/New_York")
    ends = pl.col("date").dt.offset_by("1d").dt.replace_time_zone("America/New_York")
    want = want.select(
        pl.col("symbol").cast(pl.String),
        begins.dt.convert_time_zone("UTC").dt.cast_time_unit("ns").to_physical().alias("ts_start"),
        ends.dt.convert_time_zone("UTC").dt.cast_time_unit("ns").to_physical().alias("ts_event"),
        *PRICES,
        pl.col("volume").cast(pl.Float64),
        "adjusted_close",
        pl.col("dividend_amount").alias("dividend"),
        pl.col("split_coefficient").alias("split_factor"),
    )
    assert got.with_columns(pl.col("symbol").cast(pl.String)).select(want.columns).equals(want)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("19981301 09:00,1,1,1,1,1", "column time"),
        ("19980102,1,1,1,1,1", "column time"),
        ("99991231 10:00,1,1,1,1,1", "column time"),
        ("18991231 10:00,1,1,1,1,1", "column time"),
        ("19980102 10:00,1,1\r19980102 10:00,1,1,1,1,1", "column"),
        ("19980102 10:00,1,1,1,,1", "column close is empty"),
        ("19980102 10:00,1,1,1,0,1", "close must be above 0"),
        ("19980102 10:00,1,1,1", "6 columns were needed, the line has 4"),
    ],
)
def test_a_bad_line_is_a_fault_and_the_others_are_rows(
    tmp_path: Path, line: str, reason: str
) -> None:
    path = tmp_path / "hour" / "x.zip"
    path.parent.mkdir()
    good = "19980102 09:00,1,1,1,1,1"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.csv", f"{good}\n{line}\n{good}\n")
    got, [fault] = read(LeanBars(), path)
    assert len(got) == 2
    assert (fault.line, fault.text) == (2, line.encode())
    assert reason in fault.reason


def test_numbers_beyond_what_floats_say_exactly_are_read_as_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "hour" / "x.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.csv", "19980102 09:00,1,1,1,1,9007199254740993\n")
    got, faults = read(LeanBars(), path)
    assert (got["volume"].to_list(), faults) == ([9007199254740992.0], [])
