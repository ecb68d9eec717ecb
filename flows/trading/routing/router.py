"""Smart order routing: over which venues an order is spread, and the evidence why.

An order that takes goes through what is displayed from the best price on, and never leaves a displayed quote behind to
trade at a worse price (Rule 611 of Regulation NMS, 17 CFR 242.611: protected quotes are not traded through; the parts
are sent at once, as intermarket sweep orders are). Where venues display the same price the expected cost decides,
then the larger size, then the name. What is not displayed, and an order that does not cross, goes to rest where
that is expected to cost least, and where trades of the symbol were seen before it goes where none were. Before it takes
what is displayed, an order that has just come tries a pool at the mid with as much as the pool is estimated to hide, if that
with all that follows from trying is expected to cost less than the cheapest displayed quote; the rest is sent at the same
time. What is expected of venues is learned from the tape (`flows.trading.estimates`). Nothing depends on the order in which venues or quotes are given.
"""

from flows.trading.estimates import Conditions
from flows.trading.interfaces import CONSOLIDATED, Decision, Market, Order, RouterBase
from flows.trading.routing.candidates import Ranking
from flows.trading.routing.costs import Quoted
from flows.trading.routing.sweep import TAKES, Sweep

_RESTS = "rests where queue, volume and fee make it cheapest"
_BEHIND = "all that is displayed within the limit is used up: the rest waits here"
_UNKNOWN = "no venue quotes the symbol: the market as a whole stands for them"


class Router(RouterBase):
    """Chooses venues by expected cost.

    Parameters
    ----------
    instrument_type : str
        As in ``instruments``: what venues are taken for that are not in the table.
    conditions : Conditions
        What is assumed of the markets, until the tape has shown enough.
    """

    def __init__(self, instrument_type: str, conditions: Conditions | None = None) -> None:
        self._ranking = Ranking(instrument_type, conditions or Conditions())

    def route(self, order: Order, market: Market, *, is_new: bool = True) -> list[Decision]:
        """Where the order goes; see `RouterBase.route`."""
        quoted = Quoted(order.is_buy, market.bid, market.ask)
        if order.order_type == "pegged":
            price = _pegged_price(order, market)
            return [self._rested(market, quoted, price, order.quantity)]
        other = quoted.ask if order.is_buy else quoted.bid
        if order.limit_price is not None and (other is None or _is_beyond(other, order)):
            return [self._rested(market, quoted, order.limit_price, order.quantity)]
        sweep = Sweep(self._ranking, market, quoted)
        parts, left, candidates = sweep.parts(order.quantity, order.limit_price, is_new=is_new)
        decisions = [
            Decision(
                venue=one.venue,
                quantity=one.quantity,
                immediate=True,
                reason=one.reason,
                candidates=one.candidates.text,
                expected_cost=one.expected_cost,
            )
            for one in parts
        ]
        taken = [one for one in parts if one.reason == TAKES]
        if left and taken and (order.limit_price is None or order.time_in_force == "ioc"):
            # It does not rest: what is not displayed goes where most was, for what is behind or comes next.
            most = max(taken, key=lambda one: (one.quantity, one.venue))
            decisions.append(
                Decision(
                    venue=most.venue,
                    quantity=left,
                    immediate=False,
                    reason=_BEHIND,
                    candidates=candidates.text,
                    expected_cost=most.expected_cost,
                )
            )
        elif left:
            price = order.limit_price or _next_price(order, market)
            decisions.append(self._rested(market, quoted, price, left))
        return decisions

    def sweep(self, market: Market, *, is_buy: bool) -> Sweep:
        """What new orders of a side would take, for as long as the market stands as it does now."""
        return Sweep(self._ranking, market, Quoted(is_buy, market.bid, market.ask))

    def _rested(self, market: Market, quoted: Quoted, price: int | None, quantity: int) -> Decision:
        if price is None:
            return Decision(venue=CONSOLIDATED, quantity=quantity, immediate=False, reason=_UNKNOWN)
        expected = self._ranking.expected(market)
        resting = self._ranking.resting(market.touches(), price, quoted, expected)
        if not resting.ranked:
            return Decision(venue=CONSOLIDATED, quantity=quantity, immediate=False, reason=_UNKNOWN)
        best = resting.ranked[0]
        return Decision(
            venue=best.place.model.venue,
            quantity=quantity,
            immediate=False,
            reason=_RESTS,
            candidates=resting.text,
            expected_cost=best.place.total if quoted.mid is not None else None,
        )


def _is_beyond(price: int, order: Order) -> bool:
    if order.limit_price is None:
        return False
    return price > order.limit_price if order.is_buy else price < order.limit_price


def _next_price(order: Order, market: Market) -> int | None:
    """Where a market order may trade next: the other side's best, else its own, else the last price."""
    sides = (market.ask, market.bid) if order.is_buy else (market.bid, market.ask)
    return next((price for price in (*sides, market.last) if price is not None), None)


def _pegged_price(order: Order, market: Market) -> int | None:
    """About where a pegged order rests: at its own side, or between."""
    near, far = (market.bid, market.ask) if order.is_buy else (market.ask, market.bid)
    if order.peg == "mid" and near is not None and far is not None:
        return (near + far) // 2
    return near if near is not None else order.limit_price
