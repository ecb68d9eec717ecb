"""Checks of an order's own words: what fits together, lots and ticks."""

from itertools import pairwise

import numpy as np

from flows.orders.commands import Command
from flows.orders.market import Quoted
from flows.orders.money import text
from flows.orders.rejection import Rejection, over

_WITHOUT_LIMIT = {"market": "limit", "stop": "stop_limit", "trailing_stop": "stop_limit"}
"""Order types that are filled at any price, or become such, and the type that has a limit instead."""


def ill_formed(order: Command, quantity: int, now: int) -> Rejection | None:
    """What an order cannot say of itself, whatever the market; ``now`` is market time, ns since 1970 UTC."""
    if order.ts_expire is not None and order.time_in_force == "gtd" and order.ts_expire <= now:
        market, asked = (f"{np.datetime64(ns, 'ns')}Z" for ns in (now, order.ts_expire))
        why = f"it expires at {asked}, and the symbol's market is at {market}"
        return Rejection("ts_expire", market, asked, why)
    if order.order_type in _WITHOUT_LIMIT and order.limit_price is not None:
        # It would count at a price that it does not keep to, and pass every limit on money.
        kind, other = order.order_type, _WITHOUT_LIMIT[order.order_type]
        why = f"an order of type {kind} is filled at any price: for one that has a limit say order_type {other}"
        return Rejection("limit_price", f"none of type {kind}", text(order.limit_price), why)
    shown = order.display_quantity
    if shown is not None and shown > quantity:
        return over("display_quantity", quantity, shown, "what is shown of the order", 1)
    if order.order_class != "simple":
        return _wrong_exits(order)
    return None


def _wrong_exits(order: Command) -> Rejection | None:
    """A profit lies above a loss for who is long, and below it for who is short."""
    profit, loss = order.take_profit_price or 0, order.stop_loss_price or 0
    # An OCO's own side is that of its exits, a bracket's that of its entry.
    is_long = (order.side == "buy") == (order.order_class == "bracket")
    between = order.limit_price if order.order_class == "bracket" else None
    prices = [loss, profit] if between is None else [loss, between, profit]
    if not is_long:
        prices.reverse()
    if all(low < high for low, high in pairwise(prices)):
        return None
    return Rejection(
        "exits",
        text(loss),
        text(profit),
        "the profit's price must be on the other side of the order's price than the loss's",
    )


def off_grid(order: Command, symbol: Quoted, quantity: int) -> Rejection | None:
    """A quantity that is no multiple of the symbol's lot, or a price of its tick."""
    step = symbol.step
    if step is not None and quantity % step:
        return Rejection(
            "lot_size",
            text(step),
            text(quantity),
            f"the quantity must be a multiple of {text(step)} for {symbol.name}",
        )
    tick = symbol.tick
    if tick is None:
        return None
    prices: tuple[int | None, ...] = (order.limit_price, order.stop_price)
    if order.order_class != "simple":
        exits = (order.take_profit_price, order.stop_loss_price, order.stop_loss_limit_price)
        prices += exits
    for price in prices:
        if price is not None and price % tick:
            why = f"prices must be multiples of {text(tick)} for {symbol.name}"
            return Rejection("tick_size", text(tick), text(price), why)
    return None
