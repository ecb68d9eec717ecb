"""Commands: rows of ``orders`` as tuples with names, which checks and the order system go by."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa

from flows.orders.rows import lists


class Command(NamedTuple):
    """A row of ``orders``, but ``ts_recv``; also the terms of an order, as its last replacement left them.

    Prices, quantities and ratios are scaled integers (`flows.orders.money`), times ns since 1970 UTC.
    """

    account: str
    ts_event: int
    command: str
    order_id: str
    client_order_id: str
    symbol: str | None = None
    side: str | None = None
    quantity: int | None = None
    order_type: str | None = None
    limit_price: int | None = None
    stop_price: int | None = None
    trail_amount: int | None = None
    trail_percent: int | None = None
    peg: str | None = None
    peg_offset: int | None = None
    display_quantity: int | None = None
    time_in_force: str | None = None
    ts_expire: int | None = None
    order_class: str = "simple"
    take_profit_price: int | None = None
    stop_loss_price: int | None = None
    stop_loss_limit_price: int | None = None
    algorithm: str | None = None
    algorithm_params: str | None = None
    venue: str | None = None
    strategy: str = ""
    locate_id: str | None = None
    lot_method: str | None = None
    lots: str | None = None
    user: str = ""
    correlation_id: str | None = None


_SAID = slice(Command._fields.index("symbol"), Command._fields.index("lots") + 1)

Words = tuple[Any, ...]
"""What a client said of a new order."""


def words(command: Command) -> Words:
    """All that a client said of a new order besides its identifiers: not when, who, and in which request.

    A retry says the same. `serving.gateway.order_rows.said` goes by the same fields.
    """
    values: Words = command
    return values[_SAID]


REPLACEABLE = (
    "quantity",
    "limit_price",
    "stop_price",
    "trail_amount",
    "trail_percent",
    "peg_offset",
    "display_quantity",
    "time_in_force",
    "ts_expire",
)
"""What a replacement may change of an order."""

_TRAILS = ("trail_amount", "trail_percent")


def commands(batch: pa.RecordBatch) -> Iterator[Command]:
    """The rows of a batch of ``orders``, in order."""
    return commands_of(lists(batch, Command._fields))


def commands_of(columns: Sequence[Sequence[Any]]) -> Iterator[Command]:
    """Rows of the columns of `Command`."""
    # As `Command._make` does, which counts the fields of each once more.
    return map(partial(tuple.__new__, Command), zip(*columns, strict=True))


def replaced(terms: Command, command: Command) -> Command:
    """The terms that an order has when a replacement is done; what the command leaves out stays.

    But for how far a stop trails: an amount takes the place of a percentage, and the other way round, as an order has one.
    """
    changes = {name: getattr(command, name) for name in REPLACEABLE}
    given = {name: value for name, value in changes.items() if value is not None}
    if any(name in given for name in _TRAILS):
        given = dict.fromkeys(_TRAILS) | given
    return terms._replace(ts_event=command.ts_event, correlation_id=command.correlation_id, **given)
