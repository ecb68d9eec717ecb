"""Orders that were sent by column: what is kept of a batch of them while their parts are on the way to venues."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from flows.columns import dictionary_codes
from flows.orders.money import minor_unit
from flows.trading.inputs import Instructions
from flows.trading.paper import PaperVenue
from flows.trading.plain_orders import PlainOrders
from flows.trading.working import Leg, Slice

if TYPE_CHECKING:
    from flows.trading.desk import Desk


class SentOrders:
    """Orders of one batch of instructions, each of which was sent whole, in parts that are to be filled at once.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Rows of ``instructions``; n of them, by which the orders are named here.
    rows : Instructions
        The same, as desks take them.
    orders : PlainOrders
        Their terms.
    ids : list of str
        Their identifiers.
    of_row : sequence of int
        Place of each row's desk.
    desks : sequence of Desk
        The desks.

    Attributes
    ----------
    count : int
        Orders that have parts on their way.
    open_parts, executions, filled, notional : list of int
        By row: its parts on their way, its fills, their size, and their size times price; scaled.
    units : list of int
        By row: minor unit of the order's currency.
    rows_of, quantities, arrivals : list of int
        By part: its order's row, size (scaled), and when it arrives (ns since 1970 UTC, market time).
    venues : list of PaperVenue
        By part: where it goes.
    is_open : list of bool
        By part: whether it is on its way.
    """

    def __init__(
        self,
        batch: pa.RecordBatch,
        rows: Instructions,
        orders: PlainOrders,
        *,
        ids: list[str],
        of_row: Sequence[int],
        desks: Sequence["Desk"],
    ) -> None:
        count = batch.num_rows
        self.batch = batch
        self.ids = ids
        self.totals: list[int] = orders.quantities.tolist()
        self.limits: list[int | None] = [
            limit if limited else None
            for limit, limited in zip(orders.limits.tolist(), orders.limited.tolist(), strict=True)
        ]
        self.is_buy: list[bool] = (~orders.sales).tolist()
        self.units = _units(batch.column("currency"))
        self.count = 0
        self.open_parts = [0] * count
        self.executions = [0] * count
        self.filled = [0] * count
        self.notional = [0] * count
        self.rows_of: list[int] = []
        self.quantities: list[int] = []
        self.arrivals: list[int] = []
        self.venues: list[PaperVenue] = []
        self.is_open: list[bool] = []
        self._rows = rows
        self._of_row = of_row
        self._desks = desks
        # By row: its first part and how many it has, when it was sent and when it expires, and the first of its notes'
        # numbers. Not one tuple a row: the collector of garbage would look at all of them again and again.
        self._first = [0] * count
        self._parts = [0] * count
        self._now = [0] * count
        self._expires_at: list[int | None] = [None] * count
        self._number = [0] * count
        self._row_of: dict[str, int] = {}

    def row_of(self, order_id: str) -> int:
        """The row of an order."""
        if not self._row_of:
            self._row_of = {
                order_id: row for row, order_id in enumerate(self.ids) if self._parts[row]
            }
        return self._row_of[order_id]

    def desk_of(self, row: int) -> "Desk":
        """Whose order it is."""
        return self._desks[self._of_row[row]]

    def decisions(self, row: int) -> int:
        """How many parts an order was sent in."""
        return self._parts[row]

    def add(
        self,
        row: int,
        parts: Sequence[tuple[int, PaperVenue]],
        *,
        now: int,
        expires_at: int | None,
        number: int,
    ) -> None:
        """An order was sent in parts of some size to venues; ``number`` is the first of its notes' numbers."""
        self._first[row], self._parts[row] = len(self.rows_of), len(parts)
        self._now[row], self._expires_at[row], self._number[row] = now, expires_at, number
        self.open_parts[row] = len(parts)
        self.count += 1
        for quantity, venue in parts:
            self.rows_of.append(row)
            self.quantities.append(quantity)
            self.arrivals.append(now + venue.latency_ns)
            self.venues.append(venue)
            self.is_open.append(True)

    def add_whole(
        self,
        first: int,
        venues: list[PaperVenue],
        *,
        now: list[int],
        expires_at: list[int | None],
        numbers: list[int],
    ) -> None:
        """Orders from a row on were sent in one part each; by order as `add` has it."""
        count = len(venues)
        rows = range(first, first + count)
        of = slice(first, first + count)
        self._first[of] = range(len(self.rows_of), len(self.rows_of) + count)
        self._parts[of] = [1] * count
        self._now[of], self._expires_at[of], self._number[of] = now, expires_at, numbers
        self.open_parts[of] = [1] * count
        self.count += count
        self.rows_of += rows
        self.quantities += self.totals[of]
        self.arrivals += [at + venue.latency_ns for at, venue in zip(now, venues, strict=True)]
        self.venues += venues
        self.is_open += [True] * count

    def arrived(self, part: int, executions: int, notional: int) -> bool:
        """A part was filled, at a size times price, with which its order has so many fills; whether that has ended."""
        row = self.rows_of[part]
        self.executions[row] = executions
        self.filled[row] += self.quantities[part]
        self.notional[row] += notional
        self.is_open[part] = False
        self.open_parts[row] -= 1
        if self.open_parts[row]:
            return False
        self.count -= 1
        return True

    def give_back(self, row: int) -> None:
        """An order goes to its desk with all that was noted of it, as if that had worked it from the start."""
        first, count, number = self._first[row], self._parts[row], self._number[row]
        now, expires_at = self._now[row], self._expires_at[row]
        desk = self.desk_of(row)
        _, working = self._rows.at(row)
        order = working.order
        working.ts_begin = now
        working.reports = 1
        working.executions, working.filled = self.executions[row], self.filled[row]
        working.notional = self.notional[row]
        working.decisions = working.slices_made = count
        working.expires_at = expires_at
        if expires_at is not None:
            desk.agenda.note_as(number, expires_at, "expire", order.order_id)
            number += 1
        leg = working.legs[0] = Leg(0, order, filled=working.filled, sweeps=1)
        for at in range(count):
            part = first + at
            if not self.is_open[part]:
                continue
            self.is_open[part] = False
            name = working.slice_id(at + 1)
            one = Slice(name, self.venues[part].name, self.quantities[part], immediate=True)
            desk.dispatch.adopt(working, leg, one)
            desk.agenda.note_as(number + at, self.arrivals[part], "send", name)
        self.open_parts[row] = 0
        self.count -= 1
        desk.orders[order.order_id] = working

    def all_given_back(self) -> None:
        """All orders that are still on their way go to their desks."""
        for row in [row for row, parts in enumerate(self.open_parts) if parts]:
            self.desk_of(row).in_flight.give_back(self, row)


def _units(currencies: pa.DictionaryArray) -> list[int]:
    units = [minor_unit(one) for one in currencies.dictionary.to_pylist()]
    return [units[code] for code in dictionary_codes(currencies).tolist()]
