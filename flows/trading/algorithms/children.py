"""The child orders that an algorithm has open."""

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Child:
    """An open child order: quantity, filled and limit, scaled; whether it is being cancelled."""

    quantity: int
    filled: int
    limit: int | None
    is_ending: bool = False

    @property
    def left(self) -> int:
        """What is open of it."""
        return self.quantity - self.filled

    def saved(self) -> list[Any]:
        """Its state as JSON values; quantities as text, for they may outgrow 64 bits."""
        limit = None if self.limit is None else str(self.limit)
        return [str(self.quantity), str(self.filled), limit, self.is_ending]


def restored(saved: list[Any]) -> Child:
    """What `Child.saved` was asked of."""
    quantity, filled, limit, is_ending = saved
    return Child(int(quantity), int(filled), None if limit is None else int(limit), is_ending)
