"""The scanner against plain Python and TA-Lib, on made-up minutes over sessions and on real daily bars."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
import talib
from pydantic import ValidationError

from flows.engines.stepper import Stepper
from flows.flow import Emit, InputRows, Rows
from flows.scanner import SavedScan, Scanner, ScannerParams
from flows.snapshot import pack, unpack
from schemas.bars import BARS
from schemas.book import BOOK_TOP
from schemas.breadth import BREADTH
from schemas.instruments import INSTRUMENTS
from schemas.topic import Topic
from tests.conformity.outputs import comparable
from tests.flows.scanner_reference import Table, reference
from tests.flows.test_breadth import as_bars, daily, instruments

MINUTE = 60 * 10**9
DAY = 86_400 * 10**9
MONDAY = 1_381_118_400_000_000_000
OPEN = MONDAY + 570 * MINUTE


def minutes(sessions: int, bars: int, symbols: tuple[str, ...] = ("A", "B", "C")) -> Table:
    """Bars of several symbols in turns, some without prices."""
    rng = np.random.default_rng(5)
    rows: Table = []
    price = dict.fromkeys(symbols, 50.0)
    for session in range(sessions):
        for bar in range(bars):
            end = OPEN + session * DAY + (bar + 1) * MINUTE
            for symbol in symbols:
                opening = price[symbol]
                close = round(opening * math.exp(rng.normal(0, 0.01)), 2)
                price[symbol] = close
                row = {
                    "symbol": symbol,
                    "ts_event": end,
                    "ts_start": end - MINUTE,
                    "open": opening,
                    "high": max(opening, close) + round(rng.uniform(0, 0.3), 2),
                    "low": min(opening, close) - round(rng.uniform(0, 0.3), 2),
                    "close": close,
                    "volume": float(rng.integers(1, 1000)),
                    "buy_volume": float(rng.integers(1, 500)),
                    "sell_volume": float(rng.integers(1, 500)),
                    "trade_count": int(rng.integers(1, 50)),
                    "session": session,
                }
                row["vwap"] = (row["high"] + row["low"]) / 2
                if rng.random() < 0.03:
                    row |= dict.fromkeys(("open", "high", "low", "close", "vwap"))
                rows.append(row)
    return rows


def batch_of(rows: Table, interval: str) -> pa.RecordBatch:
    names = [field.name for field in BARS.fields if field.name != "interval"]
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in names}
    return BARS.batch({**columns, "interval": [interval] * len(rows)})


def given(topic: Topic, batch: pa.RecordBatch) -> Rows:
    one = InputRows(
        batch=batch,
        partition=0,
        offset=np.zeros(batch.num_rows, np.int64),
        row=np.arange(batch.num_rows, dtype=np.int32),
    )
    return Rows(inputs=tuple(one if each.topic is topic else None for each in Scanner.inputs))


def scanned(flow: Scanner, batch: pa.RecordBatch) -> Table:
    emitted = [one for one in flow.on_rows(given(BARS, batch)) if isinstance(one, Emit)]
    if not emitted:
        return []
    rows = comparable(emitted[0].topic, [one.batch for one in emitted]).to_pandas()
    found = rows.to_dict("records")
    for row in found:
        row["ts_event"] = row["ts_event"].value
        row["terms"] = orjson.loads(row["terms"])
    return found


def asked(criteria: list[str], interval: str, flip: str) -> ScannerParams:
    """Scans that change wherever ``flip`` does, and show other criteria."""
    scans = {}
    for at in range(0, len(criteria), 12):
        shown = " or ".join(f"{name} > 1e300" for name in criteria[at : at + 12])
        scans[f"scan{at}"] = SavedScan(expression=f"{flip} or {shown}", interval=interval)
    return ScannerParams(scans=scans)


def assert_terms_are(found: Table, expected: dict[tuple[str, int], dict[str, float]]) -> None:
    compared = 0
    for row in found:
        for name, value in row["terms"].items():
            wanted = expected[row["symbol"], row["ts_event"]].get(name)
            if wanted is None:
                continue
            if math.isnan(wanted):
                assert value is None, (name, row)
            else:
                assert value == pytest.approx(wanted, rel=1e-12, abs=1e-12), (name, row)
                compared += 1
    assert compared > 1_000


def test_criteria_are_what_their_definitions_say_over_minutes_of_several_sessions() -> None:
    rows = minutes(sessions=5, bars=40)
    expected = reference(rows)
    (criteria,) = {tuple(one) for one in expected.values()}
    flow = Scanner(asked(list(criteria), "1m", "close > open"), None)
    found = scanned(flow, batch_of(rows, "1m"))
    assert {name for row in found for name in row["terms"]} >= set(criteria)
    priced = {(row["symbol"], row["ts_event"]) for row in rows if row["close"] is not None}
    at_prices = [row for row in found if (row["symbol"], row["ts_event"]) in priced]
    # A bar without prices is undefined: who matched before leaves.
    assert all(row["state"] == "left" for row in found if row not in at_prices)
    assert_terms_are(at_prices, expected)


def test_who_enters_and_leaves_is_told_once_in_order_of_the_bars() -> None:
    closes = [10.0, 11.0, 12.0, 9.0, 8.0, 13.0]
    rows = minutes(sessions=1, bars=6, symbols=("A",))
    for row, close in zip(rows, closes, strict=True):
        row.update(dict.fromkeys(("open", "high", "low", "close", "vwap"), close))
    params = ScannerParams(
        scans={
            "dear": SavedScan(expression="close > 10.5", interval="1m"),
            "rise": SavedScan(expression="close crosses above 10.5", interval="1m"),
        }
    )
    found = scanned(Scanner(params, None), batch_of(rows, "1m"))
    told = [((row["ts_event"] - OPEN) // MINUTE, row["scan"], row["state"]) for row in found]
    assert told == [
        (2, "dear", "entered"),
        (2, "rise", "entered"),
        (3, "rise", "left"),
        (4, "dear", "left"),
        (6, "dear", "entered"),
        (6, "rise", "entered"),
    ]
    assert found[0]["terms"] == {"close": 11.0}
    assert found[0]["expression"] == "close > 10.5"


def test_a_snapshot_without_rows_of_symbols_that_an_interval_has_not_met_is_taken_over() -> None:
    """So snapshots were saved once: a board whose bars had not come yet kept room for 16 symbols."""
    symbols = tuple(f"S{number}" for number in range(40))
    rows = minutes(sessions=1, bars=4, symbols=symbols)
    params = ScannerParams(
        scans={
            "minutes": SavedScan(expression="close crosses above 50", interval="1m"),
            "days": SavedScan(expression="close > sma_2", interval="1d"),
        }
    )
    flow = Scanner(params, None)
    scanned(flow, batch_of(rows[:80], "1m"))
    head, arrays = unpack(flow.snapshot(), flow.name, flow.version)
    saved = pack(
        flow.name,
        flow.version,
        head,
        {name: one[:16] if name.startswith("1d.") else one for name, one in arrays.items()},
    )
    restored = Scanner(params, saved)
    assert restored.snapshot() == flow.snapshot() != saved
    for interval in ("1m", "1d"):
        told = scanned(flow, batch_of(rows[80:], interval))
        assert told
        assert scanned(restored, batch_of(rows[80:], interval)) == told


@pytest.mark.shared
def test_real_daily_bars_match_where_talib_and_polars_say(shared: Path) -> None:
    table = daily(shared)
    expression = "rsi_14 < 45 and change_1d > 0.5% and close crosses above sma_20"
    params = ScannerParams(scans={"pullback": SavedScan(expression=expression)})
    entered = {
        (row["symbol"], row["ts_event"])
        for row in scanned(Scanner(params, None), as_bars(table))
        if row["state"] == "entered"
    }
    expected = set()
    for (symbol,), own in table.sort("end").group_by("symbol"):
        close = own["close"].to_numpy()
        mean, strength = talib.SMA(close, 20), talib.RSI(close, 14)
        for at in range(20, len(close)):
            crossed = close[at - 1] <= mean[at - 1] and close[at] > mean[at]
            if strength[at] < 45 and close[at] / close[at - 1] - 1 > 0.005 and crossed:
                expected.add((symbol, own["end"][at]))
    assert entered == expected
    assert len(expected) > 5


def test_book_breadth_and_sector_are_asked_as_of_the_bars_end() -> None:
    params = ScannerParams(
        scans={
            "wide": SavedScan(
                expression='spread > 0.5 and sector == "Energy" and sector_advances >= 3',
                interval="1m",
            )
        },
        breadth_age_s=90,
    )
    flow = Scanner(params, None)
    flow.on_rows(given(INSTRUMENTS, instruments({"A": "Energy", "B": "Utilities"})))
    flow.on_rows(given(BREADTH, breadth(OPEN + MINUTE, advances=3)))
    # The row at the very end of the first minute belongs to the second.
    flow.on_rows(given(BOOK_TOP, book([OPEN + 30 * 10**9, OPEN + MINUTE], [1.0, 0.1])))
    rows = minutes(sessions=1, bars=4, symbols=("A", "B"))
    found = scanned(flow, batch_of(rows, "1m"))
    told = [(row["symbol"], (row["ts_event"] - OPEN) // MINUTE, row["state"]) for row in found]
    assert told == [("A", 1, "entered"), ("A", 2, "left")]
    assert found[0]["terms"] == {"spread": 1.0, "sector": "Energy", "sector_advances": 3.0}
    assert found[1]["terms"] == {"spread": 0.1, "sector": "Energy", "sector_advances": 3.0}


def breadth(end: int, advances: int) -> pa.RecordBatch:
    counts = (
        "members",
        "declines",
        "unchanged",
        "net_advances",
        "new_highs",
        "new_lows",
        "revision",
    )
    return BREADTH.batch(
        {
            "universe": ["sector:Energy"],
            "interval": ["1m"],
            "ts_event": [end],
            "advances": [advances],
            **{name: [0] for name in counts},
            **{name: [0.0] for name in ("up_volume", "down_volume", "volume")},
        }
    )


def book(times: list[int], spreads: list[float]) -> pa.RecordBatch:
    return BOOK_TOP.batch(
        {
            "symbol": ["A"] * len(times),
            "venue": ["N"] * len(times),
            "ts_event": times,
            "number": list(range(1, len(times) + 1)),
            "spread": spreads,
        }
    )


def test_a_scan_that_cannot_be_read_stops_the_settings_with_its_place() -> None:
    with pytest.raises(ValidationError, match=r"is rsi_14 meant.*at character 1"):
        ScannerParams(scans={"bad": {"expression": "rsy_14 < 30"}})
    with pytest.raises(ValidationError, match="interval '1x' is not known"):
        ScannerParams(scans={"bad": {"expression": "close > 1", "interval": "1x"}})


def test_the_default_scans_can_be_carried() -> None:
    stepper = Stepper(Scanner, ScannerParams())
    assert stepper.snapshot() == stepper.snapshot()
