"""Nights: whether a market was closed since it was looked at last, over which no order keeps its place at a venue.

Exchanges of shares keep no orders over night: brokers send those that last anew each morning, where they are filled at what
the market is then. One that stayed in its queue would be filled at its own price, however far that has been left behind.
"""

from flows.trading.symbol_market import SymbolMarket
from schemas.sessions import DAY_NS


class Nights:
    """The close of the session that was open when the market was looked at last; None before that.

    Where one session follows the next without a pause, as of coins, there are no nights.
    """

    def __init__(self) -> None:
        self.close: int | None = None

    def has_passed(self, market: SymbolMarket) -> bool:
        """Whether one has passed since this was asked last."""
        opening, close = market.hours.session(market.now)
        before, self.close = self.close, close
        return before is not None and before < opening and close - opening < DAY_NS
