"""What it is expected to cost to trade at a venue: price against the mid, fee, delay, and what is missed.

Costs are in quote currency a share, positive is worse. A quote that is seen may be gone on arrival: the time that it
stands is taken as exponential, so that of quotes with mean life L a share exp(-t / L) is there after a latency t.
Meanwhile the price moves as a Brownian motion does, of which only the move away costs: its mean is
sigma sqrt(t) / sqrt(2 pi). What is missed has to cross the spread once more, unless a hidden order stood behind the
quote. The queue of a resting order is worked off by the volume that its venue is expected to trade meanwhile: all of it
is with probability exp(-queue / volume), for an exponential volume. The terms, and to weigh them in one cost, are
those of Cont and Kukanov (2017), "Optimal order placement in limit order markets", Quantitative Finance 17(1), 21-39.
"""

import math
from dataclasses import dataclass
from decimal import Decimal

from flows.trading.interfaces import ONE
from flows.trading.routing.venues import VenueModel

_NS = 1e9
_MEAN_AWAY = 1.0 / math.sqrt(2.0 * math.pi)

_OWN = 100.0
"""Size of the order itself: where nobody trades an empty queue is no chance of a fill either."""


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """What is assumed of a symbol's market, the same for all venues; orders of magnitude of a liquid stock.

    Parameters
    ----------
    volatility : float
        Of the logarithm of the price, per square root of a second: 0.0001 is 1.5 percent a day of 6.5 hours.
    quote_life_ns : int
        Mean time that a displayed quote stands.
    volume_rate : float
        What all venues together trade, shares a second.
    horizon_seconds : float
        How long an order may rest before it crosses the spread.
    """

    volatility: float = 1e-4
    quote_life_ns: int = 250_000_000
    volume_rate: float = 50.0
    horizon_seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Expected cost of a share at a venue, in parts; quote currency.

    Parameters
    ----------
    price : float
        Against the mid; 0 where there is no mid.
    fee : float
        Of the venue; a rebate is negative.
    delay : float
        Expected move away until the order arrives.
    missed : float
        What is not there has to be traded for elsewhere: expected cost of that.
    fill_probability : float
        That the order is filled as displayed (taking), or within the horizon (resting).
    """

    price: float
    fee: float
    delay: float
    missed: float
    fill_probability: float

    @property
    def total(self) -> float:
        """The sum."""
        return self.price + self.fee + self.delay + self.missed


@dataclass(frozen=True, slots=True)
class Quoted:
    """Where the market stands for one side of it.

    Parameters
    ----------
    is_buy : bool
        Side of the order.
    bid, ask : int or None
        Best prices, scaled by 10**10; None where there is none.
    """

    is_buy: bool
    bid: int | None
    ask: int | None

    @property
    def mid(self) -> float | None:
        """Between the two, in units of one; None where a side is missing."""
        if self.bid is None or self.ask is None:
            return None
        return (self.bid + self.ask) / (2 * ONE)

    @property
    def spread(self) -> float:
        """From bid to ask, in units of one; 0 where a side is missing, or they are crossed."""
        if self.bid is None or self.ask is None:
            return 0.0
        return max(self.ask - self.bid, 0) / ONE

    def against_mid(self, price: float) -> float:
        """How much worse than the mid a price is; 0 where there is no mid."""
        mid = self.mid
        if mid is None:
            return 0.0
        return price - mid if self.is_buy else mid - price


def taking_cost(model: VenueModel, price: Decimal, quoted: Quoted, conditions: Conditions) -> Cost:
    """Expected cost of taking what a venue displays at a price.

    Parameters
    ----------
    model : VenueModel
        The venue.
    price : Decimal
        At which it displays the other side.
    quoted : Quoted
        Where the market stands.
    conditions : Conditions
        What is assumed of it.
    """
    at = float(price)
    there = math.exp(-model.latency_ns / conditions.quote_life_ns)
    seconds = model.latency_ns / _NS
    return Cost(
        price=quoted.against_mid(at),
        fee=float(model.taking_fee(price)),
        delay=at * conditions.volatility * math.sqrt(seconds) * _MEAN_AWAY,
        missed=(1.0 - there) * (1.0 - model.hidden_share) * quoted.spread,
        fill_probability=there,
    )


def resting_cost(
    model: VenueModel, price: Decimal, queue: float, quoted: Quoted, conditions: Conditions
) -> Cost:
    """Expected cost of an order that rests at a venue, and crosses the spread if it is not filled in time.

    Parameters
    ----------
    model : VenueModel
        The venue.
    price : Decimal
        At which it would rest.
    queue : float
        What the venue displays ahead of it at that price, in units of one.
    quoted : Quoted
        Where the market stands.
    conditions : Conditions
        What is assumed of it.
    """
    at = float(price)
    # Half of what is traded meets the one side, half the other.
    volume = 0.5 * model.volume_share * conditions.volume_rate * conditions.horizon_seconds
    filled = math.exp(-(queue + _OWN) / volume) if volume > 0 else 0.0
    away = at * conditions.volatility * math.sqrt(conditions.horizon_seconds) * _MEAN_AWAY
    crossing = quoted.spread + float(model.taking_fee(price)) + away
    return Cost(
        price=filled * quoted.against_mid(at),
        fee=filled * float(model.adding_fee(price)),
        delay=0.0,
        missed=(1.0 - filled) * crossing,
        fill_probability=filled,
    )
