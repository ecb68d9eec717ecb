"""What a broker's reports do here: also those of fills that nobody asked for, as what a broker has filled is real.

A fill of more than was open, and one of a part that had ended, is an execution like any other: the order system tells
it as `report_rejected`, and books hold it. What else its order has open is cancelled then. The row is told as one that did
not fit, and was used.
"""

from typing import TYPE_CHECKING, NamedTuple

from flows.trading.inputs import BrokerReport
from flows.trading.interfaces import Filled, Told
from flows.trading.reporting import report_execution, report_late_execution
from flows.trading.symbol_market import LARGEST
from flows.trading.working import Slice, Working

if TYPE_CHECKING:
    from flows.trading.desk import Desk


class Misfit(NamedTuple):
    """How a report does not fit: in a fixed sentence, and whether what it tells was booked all the same."""

    reason: str
    used: bool


UNKNOWN = Misfit("the broker has no such order open here", used=False)
UNKNOWN_FILL = Misfit(
    "the broker has filled what is not known here (any more): it is booked nowhere", used=False
)
UNREADABLE = Misfit(
    "a fill needs a quantity, and a price, that are below 10 trillion: it is booked nowhere",
    used=False,
)
EXCESS = Misfit(
    "the broker has filled more than was open: all of it is booked, and the rest of the order cancelled",
    used=True,
)
AFTER_END = Misfit(
    "the broker has filled what it had said to be at an end: it is booked, and the rest of the order cancelled",
    used=True,
)
TAKEN_BACK = Misfit(
    "the broker has busted or corrected a fill that it had told: what is booked stays, and is to be put right by hand",
    used=False,
)

_TAKEN_BACK = ("fill_busted", "fill_corrected")
_WHY = "its broker has filled more than was open there"


def take_report(desk: "Desk", report: BrokerReport) -> Misfit | None:
    """Give a desk a broker's report; how it does not fit, None where it does or was told before."""
    if report.report in _TAKEN_BACK:
        return _taken_back(desk, report)
    found = desk.dispatch.open_part(report.broker_order_id)
    if found is None:
        return _after_end(desk, report)
    working, _, one = found
    if one.venue != report.venue:
        return unknown(report)
    if report.report_id in one.seen:
        return None
    if report.report == "filled":
        return _fill(desk, report, working, one)
    one.seen.append(report.report_id)
    desk.dispatch.take([Told(report.broker_order_id, report.report, report.reason)])
    return None


def unknown(report: BrokerReport) -> Misfit:
    """How a report of an unknown order does not fit."""
    if report.report in _TAKEN_BACK:
        return TAKEN_BACK
    return UNKNOWN_FILL if report.report == "filled" else UNKNOWN


def _taken_back(desk: "Desk", report: BrokerReport) -> Misfit | None:
    found = desk.dispatch.open_part(report.broker_order_id)
    part = desk.context.past_parts.get(report.broker_order_id) if found is None else found[2]
    if part is not None and report.report_id in part.seen:
        return None
    if part is not None:
        part.seen.append(report.report_id)
    return TAKEN_BACK


def _fill(desk: "Desk", report: BrokerReport, working: Working, one: Slice) -> Misfit | None:
    filled = _filled(report)
    if filled is None:
        return UNREADABLE
    one.seen.append(report.report_id)
    if one.wanted is not None and one.left < filled.quantity <= one.wanted - one.filled:
        # Its word of the replacement is behind this fill, which no earlier terms allow.
        desk.dispatch.take([Told(report.broker_order_id, "replaced", None)])
    is_excess = filled.quantity > one.left
    desk.dispatch.take([filled])
    if not is_excess:
        return None
    _stop(desk, working)
    return EXCESS


def _after_end(desk: "Desk", report: BrokerReport) -> Misfit | None:
    part = desk.context.past_parts.get(report.broker_order_id)
    if part is None or (part.origin.venue, part.origin.symbol) != (
        report.venue,
        report.symbol,
    ):
        return unknown(report)
    origin = part.origin
    if report.report_id in part.seen:
        return None
    if report.report != "filled":
        return UNKNOWN
    filled = _filled(report)
    if filled is None:
        return UNREADABLE
    part.seen.append(report.report_id)
    working = desk.orders.get(origin.order_id)
    if working is None or working.sequence != origin.sequence:
        report_late_execution(desk, origin, report.report_id, filled)
        return AFTER_END
    working.filled += filled.quantity
    working.notional += filled.quantity * filled.price
    working.executions += 1
    report_execution(desk, working, origin.venue, filled)
    _stop(desk, working)
    return AFTER_END


def _stop(desk: "Desk", working: Working) -> None:
    """Nothing more is wanted of an order that has more than was asked of one of its parts."""
    if desk.orders.get(working.order.order_id) is working and working.ending is None:
        desk.stop(working, "cancelled", _WHY)


def _filled(report: BrokerReport) -> Filled | None:
    quantity, price = report.quantity, report.price
    if quantity is None or price is None or max(quantity, abs(price)) >= LARGEST:
        return None
    return Filled(report.broker_order_id, quantity, price, "removed", report.fees or 0)
