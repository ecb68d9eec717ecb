"""An order as the order system keeps it, and all that an account's client ids have been used for."""

from collections import OrderedDict, deque
from typing import Any
from zlib import crc32

from flows.orders.commands import Command, Words, words
from flows.orders.exposure import Holding
from flows.orders.states import ACCEPTED, ENDED, STATUSES, UNKNOWN, after
from schemas.order_ids import EXIT_SUFFIXES

# Of numbers in a JSON file of any reader only so many bits are safe; a check sum and a status have 35.
_STATUS_BITS = 3

EXECUTIONS_REMEMBERED = 100_000
"""Of an account, so that a fill that is told again is booked once; the oldest are forgotten."""


class Order:
    """An order that is open, or ended a short while ago.

    Parameters
    ----------
    terms : Command
        What was ordered, as the last replacement left it.
    number : int
        Of the account's orders, in order of acceptance.
    holding : Holding
        What it changes.
    parent_order_id : str or None
        The order whose exit it is.
    """

    # Values of an order that nothing has happened to yet; most orders never change most of them.
    status = ACCEPTED
    filled = 0
    # Sum of quantity times price of its fills.
    cost = 0
    venue: str | None = None
    # Terms that the execution has been asked for and has not answered yet, oldest first.
    pending: tuple[Command, ...] = ()
    cancelling = False
    # How it ends once so much is filled: event, filled quantity, reason. The end was read before the fills.
    ending: tuple[str, int, str | None] | None = None
    # Why its terms mean nothing any more; it is being cancelled then, and makes no exits.
    outdated: str | None = None
    # Whether it adds to what the account may come to hold; of two exits only one can be filled.
    counts = True
    counted = 0
    # What is set aside for one of it, and for all that is open.
    reference = 0
    reserved = 0
    # Whether it is at the market, where the account's other orders could meet it.
    stands = False
    # Of an exit: the other one, the quantity that they have in common, and what of it the other one has filled; of a
    # bracket's entry: what of its fills has exits, and how many pairs of these it has made.
    partner_id: str | None = None
    shared = 0
    taken = 0
    pairs = 0

    def __init__(
        self, terms: Command, number: int, holding: Holding, parent_order_id: str | None = None
    ) -> None:
        self.terms = terms
        self.order_id = terms.order_id
        self.number = number
        self.holding = holding
        self.currency = holding.purse.currency
        self.parent_order_id = parent_order_id
        # As it was given: a retry is compared with it.
        self.asked = terms

    @property
    def quantity(self) -> int:
        """Total now."""
        return self.terms.quantity or 0

    @property
    def most(self) -> int:
        """The largest total that it can turn out to have."""
        most = self.terms.quantity or 0
        for terms in self.pending:
            most = max(most, terms.quantity or 0)
        return most

    @property
    def remaining(self) -> int:
        """What is open still."""
        return 0 if self.status in ENDED else max(self.quantity - self.filled, 0)

    @property
    def is_open(self) -> bool:
        """Whether it can be filled."""
        return self.status not in ENDED

    @property
    def is_buy(self) -> bool:
        """Whether it buys."""
        return self.terms.side == "buy"

    @property
    def is_exit(self) -> bool:
        """Whether it is an exit of a bracket, or one of an OCO's two."""
        return self.partner_id is not None

    def step(self, event: str) -> None:
        """An event has happened.

        Raises
        ------
        IllegalEventError
            Where the state machine does not know it.
        """
        self.status = after(self.status, event)

    def fill(self, quantity: int, price: int) -> int:
        """Add a fill; what did not fit is given back."""
        fits = min(quantity, max(self.most - self.filled, 0))
        self.filled += fits
        self.cost += fits * price
        if self.filled > self.quantity:
            # More than its terms allow: a replacement has happened whose answer has not been read yet.
            enough = next(one for one in self.pending if (one.quantity or 0) >= self.filled)
            self.terms = self.terms._replace(quantity=enough.quantity)
        return quantity - fits

    @property
    def is_filled(self) -> bool:
        """Whether all is filled, and no replacement under way makes it more; not where the other exit left it nothing."""
        return 0 < self.filled >= self.most


STATE = (
    *("number", "currency", "parent_order_id"),
    *("status", "filled", "cost", "venue", "pending", "cancelling", "ending", "outdated"),
    *("counts", "counted", "reference", "reserved", "stands", "partner_id", "shared", "pairs"),
    "taken",
)
"""What an order is besides its terms, those that were asked for, and its holding, which is of its symbol."""


class KnownOrders:
    """All orders of an account that are remembered, so that each client order id is accepted once.

    Open orders are kept whole, and so are the last to have ended, and what open exits are of; of those that ended earlier only identifier,
    status and a check sum of what was asked. At ``maximum`` orders, those that had ended on earlier market
    days are forgotten, whole days at a time; where there are none, no further order is accepted.

    Parameters
    ----------
    maximum : int
        Most orders that are remembered.
    whole : int
        Most ended orders that are kept whole.
    """

    __slots__ = ("_days", "_executions", "_recent", "_whole", "ended", "maximum", "orders")

    def __init__(self, maximum: int, whole: int) -> None:
        self.maximum = maximum
        self._whole = whole
        self.orders: dict[str, Order] = {}
        self._recent: deque[str] = deque()
        # Identifier to check sum and status of those that are not kept whole, in order of when they were laid aside.
        self.ended: dict[str, int] = {}
        # Market day, and how many of the ended orders, in order, were laid aside on it.
        self._days: deque[list[int]] = deque()
        # As a dict is, but its first is found at once however many were taken out before it.
        self._executions: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, order_id: object) -> bool:
        return order_id in self.orders or order_id in self.ended

    def status(self, order_id: str) -> str:
        """Status of an order; unknown where it is none."""
        found = self.orders.get(order_id)
        if found is not None:
            return found.status
        code = self.ended.get(order_id)
        return UNKNOWN if code is None else STATUSES[code & (1 << _STATUS_BITS) - 1]

    def is_same(self, order_id: str, said: Words) -> bool:
        """Whether a known order was asked for in these words."""
        found = self.orders.get(order_id)
        if found is not None:
            return words(found.asked) == said
        return self.ended[order_id] >> _STATUS_BITS == _sum(said)

    def is_first(self, execution_id: str) -> bool:
        """Whether an execution is told for the first time; from now on it was told."""
        executions = self._executions
        if execution_id in executions:
            return False
        if len(executions) >= EXECUTIONS_REMEMBERED:
            executions.popitem(last=False)
        executions[execution_id] = None
        return True

    def has_room(self, day: int) -> bool:
        """Whether one more can be remembered, once ended orders of days before this one are forgotten."""
        while len(self.orders) + len(self.ended) >= self.maximum:
            if not self._days or self._days[0][0] >= day:
                return False
            _, count = self._days.popleft()
            for order_id in list(self.ended)[:count]:
                del self.ended[order_id]
        return True

    def add(self, order: Order) -> None:
        """Remember an accepted order."""
        self.orders[order.order_id] = order

    def refuse(self, order_id: str, status: str, said: Words, day: int) -> None:
        """Remember an order that was not accepted, or that needs not be known whole any more."""
        self.ended[order_id] = _sum(said) << _STATUS_BITS | STATUSES.index(status)
        if self._days and self._days[-1][0] == day:
            self._days[-1][1] += 1
        else:
            self._days.append([day, 1])

    def end(self, order: Order, day: int) -> None:
        """An order has ended."""
        recent = self._recent
        recent.append(order.order_id)
        # Two at most: what was kept beyond the bound goes when it is needed no more, and no end takes long.
        for _ in range(2):
            if len(recent) <= self._whole:
                return
            oldest = self.orders[recent.popleft()]
            if self._is_needed(oldest, order):
                recent.append(oldest.order_id)
            else:
                del self.orders[oldest.order_id]
                self.refuse(oldest.order_id, oldest.status, words(oldest.asked), day)

    def _is_needed(self, order: Order, ending: Order) -> bool:
        """Whether an exit is open, or ends just now, that an ended order is the entry or the other one of.

        What is left of it may ask for both.
        """
        names = [order.partner_id or ""]
        for pair in range(1, order.pairs + 1):
            number = str(pair) if pair > 1 else ""
            names += [f"{order.order_id}{suffix}{number}" for suffix in EXIT_SUFFIXES]
        exits = [self.orders[one] for one in names if one in self.orders]
        return any(one.is_open or one is ending for one in exits)

    def saved(self) -> list[Any]:
        """The state as JSON values, but for the orders that are kept whole (`flows.orders.order_columns`)."""
        return [
            list(self._recent),
            list(self.ended),
            list(self.ended.values()),
            [list(one) for one in self._days],
            list(self._executions),
        ]

    def restore(self, orders: list[Order], values: list[Any]) -> None:
        """Take over what `saved` gave, with its orders made anew."""
        self.orders = {one.order_id: one for one in orders}
        self._recent.extend(values[0])
        self.ended = dict(zip(values[1], values[2], strict=True))
        self._days.extend(values[3])
        self._executions = OrderedDict.fromkeys(values[4])


def _sum(said: Words) -> int:
    return crc32(repr(said).encode())
