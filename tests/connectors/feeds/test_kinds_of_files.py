"""Files of all kinds through the feed as a user gives them: without options, in one log."""

import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.feeds.admission import find_files
from connectors.feeds.options import FeedOptions
from connectors.feeds.program import feed
from connectors.feeds.reading import Window, batches
from connectors.log import Log

NOW_NS = 1_767_268_800_000_000_000
Rows = Callable[[Log, str], list[dict[str, Any]]]
Watermarks = Callable[[Log, str], list[tuple[str, int]]]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("paths", "rows"),
    [
        (["ticks/fx"], {("fx", "quotes"): 405_813 + 186_092}),
        (["ticks/gold_futures"], {("futures", "trades"): 92_514}),
        (["ticks/cme_mbo"], {("dbn", "book_events"): 74_544 + 2, ("dbn", "trades"): 2_973}),
        (["ticks/lobster"], {("lobster", "book_events"): 304_068}),
        (["ohlcv/us_equity_bars/minute"], {("lean_bars", "vendor_bars"): 22_589}),
        (
            ["ohlcv/us_equity_bars/hour", "ohlcv/us_equity_bars/daily"],
            {("lean_bars", "vendor_bars"): 163_294 + 43_698},
        ),
        (
            [
                "ohlcv/gbpusd_m1_bid_2012.csv.gz",
                "ohlcv/gbpusd_m1_ask_2012.csv.gz",
                "ohlcv/btc_perp_1m_20211231_20220201.csv.gz",
            ],
            {("named_bars", "vendor_bars"): 2 * 30_117 + 45_031},
        ),
        (
            ["ohlcv/sp500_daily_adjusted_2012_2021.parquet"],
            {("adjusted_bars", "vendor_bars"): 1_136_986},
        ),
    ],
)
def test_every_shared_file_is_known_by_its_looks_and_gives_rows_without_dead_letters(
    shared: Path, paths: list[str], rows: dict[tuple[str, str], int]
) -> None:
    found = find_files([shared / path for path in paths], FeedOptions())
    counted: Counter[tuple[str, str]] = Counter()
    for seen, known in found.files:
        for source in known.open(seen, 1 << 21):
            for batch in batches(source, after_line=0, window=Window(), latest_ns=NOW_NS):
                assert batch.faults == ()
                counted[known.name, source.topic.name] += batch.batch.num_rows
    assert counted == rows


def bars(folder: Path, year: int) -> Path:
    path = folder / f"aig_1h_{year}.csv"
    path.write_text(
        f"timestamp,open,high,low,close\n{year}-03-01 10:00:00,1,2,1,2\n{year}-03-01 11:00:00,2,2,1,1\n"
    )
    return path


def test_bars_of_other_years_come_in_any_order_and_make_no_tick_late(
    tmp_path: Path,
    taq_file: Callable[..., Path],
    log: Log,
    rows_of: Rows,
    watermarks_of: Watermarks,
) -> None:
    trades = taq_file("aig", "20131007", "trade", ["34200000,490000,100,N,0,0"])
    for path in (bars(tmp_path, 2021), bars(tmp_path, 2013), trades, bars(tmp_path, 2012)):
        feed(log, [path], FeedOptions())
    assert len(rows_of(log, "vendor_bars")) == 6
    assert watermarks_of(log, "vendor_bars") == []
    # The trade's session is closed where trades are; no bar has closed one.
    assert len(watermarks_of(log, "trades")) == len(watermarks_of(log, "quotes")) == 1


def test_expiries_are_fed_as_parts_each_with_its_dead_letters(
    tmp_path: Path, log: Log, rows_of: Rows
) -> None:
    path = tmp_path / "20131007_trade.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for expiry, price in (("201312", "1300.5"), ("201402", "none")):
            archive.writestr(
                f"20131007_gc_tick_trade_{expiry}.csv",
                f"1,1300.5,2,usa,,0\n2,{price},2,usa,,0\n",
            )
    summary = feed(log, [path], FeedOptions())
    assert [(part.part[-10:], part.rows, part.rejected) for part in summary.files] == [
        ("201312.csv", 2, 0),
        ("201402.csv", 1, 1),
    ]
    assert Counter(row["symbol"] for row in rows_of(log, "trades")) == {
        "GC201312": 2,
        "GC201402": 1,
    }
    [letter] = rows_of(log, "dead_letter")
    assert letter["payload"] == b"2,none,2,usa,,0"
    assert "201402" in letter["source_topic"]


@pytest.mark.shared
def test_a_databento_file_is_fed_into_two_topics_in_order_of_time(
    shared: Path, log: Log, rows_of: Rows
) -> None:
    path = shared / "ticks/cme_mbo/esh4-glbx-mdp3-20231225.mbo.dbn.zst"
    summary = feed(log, [path], FeedOptions())
    assert summary.rows == {"book_events": 65_820, "trades": 2_973}
    assert summary.rejected == 0
    trades = rows_of(log, "trades")
    assert {row["symbol"] for row in trades} == {"ESH4"}
    assert len(trades) == 2_973
