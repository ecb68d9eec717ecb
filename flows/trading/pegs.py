"""Where an order stands, on the tick: its limit, or of a pegged one what it follows, its offset, its limit."""

from flows.trading.interfaces import Market, Order


def pegged_price(order: Order, market: Market) -> int | None:
    """Price of a pegged order now; None where what it follows is not there.

    Primary pegs follow the best price of their own side, market pegs that of the other side, mid pegs the
    middle of both. An offset goes towards the market if it is positive: up for a buy, down for a sale.
    What is between two ticks goes away from the market, so that no order pays more than it asked for; a limit
    price is never passed.
    """
    bid, ask = market.bid, market.ask
    if order.peg == "mid":
        followed = None if bid is None or ask is None else bid + ask
    else:
        own, other = (bid, ask) if order.is_buy else (ask, bid)
        price = own if order.peg == "primary" else other
        followed = None if price is None else 2 * price
    if followed is None:
        return None
    # Twice the price, so that the middle of two ticks is a whole number.
    step = 2 * market.tick
    if order.is_buy:
        found = (followed + 2 * order.peg_offset) // step * market.tick
        found = found if order.limit_price is None else min(found, order.limit_price)
    else:
        found = -((2 * order.peg_offset - followed) // step) * market.tick
        found = found if order.limit_price is None else max(found, order.limit_price)
    return found if found > 0 else None


def limit_now(order: Order, market: Market) -> int | None:
    """The limit that an order stands at; None for a market order, and for a pegged one without what it follows."""
    if order.order_type == "pegged":
        return pegged_price(order, market)
    limit = order.limit_price
    if limit is None or limit % market.tick == 0:
        return limit
    # Between two ticks no venue takes an order: it stands at the one that is no worse.
    down = limit // market.tick * market.tick
    return down if order.is_buy else down + market.tick
