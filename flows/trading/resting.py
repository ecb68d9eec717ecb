"""Orders at a paper venue, and its two sides of a book: by price, then by time."""

from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from flows.trading.interfaces import Order
from flows.trading.queue_position import QueuePosition


class Resting:
    """An order at a paper venue.

    Attributes
    ----------
    order : Order
        Its terms.
    sequence : int
        Its place in time at the venue; a new one where it loses its priority.
    filled : int
        Filled at the venue.
    shown : int
        Of an iceberg: what is left of the slice that it shows.
    price : int or None
        Where it rests; None where it does not rest in the book.
    queue : QueuePosition
        Its place there.
    auction_at : int or None
        Of an auction's order: when the auction is.
    """

    __slots__ = ("auction_at", "filled", "order", "price", "queue", "sequence", "shown")

    def __init__(self, order: Order, sequence: int) -> None:
        self.order = order
        self.sequence = sequence
        self.filled = 0
        self.shown = 0
        self.price: int | None = None
        self.queue = QueuePosition(None, None)
        self.auction_at: int | None = None

    @property
    def left(self) -> int:
        """What is not filled."""
        return self.order.quantity - self.filled

    def accepts(self, price: int) -> bool:
        """Whether its limit allows a price."""
        limit = self.order.limit_price
        return limit is None or (price <= limit if self.order.is_buy else price >= limit)

    def saved(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "order": asdict(self.order),
            "sequence": self.sequence,
            "filled": self.filled,
            "shown": self.shown,
            "price": self.price,
            "queue": self.queue.saved(),
            "auction_at": self.auction_at,
        }

    @classmethod
    def restored(cls, saved: dict[str, Any]) -> "Resting":
        """What `saved` gave the values of."""
        resting = cls(Order(**saved["order"]), saved["sequence"])
        resting.filled = saved["filled"]
        resting.shown = saved["shown"]
        resting.price = saved["price"]
        resting.queue = QueuePosition(*saved["queue"])
        resting.auction_at = saved["auction_at"]
        return resting


class BookSide:
    """Resting orders of a side, best price first, then in order of time."""

    def __init__(self, *, is_buy: bool) -> None:
        self._sign = -1 if is_buy else 1
        self.orders: list[Resting] = []

    def add(self, resting: Resting) -> None:
        """Put an order with a price in its place."""
        insort(self.orders, resting, key=self._rank)

    def remove(self, resting: Resting) -> None:
        """Take an order out that is there."""
        at = bisect_left(self.orders, self._rank(resting), key=self._rank)
        del self.orders[at]

    def advance(self, displayed_at: Callable[[int], int | None]) -> None:
        """Tell the queues what is displayed at a price."""
        price, displayed = None, None
        for resting in self.orders:
            if resting.price is None or resting.queue.ahead == 0:
                continue
            if resting.price != price:
                price = resting.price
                displayed = displayed_at(price)
            resting.queue.on_displayed(displayed)

    def _rank(self, resting: Resting) -> tuple[int, int]:
        return self._sign * (resting.price or 0), resting.sequence
