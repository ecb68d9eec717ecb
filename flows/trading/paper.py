"""A paper venue: fills orders against the quotes and trades of the real market, as one of its members would be.

What takes gets the size that is displayed, at the displayed prices; what that uses up is gone until the quote
changes. What rests is filled at its own price: by trades behind what stands ahead in the queue
(`flows.trading.queue_position`), by trades at a worse price, and by displayed size of the other side that comes to
its price, at its own venue or another. No venue may display a quote that locks or crosses a protected one (Rule
610(d) of Regulation NMS, 17 CFR 242.610), nor execute through it (Rule 611): whoever displays the other side at our
price or beyond would have had to trade with us first. Of an away quote at our very price those ahead of us in the
queue have their part first: where the tape's market was locked without us, its quotes passed them by. One trade and
one displayed size fill no more than they have, whatever orders of ours they meet, at all venue models together; a
venue's hidden size is its model's, and comes on top. Nothing is filled out of hours, against stale quotes or those of
a halted venue, and while the market is crossed. The market does not react to us: what we take stays in its trades and
quotes.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from flows.trading.auctions import auction_time, has_begun, joins
from flows.trading.fees import Rates, fee_of
from flows.trading.hidden import Hidden
from flows.trading.interfaces import (
    Answer,
    Filled,
    MarketEvent,
    Order,
    QuoteEvent,
    Terms,
    Told,
    TradeEvent,
    Venue,
    VenueModel,
)
from flows.trading.nights import Nights
from flows.trading.pegs import limit_now, pegged_price
from flows.trading.queue_position import QueuePosition
from flows.trading.resting import BookSide, Resting
from flows.trading.symbol_market import SymbolMarket
from flows.trading.trade_kinds import OFF_EXCHANGE

_AUCTIONS = ("at_open", "at_close")
_FROZEN = "its auction has begun"
_Offer = tuple[int, int, str | None]


class PaperVenue(Venue[SymbolMarket]):
    """A paper venue's book of one symbol.

    Parameters
    ----------
    name : str
        As in ``executions.venue``.
    model : VenueModel or None
        Its fees, latency and hidden size; None: there are none.
    codes : tuple of str
        Its names in market data; none: all venues' quotes and trades are one market.
    """

    def __init__(self, name: str, model: VenueModel | None, codes: tuple[str, ...]) -> None:
        self.name = name
        self.latency_ns = 0 if model is None else model.latency_ns
        self._model = model
        self._codes = codes
        self._sequence = 0
        self._orders: dict[str, Resting] = {}
        self._buys, self._sells = BookSide(is_buy=True), BookSide(is_buy=False)
        # What is in no queue: market orders, and what came when nothing could be filled.
        self._waiting: dict[str, Resting] = {}
        self._auctions: dict[str, Resting] = {}
        self._hidden = Hidden(model, codes)
        self._nights = Nights()
        self.rates = Rates(model)

    def send(self, order: Order, market: SymbolMarket) -> list[Answer]:
        """A new order."""
        if not self._orders:
            self._nights.has_passed(market)
        resting = Resting(order, self._next())
        self._orders[order.order_id] = resting
        if order.time_in_force in _AUCTIONS:
            resting.auction_at = auction_time(order.time_in_force, market)
            self._auctions[order.order_id] = resting
            return []
        if order.time_in_force == "fok" and not self.fills_whole(order, market):
            return [self._ended(resting, "expired", "not all of it could be filled at once")]
        return self._enter(resting, market)

    def passed(self, count: int) -> None:
        """So many orders came and were filled at once, without being told here."""
        self._sequence += count

    def displayed(self, side: str, market: SymbolMarket) -> list[tuple[int, int, str]] | None:
        """All that can be taken here, best first; None where hidden orders may come before it."""
        if self._hidden.may_offer(side, market):
            return None
        return market.levels(side, self._codes)

    def fills_whole(self, order: Order, market: SymbolMarket) -> bool:
        """Whether an order that came now would be filled at once, and all of it."""
        offers = self._within(Resting(order, 0), market)
        return market.is_tradable and sum(size for _, size, _ in offers) >= order.quantity

    def replace(self, order_id: str, terms: Terms, market: SymbolMarket) -> list[Answer]:
        """Other terms; the place in the queue is kept only if nothing but the quantity goes down."""
        resting = self._orders.get(order_id)
        if resting is None:
            return [Told(order_id, "replace_rejected", "the order is not open any more")]
        if has_begun(resting.auction_at, market):
            return [Told(order_id, "replace_rejected", _FROZEN)]
        if terms.quantity <= resting.filled:
            return [Told(order_id, "replace_rejected", "so much is filled already")]
        order = resting.order
        before = order.quantity, order.limit_price, order.display_quantity, order.peg_offset
        order.quantity, order.limit_price = terms.quantity, terms.limit_price
        order.display_quantity, order.peg_offset = terms.display_quantity, terms.peg_offset
        same_terms = before[1:] == (terms.limit_price, terms.display_quantity, terms.peg_offset)
        keeps = same_terms and terms.quantity <= before[0]
        replaced = Told(order_id, "replaced")
        if keeps or resting.auction_at is not None:
            resting.shown = min(resting.shown, resting.left)
            return [replaced]
        self._leave(resting)
        resting.sequence = self._next()
        return [replaced, *self._enter(resting, market)]

    def cancel(self, order_id: str, market: SymbolMarket) -> list[Answer]:
        """Cancel what is open of an order."""
        resting = self._orders.get(order_id)
        if resting is None:
            return [Told(order_id, "cancel_rejected", "the order is not open any more")]
        if has_begun(resting.auction_at, market):
            return [Told(order_id, "cancel_rejected", _FROZEN)]
        self._leave(resting)
        return [self._ended(resting, "cancelled", None)]

    def on_event(self, event: MarketEvent, market: SymbolMarket) -> list[Answer]:
        """A market event, which the market has in it already."""
        if not self._orders:
            return []
        if self._nights.has_passed(market):
            self._send_anew()
        if isinstance(event, QuoteEvent):
            return self._on_quote(event, market) if market.is_tradable else []
        answers = self._in_auction(event, market) if event.auction and self._auctions else []
        if event.meets_book and self._hears(event.venue) and market.is_tradable:
            answers += self._on_trade(event, market)
        return answers

    def saved(self) -> Any:
        """Its orders in the order of their lists, and what its hidden size was used for."""
        return {
            "sequence": self._sequence,
            "orders": list(self._orders),
            "book": [one.saved() for one in (*self._buys.orders, *self._sells.orders)],
            "waiting": [one.saved() for one in self._waiting.values()],
            "auctions": [one.saved() for one in self._auctions.values()],
            "hidden": self._hidden.saved(),
            "close": self._nights.close if self._orders else None,
        }

    def restore(self, saved: Any) -> None:
        """Take over what `saved` gave."""
        self._sequence = saved["sequence"]
        for name, orders in (("waiting", self._waiting), ("auctions", self._auctions)):
            for one in map(Resting.restored, saved[name]):
                orders[one.order.order_id] = one
        found = self._waiting | self._auctions
        for one in map(Resting.restored, saved["book"]):
            self._side(one).add(one)
            found[one.order.order_id] = one
        self._orders = {order_id: found[order_id] for order_id in saved["orders"]}
        self._hidden.restore(saved["hidden"])
        self._nights.close = saved.get("close")

    # Taking

    def _enter(self, resting: Resting, market: SymbolMarket) -> list[Answer]:
        """Take what can be taken, and wait or rest with what is left."""
        tradable = market.is_tradable
        answers = self._take(resting, market) if tradable else []
        if not resting.left:
            return answers
        if resting.order.time_in_force in ("ioc", "fok"):
            reason = "no more could be filled at once" if tradable else market.closed_because
            return [*answers, self._ended(resting, "expired", reason)]
        price = limit_now(resting.order, market) if tradable else None
        if price is None:
            self._waiting[resting.order.order_id] = resting
            return answers
        self._rest(resting, price, market)
        return answers

    def _rest(self, resting: Resting, price: int, market: SymbolMarket) -> None:
        side = "buy" if resting.order.is_buy else "sell"
        displayed = market.displayed_at(side, price, self._codes)
        resting.price = price
        resting.queue = QueuePosition(displayed, displayed)
        resting.shown = min(resting.order.display_quantity or resting.left, resting.left)
        self._side(resting).add(resting)

    def _take(self, resting: Resting, market: SymbolMarket) -> list[Answer]:
        answers: list[Answer] = []
        for price, size, venue in self._within(resting, market):
            if not resting.left:
                break
            quantity = min(size, resting.left)
            if venue is None:
                self._hidden.take(market, quantity)
            else:
                market.take(resting.order.side, price, venue, quantity)
            answers.append(self._filled(resting, quantity, price, "removed"))
        return answers

    def _within(self, resting: Resting, market: SymbolMarket) -> Iterator[_Offer]:
        """What can be taken here within an order's limit."""
        order = resting.order
        limit = limit_now(resting.order, market)
        if limit is None and order.order_type == "pegged":
            return
        for price, size, venue in self._offers(order.side, market):
            if limit is not None and (price > limit if order.is_buy else price < limit):
                return
            yield price, size, venue

    def _offers(self, side: str, market: SymbolMarket) -> Iterator[_Offer]:
        """What can be taken here, best first; of hidden size the venue is None."""
        hidden = self._hidden.offer(side, market)
        levels = market.levels(side, self._codes)
        if hidden is not None:
            better = not levels or (
                hidden[0] < levels[0][0] if side == "buy" else hidden[0] > levels[0][0]
            )
            if better:
                yield (*hidden, None)
        yield from levels

    # Resting

    def _on_quote(self, event: QuoteEvent, market: SymbolMarket) -> list[Answer]:
        answers: list[Answer] = []
        # Sides that have nothing left for market orders: asking for each of thousands would take too long.
        dry: set[str] = set()
        for resting in list(self._waiting.values()):
            is_market = resting.order.order_type == "market"
            if is_market and resting.order.side in dry:
                continue
            self._leave(resting)
            answers += self._enter(resting, market)
            if is_market and resting.left:
                dry.add(resting.order.side)
        for resting in self._pegged_elsewhere(market):
            self._leave(resting)
            resting.sequence = self._next()
            answers += self._enter(resting, market)
        hears = self._hears(event.venue)
        for side, name in ((self._buys, "buy"), (self._sells, "sell")):
            if side.orders:
                answers += self._met(side, name, market)
                if hears:
                    side.advance(partial(market.displayed_at, name, venues=self._codes))
        return answers

    def _send_anew(self) -> None:
        """What rested until the close comes in again with the first quote, in its order."""
        resting = (*self._buys.orders, *self._sells.orders)
        for one in sorted(resting, key=lambda one: one.sequence):
            self._leave(one)
            self._waiting[one.order.order_id] = one

    def _pegged_elsewhere(self, market: SymbolMarket) -> list[Resting]:
        return [
            one
            for one in (*self._buys.orders, *self._sells.orders)
            if one.order.order_type == "pegged" and pegged_price(one.order, market) != one.price
        ]

    def _met(self, side: BookSide, name: str, market: SymbolMarket) -> list[Answer]:
        """Displayed size of the other side has come to our prices, at whatever venue: it would have met us."""
        other = market.ask if name == "buy" else market.bid
        best = side.orders[0].price
        if other is None or best is None or (other > best if name == "buy" else other < best):
            return []
        answers: list[Answer] = []
        for resting in list(side.orders):
            # Once for the order, as size ahead of it that two venues' quotes meet is met by one of them.
            ahead = resting.queue.ahead or 0
            for price, displayed, venue in market.levels(name):
                if resting.price is None or not resting.left:
                    break
                if price > resting.price if name == "buy" else price < resting.price:
                    break
                passed = 0
                if price == resting.price and not self._hears(venue):
                    passed = min(ahead, displayed)
                    ahead -= passed
                quantity = min(displayed - passed, resting.left)
                if not quantity:
                    continue
                market.take(name, price, venue, quantity)
                answers.append(self._filled(resting, quantity, resting.price, "added"))
            if resting.left and not resting.shown:
                self._replenish(resting, market)
        return answers

    def _on_trade(self, event: TradeEvent, market: SymbolMarket) -> list[Answer]:
        answers: list[Answer] = []
        if event.side != "buy" and self._buys.orders:
            answers += self._traded(self._buys, event, market)
        if event.side != "sell" and self._sells.orders:
            answers += self._traded(self._sells, event, market)
        return answers

    def _traded(self, side: BookSide, event: TradeEvent, market: SymbolMarket) -> list[Answer]:
        answers: list[Answer] = []
        is_buy = side is self._buys
        # Filled of this trade at its very price: those behind wait for it as for what is ahead.
        own = 0
        for resting in list(side.orders):
            price = resting.price
            if price is None or (price < event.price if is_buy else price > event.price):
                break
            if price == event.price:
                reached = max(resting.queue.on_trade(event.size) - own, 0)
            else:
                reached = market.trade_left
            quantity = min(reached, market.trade_left, resting.shown)
            if quantity <= 0:
                continue
            market.trade_left -= quantity
            own += quantity if price == event.price else 0
            answers.append(self._filled(resting, quantity, price, "added"))
            if resting.left and not resting.shown:
                self._replenish(resting, market)
        return answers

    def _replenish(self, resting: Resting, market: SymbolMarket) -> None:
        """The next slice of an iceberg goes behind all that is displayed."""
        price = resting.price
        self._leave(resting)
        resting.sequence = self._next()
        if price is not None:
            self._rest(resting, price, market)

    def _in_auction(self, event: TradeEvent, market: SymbolMarket) -> list[Answer]:
        """An auction's print: its orders are filled at its price, and what is left has ended."""
        answers: list[Answer] = []
        for resting in list(self._auctions.values()):
            order = resting.order
            if not joins(order.time_in_force, resting.auction_at, event, market, self._codes):
                continue
            quantity = min(resting.left, market.trade_left)
            if resting.accepts(event.price) and quantity > 0:
                market.trade_left -= quantity
                answers.append(self._filled(resting, quantity, event.price, "auction"))
            if resting.left:
                self._leave(resting)
                answers.append(self._ended(resting, "expired", "the auction is over"))
        return answers

    def _hears(self, venue: str) -> bool:
        return venue in self._codes if self._codes else venue not in OFF_EXCHANGE

    def _side(self, resting: Resting) -> BookSide:
        return self._buys if resting.order.is_buy else self._sells

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence

    def _leave(self, resting: Resting) -> None:
        """Out of the list that it is in."""
        order_id = resting.order.order_id
        if resting.price is not None:
            self._side(resting).remove(resting)
            resting.price = None
        elif resting.auction_at is not None:
            del self._auctions[order_id]
        else:
            self._waiting.pop(order_id, None)

    def _filled(self, resting: Resting, quantity: int, price: int, liquidity: str) -> Filled:
        resting.filled += quantity
        resting.shown = max(resting.shown - quantity, 0)
        if not resting.left:
            self._leave(resting)
            del self._orders[resting.order.order_id]
        fees = fee_of(self._model, quantity, price, liquidity, resting.order.time_in_force)
        return Filled(resting.order.order_id, quantity, price, liquidity, fees)

    def _ended(self, resting: Resting, report: str, reason: str | None) -> Told:
        """It is in no list any more."""
        del self._orders[resting.order.order_id]
        return Told(resting.order.order_id, report, reason)
