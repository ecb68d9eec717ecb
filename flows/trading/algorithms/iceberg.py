"""Iceberg: only a part of the order is to be seen at a time."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pydantic import Field

from flows.trading.algorithms.parameters import LARGEST, AlgorithmParams, scaled
from flows.trading.algorithms.schedules import jittered
from flows.trading.algorithms.worked import Worked
from flows.trading.interfaces import Action, Market, MarketEvent, Order, QuoteEvent, Replace


class IcebergParams(AlgorithmParams):
    """Parameters of `Iceberg`.

    Parameters
    ----------
    display_quantity : Decimal, optional
        How much is shown at a time; the order's own where not given.
    variation : float
        By how much a clip may be smaller, as a share of it, so that equal clips do not give it away.
    """

    display_quantity: Decimal | None = Field(
        default=None, gt=0, lt=LARGEST, allow_inf_nan=False, description="above 0"
    )
    variation: float = Field(
        default=0.0, ge=0.0, le=0.9, allow_inf_nan=False, description="0 to 0.9 of a clip"
    )


class Iceberg(Worked):
    """Shows a clip at a time at the limit; without a limit at its own side's best price, which it follows.

    Esser, A. and Moench, B. (2007), "The navigation of an iceberg: the optimal use of hidden orders", Finance Research
    Letters 4(2), 68-81. Each clip is an order of its own, so that it queues behind what stood there before, as at the
    exchanges.
    """

    name = "iceberg"
    params_type = IcebergParams
    params: IcebergParams
    ends_with_session = False

    @classmethod
    def check(cls, order: Order, params: Mapping[str, Any]) -> str | None:
        """See `Worked.check`; some display quantity is needed."""
        wrong = super().check(order, params)
        if wrong is None and order.display_quantity is None and "display_quantity" not in params:
            return (
                "parameters of iceberg: display_quantity is needed, here or in the order (above 0)"
            )
        return wrong

    def plan(self, market: Market, curve: Any) -> None:
        """There is nothing to plan."""

    def on_market(self, event: MarketEvent, market: Market) -> bool:
        """Whether the price that it follows has moved away from the clip."""
        if self.order.limit_price is not None or not isinstance(event, QuoteEvent):
            return False
        near = self.near(market)
        return near is not None and any(
            child.limit != near and not child.is_ending for child in self.children.values()
        )

    def pursue(self, market: Market) -> list[Action]:
        """Show the next clip, or move the one that is shown."""
        limit = self.order.limit_price
        price = self.near(market) if limit is None else limit
        if price is None:
            return self.waits(market)
        if self.children:
            return self._moved(price)
        if not self.may_send(market):
            return []
        return self.sends(self._clip(market), price)

    def _moved(self, price: int) -> list[Action]:
        actions: list[Action] = []
        for number, child in self.children.items():
            if child.limit != price and not child.is_ending:
                child.limit = price
                actions.append(Replace(number=number, quantity=child.quantity, limit_price=price))
        return actions

    def _clip(self, market: Market) -> int:
        shown = self.params.display_quantity
        clip = self.order.display_quantity if shown is None else scaled(shown)
        if clip is None:
            return self.left
        smaller = jittered(self.filled, self.order.order_id, self.params.variation)
        step = self.step(market)
        return max(int(clip * (1.0 - smaller)) // step * step, min(step, clip)) if smaller else clip
