"""The states of an order, and which event leads from which to which. Nothing else changes an order's status.

An order is *accepted* when it has passed all checks, *working* when a venue has it, *partially filled* or
*filled*; or it has ended without being filled whole: *cancelled*, *expired*, *rejected*. What has ended stays so:
answers that were under way come in still, and change nothing.
"""

from collections.abc import Mapping

ACCEPTED = "accepted"
WORKING = "working"
PARTIALLY_FILLED = "partially_filled"
FILLED = "filled"
CANCELLED = "cancelled"
EXPIRED = "expired"
REJECTED = "rejected"
UNKNOWN = "unknown"
"""Status in events that speak of an order which there is not; no order has it."""

STATUSES = (ACCEPTED, WORKING, PARTIALLY_FILLED, FILLED, CANCELLED, EXPIRED, REJECTED)
"""What an order can be."""

ENDED = (FILLED, CANCELLED, EXPIRED, REJECTED)
"""In these nothing is open any more."""

ROUTED = "routed"
TRIGGERED = "triggered"
REPLACED = "replaced"
REPLACE_REJECTED = "replace_rejected"
CANCEL_REJECTED = "cancel_rejected"
REPORT_REJECTED = "report_rejected"

# What is only told, of an order in any state.
_TOLD = (ROUTED, TRIGGERED, REPLACE_REJECTED, CANCEL_REJECTED, REPORT_REJECTED)

_ENDS = {FILLED: FILLED, CANCELLED: CANCELLED, EXPIRED: EXPIRED}

TRANSITIONS: Mapping[str, Mapping[str, str]] = {
    ACCEPTED: {
        **dict.fromkeys((*_TOLD, REPLACED), ACCEPTED),
        ROUTED: WORKING,
        PARTIALLY_FILLED: PARTIALLY_FILLED,
        REJECTED: REJECTED,
        **_ENDS,
    },
    WORKING: {
        **dict.fromkeys((*_TOLD, REPLACED), WORKING),
        PARTIALLY_FILLED: PARTIALLY_FILLED,
        # By the venue, or by the broker behind it.
        REJECTED: REJECTED,
        **_ENDS,
    },
    PARTIALLY_FILLED: {
        **dict.fromkeys((*_TOLD, REPLACED, PARTIALLY_FILLED), PARTIALLY_FILLED),
        **_ENDS,
    },
    # A second order that is asked for under the identifier of one is rejected, and leaves that one as it is.
    **{status: dict.fromkeys(_TOLD, status) for status in ENDED},
}
"""Status to event to the status after it; an event that is not there is illegal in that status."""


class IllegalEventError(ValueError):
    """An event that an order's status does not allow: an error of the program, not of a row."""


def after(status: str, event: str) -> str:
    """The status after an event.

    Raises
    ------
    IllegalEventError
        Naming both, where the table has no such step.
    """
    try:
        return TRANSITIONS[status][event]
    except KeyError:
        raise IllegalEventError(
            f"an order that is {status} cannot be {event}; it can be {', '.join(TRANSITIONS[status])}"
        ) from None
