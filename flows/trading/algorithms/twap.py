"""Time-weighted average price: the same quantity in every slice of time."""

from itertools import pairwise
from typing import Any

from pydantic import Field

from flows.trading.algorithms.follower import Planned
from flows.trading.algorithms.parameters import PlannedParams
from flows.trading.algorithms.schedules import even_shares, jittered
from flows.trading.interfaces import Market


class TwapParams(PlannedParams):
    """Parameters of `Twap`.

    Parameters
    ----------
    jitter : float
        Greatest delay of a slice's order, as a share of the slice; the same for the same order, always.
    """

    jitter: float = Field(
        default=0.0, ge=0.0, le=0.9, allow_inf_nan=False, description="0 to 0.9 of a slice"
    )


class Twap(Planned):
    """Equal quantities at equal times, in order to get the time-weighted average price.

    Berkowitz, S., Logue, D. and Noser, E. (1988), "The total cost of transactions on the NYSE", Journal of Finance 43(1),
    97-112, for average prices as a benchmark; Kissell, R. (2013), "The Science of Algorithmic Trading and Portfolio
    Management", Academic Press, for the schedule.
    """

    name = "twap"
    params_type = TwapParams
    params: TwapParams

    def planned(self, market: Market, curve: Any, edges: list[int]) -> list[float]:
        """Even shares."""
        del market, curve
        return even_shares(len(edges) - 1)

    def begins(self, edges: list[int]) -> list[int]:
        """Each slice's beginning, and a delay that only the order's identifier decides; the first has none."""
        jitter = self.params.jitter
        return [
            begin + (int((end - begin) * jittered(at, self.order.order_id, jitter)) if at else 0)
            for at, (begin, end) in enumerate(pairwise(edges))
        ]
