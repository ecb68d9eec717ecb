"""The dry run of the pre-trade checks: an account's book as the topics say it stands, and the checks on it.

The order system keeps the book that counts, and its answer to a real order may differ: it knows of orders that are
on their way, and of which of two exits a fill has taken.
"""

import time
from typing import Any

import pyarrow as pa

from flows.orders.account import Account, alike
from flows.orders.blotter import ACTIVE
from flows.orders.checks import check, reference_price
from flows.orders.commands import Command, commands
from flows.orders.limits import limits_of
from flows.orders.market import Market
from flows.orders.rejection import Rejection
from flows.orders.rows import lists
from flows.orders.states import REJECTED
from schemas.accounts import ACCOUNTS, FIRM
from schemas.field import INT64, TIMESTAMP
from schemas.instruments import INSTRUMENTS
from schemas.order_ids import EXIT_SUFFIXES, other_exit
from schemas.positions import BALANCES, MARKS, POSITIONS
from schemas.topic import Topic
from serving.api.problems import ApiError
from serving.api.state import ApiState
from serving.gateway.order_rows import rows_of_commands
from serving.hub.hub import Hub
from serving.hub.lookup import Lookup
from serving.latest.orders_view import Json

_SYMBOLS_MAX = 1_000_000
_RECENT_MAX = 100_000
# Open orders of an account that count in a dry run.
_OPEN_MAX = 10_000
_BLOCK = 500
_SECOND_NS = 1_000_000_000


async def trial(state: ApiState, command: dict[str, Any]) -> Rejection | None:
    """The first check that would refuse a new order now; None where it would pass.

    Parameters
    ----------
    state : ApiState
        Of the application.
    command : dict
        As `serving.gateway.order_rows.command_row` makes it.

    Raises
    ------
    ApiError
        422 where the order breaks a rule of the topic.
    """
    found = rows_of_commands([command], time.time_ns())
    if found.reasons:
        raise ApiError(422, "invalid-order", found.reasons[0])
    (order,) = commands(found.good)
    book = _Book(state, order.account)
    await book.load(order.symbol or "")
    return check(book.account, book.market, order)


class _Book:
    """An account's book, made for one check."""

    def __init__(self, state: ApiState, account: str) -> None:
        self._hub = state.part(Hub)
        self._lookup = state.part(Lookup)
        self.market = Market(_SYMBOLS_MAX)
        self.account = Account(account, self.market, _RECENT_MAX)
        self._open: frozenset[str] = frozenset()

    async def load(self, symbol: str) -> None:
        """Fill it with what the topics say."""
        name = self.account.name
        limits = limits_of(await self._rows(ACCOUNTS, [name, FIRM]))
        balances = await self._rows(BALANCES, [name])
        positions = await self._rows(POSITIONS, [name])
        open_orders = self._open_orders()
        self._open = frozenset(one["order_id"] for one in open_orders)
        held = positions.column("symbol").to_pylist()
        await self._load_market({symbol, *held, *(one["symbol"] for one in open_orders)})
        self.account.allow(limits.get(name), limits.get(FIRM))
        for currency, cash in zip(*lists(balances, ("currency", "balance")), strict=True):
            self.account.purse(currency).cash = cash
        fields = ("symbol", "currency", "quantity", "mark")
        for held_symbol, currency, quantity, mark in zip(*lists(positions, fields), strict=True):
            holding = self.account.holding(self.market.symbol(held_symbol), currency)
            if not holding.price and mark is not None:
                holding.revalue(mark)
            holding.trade(quantity)
        for number, one in enumerate(open_orders):
            self._count(one, number)
        self._remember()

    async def _load_market(self, symbols: set[str]) -> None:
        instruments = await self._rows(INSTRUMENTS, sorted(symbols))
        if instruments.num_rows:
            self.market.take_instruments(instruments)
        # All marks are in memory, and rates of exchange are among them.
        marks = self._hub.view(MARKS.name)
        rows = marks.batch(marks.entries())
        if rows.num_rows:
            self.market.take_marks(rows)

    def _open_orders(self) -> list[Json]:
        found: list[Json] = []
        orders = self._hub.orders
        for block in orders.newest_first(self.account.name, None, _BLOCK, only_open=True):
            found += block
            if len(found) >= _OPEN_MAX:
                break
        return found[::-1]

    def _count(self, order: Json, number: int) -> None:
        """What an open order ties up: as the order system counts it, an exit's pair once."""
        order_id = order["order_id"]
        terms = _terms(order)
        symbol = self.market.listed(order["symbol"])
        parent = order["parent_order_id"]
        is_loss = order_id.startswith(f"{parent}{EXIT_SUFFIXES[1]}")
        is_second_exit = is_loss and other_exit(order_id, parent) in self._open
        if is_second_exit or symbol is None or symbol.currency is None:
            return
        holding = self.account.holding(symbol, symbol.currency)
        is_buy = terms.side == "buy"
        holding.open(is_buy=is_buy, quantity=terms.quantity or 0)
        if is_buy:
            reference = reference_price(terms, symbol) or 0
            self.account.purse(symbol.currency).reserved += (terms.quantity or 0) * reference
        if terms.order_type in ACTIVE:
            holding.stand(order_id, number, is_buy=is_buy, limit=terms.limit_price)

    def _remember(self) -> None:
        """What was asked a moment ago, for the limits of how fast orders may come."""
        limits = self.account.limits
        if limits is None:
            return
        since = time.time_ns() - max(limits.duplicate_window_ns, _SECOND_NS)
        recent: list[Command] = []
        for block in self._hub.orders.newest_first(self.account.name, None, _BLOCK):
            terms = [_terms(one) for one in block if one["status"] != REJECTED]
            recent += [one for one in terms if one.ts_event > since]
            if len(recent) >= _RECENT_MAX or any(one.ts_event <= since for one in terms):
                break
        for one in reversed(recent):
            self.account.recent.add(one.ts_event, limits, alike(one))

    async def _rows(self, topic: Topic, keys: list[str]) -> pa.RecordBatch:
        entries = await self._lookup.newest(topic, keys)
        return self._hub.view(topic.name).batch(entries)


def _terms(order: Json) -> Command:
    """What an order asks for now, of what is still open."""
    values: dict[str, Any] = {
        name: _scaled(order.get(name))
        for name in ("limit_price", "stop_price", "trail_amount", "trail_percent")
    }
    return Command(
        account=order["account"],
        ts_event=_ns(order.get("ts_received")),
        command="new",
        order_id=order["order_id"],
        client_order_id=order["client_order_id"],
        symbol=order["symbol"],
        side=order["side"],
        quantity=_scaled(order["remaining_quantity"]),
        order_type=order["order_type"],
        **values,
    )


def _scaled(text: str | None) -> int | None:
    """A decimal as the API writes it, with all ten decimals, as a scaled integer."""
    return None if text is None else int(text.replace(".", ""))


def _ns(text: str | None) -> int:
    """A time as the API writes it; 0 for none."""
    if text is None:
        return 0
    return int(pa.scalar(text).cast(TIMESTAMP).cast(INT64).as_py())
