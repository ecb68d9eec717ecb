"""The ledger: what fills, cash movements, corporate actions and marks make of accounts, to the cent.

Cash and positions change by these and nothing else:

- A fill changes cash by its consideration (quantity times price, rounded half-even to the currency's minor unit)
  and its fees, and a position by its quantity at that cost. Where it crosses from one side to the other it is split.
- A cash movement changes cash by its amount.
- A dividend changes cash by its amount times what is held, rounded so, for each position: in where long, out where
  short. A split, a change of symbol and a spin-off change lots, and no cash; fractions of a share are kept.

What is told a second time under its identifier changes nothing and is told as a fault: one if it says the same, another
if it does not, as then one of the two is not booked.

Positions are kept by account, strategy, symbol and currency. A fill that is told after an action, but is from before
it, is booked as what the action made of its shares.
"""

from collections import OrderedDict
from typing import Any, NamedTuple
from zlib import crc32

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

    @property
    def words(self) -> str:
        """In short, for people."""
        quantity, price = text(self.quantity), text(self.price)
        return f"{self.side} {quantity} {self.symbol} at {price} {self.currency}"

    @property
    def check_sum(self) -> int:
        """Of all that it says."""
        return crc32(repr(self).encode())


class Movement(NamedTuple):
    """A cash movement as its row has it; the amount is scaled."""

    account: str
    ts_event: int
    movement_id: str
    amount: int
    currency: str

    @property
    def words(self) -> str:
        """In short, for people."""
        return f"{text(self.amount)} {self.currency}"

    @property
    def check_sum(self) -> int:
        """Of all that it says but its time: that is the door's, another one where a person says the same again."""
        return crc32(self.words.encode())


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
        # What was told by kind, account and identifier, and a check sum of what it said; None where an earlier version
        # kept none. As a dict is, but its first is found at once however many were taken out before it.
        self.seen: OrderedDict[tuple[str, str, str], int | None] = OrderedDict()
        # Positions whose newest mark was not told yet, and when the first of them is due.
        self.untold: dict[Position, None] = {}
        self.tell_at: int | None = None

    def take_account(self, name: str, currency: str) -> None:
        """An account's currency from now on."""
        self.book.account(name).currency = currency

    def take_mark(self, symbol: str, ts_ns: int, price: float | None) -> None:
        """A symbol's newest mark."""
        now = self._advanced(ts_ns)
        if price is not None:
            without_rate = self.book.without_rate(symbol)
            self.book.put_mark(symbol, ts_ns, price)
            for position in without_rate:
                if self.book.rate(position) is not None:
                    self.book.tell(position, MARK, None, now)
            positions = self.book.of_symbol(symbol)
            scaled = scaled_mark(price) if positions else None
            for position in positions:
                if position.lots.quantity and position.mark_told != scaled:
                    self._tell_mark(position, now)
        self._tell_held_back(now)

    def take_movement(self, movement: Movement) -> None:
        """A cash movement; one that the account has seen changes nothing, which is told."""
        account, ts_ns, movement_id, amount, currency = movement
        # Before the first market event there is no other time.
        now = ts_ns if self.market_time is None else self.market_time
        if self._was_seen(MOVEMENT, movement, now):
            return
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
        """A fill; one whose identifier the account has seen changes nothing, which is told."""
        account, ts_event, execution_id, symbol, side, quantity, price, currency, *_ = fill
        now = self._advanced(ts_event)
        self._tell_held_back(now)
        if self._was_seen(EXECUTION, fill, now):
            return
        position = self.book.position(account, fill.strategy, symbol, currency)
        amount = product(quantity, price, position.unit)
        if side != "buy":
            quantity, amount = -quantity, -amount
        lot = Lot(execution_id, ts_event, quantity, amount)
        fees = rounded(fill.fees, position.unit)
        late = self.actions.has_changed(symbol, ts_event)
        pieces, dividends = self._converted(fill, lot) if late else ([(position, lot)], [])
        if not self._has_room(position, pieces, dividends, -amount - fees, fees):
            reason = f"{text(fill.quantity)} at {text(price)} makes more than can be written"
            self.book.fault(account, "too_large", execution_id, symbol, reason=reason, now=now)
            return
        position.fees += fees
        self.book.pay(
            account, currency, -amount - fees, cause=EXECUTION, cause_id=execution_id, now=now
        )
        named = [one.strip() for one in fill.lots.split(",")] if fill.lots else ()
        for target, piece in pieces:
            self.book.book(
                target,
                piece,
                method=fill.lot_method or FIFO,
                named=named,
                cause_id=execution_id,
                now=now,
            )
            if target is not position:
                self.book.tell(target, EXECUTION, execution_id, now)
        for target, dividend in dividends:
            pay_dividend(self.book, target, dividend, now)
        self.book.tell(position, EXECUTION, execution_id, now)

    def _advanced(self, ts_ns: int) -> int:
        """Market time, brought forward to a market event's; actions become effective."""
        if self.market_time is None or ts_ns > self.market_time:
            self.market_time = ts_ns
            self._make_effective(ts_ns)
        return self.market_time

    def _tell_held_back(self, now: int) -> None:
        """Tell marks that were held back until now."""
        if self.tell_at is None or self.tell_at > now:
            return
        held_back, self.untold, self.tell_at = list(self.untold), {}, None
        for position in held_back:
            mark = self.book.mark(position.symbol)
            if position.lots.quantity and position.mark_told != mark:
                self._tell_mark(position, now)

    def _make_effective(self, now: int) -> None:
        next_time = self.actions.next_time
        if next_time is None or next_time > now:
            return
        for action in self.actions.due(now):
            make_effective(self.book, action, now)

    def _converted(
        self, fill: Fill, lot: Lot
    ) -> tuple[list[tuple[Position, Lot]], list[tuple[Position, Dividend]]]:
        """A late fill as what actions made of its shares since: lots by position, and dividends."""
        piece = Piece(fill.symbol, lot.quantity, lot.cost)
        pieces, dividends = self.actions.converted(piece, fill.ts_event, fill.currency)

        def position(symbol: str) -> Position:
            return self.book.position(fill.account, fill.strategy, symbol, fill.currency)

        lots = [
            (position(one.symbol), Lot(lot.lot_id, lot.ts_opened, one.quantity, one.amount))
            for one in pieces
        ]
        return lots, [(position(one.symbol), one) for one in dividends]

    def _has_room(
        self,
        position: Position,
        pieces: list[tuple[Position, Lot]],
        dividends: list[tuple[Position, Dividend]],
        change: int,
        fees: int,
    ) -> bool:
        """Whether a fill, with the cash that it changes, leaves all sums within `LIMIT`."""
        book, account = self.book, position.account
        if not book.has_room(account, position.currency, abs(change)):
            return False
        if not all(target.bears(lot.quantity, lot.cost, fees) for target, lot in pieces):
            return False
        if not dividends:
            return True
        paid = abs(change) + sum(abs(one.amount) for _, one in dividends)
        return all(
            book.has_room(account, one.currency, paid) and abs(target.dividends) + paid <= LIMIT
            for target, one in dividends
        )

    def _tell_mark(self, position: Position, now: int) -> None:
        """Tell a position's new mark, or remember to."""
        due = position.ts_told + self.interval_ns
        if due <= now:
            self.book.tell(position, MARK, None, now)
            return
        self.untold[position] = None
        self.tell_at = due if self.tell_at is None else min(self.tell_at, due)

    def _was_seen(self, kind: str, told: Fill | Movement, now: int) -> bool:
        """Whether it was told before, in these words or in others; if so, that is written."""
        account, name = told.account, told[2]
        key, check_sum = (kind, account, name), told.check_sum
        if key not in self.seen:
            self.seen[key] = check_sum
            if len(self.seen) > self.book.bounds.seen:
                self.seen.popitem(last=False)
            return False
        fault, reason = "repeated", f"{kind} {name} was told before: it is booked once"
        if self.seen[key] not in (check_sum, None):
            fault = "conflicting"
            reason = (
                f"{kind} {name} said something else before, which stands; now it says: {told.words}"
            )
        symbol = told.symbol if isinstance(told, Fill) else None
        self.book.fault(account, fault, name, symbol, reason=reason, now=now)
        return True
