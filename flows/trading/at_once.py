"""Instructions by column: plain orders that find all they want displayed at the paper market are filled at once.

The outcome is that of a desk that takes them one by one, to the byte; only there is nothing to work on, so that none
of what a desk keeps of a working order is made. Orders between them that go to other venues are sent there by column
(`flows.trading.sending`). All other rows are left to the desks, in their order.
"""

from collections.abc import Sequence
from itertools import islice, repeat
from typing import TYPE_CHECKING, cast

import numpy as np
import pyarrow as pa

from flows.kernels.whole_fills import take_whole
from flows.trading.agenda import Agenda
from flows.trading.blocks import Block
from flows.trading.context import Context
from flows.trading.fill_columns import Filled, decisions, executions, routed
from flows.trading.inputs import Instructions
from flows.trading.interfaces import CONSOLIDATED
from flows.trading.plain_orders import PlainOrders
from flows.trading.sending import Sender
from flows.trading.sent_orders import SentOrders
from schemas.arrays import Bools, Int64s
from schemas.execution import ROUTING_DECISIONS
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
    instructions : Instructions
        The same, as desks take them.
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
        instructions: Instructions,
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
        self._has_orders = np.array([desk.has_orders for desk in desks], np.bool_)
        unknown = self._known_nowhere(orders.plain | orders.routed)
        groups = 2 * of_row + orders.sales
        self._groups = np.where(orders.plain & unknown, groups, -1)
        is_sent = orders.routed & unknown
        # It has each order in numbers of Python: a fourth of what a batch takes that has none to be sent.
        self._sender: Sender | None = None
        if is_sent.any():
            sent = SentOrders(
                batch, instructions, orders, ids=self._ids, of_row=of_row.tolist(), desks=desks
            )
            self._sender = Sender(
                sent,
                is_sent,
                orders,
                groups=groups,
                desks=desks,
                context=context,
            )
        self._is_filled = np.zeros(len(of_row), np.bool_)
        self._remembered = 0
        room = len(of_row) + 2 * (len(desks) + 1) * _LEVELS
        self._fill_rows: Int64s = np.empty(room, np.int64)
        self._fills: Int64s = np.empty((room, 2), np.int64)
        self._made = 0
        # How many rows of the outbox go before each row's report; of each run of fills, or of decisions, how many they
        # are, and the same of those.
        self._before = np.zeros(len(of_row), np.int64)
        self._fill_runs: list[tuple[int, int]] = []
        self._decision_runs: list[tuple[int, int]] = []
        self._make_levels()

    def take(self, first: int) -> int:
        """Take orders from a row on; the row that is to be left to its desk, n if there is none."""
        row, before = first, -1
        while before < row:
            before, row = row, self._send(self._fill(row))
        return row

    def leave(self, row: int) -> None:
        """A row is left to its desk: bring that, and what is remembered of ended orders, up to date."""
        self._settle(int(self._of_row[row]))
        self._remember(row)

    def renew(self, row: int) -> None:
        """The desk has taken the row: read how its market stands now."""
        number = int(self._of_row[row])
        self._has_orders[number] = self._desks[number].has_orders
        self._forget(number)
        self._read(number)

    def finish(self) -> None:
        """All rows are taken: bring everything up to date, and hand the rows over that this makes."""
        rows = np.flatnonzero(self._is_filled)
        venues = pa.repeat(CONSOLIDATED, len(rows))
        if self._sender is not None:
            rows, venues = self._with_sent(rows, self._sender)
        if not len(rows):
            return
        newest = np.zeros(len(self._desks), np.int64)
        np.maximum.at(newest, self._of_row[rows], self._orders.times[rows])
        for number, desk in enumerate(self._desks):
            self._settle(number)
            desk.fallback_ns = max(desk.fallback_ns, int(newest[number]))
        self._remember(len(self._of_row))
        filled = Filled(
            self._batch,
            self._desks,
            self._of_row,
            self._fill_rows[: self._made],
            self._fills[: self._made],
        )
        reports = routed(filled, rows, self._orders.limited, venues)
        blocks = self._context.outbox.blocks
        blocks[ORDER_REPORTS.name] = Block(reports, self._before[rows])
        if self._made:
            blocks[EXECUTIONS.name] = Block(executions(filled), _spread(self._fill_runs))
        if self._sender is not None and self._sender.rows:
            self._context.keep_sent(self._sender.sent)
            parts = np.array(self._sender.rows, np.int64)
            blocks[ROUTING_DECISIONS.name] = Block(
                decisions(filled, parts, self._sender.decisions()), _spread(self._decision_runs)
            )

    def _with_sent(self, filled: Int64s, sender: Sender) -> tuple[Int64s, pa.Array]:
        """Rows that were filled or sent, ascending, and where each went."""
        sent = sender.reported
        rows = np.union1d(filled, sent)
        names = np.full(len(rows), CONSOLIDATED, object)
        names[np.searchsorted(rows, sent)] = sender.reported_venues
        return rows, pa.array(names, pa.string())

    def _send(self, first: int) -> int:
        """Send orders from a row on; the first that is not sent."""
        sender, outbox = self._sender, self._context.outbox
        if sender is None or not sender.takes(first):
            return first
        # What was filled so far is to be in the markets that the router looks at.
        for number in np.unique(np.flatnonzero(self._filled) // 2).tolist():
            self._settle(number)
        made = len(sender.rows)
        row = sender.send(first)
        self._before[first:row] = len(outbox.order_reports)
        self._has_orders[self._of_row[first:row]] = True
        self._decision_runs.append((len(sender.rows) - made, len(outbox.routing_decisions)))
        return row

    def _fill(self, first: int) -> int:
        """Fill orders from a row on; the first that is not filled."""
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
            self._before[first:row] = len(outbox.order_reports)
            self._fill_runs.append((made - self._made, len(outbox.executions)))
            self._made = made
            self._note_expiries(first, row)
        return row

    def _known_nowhere(self, plain: Bools) -> Bools:
        """Plain orders whose identifier is new: of others the desk has to be asked."""
        ids = self._ids
        ended, flying = self._context.ended, self._context.flying
        if len(set(ids)) < len(ids):
            seen: dict[str, int] = {}
            for row, order_id in enumerate(ids):
                other = seen.setdefault(order_id, row)
                if other != row:
                    plain[[row, other]] = False
        if not ended.keys().isdisjoint(ids):
            plain &= np.array([order_id not in ended for order_id in ids], np.bool_)
        if not flying.keys().isdisjoint(ids):
            plain &= np.array([order_id not in flying for order_id in ids], np.bool_)
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
            self._forget(number)
            if not desk.has_orders:
                desk.agenda = Agenda()

    def _forget(self, number: int) -> None:
        """The market of a desk has changed."""
        if self._sender is not None:
            self._sender.forget(number)

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
        # Of each its one report, its fills, no decision, its one part, and what was filled.
        numbers = zip(repeat(1), counts.tolist(), repeat(0), repeat(1), quantities.tolist())
        self._context.remember_all([self._ids[row] for row in rows.tolist()], numbers)


def _spread(runs: list[tuple[int, int]]) -> Int64s:
    """Of each row of runs how many rows go before; of each run how many rows it has, and that."""
    counts = np.array(runs, np.int64).reshape(-1, 2)
    return np.repeat(counts[:, 1], counts[:, 0])
