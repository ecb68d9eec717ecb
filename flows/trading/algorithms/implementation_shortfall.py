"""Implementation shortfall: the trajectory that weighs the cost of haste against the risk of waiting."""

from typing import Any

from pydantic import Field

from flows.trading.algorithms.follower import Planned
from flows.trading.algorithms.parameters import SECOND_NS, PlannedParams
from flows.trading.algorithms.schedules import almgren_chriss_kappa, almgren_chriss_shares
from flows.trading.interfaces import ONE, Market

_DEFAULT_VOLATILITY = 0.02
"""A day, of a stock of which nothing is known: about 30 percent a year."""

_IMPACT_VOLUME = 0.01
"""Almgren and Chriss: to trade one percent of the daily volume moves the price by one spread while it lasts."""

_DEFAULT_SESSION_SECONDS = 23_400.0


class ImplementationShortfallParams(PlannedParams):
    """Parameters of `ImplementationShortfall`.

    Parameters
    ----------
    risk_aversion : float
        lambda of Almgren and Chriss, per unit of money.
    volatility : float, optional
        A day, as a share of the price; estimated from earlier days' bars where not given.
    impact : float, optional
        eta: money a share per share a second; estimated from spread and volume where not given.
    half_life_seconds : float, optional
        1 / kappa, in place of all of these.
    """

    risk_aversion: float = Field(
        default=1e-6, ge=0, le=1e6, allow_inf_nan=False, description="0 to 1e6, per unit of money"
    )
    volatility: float | None = Field(
        default=None, gt=0, le=10, allow_inf_nan=False, description="a day, above 0, up to 10"
    )
    impact: float | None = Field(
        default=None, gt=0, le=1e6, allow_inf_nan=False, description="above 0"
    )
    half_life_seconds: float | None = Field(
        default=None, gt=0, le=1e7, allow_inf_nan=False, description="above 0, up to 1e7"
    )


class ImplementationShortfall(Planned):
    """The optimal trajectory of Almgren and Chriss: fast first, the more so the dearer it is to wait.

    Almgren, R. and Chriss, N. (2000), "Optimal execution of portfolio transactions", Journal of Risk 3(2), 5-39, equations
    17 and 20; temporary impact as in their section 3.4: one percent of the daily volume costs one spread.
    """

    name = "implementation_shortfall"
    params_type = ImplementationShortfallParams
    params: ImplementationShortfallParams

    def planned(self, market: Market, curve: Any, edges: list[int]) -> list[float]:
        """Shares of the optimal trajectory."""
        slice_seconds = (edges[-1] - edges[0]) / (len(edges) - 1) / SECOND_NS
        kappa = self._kappa(market, curve, slice_seconds)
        hurry = f"half-life {1 / kappa:.0f} s" if kappa > 0 else "no hurry"
        self.notes.append(f"trajectory: {hurry}")
        return almgren_chriss_shares(len(edges) - 1, kappa, slice_seconds)

    def _kappa(self, market: Market, curve: Any, slice_seconds: float) -> float:
        params = self.params
        if params.half_life_seconds is not None:
            return 1.0 / params.half_life_seconds
        session = market.session
        day_seconds = _DEFAULT_SESSION_SECONDS
        if session is not None:
            day_seconds = (session[1] - session[0]) / SECOND_NS
        price = self._price(market)
        impact = self._impact(market, curve, day_seconds)
        if price is None or impact is None:
            return 0.0
        return almgren_chriss_kappa(
            risk_aversion=params.risk_aversion,
            volatility=price * self._volatility(curve, day_seconds),
            impact=impact,
            slice_seconds=slice_seconds,
        )

    def _volatility(self, curve: Any, day_seconds: float) -> float:
        """Of the logarithm of the price, per square root of a second."""
        if self.params.volatility is not None:
            return float(self.params.volatility / day_seconds**0.5)
        if curve is not None and curve["volatility"] > 0:
            return float(curve["volatility"])
        self.notes.append(f"volatility: {_DEFAULT_VOLATILITY:.0%} a day, no earlier day is known")
        return float(_DEFAULT_VOLATILITY / day_seconds**0.5)

    def _impact(self, market: Market, curve: Any, day_seconds: float) -> float | None:
        """Money a share per share a second; None where nothing is known."""
        if self.params.impact is not None:
            return self.params.impact
        if curve is None or not curve["volume"] > 0:
            self.notes.append("impact: not known without a day's volume, so it does not hurry")
            return None
        bid, ask = market.bid, market.ask
        spread = market.tick if bid is None or ask is None else max(ask - bid, market.tick)
        rate = _IMPACT_VOLUME * float(curve["volume"]) / day_seconds
        return spread / ONE / rate

    def _price(self, market: Market) -> float | None:
        bid, ask = market.bid, market.ask
        if bid is not None and ask is not None:
            return (bid + ask) / (2 * ONE)
        known = next((one for one in (bid, ask, market.last) if one is not None), None)
        if known is None:
            self.notes.append("price: not known when it began, so it does not hurry")
            return None
        return known / ONE
