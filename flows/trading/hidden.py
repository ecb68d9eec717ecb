"""What a venue model hides: size at the mid that nobody displays, as much as its model's share says.

Of every share that is displayed at the best price and would be met, the venue has h / (1 - h) hidden ones, where h
is the share of its volume that met hidden orders; where it displays none itself, its part of the whole
market's displayed size takes that place. Whole shares only. Used up by our own fills until the best prices change.
"""

from typing import Any

from flows.orders.money import ONE
from flows.trading.interfaces import VenueModel
from flows.trading.symbol_market import SymbolMarket

_MILLION = 1_000_000

# A share of one would hide endless size: a pool that displays nothing is known by its part of the volume.
_LARGEST_RATIO = 4 * _MILLION


class Hidden:
    """Hidden size of a venue.

    Parameters
    ----------
    model : VenueModel or None
        None hides nothing.
    codes : tuple of str
        The venue's names in market data.
    """

    def __init__(self, model: VenueModel | None, codes: tuple[str, ...]) -> None:
        self._codes = codes
        self._ratio, self._part = 0, 0
        if model is not None and model.hidden_share > 0:
            shown = 1.0 - model.hidden_share
            ratio = model.hidden_share / shown if shown > 0 else float(_LARGEST_RATIO)
            self._ratio = min(round(ratio * _MILLION), _LARGEST_RATIO)
            self._part = round(model.volume_share * _MILLION)
        self._at: tuple[int | None, int | None] = (None, None)
        self._used = 0

    def offer(self, side: str, market: SymbolMarket) -> tuple[int, int] | None:
        """Price and size left, to buy (or to sell); None where there is none better than the best displayed."""
        bid, ask = market.bid, market.ask
        if not self._ratio or bid is None or ask is None:
            return None
        is_buy = side == "buy"
        middle = bid + ask
        # Away from us to the tick, so that nobody gives more than the mid.
        ticks = -(-middle // (2 * market.tick)) if is_buy else middle // (2 * market.tick)
        price = ticks * market.tick
        if price >= ask if is_buy else price <= bid:
            return None
        best = ask if is_buy else bid
        levels = market.levels(side)
        own = sum(size for at, size, venue in levels if at == best and venue in self._codes)
        displayed = (
            own or sum(size for at, size, _ in levels if at == best) * self._part // _MILLION
        )
        size = displayed * self._ratio // _MILLION // ONE * ONE
        left = size - (self._used if self._at == (bid, ask) else 0)
        return (price, left) if left > 0 else None

    def take(self, market: SymbolMarket, quantity: int) -> None:
        """Note that so much of it was taken."""
        at = (market.bid, market.ask)
        self._used = quantity + (self._used if self._at == at else 0)
        self._at = at

    def saved(self) -> list[Any]:
        """As JSON values."""
        return [*self._at, self._used]

    def restore(self, saved: list[Any]) -> None:
        """Take over what `saved` gave."""
        bid, ask, self._used = saved
        self._at = (bid, ask)
