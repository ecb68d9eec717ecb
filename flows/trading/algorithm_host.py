"""Algorithms at a desk: gives them the market and their fills, and carries out what they ask.

Children never exceed what is not filled, and never go beyond the order's own limit: what an algorithm asks too
much is cut off. The order is told as routed when it begins, and its report is written when it has ended.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import orjson

from flows.orders.money import divided
from flows.trading.interfaces import (
    Action,
    Algorithm,
    Cancel,
    Fill,
    Filled,
    Finish,
    MarketEvent,
    Order,
    Replace,
    Send,
)
from flows.trading.reporting import report
from flows.trading.working import Leg, Working

if TYPE_CHECKING:
    from flows.trading.desk import Desk


class AlgorithmHost:
    """The algorithms of one symbol's orders."""

    def __init__(self, desk: "Desk") -> None:
        self._desk = desk
        self._working: dict[str, Working] = {}

    def begin(self, working: Working) -> None:
        """An order with an algorithm starts."""
        desk = self._desk
        self._make(working)
        report(desk, working, "routed", f"worked by {working.algorithm}")
        worker = self._worker(working)
        curve = None if desk.context.curves is None else desk.context.curves.of(desk.symbol)
        self._act(working, worker.begin(desk.market, curve))

    def restore(self, working: Working, saved: list[Any]) -> None:
        """Take an order over from a snapshot; nothing is saved where its algorithm has not begun."""
        for state in saved:
            self._make(working)
            self._worker(working).restore(state)

    def next_wake(self) -> tuple[int, Working | None]:
        """The first time that an algorithm wants to be woken at, and whose it is."""
        found: tuple[int, Working | None] = (0, None)
        for working in self._working.values():
            wake_at = self._worker(working).wake_at
            if wake_at is not None and (found[1] is None or wake_at < found[0]):
                found = (wake_at, working)
        return found

    def on_time(self, working: Working) -> None:
        """Wake an algorithm."""
        worker = self._worker(working)
        # One that does not set it anew is not woken again.
        worker.wake_at = None
        self._act(working, worker.on_time(self._desk.market))

    def on_event(self, event: MarketEvent) -> None:
        """Tell all algorithms of a market event."""
        for working in list(self._working.values()):
            if working.worker is not None and working.ending is None:
                self._act(working, working.worker.on_event(event, self._desk.market))

    def on_fill(self, working: Working, number: int, filled: Filled, venue: str) -> None:
        """Tell an algorithm of a fill."""
        if working.worker is not None:
            fill = Fill(number, filled.quantity, filled.price, venue, filled.liquidity)
            self._act(working, working.worker.on_fill(fill, self._desk.market))

    def on_end(self, working: Working, number: int, ends_as: str, reason: str | None) -> None:
        """Tell an algorithm that a child has ended."""
        if working.worker is not None:
            told = ends_as if reason is None else f"{ends_as}: {reason}"
            self._act(working, working.worker.on_end(number, told, self._desk.market))

    def on_replace(self, working: Working) -> None:
        """Tell an algorithm that its order has other terms."""
        if working.worker is not None:
            self._act(working, working.worker.on_replace(working.order, self._desk.market))

    def stop_all(self, reason: str) -> None:
        """End all orders that have an algorithm."""
        for working in list(self._working.values()):
            self._desk.stop(working, "cancelled", reason)

    def ended(self, working: Working) -> None:
        """An order has ended: write its report, if it had an algorithm."""
        if self._working.pop(working.order.order_id, None) is None:
            return
        desk, order = self._desk, working.order
        found = self._worker(working).report(desk.market)
        average = divided(working.notional, working.filled) if working.filled else None
        desk.context.outbox.algorithm_reports.append(
            (
                order.account,
                desk.now,
                order.order_id,
                desk.symbol,
                order.side,
                working.algorithm,
                working.ts_begin if found.ts_begin is None else found.ts_begin,
                order.quantity,
                working.filled,
                working.children,
                average,
                found.arrival_price,
                found.vwap,
                found.twap,
                found.slippage_arrival,
                found.slippage_vwap,
                found.slippage_twap,
                found.participation,
                found.note,
            )
        )
        working.worker = None

    def _make(self, working: Working) -> None:
        kind = self._desk.context.algorithms()[working.algorithm or ""]
        params = orjson.loads(working.algorithm_params or "{}")
        working.worker = kind(working.order, params)
        self._working[working.order.order_id] = working

    def _worker(self, working: Working) -> Algorithm:
        if working.worker is None:
            raise AssertionError(f"order {working.order.order_id} has no algorithm at work")
        return working.worker

    def _act(self, working: Working, actions: list[Action]) -> None:
        for action in actions:
            if working.ending is not None or working.worker is None:
                return
            if isinstance(action, Send):
                self._send(working, action)
            elif isinstance(action, Finish):
                self._desk.stop(working, "cancelled", action.reason)
            elif action.number in working.legs:
                leg = working.legs[action.number]
                if isinstance(action, Cancel):
                    self._desk.dispatch.stop(working, leg, "cancelled", None)
                else:
                    self._replace(working, leg, action)

    def _send(self, working: Working, send: Send) -> None:
        order = working.order
        free = order.quantity - working.filled - working.open_quantity
        quantity = min(send.quantity, free)
        if quantity <= 0 or send.number in working.legs:
            number = send.number
            self._desk.later(
                lambda: self.on_end(working, number, "rejected", "no more than is open can be sent")
            )
            return
        limit = _within(order, send.limit_price)
        child = replace(
            order,
            order_id=f"{order.order_id}.{send.number}",
            quantity=quantity,
            order_type="market" if limit is None else "limit",
            limit_price=limit,
            time_in_force=send.time_in_force,
            venue=send.venue or order.venue,
            display_quantity=send.display_quantity,
        )
        working.children += 1
        leg = working.legs[send.number] = Leg(send.number, child, unrouted=quantity)
        self._desk.dispatch.send(working, leg)

    def _replace(self, working: Working, leg: Leg, action: Replace) -> None:
        """A child is replaced by cancelling it: the algorithm sends another once it has ended."""
        parts = list(leg.slices.values())
        limit = _within(working.order, action.limit_price)
        free = working.order.quantity - working.filled - working.open_quantity
        quantity = min(action.quantity, leg.order.quantity + free)
        # What is spread over venues cannot be changed as one.
        if len(parts) != 1 or leg.unrouted or quantity <= leg.filled or parts[0].immediate:
            self._desk.dispatch.stop(working, leg, "cancelled", "it could not be replaced")
            return
        one = parts[0]
        # The larger of the two until the venue has answered: no more may be sent than would fit beside it.
        leg.order.quantity = max(leg.order.quantity, quantity)
        leg.order.limit_price = limit
        one.wanted = one.quantity + quantity - leg.filled - one.left
        self._desk.dispatch.wire("replace", one)


def _within(order: Order, limit_price: int | None) -> int | None:
    """A child's limit, no worse than its order's."""
    if order.limit_price is None or limit_price is None:
        return limit_price if order.limit_price is None else order.limit_price
    choose = min if order.is_buy else max
    return choose(order.limit_price, limit_price)
