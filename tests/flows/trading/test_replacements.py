"""Replacements of orders at work: their place in the queue, what may be changed, and when."""

import json

import numpy as np
import pytest

from flows.execution import Execution
from flows.orders.money import ONE
from flows.snapshot import pack, unpack
from tests.flows.trading.executing import CLOSE_S, OPEN_NS, SECOND_NS, Trader, open_market


def test_a_smaller_quantity_keeps_the_place_in_the_queue() -> None:
    trader = open_market()
    trader.order("o", limit_price="10.00", quantity=100)
    trader.order("p", limit_price="10.00", quantity=100)
    trader.replace("o", limit_price="10.00", quantity=60)
    assert trader.last_report["reason"] == "its place in the queue is kept"
    trader.at(2).trade(10.00, 350)
    assert trader.fills == [("o", "50", "10", "added")]
    assert trader.reports == ["o routed", "p routed", "o replaced"]


@pytest.mark.parametrize(
    ("first", "terms"),
    [
        ("10.00", {"limit_price": "10.00", "quantity": 120}),
        ("9.99", {"limit_price": "10.00", "quantity": 100}),
    ],
)
def test_more_or_another_price_goes_to_the_back(first: str, terms: dict[str, object]) -> None:
    trader = open_market()
    trader.order("o", limit_price=first, quantity=100)
    trader.order("p", limit_price="10.00", quantity=100)
    trader.replace("o", **terms)
    assert trader.last_report["reason"] == "its place in the queue is lost"
    trader.at(2).trade(10.00, 350)
    assert trader.fills == [("p", "50", "10", "added")]


@pytest.mark.parametrize("terms", [{"time_in_force": "at_open"}, {"venue": "ALPACA"}])
def test_nothing_is_said_of_a_queue_that_is_not_or_is_a_brokers(terms: dict[str, str]) -> None:
    trader = Trader()
    trader.at(-600).quote(10.00, 300, 10.02, 200)
    trader.order(limit_price="10.00", **terms)
    trader.replace(limit_price="10.01", **terms)
    if "venue" in terms:
        trader.broker("replaced", "o-1.1", "r")
    assert trader.last_report["report"] == "replaced"
    assert trader.last_report["reason"] is None


def test_a_replacement_to_a_better_price_takes() -> None:
    trader = open_market()
    trader.order(limit_price="10.00", quantity=100)
    trader.replace(limit_price="10.02", quantity=150)
    assert trader.fills == [("o", "150", "10.02", "removed")]
    assert trader.reports == ["o routed", "o replaced"]


def test_what_is_filled_cannot_be_taken_back() -> None:
    trader = open_market()
    trader.order(limit_price="10.00", quantity=400)
    trader.at(2).trade(9.99, 150)
    trader.replace(limit_price="10.00", quantity=150)
    assert trader.last_report["report"] == "replace_rejected"
    assert trader.last_report["reason"] == "so much is filled already"


def test_a_replacement_that_comes_too_late_is_refused() -> None:
    trader = open_market()
    trader.order(limit_price="10.00", quantity=100, venue="N")
    trader.at(2).quote(10.00, 300, 10.02, 200)
    trader.replace(limit_price="10.00", quantity=80)
    trader.at(2.0001).trade(9.99, 500)
    assert trader.fills == [("o", "100", "10", "added")]
    assert trader.reports == ["o routed", "o replace_rejected"]


def test_a_stop_that_is_held_is_replaced_at_once() -> None:
    trader = open_market()
    trader.order(side="sell", order_type="stop", stop_price="9.90")
    trader.replace(side="sell", order_type="stop", stop_price="9.80", quantity=50)
    trader.at(2).trade(9.85, 100)
    assert trader.reports == ["o replaced"]
    trader.at(3).trade(9.80, 100)
    assert trader.fills == [("o", "50", "10", "removed")]


@pytest.mark.parametrize(
    ("terms", "other"),
    [
        ({"order_type": "stop_limit", "stop_price": "10.01"}, {"stop_price": "10.50"}),
        ({"order_type": "trailing_stop", "trail_amount": "0.01"}, {"trail_amount": "0.50"}),
    ],
)
def test_a_stop_that_was_triggered_has_no_other_stop(
    terms: dict[str, str], other: dict[str, str]
) -> None:
    """Who moved it away was told that it was replaced, while it stood in the market already."""
    trader = open_market()
    trader.order(limit_price="9.90", **terms)
    trader.at(2).trade(10.03, 100)
    assert trader.reports[-1] == "o routed"
    trader.replace(**({"limit_price": "9.90"} | terms | other))
    assert (trader.reports[-1], trader.last_report["reason"]) == (
        "o replace_rejected",
        "it was triggered before",
    )
    trader.resume()
    trader.replace(**({"limit_price": "9.90", "quantity": 50} | terms))
    assert trader.reports[-1] == "o replaced"


def test_a_gtd_orders_new_date_counts() -> None:
    trader = open_market()
    later = OPEN_NS + 20 * SECOND_NS
    trader.order(limit_price="9.00", time_in_force="gtd", ts_expire=OPEN_NS + 10 * SECOND_NS)
    trader.replace(limit_price="9.00", time_in_force="gtd", ts_expire=later)
    trader.at(15).trade(10.0, 1)
    assert trader.reports == ["o routed", "o replaced"]
    trader.at(21).trade(10.0, 1)
    assert trader.last_report["report"] == "expired"
    assert trader.last_report["ts_event"].value == later


def test_a_day_order_can_be_made_to_last() -> None:
    trader = open_market()
    trader.order(limit_price="9.50")
    trader.replace(limit_price="9.50", time_in_force="gtc")
    trader.at(CLOSE_S + 1).trade(9.40, 10)
    assert trader.reports == ["o routed", "o replaced"]
    trader.replace(limit_price="9.50", time_in_force="ioc")
    assert trader.last_report["reason"] == "time in force can be replaced among day, gtc, gtd"


def test_another_display_quantity_goes_to_the_back() -> None:
    trader = open_market()
    trader.order("o", limit_price="10.00", quantity=100)
    trader.order("p", limit_price="10.00", quantity=100)
    trader.replace("o", limit_price="10.00", quantity=100, display_quantity=20)
    trader.at(2).trade(10.00, 410)
    assert trader.fills == [("p", "100", "10", "added"), ("o", "10", "10", "added")]


def test_a_peg_stands_at_its_new_offset() -> None:
    """It was told as replaced, and stood where it had stood."""
    trader = open_market()
    peg = {"order_type": "pegged", "peg": "primary"}
    trader.order(**peg)
    trader.replace(**peg, peg_offset="0.01")
    trader.resume()
    assert trader.last_report["reason"] == "its place in the queue is lost"
    trader.at(2).trade(10.01, 30)
    trader.replace(**peg, peg_offset="0.02")
    assert trader.fills == [("o", "30", "10.01", "added"), ("o", "70", "10.02", "removed")]


def test_an_offset_that_no_peg_may_have_is_refused() -> None:
    trader = open_market()
    trader.order(order_type="pegged", peg="primary")
    trader.replace(order_type="pegged", peg="primary", peg_offset="10000000000000")
    assert trader.last_report["reason"] == "peg_offset must be below 10 trillion"


def test_a_replacement_that_an_earlier_version_had_under_way_leaves_the_offset() -> None:
    trader = open_market()
    peg = {"order_type": "pegged", "peg": "primary", "venue": "N", "peg_offset": "-0.10"}
    trader.order(**peg)
    trader.at(2).quote(10.00, 300, 10.02, 200)
    trader.replace(**peg, quantity=50)
    head, arrays = unpack(trader.flow.snapshot(), Execution.name, 2)
    state = json.loads(arrays.pop("state").tobytes())
    (order,) = state["desks"][0]["orders"]
    assert order["replacing"].pop() == -ONE // 10
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    trader.flow = Execution(trader.params, pack(Execution.name, 2, head, arrays | {"state": text}))
    trader.at(3).quote(10.00, 300, 10.02, 250)
    assert trader.last_report["reason"] == "its place in the queue is kept"
    trader.at(4).trade(9.89, 500)
    assert trader.fills == [("o", "50", "9.9", "added")]


def test_replacements_wait_for_one_another() -> None:
    trader = open_market()
    trader.order(limit_price="9.90", quantity=100, venue="N")
    trader.at(2).quote(10.00, 300, 10.02, 200)
    for quantity in (90, 80, 70):
        trader.replace(limit_price="9.90", quantity=quantity)
    assert trader.reports == ["o routed"]
    trader.resume()
    for at in (3, 4, 5):
        trader.at(at).quote(10.00, 300, 10.02, 200 + at)
    assert trader.reports == ["o routed", "o replaced", "o replaced", "o replaced"]
    assert [row["quantity"] for row in trader.out["order_reports"]] == [100, 90, 80, 70]


def test_replacements_that_wait_are_refused_when_the_order_ends() -> None:
    trader = open_market()
    trader.order(limit_price="10.00", quantity=100, venue="N")
    trader.at(2).quote(10.00, 300, 10.02, 200)
    trader.replace(limit_price="10.00", quantity=90)
    trader.replace(limit_price="10.00", quantity=80)
    trader.at(2.0001).trade(9.99, 500)
    assert trader.reports == ["o routed", "o replace_rejected", "o replace_rejected"]


def test_an_order_that_has_ended_is_neither_cancelled_nor_replaced() -> None:
    trader = open_market()
    trader.order(quantity=50)
    trader.cancel()
    trader.replace(quantity=70)
    trader.cancel("never")
    assert trader.reports == [
        "o routed",
        "o cancel_rejected",
        "o replace_rejected",
        "never cancel_rejected",
    ]
    assert [row["sequence"] for row in trader.out["order_reports"]] == [1, 2, 3, 1]
