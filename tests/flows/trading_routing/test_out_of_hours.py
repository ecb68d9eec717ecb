"""Orders that come while the exchange is closed: there is no extended session for them."""

from typing import Any

import pytest

from tests.flows.trading.executing import CLOSE_NS, OPEN_NS, SECOND_NS, Trader

DAY = 86_400
CLOSE = (CLOSE_NS - OPEN_NS) / SECOND_NS
PLACES = [{"smart_routing": True}, {"smart_routing": False}, {"venue": "N"}]
WHEN = {"before the opening": (-600, 0), "after the close": (CLOSE + 600, DAY)}


def closed_market(seconds: float, place: dict[str, Any]) -> tuple[Trader, dict[str, Any]]:
    """A market with quotes out of hours, and the terms that send an order to a place."""
    trader = Trader(smart_routing=place.get("smart_routing", True))
    trader.instrument()
    trader.at(seconds - 1).quote(10.00, 300, 10.02, 200)
    return trader, {} if "venue" not in place else {"venue": place["venue"]}


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("when", WHEN)
@pytest.mark.parametrize("limit", [None, "10.05"], ids=["market", "limit"])
@pytest.mark.parametrize("time_in_force", ["day", "gtc"])
def test_an_order_waits_for_the_next_opening(
    place: dict[str, Any], when: str, limit: str | None, time_in_force: str
) -> None:
    """Quotes and trades of the extended session fill nothing, however good they are."""
    typed, opening = WHEN[when]
    trader, at = closed_market(typed, place)
    terms: dict[str, Any] = {} if limit is None else {"limit_price": limit}
    trader.order(quantity=50, time_in_force=time_in_force, **terms, **at)
    trader.at(typed + 60).quote(9.00, 300, 9.01, 200)
    trader.trade(9.00, 1_000)
    trader.at(opening - 1).quote(9.00, 300, 9.02, 200)
    assert trader.fills == []
    assert "o expired" not in trader.reports
    trader.at(opening + 1).quote(10.00, 300, 10.04, 200)
    trader.at(opening + 2).quote(10.00, 300, 10.04, 250)
    assert sum(int(fill[1]) for fill in trader.fills) == 50
    assert all(
        row["ts_event"].value >= OPEN_NS + opening * SECOND_NS for row in trader.out["executions"]
    )


@pytest.mark.parametrize("place", PLACES, ids=str)
@pytest.mark.parametrize("time_in_force", ["ioc", "fok"])
def test_one_that_is_to_be_filled_at_once_expires_with_the_reason(
    place: dict[str, Any], time_in_force: str
) -> None:
    trader, at = closed_market(CLOSE + 600, place)
    trader.order(quantity=50, limit_price="10.05", time_in_force=time_in_force, **at)
    trader.at(CLOSE + 601).quote(10.00, 300, 10.01, 200)
    assert trader.fills == []
    assert trader.reports[-1] == "o expired"
    assert trader.last_report["reason"] == "the market is not open"


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_in_hours_the_reason_is_that_the_market_is_crossed(place: dict[str, Any]) -> None:
    trader, at = closed_market(60, place)
    trader.at(61).quote(10.05, 300, 10.06, 200, "Q")
    trader.order(quantity=50, limit_price="10.10", time_in_force="ioc", **at)
    trader.at(62).quote(10.05, 300, 10.07, 200, "Q")
    assert trader.fills == []
    assert trader.last_report["reason"] == "the market is crossed"


def test_a_day_order_that_comes_after_the_close_is_of_the_next_session() -> None:
    trader, _ = closed_market(CLOSE + 600, {})
    trader.order(limit_price="9.00")
    trader.at(DAY + CLOSE - 1).pass_time()
    assert "o expired" not in trader.reports
    trader.at(DAY + CLOSE).pass_time()
    assert trader.reports[-1] == "o expired"


def test_one_that_comes_on_a_friday_evening_waits_for_monday() -> None:
    friday = 4 * DAY
    trader, _ = closed_market(friday + CLOSE + 600, {})
    trader.order(quantity=50)
    trader.at(friday + DAY + 3_600).quote(9.00, 300, 9.01, 200)
    assert trader.fills == []
    trader.at(friday + 3 * DAY + 1).quote(10.00, 300, 10.04, 200)
    trader.at(friday + 3 * DAY + 2).quote(10.00, 300, 10.04, 250)
    assert sum(int(fill[1]) for fill in trader.fills) == 50


def test_a_stop_is_not_triggered_by_trades_out_of_hours() -> None:
    trader, _ = closed_market(CLOSE + 600, {})
    trader.order(
        side="sell", order_type="stop", stop_price="9.90", quantity=50, time_in_force="gtc"
    )
    trader.at(CLOSE + 700).trade(9.50, 1_000)
    assert "o triggered" not in trader.reports
    trader.at(DAY + 1).quote(9.40, 300, 9.42, 200)
    trader.trade(9.41, 100)
    assert "o triggered" in trader.reports
