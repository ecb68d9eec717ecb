"""A symbol's market in exact numbers: what is displayed where, less what our own fills took of it."""

from collections.abc import Sequence
from math import isnan
from typing import Any

from flows.instruments import Instrument
from flows.orders.money import ONE, divided, of_float
from flows.trading.hours import Hours
from flows.trading.interfaces import Market, Touch
from flows.trading.market import NOTHING_SEEN, Seen
from flows.trading.tape import Tape

LARGEST = 10**13 * ONE
"""Prices and sizes from here on are no market's: they count as none, and orders of such are refused.

A price times a quantity below it fits decimal(38, 10).
"""

DEFAULT_TICK = ONE // 100

# Distinct prices and sizes whose exact numbers are remembered: they repeat, and Python's long division is dear.
_REMEMBERED = 4_096

_BID, _ASK = 0, 1


class SymbolMarket(Market):
    """The market of one symbol.

    Parameters
    ----------
    symbol : str
        Which.
    tape : Tape
        Has all markets by column.
    slot : int
        The symbol's there.
    stale_after : int
        How long a quote stands that is not renewed, ns.
    """

    def __init__(self, symbol: str, tape: Tape, slot: int, stale_after: int) -> None:
        self.symbol = symbol
        self.now = 0
        self.tick = DEFAULT_TICK
        self.lot = 100 * ONE
        self.hours = Hours("24/7")
        self.listing: tuple[str, ...] = ()
        """Names of the venue where the symbol is listed; none if not known."""
        self.instrument_type = "stock"
        self.trade_left = 0
        """What is left of the trade that is told now, for our own orders at whatever venue model."""
        self._tape = tape
        self._slot = slot
        self._stale_after = stale_after
        self._prices: dict[float, int | None] = {}
        self._sizes: dict[float, int] = {}
        # By number of the venue: of each side price (None where there is none), size and time.
        self._sides: list[list[tuple[int | None, int, int]]] = []
        # By venue and side: of each price the size displayed when we took of it, and how much we took.
        self._used: dict[tuple[int, int], dict[int, list[int]]] = {}
        self._names: list[tuple[str, int]] = []
        self._seen = NOTHING_SEEN
        self._best: tuple[int | None, int | None] | None = None
        self._best_until = 0

    @property
    def last(self) -> int | None:
        """Price of the last trade that sets a price."""
        return self.price(self._tape.last(self._slot))

    @property
    def session_sale(self) -> int | None:
        """The same of the session that is open; None where it has had none yet."""
        begins = self.hours.session(self.now)[0]
        return self.last if self._tape.sold(self._slot) >= begins else None

    @property
    def seen(self) -> Seen:
        """What the tape has shown until its minute began."""
        if self._seen.minute != self._tape.minute(self._slot):
            self._seen = self._tape.seen(self._slot)
        return self._seen

    @property
    def bid(self) -> int | None:
        """Best bid over all venues that are not stale."""
        return self._found()[_BID]

    @property
    def ask(self) -> int | None:
        """Best ask over all venues that are not stale."""
        return self._found()[_ASK]

    @property
    def bid_size(self) -> int:
        """Sum of what is left at the best bid."""
        return self._left_at(_BID)

    @property
    def ask_size(self) -> int:
        """Sum of what is left at the best ask."""
        return self._left_at(_ASK)

    @property
    def is_open(self) -> bool:
        """Whether the calendar has it open."""
        return self.hours.is_open(self.now)

    @property
    def is_tradable(self) -> bool:
        """Whether orders can be filled: in opening hours, and not crossed; a halted venue's quotes count nowhere."""
        bid, ask = self._found()
        return self.hours.is_open(self.now) and (bid is None or ask is None or bid <= ask)

    @property
    def closed_because(self) -> str:
        """Why nothing can be filled, where it is not `is_tradable`."""
        return "the market is crossed" if self.is_open else "the market is not open"

    @property
    def session(self) -> tuple[int, int] | None:
        """Opening and close of the session that is open now, or else of the next one."""
        return self.hours.session(self.now)

    @property
    def venue_names(self) -> list[str]:
        """Venues that have quoted it."""
        return [name for name, _ in self._names]

    def touches(self) -> Sequence[Touch]:
        """Of each venue that has quoted, in order of name."""
        found = []
        for name, venue in self._names:
            bid, bid_size, bid_time = self._standing(venue, _BID)
            ask, ask_size, ask_time = self._standing(venue, _ASK)
            left_bid = 0 if bid is None else self._left(venue, _BID, bid, bid_size)
            left_ask = 0 if ask is None else self._left(venue, _ASK, ask, ask_size)
            found.append(Touch(name, bid, left_bid, ask, left_ask, max(bid_time, ask_time)))
        return found

    def levels(self, side: str, venues: Sequence[str] = ()) -> list[tuple[int, int, str]]:
        """What can be taken: price, size left and venue, best first, then in order of venue."""
        of = _ASK if side == "buy" else _BID
        found = []
        for name, venue in self._names:
            if venues and name not in venues:
                continue
            for price, size in self._displayed(venue, of):
                left = self._left(venue, of, price, size)
                if left > 0:
                    found.append((price, left, name))
        found.sort(key=lambda level: (level[0] if of == _ASK else -level[0], level[2]))
        return found

    def best_of(self, side: str, venues: Sequence[str]) -> int | None:
        """Best displayed price of a side (``buy``: the bids) over some venues; over all where there are none."""
        of = _BID if side == "buy" else _ASK
        if not venues:
            return self._found()[of]
        prices = [
            price
            for name, venue in self._names
            if name in venues and (price := self._standing(venue, of)[0]) is not None
        ]
        return None if not prices else max(prices) if of == _BID else min(prices)

    def displayed_at(self, side: str, price: int, venues: Sequence[str]) -> int | None:
        """Size that others display at a price of a side (``buy``: the bids); None where it is deeper than is told."""
        of = _BID if side == "buy" else _ASK
        best = self.best_of(side, venues)
        if best is None or (price > best if of == _BID else price < best):
            return 0
        sizes = [
            size
            for name, venue in self._names
            if not venues or name in venues
            for level, size in self._displayed(venue, of)
            if level == price
        ]
        if sizes:
            return sum(sizes)
        return 0 if price == best else None

    def take(self, side: str, price: int, venue: str, quantity: int) -> None:
        """Note that a buy (or a sale) of ours took so much of what a venue displays at a price."""
        of = _ASK if side == "buy" else _BID
        number = self._tape.venues.slot(venue)
        touch, size, _ = self._sides[number][of]
        if price != touch:
            size = next(size for level, size in self._displayed(number, of) if level == price)
        used = self._used.setdefault((number, of), {})
        known = used.get(price)
        if known is not None and known[0] == size:
            known[1] += quantity
        else:
            used[price] = [size, quantity]

    def renew(self) -> None:
        """Read all venues anew: the symbol was not followed, or a row took others' quotes out."""
        known = len(self._tape.venues)
        if len(self._names) != known:
            self._names = []
        touches = self._tape.touches(self._slot)
        self._sides = [self._exact(touches[venue]) for venue in range(known)]
        self._names = sorted(
            (self._tape.venues.keys[venue], venue)
            for venue in range(known)
            if any(side[2] for side in self._sides[venue])
        )
        self._best = None
        for key in list(self._used):
            self._forget(*key)

    def renew_venue(self, venue: int) -> None:
        """Read one venue anew: a row of it was taken in."""
        if venue >= len(self._sides) or not any(side[2] for side in self._sides[venue]):
            self.renew()
            return
        self._sides[venue] = self._exact(self._tape.touch(self._slot, venue))
        self._best = None
        for of in (_BID, _ASK):
            self._forget(venue, of)

    def price(self, price: float) -> int | None:
        """A market price rounded half-even to the tick, exactly; None for one that is no market's."""
        if price in self._prices:
            return self._prices[price]
        found: int | None = None
        if not isnan(price) and 0 < price < LARGEST // ONE:
            numerator, denominator = price.as_integer_ratio()
            found = divided(numerator * ONE, denominator * self.tick) * self.tick or None
        if len(self._prices) >= _REMEMBERED:
            self._prices.clear()
        self._prices[price] = found
        return found

    def size(self, size: float) -> int:
        """A market size in exact numbers; 0 for one that is no market's."""
        found = self._sizes.get(size)
        if found is None:
            found = of_float(size) if 0 < size < LARGEST // ONE else 0
            if len(self._sizes) >= _REMEMBERED:
                self._sizes.clear()
            self._sizes[size] = found
        return found

    def set_instrument(self, instrument: Instrument | None, hours: Hours) -> None:
        """Take over what ``instruments`` says, or what holds of a symbol that it does not know."""
        tick_size = None if instrument is None else instrument.tick_size
        lot_size = None if instrument is None else instrument.lot_size
        tick = of_float(tick_size) if tick_size and tick_size < LARGEST // ONE else 0
        self.lot = self.size(lot_size or 0.0) or 100 * ONE
        self.instrument_type = "stock" if instrument is None else instrument.type
        self.hours = hours
        if (tick or DEFAULT_TICK) != self.tick:
            self.tick = tick or DEFAULT_TICK
            self._prices.clear()
            self.renew()

    def saved(self) -> list[Any]:
        """What our own fills used up, for a snapshot."""
        return [[*key, sorted(used.items())] for key, used in sorted(self._used.items())]

    def restore(self, saved: list[Any]) -> None:
        """Take over what `saved` gave."""
        self._used = {
            (venue, of): {price: list(use) for price, use in used} for venue, of, used in saved
        }

    def _exact(self, sides: list[tuple[float, float, int]]) -> list[tuple[int | None, int, int]]:
        return [(self.price(price), self.size(size), time) for price, size, time in sides]

    def _standing(self, venue: int, of: int) -> tuple[int | None, int, int]:
        side = self._sides[venue][of]
        if side[0] is None or side[2] + self._stale_after < self.now:
            return None, 0, side[2]
        if self._tape.is_halted(self._slot, venue):
            return None, 0, side[2]
        return side

    def _displayed(self, venue: int, of: int) -> list[tuple[int, int]]:
        """Touch of a side that can be met, and deeper levels where ``book_top`` has them."""
        touch, size, _ = self._standing(venue, of)
        return [] if touch is None else self._with_levels(venue, of, touch, size)

    def _with_levels(self, venue: int, of: int, touch: int, size: int) -> list[tuple[int, int]]:
        found = [(touch, size)]
        levels = self._tape.levels(self._slot, venue)
        for at in range(2 * of, len(levels), 4):
            price = self.price(levels[at])
            deeper = price is not None and (price < touch if of == _BID else price > touch)
            size = self.size(levels[at + 1])
            if deeper and price is not None and size and all(price != one for one, _ in found):
                found.append((price, size))
        return found

    def _left(self, venue: int, of: int, price: int, size: int) -> int:
        used = self._used.get((venue, of), {}).get(price)
        return size if used is None or used[0] != size else max(size - used[1], 0)

    def _left_at(self, of: int) -> int:
        best = self._found()[of]
        side = "sell" if of == _BID else "buy"
        return sum(left for price, left, _ in self.levels(side) if price == best)

    def _forget(self, venue: int, of: int) -> None:
        """Forget what we took of quotes that have changed; one that is stale or halted has not."""
        used = self._used.get((venue, of))
        if not used:
            return
        touch, size, _ = self._sides[venue][of]
        displayed = {} if touch is None else dict(self._with_levels(venue, of, touch, size))
        for price in [one for one, use in used.items() if displayed.get(one) != use[0]]:
            del used[price]
        if not used:
            del self._used[venue, of]

    def _found(self) -> tuple[int | None, int | None]:
        if self._best is None or self.now > self._best_until:
            bids, asks = [], []
            until = self.now + self._stale_after
            for _, venue in self._names:
                bid, _, bid_time = self._standing(venue, _BID)
                ask, _, ask_time = self._standing(venue, _ASK)
                if bid is not None:
                    bids.append(bid)
                    until = min(until, bid_time + self._stale_after)
                if ask is not None:
                    asks.append(ask)
                    until = min(until, ask_time + self._stale_after)
            self._best = (max(bids, default=None), min(asks, default=None))
            self._best_until = until
        return self._best
