"""TAQ files: every value against an independent reading, and the vendor's own minute bars."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from connectors.feeds.archive import probe
from connectors.feeds.conditions import SIP, TABLES, VENDOR
from connectors.feeds.reading import Window, batches
from connectors.feeds.taq import Taq

# 1 January 2026, 12:00 UTC: later than all data.
NOW_NS = 1_767_268_800_000_000_000
# 7 October 2013, 00:00 in New York is 04:00 UTC.
MIDNIGHT_NS = 1_381_118_400_000_000_000


def read(path: Path, conditions: str = "vendor", block_bytes: int = 1 << 21) -> pl.DataFrame:
    [source] = Taq(TABLES[conditions]).open(probe(path), block_bytes)
    found = list(batches(source, after_line=0, window=Window(), latest_ns=NOW_NS))
    assert not [fault for batch in found for fault in batch.faults]
    return pl.concat([pl.DataFrame(batch.batch) for batch in found])


def plain(path: Path, columns: list[str]) -> pl.DataFrame:
    """The independent reading: polars, all as text but the numbers."""
    archive = zipfile.ZipFile(path)
    member = archive.read(archive.namelist()[0])
    text = pl.read_csv(member, has_header=False, new_columns=columns, infer_schema=False)
    return text.with_columns(pl.exclude(TEXTS).cast(pl.Int64))


TEXTS = ("exchange", "condition")
QUOTE = ["ms", "bid", "bid_size", "ask", "ask_size", "exchange", "condition", "suspicious"]
TRADE = ["ms", "price", "size", "exchange", "condition", "suspicious"]


@pytest.mark.shared
def test_every_value_of_a_real_quote_file_is_read(shared: Path) -> None:
    path = shared / "ticks/us_equity_taq/ibm/20131007_quote.zip"
    got, want = read(path), plain(path, QUOTE)
    assert len(got) == len(want) == 109_067
    assert set(got["symbol"].unique()) == {"IBM"}
    assert got["venue"].cast(pl.String).equals(want["exchange"])
    ts_event = want["ms"] * 1_000_000 + MIDNIGHT_NS
    assert got["ts_event"].to_physical().equals(ts_event)
    for side in ("bid", "ask"):
        absent = want[side] == 0
        assert got[side].is_null().equals(absent)
        # Python divides to the nearest float; polars multiplies by an inverse.
        prices = [price / 10_000 for price in want[side].to_list()]
        assert got[side].fill_null(0.0).to_list() == prices
        assert got[f"{side}_size"].fill_null(0.0).equals(want[f"{side}_size"].cast(pl.Float64))
    marks = [";best", ";best;suspicious"]
    assert got["condition"].to_list() == [
        condition + marks[flag] for condition, flag in want.select("condition", "suspicious").rows()
    ]


@pytest.mark.shared
def test_every_value_of_a_real_trade_file_is_read(shared: Path) -> None:
    path = shared / "ticks/us_equity_taq/spy/20131007_trade.zip"
    got, want = read(path), plain(path, TRADE)
    assert len(got) == len(want) == 250_601
    assert set(got["symbol"].unique()) == {"SPY"}
    assert got["venue"].cast(pl.String).equals(want["exchange"])
    assert got["ts_event"].to_physical().equals(want["ms"] * 1_000_000 + MIDNIGHT_NS)
    # Python divides to the nearest float; polars multiplies by an inverse.
    assert got["price"].to_list() == [price / 10_000 for price in want["price"].to_list()]
    assert got["size"].equals(want["size"].cast(pl.Float64))
    assert got["conditions"].cast(pl.String).equals(want["condition"])
    assert set(got["action"].unique()) == {"new"}
    assert got["side"].null_count() == len(got)


@pytest.mark.shared
@pytest.mark.parametrize("block_bytes", [1 << 12, 1 << 16])
def test_the_size_of_the_blocks_does_not_matter(shared: Path, block_bytes: int) -> None:
    path = shared / "ticks/us_equity_taq/aig/20131007_trade.zip"
    assert read(path, block_bytes=block_bytes).equals(read(path))


MINUTES = {"aig": 0.9899, "bac": 0.9935, "ibm": 0.9915, "spy": 0.9963}


@pytest.mark.shared
@pytest.mark.parametrize("symbol", sorted(MINUTES))
def test_minute_bars_by_the_vendors_table_agree_with_the_vendors(
    shared: Path, symbol: str, record_property: Callable[[str, object], None]
) -> None:
    share, minutes = agreement(shared, symbol, "vendor")
    record_property("minutes_that_agree", f"{symbol}: {share:.4f} of {minutes}")
    assert share >= MINUTES[symbol]
    assert share > agreement(shared, symbol, "sip")[0]


def agreement(shared: Path, symbol: str, conditions: str) -> tuple[float, int]:
    """Share of the vendor's minutes of which open, high, low, close and volume are ours, and their count."""
    equal = minutes = 0
    prices = ["open", "high", "low", "close"]
    for date in ("20131007", "20131008", "20131009"):
        ticks = read(shared / f"ticks/us_equity_taq/{symbol}/{date}_trade.zip", conditions)
        bars = plain(
            shared / f"ohlcv/us_equity_bars/minute/{symbol}/{date}_trade.zip",
            ["ms", *prices, "volume"],
        )
        midnight_ns = MIDNIGHT_NS + (int(date) - 20131007) * 86_400_000_000_000
        ms = (pl.col("ts_event").to_physical() - midnight_ns) // 1_000_000
        last, high_low = pl.col("updates_last"), pl.col("updates_high_low")
        ours = ticks.group_by((ms // 60_000 * 60_000).alias("ms")).agg(
            pl.col("price").filter(last).first().alias("our_open"),
            pl.col("price").filter(high_low).max().alias("our_high"),
            pl.col("price").filter(high_low).min().alias("our_low"),
            pl.col("price").filter(last).last().alias("our_close"),
            pl.col("size").filter("updates_volume").sum().alias("our_volume"),
        )
        scaled = (pl.col([f"our_{name}" for name in prices]) * 10_000).round().cast(pl.Int64)
        both = bars.join(ours, on="ms", how="left").with_columns(scaled)
        agree = pl.all_horizontal(
            (pl.col(name) == pl.col(f"our_{name}")).fill_null(value=False)
            for name in ("open", "high", "low", "close", "volume")
        )
        equal += int(both.select(agree.sum()).item())
        minutes += len(both)
    return equal / minutes, minutes


def test_a_suspicious_row_is_marked_and_a_suspicious_trade_sets_nothing(
    taq_file: Callable[..., Path],
) -> None:
    trades = taq_file("aig", "20131007", "trade", ["1000,491800,300,P,1,0", "1001,1,100,P,1,1"])
    got = read(trades)
    assert got["conditions"].to_list() == ["1", "1;suspicious"]
    for flag in ("updates_high_low", "updates_last", "updates_volume"):
        assert got[flag].to_list() == [True, False]
    quotes = taq_file(
        "aig", "20131007", "quote", ["1,491800,300,0,0,P,1,1", "2,0,0,491900,0,P,8,0"]
    )
    got = read(quotes)
    assert got["condition"].to_list() == ["1;best;suspicious", "8;best"]
    assert got["ask"].to_list() == [None, 49.19]
    assert got["ask_size"].to_list() == [None, 0.0]


@pytest.mark.parametrize("condition", ["zz", "8000000000000000", "41aedd7d6bad86d7c3c"])
def test_a_condition_that_is_no_bit_field_refuses_its_row(
    taq_file: Callable[..., Path], condition: str
) -> None:
    """A damaged zip's digits, more than an integer holds, ended the feed with a traceback."""
    lines = ["1000,491800,300,P,1,0", f"1001,491800,100,P,{condition},0", "1002,491800,100,P,1,0"]
    [source] = Taq(VENDOR).open(probe(taq_file("aig", "20131007", "trade", lines)), 1 << 21)
    [block] = source.blocks()
    [told] = [rows for why, rows in block.rows.refused.items() if "hexadecimal" in why]
    assert told.tolist() == [False, True, False]


def test_symbol_and_date_come_from_the_path_where_there_is_no_member_name(tmp_path: Path) -> None:
    path = tmp_path / "brk.b" / "20140305_trade.csv"
    path.parent.mkdir()
    path.write_text("0,12300,100,N,1,0\n")
    assert Taq(VENDOR).matches(probe(path))
    got = read(path)
    assert got["symbol"].to_list() == ["BRK.B"]
    # 5 March 2014, winter time: midnight is 05:00 UTC.
    assert got["ts_event"].to_list()[0].isoformat() == "2014-03-05T05:00:00+00:00"


def test_the_vendors_minute_bars_are_not_taken_for_ticks(shared: Path) -> None:
    bars = shared / "ohlcv/us_equity_bars/minute/aig/20131007_trade.zip"
    assert not Taq(VENDOR).matches(probe(bars))


@pytest.mark.parametrize(
    ("code", "vendor", "sip"),
    [
        (0x1, (True, True, True), (True, True, True)),
        (0x20000020, (False, False, True), (True, True, True)),
        (0x2000, (True, True, True), (False, False, True)),
        (0x20002020, (True, True, True), (False, False, True)),
        (0x20100200, (False, False, True), (False, False, True)),
        (0x102000, (True, True, True), (False, False, True)),
        (0x4800, (True, True, True), (True, False, True)),
        (0x1000000, (False, False, False), (False, False, False)),
        (0x80000000, (False, False, True), (False, False, True)),
    ],
)
def test_sale_conditions_set_what_the_tables_say(
    code: int, vendor: tuple[bool, ...], sip: tuple[bool, ...]
) -> None:
    codes = np.array([code])
    assert tuple(bool(flag[0]) for flag in VENDOR.updates(codes)) == vendor
    assert tuple(bool(flag[0]) for flag in SIP.updates(codes)) == sip
