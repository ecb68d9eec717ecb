"""The pool at the mid, from prints of the tape to fills."""

from decimal import Decimal

import orjson

from tests.flows.trading.executing import Trader


def midpoint_market() -> Trader:
    """Ten minutes in which as much trades at the mid off exchanges as at XNYS; spread of three cents."""
    trader = Trader(smart_routing=True)
    trader.instrument()
    for minute in range(10):
        trader.at(60 * minute + 1).quote(10.00, 500, 10.03, 500, "N")
        for at in range(60):
            trader.at(60 * minute + 2 + at / 2).trade(10.015, 100, "D")
            trader.trade(10.03, 100, "N", side="buy")
    return trader


def test_an_order_is_filled_at_the_very_mid_up_to_what_the_pool_is_estimated_to_hide() -> None:
    trader = midpoint_market()
    trader.at(600).order(quantity=600)
    trader.at(601).quote(10.00, 500, 10.03, 500, "N")
    decisions = trader.out["routing_decisions"]
    assert [row["venue"] for row in decisions[:2]] == ["POOL", "XNYS"]
    hidden = Decimal(orjson.loads(decisions[0]["candidates"])[0]["hidden"])
    assert 300 < hidden < 500
    first, *rest = trader.out["executions"]
    assert (first["venue"], first["price"]) == ("POOL", Decimal("10.015"))
    assert first["quantity"] == hidden
    assert {row["venue"] for row in rest} == {"XNYS"}
    assert sum(row["quantity"] for row in trader.out["executions"]) == 600
    # 0.0010 a share, rounded half-even to the cent.
    assert first["fees"] == (hidden / 1000).quantize(Decimal("0.01"))


def test_the_pool_hides_no_more_until_the_best_prices_change() -> None:
    trader = midpoint_market()
    trader.at(600).order("a", quantity=500)
    trader.at(601).order("b", quantity=500)
    trader.at(602).quote(10.00, 500, 10.03, 500, "N")
    by_order = {
        name: [row for row in trader.out["executions"] if row["order_id"] == name] for name in "ab"
    }
    assert "POOL" in {row["venue"] for row in by_order["a"]}
    assert "POOL" not in {row["venue"] for row in by_order["b"]}
    assert sum(row["quantity"] for row in by_order["b"]) > 0
    trader.at(603).quote(10.01, 500, 10.04, 500, "N")
    trader.order("c", quantity=100)
    trader.at(604).quote(10.01, 600, 10.04, 500, "N")
    assert [row["venue"] for row in trader.out["executions"] if row["order_id"] == "c"] == ["POOL"]


def test_without_prints_at_the_mid_no_order_goes_to_the_pool() -> None:
    trader = Trader(smart_routing=True)
    trader.instrument()
    for minute in range(10):
        trader.at(60 * minute + 1).quote(10.00, 500, 10.03, 500, "N")
        # A dealer's retail orders: off exchange too, but at hardly more than the bid.
        trader.trade(10.0001, 5_000, "D")
    trader.at(600).order(quantity=400)
    trader.at(601).quote(10.00, 500, 10.03, 500, "N")
    assert {row["venue"] for row in trader.out["routing_decisions"]} == {"XNYS"}
