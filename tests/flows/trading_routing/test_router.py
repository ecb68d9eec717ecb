"""What holds of every routing decision, whatever the market."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.trading.interfaces import CONSOLIDATED, ONE, Order, Touch
from flows.trading.routing import Router, venue_model
from tests.flows.trading_routing.quoting import (
    CENT,
    TOUCHES,
    Quotes,
    candidates,
    order,
    sent,
    touch,
    venue_of,
)

_ORDERS = st.builds(
    order,
    st.integers(1, 3_000),
    st.none() | st.integers(9_985, 10_015),
    side=st.sampled_from(["buy", "sell", "sell_short"]),
)


@given(TOUCHES, _ORDERS)
def test_parts_sum_to_the_quantity_and_are_above_zero(touches: list[Touch], one: Order) -> None:
    decisions = Router("stock").route(one, Quotes(touches))
    assert sum(part.quantity for part in decisions) == one.quantity
    assert all(part.quantity > 0 for part in decisions)


@given(TOUCHES, _ORDERS)
def test_no_displayed_quote_is_traded_through(touches: list[Touch], one: Order) -> None:
    """What is taken at once is never dearer than what is displayed and left; and nothing in reach is left."""
    market = Quotes(touches)
    taken = {
        part.venue: part.quantity for part in Router("stock").route(one, market) if part.immediate
    }
    sign = 1 if one.is_buy else -1
    displayed: dict[str, list[tuple[int, int]]] = {}
    for price, size, code in market.levels(one.side):
        if venue_model(code).is_displayed:
            displayed.setdefault(venue_of(code), []).append((sign * price, size))
    dearest, cheapest_left = None, None
    for venue, levels in displayed.items():
        left = taken.get(venue, 0)
        for price, size in sorted(levels):
            if left > 0:
                dearest = price if dearest is None else max(dearest, price)
            if left < size:
                cheapest_left = price if cheapest_left is None else min(cheapest_left, price)
            left = max(left - size, 0)
        assert left == 0
    if dearest is not None and cheapest_left is not None:
        assert dearest <= cheapest_left
    if one.limit_price is not None and dearest is not None:
        assert dearest <= sign * one.limit_price
    in_reach = sum(
        size
        for levels in displayed.values()
        for price, size in levels
        if one.limit_price is None or price <= sign * one.limit_price
    )
    assert sum(taken.values()) == min(in_reach, one.quantity)


@given(TOUCHES, _ORDERS, st.randoms(use_true_random=False))
def test_decisions_do_not_hang_on_the_order_of_quotes(
    touches: list[Touch], one: Order, shuffle: Any
) -> None:
    other = list(touches)
    shuffle.shuffle(other)
    assert Router("stock").route(one, Quotes(touches)) == Router("stock").route(one, Quotes(other))


@given(TOUCHES, _ORDERS)
def test_the_evidence_has_every_venue_once_a_price_and_adds_up(
    touches: list[Touch], one: Order
) -> None:
    for part in Router("stock").route(one, Quotes(touches)):
        found = candidates(part)
        places = [(row["venue"], row["price"]) for row in found]
        assert len(set(places)) == len(places)
        for row in found:
            terms = (row["price_cost"], row["fee"], row["delay_cost"], row["missed_cost"])
            assert row["cost"] == pytest.approx(sum(terms), abs=5e-9)
        if part.venue != CONSOLIDATED:
            assert part.venue in {row["venue"] for row in found}


def test_at_equal_price_the_cheapest_comes_first() -> None:
    """An inverted venue pays the taker, a maker-taker venue charges him three tenths of a cent."""
    quotes = Quotes(
        [touch("N", 9_999, 10_001), touch("Y", 9_999, 10_001), touch("B", 9_999, 10_001)]
    )
    decisions = Router("stock").route(order(300), quotes)
    assert sent(decisions) == [("BATY", 100), ("XBOS", 100), ("XNYS", 100)]
    costs = [row["cost"] for row in candidates(decisions[0])]
    assert costs == sorted(costs)
    assert [one.expected_cost for one in decisions] == pytest.approx(costs, abs=1e-8)


def test_a_better_price_comes_before_a_cheaper_fee() -> None:
    quotes = Quotes([touch("N", 9_998, 10_001), touch("Y", 9_998, 10_002)])
    assert sent(Router("stock").route(order(150), quotes)) == [("XNYS", 100), ("BATY", 50)]


def test_a_price_that_is_better_by_less_than_a_fee_is_not_traded_through() -> None:
    """The rule protects prices, not what is paid in all: a rebate does not make up for a worse one."""
    better = Touch("N", None, 0, 10_001 * CENT, 100 * ONE, 0)
    rebated = Touch("Y", None, 0, 10_001 * CENT + CENT // 100, 100 * ONE, 0)
    decisions = Router("stock").route(order(150), Quotes([rebated, better]))
    assert sent(decisions) == [("XNYS", 100), ("BATY", 50)]


def test_what_is_equal_in_all_goes_by_size_and_then_by_name() -> None:
    """Two exchanges of the past have the same model."""
    small, large = touch("I", None, 10_001, 100), touch("W", None, 10_001, 200)
    same = touch("W", None, 10_001, 100)
    for quotes in ([small, large], [large, small]):
        assert sent(Router("stock").route(order(250), Quotes(quotes)))[0] == ("XCBO", 200)
    for quotes in ([small, same], [same, small]):
        assert sent(Router("stock").route(order(50), Quotes(quotes))) == [("XCBO", 50)]
    renamed = [touch("I", None, 10_001, 300), same]
    assert sent(Router("stock").route(order(50), Quotes(renamed))) == [("XISX", 50)]


def test_the_fee_in_the_evidence_is_that_of_the_schedule() -> None:
    quotes = Quotes([touch("K", 9_999, 10_001), touch("Y", 9_999, 10_001)])
    fees = {
        row["venue"]: row["fee"] for row in candidates(Router("stock").route(order(1), quotes)[0])
    }
    assert fees == {"EDGX": 0.003, "BATY": -0.0002}


def test_expected_cost_is_half_the_spread_and_what_the_formulas_add() -> None:
    """By hand, at EDGX: 50 microseconds, half-spread of a cent, fee of 0.003."""
    quotes = Quotes([touch("K", 9_999, 10_001)])
    (row,) = candidates(Router("stock").route(order(1), quotes)[0])
    there = 2.718281828459045 ** -(50e-6 / 0.25)
    assert row["fill_probability"] == pytest.approx(there, abs=1e-9)
    assert row["price_cost"] == pytest.approx(0.01)
    assert row["delay_cost"] == pytest.approx(
        100.01 * 1e-4 * (50e-6 / (2 * 3.141592653589793)) ** 0.5, abs=1e-9
    )
    assert row["missed_cost"] == pytest.approx((1 - there) * (1 - 0.16) * 0.02, abs=1e-9)


def test_a_market_order_waits_with_what_is_not_displayed_where_most_was() -> None:
    quotes = Quotes([touch("N", 9_999, 10_001, 300), touch("Y", 9_999, 10_001)])
    decisions = Router("stock").route(order(1_000), quotes)
    assert sent(decisions) == [("BATY", 100), ("XNYS", 300), ("XNYS", 600)]
    assert [one.immediate for one in decisions] == [True, True, False]


def test_where_nobody_quotes_the_market_as_a_whole_is_asked() -> None:
    (decision,) = Router("stock").route(order(5), Quotes([]))
    assert sent([decision]) == [(CONSOLIDATED, 5)]
    assert decision.expected_cost is None
    assert not decision.immediate


def test_a_pool_displays_nothing_and_is_not_taken_from() -> None:
    quotes = Quotes([touch("D", 9_990, 10_000), touch("N", 9_990, 10_001)])
    assert sent(Router("stock").route(order(10), quotes)) == [("XNYS", 10)]


@pytest.mark.parametrize("peg", ["primary", "market", "mid"])
def test_a_pegged_order_goes_to_one_venue_and_stays(peg: str) -> None:
    quotes = Quotes([touch("N", 9_998, 10_002), touch("Q", 9_998, 10_002)])
    (decision,) = Router("stock").route(order(70, order_type="pegged", peg=peg), quotes)
    assert not decision.immediate
    assert decision.venue in {"XNYS", "XNAS"}
