"""What becomes of orders: fills and reports of the execution, whatever order they come in, if any fits at all.

Fills and reports are two topics: a report may be read before fills that came before it, or after fills that came
later. So an end waits until as much is filled as its report says; and an order whose larger replacement has not
been answered is not filled before it is. What fits no order is told, and for fills the account's book has it all
the same: a fill is a fact.
"""

from typing import NamedTuple

from flows.orders import exits
from flows.orders.blotter import ACTIVE, Blotter
from flows.orders.money import text
from flows.orders.order import Order
from flows.orders.states import (
    CANCEL_REJECTED,
    CANCELLED,
    EXPIRED,
    FILLED,
    PARTIALLY_FILLED,
    REJECTED,
    REPLACE_REJECTED,
    REPLACED,
    REPORT_REJECTED,
    ROUTED,
    TRIGGERED,
)

_LATE = (ROUTED, TRIGGERED, REPLACE_REJECTED, CANCEL_REJECTED)
"""What may come in after an order has ended, as it was under way."""


class Report(NamedTuple):
    """A row of ``order_reports``; quantities and prices are scaled integers."""

    account: str
    ts_event: int
    symbol: str
    order_id: str
    report: str
    quantity: int
    filled_quantity: int
    limit_price: int | None
    stop_price: int | None
    venue: str | None
    reason: str | None


class Execution(NamedTuple):
    """What the order system needs of a row of ``executions``; numbers are scaled integers."""

    account: str
    ts_event: int
    execution_id: str
    order_id: str
    client_order_id: str
    parent_order_id: str | None
    symbol: str
    side: str
    quantity: int
    price: int
    currency: str
    fees: int
    venue: str
    strategy: str
    correlation_id: str | None


def take_execution(blotter: Blotter, fill: Execution) -> bool:
    """Book a fill and give it to its order; false for one that was told before, which changes nothing."""
    if not blotter.known.is_first(fill.execution_id):
        _told_again(blotter, fill)
        return False
    symbol = blotter.market.symbol(fill.symbol)
    numbers = (fill.quantity, fill.price, fill.fees)
    blotter.account.book_fill(symbol, fill.side, numbers, fill.currency)
    order = blotter.known.orders.get(fill.order_id)
    why = _unfit(order, fill, blotter.known.status(fill.order_id))
    if order is None:
        known = fill._asdict()
        status = blotter.known.status(fill.order_id)
        blotter.tell_of_report(known, REPORT_REJECTED, status, why)
    elif why is not None:
        order.step(REPORT_REJECTED)
        blotter.tell(order, REPORT_REJECTED, fill.execution_id, why)
    else:
        _fill(blotter, order, fill)
    return True


def take_report(blotter: Blotter, report: Report) -> None:
    """Take over what the execution says of an order."""
    order = blotter.known.orders.get(report.order_id)
    if order is None:
        _of_no_order(blotter, report)
    elif not order.is_open:
        _of_ended(blotter, order, report)
    elif order.terms.symbol != report.symbol or order.terms.order_class == "oco":
        _refuse(blotter, order, f"the order is not one that {report.symbol} executes")
    else:
        _take(blotter, order, report)


def _take(blotter: Blotter, order: Order, report: Report) -> None:
    kind = report.report
    if kind in (CANCELLED, EXPIRED, REJECTED):
        _end(blotter, order, report)
        return
    if kind == REPLACED:
        if not report.quantity:
            _refuse(blotter, order, "an order cannot be replaced by nothing")
            return
        _replaced(blotter, order, report)
    elif kind == REPLACE_REJECTED:
        _not_replaced(blotter, order)
    elif kind == CANCEL_REJECTED:
        order.cancelling = False
        exits.stays(blotter, order)
    elif kind == TRIGGERED:
        if not order.stands and order.terms.order_type not in ACTIVE:
            blotter.stand(order)
    elif report.venue is not None:
        order.venue = report.venue
    order.step(kind)
    blotter.tell(order, kind, reason=report.reason)
    if order.is_filled:
        blotter.end(order, FILLED)
        _after_end(blotter, order, FILLED, None)


def _replaced(blotter: Blotter, order: Order, report: Report) -> None:
    terms = order.pending[0] if order.pending else order.terms
    order.pending = order.pending[1:]
    # No less than is filled: more may have been filled before the replacement came. Of an exit the report has what both share.
    quantity = max(report.quantity - order.taken, order.filled)
    order.terms = terms._replace(
        quantity=quantity, limit_price=report.limit_price, stop_price=report.stop_price
    )
    blotter.value(order)
    blotter.recount(order)
    if order.stands:
        blotter.stand(order)
    if order.is_exit:
        exits.fit(blotter, order)


def _not_replaced(blotter: Blotter, order: Order) -> None:
    refused = order.pending[0].quantity if order.pending else None
    order.pending = order.pending[1:]
    blotter.value(order)
    blotter.recount(order)
    if order.is_exit and not order.is_filled:
        # What it closes may have changed since that was asked for.
        exits.fit(blotter, order, refused)


def _end(blotter: Blotter, order: Order, report: Report) -> None:
    if order.ending is not None:
        _refuse(blotter, order, f"the order has been reported {order.ending[0]} already")
    elif report.filled_quantity > order.filled and report.filled_quantity <= order.most:
        order.ending = (report.report, report.filled_quantity, report.reason)
    else:
        _ended(blotter, order, report.report, report.reason)


def _fill(blotter: Blotter, order: Order, fill: Execution) -> None:
    excess = order.fill(fill.quantity, fill.price)
    if excess < fill.quantity:
        if order.is_filled:
            blotter.end(order, FILLED, fill.execution_id)
        else:
            order.step(PARTIALLY_FILLED)
            blotter.recount(order)
            blotter.tell(order, PARTIALLY_FILLED, fill.execution_id)
        if order.is_exit:
            booked = (fill.quantity - excess, fill.price, fill.execution_id)
            exits.after_fill(blotter, order, booked)
        if not order.is_open:
            _after_end(blotter, order, FILLED, None)
        elif order.terms.order_class == "bracket":
            exits.cover(blotter, order)
    if excess:
        why = f"{text(excess)} more were filled than were open"
        order.step(REPORT_REJECTED)
        blotter.tell(order, REPORT_REJECTED, fill.execution_id, why)
    if order.is_open and order.ending is not None and order.filled >= order.ending[1]:
        event, _, reason = order.ending
        _ended(blotter, order, event, reason)


def _ended(blotter: Blotter, order: Order, event: str, reason: str | None) -> None:
    is_refused = exits.is_refused(order, event)
    if is_refused:
        reason = exits.refusal(blotter, order, reason)
    elif order.is_exit and event == CANCELLED:
        reason = reason or exits.why_cancelled(blotter, order)
    if 0 < order.filled >= order.quantity:
        event = FILLED
    elif event == REJECTED and order.filled:
        # A venue may refuse what is left; the order as a whole was not refused.
        event = CANCELLED
    blotter.end(order, event, reason=reason)
    _after_end(blotter, order, event, reason, is_refused=is_refused)


def _after_end(
    blotter: Blotter, order: Order, event: str, reason: str | None, *, is_refused: bool = False
) -> None:
    if is_refused:
        exits.after_refusal(blotter, order, event, reason)
    elif order.is_exit:
        exits.after_end(blotter, order, event, reason)
    elif order.terms.order_class == "bracket":
        exits.cover(blotter, order)


def _told_again(blotter: Blotter, fill: Execution) -> None:
    order = blotter.known.orders.get(fill.order_id)
    why = f"execution {fill.execution_id} was told before: it is booked once"
    if order is None:
        status = blotter.known.status(fill.order_id)
        blotter.tell_of_report(fill._asdict(), REPORT_REJECTED, status, why)
    else:
        order.step(REPORT_REJECTED)
        blotter.tell(order, REPORT_REJECTED, fill.execution_id, why)


def _unfit(order: Order | None, fill: Execution, status: str) -> str | None:
    """Why a fill cannot be that order's."""
    if order is None or not order.is_open:
        return f"filled, but the order is {status}"
    if order.terms.order_class == "oco":
        return "filled, but an OCO is executed by its exits"
    if (fill.symbol, fill.side) != (order.terms.symbol, order.terms.side):
        return f"filled to {fill.side} {fill.symbol}, which was not ordered"
    if not fill.quantity:
        return "filled with nothing"
    return None


def _refuse(blotter: Blotter, order: Order, why: str) -> None:
    order.step(REPORT_REJECTED)
    blotter.tell(order, REPORT_REJECTED, reason=why)


def _of_ended(blotter: Blotter, order: Order, report: Report) -> None:
    if report.report in _LATE:
        order.step(report.report)
        reason = report.reason or f"came when the order was {order.status}"
        blotter.tell(order, report.report, reason=reason)
    else:
        _refuse(blotter, order, f"reported {report.report}, but the order is {order.status}")


def _of_no_order(blotter: Blotter, report: Report) -> None:
    status = blotter.known.status(report.order_id)
    why = f"reported {report.report}, but the order is {status}"
    blotter.tell_of_report(report._asdict(), REPORT_REJECTED, status, report.reason or why)
