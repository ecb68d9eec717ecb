"""Corporate actions in the order system: positions, cash and prices change, and open orders are cancelled."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.oms import Oms, OmsParams
from schemas.instruments import INSTRUMENTS
from schemas.topic import Topic
from tests.flows.orders.order_system import MARKET_NS, OrderSystem, Row, order_id, refusal, said
from tests.flows.positions.books import Books

EX_NS = MARKET_NS + 60_000_000_000
SPLIT = {"numerator": "2", "denominator": "1"}
SPIN_OFF = {"numerator": "1", "denominator": "4", "new_symbol": "NEW", "cost_share": "0.2"}


def held(desk: OrderSystem, symbol: str = "AIG") -> Decimal:
    holdings = desk.flow._blotters["A"].account.holdings
    return Decimal(holdings[symbol].quantity if symbol in holdings else 0).scaleb(-10)


def cash(desk: OrderSystem) -> Decimal:
    return Decimal(desk.flow._blotters["A"].account.purses["USD"].cash).scaleb(-10)


def owning(quantity: str = "100", **account: Any) -> OrderSystem:
    desk = OrderSystem(**account)
    desk.new("c0", quantity=quantity)
    desk.fill(quantity, client="c0")
    return desk


def test_a_split_is_effective_when_market_time_reaches_it_and_all_may_be_sold() -> None:
    desk = owning(type="cash")
    desk.act("split", EX_NS, **SPLIT)
    assert held(desk) == 100
    assert refusal(desk.new("c1", side="sell", quantity="200"))[0] == "short_sale"
    desk.mark("AIG", 24.99, 25.01, ts_event=EX_NS)
    desk.restart()
    assert held(desk) == 200
    assert said(desk.new("c2", side="sell", quantity="200", limit_price="25")) == [
        ("accepted", "accepted")
    ]


def test_after_a_reverse_split_no_more_may_be_sold_than_is_left() -> None:
    desk = owning(type="cash")
    desk.act("split", EX_NS, numerator="1", denominator="10")
    desk.mark("AIG", 499.9, 500.1, ts_event=EX_NS)
    assert refusal(desk.new("c1", side="sell", limit_price="500"))[:2] == ("short_sale", "10")


def test_until_a_new_mark_comes_the_old_one_is_that_of_the_new_shares() -> None:
    desk = owning()
    desk.act("split", EX_NS, **SPLIT)
    desk.feed(INSTRUMENTS, {"symbol": "IBM"})
    desk.mark("IBM", 10.0, 10.02, ts_event=EX_NS)
    account = desk.flow._blotters["A"].account
    assert account.holdings["AIG"].price == 25 * 10**10
    assert account.purses["USD"].value == 200 * 25 * 10**20
    # Buying costs the new ask.
    assert desk.flow._market.symbol("AIG").ask == 25_005 * 10**7


def test_a_dividend_is_paid_for_what_was_held_and_leaves_orders() -> None:
    desk = owning()
    desk.new("c1")
    before, count = cash(desk), len(desk.instructions)
    desk.act("dividend", EX_NS, amount="0.25")
    desk.mark("AIG", 49.7, 49.8, ts_event=EX_NS)
    assert cash(desk) - before == 25
    assert len(desk.instructions) == count


def test_a_new_name_has_the_position_and_its_price() -> None:
    desk = owning()
    desk.act("symbol_change", EX_NS, new_symbol="NEW")
    desk.feed(INSTRUMENTS, {"symbol": "NEW"})
    desk.fill("1", client="x", symbol="IBM", ts_event=EX_NS)
    assert (held(desk), held(desk, "NEW")) == (0, 100)
    assert desk.flow._blotters["A"].account.holdings["NEW"].price == 50 * 10**10
    assert said(desk.new("c1", symbol="NEW", side="sell")) == [("accepted", "accepted")]


def test_a_spin_off_is_held_besides() -> None:
    desk = owning()
    desk.act("spin_off", EX_NS, **SPIN_OFF)
    desk.report("routed", "nobody", ts_event=EX_NS)
    assert (held(desk), held(desk, "NEW")) == (100, 25)


@pytest.mark.parametrize(
    ("action", "terms", "words"),
    [
        ("split", SPLIT, "split 2 for 1"),
        ("symbol_change", {"new_symbol": "NEW"}, "change to NEW"),
        ("spin_off", SPIN_OFF, "spin-off of 1 for 4 NEW"),
    ],
)
def test_open_orders_of_the_symbol_are_cancelled_and_told_why(
    action: str, terms: Row, words: str
) -> None:
    desk = OrderSystem()
    desk.feed(INSTRUMENTS, {"symbol": "IBM"})
    desk.new("c1", time_in_force="gtc")
    desk.new("c2", symbol="IBM", limit_price="20")
    desk.act(action, EX_NS, **terms)
    desk.mark("AIG", 49.99, 50.01, ts_event=EX_NS)
    assert [one["order_id"] for one in desk.instructions if one["action"] == "cancel"] == [
        order_id("c1")
    ]
    assert refusal(desk.replace("c1", quantity="50"))[0] == "replace"
    desk.restart()
    (event,) = desk.report("cancelled", "c1")
    assert (event["status"], event["reason"]) == (
        "cancelled",
        f"{words}: the order was in terms of before",
    )
    # What is ordered afterwards is in the new terms, and stays.
    assert said(desk.new("c3", limit_price="49.9")) == [("accepted", "accepted")]
    desk.mark("AIG", 49.99, 50.01)
    assert desk.instructions[-1]["action"] == "new"


def test_a_bracket_that_was_open_makes_no_exits_in_old_shares() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("40")
    count = len(desk.instructions)
    desk.act("split", EX_NS, **SPLIT)
    desk.mark("AIG", 24.99, 25.01, ts_event=EX_NS)
    assert held(desk) == 80
    # The entry, and the exits of what it was filled with.
    assert [one["action"] for one in desk.instructions[count:]] == ["cancel"] * 3
    desk.fill("20")
    events = desk.report("cancelled", filled_quantity="60")
    assert said(events) == [("cancelled", "cancelled")]
    assert len(desk.instructions) == count + 3


def test_an_oco_is_cancelled_with_its_exits() -> None:
    desk = owning()
    desk.bracket(order_class="oco", side="sell")
    desk.act("split", EX_NS, **SPLIT)
    count = len(desk.instructions)
    desk.mark("AIG", 24.99, 25.01, ts_event=EX_NS)
    assert [one["order_id"][-3:] for one in desk.instructions[count:]] == ["-tp", "-sl"]
    desk.report("cancelled", exit="-sl")
    events = desk.report("cancelled", exit="-tp")
    assert [one["order_id"] for one in events] == [order_id("c1") + "-tp", order_id("c1")]
    assert all(one["reason"].startswith("split 2 for 1") for one in events)


@pytest.mark.parametrize("restarts", [False, True])
def test_a_new_name_is_held_in_the_currency_that_it_is_listed_in(*, restarts: bool) -> None:
    desk = OrderSystem()
    desk.feed(INSTRUMENTS, {"symbol": "NEW", "currency": "EUR"})
    desk.mark("NEW", 49.99, 50.01)
    desk.new()
    desk.fill("100")
    desk.act("symbol_change", EX_NS, new_symbol="NEW")
    if restarts:
        desk.restart()
    desk.mark("AIG", 49.99, 50.01, ts_event=EX_NS)
    assert desk.flow._blotters["A"].account.holdings["NEW"].purse.currency == "EUR"


@pytest.mark.parametrize("restarts", [False, True])
def test_exits_are_in_the_currency_that_is_listed_when_they_are_made(*, restarts: bool) -> None:
    desk = OrderSystem()
    desk.feed(INSTRUMENTS, {"symbol": "AIG", "currency": "EUR", "ts_event": EX_NS})
    desk.bracket()
    desk.mark("AIG", 49.99, 50.01, ts_event=EX_NS)
    if restarts:
        desk.restart()
    desk.fill("40")
    assert [one["currency"] for one in desk.instructions] == ["USD", "EUR", "EUR"]


def test_exits_that_a_split_has_ended_are_not_renewed_at_the_old_prices() -> None:
    desk = OrderSystem()
    desk.bracket()
    desk.fill("40")
    desk.fill("60")
    desk.act("split", EX_NS, **SPLIT)
    desk.mark("AIG", 24.99, 25.01, ts_event=EX_NS)
    count = len(desk.instructions)
    # What its limit had at the venue was filled before, and its growth came too late.
    desk.fill("40", "55", exit="-tp", side="sell", ts_event=EX_NS - 1)
    desk.report("replace_rejected", exit="-tp", filled_quantity="40")
    desk.restart()
    desk.report("cancelled", exit="-sl")
    # A stop at 45 would be reached at once by a price of 25.
    assert desk.instructions[count:] == []
    assert held(desk) == 120


def test_an_action_that_is_repeated_or_lacks_something_changes_nothing() -> None:
    desk = owning()
    for _ in range(2):
        desk.act("split", EX_NS, action_id="once", **SPLIT)
    desk.act("split", EX_NS, numerator="3")
    desk.new("c1", limit_price="49.9")
    desk.mark("AIG", 24.99, 25.01, ts_event=EX_NS)
    assert held(desk) == 200


def test_a_fill_of_before_that_is_told_late_is_one_of_the_old_shares() -> None:
    desk = OrderSystem()
    desk.new()
    desk.act("dividend", EX_NS, amount="1")
    desk.act("split", EX_NS, **SPLIT)
    desk.mark("AIG", 24.99, 25.01, ts_event=EX_NS)
    before = cash(desk)
    desk.fill("100", ts_event=EX_NS - 1)
    assert held(desk) == 200
    assert cash(desk) - before == -5000 + 100


class BothBooks(Books):
    """A positions flow and an order system that are told the same."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = OrderSystem(funded=None)
        self.desk.flow = Oms(OmsParams(), None)

    def give(self, topic: Topic, *rows: Row) -> None:
        super().give(topic, *rows)
        self.desk.feed(topic, *rows)


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["fill", "fill", "mark", "split", "dividend", "symbol_change", "spin_off"]),
        st.sampled_from(["IBM", "AIG", "NEW"]),
        st.integers(1, 500),
        st.integers(1, 5),
        st.integers(-40, 40),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(_STEPS)
def test_positions_and_cash_are_those_of_the_positions_flow(steps: list[Any]) -> None:
    """Whatever actions and fills come, early or late: the two books are written apart."""
    books = BothBooks()
    books.account()
    books.cash("1000000")
    for at, (kind, symbol, quantity, ratio, shift) in enumerate(steps):
        time = at * 10 + shift
        if kind == "fill":
            books.fill(
                "buy" if quantity % 3 else "sell", str(quantity), "12.34", time, symbol=symbol
            )
        elif kind == "mark":
            books.mark(time, 10.0 + ratio, symbol)
        elif kind == "dividend":
            books.act(kind, time, symbol, amount="0.25")
        else:
            other = {"IBM": "AIG", "AIG": "NEW", "NEW": "IBM"}[symbol]
            numbers = {"numerator": str(ratio), "denominator": "2"}
            spun = {"new_symbol": other, "cost_share": "0.3"}
            terms = {"split": numbers, "symbol_change": {"new_symbol": other}}
            books.act(kind, time, symbol, **terms.get(kind, numbers | spun))
    desk = books.desk
    account = desk.flow._blotters["A"].account
    newest = {row["symbol"]: row["quantity"] for row in books.rows["positions"]}
    assert {name: held(desk, name) for name in newest} == newest
    assert {name for name, one in account.holdings.items() if one.quantity} <= set(newest)
    assert cash(desk) == books.balance()
