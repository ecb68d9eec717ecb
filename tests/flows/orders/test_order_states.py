"""The life of an order: no sequence of commands, reports and fills leads anywhere illegal, or loses a share."""

import itertools
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from flows.orders.states import (
    ENDED,
    STATUSES,
    TRANSITIONS,
    UNKNOWN,
    IllegalEventError,
    after,
)
from schemas.orders import ORDER_EVENTS, ORDER_REPORTS, ORDERS
from tests.flows.orders.order_system import OrderSystem, Row, order_id, said

# Written down a second time, from the words of the FIX protocol's order state matrices (FIX 4.4, appendix D),
# with "accepted" for pending new and new before a venue has it.
_REACHABLE = {
    "accepted": {"working", "partially_filled", "filled", "cancelled", "expired", "rejected"},
    "working": {"partially_filled", "filled", "cancelled", "expired", "rejected"},
    "partially_filled": {"filled", "cancelled", "expired"},
}
_CLIENTS = ("c1", "c2", "c3")
_NAMES = st.sampled_from(
    [order_id(one) + exit_ for one in _CLIENTS for exit_ in ("", "-tp", "-sl")]
)
_QUANTITIES = st.sampled_from(["10", "40", "60", "100", "150"])
_PRICES = st.sampled_from(["49", "49.99", "50", "50.01", "51"])


def test_the_table_leads_only_where_orders_can_go() -> None:
    found = defaultdict(set)
    for status, steps in TRANSITIONS.items():
        found[status] |= {to for to in steps.values() if to != status}
    assert {status: ways for status, ways in found.items() if ways} == _REACHABLE
    assert set(TRANSITIONS) == set(STATUSES)


def test_what_has_ended_stays_so() -> None:
    for status, (event, to) in itertools.product(
        ENDED, {item for steps in TRANSITIONS.values() for item in steps.items()}
    ):
        if event in TRANSITIONS[status]:
            assert after(status, event) == status
        else:
            with pytest.raises(IllegalEventError, match=f"an order that is {status} cannot be"):
                after(status, event)
        assert to in STATUSES


def test_every_status_and_event_is_declared_in_the_topic() -> None:
    events = {event for steps in TRANSITIONS.values() for event in steps}
    assert events == set(ORDER_EVENTS.field("event").allowed) - {"accepted"}
    assert {*STATUSES, UNKNOWN} == set(ORDER_EVENTS.field("status").allowed)


class Orders(RuleBasedStateMachine):
    """Anything that can come in, in any order, to three orders and their exits; the process may die meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = OrderSystem(
            funded="1000000", easy_to_borrow="AIG", self_trade_allowed=True, leverage="4"
        )
        self.cash = Decimal(1_000_000)
        self.position = Decimal(0)
        self.checked = 0
        self.orders: dict[str, Row] = {}
        self.ordered: dict[str, Row] = {}

    @rule(
        client=st.sampled_from(_CLIENTS),
        side=st.sampled_from(["buy", "sell_short"]),
        quantity=_QUANTITIES,
        kind=st.sampled_from(["simple", "bracket", "oco"]),
        stop=st.booleans(),
    )
    def new(self, client: str, side: str, quantity: str, kind: str, *, stop: bool) -> None:
        # A profit is above a loss for who is long after a bracket, or before an OCO.
        is_long = (side == "buy") == (kind == "bracket")
        profit, loss = ("60", "40") if is_long else ("40", "60")
        terms: Row = {"side": side, "quantity": quantity, "order_class": kind}
        if kind != "simple":
            terms |= {"take_profit_price": profit, "stop_loss_price": loss}
        if stop and kind == "simple":
            terms |= {"order_type": "stop_limit", "stop_price": "50"}
        self.desk.new(client, **terms)

    @rule(name=_NAMES, quantity=st.none() | _QUANTITIES, limit=st.none() | _PRICES)
    def replace(self, name: str, quantity: str | None, limit: str | None) -> None:
        self.desk.replace(order_id=name, quantity=quantity, limit_price=limit)

    @rule(name=_NAMES)
    def cancel(self, name: str) -> None:
        self.desk.cancel(order_id=name)

    @rule()
    def cancel_all(self) -> None:
        self.desk.feed(ORDERS, {"command": "cancel_all", "client_order_id": ""})

    @rule(
        name=_NAMES,
        kind=st.sampled_from(ORDER_REPORTS.field("report").allowed),
        quantity=st.sampled_from(["0", "10", "100", "150"]),
        filled=st.sampled_from(["0", "40", "100", "1000"]),
        stop=st.none() | _PRICES,
    )
    def report(self, name: str, kind: str, quantity: str, filled: str, stop: str | None) -> None:
        row = {"order_id": name, "report": kind, "quantity": quantity, "stop_price": stop}
        more = {"filled_quantity": filled, "limit_price": "50", "venue": "PAPER"}
        self.desk.feed(ORDER_REPORTS, row | more)

    @rule(
        name=_NAMES,
        quantity=_QUANTITIES,
        price=_PRICES,
        side=st.sampled_from(["buy", "sell", "sell_short"]),
    )
    def fill(self, name: str, quantity: str, price: str, side: str) -> None:
        before = len(self.desk.events)
        self.desk.fill(quantity, price, order_id=name, side=side)
        assert len(self.desk.events) > before, "a fill is never passed over in silence"
        sign = 1 if side == "buy" else -1
        self.position += sign * Decimal(quantity)
        self.cash -= sign * Decimal(quantity) * Decimal(price)

    @rule(bid=st.sampled_from([40.0, 49.99, 70.0]))
    def mark(self, bid: float) -> None:
        self.desk.mark("AIG", bid, bid + 0.02)

    @rule()
    def restart(self) -> None:
        self.desk.restart()

    @invariant()
    def every_event_is_legal_and_keeps_quantities(self) -> None:
        events = self.desk.events
        for at in range(self.checked, len(events)):
            event = events[at]
            assert event["sequence"] == at + 1
            if event["status"] == UNKNOWN or event["check"] == "client_order_id":
                continue
            self._follow(event)
        self.checked = len(events)
        sequences = [one["sequence"] for one in self.desk.instructions]
        assert sequences == list(range(1, len(sequences) + 1))

    def _follow(self, event: Row) -> None:
        name, status = event["order_id"], event["status"]
        before = self.orders.get(name)
        if before is None:
            assert event["event"] in ("accepted", "rejected")
        elif before["status"] != status:
            assert status in _REACHABLE[before["status"]], (before, event)
            assert event["event"] in (status, "routed"), (before, event)
        if event["quantity"] is None or (event["event"] == "replace_rejected" and before is None):
            return
        if status != "rejected" or before is not None:
            left = event["remaining_quantity"]
            assert 0 <= event["filled_quantity"] <= event["quantity"]
            if status in ENDED:
                assert left == 0
            else:
                assert event["filled_quantity"] + left == event["quantity"]
            if status == "filled":
                assert event["filled_quantity"] == event["quantity"]
        if before is not None:
            assert event["filled_quantity"] >= before["filled_quantity"]
            if before["status"] in ENDED:
                same = ("status", "quantity", "filled_quantity", "average_price")
                assert [event[key] for key in same] == [before[key] for key in same]
        self.orders[name] = event

    @invariant()
    def sums_are_those_of_a_recount(self) -> None:
        blotter = self.desk.flow._blotters.get("A")
        if blotter is None or "AIG" not in blotter.account.holdings:
            return
        holding, purse = blotter.account.holdings["AIG"], blotter.account.purses["USD"]
        one = 10**10
        assert Fraction(purse.cash, one) == Fraction(self.cash)
        assert Fraction(holding.quantity, one) == Fraction(self.position)
        sides = {True: 0, False: 0}
        reserved = 0
        for order in blotter.known.orders.values():
            if order.is_open and order.counts:
                most = max([order.terms.quantity, *(one.quantity for one in order.pending)])
                sides[order.is_buy] += most - order.filled
                reserved += (most - order.filled) * order.reference * order.is_buy
        assert (holding.open_buy, holding.open_sell) == (sides[True], sides[False])
        assert purse.reserved == reserved
        worst = max(
            abs(holding.quantity + holding.open_buy), abs(holding.quantity - holding.open_sell)
        )
        assert purse.gross == worst * holding.price
        assert purse.value == holding.quantity * holding.price


TestOrders = Orders.TestCase
TestOrders.settings = settings(max_examples=150, stateful_step_count=40)


def test_an_order_goes_from_acceptance_to_its_last_fill() -> None:
    desk = OrderSystem()
    assert said(desk.new()) == [("accepted", "accepted")]
    assert said(desk.report("routed", venue="N")) == [("routed", "working")]
    (event,) = desk.fill("40", "49.99")
    assert (event["event"], event["filled_quantity"], event["remaining_quantity"]) == (
        "partially_filled",
        40,
        60,
    )
    (event,) = desk.fill("60", "49.98")
    assert (event["status"], event["average_price"]) == ("filled", Decimal("49.984"))
    assert event["venue"] == "N"


def test_an_end_that_is_read_before_its_fills_waits_for_them() -> None:
    """Reports and fills are two topics, which a shard reads one after the other."""
    desk = OrderSystem()
    desk.new()
    assert desk.report("cancelled", filled_quantity="70", reason="IOC") == []
    desk.restart()
    assert said(desk.fill("30")) == [("partially_filled", "partially_filled")]
    assert said(desk.fill("40")) == [
        ("partially_filled", "partially_filled"),
        ("cancelled", "cancelled"),
    ]
    assert desk.events[-1]["reason"] == "IOC"
    assert desk.events[-1]["filled_quantity"] == 70


def test_a_fill_of_what_a_replacement_added_may_be_read_before_its_answer() -> None:
    desk = OrderSystem()
    desk.new()
    desk.replace(quantity="150")
    assert said(desk.fill("100")) == [("partially_filled", "partially_filled")]
    assert said(desk.fill("20")) == [("partially_filled", "partially_filled")]
    assert said(desk.report("replaced", quantity="150", limit_price="50")) == [
        ("replaced", "partially_filled")
    ]
    assert said(desk.fill("30")) == [("filled", "filled")]


def test_an_order_filled_whole_ends_when_its_larger_replacement_is_refused() -> None:
    desk = OrderSystem()
    desk.new()
    desk.replace(quantity="150")
    desk.fill("100")
    assert said(desk.report("replace_rejected")) == [
        ("replace_rejected", "partially_filled"),
        ("filled", "filled"),
    ]


def test_a_replacement_to_less_than_is_filled_by_then_ends_the_order() -> None:
    desk = OrderSystem()
    desk.new()
    desk.replace(quantity="50")
    desk.fill("60")
    events = desk.report("replaced", quantity="50", limit_price="50")
    assert said(events) == [("replaced", "partially_filled"), ("filled", "filled")]
    assert [(one["quantity"], one["filled_quantity"]) for one in events] == [(60, 60)] * 2


def test_more_than_was_open_is_told_and_booked() -> None:
    desk = OrderSystem()
    desk.new()
    events = desk.fill("130", "50")
    assert said(events) == [("filled", "filled"), ("report_rejected", "filled")]
    assert events[1]["reason"] == "30 more were filled than were open"
    assert desk.flow._blotters["A"].account.holdings["AIG"].quantity == 130 * 10**10


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"side": "sell"}, "filled to sell AIG, which was not ordered"),
        ({"symbol": "IBM"}, "filled to buy IBM, which was not ordered"),
        ({"order_id": "nobody"}, "filled, but the order is unknown"),
    ],
)
def test_a_fill_that_fits_no_order_is_told(more: dict[str, Any], words: str) -> None:
    desk = OrderSystem()
    desk.new()
    (event,) = desk.fill("10", **more)
    assert (event["event"], event["reason"]) == ("report_rejected", words)
    assert event["execution_id"] is not None


def test_late_answers_to_an_ended_order_are_told_and_change_nothing() -> None:
    desk = OrderSystem()
    desk.new()
    desk.cancel()
    desk.fill("100")
    assert said(desk.report("cancel_rejected")) == [("cancel_rejected", "filled")]
    assert said(desk.report("routed")) == [("routed", "filled")]
    assert said(desk.report("cancelled")) == [("report_rejected", "filled")]
    assert said(desk.cancel()) == [("cancel_rejected", "filled")]
    assert "it is filled" in desk.events[-1]["reason"]


def test_a_refusal_of_the_rest_leaves_what_was_filled() -> None:
    desk = OrderSystem()
    desk.new()
    desk.fill("10")
    assert said(desk.report("rejected", filled_quantity="10", reason="no shares")) == [
        ("cancelled", "cancelled")
    ]
