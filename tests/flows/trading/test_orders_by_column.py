"""Orders that are taken by column: the same outcome as at a desk, row by row."""

import random
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.trading.desk import Desk
from schemas.orders import INSTRUCTIONS
from tests.flows.trading.executing import Row, Trader, rows_of

SYMBOLS = ("AIG", "BAC", "IBM")


def opened(**params: Any) -> Trader:
    """A trader in whose symbols some venues have quoted."""
    trader = Trader(**params).at(1)
    touches = (("N", "10.00", 300), ("Q", "10.00", 200), ("P", "10.01", 500), ("Z", "10.02", 150))
    for symbol in SYMBOLS:
        for venue, ask, size in touches:
            trader.quote(9.99, size, float(ask), size, venue, symbol=symbol)
    # Nothing may be filled while a market is crossed, and without a quote nobody knows the time.
    trader.quote(10.05, 100, None, None, symbol="CROSSED")
    trader.quote(None, None, 10.00, 100, "Q", symbol="CROSSED")
    return trader


def instructions(trader: Trader, seed: int) -> list[Row]:
    """Mostly plain orders, among them whatever is none: rows of all kinds, identifiers that come again."""
    rng = random.Random(seed)
    made: list[Row] = []
    for number in range(rng.randint(80, 160)):
        terms: dict[str, Any] = {
            "symbol": rng.choice((*SYMBOLS, "CROSSED", "UNKNOWN")),
            "account": rng.choice("AB"),
            "sequence": number + 7,
            "side": rng.choice(("buy", "buy", "sell", "sell_short")),
            "quantity": rng.choice((1, 5, 5, 40, 900)),
            "time_in_force": rng.choice(("day", "gtc", "ioc", "fok")),
            "order_type": rng.choice(("market", "limit")),
            "correlation_id": rng.choice((None, f"request-{number}")),
            "strategy": rng.choice(("", "slow")),
        }
        if terms["order_type"] == "limit" or rng.random() < 0.1:
            terms["limit_price"] = rng.choice(("9.97", "10.00", "10.01", "10.005", "10.10"))
        kind = rng.random()
        if kind < 0.1:
            terms |= rng.choice(
                (
                    {"order_type": "stop", "stop_price": "10.02"},
                    {"quantity": "0"},
                    {"quantity": "99999999999"},
                    {"display_quantity": "2"},
                    {"time_in_force": "at_close"},
                    {"venue": "XNYS"},
                    {"algorithm": "twap", "algorithm_params": "{}"},
                )
            )
        order_id = f"o{number}" if kind < 0.95 else f"o{rng.randint(0, number)}"
        action = "new" if kind < 0.93 else rng.choice(("new", "cancel", "replace"))
        made.append(trader.instruction(action, order_id, **terms))
    return made


@settings(max_examples=30, derandomize=True)
@given(st.integers(0, 2**32), st.sampled_from([7, 50, 10_000]), st.sampled_from([5, 10_000]))
def test_a_batch_gives_what_its_rows_one_by_one_give(
    seed: int, max_ended: int, max_orders: int
) -> None:
    whole = opened(max_ended=max_ended, max_orders=max_orders)
    single = opened(max_ended=max_ended, max_orders=max_orders)
    given = instructions(whole, seed)
    whole.take(INSTRUCTIONS, given)
    for row in given:
        single.take(INSTRUCTIONS, [row])
    assert whole.out == single.out
    assert whole.flow.snapshot() == single.flow.snapshot()
    for trader in (whole, single):
        trader.at(2).quote(9.98, 10, 10.01, 10_000, "Q")
        trader.take(INSTRUCTIONS, given[:70])
    assert whole.out == single.out


def test_an_order_takes_several_levels_and_each_fill_has_its_number() -> None:
    trader = opened()
    orders = [
        trader.instruction("new", f"o{at}", quantity=8, limit_price="10.01") for at in range(100)
    ]
    trader.take(INSTRUCTIONS, orders)
    fills = [(row["execution_id"], row["price"]) for row in trader.out["executions"]]
    # 300 at N, 200 at Q, then 300 of the 500 at P: orders 38 and 62 take of two venues.
    ten, more = Decimal("10.00"), Decimal("10.01")
    assert fills[37:39] == [("o37-1-1", ten), ("o37-1-2", ten)]
    assert fills[63:65] == [("o62-1-1", ten), ("o62-1-2", more)]
    assert sum(row["quantity"] for row in trader.out["executions"]) == 800
    assert {row["report"] for row in trader.out["order_reports"]} == {"routed"}


def test_as_many_fills_as_rows_are_not_one_fill_a_row() -> None:
    """Two orders have two fills each, and two none: each fill is its own order's, and its account's."""
    whole, single = opened(), opened()
    orders = [
        whole.instruction(
            "new", f"o{at}", quantity=8, limit_price="10.01", account=f"A{at}", side="buy"
        )
        for at in range(98)
    ]
    orders[50:50] = [
        whole.instruction("new", f"stop{at}", order_type="stop", stop_price="10.02", symbol="BAC")
        for at in range(2)
    ]
    whole.take(INSTRUCTIONS, orders)
    for row in orders:
        single.take(INSTRUCTIONS, [row])
    assert len(whole.out["executions"]) == len(orders)
    assert whole.out == single.out


def test_plain_orders_that_find_all_they_want_are_no_work_for_a_desk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trader = opened()
    monkeypatch.delattr(Desk, "begin")
    orders = [trader.instruction("new", f"o{at}", quantity=1) for at in range(100)]
    trader.take(INSTRUCTIONS, orders)
    assert len(trader.fills) == 100


def test_what_was_taken_by_column_is_gone_until_the_quote_changes() -> None:
    trader = opened()
    trader.take(
        INSTRUCTIONS, [trader.instruction("new", f"o{at}", quantity=5) for at in range(100)]
    )
    trader.order("next", quantity=10, limit_price="10.00")
    assert trader.fills[100:] == []
    trader.resume()
    trader.at(2).quote(9.99, 100, 10.00, 400, "N")
    assert trader.fills[100:] == [("next", "10", "10", "added")]


def test_an_empty_batch_is_taken() -> None:
    trader = opened()
    assert trader.take(INSTRUCTIONS, []) == []


def test_a_column_of_a_slice_is_read_from_where_it_begins() -> None:
    trader = opened()
    batch = rows_of(
        INSTRUCTIONS,
        [trader.instruction("new", f"o{at}", quantity=at + 1) for at in range(110)],
    ).slice(30, 70)
    trader.take_batch(INSTRUCTIONS, batch)
    assert [int(row["quantity"]) for row in trader.out["executions"][:3]] == [31, 32, 33]
