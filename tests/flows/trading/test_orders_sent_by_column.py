"""Orders that the router spreads, taken by column: the same outcome as at a desk, whatever happens on their way."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows import execution
from flows.trading import context, sending
from flows.trading.desk import Desk
from schemas.orders import INSTRUCTIONS
from tests.flows.trading.executing import CLOSE_NS, OPEN_NS, SECOND_NS, Row, Trader, rows_of

SYMBOLS = ("AIG", "BAC", "IBM")
VENUES = ("N", "Q", "P", "Z", "K", "V", "ODD")


class Pair:
    """A trader whose orders are taken by column, and one whose orders are all taken by desks."""

    def __init__(self, seed: int, **params: Any) -> None:
        self.rng = random.Random(seed)
        self.whole = Trader(smart_routing=True, **params)
        self.desks = Trader(smart_routing=True, **params)
        self.made = 0

    def at(self, seconds: float) -> None:
        """Set the clocks."""
        self.whole.at(seconds)
        self.desks.at(seconds)

    def quote(self) -> None:
        """Some venue's quote of some symbol, in some hundredths about ten."""
        rng = self.rng
        ask = rng.choice((10.0, 10.0, 10.01, 10.02, 10.05))
        bid = ask - rng.choice((0.01, 0.01, 0.02, 0.06, -0.01 if rng.random() < 0.1 else 0.01))
        sizes = [rng.choice((0, 100, 300, 5_000, 100_000)) for _ in range(2)]
        terms = (round(bid, 2), sizes[0], ask, sizes[1], rng.choice(VENUES))
        symbol = rng.choice(SYMBOLS)
        for trader in (self.whole, self.desks):
            trader.quote(*terms, symbol=symbol)

    def trade(self) -> None:
        """A print, some of them off exchanges, at the mid or not."""
        rng = self.rng
        terms = (rng.choice((9.995, 10.0, 10.01)), rng.choice((100, 700)), rng.choice("NQDD"))
        symbol = rng.choice(SYMBOLS)
        for trader in (self.whole, self.desks):
            trader.trade(*terms, symbol=symbol)

    def instructions(self) -> None:
        """Mostly plain orders; some that are not, and some for orders that were given before."""
        rng = self.rng
        made: list[Row] = []
        for _ in range(rng.randint(70, 110)):
            self.made += 1
            terms: dict[str, Any] = {
                "symbol": rng.choice((*SYMBOLS, *SYMBOLS, "UNKNOWN")),
                "account": rng.choice("AB"),
                "sequence": self.made,
                "side": rng.choice(("buy", "buy", "sell", "sell_short")),
                "quantity": rng.choice((1, 5, 5, 40, 150, 900)),
                "time_in_force": rng.choice(("day", "day", "gtc", "ioc", "fok")),
                "order_type": rng.choice(("market", "limit")),
                "currency": rng.choice(("USD", "JPY")),
            }
            if terms["order_type"] == "limit" or rng.random() < 0.1:
                prices = ("9.90", "10.00", "10.005", "10.02", "10.10")
                terms["limit_price"] = rng.choice(prices)
            if rng.random() < 0.06:
                terms |= rng.choice(
                    (
                        {"order_type": "stop", "stop_price": "10.02"},
                        {"display_quantity": "2"},
                        {"venue": "XNYS"},
                        {"venue": "PAPER"},
                        {"time_in_force": "at_close"},
                        {"algorithm": "twap", "algorithm_params": "{}"},
                    )
                )
            action, number = "new", self.made
            if rng.random() < 0.04:
                action = rng.choice(("new", "cancel", "replace", "replace"))
                number = rng.randint(max(1, self.made - 150), self.made)
            made.append(self.whole.instruction(action, f"o{number}", **terms))
        batch = rows_of(INSTRUCTIONS, made)
        with pytest.MonkeyPatch.context() as patched:
            # Of how many one after the other the run is sent by column: so few go to one venue each here.
            patched.setattr(sending, "_BY_COLUMN_FROM", rng.choice((1, 3, len(made) + 1)))
            self.whole.take_batch(INSTRUCTIONS, batch)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(execution, "_BY_COLUMN_FROM", len(made) + 1)
            self.desks.take_batch(INSTRUCTIONS, batch)

    def step(self) -> None:
        """Something happens."""
        kind = self.rng.random()
        if kind < 0.25:
            self.instructions()
        elif kind < 0.75:
            self.quote()
        elif kind < 0.85:
            self.trade()
        elif kind < 0.95:
            self.whole.pass_time()
            self.desks.pass_time()
        else:
            self.whole.resume()


@settings(max_examples=25, derandomize=True)
@given(
    st.integers(0, 2**32),
    st.sampled_from([20, 10_000]),
    st.sampled_from([60, 10_000]),
    st.sampled_from([1.0, (CLOSE_NS - OPEN_NS) / SECOND_NS - 0.001]),
)
def test_orders_that_are_taken_by_column_end_as_those_that_desks_take(
    seed: int, max_ended: int, max_orders: int, seconds: float
) -> None:
    pair = Pair(seed, max_ended=max_ended, max_orders=max_orders)
    for number in range(40):
        # Less than the way to any venue, about that to some, and more than to all.
        seconds += pair.rng.choice((0.0, 0.00004, 0.0001, 0.0002, 0.3))
        pair.at(seconds)
        pair.step() if number > 10 else pair.quote()
        assert pair.whole.out == pair.desks.out


def opened() -> Trader:
    """A trader in whose symbols two venues have quoted."""
    trader = Trader(smart_routing=True).at(1)
    for symbol in SYMBOLS:
        trader.quote(9.99, 5_000, 10.00, 4_000, "N", symbol=symbol)
        trader.quote(9.99, 5_000, 10.00, 4_000, "Q", symbol=symbol)
    return trader


def orders(trader: Trader, count: int = 90, **terms: Any) -> list[Row]:
    """Plain orders, in turn for each symbol."""
    return [
        trader.instruction("new", f"o{at}", symbol=SYMBOLS[at % 3], **({"quantity": 5} | terms))
        for at in range(count)
    ]


def test_orders_that_are_filled_whole_on_arrival_are_no_work_for_a_desk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trader = opened()
    monkeypatch.delattr(Desk, "begin")
    trader.take(INSTRUCTIONS, orders(trader))
    trader.at(2)
    for symbol in SYMBOLS:
        trader.quote(9.98, 100, 10.01, 100, symbol=symbol)
    assert len(trader.fills) == 90
    assert not any(desk.has_orders for desk in trader.flow._desks.values())


def test_a_snapshot_while_parts_are_on_their_way_loses_none() -> None:
    trader = opened()
    trader.take(INSTRUCTIONS, orders(trader))
    state = trader.flow.snapshot()
    trader.resume()
    assert trader.flow.snapshot() == state
    trader.at(2)
    for symbol in SYMBOLS:
        trader.quote(9.98, 100, 10.01, 100, symbol=symbol)
    assert len(trader.fills) == 90


def test_batches_are_not_kept_for_ever_for_a_symbol_that_nobody_quotes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trader = opened()
    monkeypatch.setattr(context, "_MOST_ROWS", 100)
    trader.take(INSTRUCTIONS, orders(trader))
    more = [row | {"order_id": f"more-{row['order_id']}"} for row in orders(trader)]
    trader.take(INSTRUCTIONS, more)
    assert len(trader.flow._context.flying) == 90
    assert [len(desk.orders) for desk in trader.flow._desks.values()] == [30, 30, 30]
    trader.at(2)
    for symbol in SYMBOLS:
        trader.quote(9.98, 100, 10.01, 100, symbol=symbol)
    assert [row["order_id"] for row in trader.out["executions"][::30]] == [
        "o0",
        "more-o0",
        "o1",
        "more-o1",
        "o2",
        "more-o2",
    ]
