"""Two exits that share one quantity: together they are never filled with more, however late the order system hears of it."""

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.execution import Execution
from flows.snapshot import pack, unpack
from schemas.orders import EXECUTIONS, INSTRUCTIONS, ORDER_REPORTS
from tests.flows.orders.order_system import OrderSystem, order_id
from tests.flows.trading.executing import Row, Trader

PROFIT, LOSS = "o-tp", "o-sl"


def open_market(**params: object) -> Trader:
    trader = Trader(**params)
    trader.at(1).quote(10.00, 300, 10.02, 200)
    trader.trade(10.01, 100)
    return trader


def exits(trader: Trader, quantity: int = 100, **more: Any) -> None:
    """A sale at 10.10, and one from 9.90 down."""
    both = {"side": "sell", "quantity": quantity, "parent_order_id": "o"} | more
    trader.order(PROFIT, limit_price="10.10", **both)
    trader.order(LOSS, order_type="stop", stop_price="9.90", **both)


def falls(trader: Trader, seconds: float) -> None:
    trader.at(seconds).quote(9.88, 300, 9.92, 200)
    trader.trade(9.90, 100)


def rises(trader: Trader, seconds: float, size: int) -> None:
    trader.at(seconds).quote(10.10, size, 10.12, 200)


def notes(trader: Trader) -> Any:
    return next(iter(trader.flow._desks.values())).pairs.saved()


def test_a_stop_is_not_sent_when_the_profit_is_taken_already() -> None:
    trader = open_market()
    exits(trader)
    rises(trader, 2, 300)
    assert trader.fills == [(PROFIT, "100", "10.1", "added")]
    trader.resume()
    # The order system is behind: its cancel comes later than the stop.
    falls(trader, 3)
    assert trader.reports == [f"{PROFIT} routed"]
    trader.cancel(LOSS)
    assert (trader.reports[-1], len(trader.fills)) == (f"{LOSS} cancelled", 1)
    assert notes(trader) == {}


def test_a_stop_has_what_the_profit_has_left_and_takes_it_out_of_the_market_first() -> None:
    trader = open_market()
    exits(trader)
    rises(trader, 2, 30)
    trader.resume()
    falls(trader, 3)
    assert trader.reports == [
        f"{PROFIT} routed",
        f"{LOSS} triggered",
        f"{PROFIT} cancelled",
        f"{LOSS} routed",
    ]
    (cancelled,) = [row for row in trader.out["order_reports"] if row["report"] == "cancelled"]
    assert cancelled["reason"] == "exit client-o-sl was triggered"
    assert cancelled["filled_quantity"] == 30
    assert [fill[:2] for fill in trader.fills] == [(PROFIT, "30"), (LOSS, "70")]
    assert notes(trader) == {}


def test_what_the_profit_is_filled_with_until_its_venue_hears_of_the_stop_is_off_it() -> None:
    """220 microseconds are it to Mahwah, in which anything may happen."""
    trader = open_market()
    exits(trader, venue="N")
    falls(trader, 2)
    assert trader.reports[-1] == f"{LOSS} triggered"
    trader.at(2.0001).quote(10.11, 40, 10.12, 200)
    trader.resume()
    trader.at(2.5).quote(9.88, 300, 9.92, 200)
    assert trader.reports[-2:] == [f"{PROFIT} cancelled", f"{LOSS} routed"]
    trader.at(3).quote(9.87, 300, 9.92, 200)
    assert trader.fills[0][:2] == (PROFIT, "40")
    assert sum(int(fill[1]) for fill in trader.fills if fill[0] == LOSS) == 60


def triggered_in_vain() -> Trader:
    trader = open_market()
    exits(trader, venue="N")
    falls(trader, 2)
    trader.at(2.0001).quote(10.11, 100, 10.12, 200)
    trader.at(2.5).quote(9.88, 300, 9.92, 200)
    assert [fill[:2] for fill in trader.fills] == [(PROFIT, "100")]
    # Nobody had asked for it to be cancelled, so nobody is told that it could not be.
    assert trader.reports == [f"{PROFIT} routed", f"{LOSS} triggered"]
    trader.resume()
    return trader


def test_a_stop_whose_profit_is_filled_meanwhile_is_not_sent_and_can_be_cancelled() -> None:
    trader = triggered_in_vain()
    trader.cancel(LOSS)
    assert trader.reports[-1] == f"{LOSS} cancelled"
    assert (trader.last_report["quantity"], notes(trader)) == (100, {})


def test_a_stop_that_grows_beyond_what_the_profit_was_filled_with_is_sent() -> None:
    trader = triggered_in_vain()
    trader.replace(LOSS, side="sell", quantity=150, order_type="stop", stop_price="9.90")
    assert trader.reports[-2:] == [f"{LOSS} replaced", f"{LOSS} routed"]
    trader.at(3).quote(9.87, 300, 9.92, 200)
    assert [fill[:2] for fill in trader.fills] == [(PROFIT, "100"), (LOSS, "50")]
    # As the order system asked for it.
    assert trader.last_report["quantity"] == 150


def test_a_client_that_cancels_the_profit_is_told_that_it_was_filled_whatever_the_stop_did() -> (
    None
):
    trader = open_market()
    exits(trader, venue="N")
    trader.at(2).quote(10.00, 300, 10.02, 200)
    trader.cancel(PROFIT)
    falls(trader, 2.00005)
    trader.at(2.0001).quote(10.11, 100, 10.12, 200)
    assert trader.reports[-1] == f"{PROFIT} cancel_rejected"


def test_a_stop_that_waits_for_the_profits_end_can_be_cancelled_and_sends_nothing() -> None:
    trader = open_market()
    exits(trader, venue="N")
    falls(trader, 2)
    trader.cancel(LOSS)
    trader.at(3).quote(9.87, 300, 9.92, 200)
    assert trader.reports[-2:] == [f"{LOSS} cancelled", f"{PROFIT} cancelled"]
    assert (trader.fills, notes(trader)) == ([], {})


@pytest.mark.parametrize("count", [1, 80])
def test_a_profit_that_is_taken_before_the_stop_has_come_leaves_it_nothing(count: int) -> None:
    """Also among so many plain orders that these are taken by column."""
    trader = open_market(smart_routing=False)
    others = [
        trader.instruction("new", f"x{at}", quantity=1, limit_price="9.99") for at in range(count)
    ]
    both: Row = {"side": "sell", "parent_order_id": "o"}
    profit = trader.instruction("new", PROFIT, limit_price="10.00", **both)
    trader.take(INSTRUCTIONS, [*others, profit])
    assert trader.fills == [(PROFIT, "100", "10", "removed")]
    trader.resume()
    trader.order(LOSS, order_type="stop", stop_price="10.01", **both)
    assert f"{LOSS} triggered" not in trader.reports
    trader.replace(LOSS, quantity=120, order_type="stop", stop_price="10.01", **both)
    assert [fill[:2] for fill in trader.fills] == [(PROFIT, "100"), (LOSS, "20")]
    assert notes(trader) == {}


def test_a_stop_that_is_reached_already_takes_the_profit_out_at_once() -> None:
    trader = open_market()
    both: Row = {"side": "sell", "parent_order_id": "o"}
    trader.order(PROFIT, limit_price="10.10", **both)
    trader.order(LOSS, order_type="stop", stop_price="10.05", **both)
    assert trader.reports[1:] == [f"{LOSS} triggered", f"{PROFIT} cancelled", f"{LOSS} routed"]
    assert [fill[:2] for fill in trader.fills] == [(LOSS, "100")]


def test_exits_grow_by_what_both_may_fill() -> None:
    trader = open_market()
    exits(trader)
    rises(trader, 2, 30)
    trader.replace(PROFIT, side="sell", quantity=150, limit_price="10.10")
    trader.replace(LOSS, side="sell", quantity=150, order_type="stop", stop_price="9.90")
    assert [row["quantity"] for row in trader.out["order_reports"][-2:]] == [150, 150]
    falls(trader, 3)
    assert [fill[:2] for fill in trader.fills] == [(PROFIT, "30"), (LOSS, "120")]
    # Once it is sent, too.
    trader = open_market()
    exits(trader)
    rises(trader, 2, 30)
    trader.at(3).quote(9.88, 50, 9.92, 200)
    trader.trade(9.90, 100)
    trader.resume()
    trader.replace(LOSS, side="sell", quantity=150, order_type="stop", stop_price="9.90")
    assert (trader.reports[-1], trader.last_report["quantity"]) == (f"{LOSS} replaced", 150)
    trader.at(4).quote(9.87, 300, 9.92, 200)
    assert sum(int(fill[1]) for fill in trader.fills) == 150


def test_one_that_is_refused_leaves_the_other_all_of_it() -> None:
    trader = open_market(max_orders=1)
    exits(trader)
    assert trader.reports == [f"{PROFIT} routed", f"{LOSS} rejected"]
    rises(trader, 2, 300)
    assert [fill[:2] for fill in trader.fills] == [(PROFIT, "100")]
    assert notes(trader) == {}


def test_a_stop_waits_for_a_brokers_word_on_the_profit() -> None:
    trader = open_market()
    exits(trader, venue="ALPACA")
    falls(trader, 2)
    (profit, cancelled) = trader.out["broker_orders"]
    assert (profit["action"], cancelled["action"]) == ("new", "cancel")
    name = profit["broker_order_id"]
    # It was too late for a part of it.
    trader.broker("filled", name, "f1", quantity=25, price="10.10")
    assert len(trader.out["broker_orders"]) == 2
    trader.resume()
    trader.broker("cancelled", name, "c")
    sent = trader.out["broker_orders"][-1]
    assert (sent["action"], sent["quantity"], sent["order_type"]) == ("new", 75, "market")


@pytest.mark.parametrize("client", [False, True])
def test_a_broker_that_keeps_the_profit_is_asked_for_it_again(*, client: bool) -> None:
    trader = open_market()
    exits(trader, venue="ALPACA")
    name = trader.out["broker_orders"][0]["broker_order_id"]
    if client:
        trader.cancel(PROFIT)
    falls(trader, 2)
    trader.broker("cancel_rejected", name, "c1", reason="not yet")
    # A client that had asked for the same is told; the stop goes on asking.
    assert (f"{PROFIT} cancel_rejected" in trader.reports) is client
    falls(trader, 3.5)
    asked = [row["action"] for row in trader.out["broker_orders"]]
    assert asked == ["new", "cancel", "cancel"]
    trader.broker("cancelled", name, "c2")
    sent = trader.out["broker_orders"][-1]
    assert (sent["action"], sent["quantity"]) == ("new", 100)


def test_a_snapshot_of_before_pairs_has_the_quantity_that_was_left_to_the_stop() -> None:
    trader = open_market()
    exits(trader)
    rises(trader, 2, 30)
    head, arrays = unpack(trader.flow.snapshot(), Execution.name, 2)
    state = json.loads(arrays.pop("state").tobytes())
    (desk,) = state["desks"]
    del desk["pairs"]
    for one in desk["orders"]:
        del one["left_off"]
        if one["order"]["order_id"] == LOSS:
            # As the order system had asked for when it heard of the fill.
            one["order"]["quantity"] = 70 * 10**10
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    trader.flow = Execution(trader.params, pack(Execution.name, 2, head, arrays | {"state": text}))
    falls(trader, 3)
    assert [fill[:2] for fill in trader.fills] == [(PROFIT, "30"), (LOSS, "70")]


class Platform:
    """Order system and execution, each of which reads what the other gives as late as a test wants."""

    def __init__(self, *, smart_routing: bool) -> None:
        self.system = OrderSystem()
        self.trader = open_market(smart_routing=smart_routing)
        self.read = dict.fromkeys(("instructions", "order_reports", "executions"), 0)
        self.system.mark("AIG", 10.00, 10.02)
        self.system.new(
            limit_price="10.05",
            quantity="200",
            order_class="bracket",
            take_profit_price="10.10",
            stop_loss_price="9.90",
        )

    def instruct(self, most: int) -> None:
        rows = self.system.instructions[self.read["instructions"] :][:most]
        self.read["instructions"] += len(rows)
        for row in rows:
            self.trader.take(INSTRUCTIONS, [row])

    def answer(self, most: int) -> None:
        for topic in (ORDER_REPORTS, EXECUTIONS):
            rows = self.trader.out[topic.name][self.read[topic.name] :][:most]
            self.read[topic.name] += len(rows)
            for row in rows:
                self.system.feed(topic, row | {"ts_event": row["ts_event"].value})

    def move(self, cents: int, size: int) -> None:
        self.trader.at(self.trader.seconds + 0.0001)
        self.trader.quote(cents / 100, size, (cents + 2) / 100, size)
        self.trader.trade(cents / 100, size)

    @property
    def has_more(self) -> bool:
        rows = self.trader.out | {"instructions": self.system.instructions}
        return any(read < len(rows[name]) for name, read in self.read.items())

    @property
    def position(self) -> int:
        def signed(row: Row) -> Decimal:
            return Decimal(row["quantity"]) * (1 if row["side"] == "buy" else -1)

        return int(sum(map(signed, self.trader.out["executions"])))


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["PAPER", "any"]),
    st.lists(
        st.one_of(
            st.tuples(st.just("move"), st.integers(985, 1_015), st.sampled_from([30, 100, 700])),
            st.tuples(st.sampled_from(["instruct", "answer"]), st.integers(1, 4), st.just(0)),
            st.tuples(st.just("resume"), st.just(0), st.just(0)),
        ),
        min_size=20,
        max_size=80,
    ),
)
def test_a_bracket_never_sells_more_than_it_has_bought(
    venue: str, steps: list[tuple[str, int, int]]
) -> None:
    """With both flows as they are, whatever prices do and however far one is behind the other."""
    run = Platform(smart_routing=venue == "any")
    for what, value, size in steps:
        if what == "move":
            run.move(value, size)
        elif what == "instruct":
            run.instruct(value)
        elif what == "answer":
            run.answer(value)
        else:
            run.trader.resume()
            run.system.restart()
        assert run.position >= 0
    idle = 0
    # What waits for a venue's answer is on its way a while.
    while idle < 3:
        idle = 0 if run.has_more else idle + 1
        run.instruct(99)
        run.answer(99)
        run.trader.at(run.trader.seconds + 1).quote(10.00, 0, 10.02, 0)
    account = run.system.flow._blotters["A"]
    assert run.position >= 0
    assert account.account.holdings["AIG"].quantity == run.position * 10**10
    rejected = [one for one in run.system.events if one["event"] == "report_rejected"]
    # A report may be read behind the fill that it came before, but every fill fits.
    assert [one for one in rejected if one["execution_id"] is not None] == []
    # What is held has its exits, and both sides know the same of them.
    (desk,) = run.trader.flow._desks.values()
    known = account.known.orders
    assert {name for name, one in known.items() if one.is_open} == set(desk.orders)
    stops = [
        one.quantity - one.filled
        for name, one in known.items()
        if one.is_open and name.startswith(f"{order_id('c1')}-sl")
    ]
    assert sum(stops) == run.position * 10**10
