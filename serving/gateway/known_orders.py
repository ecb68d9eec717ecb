"""Which orders the log has already, by identifier: so that a retry gets the first one's answer.

Bounded: of what is older than the newest some hundred thousand orders, a repeated command is taken again, and the
order system, for which the first one counts, does nothing with it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

_OFFSET_SHIFT = 16
_PARTITION_SHIFT = 64
_ROW_MASK = (1 << _OFFSET_SHIFT) - 1


class Place(NamedTuple):
    """Where a row is in the log."""

    partition: int
    offset: int
    row: int


class KnownOrders:
    """Identifier of an order to the place of the command that made it.

    Parameters
    ----------
    size_max : int
        At least half as many, and at most so many, of the newest are known.
    """

    def __init__(self, size_max: int = 1_000_000) -> None:
        self._half = max(1, size_max // 2)
        # Two generations: forgetting the older one as a whole costs nothing an order.
        self._newer: dict[str, int] = {}
        self._older: dict[str, int] = {}

    def add(
        self, makes: Mapping[str, int], partition: int, offset: int, *, are_new: bool = False
    ) -> None:
        """Take orders in: identifier to row of the record; the first place of an identifier counts.

        With ``are_new``, `has_none` has just said so.
        """
        base = packed(partition, offset, 0)
        if len(self._newer) + len(makes) > self._half:
            self._older, self._newer = self._newer, {}
        if are_new or self.has_none(makes):
            self._newer.update(zip(makes, [base + row for row in makes.values()], strict=True))
            return
        for order_id, row in makes.items():
            if order_id not in self._older:
                self._newer.setdefault(order_id, base + row)

    def has_none(self, order_ids: Collection[str]) -> bool:
        """Whether none of the orders is known."""
        return self._newer.keys().isdisjoint(order_ids) and self._older.keys().isdisjoint(order_ids)

    def find(self, order_id: str) -> int | None:
        """Packed place (see `unpacked`) of an order's first command, or None."""
        place = self._newer.get(order_id)
        return self._older.get(order_id) if place is None else place

    def __len__(self) -> int:
        return len(self._newer) + len(self._older)


def packed(partition: int, offset: int, row: int) -> int:
    """A place as one integer; a record has at most 65,536 rows."""
    return partition << _PARTITION_SHIFT | offset << _OFFSET_SHIFT | row


def unpacked(place: int) -> Place:
    """The place that an integer stands for."""
    return Place(
        place >> _PARTITION_SHIFT,
        place >> _OFFSET_SHIFT & ((1 << (_PARTITION_SHIFT - _OFFSET_SHIFT)) - 1),
        place & _ROW_MASK,
    )


def positions_text(places: Sequence[int]) -> list[str]:
    """Packed places as clients see them, such as ``0:1200.3``; rows of one record share the words in front."""
    found = []
    record, front = -1, ""
    for place in places:
        if place >> _OFFSET_SHIFT != record:
            record = place >> _OFFSET_SHIFT
            at = unpacked(place)
            front = f"{at.partition}:{at.offset}."
        found.append(f"{front}{place & _ROW_MASK}")
    return found
