"""What is expected of a symbol's market and venues: assumptions, until the tape has shown enough.

Each is the mean of what is assumed and what was seen, weighed by how much was seen: an assumption counts as much as
some minutes or trades of its own. For parts of a whole that is the posterior mean of a Dirichlet prior (Gelman et al.,
Bayesian Data Analysis, section 3.4), for a variance about that of an inverse gamma prior. What was seen is the tape's
until the present minute began (`flows.trading.market.Seen`), so that all who ask within a minute know the same.
"""

import math
from dataclasses import dataclass

from flows.trading.interfaces import ONE, VenueModel
from flows.trading.market import NOTHING_SEEN, Seen

_ASSUMED_PRINTS = 200.0
"""Trades that an assumption on venues counts as: a liquid stock has as many in some minutes."""

_ASSUMED_SECONDS = 120.0
"""The same of volatility: twelve samples of the mid."""

_ASSUMED_MINUTES = 2.0
"""The same of the volume in a minute."""

_FEWEST_PRINTS = 1e-9
"""What is left of fewer says nothing of their size; none would be divided by."""

_MOST_HIDDEN = 0.99

_MILLION = 1_000_000

EXCHANGES_SHARE = 0.56
"""Of all volume in the US in 2024, as `flows.trading.routing.venues` has it: the rest was reported off exchange."""


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
class VenueEstimate:
    """What is expected of a venue.

    Parameters
    ----------
    volume_share : float
        Its part of all volume of the symbol.
    hidden_share : float
        Part of its volume that meets orders nobody was shown, 0 to below 1.
    traded : float
        Size that was seen to trade there, older trades fading; 0: none ever was.
    """

    volume_share: float
    hidden_share: float
    traded: float


class Estimates:
    """What is expected of a symbol's market.

    Parameters
    ----------
    seen : Seen
        What the tape has shown.
    assumed : Conditions
        What holds until then.
    """

    def __init__(self, seen: Seen = NOTHING_SEEN, assumed: Conditions | None = None) -> None:
        self._seen = seen
        assumed = assumed or Conditions()
        squares = assumed.volatility**2 * _ASSUMED_SECONDS + seen.squares
        volume = assumed.volume_rate * 60.0 * _ASSUMED_MINUTES + seen.volume
        self.conditions = Conditions(
            volatility=math.sqrt(squares / (_ASSUMED_SECONDS + seen.seconds)),
            quote_life_ns=assumed.quote_life_ns,
            volume_rate=volume / (60.0 * (_ASSUMED_MINUTES + seen.minutes)),
            horizon_seconds=assumed.horizon_seconds,
        )
        self._total = math.fsum(traded for traded, _ in seen.venues.values())
        # Trades differ in size: what was seen counts as so many of the mean one.
        has_size = self._total > 0.0 and seen.prints > _FEWEST_PRINTS
        self._assumed = _ASSUMED_PRINTS * (self._total / seen.prints if has_size else 1.0)

    def of(self, model: VenueModel, codes: tuple[str, ...] = ()) -> VenueEstimate:
        """What is expected of a venue.

        Parameters
        ----------
        model : VenueModel
            Its assumptions.
        codes : tuple of str
            Its names in market data besides the model's.
        """
        traded, unseen = self._sums(model, codes)
        share = (self._assumed * model.volume_share + traded) / (self._assumed + self._total)
        hidden = (self._assumed * model.hidden_share + unseen) / (self._assumed + traded)
        return VenueEstimate(min(share, 1.0), min(hidden, _MOST_HIDDEN), traded)

    def midpoint_ratio(self, model: VenueModel) -> tuple[float, bool]:
        """What a pool trades at the mid for each share that exchanges trade, and whether it was ever seen to."""
        traded, middle = self._sums(model, ())
        own = self._assumed * model.volume_share + middle
        exchanges = self._assumed * EXCHANGES_SHARE + self._total - traded
        return own / exchanges, middle > 0.0

    def _sums(self, model: VenueModel, codes: tuple[str, ...]) -> tuple[float, float]:
        names = dict.fromkeys((model.venue, *model.tape, *codes))
        found = [self._seen.venues[name] for name in names if name in self._seen.venues]
        return math.fsum(one for one, _ in found), math.fsum(one for _, one in found)


def whole_shares(displayed: int, ratio: float) -> int:
    """Size that stands hidden where so much is displayed, in whole shares; rounded down, scaled."""
    return displayed * round(ratio * _MILLION) // _MILLION // ONE * ONE
