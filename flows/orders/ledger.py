"""The ledger: what fills, cash movements, corporate actions and marks make of accounts, to the cent.

Cash and positions change by these and nothing else:

- A fill changes cash by its consideration (quantity times price, rounded half-even to the currency's minor unit)
  and its fees, and a position by its quantity at that cost. Where it crosses from one side to the other it is split.
- A cash movement changes cash by its amount.
- A dividend changes cash by its amount times what is held, rounded so, for each position: in where long, out where
  short. A split, a change of symbol and a spin-off change lots, and no cash; fractions of a share are kept.

Positions are kept by account, strategy, symbol and currency. A fill that is told after an action, but is from before
it, is booked as what the action made of its shares.
"""

from collections import deque
from typing import Any, NamedTuple

from flows.orders.action_effects import make_effective, pay_dividend
from flows.orders.book import Book, Bounds, scaled_mark
from flows.orders.corporate_actions import Actions, Dividend, Piece
from flows.orders.lots import FIFO, Lot
from flows.orders.money import product, rounded, text
from flows.orders.position import LIMIT, Position

EXECUTION, MOVEMENT, MARK = "execution", "cash_movement", "mark"


class Fill(NamedTuple):
    """A fill as its row has it; numbers are scaled (`flows.orders.money`)."""

    account: str
    ts_event: int
    execution_id: str
    symbol: str
    side: str
    quantity: int
    price: int
    currency: str
    fees: int
    strategy: str
    lot_method: str | None
    lots: str | None


class Movement(NamedTuple):
    """A cash movement as its row has it; the amount is scaled."""

    account: str
    ts_event: int
    movement_id: str
    amount: int
    currency: str


class Ledger:
    """Books what comes.

    Parameters
    ----------
    bounds : Bounds
        Of the state.
    interval_ns : int
        Market time that lies at least between two rows of a position that only marks have changed.

    Attributes
    ----------
    book : Book
        The accounts.
    actions : Actions
        Corporate actions that are to come, and that have been.
    market_time : int or None
        Newest market event, ns since 1970 UTC; None before the first.
    """

    def __init__(self, bounds: Bounds, interval_ns: int) -> None:
        self.book = Book(bounds)
        self.actions = Actions()
        self.market_time: int | None = None
        self.interval_ns = interval_ns
        self.seen: set[tuple[str, str, str]] = set()
        self.seen_order: deque[tuple[str, str, str]] = deque()
        # Positions whose newest mark was not told yet, and when the first of them is due.
        self.untold: dict[Position, None] = {}
        self.tell_at: int | None = None

    def take_account(self, name: str, currency: str) -> None:
        """An account's currency from now on."""
        self.book.account(name).currency = currency

    def take_mark(self, symbol: str, ts_ns: int, price: float | None) -> None:
        """A symbol's newest mark."""
        self.pass_time(ts_ns)
        if price is None:
            return
        self.book.put_mark(symbol, ts_ns, price)
        positions = self.book.of_symbol(symbol)
        if not positions:
            return
        now, scaled = self._now(ts_ns), scaled_mark(price)
        for position in positions:
            if position.lots.quantity and position.mark_told != scaled:
                self._tell_mark(position, now)

    def take_movement(self, movement: Movement) -> None:
        """A cash movement; one that the account has seen changes nothing."""
        account, ts_ns, movement_id, amount, currency = movement
        if self._was_seen(MOVEMENT, account, movement_id):
            return
        now = self._now(ts_ns)
        if self.book.has_room(account, currency, abs(amount)):
            self.book.pay(account, currency, amount, cause=MOVEMENT, cause_id=movement_id, now=now)
            return
        reason = f"{text(amount)} {currency} makes more than can be written"
        self.book.fault(account, "too_large", movement_id, None, reason=reason, now=now)

    def take_action(self, values: dict[str, Any]) -> None:
        """A corporate action; it is effective once market time has reached its ex time."""
        self.actions.put(values)
        if self.market_time is not None:
            self._make_effective(self.market_time)

    def take_fill(self, fill: Fill) -> None:
        """A fill; one whose identifier the account has seen changes nothing."""
        self.pass_time(fill.ts_event)
        if self._was_seen(EXECUTION, fill.account, fill.execution_id):
            return
        now = self._now(fill.ts_event)
        position = self.book.position(fill.account, fill.strategy, fill.symbol, fill.currency)
        sign = 1 if fill.side == "buy" else -1
        amount = sign * product(fill.quantity, fill.price, position.unit)
        fees = rounded(fill.fees, position.unit)
        pieces = [Piece(fill.symbol, sign * fill.quantity, amount)]
        dividends: list[Dividend] = []
        if self.actions.has_changed(fill.symbol, fill.ts_event):
            pieces, dividends = self.actions.converted(pieces[0], fill.ts_event, fill.currency)
        if not self._has_room(position, pieces, dividends, amount, fees):
            reason = f"{text(fill.quantity)} at {text(fill.price)} makes more than can be written"
            self.book.fault(
                fill.account, "too_large", fill.execution_id, fill.symbol, reason=reason, now=now
            )
            return
        position.fees += fees
        self.book.pay(
            fill.account,
            fill.currency,
            -amount - fees,
            cause=EXECUTION,
            cause_id=fill.execution_id,
            now=now,
        )
        for piece in pieces:
            self._book_piece(fill, piece, position, now)
        for dividend in dividends:
            pay_dividend(self.book, self._of(fill, dividend.symbol), dividend, now)
        self.book.tell(position, EXECUTION, fill.execution_id, now)

    def pass_time(self, ts_ns: int) -> None:
        """Bring market time forward: actions become effective, marks that were held back are told."""
        if self.market_time is not None and ts_ns <= self.market_time:
            return
        self.market_time = ts_ns
        self._make_effective(ts_ns)
        if self.tell_at is not None and self.tell_at <= ts_ns:
            held_back, self.untold, self.tell_at = list(self.untold), {}, None
            for position in held_back:
                mark = self.book.mark(position.symbol)
                if position.lots.quantity and position.mark_told != mark:
                    self._tell_mark(position, ts_ns)

    def _make_effective(self, now: int) -> None:
        next_time = self.actions.next_time
        if next_time is None or next_time > now:
            return
        for action in self.actions.due(now):
            make_effective(self.book, action, now)

    def _book_piece(self, fill: Fill, piece: Piece, position: Position, now: int) -> None:
        target = position if piece.symbol == fill.symbol else self._of(fill, piece.symbol)
        named = fill.lots.split(",") if fill.lots else ()
        self.book.book(
            target,
            Lot(fill.execution_id, fill.ts_event, piece.quantity, piece.amount),
            method=fill.lot_method or FIFO,
            named=[one.strip() for one in named if one.strip()],
            cause_id=fill.execution_id,
            now=now,
        )
        if target is not position:
            self.book.tell(target, EXECUTION, fill.execution_id, now)

    def _has_room(
        self,
        position: Position,
        pieces: list[Piece],
        dividends: list[Dividend],
        amount: int,
        fees: int,
    ) -> bool:
        account, strategy, currency = position.account, position.strategy, position.currency
        cash = abs(amount) + abs(fees)
        if not self.book.has_room(account, currency, cash) or not position.bears(0, 0, fees):
            return False
        for piece in pieces:
            target = self.book.position(account, strategy, piece.symbol, currency)
            if not target.bears(piece.quantity, piece.amount, 0):
                return False
        paid = cash + sum(abs(one.amount) for one in dividends)
        return abs(position.dividends) + paid <= LIMIT and all(
            self.book.has_room(account, one.currency, paid) for one in dividends
        )

    def _of(self, fill: Fill, symbol: str) -> Position:
        return self.book.position(fill.account, fill.strategy, symbol, fill.currency)

    def _tell_mark(self, position: Position, now: int) -> None:
        """Tell a position's new mark, or remember to."""
        due = position.ts_told + self.interval_ns
        if due <= now:
            self.book.tell(position, MARK, None, now)
            return
        self.untold[position] = None
        self.tell_at = due if self.tell_at is None else min(self.tell_at, due)

    def _now(self, ts_ns: int) -> int:
        """Market time; before the first market event the row's own."""
        return ts_ns if self.market_time is None else self.market_time

    def _was_seen(self, kind: str, account: str, name: str) -> bool:
        key = (kind, account, name)
        if key in self.seen:
            return True
        self.seen.add(key)
        self.seen_order.append(key)
        if len(self.seen_order) > self.book.bounds.seen:
            self.seen.remove(self.seen_order.popleft())
        return False
