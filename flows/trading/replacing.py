"""Replacing a working order: its terms are spread over its parts at venues, and told when all have answered.

While parts are on their way to be filled at once nobody can say what is left of the order: a replacement waits until
they have answered, within two latencies, and is then of what is left, before that is routed again. So does a venue, which
takes what it is sent in turn, and a broker's router, whose order is "pending replace" meanwhile (FIX 4.4, OrdStatus E).
One that asks for no more than is filled by then is refused, as at venues.
"""

from typing import TYPE_CHECKING

from flows.trading.expiry import expires_at
from flows.trading.refusals import replacement_refusal
from flows.trading.reporting import report
from flows.trading.working import Leg, NewTerms, Working

if TYPE_CHECKING:
    from flows.trading.desk import Desk

MOST_QUEUED = 16
"""Replacements of an order that wait for one another; the order system lets no more be on their way."""

KEPT = "its place in the queue is kept"
LOST = "its place in the queue is lost"

# Auctions fill by price alone here.
_QUEUELESS = ("at_open", "at_close")


def replace_order(desk: "Desk", terms: Working) -> None:
    """Other terms of the order that they name; they wait until an earlier replacement, and immediate parts, were answered."""
    working = desk.orders.get(terms.order.order_id)
    if working is None:
        report(desk, terms, "replace_rejected", "the order is not worked here any more")
    elif working.replacing is None and not working.queued and not _is_sweeping(working):
        _replace(desk, working, terms.new_terms)
    elif len(working.queued) < MOST_QUEUED:
        working.queued.append(terms.new_terms)
    else:
        report(desk, working, "replace_rejected", "too many replacements are on their way")
    desk.drain()


def settle(desk: "Desk", working: Working, leg: Leg) -> None:
    """Once all parts have answered a replacement, tell what came of it; once none is immediate, go on with the next."""
    new = working.replacing
    if new is None:
        if working.queued:
            # At once: what came back from the immediate parts is routed again behind this, by the new terms.
            _next(desk, working)
        return
    if any(one.wanted is not None for one in leg.slices.values()):
        return
    quantity = leg.filled + leg.unrouted + sum(one.left for one in leg.slices.values())
    done = working.replaced or (quantity == new.quantity and not leg.slices)
    place = _place(desk, leg, new)
    if done:
        _take_over(leg, new, quantity)
    working.replacing = new._replace(quantity=quantity)
    replaced(desk, working, done=done, place=place)


def _place(desk: "Desk", leg: Leg, new: NewTerms) -> str | None:
    """What becomes of the place in the queue, by the rule of the paper market; None where there is none, or a broker's rule."""
    order, venues = leg.order, {one.venue for one in leg.slices.values()}
    if not venues or venues & set(desk.context.brokers) or order.time_in_force in _QUEUELESS:
        return None
    keeps = new.quantity <= order.quantity and not _is_moved(leg, new)
    return KEPT if keeps else LOST


def _is_moved(leg: Leg, new: NewTerms) -> bool:
    order = leg.order
    before = order.limit_price, order.display_quantity, order.peg_offset
    return (new.limit_price, new.display_quantity, new.peg_offset) != before


def replaced(desk: "Desk", working: Working, *, done: bool, place: str | None = None) -> None:
    """Tell what came of a replacement and of the place in the queue, and go on with the next."""
    new = working.replacing
    if new is None:
        return
    working.replacing, working.replaced = None, False
    if done:
        order = working.order
        order.quantity, order.limit_price = new.quantity, new.limit_price
        order.display_quantity, order.peg_offset = new.display_quantity, new.peg_offset
        _replace_expiry(desk, working, new)
        report(desk, working, "replaced", place)
    else:
        report(desk, working, "replace_rejected", "it came too late")
    if working.queued:
        desk.later(lambda: _next(desk, working))


def _next(desk: "Desk", working: Working) -> None:
    is_done = working.ending is not None or working.filled >= working.order.quantity
    if working.queued and working.replacing is None and not is_done and not _is_sweeping(working):
        following = working.queued.pop(0)
        if desk.orders.get(working.order.order_id) is working:
            _replace(desk, working, following)


def _is_sweeping(working: Working) -> bool:
    """Whether parts are on their way to be filled at once."""
    return any(one.immediate for leg in working.legs.values() for one in leg.slices.values())


def _replace(desk: "Desk", working: Working, new: NewTerms) -> None:
    new = new._replace(quantity=new.quantity - working.left_off)
    reason = replacement_refusal(working, new, desk)
    if reason is not None:
        report(desk, working, "replace_rejected", reason)
        if working.queued:
            desk.later(lambda: _next(desk, working))
        return
    working.replacing = new
    _replace_trigger(working, new)
    if working.worker is None and working.legs:
        leg = working.legs[0]
        _replace_leg(desk, working, leg, new)
        settle(desk, working, leg)
        return
    replaced(desk, working, done=True)
    if working.worker is not None:
        desk.host.on_replace(working)
    elif desk.has_time:
        desk.look_at(working)


def _replace_expiry(desk: "Desk", working: Working, new: NewTerms) -> None:
    order = working.order
    if (new.time_in_force, new.ts_expire) == (order.time_in_force, working.ts_expire):
        return
    order.time_in_force, working.ts_expire = new.time_in_force, new.ts_expire
    if working.worker is None:
        # An algorithm's children have what it gave them: what is to be filled at once is not to rest.
        for leg in working.legs.values():
            leg.order.time_in_force = new.time_in_force
    if desk.has_time:
        found = expires_at(new.time_in_force, new.ts_expire, desk.market)
        # What has passed already expires before the next event.
        working.expires_at = None if found is None else max(found, desk.market.now)
        if working.expires_at is not None:
            desk.agenda.note(working.expires_at, "expire", order.order_id)


def _replace_trigger(working: Working, new: NewTerms) -> None:
    if working.trigger is None or (not working.held and working.legs):
        return
    if working.trigger == "trailing_stop":
        trail = (new.trail_amount, new.trail_percent)
        if trail != (working.trail_amount, working.trail_percent):
            working.trail_amount, working.trail_percent = trail
            working.stop_price, working.trail_best = None, None
    else:
        working.stop_price = new.stop_price


def _replace_leg(desk: "Desk", working: Working, leg: Leg, new: NewTerms) -> None:
    """What goes off comes off what has no venue yet, then off the last part; what is added goes to the first."""
    order = leg.order
    moved = _is_moved(leg, new)
    # A broker ends an order at the close itself where that is for the day: it has to be asked for more time.
    brokers = desk.context.brokers if new.time_in_force != order.time_in_force else ()
    change = new.quantity - order.quantity
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
        if moved or less or more or one.venue in brokers:
            one.wanted = one.quantity - less + more
    working.replaced = not any(one.wanted is not None for one in parts)
    for one in parts:
        if one.wanted is not None:
            empty = one.wanted <= one.filled
            one.wanted = 0 if empty else one.wanted
            desk.dispatch.wire("cancel" if empty else "replace", one)


def _take_over(leg: Leg, new: NewTerms, quantity: int) -> None:
    leg.order.quantity, leg.order.limit_price = quantity, new.limit_price
    leg.order.display_quantity, leg.order.peg_offset = new.display_quantity, new.peg_offset
