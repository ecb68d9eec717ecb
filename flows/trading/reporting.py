"""Rows of executions, order reports and routing decisions of an order."""

from typing import TYPE_CHECKING

from flows.orders.money import LARGEST, minor_unit, rounded
from flows.trading.interfaces import Decision, Filled
from flows.trading.past_parts import Origin, origin_of
from flows.trading.working import Working

if TYPE_CHECKING:
    from flows.trading.desk import Desk


def report(
    desk: "Desk", working: Working, what: str, reason: str | None, venue: str | None = None
) -> None:
    """Tell the order system of an order; of an exit with the quantity that it shares, as its instructions have it."""
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
            order.quantity + working.left_off,
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
    """Tell everybody of a fill."""
    name = f"{working.lasting_id}-{working.executions}"
    _report_execution(desk, origin_of(working, venue), name, filled)


def report_late_execution(desk: "Desk", origin: Origin, report_id: str, filled: Filled) -> None:
    """Tell everybody of a fill whose order has ended; its number is not known any more, so the broker's name counts."""
    _report_execution(desk, origin, f"{filled.order_id}-{report_id}", filled)


def booked_fees(fees: int, unit: int) -> int:
    """Fees of a fill as they are booked: rounded half-even to a unit, and no more than a column holds."""
    return min(max(rounded(fees, unit), -LARGEST), LARGEST)


def _report_execution(desk: "Desk", origin: Origin, execution_id: str, filled: Filled) -> None:
    """Fees are rounded to the currency's minor unit here."""
    market = desk.market
    desk.context.outbox.executions.append(
        (
            origin.account,
            desk.now,
            execution_id,
            origin.order_id,
            origin.client_order_id,
            origin.parent_order_id,
            origin.symbol,
            origin.side,
            filled.quantity,
            filled.price,
            origin.currency,
            booked_fees(filled.fees, minor_unit(origin.currency)),
            filled.liquidity,
            origin.venue,
            origin.strategy,
            origin.lot_method,
            origin.lots,
            market.bid,
            market.ask,
            origin.correlation_id,
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
