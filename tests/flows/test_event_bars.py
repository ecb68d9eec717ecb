"""Event bars against the definitions, row by row in plain Python, and what they promise."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.event_bars import EventBars, EventBarsParams
from flows.flow import Emit, Late
from tests.flows.bars_reference import Mark, Reference, Trade
from tests.flows.test_bars import batch_of
from tests.flows.trades import late_rows, plain, rows_of, taq_trades, watermarks

SECOND = 10**9
HOUR = 3600 * SECOND
NOON = 1_381_161_600 * SECOND  # Monday 2013-10-07 16:00 UTC, noon in New York
LABELS = ("tick_3", "volume_5", "dollar_20.5", "tick_imbalance_3", "volume_imbalance_2")


def reference(events: Sequence[Trade | Mark], label: str, params: EventBarsParams) -> list[dict]:
    """The bars of one symbol and label, by the definitions."""
    kind, size = label.split("_", maxsplit=1)[0], float(label.rsplit("_", maxsplit=1)[-1])
    is_imbalance = "imbalance" in label
    session = Reference({}).session
    bars: list[dict] = []
    bar: list[tuple[Trade, float, float]] = []
    newest, session_end = None, None
    price, rule = None, 0.0
    expected_ticks, expected = None, None
    threshold = None

    def write(time: int, *, complete: bool) -> None:
        trades = [trade for trade, _, _ in bar]
        lasts = [t.price for t in trades if t.last]
        ranged = [t.price for t in trades if t.high_low] + lasts[:1] + lasts[-1:]
        counted = [(t, sign, q) for t, sign, q in bar if t.volume]
        volume = turnover = buy = sell = imbalance = 0.0
        for t, sign, quantity in counted:
            volume += t.size
            turnover += t.price * t.size
            buy += t.size if sign > 0 else 0.0
            sell += t.size if sign < 0 else 0.0
            imbalance += sign * quantity
        bars.append(
            {
                "symbol": "A",
                "bar": label,
                "number": len(bars) + 1,
                "ts_event": time,
                "ts_start": trades[0].time,
                "ts_end": trades[-1].time,
                "open": lasts[0] if lasts else None,
                "high": max(ranged, default=None),
                "low": min(ranged, default=None),
                "close": lasts[-1] if lasts else None,
                "volume": volume,
                "trade_count": len(trades),
                "vwap": turnover / volume if volume else None,
                "buy_volume": buy,
                "sell_volume": sell,
                "turnover": turnover,
                "imbalance": imbalance,
                "threshold": threshold,
                "is_complete": complete,
            }
        )
        bar.clear()

    for event in events:
        newest = event.time if newest is None else max(newest, event.time)
        ended = session_end is not None and newest >= session_end
        if bar and ended and not params.across_sessions:
            write(session_end, complete=False)
        session_end = session(newest)[1]
        if isinstance(event, Mark) or event.action != "new":
            continue
        if not params.across_sessions and session(event.time)[1] <= newest:
            continue
        if event.last:
            if price is not None and event.price != price:
                rule = 1.0 if event.price > price else -1.0
            price = event.price
        sign = rule
        if params.signs == "side" and event.side:
            sign = 1.0 if event.side == "buy" else -1.0
        quantity = {"tick": 1.0, "volume": event.size, "dollar": event.price * event.size}[kind]
        if not bar:
            threshold = size
            if is_imbalance:
                threshold = expected_ticks and expected_ticks * abs(expected)
        bar.append((event, sign, quantity))
        if not event.volume:
            continue
        quantities = [(s, q) for t, s, q in bar if t.volume]
        if not is_imbalance:
            total = 0.0
            for _, q in quantities:
                total += q
            if total >= size:
                write(newest, complete=True)
            continue
        weight = 2 / (params.span_ticks + 1)
        signed = sign * quantity
        expected = signed if expected is None else expected + weight * (signed - expected)
        theta = 0.0
        for s, q in quantities:
            theta += s * q
        if threshold is None and len(quantities) >= size:
            expected_ticks = size
            write(newest, complete=True)
        elif threshold is not None and abs(theta) >= threshold:
            weight = 2 / (params.span_bars + 1)
            expected_ticks += weight * (len(quantities) - expected_ticks)
            expected_ticks = min(max(expected_ticks, size / params.bound), size * params.bound)
            write(newest, complete=True)
    return bars


def run(events: Sequence[Trade | Mark], params: EventBarsParams) -> tuple[list[dict], list]:
    flow = EventBars(params, None)
    rows: list[dict] = []
    late: list = []
    for at, event in enumerate(events):
        if isinstance(event, Mark):
            given = flow.on_watermark(watermarks([event.key], [event.time]))
        else:
            given = flow.on_rows(rows_of(batch_of([event])))
        for item in given:
            if isinstance(item, Late):
                late += [(at, *row[1:]) for row in late_rows(item)]
            elif item.topic.name == "event_bars":
                item.batch.validate(full=True)
                rows += plain(item.batch)
    return rows, late


TRADE = st.builds(
    Trade,
    key=st.just("A"),
    time=st.integers(-5, 20),
    price=st.sampled_from([1.0, 1.5, 2.0, 2.5]),
    size=st.floats(min_value=0, max_value=5),
    side=st.sampled_from([None, None, "buy", "sell"]),
    high_low=st.booleans(),
    last=st.booleans(),
    volume=st.sampled_from([True, True, True, False]),
    action=st.sampled_from(["new"] * 9 + ["cancel"]),
)
MARK = st.builds(Mark, key=st.just("A"), time=st.integers(-20, 20))


@settings(max_examples=200)
@given(
    drawn=st.lists(st.one_of(TRADE, TRADE, TRADE, MARK), min_size=1, max_size=60),
    pace=st.sampled_from([SECOND, HOUR]),
    signs=st.sampled_from(["side", "tick_rule"]),
    across=st.booleans(),
)
def test_event_bars_are_those_of_the_definitions(
    drawn: list[Trade | Mark], pace: int, signs: str, across: object
) -> None:
    events = [e._replace(time=NOON + (at + e.time // 4) * pace) for at, e in enumerate(drawn)]
    params = EventBarsParams(
        bars=LABELS, signs=signs, across_sessions=across, span_bars=2, span_ticks=4, bound=3
    )
    found, late = run(events, params)
    for label in LABELS:
        assert [row for row in found if row["bar"] == label] == reference(events, label, params)
    assert all(a["ts_event"] <= b["ts_event"] for a, b in pairwise(found))
    assert not (across and late)


def test_a_trade_of_an_ended_session_is_late_and_a_bar_is_cut_where_its_session_ends() -> None:
    midnight = NOON + 12 * HOUR
    events = [Trade("A", NOON), Mark("A", midnight), Trade("A", NOON + 1), Trade("A", midnight)]
    found, late = run(events, EventBarsParams(bars=("tick_2",)))
    assert [(row["ts_event"], row["is_complete"]) for row in found] == [(midnight, False)]
    assert late == [(2, "session", midnight, midnight, False)]


@pytest.mark.shared
def test_real_trades_give_the_tick_and_volume_bars_that_polars_gives(shared: Path) -> None:
    batch = taq_trades(shared, "aig", "20131007")
    flow = EventBars(EventBarsParams(bars=("tick_100",), signs="tick_rule"), None)
    (emit,) = [item for item in flow.on_rows(rows_of(batch)) if isinstance(item, Emit)]
    found = pl.DataFrame(pl.from_arrow(emit.batch))
    price, size = pl.col("price"), pl.col("size")
    trades = pl.DataFrame(pl.from_arrow(batch)).with_columns(
        sign=price.diff().sign().replace(0.0, None).forward_fill().fill_null(0.0)
    )
    expected = (
        trades.group_by(number=pl.int_range(pl.len()) // 100 + 1, maintain_order=True)
        .agg(
            ts_end=pl.col("ts_event").last(),
            open=price.first(),
            high=price.max(),
            low=price.min(),
            close=price.last(),
            volume=size.sum(),
            trade_count=pl.len().cast(pl.Int64),
            buy_volume=size.filter(pl.col("sign") > 0).sum(),
            sell_volume=size.filter(pl.col("sign") < 0).sum(),
            imbalance=pl.col("sign").sum(),
        )
        .head(batch.num_rows // 100)
    )
    assert found.height > 100
    assert found.select(expected.columns).equals(expected)


def test_corrections_are_told_and_form_no_bar() -> None:
    flow = EventBars(EventBarsParams(bars=("tick_1",)), None)
    rows = rows_of(batch_of([Trade("A", NOON), Trade("A", NOON, action="cancel")]))
    bars, unapplied = [item.batch for item in flow.on_rows(rows) if isinstance(item, Emit)]
    assert bars.num_rows == 1
    assert [(r["flow"], r["source_row"]) for r in plain(unapplied)] == [("event_bars", 1)]


@pytest.mark.parametrize("bar", ["tick", "tick_0", "range_5", "volume_-1", "tick_imbalance_x"])
def test_a_bar_that_is_not_known_is_refused(bar: str) -> None:
    with pytest.raises(ValueError, match="is not known"):
        EventBarsParams(bars=(bar,))


def test_a_volume_bar_ends_with_the_trade_that_fills_it_and_carries_nothing_over() -> None:
    sizes = np.array([3.0, 4.0, 5.0, 1.0])
    events = [Trade("A", NOON + at, size=float(size)) for at, size in enumerate(sizes)]
    found, _ = run(events, EventBarsParams(bars=("volume_5",)))
    assert [row["volume"] for row in found] == [7.0, 5.0]
