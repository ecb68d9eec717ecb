"""What the execution refuses, and why: what cannot be worked at all, whatever the pre-trade checks let pass."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import orjson

from flows.orders.money import ONE
from flows.trading.symbol_market import LARGEST
from flows.trading.triggers import HELD_TYPES
from flows.trading.working import NewTerms, Working

if TYPE_CHECKING:
    from flows.trading.desk import Desk

_NUMBERS = (
    "quantity",
    "limit_price",
    "stop_price",
    "trail_amount",
    "trail_percent",
    "display_quantity",
)
_NEEDS = {
    "limit": ("limit_price",),
    "stop_limit": ("limit_price", "stop_price"),
    "stop": ("stop_price",),
}
_AUCTIONS = ("at_open", "at_close")
_LASTING = ("day", "gtc", "gtd")


def refusal(working: Working, desk: "Desk") -> str | None:
    """Why a new order is refused; None if it is not."""
    return next(_refusals(working, desk), None)


def replacement_refusal(working: Working, new: NewTerms, desk: "Desk") -> str | None:
    """Why a replacement is refused; None if it is not."""
    return next(_replacement_refusals(working, new, desk), None)


def _refusals(working: Working, desk: "Desk") -> Iterator[str]:
    order = working.order
    values = (
        order.quantity,
        order.limit_price,
        working.stop_price,
        working.trail_amount,
        working.trail_percent,
        order.display_quantity,
    )
    for name, value in zip(_NUMBERS, values, strict=True):
        if value is not None and not 0 < value < LARGEST:
            yield f"{name} must be above 0 and below 10 trillion"
    needed = _NEEDS.get(order.order_type, ())
    missing = [name for name in needed if values[_NUMBERS.index(name)] is None]
    if missing:
        yield f"an order of type {order.order_type} needs {' and '.join(missing)}"
    yield from _trailing_and_pegged_refusals(working)
    if order.time_in_force == "gtd" and working.ts_expire is None:
        yield "time in force gtd needs ts_expire"
    if order.time_in_force in _AUCTIONS and order.order_type not in ("market", "limit"):
        yield f"an auction takes market and limit orders, not {order.order_type}"
    reason = None if order.venue is None else desk.context.venue_refusal(order.venue, desk.market)
    if reason is not None:
        yield reason
    if order.venue in desk.context.brokers and working.algorithm is None:
        yield from _broker_refusals(working)
    if working.algorithm is not None:
        yield from _algorithm_refusals(working, desk)


def _broker_refusals(working: Working) -> Iterator[str]:
    """What a broker's order has no word for: it would be sent as another one."""
    order = working.order
    if order.order_type == "pegged":
        yield f"{order.venue} takes no pegged orders: give no venue, or one of the paper market"
    if order.display_quantity is not None:
        yield _shown_whole(order.venue)


def _shown_whole(broker: str | None) -> str:
    return f"{broker} shows an order whole: leave display_quantity out, or take algorithm iceberg"


def _trailing_and_pegged_refusals(working: Working) -> Iterator[str]:
    order = working.order
    if order.order_type == "trailing_stop" and not (working.trail_amount or working.trail_percent):
        yield "a trailing stop needs trail_amount or trail_percent"
    if order.order_type == "pegged" and order.peg is None:
        yield "a pegged order needs peg"
    yield from _trail_refusals(working, working.trail_percent)
    yield from _offset_refusals(order.peg_offset)


def _trail_refusals(working: Working, trail_percent: int | None) -> Iterator[str]:
    if not working.order.is_buy and (trail_percent or 0) >= 100 * ONE:
        yield "trail_percent of a sale must be below 100: its stop would be at 0, where nothing trades"


def _offset_refusals(peg_offset: int) -> Iterator[str]:
    if abs(peg_offset) >= LARGEST:
        yield "peg_offset must be below 10 trillion"


def _replacement_refusals(working: Working, new: NewTerms, desk: "Desk") -> Iterator[str]:
    order = working.order
    if working.ending is not None:
        yield "it is being cancelled"
    for name in ("quantity", "limit_price", "display_quantity"):
        value = getattr(new, name)
        if value is not None and not 0 < value < LARGEST:
            yield f"{name} must be above 0 and below 10 trillion"
    yield from _offset_refusals(new.peg_offset)
    is_shown_otherwise = new.display_quantity not in (None, order.display_quantity)
    if is_shown_otherwise and order.venue in desk.context.brokers and working.algorithm is None:
        yield _shown_whole(order.venue)
    if new.quantity <= working.filled:
        yield "so much is filled already"
    if working.worker is not None and new.quantity - working.filled < working.open_quantity:
        yield "its algorithm has more than that at venues; cancel it, or ask again"
    if (new.limit_price is None) != (order.limit_price is None) and order.order_type != "pegged":
        yield "a replacement cannot give or take a limit"
    if new.time_in_force != order.time_in_force and not (
        {new.time_in_force, order.time_in_force} <= set(_LASTING)
    ):
        yield f"time in force can be replaced among {', '.join(_LASTING)}"
    if new.time_in_force == "gtd" and new.ts_expire is None:
        yield "time in force gtd needs ts_expire"
    yield from _trigger_refusals(working, new)


def _trigger_refusals(working: Working, new: NewTerms) -> Iterator[str]:
    if working.trigger not in HELD_TYPES:
        return
    if working.order.order_type not in HELD_TYPES:
        if _is_trigger_moved(working, new):
            yield "it was triggered before"
        return
    if working.trigger != "trailing_stop":
        if new.stop_price is None or not 0 < new.stop_price < LARGEST:
            yield "stop_price must be above 0 and below 10 trillion"
        return
    trails = [new.trail_amount, new.trail_percent]
    wrong = any(value is not None and not 0 < value < LARGEST for value in trails)
    if wrong or trails == [None, None]:
        yield "a trailing stop needs trail_amount or trail_percent, above 0"
    yield from _trail_refusals(working, new.trail_percent)


def _is_trigger_moved(working: Working, new: NewTerms) -> bool:
    if working.trigger != "trailing_stop":
        return new.stop_price != working.stop_price
    return (new.trail_amount, new.trail_percent) != (working.trail_amount, working.trail_percent)


def _algorithm_refusals(working: Working, desk: "Desk") -> Iterator[str]:
    order = working.order
    if order.time_in_force not in _LASTING:
        yield f"an algorithm works orders of time in force {', '.join(_LASTING)}"
    if order.order_type not in ("market", "limit"):
        yield "an algorithm works market and limit orders"
    kind = desk.context.algorithms().get(working.algorithm or "")
    if kind is None:
        yield f"there is no algorithm {working.algorithm!r}"
        return
    try:
        params = orjson.loads(working.algorithm_params or "{}")
    except orjson.JSONDecodeError:
        yield "algorithm_params is no JSON"
        return
    if not isinstance(params, dict):
        yield "algorithm_params must be a JSON object"
        return
    reason = kind.check(order, params)
    if reason is not None:
        yield reason
