"""LOBSTER messages: every value against an independent reading, and times to the nanosecond."""

import gzip
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.feeds.archive import probe
from connectors.feeds.lobster import Lobster
from connectors.feeds.reading import Window, batches
from connectors.feeds.source import Fault

NOW_NS = 1_767_268_800_000_000_000
# 21 June 2012, 00:00 in New York is 04:00 UTC.
MIDNIGHT_NS = 1_340_251_200_000_000_000
NAME = "GOOG_2012-06-21_34200000_57600000_message_10.csv"


def read(path: Path) -> tuple[pl.DataFrame, list[Fault]]:
    [source] = Lobster().open(probe(path), 1 << 20)
    found = list(batches(source, after_line=0, window=Window(), latest_ns=NOW_NS))
    rows = pl.concat([pl.DataFrame(batch.batch) for batch in found])
    return rows, [fault for batch in found for fault in batch.faults]


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("GOOG_2012-06-21_34200000_57600000_message_10.csv.gz", "GOOG"),
        ("AAPL_2012-06-21_34200000_57600000_message_1.csv.gz", "AAPL"),
    ],
)
def test_every_value_of_a_real_message_file_is_read(
    shared: Path, tmp_path: Path, name: str, symbol: str
) -> None:
    # Alone: without the orderbook file that lies beside it there.
    path = tmp_path / name
    path.symlink_to(shared / "ticks/lobster" / name)
    got, faults = read(path)
    lines = [line.split(",") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    assert faults == []
    assert len(got) == len(lines)
    assert set(got["symbol"].unique()) == {symbol}
    # Decimal has no float's rounding.
    times = [MIDNIGHT_NS + int(Decimal(line[0]) * 10**9) for line in lines]
    assert got["ts_event"].to_physical().to_list() == times
    actions = {"1": "add", "2": "cancel", "3": "cancel", "4": "execute", "5": "hidden_execute"}
    assert got["action"].to_list() == [actions[line[1]] for line in lines]
    assert got["order_id"].to_list() == [int(line[2]) or None for line in lines]
    assert got["size"].to_list() == [float(line[3]) for line in lines]
    assert got["price"].to_list() == [int(line[4]) / 10_000 for line in lines]
    assert got["side"].to_list() == ["buy" if line[5] == "1" else "sell" for line in lines]
    assert got["state"].null_count() == len(got)


def test_trading_halts_become_states(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_text(
        "36023.1,7,0,0,-1,-1\n36323.1,7,0,0,0,-1\n36326.1,7,0,0,1,-1\n36327.1,1,5,100,5800000,1\n"
    )
    got, faults = read(path)
    assert faults == []
    assert got["action"].to_list() == ["halt"] * 3 + ["add"]
    assert got["state"].to_list() == ["halted", "quoting", "trading", None]
    for name in ("order_id", "side", "price", "size"):
        assert got[name].is_null().to_list() == [True, True, True, False]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("36023.1,6,5,100,5800000,1", "column type"),
        ("36023.1,1,5,100,5800000,0", "column direction"),
        ("86400.0,1,5,100,5800000,1", "column time"),
        ("99999999999999999.5,1,5,100,5800000,1", "column time"),
        ("36023.1234567891,1,5,100,5800000,1", "column time"),
        ("36023.1,7,0,0,2,-1", "column price"),
        ("36023.1,1,5,100,5800000", "6 columns were needed, the line has 5"),
        ("36023.1,1,five,100,5800000,1", "column order_id"),
        ("36023.1,1,5,,5800000,1", "column size is empty"),
        ("36023.1,1,5,-100,5800000,1", "size"),
        ("", "column time is empty"),
    ],
)
def test_a_bad_line_is_a_fault_with_its_number_and_the_others_are_rows(
    tmp_path: Path, line: str, reason: str
) -> None:
    path = tmp_path / NAME
    good = [f"36023.{at:09d},1,{at + 1},100,5800000,1" for at in range(7)]
    path.write_text("\n".join([*good[:4], line, *good[4:]]) + "\n")
    got, faults = read(path)
    assert got["order_id"].to_list() == list(range(1, 8))
    assert got["ts_event"].dt.nanosecond().to_list() == list(range(7))
    [fault] = faults
    assert fault.line == 5
    assert fault.text == line.encode()
    assert reason in fault.reason
