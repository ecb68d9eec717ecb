"""Venues that an order may be sent to, best first, and the text that is kept of them as evidence."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import orjson

from flows.orders.money import text
from flows.trading.interfaces import ONE, Touch
from flows.trading.routing.costs import Conditions, Cost, Quoted, resting_cost, taking_cost
from flows.trading.routing.venues import VenueModel, venue_model

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
    """

    __slots__ = ("_parts", "cost", "model", "price", "total")

    def __init__(self, model: VenueModel, price: int, cost: Cost) -> None:
        self.model = model
        self.price = price
        self.cost = cost
        self.total = cost.total
        before = orjson.dumps({"venue": model.venue, "price": text(price)}).decode()
        behind = orjson.dumps(self._expected()).decode()
        # Sizes change with every fill, and the rest does not: text around them is made once.
        self._parts = (before[:-1] + ',"displayed":"', '","hidden":"', '",' + behind[1:])

    def evidence(self, displayed: int, hidden: int) -> str:
        """What was known and expected, a JSON object: prices and sizes exact, as text."""
        before, between, behind = self._parts
        return f"{before}{text(displayed)}{between}{text(hidden)}{behind}"

    def _expected(self) -> dict[str, Any]:
        cost = self.cost
        return {
            "protected": self.model.is_protected,
            "latency_ns": self.model.latency_ns,
            "fill_probability": round(cost.fill_probability, _DIGITS),
            "price_cost": round(cost.price, _DIGITS),
            "fee": round(cost.fee, _DIGITS),
            "delay_cost": round(cost.delay, _DIGITS),
            "missed_cost": round(cost.missed, _DIGITS),
            "cost": round(cost.total, _DIGITS),
        }


@dataclass(frozen=True, slots=True)
class Candidate:
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
        What is assumed of the markets.
    """

    def __init__(self, instrument_type: str, conditions: Conditions) -> None:
        self._type = instrument_type
        self._conditions = conditions
        self._models: dict[str, VenueModel] = {}
        self._places: dict[tuple[Any, ...], Place] = {}

    def taking(self, levels: Iterable[tuple[int, int, str]], quoted: Quoted) -> Candidates:
        """Venues that display what an order wants to take.

        Parameters
        ----------
        levels : iterable of (price, size, code)
            What can be taken, scaled, in any order; codes as market data names venues.
        quoted : Quoted
            Where the market stands.

        Returns
        -------
        Candidates
            By price, then expected cost, then size (larger first), then name.
        """
        found: dict[tuple[int, str], list[Any]] = {}
        for price, size, code in levels:
            model = self._model(code)
            if not model.is_displayed or size <= 0 or price <= 0:
                continue
            known = found.get((price, model.venue))
            if known is None:
                found[price, model.venue] = [self._taken_at(model, price, quoted), size]
            else:
                known[1] += size
        sign = 1 if quoted.is_buy else -1
        ranked = sorted(
            found.values(),
            key=lambda one: (sign * one[0].price, one[0].total, -one[1], one[0].model.venue),
        )
        return Candidates(
            tuple(Candidate(place, size, _hidden(place.model, size)) for place, size in ranked)
        )

    def resting(self, touches: Iterable[Touch], price: int, quoted: Quoted) -> Candidates:
        """Venues where an order may rest at a price: those that quote the symbol.

        Parameters
        ----------
        touches : iterable of Touch
            Of each venue that has quoted, in any order.
        price : int
            At which the order rests, scaled.
        quoted : Quoted
            Where the market stands.

        Returns
        -------
        Candidates
            By expected cost, then queue (shorter first), then name.
        """
        queues: dict[str, int] = {}
        models: dict[str, VenueModel] = {}
        for touch in touches:
            model = self._model(touch.venue)
            if not model.is_displayed:
                continue
            best, size = (
                (touch.bid, touch.bid_size) if quoted.is_buy else (touch.ask, touch.ask_size)
            )
            models[model.venue] = model
            queues[model.venue] = queues.get(model.venue, 0) + (size if best == price else 0)
        found = [
            Candidate(self._rested_at(models[name], price, queue, quoted), queue, 0)
            for name, queue in queues.items()
        ]
        found.sort(key=lambda one: (one.place.total, one.displayed, one.place.model.venue))
        return Candidates(tuple(found))

    def _model(self, code: str) -> VenueModel:
        found = self._models.get(code)
        if found is None:
            found = self._models[code] = venue_model(code, self._type)
        return found

    def _taken_at(self, model: VenueModel, price: int, quoted: Quoted) -> Place:
        key = (model.venue, price, None, quoted.is_buy, quoted.bid, quoted.ask)
        found = self._places.get(key)
        if found is None:
            cost = taking_cost(model, Decimal(price) / ONE, quoted, self._conditions)
            found = self._remembered(key, Place(model, price, cost))
        return found

    def _rested_at(self, model: VenueModel, price: int, queue: int, quoted: Quoted) -> Place:
        key = (model.venue, price, queue, quoted.is_buy, quoted.bid, quoted.ask)
        found = self._places.get(key)
        if found is None:
            exact = Decimal(price) / ONE
            cost = resting_cost(model, exact, queue / ONE, quoted, self._conditions)
            found = self._remembered(key, Place(model, price, cost))
        return found

    def _remembered(self, key: tuple[Any, ...], place: Place) -> Place:
        if len(self._places) >= _REMEMBERED:
            self._places.clear()
        self._places[key] = place
        return place


def _hidden(model: VenueModel, displayed: int) -> int:
    """What is estimated to lie behind what is displayed, by the share of the volume that was hidden."""
    share = model.hidden_share
    return round(displayed * share / (1.0 - share)) if share else 0
