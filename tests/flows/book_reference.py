"""Order books in plain Python, event by event, over dictionaries and exact fractions: slow, and plainly right."""

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from math import inf
from typing import Any, NamedTuple

ROUNDING = 1e-12
# Bids, asks and state of a book that has said nothing: as in a row before its first.
NOTHING: tuple[Any, ...] = ([], [], None)


class Event(NamedTuple):
    symbol: str
    venue: str
    time: int
    action: str
    order_id: int | None = None
    side: str | None = None
    price: float | None = None
    size: float | None = None
    state: str | None = None
    sequence: int | None = None
    is_last: bool = True


class Mark(NamedTuple):
    symbol: str
    time: int


@dataclass
class Order:
    side: str
    price: float
    size: float
    whole: float


@dataclass
class Book:
    orders: dict[int, Order] = field(default_factory=dict)
    rests: dict[tuple[str, float], float] = field(default_factory=lambda: defaultdict(float))
    state: str | None = None
    sequence: int | None = None
    seen: tuple[Any, ...] = NOTHING
    told: tuple[Any, ...] = NOTHING
    rebuilt: bool = True
    executed: bool = False
    crossing: str | None = None
    ofi: float = 0.0
    number: int = 0
    faults: int = 0
    due: bool = False

    def sum_at(self, side: str, price: float) -> float:
        at = [o.size for o in self.orders.values() if (o.side, o.price) == (side, price)]
        return float(sum(map(Fraction, at)))

    def levels(self, side: str) -> list[tuple[float, float]]:
        named: dict[float, list[float]] = defaultdict(list)
        for order in self.orders.values():
            if order.side == side:
                named[order.price].append(order.size)
        prices = {
            *named,
            *(price for (of, price), rest in self.rests.items() if of == side and rest),
        }
        sizes = {price: float(sum(map(Fraction, named[price]))) for price in prices}
        ordered = sorted(prices, reverse=side == "buy")
        return [(price, sizes[price] + self.rests[side, price]) for price in ordered]


class Reference:
    """Books of all symbols and venues; what they write is in `rows`, `faults` and `late`."""

    def __init__(
        self, depth: int, interval: int, channels: tuple[str, ...], calls: tuple[str, ...]
    ) -> None:
        self.depth = depth
        self.interval = interval
        self.channels = channels
        self.calls = calls
        self.books: dict[tuple[str, str], Book] = {}
        self.frontier: dict[str, float] = defaultdict(lambda: -inf)
        self.end: dict[str, float] = defaultdict(lambda: inf)
        self.rows: list[tuple[Any, ...]] = []
        self.faults: list[tuple[Any, ...]] = []
        self.late: list[tuple[int, int, int]] = []

    def mark(self, mark: Mark) -> None:
        self._pass(mark.symbol, mark.time)

    def event(self, at: int, event: Event) -> None:
        self._pass(event.symbol, event.time)
        book = self.books.setdefault((event.symbol, event.venue), Book())
        if self.interval:
            end = event.time // self.interval * self.interval + self.interval
            if end <= self.frontier[event.symbol]:
                self.late.append((at, end, int(self.frontier[event.symbol])))
        faults: list[tuple[Any, ...]] = []
        self._sequence(book, event, faults)
        book.executed |= event.action in ("execute", "fill", "hidden_execute")
        self._apply(book, event, faults)
        if event.is_last:
            self._judge(book, event, faults)
        for kind, resolution, known, due in faults:
            book.faults += 1
            self.faults.append(
                (event.symbol, event.venue, at, book.faults, kind, resolution, known, due)
            )

    def _pass(self, symbol: str, time: int) -> None:
        self.frontier[symbol] = max(self.frontier[symbol], time)
        if self.interval and self.end[symbol] <= self.frontier[symbol]:
            for (of, venue), book in self.books.items():
                if of == symbol and book.due:
                    book.due = False
                    if book.told != book.seen:
                        self._write(of, venue, int(self.end[symbol]), book)
            self.end[symbol] = inf

    def _sequence(self, book: Book, event: Event, faults: list[tuple[Any, ...]]) -> None:
        if event.sequence is None:
            return
        if book.sequence is not None and event.venue not in self.channels:
            due = book.sequence + 1
            if event.sequence > due:
                faults.append(("sequence_gap", "kept", None, due))
            elif event.sequence < book.sequence:
                faults.append(("sequence_back", "kept", None, due))
        book.sequence = event.sequence

    def _apply(  # noqa: PLR0911 - a return a case
        self, book: Book, event: Event, faults: list[tuple[Any, ...]]
    ) -> None:
        action, id_, side, price, size = event[3:8]

        def fault(kind: str, resolution: str, known: float | None = None) -> None:
            faults.append((kind, resolution, known, None))

        if action == "halt":
            book.state = event.state or book.state
            return
        if action == "clear":
            book.orders.clear()
            book.rests.clear()
            book.sequence = None
            book.rebuilt = True
            return
        if action in ("fill", "hidden_execute"):
            return
        if (
            side is None
            or price is None
            or size is None
            or (action == "add" and size == 0)
            or (action == "modify" and id_ is None)
        ):
            fault("incomplete", "ignored")
            return
        at = (side, price)
        if action == "level":
            named = book.sum_at(*at)
            if size >= named and size > 0:
                book.rests[at] = size - named
            else:
                book.orders = {i: o for i, o in book.orders.items() if (o.side, o.price) != at}
                book.rests[at] = size
            return
        if action == "add" and id_ is None:
            book.rests[at] += size
            return
        order = book.orders.get(id_) if id_ is not None else None
        if action == "add":
            if order is not None:
                fault("duplicate_order", "replaced", order.size)
            book.orders[id_] = Order(side, price, size, size)
        elif action == "modify":
            if order is None:
                fault("unknown_order", "added" if size else "ignored")
            elif order.side != side:
                fault("other_side", "replaced", order.price)
            if size:
                book.orders[id_] = Order(side, price, size, size)
            else:
                book.orders.pop(id_, None)
        elif order is None:
            rest = book.rests[at]
            if rest == 0:
                fault("unknown_order", "ignored")
                return
            left = rest - size
            book.rests[at] = left if left > ROUNDING * rest else 0.0
            if left < -ROUNDING * rest:
                fault("negative", "zeroed")
        else:
            if order.side != side:
                fault("other_side", "own_side_kept", order.price)
            elif order.price != price:
                fault("other_price", "own_price_kept", order.price)
            rounding = ROUNDING * order.whole
            if size > order.size + rounding:
                fault("oversized", "zeroed", order.size)
            if size >= order.size - rounding:
                del book.orders[id_]
            else:
                order.size -= size

    def _judge(self, book: Book, event: Event, faults: list[tuple[Any, ...]]) -> None:
        bids, asks = (book.levels(side)[: self.depth] for side in ("buy", "sell"))
        seen = (bids, asks, book.state)
        before_bids, before_asks = book.seen[:2]
        if not book.rebuilt:
            (pb, qb), (pa, qa) = bids[0] if bids else (-inf, 0), asks[0] if asks else (inf, 0)
            pb0, qb0 = before_bids[0] if before_bids else (-inf, 0)
            pa0, qa0 = before_asks[0] if before_asks else (inf, 0)
            book.ofi += (pb >= pb0) * qb - (pb <= pb0) * qb0 - (pa <= pa0) * qa + (pa >= pa0) * qa0
        changed = seen != book.seen
        book.rebuilt = False
        book.seen = seen
        crossing = None
        if bids and asks and book.state in (None, "trading") and bids[0][0] >= asks[0][0]:
            crossing = "locked" if bids[0][0] == asks[0][0] else "crossed"
        called = event.venue in self.calls and not book.executed
        book.executed = False
        if crossing is None or not called:
            if crossing is not None and crossing != book.crossing:
                faults.append((crossing, "kept", bids[0][0], None))
            book.crossing = crossing
        if changed and self.interval:
            book.due = True
            frontier = int(self.frontier[event.symbol])
            self.end[event.symbol] = frontier // self.interval * self.interval + self.interval
        elif changed:
            self._write(event.symbol, event.venue, event.time, book)

    def _write(self, symbol: str, venue: str, time: int, book: Book) -> None:
        bids, asks, state = book.told = book.seen
        book.number += 1
        row: list[Any] = [symbol, venue, time, book.number, state]
        for level in range(10):
            for side in (bids, asks):
                row += side[level] if level < len(side) else (None, None)
        (pb, qb), (pa, qa) = bids[0] if bids else (None, 0), asks[0] if asks else (None, 0)
        deep_bid, deep_ask = left_to_right(bids), left_to_right(asks)
        both = pb is not None and pa is not None
        row += [
            pa - pb if both else None,
            (pb + pa) / 2 if both else None,
            (pb * qa + pa * qb) / (qb + qa) if both else None,
            (qb - qa) / (qb + qa) if qb + qa else None,
            (deep_bid - deep_ask) / (deep_bid + deep_ask) if deep_bid + deep_ask else None,
            book.ofi,
        ]
        book.ofi = 0.0
        self.rows.append(tuple(row))


def left_to_right(levels: list[tuple[float, float]]) -> float:
    total = 0.0
    for _, size in levels:
        total += size
    return total
