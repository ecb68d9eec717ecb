"""Corporate actions: what of them is understood, which are due, and what they make of a fill of before.

An action holds for what was held before its ex time, and is effective when market time reaches that. A fill that
is told afterwards, but is from before, is of the old shares: `converted` makes of it what the action made of
the others.
"""

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Any, NamedTuple

from flows.flow import FlowError
from flows.orders.money import ONE, divided, minor_unit, product, share, text

SPLIT, DIVIDEND, SYMBOL_CHANGE, SPIN_OFF = "split", "dividend", "symbol_change", "spin_off"

# What each kind must have; the door refuses rows without, so this is for rows that came another way.
_NEEDS = {
    SPLIT: ("numerator", "denominator"),
    DIVIDEND: ("amount",),
    SYMBOL_CHANGE: ("new_symbol",),
    SPIN_OFF: ("numerator", "denominator", "new_symbol", "cost_share"),
}

_NUMBERS = ("ts_event", "number", "numerator", "denominator", "amount", "cost_share")

OF_ACTION = {
    "ts_event": "ts_event",
    "action_id": "action_id",
    "kind": "action",
    "symbol": "symbol",
    "numerator": "numerator",
    "denominator": "denominator",
    "amount": "amount",
    "currency": "currency",
    "new_symbol": "new_symbol",
    "cost_share": "cost_share",
}
"""Fields of an `Action`, but its number, and the columns of ``corporate_actions`` that they are from."""

KEPT = 4_096
"""Effective actions that are remembered for fills that are told late; the oldest are forgotten first."""

SEEN = 100_000
"""Identifiers that are remembered, the oldest are forgotten first; and bound of actions that are to come."""


class Action(NamedTuple):
    """A corporate action; numbers are scaled (`flows.orders.money`), what its kind does not need may be None."""

    ts_event: int
    number: int
    action_id: str
    kind: str
    symbol: str
    numerator: int | None
    denominator: int | None
    amount: int | None
    currency: str | None
    new_symbol: str | None
    cost_share: int | None

    @property
    def lacking(self) -> list[str]:
        """Names of what it would need, or needs otherwise: nothing can be made of it then."""
        lacking = [name for name in _NEEDS[self.kind] if getattr(self, name) is None]
        if (
            not lacking
            and self.new_symbol == self.symbol
            and self.kind in (SYMBOL_CHANGE, SPIN_OFF)
        ):
            lacking = ["another new_symbol"]
        return lacking


class Piece(NamedTuple):
    """A part of a fill: signed quantity and amount of a symbol."""

    symbol: str
    quantity: int
    amount: int


class Dividend(NamedTuple):
    """Cash that a quantity has a right to, or owes where short."""

    action_id: str
    symbol: str
    amount: int
    currency: str


class Actions:
    """Which actions are to come, and which have been.

    Parameters
    ----------
    saved : dict or None
        What `saved` of an earlier one gave.
    """

    def __init__(self, saved: dict[str, Any] | None = None) -> None:
        saved = saved or {"due": [], "done": [], "seen": [], "number": 0}
        self._due = [_restored(one) for one in saved["due"]]
        self._done = deque((_restored(one) for one in saved["done"]), maxlen=KEPT)
        self._seen = dict.fromkeys(saved["seen"])
        self._number: int = saved["number"]
        self._newest: dict[str, int] = {}
        for one in self._done:
            self._note(one)

    def put(self, values: dict[str, Any]) -> None:
        """Take a row in, with its numbers scaled; nothing where its identifier was seen.

        Raises
        ------
        FlowError
            For more actions to come than `SEEN`.
        """
        name = values["action_id"]
        if name in self._seen:
            return
        if len(self._due) >= SEEN:
            raise FlowError(
                f"corporate action {name!r} is one more than the {SEEN:,} that may be to come: tell actions when "
                "they are near"
            )
        self._seen[name] = None
        if len(self._seen) > SEEN:
            del self._seen[next(iter(self._seen))]
        self._number += 1
        heappush(self._due, Action(number=self._number, **values))

    def due(self, market_time: int) -> Iterator[Action]:
        """Actions that become effective by a time, in order of ex time, then of arrival."""
        while self._due and self._due[0].ts_event <= market_time:
            action = heappop(self._due)
            yield action
            self._done.append(action)
            self._note(action)

    @property
    def next_time(self) -> int | None:
        """Ex time of the next action."""
        return self._due[0].ts_event if self._due else None

    def has_changed(self, symbol: str, ts_ns: int) -> bool:
        """Whether an effective action of a symbol is newer than a fill of that time."""
        return ts_ns < self._newest.get(symbol, ts_ns)

    def converted(
        self, piece: Piece, ts_ns: int, currency: str
    ) -> tuple[list[Piece], list[Dividend]]:
        """What effective actions make of a fill that is from before them.

        Parameters
        ----------
        piece : Piece
            The fill.
        ts_ns : int
            When it was filled.
        currency : str
            Its currency.

        Returns
        -------
        tuple of list
            What it is now, the first of it of the symbol that it was; and dividends that it has a right to.
        """
        pieces, dividends = [piece], []
        for action in self._done:
            if action.ts_event <= ts_ns or action.lacking:
                continue
            for at, one in enumerate(list(pieces)):
                if one.symbol != action.symbol:
                    continue
                if action.kind == DIVIDEND:
                    dividends.append(dividend_of(action, one.quantity, currency))
                else:
                    pieces[at], *more = made_of(one, action, minor_unit(currency))
                    pieces += more
        return pieces, dividends

    def saved(self) -> dict[str, Any]:
        """As JSON values, for a snapshot."""
        return {
            "due": [_saved(one) for one in sorted(self._due)],
            "done": [_saved(one) for one in self._done],
            "seen": list(self._seen),
            "number": self._number,
        }

    def _note(self, action: Action) -> None:
        known = self._newest.get(action.symbol, action.ts_event)
        self._newest[action.symbol] = max(known, action.ts_event)


def dividend_of(action: Action, quantity: int, currency: str) -> Dividend:
    """The dividend of a quantity, rounded half-even to the minor unit; of its own currency, if it names one."""
    paid = action.currency or currency
    amount = product(quantity, action.amount or 0, minor_unit(paid))
    return Dividend(action.action_id, action.symbol, amount, paid)


def made_of(piece: Piece, action: Action, unit: int) -> list[Piece]:
    """What an action that pays no cash makes of a piece, the first of it of the symbol that it was unless renamed.

    Amounts are rounded to the unit; a split that would leave nothing leaves the piece as it is.
    """
    symbol, quantity, amount = piece
    numerator, denominator = action.numerator or ONE, action.denominator or ONE
    new_symbol = action.new_symbol or symbol
    if action.kind == SYMBOL_CHANGE:
        return [Piece(new_symbol, quantity, amount)]
    new = divided(quantity * numerator, denominator)
    if not new:
        return [piece]
    if action.kind == SPLIT:
        return [Piece(symbol, new, amount)]
    moved = share(amount, action.cost_share or 0, ONE, unit)
    return [Piece(symbol, quantity, amount - moved), Piece(new_symbol, new, moved)]


def _saved(action: Action) -> dict[str, Any]:
    # JSON's integers end at 64 bits.
    return {
        name: str(value) if isinstance(value, int) else value
        for name, value in action._asdict().items()
    }


def _restored(saved: dict[str, Any]) -> Action:
    values: dict[str, Any] = {
        name: int(value) if name in _NUMBERS and value is not None else value
        for name, value in saved.items()
    }
    return Action(**values)


def words(action: Action) -> str:
    """An action in words, for messages."""
    if action.kind == DIVIDEND:
        return f"dividend of {text(action.amount or 0)}"
    if action.kind == SYMBOL_CHANGE:
        return f"change to {action.new_symbol}"
    ratio = f"{text(action.numerator or 0)} for {text(action.denominator or 0)}"
    return f"split {ratio}" if action.kind == SPLIT else f"spin-off of {ratio} {action.new_symbol}"
