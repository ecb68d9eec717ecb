"""What it is expected to cost to trade at a venue: price against the mid, fee, delay, and what is missed.

Costs are in quote currency a share, positive is worse. A quote that is seen may be gone on arrival: the time that it
stands is taken as exponential, so that of quotes with mean life L a share exp(-t / L) is there after a latency t.
Meanwhile the price moves as a Brownian motion does, of which only the move away costs: its mean is
sigma sqrt(t) / sqrt(2 pi). What is missed has to cross the spread once more, unless a hidden order stood behind the
quote. The queue of a resting order is worked off by the volume that its venue is expected to trade meanwhile: all of it
is with probability exp(-queue / volume), for an exponential volume. A price behind its side's best has to be reached
first: with probability erfc(d / (sigma price sqrt(2 T))) the Brownian motion does so within the time T from a distance d
(reflection principle; Karatzas and Shreve, "Brownian Motion and Stochastic Calculus", section 2.8). What is not filled
in time crosses the spread, wherever that is then: its fee is the same for all venues. A pool that trades at the mid has
hidden size of a mean that is estimated; it is taken as exponential, so that of q shares sent it fills
H (1 - exp(-q / H)), and what it does not fill comes back to the displayed quotes after the way there and back. The terms, and to weigh them in one cost, are
those of Cont and Kukanov (2017), "Optimal order placement in limit order markets", Quantitative Finance 17(1), 21-39.
"""

import math
from dataclasses import dataclass
from decimal import Decimal

from flows.trading.estimates import Conditions, VenueEstimate
from flows.trading.interfaces import ONE
from flows.trading.routing.venues import VenueModel

_NS = 1e9
_MEAN_AWAY = 1.0 / math.sqrt(2.0 * math.pi)

_OWN = 100.0
"""Size of the order itself: where nobody trades an empty queue is no chance of a fill either."""


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

    def behind_best(self, price: float) -> float:
        """How far a price is behind the best of its own side; 0 where that is not known."""
        best = self.bid if self.is_buy else self.ask
        if best is None:
            return 0.0
        return best / ONE - price if self.is_buy else price - best / ONE


def taking_cost(
    model: VenueModel,
    price: Decimal,
    quoted: Quoted,
    conditions: Conditions,
    venue: VenueEstimate,
) -> Cost:
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
        What is expected of it.
    venue : VenueEstimate
        What is expected of the venue.
    """
    at = float(price)
    there = math.exp(-model.latency_ns / conditions.quote_life_ns)
    return Cost(
        price=quoted.against_mid(at),
        fee=float(model.taking_fee(price)),
        delay=_move_away(at, model.latency_ns / _NS, conditions),
        missed=(1.0 - there) * (1.0 - venue.hidden_share) * quoted.spread,
        fill_probability=there,
    )


def resting_cost(
    model: VenueModel,
    price: Decimal,
    queue: float,
    quoted: Quoted,
    conditions: Conditions,
    venue: VenueEstimate,
    crossing_fee: float,
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
        What is expected of it.
    venue : VenueEstimate
        What is expected of the venue.
    crossing_fee : float
        Of a share that crosses the spread in the end, at whatever venue.
    """
    at = float(price)
    # Half of what is traded meets the one side, half the other.
    volume = 0.5 * venue.volume_share * conditions.volume_rate * conditions.horizon_seconds
    filled = math.exp(-(queue + _OWN) / volume) if volume > 0 else 0.0
    moved = at * conditions.volatility * math.sqrt(conditions.horizon_seconds)
    behind = quoted.behind_best(at)
    if behind > 0.0:
        filled *= math.erfc(behind / (math.sqrt(2.0) * moved)) if moved > 0.0 else 0.0
    return Cost(
        price=filled * quoted.against_mid(at),
        fee=filled * float(model.adding_fee(price)),
        delay=0.0,
        missed=(1.0 - filled) * (quoted.spread + crossing_fee + moved * _MEAN_AWAY),
        fill_probability=filled,
    )


def midpoint_cost(
    model: VenueModel,
    sent: float,
    hidden: float,
    quoted: Quoted,
    conditions: Conditions,
    displayed: Cost,
) -> Cost:
    """Expected cost of trying a pool at the mid first, and taking what is displayed for the rest.

    Parameters
    ----------
    model : VenueModel
        The pool.
    sent, hidden : float
        What it is sent, and the mean of what it is expected to hide; in units of one, above zero.
    quoted : Quoted
        Where the market stands, with both sides.
    conditions : Conditions
        What is expected of it.
    displayed : Cost
        Of the cheapest displayed quote, which the rest would take.
    """
    middle = quoted.mid or 0.0
    ratio = sent / hidden
    filled = (1.0 - math.exp(-ratio)) / ratio
    round_trip_ns = 2 * model.latency_ns
    gone = 1.0 - math.exp(-round_trip_ns / conditions.quote_life_ns)
    return Cost(
        price=0.0,
        fee=filled * float(model.taking_fee(Decimal(middle))),
        delay=(1.0 - filled) * _move_away(middle, round_trip_ns / _NS, conditions),
        missed=(1.0 - filled) * (displayed.total + gone * quoted.spread),
        fill_probability=filled,
    )


def _move_away(price: float, seconds: float, conditions: Conditions) -> float:
    """Mean of the move away from us of a Brownian motion."""
    return price * conditions.volatility * math.sqrt(seconds) * _MEAN_AWAY
