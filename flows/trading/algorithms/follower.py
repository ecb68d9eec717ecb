"""Algorithms that follow a target: what ought to be done by now rests passively, and crosses where it is behind.

A plan gives times, and what is to be done by the end of each slice between them. In a slice its quantity rests at
the own side's best price; what is not filled when the slice is over crosses the spread, at the other side's best
price and no deeper, until the plan is caught up with. In style ``cross`` a slice's quantity crosses at once.
"""

from abc import abstractmethod
from bisect import bisect_right
from typing import Any

from flows.trading.algorithms.parameters import PlannedParams
from flows.trading.algorithms.schedules import target_quantity
from flows.trading.algorithms.worked import Worked
from flows.trading.interfaces import Action, Market


class TargetFollower(Worked):
    """Keeps up with a target: ``due`` has to be done by now, and up to ``ahead`` may be worked on; scaled."""

    due = 0
    ahead = 0

    @property
    @abstractmethod
    def crosses(self) -> bool:
        """Whether it takes at once what is to be done."""

    def pursue(self, market: Market) -> list[Action]:
        """Cross where it is behind; otherwise rest with what may be worked on."""
        if (self.ahead if self.crosses else self.due) > self.filled:
            return self._caught_up(market)
        quantity = self.ahead - self.filled - self.working
        if self.crosses or quantity <= 0 or not self.may_send(market):
            return []
        price = self.near(market)
        return self.waits(market) if price is None else self.sends(quantity, price)

    def own_saved(self) -> Any:
        """See `Worked.own_saved`."""
        return [str(self.due), str(self.ahead)]

    def own_restore(self, saved: Any) -> None:
        """See `Worked.own_restore`."""
        self.due, self.ahead = map(int, saved)

    def _caught_up(self, market: Market) -> list[Action]:
        behind = (self.ahead if self.crosses else self.due) - self.filled
        if self.children:
            # Those that rest make way; on their end this is called again.
            far = self.far(market)
            resting = [
                number
                for number, child in self.children.items()
                if far is None or child.limit is None or not self._reaches(child.limit, far)
            ]
            return self.cancelled(resting) if far is not None else []
        if not self.may_send(market):
            return []
        price = self.far(market)
        if price is None:
            return self._rests_meanwhile(behind, market)
        return self.sends(behind, price, time_in_force="ioc")

    def _rests_meanwhile(self, quantity: int, market: Market) -> list[Action]:
        """The other side is beyond the limit, or not there: rest at the limit or the own side, and wait."""
        price = self.near(market)
        if price is None or self.crosses:
            return self.waits(market)
        return self.sends(quantity, price)

    def _reaches(self, limit: int, far: int) -> bool:
        return limit >= far if self.order.is_buy else limit <= far


class Planned(TargetFollower):
    """Follows a plan that is known when it begins.

    Parameters
    ----------
    order, params
        As for `Worked`.
    """

    params_type = PlannedParams
    params: PlannedParams

    def __init__(self, order: Any, params: Any) -> None:
        super().__init__(order, params)
        # Up to where each slice lasts, and what share is to be done by then.
        self.times: list[int] = []
        self.shares: list[float] = []
        self.slice_at = -1
        # A replacement plans what is left anew: from this share on, this much was filled.
        self.base_share = 0.0
        self.base_filled = 0

    @abstractmethod
    def planned(self, market: Market, curve: Any, edges: list[int]) -> list[float]:
        """Share of the whole that is to be done by the end of each slice; edges are one more than slices."""

    @property
    def crosses(self) -> bool:
        """See `TargetFollower`."""
        return self.params.style == "cross"

    def plan(self, market: Market, curve: Any) -> None:
        """Cut the time into slices."""
        slices = self.params.slices
        length = (self.end_at or market.now) - market.now
        edges = [market.now + length * at // slices for at in range(slices + 1)]
        self.shares = self.planned(market, curve, edges)
        self.times = self.begins(edges)
        self.on_step(market)

    def begins(self, edges: list[int]) -> list[int]:
        """When the order of each slice goes out."""
        return edges[:-1]

    def on_step(self, market: Market) -> None:
        """Take the target of the slice that time has come to."""
        at = bisect_right(self.times, market.now) - 1
        if at > self.slice_at:
            self.slice_at = at
            self._aim(market)

    def next_step(self) -> int | None:
        """When the next slice begins."""
        following = self.slice_at + 1
        return self.times[following] if following < len(self.times) else None

    def on_changed(self, market: Market) -> None:
        """Plan what is left anew over the rest of the plan."""
        self.base_share = self._share(self.slice_at - 1)
        self.base_filled = self.filled
        self._aim(market)

    def own_saved(self) -> Any:
        """See `Worked.own_saved`."""
        plan = [self.times, self.shares, self.slice_at, self.base_share, str(self.base_filled)]
        return [super().own_saved(), plan]

    def own_restore(self, saved: Any) -> None:
        """See `Worked.own_restore`."""
        targets, plan = saved
        super().own_restore(targets)
        self.times, self.shares, self.slice_at, self.base_share, filled = plan
        self.base_filled = int(filled)

    def _aim(self, market: Market) -> None:
        step = self.step(market)
        self.due = self._target(self.slice_at - 1, step)
        self.ahead = self._target(self.slice_at, step)

    def _target(self, at: int, step: int) -> int:
        left = 1.0 - self.base_share
        share = (self._share(at) - self.base_share) / left if left > 0 else 1.0
        whole = max(self.order.quantity - self.base_filled, 0)
        return self.base_filled + target_quantity(whole, share, step)

    def _share(self, at: int) -> float:
        return self.shares[at] if at >= 0 else 0.0
