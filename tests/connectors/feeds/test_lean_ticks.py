"""FX and futures ticks of LEAN's zips: every value of real files, their time zones, and bad lines."""

import csv
import io
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from connectors.feeds.archive import probe
from connectors.feeds.futures import Futures
from connectors.feeds.fx import Fx
from connectors.feeds.reading import Window, batches
from connectors.feeds.source import Fault, FeedError, Source

NOW_NS = 1_767_268_800_000_000_000
MS = 1_000_000


def read(source: Source) -> tuple[pl.DataFrame, list[Fault]]:
    found = list(batches(source, after_line=0, window=Window(), latest_ns=NOW_NS))
    rows = pl.concat([pl.DataFrame(batch.batch) for batch in found])
    return rows, [fault for batch in found for fault in batch.faults]


def lines_of(path: Path, member: str = "") -> list[list[str]]:
    with zipfile.ZipFile(path) as archive:
        text = archive.read(member or archive.namelist()[0]).decode()
    return list(csv.reader(io.StringIO(text)))


def zipped(path: Path, **members: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in members.items():
            archive.writestr(f"{name}.csv", text)
    return path


@pytest.mark.shared
@pytest.mark.parametrize(
    ("dealer", "zone"), [("fxcm", timezone(timedelta(hours=-5))), ("oanda", UTC)]
)
def test_every_value_of_a_real_fx_day_is_read(shared: Path, dealer: str, zone: timezone) -> None:
    path = shared / f"ticks/fx/{dealer}_eurusd/20140505_quote.zip"
    [source] = Fx().open(probe(path), 1 << 18)
    got, faults = read(source)
    lines = lines_of(path)
    assert faults == []
    midnight = round(datetime(2014, 5, 5, tzinfo=zone).timestamp()) * 10**9
    assert got["ts_event"].to_physical().to_list() == [midnight + int(at[0]) * MS for at in lines]
    assert got["bid"].to_list() == [float(at[1]) for at in lines]
    assert got["ask"].to_list() == [float(at[2]) for at in lines]
    assert set(zip(got["symbol"], got["venue"], strict=True)) == {("EURUSD", dealer.upper())}


@pytest.mark.shared
def test_the_two_dealers_move_together_at_the_times_given_and_not_an_hour_off(shared: Path) -> None:
    """What the time zones rest on: no file says them."""
    moves: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]] = {}
    first, last = (round(datetime(2014, 5, 6, at, tzinfo=UTC).timestamp()) for at in (6, 22))
    seconds = np.arange(first, last, 10) * 10**9
    for dealer in ("fxcm", "oanda"):
        [source] = Fx().open(
            probe(shared / f"ticks/fx/{dealer}_eurusd/20140506_quote.zip"), 1 << 20
        )
        got, _ = read(source)
        at = np.searchsorted(got["ts_event"].to_physical().to_numpy(), seconds) - 1
        moves[dealer] = np.diff((got["bid"] + got["ask"]).to_numpy()[at])
    together = np.corrcoef(moves["fxcm"], moves["oanda"])[0, 1]
    an_hour_off = np.corrcoef(moves["fxcm"][360:], moves["oanda"][:-360])[0, 1]
    assert together > 0.9
    assert abs(an_hour_off) < 0.1


def test_a_dealer_that_no_folder_names_is_asked_for(tmp_path: Path) -> None:
    path = zipped(tmp_path / "20140501_quote.zip", **{"20140501_eurusd_tick_quote": "1,1.3,1.4\n"})
    assert Fx().matches(probe(path))
    with pytest.raises(FeedError, match="taken from the folder"):
        Fx().open(probe(path), 1 << 20)
    # As LEAN lays its files out.
    path = path.rename(zipped(tmp_path / "oanda/tick/eurusd/20140501_quote.zip", x="y\n"))
    got, _ = read(Fx().open(probe(path), 1 << 20)[0])
    assert got["venue"].to_list() == ["OANDA"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("86400000,1.3,1.4", "column ms"),
        ("5,1.3", "3 columns were needed, the line has 2"),
        ("5,,1.4", "column bid is empty"),
        ("5,1.x,1.4", "column bid"),
        ("5,0.0,1.4", "bid must be above 0"),
    ],
)
def test_a_bad_fx_line_is_a_fault(tmp_path: Path, line: str, reason: str) -> None:
    text = f"1,1.3,1.4\n{line}\n7,1.3,1.4\n"
    path = zipped(tmp_path / "oanda_eurusd/q.zip", **{"20140501_eurusd_tick_quote": text})
    got, [fault] = read(Fx().open(probe(path), 1 << 20)[0])
    assert len(got) == 2
    assert (fault.line, fault.text) == (2, line.encode())
    assert reason in fault.reason


@pytest.mark.shared
@pytest.mark.parametrize("day", [7, 8])
def test_every_expiry_of_a_real_futures_day_is_a_part_with_all_its_values(
    shared: Path, day: int
) -> None:
    path = shared / f"ticks/gold_futures/2013100{day}_trade.zip"
    midnight = round(datetime(2013, 10, day, tzinfo=UTC).timestamp()) * 10**9
    sources = Futures().open(probe(path), 1 << 18)
    with zipfile.ZipFile(path) as archive:
        assert [source.part for source in sources] == archive.namelist()
    for source in sources:
        got, faults = read(source)
        lines = lines_of(path, source.part)
        assert faults == []
        symbol = f"GC{source.part[-10:-4]}"
        assert set(zip(got["symbol"], got["venue"], strict=True)) == {(symbol, "COMEX")}
        times = [midnight + int(at[0]) * MS for at in lines]
        assert got["ts_event"].to_physical().to_list() == times
        assert got["price"].to_list() == [float(at[1]) for at in lines]
        assert got["size"].to_list() == [float(at[2]) for at in lines]
        for name in ("updates_high_low", "updates_last", "updates_volume"):
            assert got[name].to_list() == [at[2] != "0" for at in lines]


@pytest.mark.shared
def test_the_futures_pause_is_the_exchanges(shared: Path) -> None:
    """What the time zone rests on: 17:15 to 18:00 in New York nobody trades."""
    path = shared / "ticks/gold_futures/20131007_trade.zip"
    front = next(at for at in Futures().open(probe(path), 1 << 20) if "201312" in at.part)
    got, _ = read(front)
    local = got["ts_event"].dt.convert_time_zone("America/New_York")
    minutes = local.dt.hour().cast(pl.Int32) * 60 + local.dt.minute()
    assert minutes.is_between(17 * 60 + 15, 18 * 60 - 1).sum() == 0
    assert minutes.is_between(16 * 60 + 30, 17 * 60 + 14).sum() > 0


def test_suspicious_futures_trades_are_marked_and_set_nothing(tmp_path: Path) -> None:
    text = "1,1300.5,2,usa,,0\n2,1300.6,2,usa,,1\n3,1300.7,2,usa,A,1\n4,1300.7,2,usa,A,2\n"
    path = zipped(tmp_path / "20131007_trade.zip", **{"20131007_gc_tick_trade_201312": text})
    got, [fault] = read(Futures().open(probe(path), 1 << 20)[0])
    assert got["conditions"].to_list() == [None, ";suspicious", "A;suspicious"]
    assert got["updates_last"].to_list() == [True, False, False]
    assert fault.line == 4
    assert "column suspicious" in fault.reason


def test_a_root_of_no_known_venue_is_refused(tmp_path: Path) -> None:
    path = zipped(
        tmp_path / "20131007_trade.zip", **{"20131007_zz_tick_trade_201312": "1,1.5,2,usa,,0\n"}
    )
    with pytest.raises(FeedError, match="venue of root ZZ is not known"):
        Futures().open(probe(path), 1 << 20)
