"""Venues that are not in the table: an order goes where the quotes are, under the terms of their kind."""

import pytest

from tests.flows.trading.executing import Trader


@pytest.mark.parametrize(
    ("venue", "instrument_type"),
    [
        ("SIM", "stock"),
        ("FXCM", "currency"),
        ("KRAKEN", "crypto"),
        ("other", "stock"),
        ("xnys", "stock"),
    ],
)
def test_an_order_is_filled_where_the_quotes_are(venue: str, instrument_type: str) -> None:
    trader = Trader(smart_routing=True)
    trader.instrument(type=instrument_type)
    trader.at(1).quote(10.00, 300, 10.02, 200, venue)
    trader.order(order_type="market", quantity=100)
    trader.at(2).quote(10.00, 300, 10.02, 300, venue)
    assert sum(row["quantity"] for row in trader.out["executions"]) == 100
    assert len(trader.out["routing_decisions"]) == 1


def test_an_order_rests_where_the_quotes_are() -> None:
    trader = Trader(smart_routing=True)
    trader.instrument()
    trader.at(1).quote(10.00, 300, 10.02, 200, "SIM")
    trader.order(limit_price="10.00", quantity=100)
    assert {row["venue"] for row in trader.out["routing_decisions"]} == {"SIM"}
    trader.at(2).trade(9.99, 500, "SIM")
    assert sum(row["quantity"] for row in trader.out["executions"]) == 100
