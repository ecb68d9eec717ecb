"""Corrected bars against bars computed from scratch on the corrected trades."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.bars import BarsParams
from flows.bars_corrected import REASONS
from tests.flows.bars_reference import Mark, Reference, Trade
from tests.flows.corrected_bars import (
    HOUR,
    INTERVALS,
    NAMES,
    NO_TIME,
    NOON,
    SECOND,
    SEVERAL,
    Corrected,
    Row,
    Run,
    logs,
)
from tests.flows.trades import watermarks


@settings(max_examples=300)
@given(
    drawn=logs(),
    lateness=st.sampled_from([0, 7 * SECOND]),
    size=st.sampled_from([1, 3, 1000]),
    restart=st.booleans(),
    keep=st.sampled_from(["named", "all"]),
)
def test_bars_with_their_revisions_are_those_of_the_corrected_trades(
    drawn: list[Row | Mark], lateness: int, size: int, restart: object, keep: str
) -> None:
    drawn = [
        row._replace(ref="unknown")
        if isinstance(row, Row) and keep == "all" and not row.ref
        else row
        for row in drawn
    ]
    wanted = Corrected(drawn, lateness)
    # Closed only where the rows' own time closes them: a mark at the end would too.
    for ended in (False, True):
        end = [Mark(key, NOON + 400 * 24 * HOUR) for key in "AB"] if ended else []
        expected = Reference(INTERVALS, lateness).run([*wanted.events, *end])
        params = BarsParams(intervals=tuple(INTERVALS), keep_trades=keep)
        found = Run([*drawn, *end], params, lateness=lateness, size=size, restart=bool(restart))
        bars = {(row[0], row[1], row[2]): row[4:] for row in expected.bars}
        trades = NAMES.index("trade_count")
        kept = {key: row for key, row in found.now.items() if row[trades]}
        assert kept == bars
        assert all(row[:4] == (None,) * 4 for row in found.now.values() if not row[trades])
        assert found.unapplied == wanted.unapplied


@settings(max_examples=150)
@given(
    drawn=logs(),
    nameless=st.sets(st.integers(0, 49)),
    limit=st.integers(1, 8),
    lateness=st.sampled_from([0, 7 * SECOND]),
    size=st.sampled_from([1, 1000]),
    restart=st.booleans(),
)
def test_trades_that_are_not_kept_or_no_longer_are_in_their_bars_all_the_same(
    drawn: list[Row | Mark],
    nameless: set[int],
    limit: int,
    lateness: int,
    size: int,
    restart: object,
) -> None:
    for at in nameless & set(range(len(drawn))):
        row = drawn[at]
        if isinstance(row, Row) and row.trade.action == "new":
            drawn[at] = row._replace(name=None)
    params = BarsParams(intervals=tuple(INTERVALS), max_kept_trades=limit)
    drawn = [*drawn, *(Mark(key, NOON + 400 * 24 * HOUR) for key in "AB")]
    found = Run(drawn, params, lateness=lateness, size=size, restart=bool(restart))
    # Which corrections can be applied hangs on what is kept; those that are must be so wholly.
    wanted = Corrected(drawn, lateness, refused=[index for index, _ in found.unapplied])
    assert not wanted.unapplied
    expected = Reference(INTERVALS, lateness).run(wanted.events)
    trades = NAMES.index("trade_count")
    kept = {key: row for key, row in found.now.items() if row[trades]}
    assert kept == {(row[0], row[1], row[2]): row[4:] for row in expected.bars}


def trade(at: float, name: str | None, price: float = 7.0, **changed: object) -> Row:
    return Row(Trade("A", NOON + int(at * SECOND), price, **changed), name)


def correction(
    at: float, ref: str | None, price: float = 9.0, action: str = "correct", **changed: object
) -> Row:
    row = trade(at, None, price, action=action)
    return row._replace(ref=ref)._replace(**changed)


def run(rows: Sequence[Row | Mark], **changed: object) -> Run:
    return Run(rows, BarsParams(**{"intervals": ("1m",), **changed}))


END = Mark("A", NOON + 60 * SECOND)
LATER = Mark("A", NOON + 12 * HOUR)


def test_a_closed_bar_whose_only_trade_is_cancelled_is_revised_to_null_prices_and_no_trades() -> (
    None
):
    found = run([trade(1, "a"), END, correction(70, "a", action="cancel")])
    (row,) = found.revised
    assert (row["old_close"], row["old_trade_count"], row["revision"]) == (7.0, 1, 1)
    assert list(found.now.values()) == [(None, None, None, None, 0.0, 0, None, 0.0, 0.0)]
    assert (row["source_partition"], row["source_offset"], row["source_row"]) == (0, 2, 0)
    assert (row["ts_event"], row["ts_end"]) == (NOON + 70 * SECOND, NOON + 60 * SECOND)


def test_an_open_bar_whose_only_trade_is_cancelled_is_written_as_if_it_had_been_closed() -> None:
    found = run([trade(1, "a"), correction(2, "a", action="cancel"), END])
    assert not found.revised
    assert list(found.now.values()) == [(None, None, None, None, 0.0, 0, None, 0.0, 0.0)]


def test_a_correction_may_change_the_conditions_and_the_side() -> None:
    rows = [trade(1, "a"), trade(2, "b", 8.0), correction(3, "b")]
    changed = rows[-1].trade._replace(last=False, high_low=False, side="buy", size=5.0)
    found = run([*rows[:-1], rows[-1]._replace(trade=changed), END])
    assert list(found.now.values()) == [(7.0, 7.0, 7.0, 7.0, 6.0, 2, (7 + 45) / 6, 5.0, 0.0)]


def test_a_correction_that_changes_nothing_revises_nothing() -> None:
    found = run([trade(1, "a"), END, correction(70, "a", 7.0)])
    assert not found.revised
    assert not found.unapplied


def test_a_late_trade_is_corrected_where_it_counted_only() -> None:
    rows = [trade(1, "a"), END, trade(30, "late", 3.0), correction(70, "late", 4.0), LATER]
    found = run(rows, intervals=("1m", "1d"))
    assert not found.revised
    assert not found.unapplied
    assert [row[2] for row in found.now.values()] == [7.0, 4.0]


def test_by_time_alone_the_one_trade_at_that_time_is_meant() -> None:
    rows = [trade(1, None), trade(2, None, 8.0), trade(2, None, 8.5), END]
    first, second = NOON + SECOND, NOON + 2 * SECOND
    corrections = [
        correction(70, None, ts_ref=first),
        correction(71, None, ts_ref=second),
        correction(72, None, 8.5, "cancel", ts_ref=second),
        correction(73, None, 8.5, "cancel", ts_ref=second),
        correction(74, None, 9.0, ts_ref=second, venue="Y"),
        correction(75, None, 9.5, ts_ref=second),
    ]
    found = run([*rows, *corrections], keep_trades="all")
    assert found.unapplied == [(5, SEVERAL), (7, NO_TIME), (8, NO_TIME)]
    assert [row[3] for row in found.now.values()] == [9.5]
    assert [row["revision"] for row in found.revised] == [1, 2, 3]


@pytest.mark.parametrize(("limit", "applied"), [(3, False), (4, True)])
def test_a_bar_is_computed_again_as_long_as_all_its_trades_are_kept(
    limit: int, applied: object
) -> None:
    rows = [trade(at, f"{at}", float(at)) for at in range(1, 5)]
    found = run([*rows, correction(5, "4", 9.0), END], max_kept_trades=limit)
    assert [reason for _, reason in found.unapplied] == ([] if applied else [REASONS[8]])
    assert [row[3] for row in found.now.values()] == [9.0 if applied else 4.0]


def test_an_open_bar_that_was_corrected_stays_so_when_its_trades_leave() -> None:
    rows = [trade(1, "a"), trade(2, "b"), correction(3, "a", 9.0)]
    rows += [trade(4 + at, f"{at}") for at in range(9)]
    found = run([*rows, END], max_kept_trades=3)
    assert [row[0] for row in found.now.values()] == [9.0]


@pytest.mark.parametrize(("name", "limit"), [(None, 100), ("c", 2)])
def test_an_open_bar_that_was_corrected_keeps_the_trade_that_cannot_be_kept_with_it(
    name: str | None, limit: int
) -> None:
    rows = [trade(1, "a"), trade(2, "b", 8.0), correction(3, "b", 9.0), trade(4, name, 5.0)]
    found = run([*rows, END], max_kept_trades=limit)
    assert not found.unapplied
    assert list(found.now.values()) == [(7.0, 9.0, 5.0, 5.0, 3.0, 3, 7.0, 0.0, 0.0)]


@pytest.mark.parametrize("hours", [1, 3])
def test_a_trade_can_be_corrected_within_the_horizon_only(hours: int) -> None:
    rows = [trade(1, "a"), END, correction(3600 * hours - 5, "a")]
    found = run(rows, correction_horizon="2h")
    assert len(found.revised) == (hours == 1)
    assert len(found.unapplied) == (hours == 3)


def test_a_bar_with_a_trade_without_a_name_cannot_be_computed_again() -> None:
    found = run([trade(1, "a"), trade(2, None), correction(3, "a"), END])
    assert found.unapplied == [(2, REASONS[8])]


def test_nothing_is_applied_where_no_trade_is_kept() -> None:
    found = run([trade(1, "a"), correction(3, "a"), END], keep_trades="none")
    assert found.unapplied == [(1, REASONS[1])]


def test_bars_filled_after_a_correction_have_the_corrected_close() -> None:
    rows = [trade(1, "a"), Mark("A", NOON + 120 * SECOND), correction(130, "a", 9.0)]
    found = run([*rows, Mark("A", NOON + 240 * SECOND)], fill="forward")
    assert [row["close"] for row in found.bars] == [7.0, 7.0, 9.0, 9.0]
    assert [row["close"] for row in found.revised] == [9.0]


@pytest.mark.parametrize(("before", "applied"), [("a", True), (None, False)])
def test_a_close_is_cancelled_only_if_the_close_before_it_is_known_to_fill_with(
    before: str | None, applied: object
) -> None:
    rows = [trade(1, before), trade(61, "b", 8.0), Mark("A", NOON + 120 * SECOND)]
    rows += [correction(130, "b", action="cancel"), Mark("A", NOON + 240 * SECOND)]
    found = run(rows, fill="forward")
    filled = 7.0 if applied else 8.0
    assert [row["close"] for row in found.bars] == [7.0, 8.0, filled, filled]
    assert [reason for _, reason in found.unapplied] == ([] if applied else [REASONS[8]])
    # Where nothing is filled, what came before does not matter.
    assert not run(rows).unapplied


def test_kept_trades_end_with_their_session() -> None:
    flow = run([trade(at, f"{at}") for at in range(1000)]).flow
    assert len(flow.snapshot()) > 64_000
    flow.on_watermark(watermarks(["A"], [NOON + 12 * HOUR]))
    assert len(flow.snapshot()) < 2_000
