"""Triggers, pegs, time in force and auctions, by market time."""

import pytest

from flows.orders.money import ONE
from flows.trading.queue_position import QueuePosition
from tests.flows.trading.executing import CLOSE_S, OPEN_NS, SECOND_NS, Trader, open_market

# Triggers


def test_a_stop_becomes_a_market_order_at_the_last_sale() -> None:
    trader = open_market()
    trader.order(side="sell", order_type="stop", stop_price="9.90")
    trader.at(2).quote(9.80, 300, 9.95, 200)
    trader.at(3).trade(9.91, 100)
    assert trader.reports == []
    trader.at(4).trade(9.90, 100)
    assert trader.reports == ["o triggered", "o routed"]
    assert trader.fills == [("o", "100", "9.8", "removed")]


def test_a_stop_that_is_passed_already_is_triggered_at_once() -> None:
    trader = open_market()
    trader.order(order_type="stop", stop_price="10.01")
    assert trader.reports == ["o triggered", "o routed"]


def test_a_stop_limit_rests_at_its_limit() -> None:
    trader = open_market()
    trader.order(order_type="stop_limit", stop_price="10.05", limit_price="10.06")
    trader.at(2).quote(10.04, 100, 10.08, 100)
    trader.trade(10.05, 1)
    assert trader.reports == ["o triggered", "o routed"]
    assert trader.fills == []
    trader.at(3).quote(10.04, 100, 10.06, 70)
    assert trader.fills == [("o", "70", "10.06", "added")]


def test_stops_of_what_never_trades_go_by_the_quote() -> None:
    trader = Trader()
    trader.at(1).quote(10.00, 300, 10.02, 200)
    trader.order(side="sell", order_type="stop", stop_price="9.95")
    trader.at(2).quote(9.96, 300, 9.98, 200)
    assert trader.reports == []
    trader.at(3).quote(9.95, 300, 9.97, 200)
    assert trader.reports == ["o triggered", "o routed"]


@pytest.mark.parametrize("trail", [{"trail_amount": "0.10"}, {"trail_percent": "1"}])
def test_a_trailing_stop_follows_the_best_price_and_never_goes_back(trail: dict[str, str]) -> None:
    trader = open_market()
    trader.order(side="sell", order_type="trailing_stop", **trail)
    for at, price in enumerate((10.20, 10.15, 10.11), start=2):
        trader.at(at).trade(price, 100)
    assert trader.reports == []
    # 10.20 less 0.10, or less one percent between two ticks: the one further away.
    stop = 10.10 if "trail_amount" in trail else 10.09
    trader.at(8).trade(stop, 100)
    assert trader.reports == ["o triggered", "o routed"]
    assert float(trader.out["order_reports"][0]["stop_price"]) == stop


def test_a_sale_cannot_be_given_a_trail_that_never_triggers() -> None:
    trader = open_market()
    trader.order(side="sell", order_type="trailing_stop", trail_percent="5")
    trader.replace(trail_percent="100")
    assert trader.reports == ["o replace_rejected"]
    assert "must be below 100" in trader.last_report["reason"]


def test_nothing_is_triggered_out_of_hours() -> None:
    trader = open_market()
    trader.order(side="sell", order_type="stop", stop_price="9.00", time_in_force="gtc")
    trader.at(CLOSE_S + 5).trade(8.00, 100)
    assert trader.reports == []


# Pegs


def test_a_primary_peg_follows_its_side_and_a_limit_holds_it() -> None:
    trader = open_market()
    trader.order(order_type="pegged", peg="primary", limit_price="10.01", quantity=1_000)
    trader.at(2).trade(9.99, 50)
    trader.at(3).quote(10.01, 100, 10.03, 100)
    trader.at(4).trade(10.00, 50)
    trader.at(5).quote(10.02, 100, 10.04, 100)
    trader.at(6).trade(10.00, 50)
    assert [fill[2] for fill in trader.fills] == ["10", "10.01", "10.01"]


def test_a_mid_peg_stands_between_and_away_from_the_market() -> None:
    trader = open_market()
    trader.order("b", order_type="pegged", peg="mid", quantity=100)
    trader.order("s", "sell", order_type="pegged", peg="mid", quantity=100)
    trader.at(2).quote(10.00, 300, 10.03, 200)
    trader.at(3).trade(10.00, 50, side="sell")
    trader.at(4).trade(10.03, 50, side="buy")
    assert trader.fills == [("b", "50", "10.01", "added"), ("s", "50", "10.02", "added")]


def test_a_market_peg_takes_and_its_offset_goes_to_the_market() -> None:
    trader = open_market()
    trader.order("near", order_type="pegged", peg="market", peg_offset="-0.01")
    assert trader.fills == []
    trader.order("at", order_type="pegged", peg="market")
    assert trader.fills == [("at", "100", "10.02", "removed")]


def test_a_peg_that_moves_loses_its_place() -> None:
    trader = open_market()
    trader.order("p", order_type="pegged", peg="primary")
    trader.at(2).quote(10.01, 50, 10.03, 200)
    trader.at(3).quote(10.00, 300, 10.03, 200)
    trader.order("q", limit_price="10.00")
    trader.at(4).trade(10.00, 310)
    assert trader.fills == [("p", "10", "10", "added")]


# Time in force


def test_immediate_or_cancel_takes_what_is_there() -> None:
    trader = open_market()
    trader.order(quantity=300, limit_price="10.02", time_in_force="ioc")
    assert trader.fills == [("o", "200", "10.02", "removed")]
    assert trader.reports == ["o routed", "o expired"]
    assert trader.last_report["filled_quantity"] == 200


def test_fill_or_kill_takes_all_or_nothing() -> None:
    trader = open_market()
    trader.order("much", quantity=201, limit_price="10.02", time_in_force="fok")
    trader.order("just", quantity=200, limit_price="10.02", time_in_force="fok")
    assert trader.fills == [("just", "200", "10.02", "removed")]
    assert trader.reports == ["much routed", "much expired", "just routed"]


@pytest.mark.parametrize("time_in_force", ["ioc", "fok"])
def test_what_must_be_filled_at_once_expires_out_of_hours(time_in_force: str) -> None:
    trader = open_market()
    trader.at(CLOSE_S + 5).trade(10.0, 1)
    trader.order(time_in_force=time_in_force)
    assert trader.reports == ["o expired"]


def test_good_till_date_expires_by_market_time_before_what_comes_then() -> None:
    trader = open_market()
    trader.order(limit_price="10.00", time_in_force="gtd", ts_expire=OPEN_NS + 10 * SECOND_NS)
    trader.at(9).trade(9.99, 10)
    trader.at(10).trade(9.99, 10)
    assert trader.fills == [("o", "10", "10", "added")]
    assert trader.reports == ["o routed", "o expired"]
    assert trader.last_report["ts_event"].value == OPEN_NS + 10 * SECOND_NS


def test_a_date_that_has_passed_expires_at_once() -> None:
    trader = open_market()
    trader.order(limit_price="10.00", time_in_force="gtd", ts_expire=OPEN_NS)
    assert trader.reports == ["o expired"]


def test_good_till_cancel_outlives_the_day_and_a_day_order_does_not() -> None:
    trader = open_market()
    trader.order("gtc", limit_price="9.50", time_in_force="gtc")
    trader.order("day", limit_price="9.50")
    trader.at(CLOSE_S).trade(9.40, 10)
    assert trader.reports[2:] == ["day expired"]
    trader.at(86_400 + 60).quote(9.60, 100, 9.70, 100)
    trader.trade(9.40, 10)
    assert trader.fills == [("gtc", "10", "9.5", "added")]


def test_an_order_of_a_symbol_on_another_calendar_has_its_hours() -> None:
    trader = Trader()
    trader.instrument(calendar="24/7", type="crypto")
    trader.at(CLOSE_S + 3_600).quote(10.00, 300, 10.02, 200)
    trader.order(quantity=50)
    assert trader.fills == [("o", "50", "10.02", "removed")]


# Auctions


def test_an_at_open_order_is_filled_by_the_opening_print_and_the_rest_expires() -> None:
    trader = Trader()
    trader.at(-600).quote(10.00, 300, 10.02, 200)
    trader.order(quantity=100, time_in_force="at_open")
    trader.order("limit", quantity=100, limit_price="9.00", time_in_force="at_open")
    trader.at(0.5).trade(10.05, 500)
    assert trader.fills == []
    trader.at(70).trade(10.07, 60, conditions="40")
    assert trader.fills == [("o", "60", "10.07", "auction")]
    assert trader.reports == ["o routed", "limit routed", "o expired", "limit expired"]


def test_an_at_close_order_is_filled_by_the_closing_print_after_the_close() -> None:
    trader = open_market()
    trader.order(side="sell", quantity=100, time_in_force="at_close")
    trader.at(CLOSE_S + 2).trade(9.99, 100, conditions="2000")
    trader.at(CLOSE_S + 7).trade(9.98, 25_000, conditions="80")
    assert trader.fills == [("o", "100", "9.98", "auction")]


def test_an_auction_that_has_begun_takes_no_changes() -> None:
    """More could be asked for at another price when the others had closed and the print was still to come."""
    trader = open_market()
    trader.order(limit_price="10.10", time_in_force="at_close")
    trader.at(CLOSE_S + 2).pass_time()
    trader.resume()
    trader.replace(limit_price="10.20", quantity=300, time_in_force="at_close")
    assert (trader.reports[-1], trader.last_report["reason"]) == (
        "o replace_rejected",
        "it came too late",
    )
    trader.cancel()
    assert (trader.reports[-1], trader.last_report["reason"]) == (
        "o cancel_rejected",
        "its auction has begun",
    )
    trader.at(CLOSE_S + 3).trade(10.15, 500, conditions="6")
    assert (trader.reports[-1], trader.fills) == ("o expired", [])


def test_an_auction_order_can_be_cancelled_until_the_hour() -> None:
    trader = open_market()
    trader.order(limit_price="10.10", time_in_force="at_close")
    trader.at(CLOSE_S - 0.001).pass_time()
    trader.cancel()
    assert trader.reports[-1] == "o cancelled"


def test_the_listing_venues_print_is_the_auction_where_it_is_known() -> None:
    trader = Trader()
    trader.instrument(venue="XNYS")
    trader.at(-60).quote(10.00, 300, 10.02, 200)
    trader.order(quantity=100, time_in_force="at_open")
    trader.at(1).trade(10.05, 500, venue="Q", conditions="40")
    assert trader.fills == []
    trader.at(2).trade(10.06, 500, venue="N", conditions="40")
    assert trader.fills == [("o", "100", "10.06", "auction")]


def test_an_auction_that_is_not_printed_in_time_expires_its_orders() -> None:
    trader = Trader()
    trader.at(-600).quote(10.00, 300, 10.02, 200)
    trader.order(time_in_force="at_open")
    trader.at(901).trade(10.0, 100)
    assert trader.reports == ["o routed", "o expired"]


def test_of_a_source_without_conditions_the_first_trade_is_the_auction() -> None:
    trader = Trader()
    trader.at(-600).quote(10.00, 300, 10.02, 200)
    trader.order(time_in_force="at_open")
    trader.at(0.5).trade(10.05, 500, conditions=None)
    assert trader.fills == [("o", "100", "10.05", "auction")]


# Refusals


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"quantity": 0}, "quantity must be above 0"),
        ({"quantity": 10**13}, "below 10 trillion"),
        ({"order_type": "limit", "limit_price": None}, "needs limit_price"),
        ({"order_type": "stop"}, "needs stop_price"),
        ({"order_type": "trailing_stop"}, "needs trail_amount or trail_percent"),
        (
            {"side": "sell", "order_type": "trailing_stop", "trail_percent": "100"},
            "trail_percent of a sale must be below 100",
        ),
        ({"order_type": "pegged"}, "needs peg"),
        ({"order_type": "pegged", "peg": "mid", "time_in_force": "at_open"}, "an auction takes"),
        ({"time_in_force": "gtd"}, "needs ts_expire"),
        ({"venue": "NOWHERE"}, "no venue 'NOWHERE'"),
        ({"algorithm": "twap", "algorithm_params": "{"}, "no JSON"),
        ({"algorithm": "twap", "algorithm_params": "[]"}, "JSON object"),
        ({"algorithm": "twap", "algorithm_params": '{"x": 1}'}, "x"),
        ({"algorithm": "twap", "time_in_force": "ioc"}, "time in force day"),
    ],
)
def test_what_cannot_be_worked_is_rejected_with_the_reason(
    terms: dict[str, object], reason: str
) -> None:
    trader = open_market()
    trader.order(**terms)
    assert trader.reports == ["o rejected"]
    assert reason in trader.last_report["reason"]


def test_one_order_more_than_the_bound_is_rejected() -> None:
    trader = open_market(max_orders=2)
    for order_id in "abc":
        trader.order(order_id, limit_price="9.00")
    assert trader.reports == ["a routed", "b routed", "c rejected"]
    trader.cancel("a")
    trader.order("d", limit_price="9.00")
    assert trader.reports[-2:] == ["a cancelled", "d routed"]


def test_numbers_of_ended_orders_are_kept_for_as_many_as_is_said() -> None:
    trader = open_market(max_ended=2)
    for order_id in "abc":
        trader.order(order_id, limit_price="9.00")
        trader.cancel(order_id)
    for order_id in "ac":
        trader.cancel(order_id)
    assert [row["sequence"] for row in trader.out["order_reports"][-2:]] == [1, 3]


# Queue positions


def test_a_queue_of_unknown_size_is_known_once_it_is_displayed() -> None:
    queue = QueuePosition(None, None)
    assert queue.on_trade(50) == 0
    queue.on_displayed(None)
    assert queue.ahead is None
    queue.on_displayed(400)
    assert (queue.ahead, queue.on_trade(450)) == (400, 50)


def test_a_queue_is_never_longer_than_what_is_displayed() -> None:
    queue = QueuePosition(400, 400)
    queue.on_displayed(30)
    assert queue.ahead == 30


def test_cancels_are_rounded_down_to_whole_shares_where_there_are_no_others() -> None:
    stocks = QueuePosition(100 * ONE, 300 * ONE)
    stocks.on_displayed(280 * ONE)
    assert stocks.ahead == 94 * ONE
    coins = QueuePosition(100 * ONE, 300 * ONE + 1)
    coins.on_displayed(280 * ONE)
    assert coins.ahead is not None
    assert 93 * ONE < coins.ahead < 94 * ONE
