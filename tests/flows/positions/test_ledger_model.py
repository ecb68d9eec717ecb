"""The ledger on random histories, against models of fractions that know neither its code nor its scale."""

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.flows.positions.books import Books

CENT = Fraction(1, 100)
SMALLEST = Fraction(1, 10**10)
KINDS = ("fifo", "lifo", "highest_cost")

_QUANTITIES = st.decimals(min_value="0.0001", max_value=5_000, places=4) | st.integers(1, 500).map(
    Decimal
)
_PRICES = st.decimals(min_value="0.0001", max_value=900, places=4)
_SIDES = st.sampled_from(("buy", "sell", "sell_short"))


def half_even(value: Fraction, step: Fraction) -> Fraction:
    """The nearest multiple of a step; of two as near, the even one."""
    return Fraction(round(value / step)) * step


@dataclass
class Lots:
    """Lots of (quantity, exact cost) of one symbol, the oldest first."""

    lots: list[list[Fraction]] = field(default_factory=list)
    realised: Fraction = Fraction(0)
    # How many amounts were rounded: each may be half a cent off.
    cuts: int = 0

    def fill(self, quantity: Fraction, amount: Fraction, method: str) -> None:
        left, price = quantity, amount / quantity
        while left and self.lots and (self.lots[0][0] > 0) != (left > 0):
            lot = self._next(method)
            taken = min(abs(left), abs(lot[0])) * (1 if lot[0] > 0 else -1)
            cost = lot[1] * taken / lot[0]
            self.realised += price * taken - cost
            lot[0] -= taken
            lot[1] -= cost
            left += taken
            self.cuts += 2
            self.lots = [one for one in self.lots if one[0]]
        if left:
            self.lots.append([left, price * left])

    def _next(self, method: str) -> list[Fraction]:
        if method == "lifo":
            return self.lots[-1]
        if method == "highest_cost":
            # Of a short lot costs are below zero: the highest is what was sold cheapest.
            return max(self.lots, key=lambda lot: lot[1] / abs(lot[0]))
        return self.lots[0]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(_SIDES, _QUANTITIES, _PRICES), min_size=12, max_size=60),
    st.sampled_from(KINDS),
)
def test_lots_and_profit_are_those_of_exact_fractions(
    fills: list[tuple[str, Decimal, Decimal]], method: str
) -> None:
    books, model = Books(), Lots()
    for at, (side, quantity, price) in enumerate(fills):
        books.fill(side, str(quantity), str(price), at, lot_method=method)
        sign = 1 if side == "buy" else -1
        amount = half_even(Fraction(quantity) * Fraction(price), CENT) * sign
        model.fill(Fraction(quantity) * sign, amount, method)
        row = books.last()
        assert Fraction(row["quantity"]) == sum(lot[0] for lot in model.lots)
        off = CENT / 2 * model.cuts
        # Which of two lots costs more may hang on a rounded cent: then only sums can be compared.
        if method != "highest_cost":
            assert abs(Fraction(row["realised"]) - model.realised) <= off
            assert abs(Fraction(row["cost"]) - sum(lot[1] for lot in model.lots)) <= off
        assert all(Fraction(row[name]) % CENT == 0 for name in ("cost", "realised"))


_ACTIONS = st.one_of(
    st.tuples(
        st.just("split"), st.sampled_from(("IBM", "AIG")), st.integers(1, 7), st.integers(1, 7)
    ),
    st.tuples(
        st.just("dividend"),
        st.sampled_from(("IBM", "AIG", "NEW")),
        st.decimals(min_value=0, max_value=3, places=4),
    ),
    st.tuples(
        st.just("spin_off"),
        st.integers(1, 7),
        st.integers(1, 7),
        st.decimals(min_value=0, max_value=1, places=4),
    ),
    st.tuples(st.just("symbol_change")),
)
# How many seconds before now a fill was: some are told after an action that came behind them.
_FILLS = st.tuples(
    st.just("fill"),
    _SIDES,
    st.sampled_from(("IBM", "AIG", "NEW", "KID")),
    _QUANTITIES,
    _PRICES,
    st.sampled_from(KINDS),
    st.sampled_from((0, 0, 0, 3, 9)),
)
_CASH = st.tuples(st.just("cash"), st.decimals(min_value=-900, max_value=900, places=2))


class Sums:
    """What is held and what cash there is, by the terms of actions alone: no lots."""

    def __init__(self) -> None:
        self.held: Counter[str] = Counter()
        self.cash = Fraction(0)
        self.paid = Fraction(0)
        self._actions: list[tuple[int, tuple[Any, ...]]] = []

    def fill(self, ts: int, symbol: str, quantity: Fraction, amount: Fraction) -> None:
        self.cash -= amount
        self.paid += amount
        made = Counter({symbol: quantity})
        for at, action in self._actions:
            if at > ts:
                self._apply(made, action)
        for name, more in made.items():
            self.held[name] += more

    def act(self, at: int, action: tuple[Any, ...]) -> None:
        self._actions.append((at, action))
        self._apply(self.held, action)

    def _apply(self, held: Counter[str], action: tuple[Any, ...]) -> None:
        kind, *terms = action
        if kind == "split":
            symbol, new, old = terms
            # What would leave nothing is not done.
            held[symbol] = half_even(held[symbol] * Fraction(new, old), SMALLEST) or held[symbol]
        elif kind == "dividend":
            self.cash += half_even(held[terms[0]] * Fraction(terms[1]), CENT)
        elif kind == "spin_off":
            held["KID"] += half_even(held["AIG"] * Fraction(terms[0], terms[1]), SMALLEST)
        else:
            held["NEW"] += held["IBM"]
            held["IBM"] = Fraction(0)


def _tell(books: Books, at: int, action: tuple[Any, ...]) -> None:
    kind, *terms = action
    if kind == "split":
        books.act(kind, at, terms[0], numerator=terms[1], denominator=terms[2])
    elif kind == "dividend":
        books.act(kind, at, terms[0], amount=terms[1])
    elif kind == "spin_off":
        ratio = {"numerator": terms[0], "denominator": terms[1]}
        books.act(kind, at, "AIG", **ratio, new_symbol="KID", cost_share=terms[2])
    else:
        books.act(kind, at, "IBM", new_symbol="NEW")
    books.mark(at, None)


@settings(max_examples=60)
@given(st.lists(_FILLS | _FILLS | _CASH | _ACTIONS, min_size=12, max_size=60))
def test_with_actions_what_is_held_and_cash_are_those_of_exact_fractions(
    history: list[tuple[Any, ...]],
) -> None:
    books, sums = Books(), Sums()
    for number, one in enumerate(history):
        at = 10 * (number + 1)
        if one[0] == "fill":
            _, side, symbol, quantity, price, method, before = one
            # Never behind more than one action, and never at its very time.
            ts = at - before * 2 + 1
            books.mark(at, None)
            books.fill(side, str(quantity), str(price), ts, symbol=symbol, lot_method=method)
            sign = 1 if side == "buy" else -1
            amount = half_even(Fraction(quantity) * Fraction(price), CENT) * sign
            sums.fill(ts, symbol, Fraction(quantity) * sign, amount)
        elif one[0] == "cash":
            books.cash(str(one[1]))
            sums.cash += Fraction(one[1])
        else:
            _tell(books, at, one)
            sums.act(at, one)
    newest = {row["symbol"]: row for row in books.rows["positions"]}
    held = {symbol: Fraction(row["quantity"]) for symbol, row in newest.items() if row["quantity"]}
    assert held == {symbol: quantity for symbol, quantity in sums.held.items() if quantity}
    if books.rows["balances"]:
        assert Fraction(books.balance()) == sums.cash
    # Actions move cost from lot to lot, and make or lose none of it.
    costs = sum(Fraction(row["cost"]) - Fraction(row["realised"]) for row in newest.values())
    assert costs == sums.paid
    closed: Counter[str] = Counter()
    for row in books.rows["lot_closings"]:
        assert row["realised"] == row["proceeds"] - row["cost"]
        closed[row["symbol"]] += row["realised"]
    assert {symbol: row["realised"] for symbol, row in newest.items()} == {
        symbol: closed[symbol] for symbol in newest
    }
    _lots_are_whole(books)


def _lots_are_whole(books: Books) -> None:
    for position in books.flow._ledger.book.positions:
        lots = position.lots
        assert lots.quantity == sum(lot.quantity for lot in lots.open)
        assert lots.cost == sum(lot.cost for lot in lots.open)
        assert len({lot.quantity > 0 for lot in lots.open}) <= 1
        assert all(lot.quantity and lot.cost % position.unit == 0 for lot in lots.open)
