"""What all desks of a shard share: bounds, models of venues, the router, algorithms, and rows to be emitted."""

import importlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import islice
from typing import Any

from flows.instruments import Instrument
from flows.trading.broker import BrokerVenue
from flows.trading.interfaces import CONSOLIDATED, Algorithm, Curves, RouterBase, Venue
from flows.trading.outbox import Outbox
from flows.trading.paper import PaperVenue
from flows.trading.past_parts import PastPart
from flows.trading.sent_orders import SentOrders
from flows.trading.symbol_market import SymbolMarket
from flows.trading.working import Working

# Rows of instructions that are kept, filled or not, while some of their batch are on their way.
_MOST_ROWS = 131_072


class Context:
    """What all desks share.

    Parameters
    ----------
    brokers : tuple of str
        Venues that are outside brokers.
    smart_routing : bool
        Whether the router chooses venues, or all goes to the one paper market.
    max_orders : int
        How many orders are worked at once.
    max_ended : int
        Of how many ended orders it is remembered how far their numbers went, and of how many parts that were at
        brokers what they were of; the oldest are forgotten.
    """

    def __init__(
        self, *, brokers: tuple[str, ...], smart_routing: bool, max_orders: int, max_ended: int
    ) -> None:
        self.outbox = Outbox()
        self.curves: Curves | None = None
        self.brokers = brokers
        self.smart_routing = smart_routing
        self.max_orders = max_orders
        self.working = 0
        self.flying: dict[str, SentOrders] = {}
        """Orders on their way that no desk works (`flows.trading.in_flight`)."""
        self._sent: list[SentOrders] = []
        # As a dict is, but its first is found at once however many were taken out before it.
        self.ended: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        # By the broker's identifier; the oldest first.
        self.past_parts: OrderedDict[str, PastPart] = OrderedDict()
        self._max_ended = max_ended
        self._routers: dict[str, RouterBase] = {}

    def router(self, market: SymbolMarket) -> RouterBase:
        """The router for a symbol's kind of instrument."""
        found = self._routers.get(market.instrument_type)
        if found is None:
            # Later than at the start: a desk without orders needs none of it.
            routing = importlib.import_module("flows.trading.routing")
            found = self._routers[market.instrument_type] = routing.Router(market.instrument_type)
        return found

    def algorithms(self) -> Mapping[str, type[Algorithm]]:
        """All algorithms by name."""
        found: Mapping[str, type[Algorithm]] = importlib.import_module(
            "flows.trading.algorithms"
        ).ALGORITHMS
        return found

    def canonical(self, venue: str, market: SymbolMarket) -> str:
        """A venue's one name."""
        if venue == CONSOLIDATED or venue in self.brokers:
            return venue
        model = _model(venue, market)
        known = venue in (model.venue, *model.tape) or venue.upper() in (model.venue, *model.tape)
        return str(model.venue) if known else venue

    def venue_refusal(self, venue: str, market: SymbolMarket) -> str | None:
        """Why there is no such venue; None if there is: it has a model, or market data name it."""
        if venue in market.venue_names or self.canonical(venue, market) != venue:
            return None
        known = venue == CONSOLIDATED or venue in self.brokers
        if known or _model(venue, market).venue == venue:
            return None
        return f"there is no venue {venue!r}: no model and no market data name it"

    def new_venue(
        self,
        venue: str,
        market: SymbolMarket,
        tell: Callable[[str, str, str, dict[str, Any]], None],
    ) -> Venue[SymbolMarket]:
        """A venue's book of a symbol."""
        if venue == CONSOLIDATED:
            return PaperVenue(venue, None, ())
        if venue in self.brokers:
            return BrokerVenue(venue, partial(tell, venue))
        model = _model(venue, market)
        if model.venue != venue:
            return PaperVenue(venue, model, (venue,))
        names = (venue, *model.tape)
        # Market data may have them in small letters, which `venue_model` takes for the same.
        return PaperVenue(venue, model, (*names, *(name.lower() for name in names)))

    def listing(self, instrument: Instrument | None) -> tuple[str, ...]:
        """Names of the venue that lists an instrument, as market data may have them; none if not known."""
        if instrument is None or instrument.venue is None:
            return ()
        model = importlib.import_module("flows.trading.routing").venue_model(
            instrument.venue, instrument.type
        )
        return (instrument.venue, str(model.venue), *model.tape)

    def keep_sent(self, sent: SentOrders) -> None:
        """Keep a batch's orders that are on their way; of the oldest batches they go to their desks."""
        self._sent = [one for one in self._sent if one.count]
        self._sent.append(sent)
        rows = sum(len(one.ids) for one in self._sent)
        while rows > _MOST_ROWS and len(self._sent) > 1:
            oldest = self._sent.pop(0)
            rows -= len(oldest.ids)
            oldest.all_given_back()

    def remember(self, working: Working) -> None:
        """Keep how far an order's numbers went, for what is still said of it."""
        numbers = (
            working.reports,
            working.executions,
            working.decisions,
            working.slices_made,
            working.filled,
        )
        self.remember_numbers(working.order.order_id, numbers)

    def remember_numbers(self, order_id: str, numbers: tuple[int, int, int, int, int]) -> None:
        """The same by an order's numbers of reports, executions, decisions and parts, and by what was filled."""
        self.ended[order_id] = numbers
        self.ended.move_to_end(order_id)
        if len(self.ended) > self._max_ended:
            self.ended.popitem(last=False)

    def remember_all(
        self, order_ids: list[str], numbers: Iterable[tuple[int, int, int, int, int]]
    ) -> None:
        """The same of orders that none of those known is."""
        ended = self.ended
        past = len(order_ids) - self._max_ended
        for _ in range(min(len(ended) + past, len(ended))):
            ended.popitem(last=False)
        ended.update(islice(zip(order_ids, numbers, strict=True), max(past, 0), None))

    def remember_part(self, broker_order_id: str, part: PastPart) -> None:
        """Keep what a part was of that has ended at its broker."""
        self.past_parts[broker_order_id] = part
        if len(self.past_parts) > self._max_ended:
            self.past_parts.popitem(last=False)

    def recall(self, working: Working, *, filled: bool) -> None:
        """Go on with an order's numbers where it was known; with what it had filled, if that is asked."""
        known = self.ended.get(working.order.order_id)
        if known is not None:
            working.reports, working.executions, working.decisions, working.slices_made = known[:4]
            working.filled = known[4] if filled else 0


def _model(venue: str, market: SymbolMarket) -> Any:
    return importlib.import_module("flows.trading.routing").venue_model(
        venue, market.instrument_type
    )


def new_curves(saved: Any) -> Curves:
    """What algorithms learn of bars."""
    found: Curves = importlib.import_module("flows.trading.algorithms").VolumeCurves(saved)
    return found
