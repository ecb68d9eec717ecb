"""Volume-weighted average price: as much of the order in every slice as the market usually trades then."""

from typing import Any

from flows.trading.algorithms.follower import Planned
from flows.trading.algorithms.schedules import curve_shares, even_shares
from flows.trading.algorithms.volume_curves import curve_weights
from flows.trading.interfaces import Market


class Vwap(Planned):
    """Quantities that follow the usual course of the volume over the day, in order to get the market's average price.

    Konishi, H. (2002), "Optimal slice of a VWAP trade", Journal of Financial Markets 5(2), 197-221: where volume is
    independent of price, to follow the expected share of the day's volume is optimal. The course is the mean of earlier
    days' (`flows.trading.algorithms.volume_curves`); it is flat where no day is known, and the report says so.
    """

    name = "vwap"

    def planned(self, market: Market, curve: Any, edges: list[int]) -> list[float]:
        """Shares of the usual volume between the edges."""
        del market
        if curve is None:
            self.notes.append("volume curve: flat, no earlier day is known")
            return even_shares(len(edges) - 1)
        weights = curve_weights(curve["shares"], edges)
        if not sum(weights) > 0:
            self.notes.append("volume curve: flat, earlier days had no volume at this time of day")
        else:
            self.notes.append(f"volume curve: mean of {curve['days']} earlier days")
        return curve_shares(weights)
