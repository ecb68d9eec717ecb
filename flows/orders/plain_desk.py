"""Batches of commands: plain orders are taken by their accounts' books, all other commands by `flows.orders.desk`."""

from collections.abc import Callable
from operator import and_, eq

import pyarrow as pa

from flows.orders import desk
from flows.orders.account import ALIKE
from flows.orders.blotter import Blotter
from flows.orders.commands import Command, commands_of
from flows.orders.market import Market
from flows.orders.plain import plain_rows
from flows.orders.plain_book import PlainBook
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
    commands = list(commands_of(columns))
    if batch.num_rows < MIN_ROWS:
        for command in commands:
            name = command.account
            desk.take(blotters.get(name) or new_blotter(name), command)
        return
    plain = plain_rows(batch, blotters, market)
    is_named = map(eq, order_ids_of(columns[_ACCOUNT], columns[_CLIENT]), columns[_ORDER_ID])
    is_sure = list(map(and_, plain.is_plain, is_named))
    said = zip(*columns[ALIKE], strict=True)
    orders = list(
        zip(range(batch.num_rows), commands, plain.prices, plain.is_buy, said, strict=True)
    )
    books: list[PlainBook | None] = [None] * len(plain.names)
    for account, sure, order in zip(plain.accounts, is_sure, orders, strict=True):
        book = books[account]
        if sure:
            if book is None:
                book = books[account] = PlainBook(blotters[plain.names[account]])
            if book.accept(order):
                continue
        if book is not None:
            book.close()
            books[account] = None
        at, command, *_ = order
        name = command.account
        blotter = blotters.get(name) or new_blotter(name)
        desk.take(blotter, command)
        blotter.out.mark(at)
    for book in books:
        if book is not None:
            book.close()
