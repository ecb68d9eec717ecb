"""Replacing a working order: its terms are spread over its parts at venues, and told when all have answered."""

from typing import TYPE_CHECKING

from flows.trading.refusals import replacement_refusal
from flows.trading.reporting import report
from flows.trading.working import Leg, Working

if TYPE_CHECKING:
    from flows.trading.desk import Desk


def replace_order(desk: "Desk", terms: Working) -> None:
    """Other terms of the order that they name: quantity, limit, stop, trail and, of a GTD order, when it expires."""
    order_id = terms.order.order_id
    working = desk.orders.get(order_id)
    if working is None:
        report(desk, terms, "replace_rejected", "the order is not worked here any more")
        return
    reason = replacement_refusal(working, terms)
    if reason is not None:
        report(desk, working, "replace_rejected", reason)
        return
    quantity, limit_price = terms.order.quantity, terms.order.limit_price
    working.replacing = (quantity, limit_price)
    _replace_trigger(working, terms)
    if working.order.time_in_force == "gtd" and terms.ts_expire != working.ts_expire:
        working.ts_expire = terms.ts_expire
        if desk.has_time and terms.ts_expire is not None:
            working.expires_at = max(terms.ts_expire, desk.market.now)
            desk.agenda.note(working.expires_at, "expire", order_id)
    if working.worker is None and working.legs:
        leg = working.legs[0]
        _replace_leg(desk, working, leg, quantity, limit_price)
        settle(desk, working, leg)
    else:
        replaced(desk, working, done=True)
        if working.worker is not None:
            desk.host.on_replace(working)
        elif desk.has_time:
            desk.look_at(working)
    desk.drain()


def settle(desk: "Desk", working: Working, leg: Leg) -> None:
    """Once all parts have answered a replacement, tell what came of it."""
    if working.replacing is None or any(one.wanted is not None for one in leg.slices.values()):
        return
    asked, limit_price = working.replacing
    quantity = leg.filled + leg.unrouted + sum(one.left for one in leg.slices.values())
    done = working.replaced or (quantity == asked and not leg.slices)
    if done:
        leg.order.quantity, leg.order.limit_price = quantity, limit_price
    working.replacing = (quantity, limit_price)
    replaced(desk, working, done=done)


def replaced(desk: "Desk", working: Working, *, done: bool) -> None:
    """Tell what came of a replacement."""
    if working.replacing is None:
        return
    quantity, limit_price = working.replacing
    working.replacing, working.replaced = None, False
    if done:
        working.order.quantity, working.order.limit_price = quantity, limit_price
        report(desk, working, "replaced", None)
    else:
        report(desk, working, "replace_rejected", "it came too late")


def _replace_trigger(working: Working, terms: Working) -> None:
    if working.trigger is None or (not working.held and working.legs):
        return
    working.stop_price = terms.stop_price
    if working.trigger == "trailing_stop":
        working.trail_amount, working.trail_percent = terms.trail_amount, terms.trail_percent
        working.stop_price, working.trail_best = None, None


def _replace_leg(
    desk: "Desk", working: Working, leg: Leg, quantity: int, limit_price: int | None
) -> None:
    """What goes off comes off what has no venue yet, then off the last part; what is added goes to the first."""
    moved = limit_price != leg.order.limit_price
    change = quantity - leg.order.quantity
    fewer = min(max(-change, 0), leg.unrouted)
    leg.unrouted -= fewer
    change += fewer
    parts = list(leg.slices.values())
    if not parts:
        leg.unrouted += max(change, 0)
    for one in reversed(parts):
        less = min(max(-change, 0), one.left)
        change += less
        more = change if change > 0 and one is parts[0] else 0
        if moved or less or more:
            one.wanted = one.quantity - less + more
    working.replaced = not any(one.wanted is not None for one in parts)
    for one in parts:
        if one.wanted is not None:
            empty = one.wanted <= one.filled
            one.wanted = 0 if empty else one.wanted
            desk.dispatch.wire("cancel" if empty else "replace", one)
