"""What an account can pay: cash less what open purchases may cost, or leverage times equity."""

import pytest

from flows.oms import Oms, OmsParams
from flows.orders.plain_desk import MIN_ROWS
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS
from schemas.orders import ORDERS
from tests.flows.orders.order_system import NEW, OrderSystem, order_id, refusal, said

ACCEPTED = [("accepted", "accepted")]


def test_a_cash_account_spends_its_cash_less_open_buys() -> None:
    desk = OrderSystem(type="cash", funded="10000")
    assert said(desk.new("c1")) == ACCEPTED
    assert refusal(desk.new("c2", quantity="101")) == ("buying_power", "5000", "5050")
    assert said(desk.new("c3", quantity="100")) == ACCEPTED
    assert refusal(desk.new("c4", quantity="1")) == ("buying_power", "0", "50")
    desk.fill("100", "49.95", client="c1", fees="1.25")  # 3.75 less than was set aside
    assert refusal(desk.new("c5", quantity="1"))[1] == "3.75"
    desk.report("cancelled", "c3")
    assert said(desk.new("c6")) == ACCEPTED
    desk.feed(CASH_MOVEMENTS, {"movement_id": "out", "amount": "-3.75", "kind": "withdrawal"})
    desk.feed(CASH_MOVEMENTS, {"movement_id": "out", "amount": "-3.75", "kind": "withdrawal"})
    assert refusal(desk.new("c7", quantity="1"))[1] == "0"


def test_a_margin_account_has_its_leverage_times_its_equity() -> None:
    desk = OrderSystem(funded="10000")
    assert said(desk.new("c1", quantity="400")) == ACCEPTED  # Regulation T: twice 10,000
    assert refusal(desk.new("c2", quantity="1")) == ("buying_power", "0", "50")
    desk.feed(ACCOUNTS, {"leverage": "4"})
    assert said(desk.new("c3", quantity="400")) == ACCEPTED
    desk.report("cancelled", "c3")
    desk.fill("400", "50", client="c1")
    desk.mark("AIG", 59.99, 60.01)
    # Equity 14,000, leverage 4, position 24,000: 32,000 are left.
    assert refusal(desk.new("c4", quantity="534", limit_price="60")) == (
        "buying_power",
        "32000",
        "32040",
    )
    assert said(desk.new("c5", quantity="533", limit_price="60")) == ACCEPTED


def test_a_market_buy_is_valued_at_the_ask_and_a_stop_at_its_stop() -> None:
    desk = OrderSystem(type="cash", funded="5001")
    market = {"order_type": "market", "limit_price": None}
    assert said(desk.new("c1", **market)) == ACCEPTED
    desk.report("cancelled", "c1")
    assert refusal(desk.new("c2", quantity="101", **market))[2] == "5051.01"
    stop = {"order_type": "stop", "limit_price": None, "stop_price": "55"}
    assert refusal(desk.new("c3", **stop))[2] == "5500"
    trail = {"order_type": "trailing_stop", "limit_price": None, "trail_percent": "10"}
    assert refusal(desk.new("c4", **trail))[2] == "5501.1"


@pytest.mark.parametrize("count", [1, MIN_ROWS], ids=["one by one", "by column"])
def test_a_market_order_with_a_limit_buys_no_more_than_can_be_paid(count: int) -> None:
    """It counted at its limit, which the execution leaves out: a cash account could spend what it has not."""
    desk = OrderSystem(type="cash", funded="100")
    orders = [{"client_order_id": f"c{at}", "order_id": order_id(f"c{at}")} for at in range(count)]
    market = NEW | {"order_type": "market", "limit_price": "0.01", "quantity": "100"}
    events = desk.feed(ORDERS, *(market | one for one in orders))
    assert said(events) == [("rejected", "rejected")] * count
    assert refusal(events[:1]) == ("limit_price", "none of type market", "0.01")


@pytest.mark.parametrize(
    "terms",
    [
        {"order_type": "stop", "stop_price": "55"},
        {"order_type": "trailing_stop", "trail_amount": "1"},
    ],
    ids=["stop", "trailing stop"],
)
def test_a_stop_that_becomes_a_market_order_has_no_limit(terms: dict[str, str]) -> None:
    """It was triggered, and then neither filled at any price nor sent to a venue to rest."""
    (event,) = OrderSystem().new(limit_price="1", **terms)
    assert (event["event"], event["check"]) == ("rejected", "limit_price")
    assert "say order_type stop_limit" in event["reason"]


def test_a_replacement_gives_a_market_order_no_limit() -> None:
    desk = OrderSystem()
    desk.new(order_type="market", limit_price=None)
    assert refusal(desk.replace(limit_price="1"))[0] == "limit_price"


def test_an_oco_to_buy_needs_and_ties_up_what_its_dearer_exit_may_cost() -> None:
    oco = {"order_class": "oco", "order_type": "market", "limit_price": None}
    oco |= {"take_profit_price": "45", "stop_loss_price": "95"}
    desk = OrderSystem(type="cash", funded="14000")
    assert refusal(desk.new("c1", quantity="150", **oco)) == ("buying_power", "14000", "14250")
    desk.new("c2", **oco)
    assert refusal(desk.new("c3"))[1] == "4500"
    desk.replace("", order_id=order_id("c2") + "-sl", stop_price="100")
    assert refusal(desk.new("c4"))[1] == "4000"
    desk.report("replace_rejected", client="c2", exit="-sl")
    assert refusal(desk.new("c5"))[1] == "4500"
    # The limit stays alone.
    desk.report("rejected", client="c2", exit="-sl")
    assert refusal(desk.new("c6", quantity="200"))[1] == "9500"


@pytest.mark.parametrize("kind", ["cash", "margin"])
def test_what_is_held_can_be_sold_while_no_rate_of_its_currency_is_known(kind: str) -> None:
    desk = OrderSystem(type=kind)
    desk.new()
    desk.fill("100")
    desk.feed(ACCOUNTS, {"type": kind, "currency": "EUR"})
    assert refusal(desk.new("c2"))[0] == "currency"
    assert said(desk.new("c3", side="sell", limit_price="51")) == ACCEPTED
    desk.feed(ACCOUNTS, {"type": kind, "currency": "EUR", "max_order_notional": "5000"})
    # There is a limit, and nobody can say what it is.
    assert refusal(desk.replace("c3", limit_price="52"))[0] == "currency"


def test_what_is_worth_less_than_half_a_tick_is_worth_something() -> None:
    desk = OrderSystem(type="cash", funded="1")
    desk.mark("AIG", 0.003, 0.004)
    market = {"order_type": "market", "limit_price": None}
    refused = ("buying_power", "1", "4000")
    assert refusal(desk.new("c1", quantity="1000000", **market)) == refused
    desk.restart()
    assert refusal(desk.new("c2", quantity="1000000", **market)) == refused


def test_a_purchase_without_a_limit_needs_and_ties_up_a_cushion() -> None:
    desk = OrderSystem(type="cash", funded="10251")
    desk.flow = Oms(OmsParams(market_cushion_bps=500), desk.flow.snapshot())
    market = {"order_type": "market", "limit_price": None}
    assert said(desk.new("c1", **market)) == ACCEPTED
    # 10251 less 100 at 50.01 and 5 percent is 4999.95.
    assert refusal(desk.new("c2"))[1:] == ("4999.95", "5000")
    assert said(desk.new("c3", limit_price="49.99")) == ACCEPTED
    desk.report("cancelled", "c3")
    desk.fill("100", "50.01")
    assert said(desk.new("c4")) == ACCEPTED
