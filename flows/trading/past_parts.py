"""Of what order a fill is; and parts of orders that have ended at a broker, which may tell a fill after all."""

from typing import NamedTuple

from flows.trading.working import Working


class Origin(NamedTuple):
    """What an execution says of the order that it is of, and of where."""

    venue: str
    account: str
    symbol: str
    order_id: str
    sequence: int
    client_order_id: str
    parent_order_id: str | None
    side: str
    currency: str
    strategy: str
    lot_method: str | None
    lots: str | None
    correlation_id: str | None


class PastPart(NamedTuple):
    """A part of an order that was at a broker and has ended there, and which reports of it were heard."""

    origin: Origin
    seen: list[str]


def origin_of(working: Working, venue: str) -> Origin:
    """The order's, of what is at a venue."""
    order = working.order
    return Origin(
        venue,
        order.account,
        order.symbol,
        order.order_id,
        working.sequence,
        working.client_order_id,
        working.parent_order_id,
        order.side,
        working.currency,
        working.strategy,
        working.lot_method,
        working.lots,
        working.correlation_id,
    )
