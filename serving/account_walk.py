"""Positions that corporate actions have changed, computed again: fill by fill and action by action, in fractions."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import groupby
from typing import Any

from flows.orders.money import ONE, minor_unit

Row = Mapping[str, Any]
Cash = dict[tuple[str, ...], int]


def walked(
    events: Iterable[Row], fills: Iterable[Row], actions: Iterable[Row]
) -> tuple[Cash, Cash]:
    """Dividends, and what is held in the end.

    Parameters
    ----------
    events : iterable of dict
        Fills and actions as the ledger has booked them, in order within each account.
    fills, actions : iterable of dict
        Their terms; actions in order of ex time.

    Returns
    -------
    tuple of dict
        Dividends by account and currency; quantities by account, strategy, symbol and currency. Scaled.
    """
    known = {(row["account"], row["id"]): row for row in fills}
    terms = list(actions)
    cash: Cash = defaultdict(int)
    held: Cash = {}
    ordered = sorted(events, key=lambda row: (*_group(row), row["first"]))
    for (account, strategy, currency), rows in groupby(ordered, _group):
        walk = _Walk(list(rows), known, terms, currency)
        walk.go()
        for paid, amount in walk.cash.items():
            cash[account, paid] += amount
        for symbol, quantity in walk.held.items():
            held[account, strategy, symbol, currency] = quantity
    return dict(cash), held


class _Walk:
    """The positions of one account and strategy in one currency."""

    def __init__(
        self,
        events: list[Row],
        fills: Mapping[tuple[str, str], Row],
        actions: list[Row],
        currency: str,
    ) -> None:
        self.held: dict[str, int] = defaultdict(int)
        self.cash: dict[str, int] = defaultdict(int)
        self._events = events
        self._fills = fills
        self._actions = actions
        self._by_id = {row["id"]: row for row in actions}
        self._currency = currency

    def go(self) -> None:
        booked = {
            (row["id"], row["symbol"]): row["first"]
            for row in self._events
            if row["cause"] == "corporate_action"
        }
        for event in self._events:
            if event["cause"] == "execution":
                # What is booked and has not come in makes a difference; that is what is looked for.
                fill = self._fills.get((event["account"], event["id"]))
                # A late fill tells every position that it has changed; it is one fill.
                if fill is not None and event["symbol"] == fill["symbol"]:
                    self._fill(event, fill, booked)
                continue
            action = self._by_id.get(event["id"])
            if action is not None and event["symbol"] == action["old_symbol"]:
                self._act(self.held, action)

    def _fill(self, event: Row, fill: Row, booked: Mapping[tuple[str, str], int]) -> None:
        made: dict[str, int] = defaultdict(int, {fill["symbol"]: int(fill["quantity"])})
        for action in self._actions:
            # Effective before it was booked, and not booked behind it: then the fill is of the old shares.
            later = booked.get((action["id"], action["old_symbol"]), 0) > event["first"]
            if fill["filled"] < action["ex"] <= event["told"] and not later:
                self._act(made, action)
        for symbol, quantity in made.items():
            self.held[symbol] += quantity

    def _act(self, held: dict[str, int], action: Row) -> None:
        symbol, new_symbol = action["old_symbol"], action["other"]
        quantity = held[symbol]
        ratio = Fraction(int(action["new"]), int(action["old"]))
        if action["kind"] == "split":
            held[symbol] = round(quantity * ratio) or quantity
        elif action["kind"] == "spin_off":
            held[new_symbol] += round(quantity * ratio)
        elif action["kind"] == "symbol_change":
            held[new_symbol] += quantity
            held[symbol] = 0
        else:
            paid = action["paid"] or self._currency
            unit = minor_unit(paid)
            self.cash[paid] += round(Fraction(quantity * int(action["each"]), ONE * unit)) * unit


def _group(row: Row) -> tuple[str, str, str]:
    return row["account"], row["strategy"], row["currency"]
