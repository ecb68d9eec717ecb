"""What the paper market fills, and what it does not."""

import json
from decimal import Decimal

import pytest

from flows.snapshot import unpack
from tests.flows.trading.executing import CLOSE_NS, OPEN_NS, SECOND_NS, Trader


def open_market(**params: object) -> Trader:
    trader = Trader(**params)
    trader.at(1).quote(10.00, 300, 10.02, 200)
    return trader


def test_a_market_order_takes_what_is_displayed_at_the_touch_and_waits_for_the_rest() -> None:
    trader = open_market()
    trader.order(quantity=250)
    assert trader.fills == [("o", "200", "10.02", "removed")]
    trader.at(2).quote(10.00, 300, 10.03, 500)
    assert trader.fills[1:] == [("o", "50", "10.03", "removed")]
    assert trader.reports == ["o routed"]


def test_what_is_taken_is_gone_until_the_quote_changes() -> None:
    trader = open_market()
    trader.order("a", quantity=150)
    trader.order("b", quantity=150, limit_price="10.02", time_in_force="ioc")
    trader.at(2).quote(10.01, 300, 10.02, 200)
    trader.order("c", quantity=150, limit_price="10.02", time_in_force="ioc")
    trader.at(3).quote(10.01, 300, 10.02, 210)
    trader.order("d", quantity=150, limit_price="10.02", time_in_force="ioc")
    assert [fill[:2] for fill in trader.fills] == [("a", "150"), ("b", "50"), ("d", "150")]
    assert "c expired" in trader.reports


def test_levels_of_the_book_are_taken_behind_the_touch_within_the_limit() -> None:
    trader = Trader()
    trader.at(1).top(
        {"bid_1": 10.0, "bid_size_1": 5, "ask_1": 10.02, "ask_size_1": 100}
        | {"ask_2": 10.04, "ask_size_2": 100, "ask_3": 10.05, "ask_size_3": 100}
    )
    trader.order(quantity=300, limit_price="10.04")
    assert trader.fills == [("o", "100", "10.02", "removed"), ("o", "100", "10.04", "removed")]
    # The rest stands at 10.04 and is the best bid: a seller who comes meets it.
    trader.at(2).trade(10.04, 60, side="sell")
    assert trader.fills[2:] == [("o", "60", "10.04", "added")]


def test_venues_are_taken_in_order_of_price_then_name() -> None:
    trader = Trader()
    trader.at(1).quote(9.99, 100, 10.03, 100, "Q")
    trader.quote(9.99, 100, 10.02, 100, "Z")
    trader.quote(9.99, 100, 10.02, 100, "K")
    trader.order(quantity=250)
    assert [fill[1:3] for fill in trader.fills] == [
        ("100", "10.02"),
        ("100", "10.02"),
        ("50", "10.03"),
    ]
    assert [row["ask"] for row in trader.out["executions"]] == [Decimal("10.02")] * 3


def test_a_resting_order_waits_behind_what_stands_ahead() -> None:
    trader = open_market()
    trader.order(limit_price="10.00")
    trader.at(2).trade(10.00, 250)
    assert trader.fills == []
    trader.at(3).trade(10.00, 120)
    assert trader.fills == [("o", "70", "10", "added")]
    trader.at(4).trade(10.00, 120)
    assert trader.fills[1:] == [("o", "30", "10", "added")]


def test_cancels_ahead_move_it_up_in_proportion() -> None:
    trader = open_market()
    trader.order(limit_price="10.00")
    # Others join behind it, 600 in all; then half of all is cancelled: half of the 300 ahead.
    trader.at(2).quote(10.00, 600, 10.02, 200)
    trader.at(3).quote(10.00, 300, 10.02, 200)
    trader.at(4).trade(10.00, 150)
    assert trader.fills == []
    trader.at(5).trade(10.00, 10)
    assert trader.fills == [("o", "10", "10", "added")]


def test_size_that_trades_explain_is_no_cancel() -> None:
    trader = open_market()
    trader.order(limit_price="10.00")
    trader.at(2).trade(10.00, 100)
    trader.at(2.1).quote(10.00, 200, 10.02, 200)
    trader.at(3).trade(10.00, 200)
    assert trader.fills == []
    trader.at(4).trade(10.00, 5)
    assert trader.fills == [("o", "5", "10", "added")]


def test_a_trade_at_a_worse_price_fills_it_at_its_own_price() -> None:
    trader = open_market()
    trader.order(limit_price="10.00", quantity=400)
    trader.at(2).trade(9.99, 250)
    assert trader.fills == [("o", "250", "10", "added")]


def test_the_other_side_that_comes_to_its_price_fills_it() -> None:
    trader = open_market()
    trader.order(limit_price="10.01")
    trader.at(2).quote(10.00, 300, 10.01, 40)
    assert trader.fills == [("o", "40", "10.01", "added")]


def test_one_trade_fills_no_more_than_its_size_whatever_orders_it_meets() -> None:
    trader = open_market()
    trader.order("a", limit_price="10.00", quantity=100)
    trader.order("b", limit_price="10.00", quantity=100)
    trader.order("n", limit_price="10.00", quantity=100, venue="N")
    trader.at(2).trade(9.99, 150)
    assert trader.fills == [("a", "100", "10", "added"), ("b", "50", "10", "added")]
    trader.at(3).trade(9.99, 150)
    assert trader.fills[2:] == [("b", "50", "10", "added"), ("n", "100", "10", "added")]


def test_price_goes_before_time_and_time_before_size() -> None:
    trader = open_market()
    trader.order("late", limit_price="10.00", quantity=500)
    trader.order("best", limit_price="10.01", quantity=50)
    trader.order("next", limit_price="10.00", quantity=50)
    trader.at(2).trade(9.99, 600)
    assert trader.fills == [
        ("best", "50", "10.01", "added"),
        ("late", "500", "10", "added"),
        ("next", "50", "10", "added"),
    ]


@pytest.mark.parametrize(
    "what",
    [
        {"conditions": "4000", "reason": "out of sequence"},
        {"conditions": "100000", "reason": "an average price"},
        {"venue": "D", "reason": "reported off exchange"},
        {"updates_volume": False, "reason": "repeats another print"},
        {"action": "cancel", "ref_trade_id": "x", "reason": "takes another back"},
        {"side": "buy", "reason": "a buyer met an offer"},
    ],
    ids=lambda what: str(what["reason"]),
)
def test_prints_that_met_no_bid_fill_nothing(what: dict[str, object]) -> None:
    trader = open_market()
    trader.order(limit_price="10.00")
    trader.at(2).trade(9.99, 1_000, **{k: v for k, v in what.items() if k != "reason"})
    assert trader.fills == []


def test_nothing_is_filled_against_a_stale_quote() -> None:
    trader = open_market()
    trader.at(302).trade(10.01, 1)
    trader.order(quantity=50)
    assert trader.fills == []
    trader.at(303).quote(10.00, 300, 10.02, 200)
    assert trader.fills == [("o", "50", "10.02", "removed")]


def test_nothing_is_filled_while_the_market_is_crossed() -> None:
    trader = open_market()
    trader.at(2).quote(10.05, 100, 10.06, 100, "Q")
    trader.order(quantity=50)
    trader.at(3).trade(10.02, 50)
    assert trader.fills == []
    trader.at(4).quote(10.01, 100, 10.06, 100, "Q")
    assert trader.fills == [("o", "50", "10.02", "removed")]


@pytest.mark.parametrize("state", ["halted", "quoting"])
def test_a_halted_venue_fills_nothing(state: str) -> None:
    trader = Trader()
    levels = {"bid_1": 10.0, "bid_size_1": 100, "ask_1": 10.02, "ask_size_1": 100}
    trader.at(1).top(levels, state=state)
    trader.order(quantity=50)
    assert trader.fills == []
    trader.at(2).top(levels, state="trading")
    assert trader.fills == [("o", "50", "10.02", "removed")]


def test_nothing_is_filled_out_of_hours() -> None:
    trader = Trader()
    trader.at(-600).quote(10.00, 300, 10.02, 200)
    trader.order(quantity=50)
    trader.at(-300).quote(10.00, 300, 10.01, 200)
    assert trader.fills == []
    trader.at(0).quote(10.00, 300, 10.02, 200)
    assert trader.fills == [("o", "50", "10.02", "removed")]


def test_a_quote_whose_condition_does_not_count_takes_its_venue_out() -> None:
    trader = open_market()
    trader.at(2).quote(10.00, 300, 10.02, 200, condition="halted")
    trader.order(quantity=50)
    assert trader.fills == []


def test_a_row_of_the_tape_named_best_takes_the_others_out() -> None:
    trader = Trader()
    trader.at(1).quote(None, None, 10.02, 100, "N", condition="1;best")
    trader.at(2).quote(None, None, 10.03, 100, "Q", condition="1;best")
    trader.order(quantity=150)
    assert trader.fills == [("o", "100", "10.03", "removed")]


def test_prices_are_rounded_half_even_to_the_tick() -> None:
    trader = Trader()
    trader.instrument(tick_size=0.25)
    trader.at(1).quote(9.0, 100, 10.125, 100)
    trader.order("a", quantity=50)
    trader.at(2).quote(9.0, 100, 10.375, 100)
    trader.order("b", quantity=50)
    assert [fill[2] for fill in trader.fills] == ["10", "10.5"]


def test_a_limit_between_two_ticks_stands_at_the_one_that_is_no_worse() -> None:
    trader = open_market()
    trader.order("b", limit_price="10.019")
    trader.order("s", "sell", limit_price="10.001")
    assert trader.fills == []
    trader.at(2).quote(10.00, 300, 10.01, 30)
    assert trader.fills == [("b", "30", "10.01", "added")]


def test_an_iceberg_shows_a_slice_at_a_time_and_each_goes_to_the_back() -> None:
    trader = open_market()
    trader.order(limit_price="10.01", quantity=300, display_quantity=100)
    trader.at(2).trade(10.01, 250, side="sell")
    assert trader.fills == [("o", "100", "10.01", "added")]
    # Others have come to its price meanwhile: the second slice stands behind them.
    trader.at(3).quote(10.01, 80, 10.02, 200)
    trader.order("p", limit_price="10.01", quantity=10)
    trader.at(4).trade(10.01, 100, side="sell")
    trader.at(5).trade(10.01, 90, side="sell")
    assert trader.fills[1] == ("o", "100", "10.01", "added")


def test_an_iceberg_that_a_quote_has_met_shows_its_next_slice() -> None:
    trader = open_market()
    trader.order(limit_price="10.00", quantity=500, display_quantity=100)
    trader.at(2).quote(9.99, 300, 10.00, 150, "Q")
    trader.quote(9.99, 300, 10.02, 100, "Q")
    trader.quote(9.99, 300, 10.02, 200)
    met = sum(int(fill[1]) for fill in trader.fills)
    trader.at(3).trade(10.00, 5_000, side="sell")
    assert 0 < met < 500
    assert trader.fills[-1] == ("o", "100", "10", "added")


def test_fees_are_rounded_half_even_to_the_cent_and_a_rebate_is_negative() -> None:
    trader = Trader()
    trader.at(1).quote(10.01, 300, 10.02, 200)
    trader.order("t", limit_price="10.02", quantity=155, venue="N")
    trader.order("a", limit_price="10.00", quantity=100, venue="N")
    trader.at(2).quote(10.01, 300, 10.03, 200)
    trader.at(3).trade(9.99, 100)
    fees = {row["order_id"]: row["fees"] for row in trader.out["executions"]}
    # XNYS: 0.0030 a share taken, 0.465 for 155; 0.0012 back a share added.
    assert fees == {"t": Decimal("0.46"), "a": Decimal("-0.12")}
    assert {row["venue"] for row in trader.out["executions"]} == {"XNYS"}


def test_a_venue_has_hidden_size_at_the_mid_by_its_model() -> None:
    trader = open_market()
    trader.order(quantity=100, venue="N", time_in_force="ioc")
    trader.at(2).quote(10.00, 300, 10.02, 200)
    # 0.16 / (1 - 0.16) of the 200 that it displays are hidden at XNYS, in whole shares.
    assert trader.fills == [("o", "38", "10.01", "removed"), ("o", "62", "10.02", "removed")]
    trader.order("p", quantity=38, venue="N")
    trader.at(3).quote(10.00, 300, 10.02, 200)
    assert trader.fills[2:] == [("p", "38", "10.02", "removed")]


def test_an_order_reaches_its_venue_after_the_venues_latency() -> None:
    trader = Trader()
    trader.at(1).quote(10.01, 300, 10.02, 200)
    trader.order(quantity=50, venue="N")
    # 220 microseconds to Mahwah: the quote that came before was gone by then.
    trader.at(1.0001).quote(10.03, 300, 10.04, 200)
    assert trader.fills == []
    trader.at(1.5).quote(10.04, 300, 10.05, 200)
    assert trader.fills == [("o", "50", "10.04", "removed")]
    assert trader.out["executions"][0]["ts_event"].value == OPEN_NS + SECOND_NS + 220_000


def test_a_cancel_that_comes_after_the_fill_is_refused() -> None:
    trader = open_market()
    trader.order(quantity=50, limit_price="10.02", venue="N")
    trader.cancel()
    trader.at(2).quote(10.00, 300, 10.02, 250)
    assert trader.reports == ["o routed", "o cancel_rejected"]
    assert trader.last_report["filled_quantity"] == 50


def test_market_time_is_each_symbols_own() -> None:
    trader = open_market()
    trader.at(86_400).market(
        trader.flow.inputs[2].topic,
        {"symbol": "IBM", "venue": "N", "bid": 1.0, "bid_size": 1.0, "ask": 2.0, "ask_size": 1.0},
    )
    trader.at(2).order(limit_price="10.00")
    trader.at(3).trade(9.99, 100)
    assert trader.fills == [("o", "100", "10", "added")]


def test_a_day_order_expires_at_the_close_by_a_watermark_too() -> None:
    trader = open_market()
    trader.order(limit_price="9.00")
    trader.at((CLOSE_NS - OPEN_NS) / SECOND_NS).pass_time()
    assert trader.reports == ["o routed", "o expired"]
    assert trader.last_report["ts_event"].value == CLOSE_NS


def test_an_order_without_market_data_waits_for_the_first() -> None:
    trader = Trader()
    trader.order(quantity=50)
    assert trader.reports == []
    trader.at(1).quote(10.00, 300, 10.02, 200)
    assert trader.fills == [("o", "50", "10.02", "removed")]


def test_what_was_used_up_is_kept_of_what_is_displayed_only() -> None:
    trader = Trader()
    kept = []
    for at in range(60):
        trader.at(1 + at).quote(9.00, 300, 20 - at / 100, 200)
        trader.order(f"o{at:02}", quantity=50)
        _, arrays = unpack(trader.flow.snapshot(), "execution", 2)
        [desk] = json.loads(arrays["state"].tobytes())["desks"]
        [(_, _, used)] = desk["market"]
        kept.append(len(used))
    assert len(trader.fills) == 60
    assert set(kept) == {1}


def test_what_is_left_of_a_limit_order_that_reaches_the_other_side_takes_what_is_displayed_next() -> (
    None
):
    """It rests at no venue, where it would cross the others' quotes and wait for that venue alone."""
    trader = Trader(smart_routing=True)
    trader.instrument()
    trader.at(1).quote(48.99, 500, 49.00, 100)
    trader.at(2).order(quantity=300, limit_price="49.50")
    first = trader.at(3).quote(48.99, 500, 49.01, 150, venue="Q")
    then = trader.at(4).quote(48.99, 500, 49.02, 400, venue="P")
    last = trader.at(5).quote(48.99, 500, 49.02, 300, venue="P")
    fills = [(str(one["price"]), int(one["quantity"])) for one in (*first, *then, *last)]
    assert sum(quantity for _, quantity in fills) == 300
    assert {price for price, _ in fills} <= {"49.0000000000", "49.0100000000", "49.0200000000"}
