"""Orders that an algorithm works, and that are replaced while its children are on their way."""

from tests.flows.trading.executing import Trader


def test_a_snipers_child_on_its_way_does_not_rest_because_the_order_may_stand_longer() -> None:
    terms = {"quantity": 1_000, "limit_price": "50.10", "venue": "XNYS"}
    trader = Trader()
    trader.at(1).quote(49.90, 500, 50.10, 300)
    trader.order(**terms, algorithm="sniper", algorithm_params="{}")
    trader.replace(**terms, time_in_force="gtc")
    # Gone before the child comes, and back to where it would rest.
    trader.at(1.000_05).quote(49.90, 500, 50.20, 100)
    trader.at(3).quote(49.90, 500, 50.20, 200)
    trader.at(4).trade(50.05, 500)
    assert trader.reports == ["o routed", "o replaced"]
    assert [fill[3] for fill in trader.fills if fill[3] == "added"] == []
