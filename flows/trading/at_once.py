"""Instructions by column: plain orders that find all they want displayed at the paper market are filled at once.

The outcome is that of a desk that takes them one by one, to the byte; only there is nothing to work on, so that none
of what a desk keeps of a working order is made. All other rows are left to the desks, in their order.
"""

from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa

from flows.kernels.whole_fills import take_whole
from flows.trading.agenda import Agenda
from flows.trading.context import Context
from flows.trading.fill_columns import Filled, executions, routed
from flows.trading.interfaces import CONSOLIDATED
from flows.trading.outbox import Block
from flows.trading.plain_orders import PlainOrders
from schemas.arrays import Bools, Int64s
from schemas.orders import EXECUTIONS, ORDER_REPORTS

if TYPE_CHECKING:
    from flows.trading.desk import Desk
    from flows.trading.paper import PaperVenue

# Levels of a side that are looked at; an order that needs more is left to the desk.
_LEVELS = 16

_SIDES = ("buy", "sell")

_INT64_MAX = np.iinfo(np.int64).max


class AtOnce:
    """Fills the plain orders of a batch of instructions.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Rows of ``instructions``; n of them.
    orders : PlainOrders
        Which of them are plain.
    desks : sequence of Desk
        Of each symbol of the batch; they are told of the market.
    of_row : numpy.ndarray of int64, shape (n,)
        Place of each row's desk among them.
    context : Context
        What all desks share.
    """

    def __init__(
        self,
        batch: pa.RecordBatch,
        orders: PlainOrders,
        *,
        desks: Sequence["Desk"],
        of_row: Int64s,
        context: Context,
    ) -> None:
        self._batch = batch
        self._orders = orders
        self._desks = desks
        self._of_row = of_row
        self._context = context
        self._ids: list[str] = batch.column("order_id").to_pylist()
        self._has_orders = np.array([bool(desk.orders) for desk in desks], np.bool_)
        plain = self._known_nowhere()
        self._groups = np.where(plain, 2 * of_row + orders.sales, -1)
        self._is_filled = np.zeros(len(of_row), np.bool_)
        self._remembered = 0
        room = len(of_row) + 2 * (len(desks) + 1) * _LEVELS
        self._fill_rows: Int64s = np.empty(room, np.int64)
        self._fills: Int64s = np.empty((room, 2), np.int64)
        self._made = 0
        # Rows and fills of each run without a row between them that was left to a desk, and how many rows of the
        # outbox went before.
        self._runs: list[tuple[int, int, int, int]] = []
        self._make_levels()

    def fill(self, first: int) -> int:
        """Fill orders from a row on; the row that is to be left to its desk, n if there is none."""
        context = self._context
        if context.working >= context.max_orders:
            return first
        row, made = take_whole(
            first,
            self._groups,
            self._orders.quantities,
            self._orders.limits,
            self._counts,
            self._begins,
            self._prices,
            self._left,
            self._taken,
            self._filled,
            self._made,
            self._fill_rows,
            self._fills,
        )
        if row > first:
            self._is_filled[first:row] = True
            outbox = context.outbox
            self._runs.append(
                (row - first, made - self._made, len(outbox.order_reports), len(outbox.executions))
            )
            self._made = made
            self._note_expiries(first, row)
        return row

    def leave(self, row: int) -> None:
        """A row is left to its desk: bring that, and what is remembered of ended orders, up to date."""
        self._settle(int(self._of_row[row]))
        self._remember(row)

    def renew(self, row: int) -> None:
        """The desk has taken the row: read how its market stands now."""
        number = int(self._of_row[row])
        self._has_orders[number] = bool(self._desks[number].orders)
        self._read(number)

    def finish(self) -> None:
        """All rows are taken: bring everything up to date, and hand the rows over that this makes."""
        rows = np.flatnonzero(self._is_filled)
        if not len(rows):
            return
        newest = np.zeros(len(self._desks), np.int64)
        np.maximum.at(newest, self._of_row[rows], self._orders.times[rows])
        for number, desk in enumerate(self._desks):
            self._settle(number)
            desk.fallback_ns = max(desk.fallback_ns, int(newest[number]))
        self._remember(len(self._of_row))
        counts = np.array(self._runs, np.int64)
        filled = Filled(
            self._batch,
            self._desks,
            self._of_row,
            rows,
            self._fill_rows[: self._made],
            self._fills[: self._made],
        )
        blocks = self._context.outbox.blocks
        blocks[ORDER_REPORTS.name] = Block(
            routed(filled, self._orders.limited), np.repeat(counts[:, 2], counts[:, 0])
        )
        blocks[EXECUTIONS.name] = Block(executions(filled), np.repeat(counts[:, 3], counts[:, 1]))

    def _known_nowhere(self) -> Bools:
        """Plain orders whose identifier is new: of others the desk has to be asked."""
        ids = self._ids
        plain: Bools = self._orders.plain.copy()
        ended = self._context.ended
        if len(set(ids)) < len(ids):
            seen: dict[str, int] = {}
            for row, order_id in enumerate(ids):
                other = seen.setdefault(order_id, row)
                if other != row:
                    plain[[row, other]] = False
        if not ended.keys().isdisjoint(ids):
            plain &= np.array([order_id not in ended for order_id in ids], np.bool_)
        for row in np.flatnonzero(plain & self._has_orders[self._of_row]).tolist():
            plain[row] = ids[row] not in self._desks[self._of_row[row]].orders
        return plain

    def _make_levels(self) -> None:
        groups = 2 * len(self._desks)
        self._counts = np.zeros(groups, np.int64)
        self._begins = np.zeros(groups, np.int64)
        self._filled = np.zeros(groups, np.int64)
        self._prices, self._left, self._taken = np.zeros((3, groups, _LEVELS), np.int64)
        self._venues: list[list[str]] = [[] for _ in range(groups)]
        self._used = set(np.unique(self._groups).tolist())
        for number in range(len(self._desks)):
            self._read(number)

    def _read(self, number: int) -> None:
        """What is displayed to a symbol's orders now; nothing where they are to be left to the desk."""
        desk = self._desks[number]
        market = desk.market
        can = desk.has_time and market.is_tradable
        can = can and max(market.bid or 0, market.ask or 0) <= _INT64_MAX
        for side, name in enumerate(_SIDES):
            group = 2 * number + side
            self._counts[group] = self._begins[group] = 0
            if not can or group not in self._used:
                continue
            venues = self._venues[group] = []
            for price, size, venue in islice(market.levels(name), _LEVELS):
                if price > _INT64_MAX or size > _INT64_MAX:
                    break
                at = len(venues)
                self._prices[group, at], self._left[group, at] = price, size
                venues.append(venue)
            self._counts[group] = len(venues)

    def _settle(self, number: int) -> None:
        """Tell a desk what was filled for it."""
        desk = self._desks[number]
        for side, name in enumerate(_SIDES):
            group = 2 * number + side
            count = int(self._filled[group])
            if not count:
                continue
            self._filled[group] = 0
            # What has this name is no broker's and has no model: it is a paper venue.
            venue = cast("PaperVenue", desk.dispatch.venue(CONSOLIDATED))
            venue.passed(count)
            for at in np.flatnonzero(self._taken[group]).tolist():
                quantity = int(self._taken[group, at])
                desk.market.take(
                    name, int(self._prices[group, at]), self._venues[group][at], quantity
                )
            self._taken[group] = 0
            if not desk.orders:
                desk.agenda = Agenda()

    def _note_expiries(self, first: int, end: int) -> None:
        """What a desk noted of an order stands until its time, or until the desk has no orders."""
        noted = self._orders.expiring[first:end] & self._has_orders[self._of_row[first:end]]
        for row in (first + np.flatnonzero(noted)).tolist():
            desk = self._desks[self._of_row[row]]
            close = desk.market.hours.session(desk.market.now)[1]
            desk.agenda.note(close, "expire", self._ids[row])

    def _remember(self, end: int) -> None:
        """Keep how far the numbers of orders up to a row went."""
        first, self._remembered = self._remembered, end
        rows = first + np.flatnonzero(self._is_filled[first:end])
        if not len(rows):
            return
        of_row = self._fill_rows[: self._made]
        begin = int(np.searchsorted(of_row, first))
        counts = np.bincount(of_row[begin:] - first, minlength=end - first)[rows - first]
        quantities = self._orders.quantities[rows]
        self._context.remember_all(
            zip(
                [self._ids[row] for row in rows.tolist()],
                counts.tolist(),
                quantities.tolist(),
                strict=True,
            )
        )
