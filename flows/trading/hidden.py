"""What a venue model hides: size at the mid that nobody displays, as much as is estimated from the tape.

Of every share that is displayed at the best price and would be met, the venue has h / (1 - h) hidden ones, where h
is the share of its volume that met hidden orders; where it displays none itself, its part of the whole
market's displayed size takes that place. A pool has as many as it trades at the mid for each share that exchanges
trade, at the very mid (half a tick, where that is: Rule 612 of Regulation NMS forbids to quote it, not to trade there).
Whole shares only. Used up by our own fills until the best prices change.
"""

from typing import Any

from flows.trading.estimates import Estimates, whole_shares
from flows.trading.interfaces import VenueModel
from flows.trading.symbol_market import SymbolMarket


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
        self._model = model if model is not None and model.hidden_share > 0 else None
        self._codes = codes
        self._minute: float | None = None
        self._ratio, self._share = 0.0, 0.0
        self._at: tuple[int | None, int | None] = (None, None)
        self._used = 0

    def offer(self, side: str, market: SymbolMarket) -> tuple[int, int] | None:
        """Price and size left, to buy (or to sell); None where there is none better than the best displayed."""
        bid, ask = market.bid, market.ask
        price = self._better(side, market)
        if self._model is None or price is None:
            return None
        self._learn(self._model, market)
        best = ask if side == "buy" else bid
        levels = [level for level in market.levels(side) if level[0] == best]
        own = sum(size for _, size, venue in levels if venue in self._codes)
        displayed = own or whole_shares(sum(size for _, size, _ in levels), self._share)
        left = whole_shares(displayed, self._ratio) - (self._used if self._at == (bid, ask) else 0)
        return (price, left) if left > 0 else None

    def may_offer(self, side: str, market: SymbolMarket) -> bool:
        """Whether there may be any, however much is displayed and was taken."""
        return self._better(side, market) is not None

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

    def _better(self, side: str, market: SymbolMarket) -> int | None:
        """The price of hidden size; None where that is none better than the best displayed."""
        bid, ask = market.bid, market.ask
        if self._model is None or bid is None or ask is None:
            return None
        is_buy = side == "buy"
        price = self._price(bid + ask, market.tick, is_buy=is_buy)
        return None if (price >= ask if is_buy else price <= bid) else price

    def _price(self, twice_mid: int, tick: int, *, is_buy: bool) -> int:
        if self._model is not None and not self._model.is_displayed:
            return twice_mid // 2
        # Away from us to the tick, so that nobody gives more than the mid.
        return (-(-twice_mid // (2 * tick)) if is_buy else twice_mid // (2 * tick)) * tick

    def _learn(self, model: VenueModel, market: SymbolMarket) -> None:
        """Ask what is expected of the venue, once a minute."""
        seen = market.seen
        if seen.minute == self._minute:
            return
        self._minute = seen.minute
        estimates = Estimates(seen)
        if model.is_displayed:
            venue = estimates.of(model, self._codes)
            self._share = venue.volume_share
            self._ratio = venue.hidden_share / (1.0 - venue.hidden_share)
        else:
            self._share, self._ratio = 1.0, estimates.midpoint_ratio(model)[0]
