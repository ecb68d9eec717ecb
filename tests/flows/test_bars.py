"""Bars against a plain row-by-row reference, against Polars on real trades, and over restarts."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.bars import Bars, BarsParams
from flows.flow import Emit, FlowError, Input, Late
from flows.snapshot import SnapshotError, pack
from schemas.market import TRADES
from schemas.sessions import session_starts
from tests.flows.bars_reference import Mark, Reference, Trade
from tests.flows.trades import (
    constant,
    cuts,
    late_rows,
    parts_of,
    plain,
    rows_of,
    taq_trades,
    watermarks,
)

SECOND = 10**9
NOON = 1_381_161_600 * SECOND  # Monday 2013-10-07 16:00 UTC, noon in New York
INTERVALS = {"2s": 2 * SECOND, "10s": 10 * SECOND, "1m": 60 * SECOND, "1d": 0}


def batch_of(trades: Sequence[Trade]) -> pa.RecordBatch:
    times = np.array([t.time for t in trades], dtype=np.int64)
    return TRADES.batch(
        {
            "symbol": pa.array([t.key for t in trades]),
            "venue": constant("X", len(trades)),
            "ts_event": times,
            "ts_recv": times,
            "price": np.array([t.price for t in trades]),
            "size": np.array([t.size for t in trades]),
            "side": pa.array([t.side for t in trades], pa.string()),
            "updates_high_low": np.array([t.high_low for t in trades], dtype=bool),
            "updates_last": np.array([t.last for t in trades], dtype=bool),
            "updates_volume": np.array([t.volume for t in trades], dtype=bool),
            "action": pa.array([t.action for t in trades]),
        }
    )


def flow_type(lateness: int) -> type[Bars]:
    class LateBars(Bars):
        inputs = (Input(topic=replace(TRADES, lateness_ns=lateness)),)

    return LateBars


class Run:
    """A flow run over events in batches of a size, with or without restarts between them."""

    def __init__(
        self,
        events: Sequence[Trade | Mark],
        params: BarsParams,
        *,
        lateness: int = 0,
        size: int = 1000,
        restart: bool = False,
    ) -> None:
        self.kind = flow_type(lateness)
        self.flow = self.kind(params, None)
        self.bars: list[tuple] = []
        self.late: list[tuple] = []
        self.corrections: list[int] = []
        for begin, part in parts_of(events, size):
            self.take(part, begin)
            if restart:
                self.flow = self.kind(params, self.flow.snapshot())

    def take(self, part: Sequence[Trade | Mark], begin: int) -> None:
        if isinstance(part[0], Mark):
            # A key may be named once in a call.
            emitted = [
                e
                for mark in part
                for e in self.flow.on_watermark(watermarks([mark.key], [mark.time]))
            ]
        else:
            emitted = self.flow.on_rows(rows_of(batch_of(part), offset=begin))
        for item in emitted:
            if isinstance(item, Late):
                self.late += [(begin + row[0], *row[1:]) for row in late_rows(item)]
            elif item.topic.name == "bars":
                self.bars += [tuple(row.values()) for row in plain(item.batch)]
            else:
                self.corrections += [
                    row["source_offset"] + row["source_row"] for row in plain(item.batch)
                ]


def params(**changed: object) -> BarsParams:
    return BarsParams(**{"intervals": tuple(INTERVALS), **changed})


PRICES = st.floats(min_value=1e-3, max_value=1e6)
FLAG = st.booleans()


def events(*, spread: int) -> st.SearchStrategy[list[Trade | Mark]]:
    """Mostly advancing trades of two keys, some late, some behind a watermark, some corrections."""
    trade = st.builds(
        Trade,
        key=st.sampled_from("AB"),
        time=st.integers(-spread, spread).map(lambda s: s * SECOND // 4),
        price=PRICES,
        size=st.floats(min_value=0, max_value=1e6),
        side=st.sampled_from([None, "buy", "sell"]),
        high_low=FLAG,
        last=FLAG,
        volume=FLAG,
        action=st.sampled_from(["new"] * 8 + ["correct", "cancel"]),
    )
    mark = st.builds(
        Mark,
        key=st.sampled_from("AB"),
        time=st.integers(-spread, spread).map(lambda s: s * SECOND // 4),
    )
    steps = st.lists(st.one_of(trade, trade, trade, mark), min_size=1, max_size=60)

    def advance(drawn: list[Trade | Mark]) -> list[Trade | Mark]:
        return [e._replace(time=NOON + e.time + at * SECOND) for at, e in enumerate(drawn)]

    return steps.map(advance)


@settings(max_examples=150)
@given(
    drawn=events(spread=60),
    lateness=st.sampled_from([0, SECOND // 2, 7 * SECOND, 45 * SECOND]),
    size=st.sampled_from([1, 3, 1000]),
    fill_limit=st.sampled_from([0, 4, 1000]),
    restart=st.booleans(),
)
def test_bars_late_rows_and_corrections_are_those_of_the_definition(
    drawn: list[Trade | Mark], lateness: int, size: int, fill_limit: int, restart: object
) -> None:
    expected = Reference(INTERVALS, lateness, fill_limit).run(drawn)
    chosen = params(fill="forward", fill_limit=fill_limit) if fill_limit else params()
    found = Run(drawn, chosen, lateness=lateness, size=size, restart=restart)
    assert found.bars == expected.bars
    assert found.late == expected.late
    assert found.corrections == expected.corrections


@settings(max_examples=40)
@given(drawn=events(spread=3_000_000), lateness=st.sampled_from([0, 86_400 * SECOND]))
def test_sessions_over_days_are_those_of_the_definition(
    drawn: list[Trade | Mark], lateness: int
) -> None:
    expected = Reference({"1h": 3600 * SECOND, "1d": 0}, lateness).run(drawn)
    found = Run(drawn, params(intervals=("1h", "1d")), lateness=lateness)
    assert (found.bars, found.late) == (expected.bars, expected.late)


@pytest.mark.parametrize("year", [1980, 1989, 2050, 2200])
def test_times_outside_the_calendar_have_windows_of_24_hours(year: int) -> None:
    start = int(np.datetime64(f"{year}-06-01", "ns").astype(np.int64))
    drawn = [Trade("A", start + hour * 3600 * SECOND) for hour in range(80)]
    expected = Reference({"1d": 0}).run(drawn)
    found = Run(drawn, params(intervals=("1d",)))
    assert found.bars == expected.bars
    assert {end - begin for _, _, end, begin, *_ in found.bars} == {86_400 * SECOND}


def test_a_window_is_closed_by_a_trade_exactly_at_its_end_and_not_before() -> None:
    trades = [Trade("A", NOON), Trade("A", NOON + 2 * SECOND - 1), Trade("A", NOON + 2 * SECOND)]
    assert Run(trades[:2], params(intervals=("2s",))).bars == []
    (bar,) = Run(trades, params(intervals=("2s",))).bars
    assert bar[:4] == ("A", "2s", NOON + 2 * SECOND, NOON)
    assert bar[9] == 2


def test_a_watermark_closes_a_window_that_was_never_opened_and_makes_its_trade_late() -> None:
    drawn = [Mark("A", NOON + 60 * SECOND), Trade("A", NOON + 30 * SECOND)]
    run = Run(drawn, params(intervals=("1m", "1d")))
    assert run.late == [(1, "1m", NOON + 60 * SECOND, NOON + 60 * SECOND, True)]


def test_one_symbols_time_does_not_touch_another() -> None:
    drawn = [Trade("A", NOON + 3600 * SECOND), Trade("B", NOON), Trade("B", NOON + 10 * SECOND)]
    run = Run(drawn, params(intervals=("10s",)))
    assert run.late == []
    assert [bar[0] for bar in run.bars] == ["B"]


def test_what_opens_or_closes_a_bar_lies_in_its_range_whatever_its_conditions() -> None:
    drawn = [
        Trade("A", NOON, 10.0, high_low=False),
        Trade("A", NOON, 99.0, high_low=False, last=False),
        Trade("A", NOON, 5.0, last=False),
        Trade("A", NOON, 7.0),
        Mark("A", NOON + 60 * SECOND),
    ]
    (bar,) = Run(drawn, params(intervals=("1m",))).bars
    assert bar[4:8] == (10.0, 10.0, 5.0, 7.0)


@pytest.mark.parametrize(("empty", "filled"), [(2, 2), (3, 3), (4, 3)])
def test_a_gap_is_filled_up_to_the_limit(empty: int, filled: int) -> None:
    drawn = [Trade("A", NOON, 7.0), Trade("A", NOON + (empty + 1) * SECOND)]
    run = Run(drawn, params(intervals=("1s",), fill="forward", fill_limit=3))
    assert [bar[3] for bar in run.bars] == [NOON + at * SECOND for at in range(1 + filled)]
    assert all(bar[4:] == (7.0, 7.0, 7.0, 7.0, 0.0, 0, None, 0.0, 0.0) for bar in run.bars[1:])


@pytest.mark.parametrize(("before", "filled"), [(-3, 2), (-2, 1), (-1, 0), (0, 4), (1, 3)])
def test_a_gap_is_filled_within_a_session_only(before: int, filled: int) -> None:
    midnight = NOON + 12 * 3600 * SECOND
    drawn = [Trade("A", midnight + before * SECOND), Trade("A", midnight + 5 * SECOND)]
    run = Run(drawn, params(intervals=("1s",), fill="forward"))
    assert len(run.bars) == 1 + filled


@pytest.mark.parametrize(("limit", "filled"), [(4, 4), (100, 29)])
def test_after_the_last_trade_bars_go_on_until_the_limit_or_the_sessions_end(
    limit: int, filled: int
) -> None:
    midnight = NOON + 12 * 3600 * SECOND
    drawn = [Trade("A", midnight - 30 * SECOND, 7.0), Mark("A", midnight + 3600 * SECOND)]
    chosen = params(intervals=("1s", "1d"), fill="forward", fill_limit=limit)
    found = [bar for bar in Run(drawn, chosen).bars if bar[1] == "1s"]
    assert [bar[7] for bar in found] == [7.0] * (1 + filled)


def test_a_bar_without_a_close_leaves_the_close_of_its_session_and_takes_none_of_another() -> None:
    midnight = NOON + 12 * 3600 * SECOND
    drawn = [
        Trade("A", midnight - 4 * SECOND, 7.0),
        Trade("A", midnight - 2 * SECOND, last=False),
        Trade("A", midnight, last=False),
        Mark("A", midnight + 3 * SECOND),
    ]
    run = Run(drawn, params(intervals=("1s",), fill="forward"))
    assert [bar[7] for bar in run.bars] == [7.0, 7.0, None, 7.0, None]


@settings(max_examples=100)
@given(
    drawn=events(spread=30),
    lateness=st.sampled_from([0, 7 * SECOND]),
    fill_limit=st.sampled_from([3, 1000]),
)
def test_no_bar_filled_or_not_is_behind_a_watermark_that_was_passed_on(
    drawn: list[Trade | Mark], lateness: int, fill_limit: int
) -> None:
    run = Run([], params(fill="forward", fill_limit=fill_limit), lateness=lateness)
    passed: dict[str, int] = {}
    for at, event in enumerate(drawn):
        run.bars.clear()
        run.take([event], at)
        for bar in run.bars:
            assert bar[2] > passed.get(bar[0], 0)
        ends = [bar[2] for bar in run.bars]
        assert ends == sorted(ends)
        if isinstance(event, Mark):
            passed[event.key] = max(event.time, passed.get(event.key, 0))


@settings(max_examples=100)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 40), st.none() | st.floats(0, 1), FLAG), min_size=1, max_size=30
    ),
    lateness=st.sampled_from([0, 7 * SECOND]),
    fill_limit=st.sampled_from([3, 1000]),
)
def test_bars_do_not_hang_on_where_watermarks_stand_among_trades(
    steps: list[tuple[int, float | None, bool]], lateness: int, fill_limit: int
) -> None:
    """Marks lie between two trades: none of them makes a trade late."""
    time = NOON
    trades: list[Trade | Mark] = []
    marked: list[Trade | Mark] = []
    for ahead, part, last in steps:
        if part is not None:
            marked.append(Mark("A", time + int(part * ahead) * SECOND))
        time += ahead * SECOND
        trades.append(Trade("A", time, float(len(trades) + 1), last=last))
        marked.append(trades[-1])
    end = Mark("A", time + 3600 * SECOND)
    chosen = params(fill="forward", fill_limit=fill_limit)
    expected = Run([*trades, end], chosen, lateness=lateness).bars
    assert Run([*marked, end], chosen, lateness=lateness).bars == expected
    assert any(bar[9] == 0 for bar in expected) == any(last for *_, last in steps)


def test_a_calendar_can_be_given_for_a_symbol() -> None:
    drawn = [Trade("A", NOON), Trade("C", NOON), Mark("A", NOON * 2), Mark("C", NOON * 2)]
    run = Run(drawn, params(intervals=("1d",), calendars={"C": "24/7"}))
    days = {bar[0]: bar[3] for bar in run.bars}
    assert days == {"A": NOON - 12 * 3600 * SECOND, "C": NOON - 16 * 3600 * SECOND}


def test_one_key_more_than_max_keys_is_an_error_that_says_what_to_raise() -> None:
    with pytest.raises(FlowError, match="'C' is one more than max_keys = 2"):
        Run([Trade(key, NOON) for key in "ABC"], params(max_keys=2))


@pytest.mark.parametrize("intervals", [(), ("1x",), ("60s", "1m"), ("0s",), ("2d",)])
def test_an_interval_that_is_not_known_is_refused(intervals: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="interval"):
        BarsParams(intervals=intervals)


def test_more_bars_and_late_rows_than_a_pass_can_write_are_all_written() -> None:
    drawn: list[Trade | Mark] = [Trade("A", NOON), Trade("A", NOON + 20_000 * SECOND)]
    drawn += [Trade("A", NOON + SECOND)] * 20_000
    chosen = params(intervals=("1s",), fill="forward", fill_limit=30_000)
    run = Run(drawn, chosen, size=100_000)
    assert len(run.bars) == 20_000
    assert len(run.late) == 20_000
    ends = [bar[2] for bar in run.bars]
    assert ends == sorted(ends)


def test_a_snapshot_of_another_layout_is_refused() -> None:
    with pytest.raises(SnapshotError, match=r"a snapshot of \('bars', 1\)"):
        Bars(params(), pack("bars", 1, {"keys": []}, {}))


def test_a_batch_without_rows_gives_nothing_and_a_flow_without_keys_can_be_resumed() -> None:
    flow = Bars(params(), None)
    assert flow.on_rows(rows_of(TRADES.empty())) == []
    again = Bars(params(), flow.snapshot())
    assert again.snapshot() == flow.snapshot()
    assert again.on_rows(rows_of(batch_of([Trade("A", NOON)]))) == []


def real_bars(flow: Bars, batches: Sequence[pa.RecordBatch]) -> pl.DataFrame:
    parts = []
    for batch in batches:
        parts += [e.batch for e in flow.on_rows(rows_of(batch)) if isinstance(e, Emit)]
    end = watermarks(["AIG"], [int(session_starts("XNYS")[-1])])
    parts += [e.batch for e in flow.on_watermark(end) if isinstance(e, Emit)]
    return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(parts).combine_chunks()))


@pytest.mark.shared
@pytest.mark.parametrize("interval", ["1s", "1m", "5m", "1h"])
def test_real_trades_give_the_bars_that_polars_gives(shared: Path, interval: str) -> None:
    batch = taq_trades(shared, "aig", "20131007")
    found = real_bars(
        Bars(BarsParams(intervals=(interval,)), None), list(cuts(batch, range(0, 10**6, 4096)))
    )
    price, size = pl.col("price"), pl.col("size")
    expected = (
        pl.DataFrame(pl.from_arrow(pa.Table.from_batches([batch])))
        .group_by(ts_start=pl.col("ts_event").dt.truncate(interval), maintain_order=True)
        .agg(
            open=price.first(),
            high=price.max(),
            low=price.min(),
            close=price.last(),
            volume=size.sum(),
            trade_count=pl.len().cast(pl.Int64),
            vwap=(price * size).sum() / size.sum(),
        )
    )
    exact = ["ts_start", "open", "high", "low", "close", "volume", "trade_count"]
    assert found.select(exact).equals(expected.select(exact))
    np.testing.assert_allclose(found["vwap"], expected["vwap"], rtol=1e-13)


@pytest.mark.shared
def test_cutting_real_trades_differently_or_restarting_gives_the_same_bytes(shared: Path) -> None:
    batch = taq_trades(shared, "bac", "20131008").slice(0, 30_000)
    whole = Bars(BarsParams(), None)
    expected = [plain(e.batch) for e in whole.on_rows(rows_of(batch)) if isinstance(e, Emit)]
    flow = Bars(BarsParams(), None)
    found: list[dict[str, object]] = []
    for part in cuts(batch, range(0, 30_000, 997)):
        found += [row for e in flow.on_rows(rows_of(part)) for row in plain(e.batch)]
        flow = Bars(BarsParams(), flow.snapshot())
    assert found == [row for rows in expected for row in rows]
    assert flow.snapshot()[-64:] == whole.snapshot()[-64:]
