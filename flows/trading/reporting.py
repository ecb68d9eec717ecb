"""Rows of executions, order reports and routing decisions of an order."""

from typing import TYPE_CHECKING

from flows.orders.money import LARGEST, minor_unit, rounded
from flows.trading.interfaces import Decision, Filled
from flows.trading.working import Working

if TYPE_CHECKING:
    from flows.trading.desk import Desk


def report(
    desk: "Desk", working: Working, what: str, reason: str | None, venue: str | None = None
) -> None:
    """Tell the order system of an order."""
    working.reports += 1
    order = working.order
    desk.context.outbox.order_reports.append(
        (
            order.account,
            desk.now,
            desk.symbol,
            order.order_id,
            working.reports,
            what,
            order.quantity,
            working.filled,
            order.limit_price,
            working.stop_price,
            venue if venue is not None else order.venue,
            reason,
        )
    )
    if order.order_id not in desk.orders:
        desk.context.remember(working)


def report_execution(desk: "Desk", working: Working, venue: str, filled: Filled) -> None:
    """Tell everybody of a fill; fees are rounded half-even to the currency's minor unit here."""
    order = working.order
    market = desk.market
    fees = rounded(filled.fees, minor_unit(working.currency))
    desk.context.outbox.executions.append(
        (
            order.account,
            desk.now,
            f"{order.order_id}-{working.executions}",
            order.order_id,
            working.client_order_id,
            working.parent_order_id,
            desk.symbol,
            order.side,
            filled.quantity,
            filled.price,
            working.currency,
            min(max(fees, -LARGEST), LARGEST),
            filled.liquidity,
            venue,
            working.strategy,
            working.lot_method,
            working.lots,
            market.bid,
            market.ask,
            working.correlation_id,
        )
    )


def report_decision(desk: "Desk", working: Working, decision: Decision) -> None:
    """Record why a part was sent to a venue."""
    working.decisions += 1
    market = desk.market
    desk.context.outbox.routing_decisions.append(
        (
            desk.symbol,
            desk.now,
            working.order.account,
            working.order.order_id,
            working.decisions,
            decision.venue,
            decision.quantity,
            market.bid,
            market.ask,
            decision.expected_cost,
            decision.candidates,
            decision.reason,
        )
    )
