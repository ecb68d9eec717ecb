"""Parts of orders at venues: sends them, after each venue's latency, and keeps the account of what comes back."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flows.flow import FlowError
from flows.trading.broker import BrokerVenue
from flows.trading.interfaces import Answer, Filled, Order, Terms, Told, Venue
from flows.trading.past_parts import PastPart, origin_of
from flows.trading.replacing import settle
from flows.trading.reporting import report, report_execution
from flows.trading.routes import routes
from flows.trading.symbol_market import SymbolMarket
from flows.trading.working import ASKED_FOR, Leg, Slice, Working

if TYPE_CHECKING:
    from flows.trading.desk import Desk

_ENDED = ("cancelled", "expired", "rejected")

# When a broker that has refused a cancellation is asked again.
_ASKED_AGAIN_NS = 1_000_000_000

# How often a part is routed within one market event; venues are slower than that.
_MOST_SWEEPS = 20


class Dispatch:
    """The parts of one symbol's orders at venues.

    Parameters
    ----------
    desk : Desk
        Whose orders they are of.
    """

    def __init__(self, desk: "Desk") -> None:
        self._desk = desk
        self._venues: dict[str, Venue[SymbolMarket]] = {}
        self._slices: dict[str, tuple[Working, Leg, Slice]] = {}
        # Orders with parts that wait for a venue, in order.
        self._unrouted: dict[str, Working] = {}
        self._broker_rows = 0

    @property
    def count(self) -> int:
        """How many parts are open at venues."""
        return len(self._slices)

    def open_part(self, slice_id: str) -> tuple[Working, Leg, Slice] | None:
        """A part that is open at a venue, and what it is of."""
        return self._slices.get(slice_id)

    def venue(self, name: str) -> Venue[SymbolMarket]:
        """A venue by the name that an order gives it."""
        found = self._venues.get(name)
        if found is None:
            context = self._desk.context
            found = context.new_venue(name, self._desk.market, self._tell_broker)
            self._venues[name] = found
        return found

    def send(self, working: Working, leg: Leg) -> None:
        """Route what of a leg has no venue yet."""
        desk = self._desk
        quantity, leg.unrouted = leg.unrouted, 0
        if not desk.market.is_tradable and leg.order.time_in_force in ("ioc", "fok"):
            leg.ending = ("expired", desk.market.closed_because)
            self.close(working, leg)
            return
        parts = [] if leg.sweeps >= _MOST_SWEEPS else routes(desk, working, leg, quantity)
        sent = [self._new_slice(working, leg, *part) for part in parts]
        leg.sweeps += bool(sent)
        leg.unrouted = quantity - sum(one.quantity for one in sent)
        if leg.unrouted:
            self._unrouted[working.order.order_id] = working
        if sent and leg.number == 0 and leg.sweeps == 1:
            report(desk, working, "routed", None, "+".join(one.venue for one in sent))
        for one in sent:
            self.wire("send", one)

    def adopt(self, working: Working, leg: Leg, one: Slice) -> None:
        """A part of an order is open."""
        leg.slices[one.slice_id] = one
        self._slices[one.slice_id] = (working, leg, one)

    def send_again(self) -> None:
        """Send what came back, or came when nothing could be filled; a side stops at the first in vain."""
        dry: set[str] = set()
        for order_id, working in list(self._unrouted.items()):
            for leg in list(working.legs.values()):
                if leg.unrouted and leg.ending is None and leg.order.side not in dry:
                    before = leg.unrouted
                    leg.sweeps = min(leg.sweeps, 1)
                    self.send(working, leg)
                    if leg.unrouted == before:
                        dry.add(leg.order.side)
            if not any(leg.unrouted for leg in working.legs.values()):
                self._unrouted.pop(order_id, None)

    def stop(
        self, working: Working, leg: Leg, ends_as: str, reason: str | None, *, at_once: bool = False
    ) -> None:
        """Cancel what of a leg is open; ``at_once``: without a way to the venue."""
        leg.ending = (ends_as, reason)
        leg.unrouted = 0
        for one in list(leg.slices.values()):
            if at_once and not one.arrived:
                self._drop(working, leg, one)
            elif at_once:
                self.arrive("cancel", one.slice_id)
            else:
                self.wire("cancel", one)
        self.close(working, leg)

    def wire(self, what: str, one: Slice) -> None:
        """Send, replace or cancel a part; that reaches its venue after the venue's latency."""
        latency_ns = self.venue(one.venue).latency_ns
        if latency_ns:
            self._desk.agenda.note(self._desk.market.now + latency_ns, what, one.slice_id)
        else:
            self.arrive(what, one.slice_id)

    def arrive(self, what: str, slice_id: str) -> None:
        """What was wired reaches the venue."""
        found = self._slices.get(slice_id)
        if found is None:
            return
        working, leg, one = found
        venue, market = self.venue(one.venue), self._desk.market
        if what == "send":
            one.arrived = True
            self.take(venue.send(_part(leg.order, one), market))
        elif what == "cancel":
            self.take(venue.cancel(slice_id, market))
        elif one.wanted is not None:
            new = working.replacing or leg.order
            terms = Terms(
                one.wanted,
                new.limit_price,
                new.display_quantity,
                new.time_in_force,
                new.peg_offset,
            )
            self.take(venue.replace(slice_id, terms, market))

    def on_event(self, event: Any) -> None:
        """Tell all venues of a market event."""
        for name in sorted(self._venues):
            self.take(self._venues[name].on_event(event, self._desk.market))

    def take(self, answers: list[Answer]) -> None:
        """What venues answer."""
        for answer in answers:
            found = self._slices.get(answer.order_id)
            if found is None:
                continue
            if isinstance(answer, Filled):
                self._filled(*found, answer)
            else:
                self._told(*found, answer)

    def close(self, working: Working, leg: Leg) -> None:
        """End a leg that has nothing open any more."""
        if leg.slices or leg.unrouted or working.legs.get(leg.number) is not leg:
            return
        del working.legs[leg.number]
        if leg.filled >= leg.order.quantity:
            self._desk.leg_ended(working, leg, "filled", None)
        else:
            ends_as, reason = leg.ending or ("cancelled", "nothing of it was open any more")
            self._desk.leg_ended(working, leg, ends_as, reason)

    def forget(self, order_id: str) -> None:
        """An order has ended."""
        self._unrouted.pop(order_id, None)

    def saved(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "venues": [
                [name, isinstance(venue, BrokerVenue), venue.saved()]
                for name, venue in sorted(self._venues.items())
            ],
            "unrouted": list(self._unrouted),
            "broker_rows": self._broker_rows,
        }

    def restore(self, saved: dict[str, Any], orders: dict[str, Working]) -> None:
        """Take over what `saved` gave, and the slices of all orders.

        Raises
        ------
        FlowError
            Where an order is open at a venue that was a broker and is none now, or has become one.
        """
        for working in orders.values():
            for leg in working.legs.values():
                for one in leg.slices.values():
                    self._slices[one.slice_id] = (working, leg, one)
        used = {one.venue: working for working, _, one in self._slices.values()}
        for name, was_broker, state in saved["venues"]:
            venue = self.venue(name)
            if isinstance(venue, BrokerVenue) == was_broker:
                venue.restore(state)
            elif name in used:
                was, wanted = ("a", "with") if was_broker else ("no", "without")
                raise FlowError(
                    f"order {used[name].order.order_id} is open at {name!r}, which was {was} broker: cancel its "
                    f"orders first, or go on {wanted} {name!r} in `brokers`"
                )
        self._unrouted = {order_id: orders[order_id] for order_id in saved["unrouted"]}
        self._broker_rows = saved["broker_rows"]

    def _new_slice(
        self,
        working: Working,
        leg: Leg,
        venue: str,
        quantity: int,
        immediate: bool,  # noqa: FBT001 - a route's three parts
    ) -> Slice:
        working.slices_made += 1
        one = Slice(working.slice_id(working.slices_made), venue, quantity, immediate)
        self.adopt(working, leg, one)
        return one

    def _filled(self, working: Working, leg: Leg, one: Slice, filled: Filled) -> None:
        quantity = filled.quantity
        one.filled += quantity
        leg.filled += quantity
        working.filled += quantity
        working.notional += quantity * filled.price
        working.executions += 1
        report_execution(self._desk, working, one.venue, filled)
        if one.left <= 0:
            self._drop(working, leg, one)
        if working.worker is not None:
            host = self._desk.host
            self._later(lambda: host.on_fill(working, leg.number, filled, one.venue))
        settle(self._desk, working, leg)
        self.close(working, leg)

    def _told(self, working: Working, leg: Leg, one: Slice, told: Told) -> None:
        if told.report in _ENDED:
            self._drop(working, leg, one)
            if one.wanted == 0:
                working.replaced = True
            elif leg.ending is None and one.immediate and told.report == "expired":
                leg.unrouted += one.left
                if not any(other.immediate for other in leg.slices.values()):
                    self._later(lambda: self._send_rest(working, leg))
            elif leg.ending is None and not leg.slices and not leg.unrouted:
                leg.ending = (told.report, told.reason)
        elif told.report == "replaced":
            one.quantity = one.wanted or one.quantity
            one.wanted = None
            working.replaced = True
            _resize(leg)
        elif told.report in ("replace_rejected", "cancel_rejected"):
            self._refused(working, leg, one, told)
        settle(self._desk, working, leg)
        self.close(working, leg)

    def _refused(self, working: Working, leg: Leg, one: Slice, told: Told) -> None:
        """A part stays as it is; of a cancellation a client is told, and what is to end for another reason is asked for again."""
        desk = self._desk
        one.wanted = None
        _resize(leg)
        if told.report == "replace_rejected" or leg.ending is None:
            return
        if working.worker is not None or working.ending != ASKED_FOR:
            desk.agenda.note(desk.market.now + _ASKED_AGAIN_NS, "cancel", one.slice_id)
            return
        leg.ending = working.ending = None
        report(desk, working, "cancel_rejected", told.reason)
        waiting = desk.pairs.other_waits(working)
        if waiting is not None:
            self._later(lambda: desk.look_at(waiting))

    def _send_rest(self, working: Working, leg: Leg) -> None:
        if leg.unrouted and leg.ending is None and working.legs.get(leg.number) is leg:
            self.send(working, leg)

    def _drop(self, working: Working, leg: Leg, one: Slice) -> None:
        leg.slices.pop(one.slice_id, None)
        self._slices.pop(one.slice_id, None)
        venue = self.venue(one.venue)
        venue.forget(one.slice_id)
        if isinstance(venue, BrokerVenue):
            part = PastPart(origin_of(working, one.venue), one.seen)
            self._desk.context.remember_part(one.slice_id, part)

    def _later(self, work: Callable[[], None]) -> None:
        self._desk.later(work)

    def _tell_broker(self, broker: str, action: str, slice_id: str, terms: dict[str, Any]) -> None:
        self._broker_rows += 1
        desk = self._desk
        desk.context.outbox.broker_orders.append(
            (
                desk.symbol,
                desk.now,
                broker,
                terms["account"],
                self._broker_rows,
                action,
                slice_id,
                self._slices[slice_id][0].order.order_id,
                terms["side"],
                terms["quantity"],
                terms["order_type"],
                terms["limit_price"],
                None,
                terms["time_in_force"],
            )
        )


def _part(order: Order, one: Slice) -> Order:
    """What a venue is sent."""
    # Field by field: `dataclasses.replace` takes as long as all that the venue then does.
    return Order(
        one.slice_id,
        order.account,
        order.symbol,
        order.side,
        one.quantity,
        order.order_type,
        "ioc" if one.immediate else order.time_in_force,
        order.limit_price,
        order.peg,
        order.peg_offset,
        order.display_quantity,
        one.venue,
    )


def _resize(leg: Leg) -> None:
    """An algorithm's child has as much as its venues have answered; an order's quantity is settled with its client."""
    if leg.number:
        leg.order.quantity = (
            leg.filled + leg.unrouted + sum(one.left for one in leg.slices.values())
        )
