"""Algorithms against a market that a test moves: what they send, when, and how they end."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.trading.algorithms import ALGORITHMS
from flows.trading.interfaces import ONE, Cancel, Replace, Send
from schemas import order_fields
from tests.flows.trading_algorithms.stand_in import (
    CENT,
    CLOSE,
    NEXT_OPEN,
    OPEN,
    SECOND,
    Host,
    StandInMarket,
    hosted,
    ordered,
)

HOUR = 3_600 * SECOND
BID, ASK = 10_000 * CENT, 10_002 * CENT


def sizes(host: Host) -> list[int]:
    return [send.quantity // ONE for _, send in host.sent]


def test_every_algorithm_that_an_order_may_name_is_there() -> None:
    assert set(ALGORITHMS) == set(order_fields.ALGORITHMS)


def test_a_crossing_twap_sends_equal_quantities_at_equal_times() -> None:
    host = hosted("twap", slices=4, duration_seconds=3_600, style="cross")
    host.begin()
    host.pass_time(OPEN + 2 * HOUR)
    assert [ts - OPEN for ts, _ in host.sent] == [0, HOUR // 4, HOUR // 2, 3 * HOUR // 4]
    assert sizes(host) == [300] * 4
    assert host.filled == 1_200 * ONE
    assert {send.limit_price for _, send in host.sent} == {ASK}


def test_a_passive_twap_rests_and_crosses_only_when_its_slice_is_over() -> None:
    host = hosted("twap", slices=3, duration_seconds=3_000)
    host.begin()
    host.pass_time(OPEN + 999 * SECOND)
    assert [(send.quantity // ONE, send.limit_price) for _, send in host.sent] == [(400, BID)]
    assert host.filled == 0
    host.pass_time(OPEN + 1_000 * SECOND)
    # What rested makes way for what crosses, and the next slice rests.
    assert isinstance(host.actions[1][1], Cancel)
    assert [(send.quantity // ONE, send.limit_price) for _, send in host.sent[1:]] == [
        (400, ASK),
        (400, BID),
    ]
    assert host.filled == 400 * ONE
    host.quote(9_990 * CENT, BID)
    assert host.filled == 800 * ONE
    host.pass_time(OPEN + 3_060 * SECOND)
    assert host.filled == 1_200 * ONE
    assert host.finished is None


def test_jitter_delays_slices_the_same_way_every_time() -> None:
    def times() -> list[int]:
        host = hosted("twap", slices=10, duration_seconds=3_600, style="cross", jitter=0.5)
        host.begin()
        host.pass_time(OPEN + HOUR)
        return [ts - OPEN for ts, _ in host.sent]

    found = times()
    assert found == times()
    delays = [ts - at * HOUR // 10 for at, ts in enumerate(found)]
    assert delays[0] == 0
    assert all(0 < delay <= HOUR // 20 for delay in delays[1:])
    assert len(set(delays)) == 10


def test_vwap_follows_the_curve_and_says_of_how_many_days() -> None:
    # All volume in the first hour behind midnight's 9:30, three quarters of it in its first half.
    shares = [0.0] * 144
    shares[57:60] = [0.25] * 3
    shares[60:63] = [1 / 12] * 3
    host = hosted("vwap", slices=4, duration_seconds=3_600, style="cross")
    host.begin({"days": 3, "volume": 1e6, "volatility": 1e-4, "shares": shares})
    host.pass_time(OPEN + HOUR)
    assert sizes(host) == [450, 450, 150, 150]
    assert host.worker.report(host.market).note == "volume curve: mean of 3 earlier days"


@pytest.mark.parametrize(
    "curve", [None, {"days": 1, "volume": 1e6, "volatility": 1e-4, "shares": [1.0] + [0.0] * 143}]
)
def test_vwap_is_flat_where_nothing_is_known_and_says_so(curve: Any) -> None:
    host = hosted("vwap", slices=3, duration_seconds=3_600, style="cross")
    host.begin(curve)
    host.pass_time(OPEN + HOUR)
    assert sizes(host) == [400, 400, 400]
    assert "flat" in (host.worker.report(host.market).note or "")


def test_implementation_shortfall_hurries_the_more_the_more_risk_is_feared() -> None:
    curve = {"days": 5, "volume": 5e6, "volatility": 2e-4, "shares": [1 / 144] * 144}

    def first(risk_aversion: float) -> int:
        host = hosted(
            "implementation_shortfall",
            ordered(100_000),
            slices=10,
            duration_seconds=3_600,
            style="cross",
            risk_aversion=risk_aversion,
        )
        host.begin(curve)
        host.pass_time(OPEN + HOUR)
        assert host.filled == 100_000 * ONE
        found = sizes(host)
        assert found == sorted(found, reverse=True)
        return found[0]

    calm, feared, panic = first(0.0), first(1e-6), first(1e-4)
    assert calm == 10_000
    assert calm < feared < panic


def test_what_implementation_shortfall_had_to_guess_is_told() -> None:
    host = hosted("implementation_shortfall", slices=2, duration_seconds=100)
    host.begin()
    note = host.worker.report(host.market).note or ""
    assert "impact: not known" in note
    assert "no hurry" in note
    given_ = hosted(
        "implementation_shortfall", slices=2, duration_seconds=100, half_life_seconds=50
    )
    given_.begin()
    assert given_.worker.report(given_.market).note == "trajectory: half-life 50 s"


def test_pov_keeps_to_its_share_of_the_volume() -> None:
    host = hosted("pov", ordered(10_000), rate=0.1, interval_seconds=10, style="cross")
    host.begin()
    for at in range(1, 200):
        host.pass_time(OPEN + at * SECOND)
        host.trade(ASK, 150 * ONE)
        host.quote(BID, ASK)
        assert host.filled <= 15 * at * ONE
    # It looked last at 190 seconds, when 189 trades were printed.
    assert host.filled == 150 * 189 // 10 * ONE
    report = host.worker.report(host.market)
    assert report.participation == pytest.approx(host.filled / ONE / (150 * 199))


def test_pov_crosses_with_what_has_rested_too_long() -> None:
    host = hosted("pov", ordered(10_000), rate=0.1, interval_seconds=10)
    host.begin()
    host.trade(ASK, 1_000 * ONE)
    host.pass_time(OPEN + 19 * SECOND)
    assert [(send.quantity // ONE, send.limit_price) for _, send in host.sent] == [(100, BID)]
    assert host.filled == 0
    host.pass_time(OPEN + 20 * SECOND)
    assert host.filled == 100 * ONE


def test_pov_without_volume_does_nothing_and_leaves_the_rest() -> None:
    host = hosted("pov", rate=0.1, duration_seconds=600)
    host.begin()
    host.pass_time(OPEN + HOUR)
    assert host.sent == []
    assert host.finished == "its time is over: what is left is left"


def test_an_iceberg_shows_one_clip_at_a_time() -> None:
    host = hosted("iceberg", ordered(1_000, limit=BID), display_quantity=300)
    host.begin()
    for _ in range(6):
        assert sum(one.quantity for one in host.resting.values()) <= 300 * ONE
        host.pass_time(host.market.now + SECOND)
        host.quote(BID - CENT, BID, (10**6 * ONE, 200 * ONE))
    assert host.filled == 1_000 * ONE
    assert sizes(host) == [300, 300, 300, 100]
    assert all(send.limit_price == BID for _, send in host.sent)


def test_an_iceberg_without_a_limit_follows_its_side() -> None:
    host = hosted("iceberg", replace(ordered(), display_quantity=100 * ONE))
    host.begin()
    host.quote(BID + CENT, ASK)
    assert host.actions[-1][1] == Replace(1, 100 * ONE, BID + CENT)
    assert len(host.sent) == 1


def test_a_varied_iceberg_shows_clips_of_different_sizes() -> None:
    host = hosted("iceberg", ordered(5_000, limit=ASK), display_quantity="300", variation=0.5)
    host.begin()
    found = sizes(host)
    assert sum(found) == 5_000
    assert all(150 <= size <= 300 for size in found[:-1])
    assert len(set(found)) > 5


def test_a_sniper_shows_nothing_and_takes_when_price_and_size_are_right() -> None:
    host = hosted("sniper", price="99.95", min_size=200, max_size=500, pause_seconds=5)
    host.begin()
    host.quote(9_990 * CENT, 9_996 * CENT)
    host.quote(9_990 * CENT, 9_995 * CENT, (100 * ONE, 100 * ONE))
    assert host.actions == []
    host.quote(9_990 * CENT, 9_995 * CENT, (100 * ONE, 900 * ONE))
    host.quote(9_990 * CENT, 9_994 * CENT, (100 * ONE, 900 * ONE))
    assert [(s.quantity // ONE, s.limit_price, s.time_in_force) for _, s in host.sent] == [
        (500, 9_995 * CENT, "ioc")
    ]
    host.pass_time(OPEN + 6 * SECOND)
    host.quote(9_990 * CENT, 9_994 * CENT, (100 * ONE, 900 * ONE))
    assert host.filled == 1_000 * ONE


def test_a_sniper_waits_while_the_spread_is_wide() -> None:
    host = hosted("sniper", ordered(limit=ASK), max_spread_bps=1)
    host.begin()
    host.quote(BID, ASK)
    assert host.actions == []
    host.quote(ASK - CENT // 2, ASK)
    assert len(host.sent) == 1


@pytest.mark.parametrize("name", ["twap", "vwap", "implementation_shortfall"])
def test_the_limit_is_kept_and_what_cannot_be_had_is_left(name: str) -> None:
    host = hosted(name, ordered(limit=9_999 * CENT), slices=3, duration_seconds=3_000)
    host.begin()
    for at in range(1, 400):
        host.pass_time(OPEN + at * 10 * SECOND)
        host.quote(BID, ASK)
    assert host.fills == []
    assert all(send.limit_price == 9_999 * CENT for _, send in host.sent)
    assert host.finished == "its time is over, and what is left found no other side"


def test_left_is_what_the_end_leaves_where_that_is_asked() -> None:
    host = hosted("twap", ordered(limit=BID), slices=2, duration_seconds=100, completion="leave")
    host.begin()
    host.pass_time(OPEN + 100 * SECOND)
    assert host.finished == "its time is over: what is left is left"


def test_the_end_crosses_through_all_levels_until_the_order_is_done() -> None:
    host = hosted("twap", slices=1, duration_seconds=100)
    host.begin()
    host.market.ask_size = 500 * ONE
    host.pass_time(OPEN + 100 * SECOND)
    assert host.filled == 500 * ONE
    assert host.sent[-1][1].limit_price is None
    host.pass_time(OPEN + 102 * SECOND)
    host.quote(BID, ASK, (ONE, 10_000 * ONE))
    assert host.filled == 1_200 * ONE


def test_a_start_and_a_closed_market_are_waited_for() -> None:
    early = hosted("twap", slices=2, start="2013-10-07T14:00:00Z", end="2013-10-07T15:00:00Z")
    early.market.now = OPEN - HOUR
    early.begin()
    assert early.worker.wake_at == OPEN + HOUR // 2
    early.pass_time(OPEN + HOUR)
    assert early.sent[0][0] == OPEN + HOUR // 2
    assert early.worker.report(early.market).ts_begin == OPEN + HOUR // 2
    late = hosted("twap", slices=2)
    late.market.now = CLOSE + HOUR
    late.begin()
    late.pass_time(NEXT_OPEN)
    assert late.sent[0][0] == NEXT_OPEN


def test_an_end_behind_the_close_is_one_before_it() -> None:
    host = hosted("twap", slices=2, end="2013-10-09T00:00:00Z")
    host.begin()
    host.pass_time(CLOSE)
    assert host.filled == 1_200 * ONE
    assert host.fills[-1][0] < CLOSE
    assert "ends before the close" in (host.worker.report(host.market).note or "")


def test_a_time_that_is_over_ends_the_order_at_once() -> None:
    host = hosted("vwap", end="2013-10-07T13:00:00Z")
    host.begin()
    assert host.finished == "no time was left to work it"
    assert host.sent == []


def test_nothing_is_sent_while_the_market_is_crossed() -> None:
    host = hosted("twap", slices=2, duration_seconds=100, style="cross")
    host.market.bid = ASK + CENT
    host.begin()
    host.pass_time(OPEN + 10 * SECOND)
    assert host.sent == []
    host.quote(BID, ASK)
    assert host.filled == 600 * ONE


def test_a_replacement_plans_what_is_left_anew() -> None:
    host = hosted("twap", slices=4, duration_seconds=400, style="cross")
    host.begin()
    host.pass_time(OPEN + 100 * SECOND)
    assert host.filled == 600 * ONE
    host.replace(ordered(2_400))
    host.pass_time(OPEN + 400 * SECOND)
    assert host.filled == 2_400 * ONE
    # In the second slice a third of what was left then, and as much in each of the two that follow.
    assert sizes(host) == [300, 300, 600, 600, 600]


def test_a_replacement_with_another_limit_takes_back_what_is_beyond_it() -> None:
    host = hosted("twap", ordered(limit=ASK + CENT), slices=2, duration_seconds=100)
    host.begin()
    assert host.sent[0][1].limit_price == BID
    host.replace(ordered(limit=BID - CENT))
    assert [type(one) for _, one in host.actions] == [Send, Cancel, Send]
    assert host.sent[-1][1].limit_price == BID - CENT


_STEPS = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.integers(9_980, 10_020),
        st.integers(-1, 4),
        st.integers(0, 500),
        st.integers(0, 500),
    ),
    max_size=40,
)
_PARAMS = {
    "twap": {"slices": 7, "duration_seconds": 300, "jitter": 0.4},
    "vwap": {"slices": 5, "duration_seconds": 300},
    "implementation_shortfall": {"slices": 6, "duration_seconds": 300, "half_life_seconds": 90},
    "iceberg": {"display_quantity": 130, "variation": 0.3},
    "sniper": {"price": 100, "min_size": 50},
    "pov": {"rate": 0.3, "interval_seconds": 7, "duration_seconds": 400},
}


def replayed(name: str, steps: list[tuple[int, ...]], *, buys: bool, restarts: bool) -> Host:
    limit = 10_010 * CENT if buys else 9_990 * CENT
    order = ordered(1_000, "buy" if buys else "sell_short", limit)
    host = hosted(name, order, restarts=restarts, **_PARAMS[name])
    host.market = StandInMarket(OPEN)
    host.begin({"days": 1, "volume": 1e5, "volatility": 1e-4, "shares": [1 / 144] * 144})
    for seconds, bid, spread, size, traded in steps:
        host.pass_time(host.market.now + seconds * SECOND)
        host.quote(bid * CENT, (bid + spread) * CENT, (size * ONE, size * ONE))
        if traded:
            host.trade(bid * CENT, traded * ONE)
    host.pass_time(OPEN + HOUR)
    return host


@pytest.mark.parametrize("name", sorted(ALGORITHMS))
@settings(max_examples=40)
@given(steps=_STEPS, buys=st.booleans())
def test_saving_and_resuming_at_any_point_changes_nothing(
    name: str, steps: list[tuple[int, ...]], *, buys: bool
) -> None:
    """The host holds each run to its quantity and its limit besides."""
    straight = replayed(name, steps, buys=buys, restarts=False)
    resumed = replayed(name, steps, buys=buys, restarts=True)
    assert straight.actions == resumed.actions
    assert straight.fills == resumed.fills
    assert straight.worker.report(straight.market) == resumed.worker.report(resumed.market)
