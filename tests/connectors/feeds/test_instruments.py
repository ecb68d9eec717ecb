"""Tables of instruments: columns in any order, defaults, times, renames; from the real lists."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from connectors.feeds.archive import probe
from connectors.feeds.instruments import Instruments
from connectors.feeds.options import FeedOptions
from connectors.feeds.program import feed
from connectors.feeds.source import FeedError
from connectors.log import Log
from schemas.registry import market_topics

RowsOf = Callable[[Log, str], list[dict[str, Any]]]
DAY_NS = 86_400_000_000_000
# 7 October 2013, 00:00 UTC.
MONDAY_NS = 1_381_104_000_000_000_000
OPTIONS = FeedOptions()


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_columns_come_in_any_order_and_what_is_left_out_has_its_default(
    tmp_path: Path, log: Log, rows_of: RowsOf
) -> None:
    path = table(
        tmp_path / "instruments.csv",
        "Currency,symbol,valid_from,tick_size,name",
        'USD,aig,2013-10-07,0.01,"American International Group, Inc."',
        "BTC,ethbtc,2013-10-07T09:30:00.000000001+02:00,,",
    )
    summary = feed(log, [path], OPTIONS)
    assert summary.rows == {"instruments": 2}
    first, second = sorted(rows_of(log, "instruments"), key=lambda row: row["symbol"])
    del first["ts_recv"], second["ts_recv"]
    assert first == {
        "symbol": "AIG",
        "ts_event": MONDAY_NS,
        "venue": None,
        "type": "stock",
        "name": "American International Group, Inc.",
        "currency": "USD",
        "tick_size": 0.01,
        "lot_size": None,
        "sector": None,
        "calendar": "XNYS",
        "previous_symbol": None,
        "is_active": True,
    }
    nine_thirty = 7 * 3600 * 10**9 + 1800 * 10**9 + 1
    assert (second["symbol"], second["ts_event"]) == ("ETHBTC", MONDAY_NS + nine_thirty)


def test_a_table_closes_no_session_and_is_never_too_old(
    tmp_path: Path,
    log: Log,
    rows_of: RowsOf,
    watermarks_of: Callable[[Log, str], list[tuple[str, int]]],
) -> None:
    """Else a table valid from 2026 would make all of 2013's trades late."""
    newer = table(
        tmp_path / "new.csv",
        "symbol,valid_from,currency",
        "AIG,2020-01-01,USD",
        "AIG,2013-10-07,USD",
    )
    older = table(tmp_path / "old.csv", "symbol,valid_from,currency", "AIG,1957-03-04,USD")
    feed(log, [newer], OPTIONS)
    feed(log, [older], OPTIONS)
    assert len(rows_of(log, "instruments")) == 3
    for topic in market_topics():
        assert watermarks_of(log, topic.name) == []


def test_a_change_that_is_announced_may_lie_ahead(
    tmp_path: Path, log: Log, rows_of: RowsOf
) -> None:
    path = table(tmp_path / "i.csv", "symbol,valid_from,currency", "META,2199-06-09,USD")
    feed(log, [path], OPTIONS)
    assert [row["symbol"] for row in rows_of(log, "instruments")] == ["META"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("AIG,2013-02-30,USD", "column valid_from"),
        ("AIG,2013-10-07T09:30:00,USD", "column valid_from"),
        ("AIG,07.10.2013,USD", "column valid_from"),
        ("AIG,,USD", "column valid_from is empty"),
        ("AIG,2013-10-07", "3 columns were needed"),
    ],
)
def test_a_line_that_is_no_row_costs_that_line(
    tmp_path: Path, log: Log, rows_of: RowsOf, line: str, reason: str
) -> None:
    path = table(
        tmp_path / "i.csv",
        "symbol,valid_from,currency",
        "BAC,2013-10-07,USD",
        line,
        "C,2013-10-08,USD",
    )
    feed(log, [path], OPTIONS)
    assert {row["symbol"] for row in rows_of(log, "instruments")} == {"BAC", "C"}
    [dead] = rows_of(log, "dead_letter")
    assert reason in dead["reason"]
    assert dead["source_offset"] == 3


def test_a_column_that_is_not_known_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    path = table(tmp_path / "i.csv", "symbol,valid_from,currency,sektor", "A,2013-10-07,USD,Energy")
    with pytest.raises(FeedError, match="no column 'sektor'; is sector meant"):
        Instruments().open(probe(path), 1 << 20)


@pytest.mark.shared
def test_the_real_lists_of_members_and_ticker_changes_are_fed(
    tmp_path: Path, log: Log, rows_of: RowsOf, shared: Path
) -> None:
    path = tmp_path / "instruments.csv"
    lines = [*members(shared), *ticker_changes(shared), *stock_table(shared)]
    with path.open("w", newline="") as file:
        names = ["symbol", "valid_from", "name", "sector", "currency", "previous_symbol"]
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(lines)
    summary = feed(log, [path], OPTIONS)
    assert summary.rejected == 0
    assert summary.rows == {"instruments": len(lines)}
    rows = rows_of(log, "instruments")
    assert len({row["sector"] for row in rows if row["ts_event"] == day("2021-06-05")}) == 11
    renamed = {(row["previous_symbol"], row["symbol"]) for row in rows if row["previous_symbol"]}
    assert renamed == {("NB", "BAC"), ("QQQ", "QQQQ"), ("QQQQ", "QQQ")}
    by_name = {row["symbol"]: row["name"] for row in rows if row["ts_event"] == day("2014-01-01")}
    assert by_name["XOM"] == "Exxon Mobil Corporation"


def day(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def members(shared: Path) -> list[dict[str, str]]:
    found = []
    for date, name, sector in (
        ("2021-06-05", "Name", "Sector"),
        ("2026-08-08", "Security", "GICS Sector"),
    ):
        with (shared / f"ohlcv/sp500_constituents_{date}.csv").open(newline="") as file:
            found += [
                {
                    "symbol": row["Symbol"],
                    "valid_from": date,
                    "name": row[name],
                    "sector": row[sector],
                    "currency": "USD",
                }
                for row in csv.DictReader(file)
            ]
    return found


def ticker_changes(shared: Path) -> list[dict[str, str]]:
    """Of LEAN's map files: a line has the last day of a symbol; the next symbol holds from then on."""
    found = []
    for path in sorted((shared / "ohlcv/us_equity_bars/map_files").glob("*.csv")):
        rows = [line.split(",") for line in path.read_text().split()]
        found.append({"symbol": rows[0][1], "valid_from": iso(rows[0][0]), "currency": "USD"})
        for (until, before, *_), (_, after, *_) in pairwise(rows):
            if before != after:
                found.append(
                    {
                        "symbol": after,
                        "valid_from": iso(until),
                        "currency": "USD",
                        "previous_symbol": before,
                    }
                )
    return found


def iso(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"


def stock_table(shared: Path) -> list[dict[str, str]]:
    with (shared / "social/stocknet_stock_table.tsv").open(newline="") as file:
        return [
            {
                "symbol": row["Symbol"].removeprefix("$"),
                "valid_from": "2014-01-01",
                "name": row["Company"],
                "sector": row["Sector"],
                "currency": "USD",
            }
            for row in csv.DictReader(file, delimiter="\t")
        ]


def test_a_list_of_members_holds_from_the_day_in_its_name(
    tmp_path: Path, log: Log, rows_of: RowsOf
) -> None:
    table(
        tmp_path / "sp500_constituents_2013-10-07.csv",
        "Symbol,Security,GICS Sector,GICS Sub-Industry,Founded",
        'aig,"American International Group, Inc.",Financials,Insurance,1919',
        ",nobody,Financials,Banks,1",
    )
    summary = feed(log, [tmp_path / "sp500_constituents_2013-10-07.csv"], OPTIONS)
    assert (summary.rows, summary.rejected) == ({"instruments": 1}, 1)
    [row] = rows_of(log, "instruments")
    wanted = ("symbol", "ts_event", "name", "sector", "currency", "type", "is_active")
    name = "American International Group, Inc."
    assert tuple(row[field] for field in wanted) == (
        "AIG",
        MONDAY_NS,
        name,
        "Financials",
        "USD",
        "stock",
        True,
    )


@pytest.mark.shared
def test_the_whole_folder_of_bars_is_fed_in_one_call(shared: Path, log: Log) -> None:
    summary = feed(log, [shared / "ohlcv"], OPTIONS)
    assert summary.rows == {"vendor_bars": 1_471_832, "instruments": 1_008}
    assert summary.rejected == 0
    assert {Path(path).parent.name for path, _ in summary.skipped} == {"factor_files", "map_files"}
