"""Why an order is refused."""

from typing import NamedTuple

from flows.orders.money import ONE, divided, text


class Rejection(NamedTuple):
    """Why an order is refused: which check, its limit, the value that broke it, and the same in words.

    Where there is no number or price to name, the limit is what has to be so.
    """

    check: str
    limit: str
    value: str
    reason: str


def over(name: str, limit: int, value: int, what: str, scale: int = ONE) -> Rejection:
    """A value (``scale`` times as fine as the limit, which is scaled) is more than a limit allows."""
    shown = text(divided(value, scale))
    allowed = text(limit)
    return Rejection(name, allowed, shown, f"{what} is {shown}, more than {allowed}")
