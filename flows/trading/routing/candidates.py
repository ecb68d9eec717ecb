"""Venues that an order may be sent to, best first, and the text that is kept of them as evidence."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple

import orjson

from flows.orders.money import text
from flows.trading.estimates import Conditions, Estimates, VenueEstimate, whole_shares
from flows.trading.interfaces import ONE, Market, Touch
from flows.trading.routing.costs import (
    Cost,
    Quoted,
    midpoint_cost,
    resting_cost,
    taking_cost,
)
from flows.trading.routing.venues import POOL, VenueModel, default_model, venue_model

_DIGITS = 9
"""Of costs in the evidence: well below the smallest fee."""

_REMEMBERED = 4_096
"""Costs that are remembered: of the same venue, price and market they are the same, and orders come in bursts."""


class Place:
    """A venue at a price, with what trading there is expected to cost.

    Parameters
    ----------
    model : VenueModel
        The venue.
    price : int
        At which it displays what the order wants (taking), or at which the order would rest; scaled.
    cost : Cost
        Expected.
    venue : ExpectedVenue
        What is expected of the venue.
    """

    __slots__ = ("_parts", "cost", "estimate", "model", "price", "total")

    def __init__(self, model: VenueModel, price: int, cost: Cost, venue: "ExpectedVenue") -> None:
        self.model = model
        self.price = price
        self.cost = cost
        self.total = cost.total
        self.estimate = venue.estimate
        before = orjson.dumps({"venue": model.venue, "price": text(price)}).decode()
        behind = orjson.dumps(self._expected()).decode()
        # Sizes change with every fill, and the rest does not: text around them is made once.
        self._parts = (
            before[:-1] + ',"displayed":"',
            '","hidden":"',
            f'",{venue.text},{behind[1:]}',
        )

    def evidence(self, displayed: int, hidden: int) -> str:
        """What was known and expected, a JSON object: prices and sizes exact, as text."""
        before, between, behind = self._parts
        return f"{before}{text(displayed)}{between}{text(hidden)}{behind}"

    def _expected(self) -> dict[str, Any]:
        cost = self.cost
        return {
            "fill_probability": round(cost.fill_probability, _DIGITS),
            "price_cost": round(cost.price, _DIGITS),
            "fee": round(cost.fee, _DIGITS),
            "delay_cost": round(cost.delay, _DIGITS),
            "missed_cost": round(cost.missed, _DIGITS),
            "cost": round(self.total, _DIGITS),
        }


class Candidate(NamedTuple):
    """A place, what it displays (resting: what is ahead there), and what is estimated to lie hidden behind; scaled."""

    place: Place
    displayed: int
    hidden: int


@dataclass(frozen=True)
class Candidates:
    """Venues, best first; a venue stands here once a price.

    Parameters
    ----------
    ranked : tuple of Candidate
        In the order in which they are sent to.
    """

    ranked: tuple[Candidate, ...]

    @cached_property
    def text(self) -> str:
        """The evidence, a JSON array, best first."""
        parts = [one.place.evidence(one.displayed, one.hidden) for one in self.ranked]
        return f"[{','.join(parts)}]"


class Ranking:
    """Ranks venues for one kind of instrument.

    Parameters
    ----------
    instrument_type : str
        As in ``instruments``: what venues are taken for that are not in the table.
    conditions : Conditions
        What is assumed of the markets, until the tape has shown enough.
    """

    def __init__(self, instrument_type: str, conditions: Conditions) -> None:
        self._type = instrument_type
        self._conditions = conditions
        self._models: dict[str, VenueModel] = {}
        self._expected: dict[str, Expected] = {}
        # By market, then by venue, price and queue (None: taking).
        self._places: dict[tuple[Any, ...], dict[tuple[Any, ...], Place]] = {}
        self._remembered = 0
        self._made = 0

    def expected(self, market: Market) -> "Expected":
        """What is expected of a symbol's market now."""
        seen = market.seen
        found = self._expected.get(market.symbol)
        if found is None or found.minute != seen.minute:
            if len(self._expected) >= _REMEMBERED:
                self._expected.clear()
            self._made += 1
            codes: dict[str, tuple[str, ...]] = {}
            for code in seen.venues:
                name = self.model(code).venue
                codes[name] = (*codes.get(name, ()), code)
            estimates = Estimates(seen, self._conditions)
            found = Expected(self._made, seen.minute, estimates, codes)
            self._expected[market.symbol] = found
        return found

    def taking(
        self, levels: Iterable[tuple[int, int, str]], quoted: Quoted, expected: "Expected"
    ) -> Candidates:
        """Venues that display what an order wants to take.

        Parameters
        ----------
        levels : iterable of (price, size, code)
            What can be taken, scaled, in any order; codes as market data names venues.
        quoted : Quoted
            Where the market stands.
        expected : Expected
            What is expected of it.

        Returns
        -------
        Candidates
            By price, then expected cost, then size (larger first), then name.
        """
        found: dict[tuple[str, int, None], list[Any]] = {}
        places = self._known(quoted, expected)
        for price, size, code in levels:
            model = self.model(code)
            if not model.is_displayed or size <= 0 or price <= 0:
                continue
            key = (model.venue, price, None)
            known = found.get(key)
            if known is not None:
                known[1] += size
                continue
            place = places.get(key)
            if place is None:
                place = places[key] = self._taken_at(model, price, quoted, expected)
            found[key] = [place, size]
        sign = 1 if quoted.is_buy else -1
        ranked = sorted(
            found.values(),
            key=lambda one: (sign * one[0].price, one[0].total, -one[1], one[0].model.venue),
        )
        return Candidates(
            tuple(Candidate(place, size, _hidden(place, size)) for place, size in ranked)
        )

    def has_pool(self, quoted: Quoted, expected: "Expected") -> bool:
        """Whether a pool may trade at the mid: only of symbols of which such trades were seen off exchanges."""
        if quoted.bid is None or quoted.ask is None or quoted.ask <= quoted.bid:
            return False
        return expected.midpoint[1]

    def midpoint(
        self, quantity: int, taking: Candidates, quoted: Quoted, expected: "Expected"
    ) -> Candidate | None:
        """The pool that trades at the mid, to be tried first with so much of an order; None where there is none."""
        if not taking.ranked or quoted.bid is None or quoted.ask is None:
            return None
        if not self.has_pool(quoted, expected):
            return None
        ratio, _ = expected.midpoint
        best = taking.ranked[0].place
        displayed = sum(one.displayed for one in taking.ranked if one.place.price == best.price)
        hidden = whole_shares(displayed, ratio)
        if hidden <= 0:
            return None
        sent = min(quantity, hidden)
        places = self._known(quoted, expected)
        key = (POOL.venue, sent, hidden, best.model.venue)
        place = places.get(key)
        if place is None:
            conditions = expected.conditions
            cost = midpoint_cost(POOL, sent / ONE, hidden / ONE, quoted, conditions, best.cost)
            place = Place(POOL, (quoted.bid + quoted.ask) // 2, cost, expected.of(POOL))
            places[key] = place
            self._remembered += 1
        return Candidate(place, 0, hidden)

    def resting(
        self, touches: Iterable[Touch], price: int, quoted: Quoted, expected: "Expected"
    ) -> Candidates:
        """Venues where an order may rest at a price: those that quote the symbol.

        Parameters
        ----------
        touches : iterable of Touch
            Of each venue that has quoted, in any order.
        price : int
            At which the order rests, scaled.
        quoted : Quoted
            Where the market stands.
        expected : Expected
            What is expected of it.

        Returns
        -------
        Candidates
            Those where trades were seen first, then those that quote now; by expected cost, then queue (shorter
            first), then part of the volume, then name.
        """
        queues: dict[str, int] = {}
        models: dict[str, VenueModel] = {}
        quoting: set[str] = set()
        for touch in touches:
            model = self.model(touch.venue)
            if not model.is_displayed:
                continue
            bid, ask = touch.bid, touch.ask
            best, size = (bid, touch.bid_size) if quoted.is_buy else (ask, touch.ask_size)
            name = model.venue
            models[name] = model
            queues[name] = queues.get(name, 0) + (size if best == price else 0)
            if bid is not None or ask is not None:
                quoting.add(name)
        ranked = []
        places = self._known(quoted, expected)
        for name, queue in queues.items():
            place = places.get((name, price, queue))
            if place is None:
                place = self._rested_at(models[name], price, queue, quoted, expected)
                places[name, price, queue] = place
            data = 0 if place.estimate.traded > 0.0 else 1 if name in quoting else 2
            rank = (data, place.total, queue, -place.estimate.volume_share, name)
            ranked.append((rank, Candidate(place, queue, 0)))
        ranked.sort()
        return Candidates(tuple(one for _, one in ranked))

    def model(self, code: str) -> VenueModel:
        """The model of a venue that market data names; one that is not in the table is itself, under terms of its kind."""
        found = self._models.get(code)
        if found is None:
            found = venue_model(code, self._type)
            if found is default_model(self._type) and code.upper() != found.venue:
                # An order goes where the quotes are.
                found = replace(found, venue=code)
            self._models[code] = found
        return found

    def _known(self, quoted: Quoted, expected: "Expected") -> dict[tuple[Any, ...], Place]:
        """Places whose cost is known in this market."""
        if self._remembered >= _REMEMBERED:
            self._places.clear()
            self._remembered = 0
        key = (expected.number, quoted.is_buy, quoted.bid, quoted.ask)
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = {}
        return found

    def _taken_at(
        self, model: VenueModel, price: int, quoted: Quoted, expected: "Expected"
    ) -> Place:
        venue = expected.of(model)
        exact = Decimal(price) / ONE
        cost = taking_cost(model, exact, quoted, expected.conditions, venue.estimate)
        self._remembered += 1
        return Place(model, price, cost, venue)

    def _rested_at(
        self, model: VenueModel, price: int, queue: int, quoted: Quoted, expected: "Expected"
    ) -> Place:
        exact = Decimal(price) / ONE
        # Where it will cross nobody knows: what an exchange may charge at most (Rule 610(c)), or a dealer does.
        crossing = float(default_model(self._type).taking_fee(exact))
        venue, conditions = expected.of(model), expected.conditions
        cost = resting_cost(model, exact, queue / ONE, quoted, conditions, venue.estimate, crossing)
        self._remembered += 1
        return Place(model, price, cost, venue)


class ExpectedVenue:
    """What is expected of a venue, and the same as JSON members for the evidence."""

    __slots__ = ("estimate", "text")

    def __init__(self, model: VenueModel, estimate: VenueEstimate) -> None:
        self.estimate = estimate
        members = {
            "protected": model.is_protected,
            "latency_ns": model.latency_ns,
            "volume_share": round(estimate.volume_share, _DIGITS),
            "hidden_share": round(estimate.hidden_share, _DIGITS),
            "traded": round(estimate.traded, 2),
        }
        self.text = orjson.dumps(members).decode()[1:-1]


class Expected:
    """What is expected of one symbol's market, as of a minute; ``number`` is the ranking's own of it."""

    def __init__(
        self, number: int, minute: float, estimates: Estimates, codes: dict[str, tuple[str, ...]]
    ) -> None:
        self.number = number
        self.minute = minute
        self.conditions = estimates.conditions
        self.midpoint = estimates.midpoint_ratio(POOL)
        self._estimates = estimates
        self._codes = codes
        self._venues: dict[str, ExpectedVenue] = {}

    def of(self, model: VenueModel) -> ExpectedVenue:
        """What is expected of a venue."""
        found = self._venues.get(model.venue)
        if found is None:
            estimate = self._estimates.of(model, self._codes.get(model.venue, ()))
            found = self._venues[model.venue] = ExpectedVenue(model, estimate)
        return found


def _hidden(place: Place, displayed: int) -> int:
    """What is estimated to lie behind what is displayed, by the share of the volume that was hidden."""
    share = place.estimate.hidden_share
    return round(displayed * share / (1.0 - share)) if share else 0
