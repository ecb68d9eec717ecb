"""The order system: identifiers, replacements, cancellations, brackets and OCO, and what it remembers."""

from typing import Any

import pytest

from flows.flow import FlowError
from flows.oms import Oms, OmsParams
from flows.orders.desk import MAX_PENDING
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS
from schemas.instruments import INSTRUMENTS
from schemas.orders import ORDERS
from schemas.sessions import DAY_NS
from tests.flows.orders.order_system import (
    MARKET_NS,
    OrderSystem,
    Row,
    order_id,
    refusal,
    said,
)

OCO = {"order_class": "oco", "side": "sell"}


def sent(desk: OrderSystem, since: int = 0) -> list[tuple[str, str, str]]:
    """Action, which order of c1's family, and quantity of instructions."""
    base = order_id("c1")
    return [
        (
            one["action"],
            one["order_id"].removeprefix(base),
            f"{one['quantity']:f}".rstrip("0").rstrip("."),
        )
        for one in desk.instructions[since:]
    ]


def holding(desk: OrderSystem) -> tuple[int, int, int]:
    one = desk.flow._blotters["A"].account.holdings["AIG"]
    return one.quantity // 10**10, one.open_buy // 10**10, one.open_sell // 10**10


def with_params(desk: OrderSystem, **params: int) -> OrderSystem:
    desk.flow = Oms(OmsParams(**params), desk.flow.snapshot())
    return desk


def test_order_ids_are_what_the_clients_give_or_are_left_empty() -> None:
    desk = OrderSystem()
    assert refusal(desk.new(order_id="mine")) == ("order_id", order_id("c1"), "mine")
    assert said(desk.new(order_id=order_id("c1"))) == [("accepted", "accepted")]
    assert desk.cancel(order_id=order_id("c1"), client_order_id="whatever") == []
    assert sent(desk) == [("new", "", "100"), ("cancel", "", "100")]


def test_accounts_share_no_identifiers() -> None:
    desk = OrderSystem()
    desk.feed(ACCOUNTS, {"account": "B"})
    desk.feed(CASH_MOVEMENTS, {"account": "B", "movement_id": "first", "amount": "100000"})
    desk.new()
    events = desk.new(account="B")
    assert said(events) == [("accepted", "accepted")]
    assert events[0]["sequence"] == 1
    assert {one["order_id"] for one in desk.instructions} == {order_id("c1"), order_id("c1", "B")}


def test_a_replacement_goes_to_execution_and_holds_when_it_says_so() -> None:
    desk = OrderSystem()
    desk.new(display_quantity="10")
    assert desk.replace(quantity="120", limit_price="49", correlation_id="r") == []
    last = desk.instructions[-1]
    assert (last["action"], last["quantity"], last["limit_price"]) == ("replace", 120, 49)
    assert (last["display_quantity"], last["correlation_id"]) == (10, "r")
    assert holding(desk)[1] == 120
    (event,) = desk.report("replaced", quantity="120", limit_price="49")
    assert (event["event"], event["quantity"], event["limit_price"]) == ("replaced", 120, 49)
    desk.replace(quantity="50")
    desk.report("replaced", quantity="50", limit_price="49")
    assert holding(desk)[1] == 50


def test_a_replacement_builds_on_those_that_are_not_answered_yet() -> None:
    desk = OrderSystem()
    desk.new()
    desk.replace(quantity="150")
    desk.replace(limit_price="51")
    assert [(one["quantity"], one["limit_price"]) for one in desk.instructions[1:]] == [
        (150, 50),
        (150, 51),
    ]
    for at in range(MAX_PENDING - 2):
        desk.replace(quantity=str(160 + at))
    assert refusal(desk.replace(quantity="300"))[:2] == ("max_pending", str(MAX_PENDING))


@pytest.mark.parametrize(
    ("steps", "check"),
    [
        (["cancel"], "replace"),
        (["fill"], "quantity"),
        (["end"], "order"),
    ],
)
def test_what_cannot_be_replaced_is_refused(steps: list[str], check: str) -> None:
    desk = OrderSystem()
    desk.new()
    for step in steps:
        if step == "cancel":
            desk.cancel()
        elif step == "fill":
            desk.fill("60")
        else:
            desk.report("expired")
    events = desk.replace(quantity="50")
    assert events[0]["event"] == "replace_rejected"
    assert refusal(events)[0] == check


def test_commands_that_name_no_order_are_told() -> None:
    desk = OrderSystem()
    for events in (desk.cancel("nobody"), desk.replace("nobody", quantity="1")):
        assert events[0]["status"] == "unknown"
        assert events[0]["side"] is None
        assert refusal(events) == ("order", "an open order", order_id("nobody"))


def test_a_second_cancellation_is_told_until_the_first_is_answered() -> None:
    desk = OrderSystem()
    desk.new()
    assert desk.cancel() == []
    assert said(desk.cancel()) == [("cancel_rejected", "accepted")]
    desk.report("cancel_rejected", reason="too late")
    assert desk.cancel() == []
    assert said(desk.report("cancelled")) == [("cancelled", "cancelled")]
    assert holding(desk) == (0, 0, 0)


def test_cancel_all_means_what_is_open_of_the_symbol() -> None:
    desk = OrderSystem()
    desk.feed(INSTRUMENTS, {"symbol": "IBM"})
    for at, symbol in enumerate(["AIG", "IBM", "AIG", "AIG"], start=1):
        desk.new(f"c{at}", symbol=symbol, limit_price="20")
    desk.report("expired", "c3")
    count = len(desk.instructions)
    everything: Row = {"command": "cancel_all", "client_order_id": ""}
    assert desk.feed(ORDERS, everything | {"symbol": "AIG"}) == []
    assert [one["order_id"] for one in desk.instructions[count:]] == [
        order_id("c1"),
        order_id("c4"),
    ]
    assert desk.feed(ORDERS, everything) == []
    assert desk.instructions[-1]["order_id"] == order_id("c2")
    (event,) = desk.feed(ORDERS, everything)
    assert (event["event"], event["status"]) == ("cancel_rejected", "unknown")


def test_a_bracket_makes_its_exits_when_the_entry_is_filled() -> None:
    desk = OrderSystem()
    desk.bracket(strategy="s", correlation_id="k")
    assert said(desk.fill("100")) == [
        ("filled", "filled"),
        ("accepted", "accepted"),
        ("accepted", "accepted"),
    ]
    assert sent(desk, 1) == [("new", "-tp", "100"), ("new", "-sl", "100")]
    profit, loss = desk.instructions[1:]
    assert (profit["side"], profit["order_type"], profit["limit_price"]) == ("sell", "limit", 55)
    assert (loss["side"], loss["order_type"], loss["stop_price"]) == ("sell", "stop", 45)
    assert {one["parent_order_id"] for one in (profit, loss)} == {order_id("c1")}
    assert (loss["client_order_id"], loss["strategy"], loss["correlation_id"]) == (
        "c1-sl",
        "s",
        "k",
    )
    # One of the two can be filled, so that they count once.
    assert holding(desk) == (100, 0, 100)


def test_a_brackets_entry_that_is_cancelled_protects_what_was_filled() -> None:
    desk = OrderSystem()
    desk.bracket(stop_loss_limit_price="44.5")
    desk.fill("30")
    desk.report("cancelled", filled_quantity="30")
    assert sent(desk, 1) == [("new", "-tp", "30"), ("new", "-sl", "30")]
    assert desk.instructions[-1]["order_type"] == "stop_limit"
    assert desk.instructions[-1]["limit_price"] == pytest.approx(44.5)


def test_a_bracket_that_is_not_filled_makes_no_exits() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.report("expired")
    assert sent(desk) == [("new", "", "100")]


def test_a_filled_exit_cancels_the_other() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("100")
    desk.fill("100", "55", exit="-tp", side="sell")
    assert sent(desk, 3) == [("cancel", "-sl", "100")]
    assert holding(desk) == (0, 0, 100)  # until that is answered
    desk.report("cancelled", exit="-sl")
    assert holding(desk) == (0, 0, 0)


def test_a_partly_filled_exit_takes_as_much_off_the_other() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("100")
    events = desk.fill("30", "45", exit="-sl", side="sell")
    assert [(one["event"], one["quantity"], one["filled_quantity"]) for one in events] == [
        ("partially_filled", 100, 30),
        ("replaced", 70, 0),
    ]
    # The execution needs not be asked: it has taken that off itself.
    assert sent(desk, 3) == []
    assert holding(desk) == (70, 0, 70)
    desk.restart()
    desk.replace("", order_id=order_id("c1") + "-tp", limit_price="56")
    assert sent(desk, 3) == [("replace", "-tp", "100")]
    desk.report("replaced", exit="-tp", quantity="100", limit_price="56")
    desk.fill("70", "56", exit="-tp", side="sell")
    assert desk.events[-1]["status"] == "filled"
    assert sent(desk, 4) == [("cancel", "-sl", "100")]


def test_cancelling_one_exit_cancels_both() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("100")
    desk.cancel(order_id=order_id("c1") + "-tp")
    assert sent(desk, 3) == [("cancel", "-tp", "100")]
    desk.report("cancelled", exit="-tp")
    assert sent(desk, 4) == [("cancel", "-sl", "100")]


def test_the_price_of_an_exit_can_be_replaced_and_its_quantity_not() -> None:
    desk = OrderSystem(type="cash")
    desk.bracket()
    desk.fill("100")
    loss = order_id("c1") + "-sl"
    assert desk.replace(order_id=loss, stop_price="46") == []
    assert refusal(desk.replace(order_id=loss, stop_price="46.001"))[0] == "tick_size"
    assert refusal(desk.replace(order_id=loss, quantity="50"))[0] == "replace"
    assert holding(desk) == (100, 0, 100)


def test_an_oco_is_its_two_exits_and_has_their_fills() -> None:
    desk = OrderSystem()
    desk.new("c0")
    desk.fill("100", client="c0")
    events = desk.bracket(**OCO)
    assert said(events) == [("accepted", "accepted")] * 3
    assert sent(desk, 1) == [("new", "-tp", "100"), ("new", "-sl", "100")]
    assert holding(desk) == (100, 0, 100)
    events = desk.fill("40", "55", exit="-tp", side="sell")
    assert [(one["order_id"], one["event"]) for one in events] == [
        (order_id("c1") + "-tp", "partially_filled"),
        (order_id("c1"), "partially_filled"),
        (order_id("c1") + "-sl", "replaced"),
    ]
    events = desk.fill("60", "55", exit="-tp", side="sell")
    assert [(one["order_id"], one["event"]) for one in events] == [
        (order_id("c1") + "-tp", "filled"),
        (order_id("c1"), "filled"),
    ]
    assert sent(desk, 3) == [("cancel", "-sl", "100")]


def test_cancelling_an_oco_cancels_both_and_then_itself() -> None:
    desk = OrderSystem()
    desk.new("c0")
    desk.fill("100", client="c0")
    desk.bracket(**OCO)
    desk.fill("40", "55", exit="-tp", side="sell")
    desk.cancel()
    assert [one[:2] for one in sent(desk, 3)] == [("cancel", "-tp"), ("cancel", "-sl")]
    assert said(desk.report("cancelled", exit="-sl")) == [("cancelled", "cancelled")]
    events = desk.report("cancelled", exit="-tp", filled_quantity="40")
    assert [one["order_id"] for one in events] == [order_id("c1") + "-tp", order_id("c1")]
    assert (events[1]["status"], events[1]["filled_quantity"]) == ("cancelled", 40)
    assert refusal(desk.replace(quantity="10"))[0] == "order"


def test_an_oco_can_be_cancelled_again_where_a_broker_has_refused_it() -> None:
    desk = OrderSystem()
    desk.new("c0")
    desk.fill("100", client="c0")
    desk.bracket(**OCO)
    desk.cancel()
    desk.report("cancelled", exit="-sl")
    desk.report("cancel_rejected", exit="-tp", reason="try again")
    count = len(desk.instructions)
    desk.cancel()
    assert [one["order_id"] for one in desk.instructions[count:]] == [order_id("c1") + "-tp"]


def test_identifiers_of_exits_cannot_be_taken() -> None:
    desk = OrderSystem()
    desk.bracket()
    assert refusal(desk.new("c1-tp")) == ("client_order_id", "given to no other order", "c1-tp")
    desk.new("c2-sl")
    assert refusal(desk.bracket("c2")) == (
        "client_order_id",
        "given to no other order",
        "c2-sl",
    )
    assert said(desk.new("c3-tp")) == [("accepted", "accepted")]


def test_ended_orders_of_earlier_days_make_room_and_others_do_not() -> None:
    desk = with_params(OrderSystem(), max_orders=3, max_ended_whole=1)
    for client in ("c1", "c2", "c3"):
        desk.new(client)
    for client in ("c1", "c2"):
        desk.report("expired", client)
    assert refusal(desk.new("c4")) == ("max_orders", "3", "3")
    assert refusal(desk.new("c4"))[0] == "max_orders"  # was not remembered
    desk.mark("AIG", 49.99, 50.01, ts_event=MARKET_NS + DAY_NS)
    assert said(desk.new("c4")) == [("accepted", "accepted")]
    # c1 has left; c2, the last to have ended, is known whole still.
    assert desk.new("c2") == []
    assert said(desk.cancel("c1")) == [("cancel_rejected", "unknown")]
    assert said(desk.cancel("c3")) == []


def test_an_order_that_is_not_known_whole_any_more_keeps_its_identifier_and_status() -> None:
    desk = with_params(OrderSystem(), max_ended_whole=1)
    for client in ("c1", "c2"):
        desk.new(client)
        desk.fill("100", client=client)
    assert desk.new("c1") == []
    assert refusal(desk.new("c1", quantity="99")) == (
        "client_order_id",
        "given to no other order",
        "c1",
    )
    assert said(desk.cancel("c1")) == [("cancel_rejected", "filled")]
    assert said(desk.report("routed", "c1")) == [("report_rejected", "filled")]
    desk = with_params(desk, max_ended_whole=1)
    assert said(desk.cancel("c1")) == [("cancel_rejected", "filled")]


def test_movements_count_once_among_those_remembered() -> None:
    desk = with_params(OrderSystem(type="cash", funded=None), max_movements=2)
    for movement in ("m1", "m2", "m1", "m3", "m1"):
        desk.feed(CASH_MOVEMENTS, {"movement_id": movement, "amount": "10"})
    # m3 made m1 forgotten.
    assert desk.flow._blotters["A"].account.purses["USD"].cash == 40 * 10**10


def test_fills_change_cash_by_what_is_rounded_to_the_minor_unit() -> None:
    desk = OrderSystem(funded="1000")
    desk.feed(INSTRUMENTS, {"symbol": "AIG", "tick_size": 0.0001, "lot_size": None})
    for price in ("1.0005", "1.0015"):  # 10.005 and 10.015: half-even gives 10.00 and 10.02
        desk.fill("10", price, fees="0.5")
    assert desk.flow._blotters["A"].account.purses["USD"].cash == 97898 * 10**8


@pytest.mark.parametrize(
    ("params", "topic", "rows"),
    [
        (
            {"max_accounts": 1},
            ORDERS,
            [{"account": "B", "client_order_id": "c", "command": "cancel"}],
        ),
        ({"max_accounts": 1}, ACCOUNTS, [{"account": "B"}]),
        ({"max_keys": 1}, INSTRUMENTS, [{"symbol": "IBM"}]),
    ],
)
def test_bounds_of_the_state_say_which_to_raise(
    params: dict[str, int], topic: Any, rows: list[Row]
) -> None:
    desk = with_params(OrderSystem(), **params)
    with pytest.raises(FlowError, match="is one more than max_"):
        desk.feed(topic, *rows)
