"""Stops: when an order that is held becomes active, and how a trailing stop trails.

A stop goes by the last sale, as brokers have it: a buy is triggered at or above it, a sale at or below. A sale of an
earlier session says nothing: since then the shares may have been split, or have gone without their dividend. Of a symbol
whose trades nobody tells, such as a currency, it goes by the quote that the order would meet. A trailing stop
follows the best such price since it was entered and never goes back; where it lies between two ticks it is the
one further away. Nothing is triggered out of hours.
"""

from flows.orders.money import ONE
from flows.trading.symbol_market import SymbolMarket
from flows.trading.working import Working

HELD_TYPES = ("stop", "stop_limit", "trailing_stop")


def reference_price(market: SymbolMarket, *, is_buy: bool) -> int | None:
    """The price that stops go by now; None where the session has none yet."""
    if market.last is not None:
        return market.session_sale
    return market.ask if is_buy else market.bid


def trail(working: Working, price: int, tick: int) -> None:
    """Let a trailing stop follow a price."""
    is_buy = working.order.is_buy
    best = working.trail_best
    if best is None or (price < best if is_buy else price > best):
        working.trail_best = best = price
    if working.trail_amount is not None:
        distance = working.trail_amount
    else:
        distance = best * (working.trail_percent or 0) // (100 * ONE)
    if is_buy:
        stop = -(-(best + distance) // tick) * tick
        working.stop_price = min(stop, working.stop_price or stop)
    else:
        stop = max((best - distance) // tick * tick, 0)
        working.stop_price = max(stop, working.stop_price or 0)


def is_triggered(working: Working, market: SymbolMarket) -> bool:
    """Whether a held order is to become active now; moves a trailing stop."""
    price = reference_price(market, is_buy=working.order.is_buy)
    if price is None:
        return False
    if working.trigger == "trailing_stop":
        trail(working, price, market.tick)
    stop = working.stop_price
    if stop is None:
        return False
    return price >= stop if working.order.is_buy else price <= stop
