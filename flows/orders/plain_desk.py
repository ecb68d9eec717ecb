"""Batches of commands: plain orders are taken here, all other commands by `flows.orders.desk`.

Whether a plain order passes and what it changes is what `flows.orders.checks` and `flows.orders.desk` say, with all
that is the same for a batch reckoned once. One that is not sure to pass changes nothing here, and goes to the desk.
"""

from collections.abc import Callable
from operator import eq

import pyarrow as pa

from flows.flow import FlowError
from flows.orders import desk
from flows.orders.account import Alike, alike
from flows.orders.blotter import Blotter
from flows.orders.checks import firm_means
from flows.orders.commands import Command, commands_of
from flows.orders.exposure import Holding, Purse, fine
from flows.orders.limits import NO_LIMIT
from flows.orders.market import Market
from flows.orders.money import ONE
from flows.orders.order import Order
from flows.orders.plain import plain_rows
from flows.orders.rows import lists
from schemas.order_ids import order_ids_of

MIN_ROWS = 32
"""Fewer rows take longer by column than one by one."""

_ACCOUNT, _ORDER_ID, _CLIENT = map(
    Command._fields.index, ("account", "order_id", "client_order_id")
)


def take(
    batch: pa.RecordBatch,
    blotters: dict[str, Blotter],
    market: Market,
    new_blotter: Callable[[str], Blotter],
) -> None:
    """Carry the commands of a batch of ``orders`` out, in order.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Valid rows, one at least.
    blotters : dict of str to Blotter
        Accounts that are known.
    market : Market
        Prices and instruments.
    new_blotter : callable
        Makes a further account known.
    """
    columns = lists(batch, Command._fields)
    if batch.num_rows < MIN_ROWS:
        for command in commands_of(columns):
            name = command.account
            desk.take(blotters.get(name) or new_blotter(name), command)
        return
    plain = plain_rows(batch, blotters, market)
    books: list[_Book | None] = [None] * len(plain.names)
    is_named = map(eq, order_ids_of(columns[_ACCOUNT], columns[_CLIENT]), columns[_ORDER_ID])
    rows = zip(commands_of(columns), is_named, *plain[:4], strict=True)
    for at, (command, named, is_plain, is_buy, price, account) in enumerate(rows):
        if is_plain and named:
            book = books[account]
            if book is None:
                book = books[account] = _Book(blotters[plain.names[account]])
            if book.accept(at, command, price, is_buy):
                continue
        name = command.account
        desk.take(blotters.get(name) or new_blotter(name), command)
        books[account] = None


class _Book:
    """An account as it is until anything but a plain order changes it."""

    __slots__ = (
        "_account",
        "_blotter",
        "_ended",
        "_firm",
        "_holdings",
        "_is_margin",
        "_is_wash_refused",
        "_limits",
        "_market",
        "_most_gross",
        "_most_orders",
        "_most_position",
        "_orders",
        "_out",
        "_purse",
        "_recent",
    )

    def __init__(self, blotter: Blotter) -> None:
        account, known = blotter.account, blotter.known
        limits, firm = account.limits, account.firm
        if limits is None:
            raise FlowError(f"no order of account {account.name!r}, which has no limits, is plain")
        self._account = account
        self._blotter = blotter
        self._market = blotter.market
        self._limits = limits
        self._holdings = account.holdings
        self._recent = account.recent
        self._orders, self._ended, self._most_orders = known.orders, known.ended, known.maximum
        self._out = blotter.out
        self._is_margin = limits.is_margin
        self._is_wash_refused = not limits.self_trade_allowed
        is_limited = firm is not None and firm.max_gross_notional != NO_LIMIT
        self._firm = firm if is_limited else None
        self._most_position = limits.max_position_notional * ONE
        self._most_gross = limits.max_gross_notional * ONE
        # With all money in one currency, sums need no rates of exchange.
        own = account.purses.get(limits.currency)
        self._purse = own if len(account.purses) == 1 else None
        if own is not None and limits.is_margin:
            equity = fine(own.cash) + own.value
            self._most_gross = min(self._most_gross, equity * limits.leverage // ONE)

    def accept(self, at: int, command: Command, price: int, is_buy: bool) -> bool:  # noqa: FBT001 - keywords cost a call's time
        """Accept a plain order, with its row and reference price, if it is sure to pass; whether it was."""
        said = alike(command)
        symbol, _, quantity, _, limit, _ = said
        holding, purse = self._holdings.get(symbol), self._purse
        if purse is None or not self._is_new(command, said):
            return False
        if holding is None:
            # As good as none, until the order has passed.
            holding = Holding(symbol, purse)
        elif holding.purse is not purse or not self._has_no_other_side(holding, limit, is_buy):
            return False
        if is_buy:
            if not self._can_buy(holding, purse, (quantity, limit, price)):
                return False
        elif holding.open_sell + quantity > holding.quantity:
            return False
        if not holding.price:
            holding = self._account.holding(self._market.symbol(symbol), purse.currency)
        blotter = self._blotter
        blotter.numbers += 1
        order = Order(command, blotter.numbers, holding)
        self._orders[order.order_id] = order
        self._recent.add(command.ts_event, self._limits, said)
        order.counted = quantity
        order.stands = True
        order.reference = reference = self._market.set_aside(limit, price)
        if is_buy:
            order.reserved = reserved = quantity * reference
            purse.reserved += reserved
        holding.open(is_buy, quantity)
        holding.stand(order.order_id, order.number, is_buy, limit)
        blotter.events += 1
        blotter.instructions += 1
        out, counts = self._out, (blotter.events, blotter.instructions)
        out.accepted.append((at, *counts, purse.currency, len(out.events), len(out.instructions)))
        return True

    def _is_new(self, command: Command, said: Alike) -> bool:
        """Whether it is no retry, there is room for it, and it comes neither too fast nor a second time."""
        orders, ended, order_id = self._orders, self._ended, command[_ORDER_ID]
        if order_id in orders or order_id in ended or len(orders) + len(ended) >= self._most_orders:
            return False
        most, recent = self._limits.max_orders_per_second, self._recent
        if most is not None and recent.count(command.ts_event) >= most:
            return False
        return not self._limits.duplicate_window_ns or recent.last(said) is None

    def _has_no_other_side(self, holding: Holding, limit: int | None, is_buy: bool) -> bool:  # noqa: FBT001 - as in `accept`
        """Whether it cannot trade with the account's own orders, or may."""
        if not self._is_wash_refused or not (holding.sells if is_buy else holding.buys).known:
            return True
        return holding.crossed(is_buy, limit) is None

    def _can_buy(self, holding: Holding, purse: Purse, asked: tuple[int, int | None, int]) -> bool:
        """Whether a purchase (quantity, limit, price) keeps the limits on what is held, and can be paid for."""
        quantity, limit, price = asked
        before, after = holding.worst, holding.quantity + holding.open_buy + quantity
        if after > before:
            if after > self._limits.max_position_quantity or after * price > self._most_position:
                return False
            more = (after - before) * price
            if purse.gross + more > self._most_gross:
                return False
            firm = self._firm
            if firm is not None and firm_means(self._account, firm, self._limits, more) is not None:
                return False
        if self._is_margin:
            return True
        needed = self._market.set_aside(limit, quantity * price)
        return needed <= fine(purse.cash) - purse.reserved
