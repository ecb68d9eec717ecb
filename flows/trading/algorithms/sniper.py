"""Sniper: lies in wait, shows nothing, and takes what is displayed when price and size are right."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from flows.trading.algorithms.parameters import LARGEST, SECOND_NS, AlgorithmParams, scaled
from flows.trading.algorithms.worked import Worked
from flows.trading.interfaces import Action, Market, MarketEvent, Order, QuoteEvent


class SniperParams(AlgorithmParams):
    """Parameters of `Sniper`.

    Parameters
    ----------
    price : Decimal, optional
        Worst price that it takes; the order's limit where not given, or where that is better.
    min_size : Decimal
        It takes only where so much is displayed at good prices.
    max_size : Decimal, optional
        How much it takes at a time; all that is displayed where not given.
    max_spread_bps : float, optional
        It takes only while the spread is no wider, basis points of the mid.
    pause_seconds : float
        How long it hides again after it took.
    """

    price: Decimal | None = Field(
        default=None, gt=0, lt=LARGEST, allow_inf_nan=False, description="above 0"
    )
    min_size: Decimal = Field(
        default=Decimal(0), ge=0, lt=LARGEST, allow_inf_nan=False, description="0 or above"
    )
    max_size: Decimal | None = Field(
        default=None, gt=0, lt=LARGEST, allow_inf_nan=False, description="above 0"
    )
    max_spread_bps: float | None = Field(
        default=None, gt=0, le=1e4, allow_inf_nan=False, description="above 0, up to 10000"
    )
    pause_seconds: float = Field(
        default=1.0, ge=0.0, le=86_400, allow_inf_nan=False, description="0 to 86400"
    )
    # To cross at any price at the end is what it is not for.
    completion: Literal["cross", "leave"] = Field(
        default="leave", description="cross or leave what is left at the end"
    )


class Sniper(Worked):
    """Takes displayed liquidity, and only that, whenever its conditions hold.

    Johnson, B. (2010), "Algorithmic Trading and DMA", 4Myeloma Press, chapter 5: liquidity-driven algorithms.
    """

    name = "sniper"
    params_type = SniperParams
    params: SniperParams
    ends_with_session = False

    def __init__(self, order: Order, params: Mapping[str, Any]) -> None:
        super().__init__(order, params)
        self.hidden_until = 0

    @classmethod
    def check(cls, order: Order, params: Mapping[str, Any]) -> str | None:
        """See `Worked.check`; some price is needed."""
        wrong = super().check(order, params)
        if wrong is None and order.limit_price is None and "price" not in params:
            return "parameters of sniper: price is needed, here or as the order's limit (above 0)"
        return wrong

    def plan(self, market: Market, curve: Any) -> None:
        """There is nothing to plan."""

    def on_market(self, event: MarketEvent, market: Market) -> bool:
        """Whether a quote may have brought what it waits for."""
        return (
            isinstance(event, QuoteEvent)
            and not self.children
            and market.now >= self.hidden_until
            and self._is_near(market)
        )

    def pursue(self, market: Market) -> list[Action]:
        """Take what is displayed, if it is right."""
        if self.children or market.now < self.hidden_until or not self.may_send(market):
            return []
        price = self._worst()
        if price is None or not self._is_near(market) or self._is_wide(market):
            return []
        size = sum(
            left
            for level, left, _ in market.levels(self.order.side)
            if (level <= price if self.order.is_buy else level >= price)
        )
        if size <= 0 or size < scaled(self.params.min_size):
            return []
        most = self.params.max_size
        quantity = size if most is None else min(size, scaled(most))
        self.hidden_until = market.now + int(self.params.pause_seconds * SECOND_NS)
        return self.sends(quantity, price, time_in_force="ioc")

    def own_saved(self) -> Any:
        """See `Worked.own_saved`."""
        return self.hidden_until

    def own_restore(self, saved: Any) -> None:
        """See `Worked.own_restore`."""
        self.hidden_until = saved

    def _worst(self) -> int | None:
        own, limit = self.params.price, self.order.limit_price
        if own is None:
            return limit
        price = scaled(own)
        if limit is None:
            return price
        return min(price, limit) if self.order.is_buy else max(price, limit)

    def _is_near(self, market: Market) -> bool:
        """Whether the other side's best price is good enough."""
        price = self._worst()
        best = market.ask if self.order.is_buy else market.bid
        if price is None or best is None:
            return False
        return best <= price if self.order.is_buy else best >= price

    def _is_wide(self, market: Market) -> bool:
        most, bid, ask = self.params.max_spread_bps, market.bid, market.ask
        if most is None:
            return False
        if bid is None or ask is None:
            return True
        return (ask - bid) * 20_000 > most * (ask + bid)
