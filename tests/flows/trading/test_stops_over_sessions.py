"""Stops that come in with the next session: what was sold in the last one says nothing of them."""

from typing import Any

import pytest

from tests.flows.trading.executing import Trader

DAY = 86_400


@pytest.mark.parametrize(
    ("side", "terms"),
    [
        ("buy", {"order_type": "stop", "stop_price": "55"}),
        ("sell", {"order_type": "trailing_stop", "trail_percent": "5"}),
    ],
)
def test_a_stop_of_after_a_split_does_not_go_by_a_sale_of_before_it(
    side: str, terms: dict[str, Any]
) -> None:
    trader = Trader()
    trader.at(1).quote(99.90, 500, 100.10, 500)
    trader.trade(100.00, 100)
    # Two for one over night.
    trader.at(DAY - 600).pass_time()
    trader.order(side=side, time_in_force="gtc", **terms)
    trader.at(DAY + 1).quote(49.90, 500, 50.10, 500)
    trader.resume()
    trader.at(DAY + 2).trade(50.00, 100)
    assert trader.reports == []
    trader.at(DAY + 3).trade(55.00, 100)
    trader.at(DAY + 4).trade(52.00, 100)
    assert trader.reports == ["o triggered", "o routed"]
