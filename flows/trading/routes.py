"""Where a part of an order goes: where it says, to the one paper market, or where the router sends it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from flows.trading.interfaces import CONSOLIDATED, Order
from flows.trading.reporting import report_decision
from flows.trading.working import Leg, Working

if TYPE_CHECKING:
    from flows.trading.desk import Desk

_WHOLE = ("fok", "at_open", "at_close")


def routes(desk: "Desk", working: Working, leg: Leg, quantity: int) -> list[tuple[str, int, bool]]:
    """Venue, quantity and whether what is not filled at once comes back; what is not in it waits to be routed.

    What must not be split (fill or kill, auctions) goes to the paper market as a whole. What has no venue
    waits while nothing can be filled; of a market order, and of a limit order whose limit reaches the other side,
    also what the router would leave at a venue: the next quote may be of any venue, and no venue shows an order
    that locks or crosses another's quote (Regulation NMS, rule 610(d)).
    """
    order = leg.order
    if order.venue is not None:
        return [(desk.context.canonical(order.venue, desk.market), quantity, False)]
    if order.time_in_force in _WHOLE or not desk.context.smart_routing:
        return [(CONSOLIDATED, quantity, False)]
    if not desk.market.is_tradable:
        return []
    found = []
    part = order if order.quantity == quantity else replace(order, quantity=quantity)
    router = desk.context.router(desk.market)
    for decision in router.route(part, desk.market, is_new=not leg.sweeps):
        waits = order.order_type == "market" or _crosses(order, desk)
        if waits and not decision.immediate and leg.order.time_in_force != "ioc":
            continue
        report_decision(desk, working, decision)
        found.append((decision.venue, decision.quantity, decision.immediate))
    return found


def _crosses(order: Order, desk: "Desk") -> bool:
    """Whether the limit of an order reaches the best price of the other side."""
    limit = order.limit_price
    other = desk.market.ask if order.is_buy else desk.market.bid
    if limit is None or other is None:
        return False
    return other <= limit if order.is_buy else other >= limit
