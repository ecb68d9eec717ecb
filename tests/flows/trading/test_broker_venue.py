"""Orders that name an outside broker: what it is told, and what its reports make of them."""

from decimal import Decimal

import pytest

from flows.execution import Execution, ExecutionParams
from flows.flow import FlowError
from tests.flows.trading.executing import CLOSE_NS, OPEN_NS, SECOND_NS, Trader


def open_market() -> Trader:
    trader = Trader()
    trader.at(1).quote(10.00, 300, 10.02, 200)
    return trader


def told(trader: Trader) -> list[tuple[str, str, Decimal]]:
    return [
        (row["action"], row["broker_order_id"], row["quantity"])
        for row in trader.out["broker_orders"]
    ]


def test_an_order_goes_to_the_broker_and_is_filled_as_it_says() -> None:
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    assert trader.fills == []
    assert told(trader) == [("new", "o.1", Decimal(100))]
    sent = trader.out["broker_orders"][0]
    assert (sent["order_type"], sent["limit_price"], sent["order_id"]) == (
        "limit",
        Decimal("10.02"),
        "o",
    )
    trader.broker("accepted", "o.1", "a")
    trader.broker("filled", "o.1", "f1", quantity=60, price="10.015", fees="0.305")
    trader.broker("filled", "o.1", "f1", quantity=60, price="10.015", fees="0.305")
    trader.broker("filled", "o.1", "f2", quantity=40, price="10.02")
    assert [fill[1:3] for fill in trader.fills] == [("60", "10.015"), ("40", "10.02")]
    assert [row["fees"] for row in trader.out["executions"]] == [Decimal("0.30"), 0]
    assert {row["venue"] for row in trader.out["executions"]} == {"ALPACA"}
    assert trader.late == []


@pytest.mark.parametrize(
    ("report", "became"),
    [("rejected", "rejected"), ("expired", "expired"), ("cancelled", "cancelled")],
)
def test_an_order_ends_as_the_broker_says(report: str, became: str) -> None:
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    trader.broker(report, "o.1", "e", reason="its words")
    assert trader.reports == ["o routed", f"o {became}"]
    assert trader.last_report["reason"] == "its words"


def test_a_cancel_waits_for_the_brokers_word() -> None:
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    trader.cancel()
    assert told(trader)[1:] == [("cancel", "o.1", Decimal(100))]
    trader.broker("filled", "o.1", "f", quantity=30, price="10.02")
    trader.broker("cancelled", "o.1", "c")
    assert trader.reports == ["o routed", "o cancelled"]
    assert trader.last_report["filled_quantity"] == 30


def test_a_replacement_counts_once_the_broker_has_taken_it() -> None:
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    trader.replace(limit_price="10.05", quantity=150)
    assert trader.reports == ["o routed"]
    trader.broker("replaced", "o.1", "r")
    assert trader.last_report["limit_price"] == Decimal("10.05")
    trader.replace(limit_price="10.06", quantity=150)
    trader.broker("replace_rejected", "o.1", "rr")
    assert trader.last_report["report"] == "replace_rejected"
    assert trader.last_report["limit_price"] == Decimal("10.05")


def test_an_order_that_expires_here_is_cancelled_there() -> None:
    trader = open_market()
    trader.order(limit_price="9.00", venue="ALPACA")
    trader.at((CLOSE_NS - OPEN_NS) / SECOND_NS).pass_time()
    assert told(trader)[1:] == [("cancel", "o.1", Decimal(100))]
    trader.broker("cancelled", "o.1", "c")
    assert trader.reports == ["o routed", "o expired"]


def test_a_stop_is_held_here_until_it_is_triggered() -> None:
    trader = open_market()
    trader.order(side="sell", order_type="stop", stop_price="9.90", venue="ALPACA")
    assert told(trader) == []
    trader.at(2).trade(9.90, 100)
    assert told(trader) == [("new", "o.1", Decimal(100))]
    assert trader.out["broker_orders"][0]["order_type"] == "market"


def test_reports_that_fit_no_open_order_are_late_rows() -> None:
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    trader.broker("filled", "o.1", "much", quantity=101, price="10.02")
    trader.broker("filled", "o.9", "x", quantity=1, price="10.02")
    trader.broker("cancelled", "o.1", "c")
    trader.broker("filled", "o.1", "f", quantity=1, price="10.02")
    assert [one.index.tolist() for one in trader.late] == [[0], [0], [0]]
    assert not any(one.used.any() for one in trader.late)
    assert trader.fills == []


def test_reports_read_before_a_restart_are_not_read_again_after_it() -> None:
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    trader.broker("filled", "o.1", "f1", quantity=60, price="10.02")
    trader.resume()
    trader.broker("filled", "o.1", "f1", quantity=60, price="10.02")
    trader.cancel()
    assert [fill[1] for fill in trader.fills] == ["60"]
    assert [row["sequence"] for row in trader.out["broker_orders"]] == [1, 2]


@pytest.mark.parametrize(
    ("venue", "brokers", "error"),
    [
        (
            "ALPACA",
            (),
            "order o is open at 'ALPACA', which was a broker: .* with 'ALPACA' in `brokers`",
        ),
        ("XNYS", ("XNYS",), "order o is open at 'XNYS', which was no broker: .* without 'XNYS' in"),
    ],
)
def test_a_venue_may_become_a_broker_or_cease_to_be_one_only_while_no_order_is_open_there(
    venue: str, brokers: tuple[str, ...], error: str
) -> None:
    trader = open_market()
    trader.order(limit_price="9.99", venue=venue)
    trader.at(2).quote(10.00, 300, 10.03, 200)
    params = ExecutionParams(smart_routing=False, brokers=brokers)
    with pytest.raises(FlowError, match=error):
        Execution(params, trader.flow.snapshot())
    trader.cancel()
    if venue == "ALPACA":
        trader.broker("cancelled", "o.1", "c")
    trader.at(3).quote(10.00, 300, 10.02, 200)
    trader.flow = Execution(params, trader.flow.snapshot())
    trader.order("p", limit_price="10.02", venue=venue)
    assert trader.fills == []
    assert trader.reports[-1] == ("p routed" if brokers else "p rejected")
    assert told(trader)[-1] == (
        ("new", "p.1", Decimal(100)) if brokers else ("cancel", "o.1", Decimal(100))
    )
