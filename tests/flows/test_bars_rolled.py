"""Bars rolled up from bars against bars made from the same ticks, and periods of sessions against dates."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import mode
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.bars import Bars, BarsParams
from flows.bars_rolled import BarsRolled, BarsRolledParams
from flows.flow import Emit, Flow, Late
from schemas.bars import BARS
from tests.flows.bars_reference import Mark, Trade
from tests.flows.test_bars import batch_of
from tests.flows.trades import constant, late_rows, plain, rows_of, taq_trades, watermarks

SECOND = 10**9
DAY = 86_400 * SECOND
NOON = 1_381_161_600 * SECOND  # Monday 2013-10-07 16:00 UTC, noon in New York


def emitted(flow: Flow, event: pa.RecordBatch | Mark) -> list[pa.RecordBatch]:
    given = (
        flow.on_watermark(watermarks([event.key], [event.time]))
        if isinstance(event, Mark)
        else flow.on_rows(rows_of(event))
    )
    return [item.batch for item in given if isinstance(item, Emit)]


def through(bars: Flow, rolled: Flow, events: list) -> tuple[dict, dict]:
    """Bars and rolled bars by (symbol, interval, end), where every watermark row goes on behind its bars."""
    made: list[list[dict]] = [[], []]
    for event in events:
        for batch in emitted(bars, event):
            made[0] += plain(batch)
            for derived in emitted(rolled, batch):
                made[1] += plain(derived)
        if isinstance(event, Mark):
            for derived in emitted(rolled, event):
                made[1] += plain(derived)
    for rows in made:
        for symbol in "AB":
            ends = [row["ts_event"] for row in rows if row["symbol"] == symbol]
            assert ends == sorted(ends)
    tables = [{(r["symbol"], r["interval"], r["ts_event"]): r for r in rows} for rows in made]
    assert [len(table) for table in tables] == [len(rows) for rows in made]
    return tables[0], tables[1]


def same(found: dict, expected: dict) -> None:
    assert {k: v for k, v in found.items() if k != "vwap"} == {
        k: v for k, v in expected.items() if k != "vwap"
    }
    assert (found["vwap"] is None) == (expected["vwap"] is None)
    assert found["vwap"] is None or found["vwap"] == pytest.approx(expected["vwap"], rel=1e-14)


FLAG = st.booleans()
TRADE = st.builds(
    lambda last, high_low, **rest: Trade(last=last, high_low=high_low or last, **rest),
    key=st.sampled_from("AB"),
    time=st.integers(0, 90),
    price=st.floats(min_value=1e-3, max_value=1e6),
    size=st.integers(0, 10**6).map(float),
    side=st.sampled_from([None, "buy", "sell"]),
    last=FLAG,
    high_low=FLAG,
    volume=FLAG,
)
# No later than the trades before it: none of those behind is late for a finer bar only.
MARK = st.builds(Mark, key=st.sampled_from("AB"), time=st.integers(-60, 0))
TARGETS = {"10s": "2s", "1m": "2s", "2m": "1m", "4h": "10m", "15m": "1m"}


@settings(max_examples=150)
@given(
    drawn=st.lists(st.one_of(TRADE, TRADE, TRADE, MARK), min_size=1, max_size=60),
    pace=st.sampled_from([1, 20, 900]),
    fill=st.sampled_from(["none", "forward"]),
    order=st.permutations([*TARGETS, *TARGETS.values()]),
)
def test_rolled_bars_are_those_made_from_the_ticks(
    drawn: list, pace: int, fill: str, order: list[str]
) -> None:
    intervals = tuple(dict.fromkeys(order))
    events: list = []
    time = NOON
    for step in drawn:
        time += step.time * pace * SECOND // 10 if isinstance(step, Trade) else 0
        moved = step._replace(time=time + (step.time * SECOND if isinstance(step, Mark) else 0))
        events.append(batch_of([moved]) if isinstance(step, Trade) else moved)
    events += [Mark(key, time + 2 * DAY) for key in "AB"]
    bars, rolled = through(
        Bars(BarsParams(intervals=intervals, fill=fill), None),
        BarsRolled(BarsRolledParams(intervals=TARGETS), None),
        events,
    )
    wanted = {key: row for key, row in bars.items() if key[1] in TARGETS and row["trade_count"]}
    assert rolled.keys() == wanted.keys()
    for key, row in wanted.items():
        same(rolled[key], row)


@pytest.mark.shared
def test_real_ticks_rolled_up_are_the_bars_made_of_them(shared: Path) -> None:
    batch = taq_trades(shared, "aig", "20131007")
    targets = {"5m": "1m", "15m": "1m", "30m": "15s", "4h": "1m"}
    bars, rolled = through(
        Bars(BarsParams(intervals=("15s", "1m", *targets)), None),
        BarsRolled(BarsRolledParams(intervals=targets), None),
        [batch, Mark("AIG", NOON + 2 * DAY)],
    )
    wanted = {key: row for key, row in bars.items() if key[1] in targets}
    assert len(wanted) > 150
    assert rolled.keys() == wanted.keys()
    for key, row in wanted.items():
        same(rolled[key], row)


def daily(days: int) -> pa.RecordBatch:
    """1d bars of as many sessions from Monday 2013-10-07 on, weekends left out."""
    york = ZoneInfo("America/New_York")
    dates = [datetime(2013, 10, 7, tzinfo=UTC) + timedelta(at) for at in range(days)]
    dates = [date for date in dates if date.weekday() < 5]
    starts = np.array(
        [int(date.replace(tzinfo=york).timestamp()) * SECOND for date in dates], dtype=np.int64
    )
    return bars_of_sessions(starts, np.append(starts[1:], starts[-1] + DAY))


def bars_of_sessions(starts: np.ndarray, ends: np.ndarray) -> pa.RecordBatch:
    """1d bars of these starts and ends, a trade each."""
    n = len(starts)
    prices = np.arange(n) + 10.0
    return BARS.batch(
        {
            "symbol": constant("A", n),
            "interval": constant("1d", n),
            "ts_event": ends,
            "ts_start": starts,
            "open": prices,
            "high": prices + 1,
            "low": prices - 1,
            "close": prices + 0.5,
            "volume": np.full(n, 100.0),
            "trade_count": np.ones(n, dtype=np.int64),
            "vwap": prices,
            "buy_volume": np.full(n, 60.0),
            "sell_volume": np.full(n, 40.0),
        }
    )


def test_weeks_and_months_are_those_of_the_sessions_dates() -> None:
    flow = BarsRolled(BarsRolledParams(intervals={"1w": "1d", "1mo": "1d"}), None)
    rows = [row for batch in emitted(flow, daily(120)) for row in plain(batch)]
    york = ZoneInfo("America/New_York")
    weeks = [row for row in rows if row["interval"] == "1w"]
    begun = [datetime.fromtimestamp(row["ts_start"] // SECOND, york) for row in weeks]
    assert {(date.hour, date.minute) for date in begun} == {(0, 0)}
    # 20 January 2014 is Martin Luther King's day: its week begins on Tuesday.
    assert [date.weekday() for date in begun] == [0] * 15 + [1, 0]
    assert [row["trade_count"] for row in weeks[:3]] == [5, 5, 5]
    assert (weeks[0]["open"], weeks[0]["close"], weeks[0]["volume"]) == (10.0, 14.5, 500.0)
    months = [row for row in rows if row["interval"] == "1mo"]
    found = [datetime.fromtimestamp(row["ts_start"] // SECOND, york).month for row in months]
    assert found == [10, 11, 12, 1]


@pytest.mark.parametrize(
    ("calendar", "zone", "first"),
    [
        # Midnight there is eleven in the morning of the day before in UTC.
        ("XNZE", "Pacific/Auckland", "2025-11-24"),
        ("XNZE", "Pacific/Auckland", "2026-05-25"),
        # The calendars that are known end in 2026 and 2049, and begin in 1997: each within these bars.
        ("XSHG", "Asia/Shanghai", "2026-11-30"),
        ("XBOM", "Asia/Kolkata", "2026-11-30"),
        ("XNYS", "America/New_York", "2049-11-29"),
        ("XTKS", "Asia/Tokyo", "1996-11-25"),
    ],
)
def test_weeks_begin_on_mondays_and_months_on_firsts_wherever_and_whenever(
    calendar: str, zone: str, first: str
) -> None:
    """A Monday of an Auckland summer counted as Sunday's week, and December 2026 in Shanghai was 31 bars."""
    monday = datetime.fromisoformat(first).replace(tzinfo=ZoneInfo(zone))
    params = BarsRolledParams(intervals={"1w": "1d", "1mo": "1d"}, calendar=calendar)
    edges = [int((monday + timedelta(days=day)).timestamp()) * SECOND for day in range(71)]
    days = bars_of_sessions(np.array(edges[:-1]), np.array(edges[1:]))
    rows = [row for batch in emitted(BarsRolled(params, None), days) for row in plain(batch)]
    inner = {
        interval: [row for row in rows if row["interval"] == interval][1:]
        for interval in ("1w", "1mo")
    }
    dates = {
        interval: [datetime.fromtimestamp(row["ts_start"] // SECOND, monday.tzinfo) for row in own]
        for interval, own in inner.items()
    }
    assert len(dates["1w"]) >= 8
    assert len(dates["1mo"]) >= 1
    # A holiday lets a week or month begin later.
    assert mode(date.weekday() for date in dates["1w"]) == 0
    assert all(date.day <= 6 for date in dates["1mo"])
    assert all(5 <= row["trade_count"] <= 9 for row in inner["1w"])
    assert all(22 <= row["trade_count"] <= 36 for row in inner["1mo"])


def test_a_bar_that_comes_behind_its_closed_window_is_late() -> None:
    flow = BarsRolled(BarsRolledParams(intervals={"1w": "1d"}), None)
    batch = daily(30)
    flow.on_rows(rows_of(batch.slice(8)))
    (late,) = [item for item in flow.on_rows(rows_of(batch.slice(2, 1))) if isinstance(item, Late)]
    assert [(row, label, used) for row, label, _, _, used in late_rows(late)] == [(0, "1w", False)]


@pytest.mark.parametrize(
    "intervals", [{}, {"1m": "1m"}, {"5m": "2m"}, {"1w": "1h"}, {"4h": "1d"}, {"7x": "1m"}]
)
def test_an_interval_that_cannot_be_made_is_refused(intervals: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"made|needed|known"):
        BarsRolledParams(intervals=intervals)
