"""Percent of volume: never more than a share of what the market has traded since."""

from typing import Any, Literal

from pydantic import Field

from flows.trading.algorithms.follower import TargetFollower
from flows.trading.algorithms.parameters import SECOND_NS, AlgorithmParams
from flows.trading.interfaces import Market, MarketEvent, TradeEvent

_PPM = 1_000_000


class PovParams(AlgorithmParams):
    """Parameters of `PercentOfVolume`.

    Parameters
    ----------
    rate : float
        Greatest share of the market's volume since it began.
    interval_seconds : float
        How often it looks: what was resting longer than that crosses the spread.
    style : {"passive", "cross"}
        Whether it rests first, or crosses at once.
    """

    rate: float = Field(
        gt=0, le=1, allow_inf_nan=False, description="above 0, up to 1, in steps of a millionth"
    )
    interval_seconds: float = Field(
        default=10.0, ge=0.1, le=3_600, allow_inf_nan=False, description="0.1 to 3600"
    )
    style: Literal["passive", "cross"] = Field(default="passive", description="passive or cross")
    # To complete at the end would be to trade more than the share that was asked for.
    completion: Literal["cross", "leave"] = Field(
        default="leave", description="cross or leave what is left at the end"
    )


class PercentOfVolume(TargetFollower):
    """Takes part in the market's volume at a rate, whatever that volume is.

    Kissell, R. (2013), "The Science of Algorithmic Trading and Portfolio Management", Academic Press: a participation
    schedule with a rate as cap. The volume is that of the tape, which our own paper fills are not in.
    """

    name = "pov"
    params_type = PovParams
    params: PovParams

    def __init__(self, order: Any, params: Any) -> None:
        super().__init__(order, params)
        self.volume = 0
        self.look_at = 0

    @property
    def crosses(self) -> bool:
        """See `TargetFollower`."""
        return self.params.style == "cross"

    def plan(self, market: Market, curve: Any) -> None:
        """Nothing has been traded yet."""
        del curve
        self._look_again(market)

    def on_market(self, event: MarketEvent, market: Market) -> bool:
        """Count the volume; it is acted upon when it is time to look."""
        del market
        if isinstance(event, TradeEvent):
            self.volume += event.size
        return False

    def on_step(self, market: Market) -> None:
        """What was worked on is due, and what was traded meanwhile may be worked on."""
        if market.now < self.look_at:
            return
        self.due = self.ahead
        self._aim(market)
        self._look_again(market)

    def next_step(self) -> int | None:
        """When it looks again."""
        return self.look_at

    def on_changed(self, market: Market) -> None:
        """A smaller order caps the targets."""
        self._aim(market)
        self.due = min(self.due, self.ahead)

    def own_saved(self) -> Any:
        """See `Worked.own_saved`."""
        return [super().own_saved(), str(self.volume), self.look_at]

    def own_restore(self, saved: Any) -> None:
        """See `Worked.own_restore`."""
        targets, volume, self.look_at = saved
        super().own_restore(targets)
        self.volume = int(volume)

    def _aim(self, market: Market) -> None:
        step = self.step(market)
        allowed = self.volume * round(self.params.rate * _PPM) // _PPM
        self.ahead = min(allowed // step * step, self.order.quantity)
        if allowed >= self.order.quantity:
            self.ahead = self.order.quantity

    def _look_again(self, market: Market) -> None:
        self.look_at = market.now + int(self.params.interval_seconds * SECOND_NS)
