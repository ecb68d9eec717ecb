"""The book of accounts: cash and positions, and the one way to change each; every change is written out."""

from collections.abc import Sequence
from typing import NamedTuple

from flows.flow import FlowError
from flows.orders.fx import PIVOTS, fx_rate
from flows.orders.ledger_rows import LedgerRows
from flows.orders.lots import FIFO, Lot
from flows.orders.money import LARGEST, of_float
from flows.orders.position import LIMIT, Position


class Bounds(NamedTuple):
    """Bounds of the state; see `flows.positions.PositionsParams`."""

    accounts: int
    positions: int
    lots: int
    symbols: int
    seen: int


class Account:
    """An account: its currency (None before it was told), its cash, its positions, how many rows it has."""

    __slots__ = (
        "balance_rows",
        "cash",
        "closing_rows",
        "currency",
        "fault_rows",
        "position_rows",
        "positions",
    )

    def __init__(self) -> None:
        self.currency: str | None = None
        self.cash: dict[str, int] = {}
        self.positions: dict[tuple[str, str, str], Position] = {}
        self.position_rows = self.closing_rows = self.balance_rows = self.fault_rows = 0


class Book:
    """All accounts of a shard, and the marks that they are valued at.

    Parameters
    ----------
    bounds : Bounds
        Of the state.

    Attributes
    ----------
    rows : LedgerRows
        What was written and not taken away yet.
    accounts : dict of str to Account
    positions : list of Position
        In order of their first fill.
    marks, mark_times : dict of str to float and int
        Each symbol's newest price, and when it was told.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.rows = LedgerRows()
        self.accounts: dict[str, Account] = {}
        self.positions: list[Position] = []
        self.marks: dict[str, float] = {}
        self.mark_times: dict[str, int] = {}
        self._by_symbol: dict[str, list[Position]] = {}
        # Of positions, and those that rates go by way of: one of them is in every pair that can tell a rate.
        self._currencies = dict.fromkeys(PIVOTS)

    def account(self, name: str) -> Account:
        """An account, new where it is.

        Raises
        ------
        FlowError
            For more than there may be.
        """
        found = self.accounts.get(name)
        if found is None:
            self._require(len(self.accounts), "accounts", f"account {name!r}")
            found = self.accounts[name] = Account()
        return found

    def position(self, account: str, strategy: str, symbol: str, currency: str) -> Position:
        """A position, new and flat where it is.

        Raises
        ------
        FlowError
            For more than there may be.
        """
        positions = self.account(account).positions
        found = positions.get((strategy, symbol, currency))
        if found is None:
            self._require(len(self.positions), "positions", f"{symbol!r} of account {account!r}")
            found = self.take_over(Position(account, strategy, symbol, currency))
        return found

    def take_over(self, position: Position) -> Position:
        """Take a position in as it is."""
        key = (position.strategy, position.symbol, position.currency)
        self.account(position.account).positions[key] = position
        self.positions.append(position)
        self._by_symbol.setdefault(position.symbol, []).append(position)
        self._currencies[position.currency] = None
        return position

    def of_symbol(self, symbol: str) -> list[Position]:
        """All positions of a symbol, flat ones too, in order of their first fill."""
        return self._by_symbol.get(symbol, [])

    def without_rate(self, symbol: str) -> list[Position]:
        """Positions that have no rate of exchange, if a symbol that has no mark yet may be a pair that tells it."""
        if symbol in self.marks:
            return []
        currencies = tuple(self._currencies)
        if not (symbol.startswith(currencies) or symbol.endswith(currencies)):
            return []
        return [one for one in self.positions if self.rate(one) is None]

    def rate(self, position: Position) -> int | None:
        """What a unit of a position's currency is in its account's, scaled; None where nothing tells."""
        target = self.accounts[position.account].currency
        return None if target is None else fx_rate(position.currency, target, self.marks)

    def put_mark(self, symbol: str, ts_ns: int, price: float) -> None:
        """A symbol's price from now on.

        Raises
        ------
        FlowError
            For more symbols than there may be.
        """
        if symbol not in self.marks:
            self._require(len(self.marks), "symbols", f"symbol {symbol!r}")
        self.marks[symbol] = price
        self.mark_times[symbol] = ts_ns

    def mark(self, symbol: str) -> int | None:
        """A symbol's price, scaled; None where there is none that can be written."""
        price = self.marks.get(symbol)
        return None if price is None else scaled_mark(price)

    def has_room(self, account: str, currency: str, amount: int) -> bool:
        """Whether cash stays within `LIMIT` with so much more or less."""
        return abs(self.account(account).cash.get(currency, 0)) + amount <= LIMIT

    def pay(
        self, account: str, currency: str, change: int, *, cause: str, cause_id: str, now: int
    ) -> None:
        """Change an account's cash."""
        mine = self.account(account)
        balance = mine.cash[currency] = mine.cash.get(currency, 0) + change
        mine.balance_rows += 1
        self.rows.balances.append(
            (account, now, mine.balance_rows, currency, change, balance, cause, cause_id)
        )

    def book(
        self,
        position: Position,
        lot: Lot,
        *,
        method: str = FIFO,
        named: Sequence[str] = (),
        cause_id: str,
        now: int,
    ) -> None:
        """Change a position by a fill (see `flows.orders.lots.Lots.fill`), and write what it closed."""
        closed, unknown = position.lots.fill(lot, method, named)
        mine = self.accounts[position.account]
        for one in closed:
            mine.closing_rows += 1
            realised = one.proceeds - one.cost
            position.realised += realised
            self.rows.closings.append(
                (
                    position.account,
                    now,
                    mine.closing_rows,
                    position.strategy,
                    position.symbol,
                    one.lot_id,
                    cause_id,
                    one.method,
                    one.ts_opened,
                    one.quantity,
                    one.cost,
                    one.proceeds,
                    realised,
                    position.currency,
                )
            )
        if unknown:
            reason = f"no open lot is called {', '.join(unknown)}; the oldest were closed"
            self.fault(
                position.account, "unknown_lot", cause_id, position.symbol, reason=reason, now=now
            )
        if len(position.lots.open) > self.bounds.lots:
            older, younger = position.lots.join_oldest()
            reason = f"more than {self.bounds.lots:,} open lots: {younger} is a part of {older} now"
            self.fault(
                position.account, "lots_joined", cause_id, position.symbol, reason=reason, now=now
            )

    def tell(self, position: Position, cause: str, cause_id: str | None, now: int) -> None:
        """Write how a position stands."""
        mine = self.accounts[position.account]
        mine.position_rows += 1
        lots = position.lots
        mark = self.mark(position.symbol)
        value = position.value(mark)
        position.ts_told = now
        position.mark_told = mark
        self.rows.positions.append(
            (
                position.account,
                now,
                mine.position_rows,
                position.strategy,
                position.symbol,
                lots.quantity,
                position.average_cost,
                lots.cost,
                mark,
                value,
                None if value is None else value - lots.cost,
                position.realised,
                position.dividends,
                position.fees,
                position.currency,
                self.rate(position),
                cause,
                cause_id,
            )
        )

    def fault(
        self, account: str, kind: str, cause_id: str, symbol: str | None, *, reason: str, now: int
    ) -> None:
        """Write what could not be booked as it came."""
        mine = self.account(account)
        mine.fault_rows += 1
        self.rows.faults.append((account, now, mine.fault_rows, kind, cause_id, symbol, reason))

    def _require(self, count: int, name: str, what: str) -> None:
        most = getattr(self.bounds, name)
        if count >= most:
            raise FlowError(f"{what} is one more than max_{name} = {most}; raise it")


def scaled_mark(price: float) -> int | None:
    """A price at ten decimals, scaled; None where it cannot be written."""
    scaled = of_float(price)
    return scaled if scaled <= LARGEST else None
