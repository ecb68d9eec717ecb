"""All orders of one symbol: takes instructions, lives by market time, and tells what became of orders.

What is due before a market event (what was sent and arrives, an order's expiry, an algorithm's hour) happens
before it, against the market as it stood. What venues tell is known at once. Until the symbol's first market
event there is no time, and orders wait.
"""

from collections.abc import Callable
from typing import Any

from flows.trading.agenda import Agenda
from flows.trading.algorithm_host import AlgorithmHost
from flows.trading.context import Context
from flows.trading.dispatch import Dispatch
from flows.trading.exit_pairs import ExitPairs
from flows.trading.expiry import expires_at
from flows.trading.in_flight import InFlight
from flows.trading.interfaces import MarketEvent
from flows.trading.refusals import refusal
from flows.trading.replacing import replaced
from flows.trading.reporting import report
from flows.trading.symbol_market import SymbolMarket
from flows.trading.triggers import HELD_TYPES, is_triggered
from flows.trading.working import ASKED_FOR, Leg, Working

# What one call may set off in turn, before an algorithm that answers its own children for ever is stopped.
_LONGEST_CHAIN = 10_000

# Notes for orders that have ended, from which on they are struck out: a desk that always has an order would keep all.
_MOST_IDLE_NOTES = 1_000


class Desk:
    """The orders of one symbol.

    Parameters
    ----------
    market : SymbolMarket
        The symbol's.
    context : Context
        What all desks share.
    """

    def __init__(self, market: SymbolMarket, context: Context) -> None:
        self.market = market
        self.symbol = market.symbol
        self.context = context
        self.orders: dict[str, Working] = {}
        self.has_time = False
        """Whether a market event was seen."""
        self.is_followed = False
        """Whether it is told of the market, which lasts until the first event that finds no order here."""
        self.fallback_ns = 0
        """Time of the newest instruction, which stands for market time until then."""
        self.agenda = Agenda()
        self.in_flight = InFlight(self)
        self.host = AlgorithmHost(self)
        self.dispatch = Dispatch(self)
        self.pairs = ExitPairs(self.orders)
        self._held: dict[str, Working] = {}
        self._chain: list[Callable[[], None]] = []
        self._is_draining = False

    @property
    def now(self) -> int:
        """Time of what happens now, as reports have it."""
        return self.market.now if self.has_time else self.fallback_ns

    @property
    def has_orders(self) -> bool:
        """Whether there is any order, on its way or worked here."""
        return bool(self.orders) or self.in_flight.count > 0

    def work(self, order_id: str) -> None:
        """An order is asked for: if it was on its way only, it is worked here from now on."""
        sent = self.context.flying.get(order_id)
        if sent is None:
            return
        row = sent.row_of(order_id)
        if sent.desk_of(row) is self:
            self.in_flight.give_back(sent, row)

    def begin(self, working: Working) -> None:
        """A new order."""
        order_id = working.order.order_id
        known = self.orders.get(order_id)
        if known is not None:
            report(self, known, "replace_rejected", "a second order of the same identifier")
            return
        reason = refusal(working, self)
        if reason is None and self.context.working >= self.context.max_orders:
            reason = f"max_orders = {self.context.max_orders} orders are worked already"
        if reason is not None:
            report(self, working, "rejected", reason)
            self.pairs.ended(working)
            return
        self.orders[order_id] = working
        self.context.working += 1
        if self.has_time:
            self._start(working)
        self.drain()

    def cancel(self, terms: Working) -> None:
        """Cancel the order that the terms name."""
        working = self.orders.get(terms.order.order_id)
        if working is None:
            report(self, terms, "cancel_rejected", "the order is not worked here any more")
        elif working.ending is not None:
            report(self, working, "cancel_rejected", "it is being cancelled already")
        else:
            self.stop(working, *ASKED_FOR)
        self.drain()

    def before(self, ts_ns: int) -> None:
        """Time has come to a market event that is not in the market yet: what is due by then happens."""
        if not self.has_time:
            self.has_time = True
            self.market.now = ts_ns
            for working in list(self.orders.values()):
                self._start(working)
            self.drain()
        while self._next_due(ts_ns):
            self.drain()
        self.market.now = max(self.market.now, ts_ns)
        if len(self.agenda) > _MOST_IDLE_NOTES + 2 * (len(self.orders) + self.dispatch.count):
            self.agenda.keep(self._is_meant)

    def after(self, event: MarketEvent) -> None:
        """The market has an event in it."""
        self.dispatch.on_event(event)
        if self.market.is_tradable:
            self.dispatch.send_again()
            for working in list(self._held.values()):
                self.look_at(working)
        self.drain()
        if self.market.is_open:
            self.host.on_event(event)
            self.drain()

    def stop(
        self, working: Working, ends_as: str, reason: str | None, *, at_once: bool = False
    ) -> None:
        """End an order: cancel what is open, and tell it when that is done."""
        working.ending = (ends_as, reason)
        for leg in list(working.legs.values()):
            self.dispatch.stop(working, leg, ends_as, reason, at_once=at_once)
        self._close(working, None)

    def look_at(self, working: Working) -> None:
        """Pull the trigger of an order that is held, if its time has come, and send it once no other exit is in its way."""
        market = self.market
        if working.held:
            is_due = market.is_tradable and is_triggered(working, market)
            if not (is_due and self.pairs.has_room(working)):
                return
            working.held = False
            del self._held[working.order.order_id]
            working.order.order_type = "limit" if working.trigger == "stop_limit" else "market"
            report(self, working, "triggered", None)
        if not self.pairs.waits(working):
            return
        other = self.pairs.open_other(working)
        if other is None and self.pairs.has_room(working):
            working.left_off = self.pairs.filled_by_other(working)
            working.order.quantity -= working.left_off
            self._send(working)
        elif other is not None and other.ending is None:
            self.stop(other, "cancelled", f"exit {working.client_order_id} was triggered")

    def leg_ended(self, working: Working, leg: Leg, ends_as: str, reason: str | None) -> None:
        """A leg has nothing open any more."""
        if working.worker is None:
            self._close(working, (ends_as, reason))
            return
        if working.ending is None:
            self.later(lambda: self.host.on_end(working, leg.number, ends_as, reason))
        # Behind what its algorithm is told of the fills.
        self.later(lambda: self._close(working, None))

    def later(self, work: Callable[[], None]) -> None:
        """Do something once what is happening now is over."""
        self._chain.append(work)

    def drain(self) -> None:
        """Do what was left for later."""
        if self._is_draining:
            return
        self._is_draining = True
        done = 0
        while done < len(self._chain):
            self._chain[done]()
            done += 1
            if done == _LONGEST_CHAIN:
                self.host.stop_all("its algorithm set off more than can be followed at one time")
        self._chain.clear()
        self._is_draining = False

    def saved(self) -> dict[str, Any]:
        """As JSON values."""
        self.in_flight.give_all_back()
        return {
            "symbol": self.symbol,
            "now": self.market.now,
            "has_time": self.has_time,
            "is_followed": self.is_followed,
            "fallback_ns": self.fallback_ns,
            "market": self.market.saved(),
            "orders": [one.saved() for one in self.orders.values()],
            "held": list(self._held),
            "agenda": self.agenda.saved(),
            "dispatch": self.dispatch.saved(),
            "pairs": self.pairs.saved(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Take over what `saved` gave, but for the market's part."""
        self.market.now = saved["now"]
        self.has_time, self.fallback_ns = saved["has_time"], saved["fallback_ns"]
        self.is_followed = saved["is_followed"]
        for values in saved["orders"]:
            working = Working.restored(values)
            self.orders[working.order.order_id] = working
            self.context.working += 1
            self.host.restore(working, values["worker"])
        self._held = {order_id: self.orders[order_id] for order_id in saved["held"]}
        self.agenda = Agenda(saved["agenda"])
        self.dispatch.restore(saved["dispatch"], self.orders)
        self.pairs.restore(saved.get("pairs"))

    def _start(self, working: Working) -> None:
        """Market time is known: set the clock, and send or hold the order."""
        order = working.order
        working.expires_at = expires_at(order.time_in_force, working.ts_expire, self.market)
        if working.expires_at is not None:
            if working.expires_at <= self.market.now:
                self.stop(working, "expired", "its time had passed when it came")
                return
            self.agenda.note(working.expires_at, "expire", order.order_id)
        if working.trigger in HELD_TYPES:
            working.held = True
            self._held[order.order_id] = working
            self.look_at(working)
        elif working.algorithm is not None:
            self.host.begin(working)
        else:
            self._send(working)

    def _send(self, working: Working) -> None:
        leg = working.legs[0] = Leg(0, working.order, unrouted=working.order.quantity)
        self.dispatch.send(working, leg)

    def _next_due(self, ts_ns: int) -> bool:
        """Do the next thing that is due by a time; false if there is none."""
        noted, arrives = self.agenda.next_due, self.in_flight.next_due
        due = min(noted, arrives)[0]
        wakes, woken = self.host.next_wake()
        if woken is not None and wakes <= ts_ns and wakes < due:
            self.market.now = max(self.market.now, wakes)
            self.host.on_time(woken)
            return True
        if due > ts_ns:
            return False
        if arrives < noted:
            self.in_flight.land(noted, ts_ns if woken is None else min(ts_ns, wakes))
            return True
        self.market.now = max(self.market.now, due)
        what, name = self.agenda.take()
        if what == "expire":
            self._expire(name, due)
        else:
            self.dispatch.arrive(what, name)
        return True

    def _is_meant(self, ts_ns: int, what: str, name: str) -> bool:
        if what != "expire":
            return self.dispatch.open_part(name) is not None
        working = self.orders.get(name)
        return working is not None and working.expires_at == ts_ns

    def _expire(self, order_id: str, due: int) -> None:
        working = self.orders.get(order_id)
        # One of an earlier order of the name, or of terms that were replaced, was noted for another time.
        if working is not None and working.expires_at == due:
            self.stop(working, "expired", "its time was over", at_once=True)

    def _close(self, working: Working, ends_as: tuple[str, str | None] | None) -> None:
        """End an order that has nothing open any more."""
        if working.legs:
            return
        if working.filled >= working.order.quantity:
            self._end(working, "filled", None)
        elif working.ending is not None or ends_as is not None:
            self._end(working, *(working.ending or ends_as or ("cancelled", None)))

    def _end(self, working: Working, ends_as: str, reason: str | None) -> None:
        order_id = working.order.order_id
        if self.orders.pop(order_id, None) is None:
            return
        waiting = self.pairs.other_waits(working)
        self.context.working -= 1
        self._held.pop(order_id, None)
        self.dispatch.forget(order_id)
        replaced(self, working, done=False)
        for _ in working.queued:
            report(self, working, "replace_rejected", "it came too late")
        working.queued.clear()
        if ends_as != "filled":
            ends_as = "cancelled" if ends_as == "rejected" and working.filled else ends_as
            report(self, working, ends_as, reason)
        elif working.ending == ASKED_FOR or (
            waiting is None and working.ending is not None and working.ending[0] == "cancelled"
        ):
            # Not of an exit that only the other one had to be out of the way.
            report(self, working, "cancel_rejected", "it was filled before")
        self.pairs.ended(working)
        if waiting is not None:
            self.later(lambda: self.look_at(waiting))
        self.host.ended(working)
        self.context.remember(working)
        if not self.has_orders:
            # Nothing is due any more but what was noted for orders that have ended.
            self.agenda = Agenda()
