"""Lots of one position: what was bought or sold short when and for how much, and which of it a closing takes.

Quantities, costs and proceeds are scaled integers (`flows.orders.money`) and signed: of a long lot the quantity and
the cost are above zero; of a short one below, where the cost is what the sale brought. So value less cost is
the profit of either. All lots of a position are of one side.

What a part of a lot cost, and what a part of a fill brought, is rounded half-even to the currency's minor unit, and
the rest keeps the difference: no cent is lost or made, however often a lot is cut.
"""

from bisect import insort
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from flows.orders.money import ONE, divided, share

FIFO, LIFO, HIGHEST_COST, SPECIFIC = "fifo", "lifo", "highest_cost", "specific"


class Lot:
    """What is left of a fill that opened a position.

    Parameters
    ----------
    lot_id : str
        Execution that opened it.
    ts_opened : int
        When, ns since 1970 UTC.
    quantity, cost : int
        Signed; the quantity is not zero.
    """

    __slots__ = ("cost", "lot_id", "quantity", "ts_opened")

    def __init__(self, lot_id: str, ts_opened: int, quantity: int, cost: int) -> None:
        self.lot_id = lot_id
        self.ts_opened = ts_opened
        self.quantity = quantity
        self.cost = cost


class Closing(NamedTuple):
    """A lot, or a part of one, that was closed; ``method`` says how it was chosen."""

    lot_id: str
    ts_opened: int
    quantity: int
    cost: int
    proceeds: int
    method: str


class Lots:
    """The open lots of a position, the oldest first.

    Parameters
    ----------
    unit : int
        The currency's minor unit, scaled.
    """

    __slots__ = ("cost", "open", "quantity", "unit")

    def __init__(self, unit: int) -> None:
        self.unit = unit
        self.open: list[Lot] = []
        self.quantity = 0
        self.cost = 0

    def add(self, lot: Lot) -> None:
        """Take an open lot of the position's side in, in its place by the time at which it was opened."""
        if self.open and lot.ts_opened < self.open[-1].ts_opened:
            insort(self.open, lot, key=_opened)
        else:
            self.open.append(lot)
        self.quantity += lot.quantity
        self.cost += lot.cost

    def fill(
        self, lot: Lot, method: str = FIFO, named: Sequence[str] = ()
    ) -> tuple[list[Closing], list[str]]:
        """Take a fill in: close lots of the other side, and open a lot with what is left.

        Parameters
        ----------
        lot : Lot
            The fill as if it opened a lot: of a buy quantity and cost are above zero, of a sale below.
        method : str
            Which lots it closes. Highest cost takes first what brings the least profit: the dearest long lot, the
            short one sold cheapest.
        named : sequence of str
            With method specific: identifiers of lots, in order; then the oldest.

        Returns
        -------
        tuple
            What was closed; and names that no open lot has.
        """
        if not self.open or (self.quantity > 0) == (lot.quantity > 0):
            self.add(lot)
            return [], []
        closed: list[Closing] = []
        chosen, unknown = self._chosen(method, named)
        left, amount = abs(lot.quantity), lot.cost
        for one, how in chosen:
            held = abs(one.quantity)
            taken = min(left, held)
            proceeds = -share(amount, taken, left, self.unit)
            cost = share(one.cost, taken, held, self.unit)
            signed = taken if one.quantity > 0 else -taken
            closed.append(Closing(one.lot_id, one.ts_opened, signed, cost, proceeds, how))
            one.quantity -= signed
            one.cost -= cost
            self.quantity -= signed
            self.cost -= cost
            left -= taken
            amount += proceeds
            if not left:
                break
        self._drop_closed(method)
        if left:
            self.add(Lot(lot.lot_id, lot.ts_opened, left if lot.quantity > 0 else -left, amount))
        return closed, unknown

    def scale(self, numerator: int, denominator: int) -> bool:
        """Make ``numerator`` of every ``denominator``, at the same cost; false where nothing would be left.

        The sum of the lots is the sum before times the ratio, rounded half-even at ten decimals.
        """
        if not divided(self.quantity * numerator, denominator):
            return not self.open
        parts = _parts([lot.quantity for lot in self.open], numerator, denominator, 1)
        kept: list[Lot] = []
        carried = 0
        for lot, quantity in zip(self.open, parts, strict=True):
            lot.quantity = quantity
            lot.cost += carried
            carried = 0 if quantity else lot.cost
            if quantity:
                kept.append(lot)
        kept[-1].cost += carried
        self.open = kept
        self.quantity = sum(parts)
        return True

    def spun_off(self, numerator: int, denominator: int, cost_share: int) -> list[Lot]:
        """Lots of what is spun off: ``numerator`` new for every ``denominator`` held, with a share of the cost.

        Parameters
        ----------
        numerator, denominator : int
            Of one scale.
        cost_share : int
            Scaled, 0 to 1.

        Returns
        -------
        list of Lot
            Opened when the lots were that they are from. None where less than the smallest quantity would come;
            then no cost goes either.
        """
        if not divided(self.quantity * numerator, denominator):
            return []
        quantities = _parts([lot.quantity for lot in self.open], numerator, denominator, 1)
        costs = _parts([lot.cost for lot in self.open], cost_share, ONE, self.unit)
        made: list[Lot] = []
        carried = 0
        for lot, quantity, cost in zip(self.open, quantities, costs, strict=True):
            lot.cost -= cost
            self.cost -= cost
            if quantity:
                made.append(Lot(lot.lot_id, lot.ts_opened, quantity, cost + carried))
                carried = 0
            else:
                carried += cost
        made[-1].cost += carried
        return made

    def taken_out(self) -> list[Lot]:
        """All open lots; none are left."""
        lots, self.open = self.open, []
        self.quantity = self.cost = 0
        return lots

    def join_oldest(self) -> tuple[str, str]:
        """Make one lot of the two oldest, with the older's name and time; both names."""
        oldest, second = self.open[:2]
        oldest.quantity += second.quantity
        oldest.cost += second.cost
        del self.open[1]
        return oldest.lot_id, second.lot_id

    def _chosen(
        self, method: str, named: Sequence[str]
    ) -> tuple[Iterable[tuple[Lot, str]], list[str]]:
        if method == LIFO:
            return [(lot, LIFO) for lot in reversed(self.open)], []
        if method == HIGHEST_COST:
            return [(lot, method) for lot in sorted(self.open, key=_cost_of_one, reverse=True)], []
        if method != SPECIFIC:
            return ((lot, FIFO) for lot in self.open), []
        chosen: list[tuple[Lot, str]] = []
        unknown: list[str] = []
        # Lots of a spin-off may share a name; of those the oldest come first.
        left = list(self.open)
        for name in dict.fromkeys(named):
            mine = [lot for lot in left if lot.lot_id == name]
            left = [lot for lot in left if lot.lot_id != name]
            chosen += [(lot, SPECIFIC) for lot in mine]
            unknown += [] if mine else [name]
        return [*chosen, *((lot, FIFO) for lot in left)], unknown

    def _drop_closed(self, method: str) -> None:
        if method in (LIFO, HIGHEST_COST, SPECIFIC):
            self.open = [lot for lot in self.open if lot.quantity]
            return
        closed = 0
        while closed < len(self.open) and not self.open[closed].quantity:
            closed += 1
        del self.open[:closed]


def _opened(lot: Lot) -> int:
    return lot.ts_opened


def _cost_of_one(lot: Lot) -> int:
    # Twenty decimals: prices have ten, so that only lots of one price are equal. Of a short lot it is below zero.
    return lot.cost * ONE * ONE // abs(lot.quantity)


def _parts(values: Sequence[int], numerator: int, denominator: int, unit: int) -> list[int]:
    """Each value times a ratio, rounded so that the sum is the rounded product of the sum."""
    parts = []
    total = told = 0
    for value in values:
        total += value
        now = divided(total * numerator, denominator * unit) * unit
        parts.append(now - told)
        told = now
    return parts
