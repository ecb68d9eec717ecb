"""Pre-trade checks: each refuses what it must, names itself, its limit and the value, and lets the edge pass."""

from typing import Any

import pytest

from flows.orders.market import Market
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS
from schemas.instruments import INSTRUMENTS
from tests.flows.orders.order_system import (
    ENTRY_NS,
    MARKET_NS,
    OrderSystem,
    batch_of,
    order_id,
    refusal,
    said,
)

ACCEPTED = [("accepted", "accepted")]
REJECTED = [("rejected", "rejected")]
_MS = 1_000_000


def test_an_order_that_passes_is_accepted_and_sent_on() -> None:
    desk = OrderSystem()
    assert said(desk.new()) == ACCEPTED
    (sent,) = desk.instructions
    assert (sent["action"], sent["order_id"], sent["quantity"]) == ("new", order_id("c1"), 100)


def test_an_unknown_account_may_do_nothing() -> None:
    desk = OrderSystem()
    assert refusal(desk.new(account="B")) == ("account", "a row in accounts", "B")
    assert refusal(desk.new(account="*")) == ("account", "an account of its own", "*")
    assert not desk.instructions


def test_an_unknown_instrument_is_refused_and_one_that_is_listed_later_at_its_time() -> None:
    desk = OrderSystem()
    refused = desk.new(symbol="XYZ")
    assert refusal(refused) == ("instrument", "listed in instruments", "XYZ")
    assert "`tapeflow feed FILE.csv`" in refused[0]["reason"]
    desk.feed(INSTRUMENTS, {"symbol": "XYZ", "ts_event": MARKET_NS + 60_000_000_000})
    assert refusal(desk.new("c2", symbol="XYZ"))[0] == "instrument"
    desk.mark("AIG", 49.99, 50.01, ts_event=MARKET_NS + 60_000_000_000)
    assert said(desk.new("c3", symbol="XYZ")) == ACCEPTED
    desk.feed(INSTRUMENTS, {"symbol": "XYZ", "ts_event": MARKET_NS, "is_active": False})
    assert said(desk.new("c4", symbol="XYZ")) == ACCEPTED  # the newer row holds
    desk.feed(
        INSTRUMENTS,
        {"symbol": "XYZ", "ts_event": MARKET_NS + 61_000_000_000, "is_active": False},
    )
    desk.mark("AIG", 49.99, 50.01, ts_event=MARKET_NS + 61_000_000_000)
    assert refusal(desk.new("c5", symbol="XYZ"))[0] == "instrument"


def test_before_the_first_mark_of_all_an_instrument_is_as_it_is_listed_last() -> None:
    market = Market(9)
    market.take_instruments(batch_of(INSTRUMENTS, [{"symbol": "XYZ", "ts_event": MARKET_NS}]))
    found = market.listed("XYZ")
    assert found is not None
    assert (found.currency, found.price) == ("USD", None)
    assert market.listed("AIG") is None
    market.pass_time(MARKET_NS - 1)
    assert market.listed("XYZ") is None
    market.pass_time(MARKET_NS)
    assert market.listed("XYZ") is found


def test_each_symbol_lives_in_the_time_of_its_own_marks() -> None:
    """One symbol's history may be fed while another's market is open."""
    desk = OrderSystem()
    day = 86_400_000_000_000
    desk.feed(INSTRUMENTS, {"symbol": "AIG", "ts_event": MARKET_NS + 5 * day, "is_active": False})
    desk.feed(INSTRUMENTS, {"symbol": "IBM"})
    desk.mark("IBM", 180.0, 180.02, ts_event=MARKET_NS + 10 * day)
    gtd = {"time_in_force": "gtd", "ts_expire": MARKET_NS + day}
    events = desk.new("c1", **gtd)
    assert said(events) == ACCEPTED
    assert events[0]["ts_event"] == MARKET_NS + 10 * day
    assert refusal(desk.new("c2", symbol="IBM", **gtd)) == (
        "ts_expire",
        "2013-10-17T13:30:00.000000000Z",
        "2013-10-08T13:30:00.000000000Z",
    )
    desk.mark("AIG", 49.99, 50.01, ts_event=MARKET_NS + 5 * day)
    assert refusal(desk.new("c3"))[0] == "instrument"


@pytest.mark.parametrize(("who", "words"), [("A", "account A"), ("*", "the firm")])
def test_the_kill_switch_stops_new_orders_until_it_is_off(who: str, words: str) -> None:
    desk = OrderSystem()
    desk.feed(ACCOUNTS, {"account": who, "halted": True})
    events = desk.new()
    assert refusal(events) == ("kill_switch", "not halted", who)
    assert words in events[0]["reason"]
    desk.feed(ACCOUNTS, {"account": who, "halted": False})
    assert said(desk.new("c2")) == ACCEPTED


def test_the_kill_switch_lets_orders_be_cancelled_and_not_replaced() -> None:
    desk = OrderSystem()
    desk.new()
    desk.feed(ACCOUNTS, {"account": "*", "halted": True})
    assert refusal(desk.replace(quantity="50"))[0] == "kill_switch"
    assert desk.cancel() == []
    assert desk.instructions[-1]["action"] == "cancel"


@pytest.mark.parametrize("who", ["A", "*"])
def test_restricted_symbols_are_refused_by_account_and_by_firm(who: str) -> None:
    desk = OrderSystem()
    desk.feed(ACCOUNTS, {"account": who, "restricted": "IBM, AIG"})
    assert refusal(desk.new()) == ("restricted", "not restricted", "AIG")


@pytest.mark.parametrize(
    ("terms", "value"),
    [
        ({"limit_price": "50.005"}, "50.005"),
        ({"order_type": "stop", "limit_price": None, "stop_price": "51.001"}, "51.001"),
    ],
)
def test_prices_are_multiples_of_the_tick(terms: dict[str, Any], value: str) -> None:
    assert refusal(OrderSystem().new(**terms)) == ("tick_size", "0.01", value)


def test_shares_are_whole_and_other_quantities_multiples_of_the_lot() -> None:
    desk = OrderSystem()
    assert said(desk.new(quantity="7")) == ACCEPTED
    assert refusal(desk.new("c2", quantity="7.5")) == ("lot_size", "1", "7.5")
    desk.feed(INSTRUMENTS, {"symbol": "ES", "type": "future", "lot_size": 5.0, "tick_size": 0.25})
    assert refusal(desk.new("c3", symbol="ES", quantity="7")) == ("lot_size", "5", "7")
    assert said(desk.new("c4", symbol="ES", quantity="10")) == ACCEPTED


@pytest.mark.parametrize(
    ("limit", "check"),
    [
        ({"max_order_quantity": "99"}, ("order_quantity", "99", "100")),
        ({"max_order_notional": "4999.99"}, ("order_notional", "4999.99", "5000")),
        ({"max_position_quantity": "99.5"}, ("position_quantity", "99.5", "100")),
        ({"max_position_notional": "4999"}, ("position_notional", "4999", "5000")),
        ({"max_gross_notional": "4999"}, ("gross_notional", "4999", "5000")),
    ],
)
def test_limits_of_size_refuse_above_and_pass_at_the_limit(
    limit: dict[str, str], check: tuple[str, str, str]
) -> None:
    assert refusal(OrderSystem(**limit).new()) == check
    (name,) = limit
    for enough in ({name: check[2]}, {name: None}):
        assert said(OrderSystem(**enough).new()) == ACCEPTED


def test_the_tighter_of_account_and_firm_holds() -> None:
    desk = OrderSystem(max_order_quantity="200")
    desk.feed(ACCOUNTS, {"account": "*", "max_order_quantity": "50"})
    assert refusal(desk.new()) == ("order_quantity", "50", "100")
    desk.feed(ACCOUNTS, {"account": "*", "max_order_quantity": "500"})
    assert refusal(desk.new("c2", quantity="300")) == ("order_quantity", "200", "300")


def test_the_firms_notional_limit_is_in_the_firms_currency() -> None:
    desk = OrderSystem()
    desk.feed(ACCOUNTS, {"account": "*", "currency": "EUR", "max_order_notional": "4000"})
    assert refusal(desk.new()) == ("order_notional", "0", "5000")  # no rate: nothing is allowed
    desk.mark("EURUSD", 1.24, 1.26)
    assert said(desk.new("c2")) == ACCEPTED
    assert refusal(desk.new("c3", quantity="101")) == ("order_notional", "5000", "5050")


def test_open_orders_count_in_positions_and_ended_ones_do_not() -> None:
    desk = OrderSystem(max_position_quantity="250")
    desk.new("c1")
    desk.new("c2")
    assert refusal(desk.new("c3")) == ("position_quantity", "250", "300")
    desk.report("cancelled", "c1")
    assert said(desk.new("c4")) == ACCEPTED
    desk.fill("100", client="c2")
    desk.fill("100", client="c4")
    assert refusal(desk.new("c5")) == ("position_quantity", "250", "300")
    assert said(desk.new("c6", side="sell", quantity="200")) == ACCEPTED


def test_a_limit_on_positions_does_not_keep_one_from_being_closed() -> None:
    desk = OrderSystem()
    desk.new()
    desk.fill("100")
    desk.feed(ACCOUNTS, {"max_position_quantity": "10", "max_gross_notional": "1"})
    assert said(desk.new("c2", side="sell", limit_price="50.01")) == ACCEPTED


def test_a_limit_beyond_the_collar_is_refused_on_either_side() -> None:
    desk = OrderSystem(price_collar="0.1")
    assert said(desk.new("c1", limit_price="55.01")) == ACCEPTED  # 50.01 x 1.1 = 55.011
    assert refusal(desk.new("c2", limit_price="55.02")) == ("price_collar", "55.011", "55.02")
    assert said(desk.new("c3", limit_price="1")) == ACCEPTED
    short = {"side": "sell_short", "locate_id": "L"}
    desk = OrderSystem(price_collar="0.1", self_trade_allowed=True)
    assert said(desk.new("c4", limit_price="45", **short)) == ACCEPTED  # 49.99 x 0.9 = 44.991
    assert refusal(desk.new("c5", limit_price="44.99", **short)) == (
        "price_collar",
        "44.991",
        "44.99",
    )


def test_a_limit_at_the_very_edge_of_the_collar_passes() -> None:
    desk = OrderSystem(price_collar="0.1", self_trade_allowed=True, easy_to_borrow="AIG")
    desk.mark("AIG", 50.0, 50.0)
    assert said(desk.new("c1", limit_price="55")) == ACCEPTED
    assert said(desk.new("c2", side="sell_short", limit_price="45")) == ACCEPTED


def test_without_any_price_the_collar_lets_nothing_pass() -> None:
    desk = OrderSystem(price_collar="0.1")
    desk.feed(INSTRUMENTS, {"symbol": "IBM"})
    assert refusal(desk.new(symbol="IBM")) == ("price_collar", "a price in marks", "50")


def test_a_market_order_needs_a_price_to_be_valued_at() -> None:
    desk = OrderSystem()
    desk.feed(INSTRUMENTS, {"symbol": "IBM"})
    market = {"symbol": "IBM", "order_type": "market", "limit_price": None}
    assert refusal(desk.new(**market)) == ("market_price", "a price in marks", "IBM")
    desk.mark("IBM", None, None, price=180.0)
    assert said(desk.new("c2", **market)) == ACCEPTED


@pytest.mark.parametrize(
    ("account", "terms", "passes"),
    [
        ({}, {"side": "sell"}, False),
        ({}, {"side": "sell_short"}, False),
        ({}, {"side": "sell_short", "locate_id": "L1"}, True),
        ({"easy_to_borrow": "IBM,AIG"}, {"side": "sell_short"}, True),
        ({"type": "cash"}, {"side": "sell_short", "locate_id": "L1"}, False),
    ],
)
def test_a_short_sale_says_so_and_has_a_locate(
    account: dict[str, str], terms: dict[str, str], *, passes: bool
) -> None:
    events = OrderSystem(**account).new(limit_price="60", **terms)
    if passes:
        assert said(events) == ACCEPTED
    else:
        assert refusal(events) == ("short_sale", "0", "100")


def test_what_is_held_is_sold_once_only() -> None:
    desk = OrderSystem(type="cash")
    desk.new()
    desk.fill("100")
    assert said(desk.new("c2", side="sell", quantity="60", limit_price="60")) == ACCEPTED
    assert refusal(desk.new("c3", side="sell", quantity="50", limit_price="60")) == (
        "short_sale",
        "40",
        "50",
    )


def test_futures_are_sold_without_a_locate() -> None:
    desk = OrderSystem()
    desk.feed(INSTRUMENTS, {"symbol": "ES", "type": "future", "lot_size": 1.0, "tick_size": 0.25})
    assert said(desk.new(symbol="ES", side="sell", quantity="1")) == ACCEPTED


def test_an_equal_order_within_the_window_is_a_duplicate() -> None:
    desk = OrderSystem(duplicate_window_ms=500)
    desk.new("c1")
    assert refusal(desk.new("c2", ts_event=ENTRY_NS + 499 * _MS)) == (
        "duplicate_order",
        "500 ms",
        "499 ms",
    )
    assert said(desk.new("c3", quantity="99", ts_event=ENTRY_NS + 499 * _MS)) == ACCEPTED
    assert said(desk.new("c4", ts_event=ENTRY_NS + 500 * _MS)) == ACCEPTED


def test_the_longer_of_two_duplicate_windows_and_the_lower_of_two_rates_hold() -> None:
    desk = OrderSystem(duplicate_window_ms=100, max_orders_per_second=9)
    desk.feed(ACCOUNTS, {"account": "*", "duplicate_window_ms": 500, "max_orders_per_second": 2})
    desk.new("c1")
    assert refusal(desk.new("c2", ts_event=ENTRY_NS + 499 * _MS))[1] == "500 ms"
    desk.new("c3", quantity="1")
    assert refusal(desk.new("c4", quantity="2"))[:2] == ("rate_limit", "2")


def test_no_more_orders_than_the_limit_come_within_any_second() -> None:
    desk = OrderSystem(max_orders_per_second=2)
    desk.new("c1")
    desk.new("c2", quantity="1", ts_event=ENTRY_NS + 600 * _MS)
    later = ENTRY_NS + 999 * _MS
    assert refusal(desk.new("c3", quantity="2", ts_event=later)) == ("rate_limit", "2", "3")
    assert refusal(desk.replace("c1", quantity="3", ts_event=later))[0] == "rate_limit"
    assert desk.cancel("c1", ts_event=later) == []
    assert said(desk.new("c4", quantity="2", ts_event=ENTRY_NS + 1_000 * _MS)) == ACCEPTED
    assert refusal(desk.new("c5", quantity="2", ts_event=ENTRY_NS + 1_599 * _MS))[0] == "rate_limit"


def test_an_order_must_not_meet_its_accounts_own() -> None:
    desk = OrderSystem(easy_to_borrow="AIG")
    desk.new("b1", limit_price="49")
    desk.new("b2", limit_price="49.5")
    assert said(desk.new("s1", side="sell_short", limit_price="49.51")) == ACCEPTED
    assert refusal(desk.new("s2", side="sell_short", limit_price="49.5")) == (
        "self_trade",
        order_id("b2"),
        "49.5",
    )
    market = {"order_type": "market", "limit_price": None}
    assert refusal(desk.new("b3", **market)) == ("self_trade", order_id("s1"), "market")
    assert refusal(desk.new("b4", limit_price="49.51"))[:2] == ("self_trade", order_id("s1"))
    desk.report("cancelled", "b2")
    assert said(desk.new("s3", side="sell_short", limit_price="49.01")) == ACCEPTED
    desk.feed(ACCOUNTS, {"self_trade_allowed": True, "easy_to_borrow": "AIG"})
    assert said(desk.new("s4", side="sell_short", limit_price="49")) == ACCEPTED


def test_a_stop_meets_nothing_before_it_is_triggered() -> None:
    desk = OrderSystem(easy_to_borrow="AIG")
    stop = {"order_type": "stop", "limit_price": None, "stop_price": "51"}
    assert said(desk.new("c1", **stop)) == ACCEPTED
    assert said(desk.new("c2", side="sell_short", limit_price="60")) == ACCEPTED
    desk.report("triggered", "c1")
    assert refusal(desk.new("c3", side="sell_short", limit_price="60"))[:2] == (
        "self_trade",
        order_id("c1"),
    )


def test_other_currencies_count_by_their_rate_and_not_without_one() -> None:
    desk = OrderSystem(type="cash", funded="1000")
    desk.feed(INSTRUMENTS, {"symbol": "SAP", "currency": "EUR"})
    order = {"symbol": "SAP", "quantity": "10", "limit_price": "100"}
    assert refusal(desk.new("c1", **order)) == ("currency", "USD", "EUR")
    desk.mark("EURUSD", 1.29, 1.31)
    assert refusal(desk.new("c2", **order)) == ("buying_power", "1000", "1300")
    desk.feed(CASH_MOVEMENTS, {"movement_id": "m2", "amount": "1000", "currency": "EUR"})
    assert refusal(desk.new("c3", **(order | {"quantity": "18"}))) == (
        "buying_power",
        "2300",
        "2340",
    )
    assert said(desk.new("c4", **(order | {"quantity": "17"}))) == ACCEPTED
    # 1,700 euros are set aside: 90 dollars are left.
    assert refusal(desk.new("c5", **(order | {"quantity": "1"}))) == ("buying_power", "90", "130")


def test_an_order_whose_value_no_decimal_holds_is_refused() -> None:
    desk = OrderSystem(self_trade_allowed=True)
    huge = "9" * 28
    events = desk.new(quantity=huge, limit_price="2")
    assert refusal(events) == ("decimal_range", f"{huge}.9999999999", str(2 * int(huge)))
    assert refusal(desk.new("c2", quantity=huge, limit_price="1"))[0] == "buying_power"


@pytest.mark.parametrize(
    ("terms", "check"),
    [
        ({"time_in_force": "gtd", "ts_expire": MARKET_NS}, "ts_expire"),
        ({"display_quantity": "101"}, "display_quantity"),
        (
            {"order_class": "bracket", "take_profit_price": "49", "stop_loss_price": "48"},
            "exits",
        ),
        ({"order_class": "oco", "take_profit_price": "60", "stop_loss_price": "40"}, "exits"),
    ],
)
def test_orders_that_contradict_themselves_are_refused(terms: dict[str, Any], check: str) -> None:
    assert refusal(OrderSystem().new(**terms))[0] == check


def test_a_replacement_is_checked_for_what_it_adds() -> None:
    desk = OrderSystem(type="cash", funded="10000")
    desk.new("c1")
    assert refusal(desk.replace(quantity="201")) == ("buying_power", "10000", "10050")
    assert desk.replace(quantity="200") == []
    # Until it is answered the larger of both counts.
    assert refusal(desk.new("c2", quantity="1"))[1] == "0"
    desk.report("replace_rejected", quantity="100")
    assert said(desk.new("c3", quantity="100")) == ACCEPTED


def test_the_same_checks_after_a_restart() -> None:
    one, other = (OrderSystem(funded="20000", duplicate_window_ms=500) for _ in range(2))
    for desk in (one, other):
        desk.new("c1")
        desk.fill("60")
        desk.new("c2", side="sell", quantity="50", limit_price="51")
        if desk is other:
            desk.restart()
        desk.mark("AIG", 40.99, 41.01)
        desk.new("c3", limit_price="51.5")
        desk.new("c4", side="sell", quantity="50", limit_price="51")
        desk.new("c5", quantity="10000", limit_price="41")
    assert one.events == other.events
    assert refusal(one.events[-3:-2])[0] == "self_trade"
