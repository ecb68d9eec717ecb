"""What of a symbol's market the parts of orders take that arrive at one time."""

from collections import Counter

from flows.trading.interfaces import Filled, Order
from flows.trading.paper import PaperVenue
from flows.trading.sent_orders import SentOrders
from flows.trading.symbol_market import SymbolMarket


class Level:
    """A price at a venue of the market: what is left there, and what was taken and is not told yet."""

    __slots__ = ("code", "left", "price", "taken")

    def __init__(self, price: int, left: int, code: str) -> None:
        self.price = price
        self.left = left
        self.code = code
        self.taken = 0


class Landing:
    """One time at which parts of orders arrive; `close` it before anything else looks at the market.

    Parameters
    ----------
    market : SymbolMarket
        As it stands at that time.
    """

    def __init__(self, market: SymbolMarket) -> None:
        self.sent: SentOrders | None = None
        """Whose parts arrived last."""
        self._market = market
        self._is_tradable = market.is_tradable
        self._levels: dict[tuple[bool, int, str], Level] = {}
        # By venue and side: what it displays, best first; None where that is not all it may have.
        self._displayed: dict[tuple[str, bool], list[Level] | None] = {}
        self.arrived: Counter[PaperVenue] = Counter()
        """How many parts each venue has filled that it has not been told of."""

    def best(self, venue: PaperVenue, *, is_buy: bool) -> Level | None:
        """What a venue displays at the best price that is left; None where that is nothing, or not all it may have."""
        levels = self._at(venue, is_buy=is_buy) if self._is_tradable else None
        return next((level for level in levels or () if level.left), None)

    def fill(
        self, venue: PaperVenue, quantity: int, limit: int | None, *, is_buy: bool
    ) -> list[tuple[int, int]] | None:
        """Size and price of each fill of a part; None, and nothing has happened, where it would not be filled whole."""
        if not self._is_tradable:
            return None
        levels = self._at(venue, is_buy=is_buy)
        if levels is None:
            return self._sent_there(venue, quantity, limit, is_buy=is_buy)
        met = _met(levels, quantity, limit, is_buy=is_buy)
        if met is None:
            return None
        for level, size in met:
            level.left -= size
            level.taken += size
        self.arrived[venue] += 1
        return [(size, level.price) for level, size in met]

    def close(self) -> None:
        """Tell the market and the venues what was taken."""
        for (is_buy, _, _), level in self._levels.items():
            if level.taken:
                side = "buy" if is_buy else "sell"
                self._market.take(side, level.price, level.code, level.taken)
        for venue, count in self.arrived.items():
            venue.passed(count)
        self._levels.clear()
        self._displayed.clear()
        self.arrived.clear()

    def _at(self, venue: PaperVenue, *, is_buy: bool) -> list[Level] | None:
        key = (venue.name, is_buy)
        if key not in self._displayed:
            self._displayed[key] = self._read(venue, is_buy=is_buy)
        return self._displayed[key]

    def _read(self, venue: PaperVenue, *, is_buy: bool) -> list[Level] | None:
        levels = venue.displayed("buy" if is_buy else "sell", self._market)
        if levels is None:
            return None
        # One that was met at another venue of its name has less left than the market knows.
        return [
            self._levels.setdefault((is_buy, price, code), Level(price, size, code))
            for price, size, code in levels
        ]

    def _sent_there(
        self, venue: PaperVenue, quantity: int, limit: int | None, *, is_buy: bool
    ) -> list[tuple[int, int]] | None:
        """The same where hidden orders may come first: as the venue does it."""
        self.close()
        side = "buy" if is_buy else "sell"
        kind = "market" if limit is None else "limit"
        # No part of a desk's order has an empty name.
        order = Order("", "", self._market.symbol, side, quantity, kind, "ioc", limit)
        if not venue.fills_whole(order, self._market):
            return None
        answers = venue.send(order, self._market)
        return [(one.quantity, one.price) for one in answers if isinstance(one, Filled)]


def _met(
    levels: list[Level], quantity: int, limit: int | None, *, is_buy: bool
) -> list[tuple[Level, int]] | None:
    """What a part takes of levels, best first; None where that is not all of it."""
    met = []
    left = quantity
    for level in levels:
        price = level.price
        if limit is not None and (price > limit if is_buy else price < limit):
            return None
        size = min(level.left, left)
        if size:
            met.append((level, size))
            left -= size
        if not left:
            return met
    return None
