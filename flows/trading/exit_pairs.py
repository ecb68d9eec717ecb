"""Exits that share one quantity: of a pair only one is at the market, and together they fill no more than that.

The instruction of an exit has the quantity of both. What one has filled is off what the other may fill, here and at once:
the order system hears of fills later, by as much as it is behind. When a stop is reached, the other exit is taken out of the
market, and the stop is sent once that is done, with what is left: so nothing is filled twice, however slow a venue is to
cancel. Interactive Brokers' one-cancels-all groups call that "cancel with block", and overfill protection. Which exits are
cancelled or grow is for the order system to say (`flows.orders.exits`).
"""

from typing import Any

from flows.trading.triggers import HELD_TYPES
from flows.trading.working import Working
from schemas.order_ids import other_exit


class ExitPairs:
    """The exits of one symbol.

    Parameters
    ----------
    orders : dict of str to Working
        The symbol's, by identifier.
    """

    def __init__(self, orders: dict[str, Working]) -> None:
        self._orders = orders
        # By identifier of an exit that is open, or still to come: what the other had filled when it ended.
        self._ended: dict[str, int] = {}

    def open_other(self, working: Working) -> Working | None:
        """The other exit, while it is worked; None of what is no exit."""
        other = other_exit(working.order.order_id, working.parent_order_id)
        return None if other is None else self._orders.get(other)

    def filled_by_other(self, working: Working) -> int:
        """What the other exit has filled; 0 of what is no exit."""
        other = self.open_other(working)
        return self._ended.get(working.order.order_id, 0) if other is None else other.filled

    def has_room(self, working: Working) -> bool:
        """Whether the other exit has left anything to be filled."""
        return working.order.quantity > self.filled_by_other(working)

    def waits(self, working: Working) -> bool:
        """Whether an exit's stop is reached, and it is not sent yet."""
        return (
            working.trigger in HELD_TYPES
            and working.order.order_type not in HELD_TYPES
            and not working.legs
            and working.ending is None
        )

    def other_waits(self, working: Working) -> Working | None:
        """The other exit, if it is sent when this one is out of the market."""
        other = self.open_other(working)
        return other if other is not None and self.waits(other) else None

    def ended(self, working: Working) -> None:
        """An order has ended, or was refused: the other exit has what it left."""
        order_id = working.order.order_id
        other = other_exit(order_id, working.parent_order_id)
        if other is not None and self._ended.pop(order_id, None) is None:
            self._ended[other] = working.filled

    def saved(self) -> Any:
        """As JSON values."""
        return self._ended

    def restore(self, saved: Any) -> None:
        """Take over what `saved` gave; None of before there were pairs, when an exit had only what the other one left."""
        if saved is not None:
            self._ended = saved
            return
        for working in self._orders.values():
            if working.held:
                working.order.quantity += self.filled_by_other(working)
