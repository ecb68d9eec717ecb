"""What an order would take of one side of the market, as that stands: where, how much, and at what expected cost.

The same for all orders of the side until the market changes, so that many orders share one.
"""

from typing import Any, NamedTuple

from flows.trading.interfaces import Market
from flows.trading.routing.candidates import Candidate, Candidates, Ranking
from flows.trading.routing.costs import Quoted

TAKES = "displays the best price that is left, at the least expected cost"
"""Reason of the parts that take what is displayed."""

_MIDPOINT = "may trade at the mid: cheaper to try first than the best displayed quote"


class Part(NamedTuple):
    """A part of an order that is to be filled at once.

    Parameters
    ----------
    venue : str
        Where it goes.
    quantity : int
        Above zero, scaled.
    expected_cost : float or None
        Quote currency a share against the mid; None where there is no mid.
    reason : str
        Why, in words.
    candidates : Candidates
        What was known and expected of all venues.
    """

    venue: str
    quantity: int
    expected_cost: float | None
    reason: str
    candidates: Candidates


class Sweep:
    """What is displayed to one side's orders, by expected cost.

    Parameters
    ----------
    ranking : Ranking
        Ranks venues.
    market : Market
        How it stands.
    quoted : Quoted
        Its best prices, and the side.
    """

    reason = TAKES
    """Of what goes where `whole` says."""

    def __init__(self, ranking: Ranking, market: Market, quoted: Quoted) -> None:
        self.quoted = quoted
        self._ranking = ranking
        self._expected = ranking.expected(market)
        side = "buy" if quoted.is_buy else "sell"
        # What was known and expected of all venues, but for a pool.
        self.taking = ranking.taking(market.levels(side), quoted, self._expected)
        self._has_mid = quoted.mid is not None
        self._first = self.taking.ranked[0] if self.taking.ranked else None
        self._may_try = ranking.has_pool(quoted, self._expected)
        # By how much of an order the pool is sent.
        self._pools: dict[int, tuple[Candidate, Candidates]] = {}

    def parts(
        self, quantity: int, limit: int | None, *, is_new: bool
    ) -> tuple[list[Part], int, Candidates]:
        """The parts of an order within its limit, what is left of it, and all that was looked at."""
        first = self._first
        if first is None or self._is_beyond(first.place.price, limit):
            return [], quantity, self.taking
        candidates, tried = self.taking, 0
        parts = []
        if is_new and self._may_try:
            pool, candidates = self._pool(quantity)
            if pool is not None and pool.place.total < first.place.total:
                tried = min(quantity, pool.hidden)
                cost = pool.place.total
                parts.append(Part(pool.place.model.venue, tried, cost, _MIDPOINT, candidates))
        if quantity - tried <= first.displayed:
            left = 0
            if quantity > tried:
                parts.append(self._part(first, quantity - tried, candidates))
        else:
            left = self._take(parts, quantity - tried, limit, candidates)
        return parts, left, candidates

    def whole(self, quantity: int, limit: int | None) -> Candidate | None:
        """Where a new order's one part goes; None where there may be others, or something is left of it."""
        first = self._first
        if first is None or self._may_try or quantity > first.displayed:
            return None
        return None if self._is_beyond(first.place.price, limit) else first

    def cost(self, one: Candidate, quantity: int) -> float | None:
        """What is expected of a part that goes to one candidate."""
        return (0.0 + quantity * one.place.total) / quantity if self._has_mid else None

    def _part(self, one: Candidate, quantity: int, candidates: Candidates) -> Part:
        cost = self.cost(one, quantity)
        return Part(one.place.model.venue, quantity, cost, TAKES, candidates)

    def _take(
        self, parts: list[Part], quantity: int, limit: int | None, candidates: Candidates
    ) -> int:
        """Add what is displayed within the limit, one part a venue in the order of its best price; give what is left."""
        found: dict[str, list[Any]] = {}
        left = quantity
        for one in self.taking.ranked:
            if left <= 0 or self._is_beyond(one.place.price, limit):
                break
            size = min(left, one.displayed)
            left -= size
            part = found.setdefault(one.place.model.venue, [0, 0.0])
            part[0] += size
            part[1] += size * one.place.total
        for name, (size, cost) in found.items():
            expected = cost / size if self._has_mid else None
            parts.append(Part(name, size, expected, TAKES, candidates))
        return left

    def _pool(self, quantity: int) -> tuple[Candidate | None, Candidates]:
        found = self._pools.get(quantity)
        if found is not None:
            return found
        pool = self._ranking.midpoint(quantity, self.taking, self.quoted, self._expected)
        if pool is None:
            return None, self.taking
        found = self._pools[quantity] = (pool, Candidates((pool, *self.taking.ranked)))
        return found

    def _is_beyond(self, price: int, limit: int | None) -> bool:
        if limit is None:
            return False
        return price > limit if self.quoted.is_buy else price < limit
