"""Instruments as of event time: versions, renames, bounds; against a search in plain Python."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flows.flow import FlowError
from flows.instruments import MAX_VERSIONS, InstrumentTable, Period
from schemas.instruments import INSTRUMENTS


def rows(*given: dict[str, Any]) -> pa.RecordBatch:
    base = {
        "type": "stock",
        "currency": "USD",
        "calendar": "XNYS",
        "is_active": True,
        "sector": None,
        "previous_symbol": None,
    }
    full = [base | row for row in given]
    columns = {name: [row[name] for row in full] for name in full[0]}
    columns["ts_recv"] = columns["ts_event"]
    return INSTRUMENTS.batch(columns)


def test_a_symbol_stands_for_what_the_newest_row_not_after_the_time_says() -> None:
    table = InstrumentTable()
    table.take(
        rows(
            {"symbol": "A", "ts_event": 20, "sector": "New"},
            {"symbol": "A", "ts_event": 10, "sector": "Old"},
            {"symbol": "A", "ts_event": 30, "is_active": False},
            {"symbol": "B", "ts_event": 10, "sector": "Other"},
        )
    )
    found = [table.at("A", ts) for ts in (9, 10, 19, 20, 29, 30)]
    assert [one and one.sector for one in found] == [None, "Old", "Old", "New", "New", None]
    slots, times = np.array([0, 0, 0, 0, 1, 2]), np.array([9, 19, 25, 31, 10, 10])
    sectors = table.column("sector")
    at = table.rows_at(["A", "B", "C"], slots, times)
    assert [sectors[place] for place in at] == [None, "Old", "New", None, "Other", None]


def test_a_later_row_of_the_same_time_replaces_an_earlier_in_one_batch_and_in_two() -> None:
    first = {"symbol": "A", "ts_event": 10, "sector": "Typo"}
    second = {"symbol": "A", "ts_event": 10, "sector": "Right"}
    one, two = InstrumentTable(), InstrumentTable()
    one.take(rows(first, second))
    two.take(rows(first))
    two.take(rows(second))
    assert one.saved() == two.saved()
    assert one.at("A", 10).sector == "Right"


def test_the_history_of_a_renamed_symbol_is_told_also_where_the_symbol_came_back() -> None:
    """QQQ was QQQQ from 2004 to 2011, and QQQ before; of NB only BAC is left."""
    table = InstrumentTable()
    table.take(
        rows(
            {"symbol": "QQQ", "ts_event": 10},
            {"symbol": "QQQQ", "ts_event": 20, "previous_symbol": "QQQ"},
            {"symbol": "QQQ", "ts_event": 30, "previous_symbol": "QQQQ"},
            {"symbol": "QQQ", "ts_event": 40, "sector": "Fund"},
        )
    )
    assert table.history("QQQ", 50) == [
        Period(symbol="QQQ", start_ns=30, end_ns=None),
        Period(symbol="QQQQ", start_ns=20, end_ns=30),
        Period(symbol="QQQ", start_ns=None, end_ns=20),
    ]
    assert table.history("QQQ", 15) == [Period(symbol="QQQ", start_ns=None, end_ns=None)]
    assert table.history("NEW", 15) == [Period(symbol="NEW", start_ns=None, end_ns=None)]


def test_any_rows_in_any_cut_are_found_as_a_plain_search_finds_them() -> None:
    rng = np.random.default_rng(3)
    given = [
        {
            "symbol": str(rng.choice(list("ABCDE"))),
            "ts_event": int(rng.integers(0, 60)),
            "sector": str(at),
            "is_active": bool(rng.random() < 0.8),
        }
        for at in range(300)
    ]
    whole, cut = InstrumentTable(), InstrumentTable()
    whole.take(rows(*given))
    for at in range(0, 300, 7):
        cut.take(rows(*given[at : at + 7]))
    assert whole.saved() == cut.saved()
    assert InstrumentTable(whole.saved()).saved() == whole.saved()
    assert len(whole.saved()) == 5 * MAX_VERSIONS
    for symbol in "ABCDEF":
        newest = sorted({row["ts_event"] for row in given if row["symbol"] == symbol})
        for ts in range(newest[-MAX_VERSIONS] if newest else 0, 60):
            known = [r for r in given if r["symbol"] == symbol and r["ts_event"] <= ts]
            best = max((r["ts_event"] for r in known), default=None)
            last = [r for r in known if r["ts_event"] == best][-1:]
            wanted = last[0]["sector"] if last and last[0]["is_active"] else None
            found = whole.at(symbol, ts)
            assert (found and found.sector) == wanted
            [place] = whole.rows_at([symbol], np.array([0]), np.array([ts]))
            assert whole.column("sector")[place] == wanted


def test_one_symbol_too_many_is_an_error_that_names_the_bound() -> None:
    table = InstrumentTable(max_keys=1)
    with pytest.raises(FlowError, match="'B' is one more than max_keys = 1"):
        table.take(rows({"symbol": "A", "ts_event": 1}, {"symbol": "B", "ts_event": 1}))
