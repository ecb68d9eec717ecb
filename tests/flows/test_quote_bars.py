"""Quote bars against what stood when, by brute force, and against Polars on a plain series."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.flow import Emit, Late
from flows.quote_bars import QuoteBars, QuoteBarsParams
from schemas.nbbo import NBBO
from tests.flows.bars_reference import Mark, Reference
from tests.flows.trades import late_rows, plain, rows_of, watermarks

SECOND = 10**9
HOUR = 3600 * SECOND
NOON = 1_381_161_600 * SECOND  # Monday 2013-10-07 16:00 UTC, noon in New York
INTERVALS = {"2s": 2 * SECOND, "1m": 60 * SECOND, "1d": 0}


class Best(NamedTuple):
    """A row of nbbo."""

    time: int
    bid: float | None = 10.0
    ask: float | None = 10.5
    state: str = "normal"


def batch_of(rows: list[Best]) -> pa.RecordBatch:
    return NBBO.batch(
        {
            "symbol": pa.array(["A"] * len(rows)),
            "ts_event": np.array([row.time for row in rows], dtype=np.int64),
            "number": np.arange(len(rows)) + 1,
            "bid": pa.array([row.bid for row in rows], pa.float64()),
            "ask": pa.array([row.ask for row in rows], pa.float64()),
            "state": pa.array([row.state for row in rows]),
        }
    )


def run(events: list[Best | Mark], params: QuoteBarsParams) -> tuple[list[dict], list]:
    flow = QuoteBars(params, None)
    rows: list[dict] = []
    late: list = []
    for at, event in enumerate(events):
        if isinstance(event, Mark):
            given = flow.on_watermark(watermarks(["A"], [event.time]))
        else:
            given = flow.on_rows(rows_of(batch_of([event])))
        for item in given:
            if isinstance(item, Late):
                late += [(at, *row[1:]) for row in late_rows(item)]
            elif isinstance(item, Emit):
                item.batch.validate(full=True)
                rows += plain(item.batch)
    return rows, late


def stood(rows: list[Best], start: int, end: int) -> list[tuple[float, float, int]]:
    """Mid, spread and ns of each row's standing in a window, those of no time included if told in it."""
    found = []
    for row, after in zip(rows, [*[r.time for r in rows[1:]], end], strict=True):
        begin, until = max(row.time, start), min(max(after, row.time), end)
        defined = row.state in ("normal", "locked")
        if defined and row.time < end and (until > begin or row.time >= start):
            found.append(((row.bid + row.ask) / 2, row.ask - row.bid, until - begin))
    return found


STATE = st.sampled_from(["normal", "normal", "normal", "locked", "crossed", "one_sided", "empty"])


@st.composite
def quotes(draw: st.DrawFn) -> list[Best]:
    time = NOON
    rows = []
    for _ in range(draw(st.integers(1, 40))):
        time += draw(
            st.sampled_from([0, 1, SECOND // 3, 2 * SECOND, 7 * SECOND, 40 * SECOND, HOUR])
        )
        state = draw(STATE)
        bid, width = draw(st.floats(1, 1e4)), draw(st.floats(0, 5))
        sides = {"one_sided": (bid, None), "empty": (None, None), "locked": (bid, bid)}
        rows.append(Best(time, *sides.get(state, (bid, bid + width)), state))
    return rows


@settings(max_examples=150)
@given(drawn=quotes(), marked=st.booleans())
def test_quote_bars_are_what_stood_in_their_interval(drawn: list[Best], marked: object) -> None:
    events: list[Best | Mark] = []
    for row in drawn:
        # A mark at a row's own time closes what that row would close.
        events += [Mark("A", row.time), row] if marked else [row]
    found, late = run(
        [*events, Mark("A", NOON + 90 * HOUR)], QuoteBarsParams(intervals=tuple(INTERVALS))
    )
    assert not late
    ends = [row["ts_event"] for row in found]
    assert ends == sorted(ends)
    windows = Reference(INTERVALS)
    for j, label in enumerate(INTERVALS):
        own = {row["ts_start"]: row for row in found if row["interval"] == label}
        wanted = {windows.window(j, row.time) for row in drawn}
        assert own.keys() == {start for start, _ in wanted}
        for start, end in wanted:
            mids = stood(drawn, start, end)
            row = own[start]
            assert row["ts_event"] == end
            assert row["quote_count"] == sum(start <= q.time < end for q in drawn)
            prices = [mid for mid, _, _ in mids]
            expected = (prices[0], max(prices), min(prices), prices[-1]) if prices else (None,) * 4
            assert (row["open"], row["high"], row["low"], row["close"]) == expected
            quoted = sum(span for _, _, span in mids)
            assert row["quoted_ns"] == quoted
            if not quoted:
                assert (row["mid"], row["spread"]) == (None, None)
                continue
            mean = [sum(one[at] * one[2] for one in mids) / quoted for at in (0, 1)]
            assert (row["mid"], row["spread"]) == pytest.approx(mean, rel=1e-9, abs=1e-12)


def test_the_standing_mid_opens_a_bar_and_weighs_from_its_start() -> None:
    events = [Best(NOON, 10.0, 11.0), Best(NOON + 63 * SECOND, 20.0, 22.0)]
    rows, _ = run([*events, Mark("A", NOON + 120 * SECOND)], QuoteBarsParams(intervals=("1m",)))
    assert [(r["open"], r["high"], r["low"], r["close"]) for r in rows] == [
        (10.5, 10.5, 10.5, 10.5),
        (10.5, 21.0, 10.5, 21.0),
    ]
    assert rows[1]["mid"] == pytest.approx((3 * 10.5 + 57 * 21) / 60)
    assert rows[1]["spread"] == pytest.approx((3 * 1 + 57 * 2) / 60)


def test_a_row_behind_a_closed_window_is_late_there_and_stands_where_it_is_not() -> None:
    events = [Best(NOON), Mark("A", NOON + 61 * SECOND), Best(NOON + 30 * SECOND, 20.0, 21.0)]
    params = QuoteBarsParams(intervals=("1m", "1h"))
    rows, late = run([*events, Mark("A", NOON + HOUR)], params)
    assert late == [(2, "1m", NOON + 60 * SECOND, NOON + 61 * SECOND, True)]
    hour = rows[-1]
    assert (hour["close"], hour["quote_count"]) == (20.5, 2)
    assert hour["mid"] == pytest.approx((61 * 10.25 + (3600 - 61) * 20.5) / 3600)
