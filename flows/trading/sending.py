"""Instructions by column: plain orders that the router finds all they want for are sent, in parts, to venues.

The outcome is that of a desk that takes them one by one. What is sent is not worked by a desk until something else than
to be filled happens to it (`flows.trading.in_flight`).
"""

from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from flows.kernels.sent_whole import whole_until
from flows.orders.money import decimal_column
from flows.trading.blocks import words
from flows.trading.context import Context
from flows.trading.paper import PaperVenue
from flows.trading.plain_orders import PlainOrders
from flows.trading.sent_orders import SentOrders
from schemas.arrays import Bools, Int64s

if TYPE_CHECKING:
    from flows.trading.desk import Desk

_INT64_MAX = np.iinfo(np.int64).max

# Orders in a row, each for one venue, from which on it is less work to send them by column.
_BY_COLUMN_FROM = 32


class _Whole(NamedTuple):
    """The one venue that orders of a side are sent to which its best price has all of."""

    name: str
    venue: PaperVenue
    best: Any
    side: "_Side"


class _Side:
    """What new orders of one side of a symbol would take now."""

    __slots__ = ("desk", "session_ends", "sweep", "venues")

    def __init__(self, desk: "Desk", *, is_buy: bool) -> None:
        market = desk.market
        self.desk = desk
        self.sweep: Any = None
        self.session_ends = 0
        if desk.has_time and market.is_tradable:
            router: Any = desk.context.router(market)
            self.sweep = router.sweep(market, is_buy=is_buy)
            self.session_ends = market.hours.session(market.now)[1]
        # None: one that works orders otherwise.
        self.venues: dict[str, PaperVenue | None] = {}

    def venue(self, name: str) -> PaperVenue | None:
        """A venue that orders reach after a while, before the session ends."""
        if name not in self.venues:
            found = self.desk.dispatch.venue(name)
            arrives = self.desk.market.now + found.latency_ns
            is_far = found.latency_ns > 0 and arrives < self.session_ends
            self.venues[name] = found if isinstance(found, PaperVenue) and is_far else None
        return self.venues[name]

    def whole(self, quantity: int, limit: int | None) -> _Whole | None:
        """Where a new order goes as a whole, and so do others of its side; None where it does not."""
        best = None if self.sweep is None else self.sweep.whole(quantity, limit)
        if best is None or best.place.price > _INT64_MAX:
            return None
        name = best.place.model.venue
        venue = self.venue(name)
        return None if venue is None else _Whole(name, venue, best, self)


class Sender:
    """Sends the plain orders of a batch of instructions.

    Parameters
    ----------
    sent : SentOrders
        The batch's orders; n of them.
    is_plain : numpy.ndarray of bool, shape (n,)
        Which are to be sent.
    orders : PlainOrders
        Their terms.
    groups : numpy.ndarray of int64, shape (n,)
        Twice the place of each row's desk, one more for a sale.
    desks : sequence of Desk
        The desks.
    context : Context
        What all desks share.
    """

    def __init__(
        self,
        sent: SentOrders,
        is_plain: Bools,
        orders: PlainOrders,
        *,
        groups: Int64s,
        desks: Sequence["Desk"],
        context: Context,
    ) -> None:
        self.sent = sent
        self._is_plain: list[bool] = is_plain.tolist()
        self._expiring: list[bool] = orders.expiring.tolist()
        self._orders = orders
        self._groups: list[int] = groups.tolist()
        self._desks = desks
        self._context = context
        # By row, and by group, what tells how far a run of orders goes that are sent by column.
        self._plain_groups = np.where(is_plain, groups, -1)
        self._wholes: dict[int, _Whole] = {}
        self._prices, self._sizes = np.zeros((2, 2 * len(desks)), np.int64)
        self._sides: dict[int, _Side] = {}
        self.rows: list[int] = []
        """By part: the row of its order."""
        self._numbers: list[int] = []
        self._venues: list[str] = []
        self._quantities: list[int] = []
        self._costs: list[float | None] = []
        self._candidates: list[Any] = []
        self._reasons: list[str] = []
        self._names: list[str] = []
        self._reported: list[int] = []

    @property
    def reported(self) -> Int64s:
        """Rows whose orders were sent, ascending."""
        return np.array(self._reported, np.int64)

    @property
    def reported_venues(self) -> list[str]:
        """Where they were sent, as their reports have it."""
        return self._names

    def takes(self, row: int) -> bool:
        """Whether a row is one of those that are to be sent."""
        return row < len(self._is_plain) and self._is_plain[row]

    def send(self, first: int) -> int:
        """Send orders from a row on; the row that is none of them, or is to be left to its desk."""
        sent, context = self.sent, self._context
        count = len(self._groups)
        last = min(count, first + context.max_orders - context.working)
        row = first
        while row < last and self._is_plain[row]:
            end = self._whole_until(row, last)
            if end - row >= _BY_COLUMN_FROM:
                self._send_whole(row, end)
                row = end
                continue
            side = self._side(self._groups[row])
            if side.sweep is None:
                break
            parts, left, _ = side.sweep.parts(sent.totals[row], sent.limits[row], is_new=True)
            if left:
                break
            at = []
            for part in parts:
                venue = side.venue(part.venue)
                if venue is not None:
                    at.append((part.quantity, venue))
            if len(at) < len(parts):
                break
            expires_at = side.session_ends if self._expiring[row] else None
            side.desk.in_flight.send(sent, row, at, expires_at)
            self._note(row, parts)
            row += 1
        return row

    def forget(self, number: int) -> None:
        """The market of a desk has changed."""
        self._sides.pop(2 * number, None)
        self._sides.pop(2 * number + 1, None)
        self._sizes[2 * number : 2 * number + 2] = 0

    def decisions(self) -> dict[str, pa.Array]:
        """Columns of ``routing_decisions``: where each part was sent, and why."""
        distinct = {id(one): one for one in self._candidates}
        places = {key: at for at, key in enumerate(distinct)}
        texts = [one.text for one in distinct.values()]
        return {
            "sequence": pa.array(self._numbers, pa.int64()),
            "venue": pa.array(self._venues, pa.string()),
            "quantity": decimal_column(self._quantities),
            "expected_cost": pa.array(self._costs, pa.float64()),
            "candidates": words(texts, [places[id(one)] for one in self._candidates]),
            "reason": pa.array(self._reasons, pa.string()),
        }

    def _side(self, group: int) -> _Side:
        found = self._sides.get(group)
        if found is None:
            found = self._sides[group] = _Side(self._desks[group // 2], is_buy=not group & 1)
        return found

    def _whole_until(self, first: int, last: int) -> int:
        """The first order from a row on that is not all sent to the venue that others of its side are sent to."""
        sent, terms = self.sent, self._orders
        row = first
        while True:
            row = whole_until(
                row,
                last,
                self._plain_groups,
                terms.quantities,
                terms.limits,
                self._prices,
                self._sizes,
            )
            if row == last or not self._is_plain[row]:
                return row
            group = self._groups[row]
            if self._sizes[group]:
                # Its side is known, and has not enough for it.
                return row
            whole = self._side(group).whole(sent.totals[row], sent.limits[row])
            if whole is None:
                return row
            self._wholes[group] = whole
            self._prices[group] = whole.best.place.price
            self._sizes[group] = min(whole.best.displayed, _INT64_MAX)

    def _send_whole(self, first: int, end: int) -> None:
        """Send orders of a run, each to the one venue of its side."""
        sent, context = self.sent, self._context
        wholes = [self._wholes[group] for group in self._groups[first:end]]
        quantities = sent.totals[first:end]
        of = list(zip(wholes, self._expiring[first:end], strict=True))
        part = len(sent.rows_of)
        numbers = [
            one.side.desk.in_flight.send_whole(sent, at, one.venue, expires=expires)
            for at, (one, expires) in enumerate(of, start=part)
        ]
        sent.add_whole(
            first,
            [one.venue for one in wholes],
            now=[one.side.desk.market.now for one in wholes],
            expires_at=[one.side.session_ends if expires else None for one, expires in of],
            numbers=numbers,
        )
        context.working += len(of)
        context.flying.update(zip(sent.ids[first:end], repeat(sent)))
        self._reported += range(first, end)
        self.rows += range(first, end)
        self._numbers += repeat(1, len(of))
        self._names += [one.name for one in wholes]
        self._venues += [one.name for one in wholes]
        self._quantities += quantities
        self._costs += [
            one.side.sweep.cost(one.best, quantity)
            for one, quantity in zip(wholes, quantities, strict=True)
        ]
        self._candidates += [one.side.sweep.taking for one in wholes]
        self._reasons += [one.side.sweep.reason for one in wholes]

    def _note(self, row: int, parts: list[Any]) -> None:
        self._reported.append(row)
        self._names.append("+".join(one.venue for one in parts))
        for number, part in enumerate(parts, start=1):
            self.rows.append(row)
            self._numbers.append(number)
            self._venues.append(part.venue)
            self._quantities.append(part.quantity)
            self._costs.append(part.expected_cost)
            self._candidates.append(part.candidates)
            self._reasons.append(part.reason)
