"""Venues that an order may be sent to, best first, and the text that is kept of them as evidence."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import orjson

from flows.orders.money import text
from flows.trading.interfaces import ONE, Order, Touch
from flows.trading.routing.costs import (
    Conditions,
    Cost,
    Quoted,
    resting_cost,
    taking_cost,
)
from flows.trading.routing.venues import VenueModel

ModelOf = Callable[[str], VenueModel]

_DIGITS = 9
"""Of costs in the evidence: well below the smallest fee."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A venue at a price.

    Parameters
    ----------
    model : VenueModel
        The venue.
    price : int
        At which it displays what the order wants (taking), or at which the order would rest; scaled.
    displayed, hidden : int
        What it displays there (resting: what is ahead), and what is estimated to lie hidden behind; scaled.
    cost : Cost
        Expected.
    """

    model: VenueModel
    price: int
    displayed: int
    hidden: int
    cost: Cost

    @property
    def evidence(self) -> dict[str, Any]:
        """What was known and expected, as JSON values: prices and sizes exact, as text."""
        model, cost = self.model, self.cost
        return {
            "venue": model.venue,
            "price": text(self.price),
            "displayed": text(self.displayed),
            "hidden": text(self.hidden),
            "protected": model.is_protected,
            "latency_ns": model.latency_ns,
            "fill_probability": round(cost.fill_probability, _DIGITS),
            "price_cost": round(cost.price, _DIGITS),
            "fee": round(cost.fee, _DIGITS),
            "delay_cost": round(cost.delay, _DIGITS),
            "missed_cost": round(cost.missed, _DIGITS),
            "cost": round(cost.total, _DIGITS),
        }


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
        return orjson.dumps([one.evidence for one in self.ranked]).decode()


def taking_candidates(
    levels: Iterable[tuple[int, int, str]],
    model_of: ModelOf,
    quoted: Quoted,
    conditions: Conditions,
) -> Candidates:
    """Venues that display what an order wants to take.

    Parameters
    ----------
    levels : iterable of (price, size, code)
        What can be taken, scaled, in any order; codes as market data names venues.
    model_of : function of str
        The model of a venue as market data names it.
    quoted : Quoted
        Where the market stands.
    conditions : Conditions
        What is assumed of it.

    Returns
    -------
    Candidates
        By price, then expected cost, then size (larger first), then name.
    """
    sizes: dict[tuple[int, str], int] = {}
    models: dict[str, VenueModel] = {}
    for price, size, code in levels:
        model = model_of(code)
        if not model.is_displayed or size <= 0 or price <= 0:
            continue
        models[model.venue] = model
        place = (price, model.venue)
        sizes[place] = sizes.get(place, 0) + size
    found = []
    for (price, name), size in sizes.items():
        model = models[name]
        hidden = model.hidden_share
        found.append(
            Candidate(
                model,
                price,
                size,
                round(size * hidden / (1.0 - hidden)),
                taking_cost(model, _decimal(price), quoted, conditions),
            )
        )
    sign = 1 if quoted.is_buy else -1
    found.sort(key=lambda one: (sign * one.price, one.cost.total, -one.displayed, one.model.venue))
    return Candidates(tuple(found))


def resting_candidates(
    touches: Iterable[Touch],
    model_of: ModelOf,
    price: int,
    quoted: Quoted,
    conditions: Conditions,
) -> Candidates:
    """Venues where an order may rest at a price: those that quote the symbol.

    Parameters
    ----------
    touches : iterable of Touch
        Of each venue that has quoted, in any order.
    model_of, quoted, conditions
        As for `taking_candidates`.
    price : int
        At which the order rests, scaled.

    Returns
    -------
    Candidates
        By expected cost, then queue (shorter first), then name.
    """
    queues: dict[str, int] = {}
    models: dict[str, VenueModel] = {}
    for touch in touches:
        model = model_of(touch.venue)
        if not model.is_displayed:
            continue
        best, size = (touch.bid, touch.bid_size) if quoted.is_buy else (touch.ask, touch.ask_size)
        models[model.venue] = model
        queues[model.venue] = queues.get(model.venue, 0) + (size if best == price else 0)
    found = [
        Candidate(
            models[name],
            price,
            queue,
            0,
            resting_cost(models[name], _decimal(price), queue / ONE, quoted, conditions),
        )
        for name, queue in queues.items()
    ]
    found.sort(key=lambda one: (one.cost.total, one.displayed, one.model.venue))
    return Candidates(tuple(found))


def quoted_for(order: Order, bid: int | None, ask: int | None) -> Quoted:
    """Where the market stands for an order."""
    if bid is None or ask is None:
        return Quoted(order.is_buy, None, None)
    return Quoted(order.is_buy, (bid + ask) / (2 * ONE), (ask - bid) / ONE)


def _decimal(scaled: int) -> Decimal:
    return Decimal(scaled) / ONE
