"""Orders that name an outside broker: what it is told, and what its reports make of them."""

from decimal import Decimal
from typing import Any

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
    assert told(trader) == [("new", "o-1.1", Decimal(100))]
    sent = trader.out["broker_orders"][0]
    assert (sent["order_type"], sent["limit_price"], sent["order_id"]) == (
        "limit",
        Decimal("10.02"),
        "o",
    )
    trader.broker("accepted", "o-1.1", "a")
    trader.broker("filled", "o-1.1", "f1", quantity=60, price="10.015", fees="0.305")
    trader.broker("filled", "o-1.1", "f1", quantity=60, price="10.015", fees="0.305")
    trader.broker("filled", "o-1.1", "f2", quantity=40, price="10.02")
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
    trader.broker(report, "o-1.1", "e", reason="its words")
    assert trader.reports == ["o routed", f"o {became}"]
    assert trader.last_report["reason"] == "its words"


def test_a_broker_is_asked_to_let_an_order_stand_longer() -> None:
    """It ends an order of the day by itself, whatever the client was told."""
    trader = open_market()
    trader.order(limit_price="10.00", venue="ALPACA")
    trader.replace(limit_price="10.00", venue="ALPACA", time_in_force="gtc")
    trader.resume()
    assert trader.reports == ["o routed"]
    sent = trader.out["broker_orders"][-1]
    assert (sent["action"], sent["time_in_force"], sent["quantity"]) == ("replace", "gtc", 100)
    trader.broker("replaced", "o-1.1", "r")
    assert trader.reports[-1] == "o replaced"
    trader.seconds = (CLOSE_NS - OPEN_NS) / SECOND_NS + 1
    trader.pass_time()
    assert trader.reports[-1] == "o replaced"


def test_a_cancel_waits_for_the_brokers_word() -> None:
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    trader.cancel()
    assert told(trader)[1:] == [("cancel", "o-1.1", Decimal(100))]
    trader.broker("filled", "o-1.1", "f", quantity=30, price="10.02")
    trader.broker("cancelled", "o-1.1", "c")
    assert trader.reports == ["o routed", "o cancelled"]
    assert trader.last_report["filled_quantity"] == 30


def test_a_cancel_that_the_broker_refuses_is_told_and_can_be_asked_for_again() -> None:
    """Nobody was told, and the order could never be cancelled or replaced again: it was being cancelled, for ever."""
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    trader.cancel()
    trader.broker("cancel_rejected", "o-1.1", "c1", reason="not cancelable yet")
    assert trader.reports == ["o routed", "o cancel_rejected"]
    assert trader.last_report["reason"] == "not cancelable yet"
    trader.flow = Execution(trader.params, trader.flow.snapshot())
    trader.replace(limit_price="10.01", quantity=100)
    trader.broker("replaced", "o-1.1", "r")
    trader.cancel()
    trader.broker("cancelled", "o-1.1", "c2")
    assert trader.reports[2:] == ["o replaced", "o cancelled"]
    assert [one[0] for one in told(trader)] == ["new", "cancel", "replace", "cancel"]


def test_one_that_is_refused_where_the_order_has_expired_is_asked_for_again() -> None:
    trader = open_market()
    expires = trader.now + 10 * SECOND_NS
    trader.order(limit_price="9.00", venue="ALPACA", time_in_force="gtd", ts_expire=expires)
    trader.at(11).quote(10.00, 300, 10.02, 200)
    trader.broker("cancel_rejected", "o-1.1", "c1", reason="not cancelable yet")
    trader.at(11.5).quote(10.00, 300, 10.02, 200)
    assert [one[0] for one in told(trader)] == ["new", "cancel"]
    trader.at(12.5).quote(10.00, 300, 10.02, 200)
    assert [one[0] for one in told(trader)] == ["new", "cancel", "cancel"]
    trader.broker("cancelled", "o-1.1", "c2")
    assert trader.reports == ["o routed", "o expired"]


def test_an_algorithm_that_is_cancelled_asks_again_for_a_child_that_the_broker_keeps() -> None:
    trader = open_market()
    twap = {"algorithm": "twap", "algorithm_params": '{"duration_seconds": 60, "slices": 2}'}
    trader.order(limit_price="10.02", venue="ALPACA", **twap)
    trader.at(2).quote(10.00, 300, 10.02, 200)
    ((_, child, _),) = told(trader)
    trader.cancel()
    trader.broker("cancel_rejected", child, "c1")
    trader.at(4).quote(10.00, 300, 10.02, 200)
    assert [one[:2] for one in told(trader)[1:]] == [("cancel", child)] * 2
    trader.broker("cancelled", child, "c2")
    assert trader.reports[-1] == "o cancelled"


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"order_type": "pegged", "peg": "primary"}, "ALPACA takes no pegged orders"),
        ({"limit_price": "10.00", "display_quantity": 10}, "ALPACA shows an order whole"),
    ],
)
def test_what_a_broker_has_no_word_for_is_refused(terms: dict[str, Any], why: str) -> None:
    """A peg was sent as a market order, and filled at any price; an iceberg was shown to all."""
    trader = open_market()
    trader.order(venue="ALPACA", **terms)
    assert trader.last_report["report"] == "rejected"
    assert why in trader.last_report["reason"]
    assert told(trader) == []


def test_an_order_at_a_broker_cannot_become_an_iceberg_but_an_algorithm_can_show_less() -> None:
    trader = open_market()
    trader.order(limit_price="10.00", venue="ALPACA")
    trader.replace(limit_price="10.00", venue="ALPACA", display_quantity=10)
    assert "ALPACA shows an order whole" in trader.last_report["reason"]
    iceberg = {"algorithm": "iceberg", "display_quantity": 10, "quantity": 60}
    trader.order("i", limit_price="10.00", venue="ALPACA", **iceberg)
    assert [one[2] for one in told(trader)] == [Decimal(100), Decimal(10)]


def test_a_replacement_counts_once_the_broker_has_taken_it() -> None:
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    trader.replace(limit_price="10.05", quantity=150)
    assert trader.reports == ["o routed"]
    trader.broker("replaced", "o-1.1", "r")
    assert trader.last_report["limit_price"] == Decimal("10.05")
    trader.replace(limit_price="10.06", quantity=150)
    trader.broker("replace_rejected", "o-1.1", "rr")
    assert trader.last_report["report"] == "replace_rejected"
    assert trader.last_report["limit_price"] == Decimal("10.05")


def test_an_order_that_expires_here_is_cancelled_there() -> None:
    trader = open_market()
    trader.order(limit_price="9.00", venue="ALPACA")
    trader.at((CLOSE_NS - OPEN_NS) / SECOND_NS).pass_time()
    assert told(trader)[1:] == [("cancel", "o-1.1", Decimal(100))]
    trader.broker("cancelled", "o-1.1", "c")
    assert trader.reports == ["o routed", "o expired"]


def test_a_stop_is_held_here_until_it_is_triggered() -> None:
    trader = open_market()
    trader.order(side="sell", order_type="stop", stop_price="9.90", venue="ALPACA")
    assert told(trader) == []
    trader.at(2).trade(9.90, 100)
    assert told(trader) == [("new", "o-1.1", Decimal(100))]
    assert trader.out["broker_orders"][0]["order_type"] == "market"


def misfits(trader: Trader) -> list[tuple[str, bool]]:
    return [(one.reason, bool(one.used.all())) for one in trader.late]


def test_reports_that_fit_no_open_order_are_late_rows() -> None:
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    trader.broker("filled", "o.9", "x", quantity=1, price="10.02")
    trader.broker("filled", "o-1.1", "price", quantity=1)
    trader.broker("filled", "o-1.1", "giant", quantity=10**13, price="10.02")
    trader.broker("cancelled", "o-1.1", "c")
    trader.broker("expired", "o-1.1", "e")
    assert [one.index.tolist() for one in trader.late] == [[0]] * 4
    assert misfits(trader) == [
        ("the broker has filled what is not known here (any more): it is booked nowhere", False),
        *[
            (
                "a fill needs a quantity, and a price, that are below 10 trillion: it is booked nowhere",
                False,
            )
        ]
        * 2,
        ("the broker has no such order open here", False),
    ]
    assert trader.fills == []


def test_more_than_was_open_is_booked_as_the_broker_filled_it() -> None:
    """The position is real at the broker: what nobody asked for was dropped, and books did not have it."""
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    trader.broker("filled", "o-1.1", "f1", quantity=70, price="10.01")
    trader.broker("filled", "o-1.1", "f2", quantity=70, price="10.02")
    trader.broker("filled", "o-1.1", "f2", quantity=70, price="10.02")
    assert [fill[1] for fill in trader.fills] == ["70", "70"]
    assert [row["execution_id"] for row in trader.out["executions"]] == ["o-1-1", "o-1-2"]
    ((reason, used),) = misfits(trader)
    assert used
    assert reason.startswith("the broker has filled more than was open")
    assert trader.reports == ["o routed"]


def test_a_fill_that_is_told_after_the_end_is_booked_once() -> None:
    trader = open_market()
    trader.order(side="sell", limit_price="10.02", venue="ALPACA", strategy="s", lots="l")
    trader.cancel()
    trader.broker("cancelled", "o-1.1", "c")
    trader.at(2).quote(10.01, 300, 10.03, 200)
    trader.resume()
    trader.broker("filled", "o-1.1", "f", quantity=30, price="10.02", fees="0.125")
    trader.broker("filled", "o-1.1", "f", quantity=30, price="10.02", fees="0.125")
    (row,) = trader.out["executions"]
    asked = {name: row[name] for name in ("account", "order_id", "client_order_id", "symbol")}
    assert asked == {
        "account": "A",
        "order_id": "o",
        "client_order_id": "client-o",
        "symbol": "AIG",
    }
    assert (row["execution_id"], row["side"], row["venue"]) == ("o-1.1-f", "sell", "ALPACA")
    assert (row["strategy"], row["lots"], row["currency"]) == ("s", "l", "USD")
    assert (row["quantity"], row["price"], row["fees"]) == (30, Decimal("10.02"), Decimal("0.12"))
    assert (row["bid"], row["ask"]) == (Decimal("10.01"), Decimal("10.03"))
    ((reason, used),) = misfits(trader)
    assert used
    assert reason.startswith("the broker has filled what it had said to be at an end")


def test_of_ended_parts_at_brokers_only_so_many_are_remembered() -> None:
    trader = Trader(max_ended=1)
    trader.at(1).quote(10.00, 300, 10.02, 200)
    for name in "op":
        trader.order(name, limit_price="10.02", venue="ALPACA")
        trader.broker("cancelled", f"{name}-1.1", "c")
    trader.broker("filled", "o-1.1", "f", quantity=30, price="10.02")
    trader.broker("filled", "p-1.1", "f", quantity=30, price="10.02")
    assert [fill[0] for fill in trader.fills] == ["p"]
    assert [used for _, used in misfits(trader)] == [False, True]


def test_what_a_replacement_allows_may_be_filled_before_the_broker_says_that_it_has_taken_it() -> (
    None
):
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    trader.replace(limit_price="10.02", quantity=150)
    trader.broker("filled", "o-1.1", "f1", quantity=120, price="10.02")
    trader.broker("replaced", "o-1.1", "r")
    trader.broker("filled", "o-1.1", "f2", quantity=30, price="10.02")
    assert trader.reports == ["o routed", "o replaced"]
    assert [fill[1] for fill in trader.fills] == ["120", "30"]
    assert trader.late == []


def test_what_else_an_algorithm_has_open_is_cancelled_once_a_broker_has_filled_too_much() -> None:
    trader = open_market()
    terms = {"algorithm": "twap", "algorithm_params": '{"duration_seconds": 60, "slices": 2}'}
    trader.order(limit_price="10.02", venue="ALPACA", **terms)
    trader.broker("filled", "o-1.1", "f", quantity=60, price="10.02")
    assert trader.reports == ["o routed", "o cancelled"]
    assert trader.last_report["filled_quantity"] == 60
    assert trader.last_report["reason"] == "its broker has filled more than was open there"
    (report,) = trader.out["algorithm_reports"]
    assert report["filled_quantity"] == 60


def test_a_late_fill_of_one_part_cancels_the_rest_of_an_order_that_is_open_still() -> None:
    trader = open_market()
    terms = {"algorithm": "twap", "algorithm_params": '{"duration_seconds": 60, "slices": 2}'}
    trader.order(limit_price="10.02", venue="ALPACA", **terms)
    trader.broker("cancelled", "o-1.1", "c")
    trader.broker("filled", "o-1.1", "f", quantity=50, price="10.02")
    assert [row["execution_id"] for row in trader.out["executions"]] == ["o-1-1"]
    assert trader.reports == ["o routed", "o cancelled"]
    assert trader.last_report["filled_quantity"] == 50


def test_an_order_id_that_is_used_again_gives_other_executions_and_other_orders_at_brokers() -> (
    None
):
    """The order system forgets ended orders; execution ``o-1`` came twice, and the second was taken for a repetition."""
    trader = Trader(max_ended=1)
    trader.at(1).quote(10.00, 300, 10.02, 600)
    for sequence, name in enumerate("opop", start=1):
        trader.order(name, limit_price="10.02", sequence=sequence)
        trader.order(f"{name}b", limit_price="10.02", venue="ALPACA", sequence=sequence + 4)
        trader.broker("filled", f"{name}b-{sequence + 4}.1", "f", quantity=100, price="10.02")
    executions = [row["execution_id"] for row in trader.out["executions"]]
    assert len(executions) == len(set(executions)) == 8
    at_broker = [row["broker_order_id"] for row in trader.out["broker_orders"]]
    assert len(at_broker) == len(set(at_broker)) == 4
    assert [row["order_id"] for row in trader.out["broker_orders"]] == ["ob", "pb"] * 2


def test_reports_read_before_a_restart_are_not_read_again_after_it() -> None:
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    trader.broker("filled", "o-1.1", "f1", quantity=60, price="10.02")
    trader.resume()
    trader.broker("filled", "o-1.1", "f1", quantity=60, price="10.02")
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
        trader.broker("cancelled", "o-1.1", "c")
    trader.at(3).quote(10.00, 300, 10.02, 200)
    trader.flow = Execution(params, trader.flow.snapshot())
    trader.order("p", limit_price="10.02", venue=venue)
    assert trader.fills == []
    assert trader.reports[-1] == ("p routed" if brokers else "p rejected")
    assert told(trader)[-1] == (
        ("new", "p-1.1", Decimal(100)) if brokers else ("cancel", "o-1.1", Decimal(100))
    )


@pytest.mark.parametrize("report", ["fill_busted", "fill_corrected"])
@pytest.mark.parametrize("state", ["open", "ended", "unknown"])
def test_a_fill_that_the_broker_takes_back_is_told_once_and_changes_nothing(
    report: str, state: str
) -> None:
    """Positions have no way to book it; it must not be lost, and nobody must be ordered twice for it."""
    trader = open_market()
    trader.order(limit_price="10.02", venue="ALPACA")
    trader.broker("filled", "o-1.1", "f1", quantity=60, price="10.015")
    if state == "ended":
        trader.broker("cancelled", "o-1.1", "c")
    fills, reports = list(trader.fills), list(trader.reports)
    name = "else" if state == "unknown" else "o-1.1"
    for _ in range(2):
        trader.broker(report, name, "b1", reason="its words")
    [first, *again] = trader.late
    assert "put right by hand" in str(first.reason)
    assert not first.used.any()
    assert bool(again) == (state == "unknown")
    assert (trader.fills, trader.reports) == (fills, reports)
