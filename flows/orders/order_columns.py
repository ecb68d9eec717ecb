"""Orders by column, as snapshots have them: of 100,000 open orders most columns say the same of all."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any

import numpy as np
import orjson

from flows.orders.commands import Command
from flows.orders.exposure import Holding
from flows.orders.order import STATE, Order

# The tuples of so many orders stay in the processor's cache while they are turned into columns.
_AT_ONCE = 1_024

_TERMS = tuple(f"terms.{name}" for name in Command._fields)
_terms = attrgetter("terms")
_asked = attrgetter("asked")
_state = attrgetter(*STATE)

# How a column's text is read: numbers of more than 64 bits only Python's own reader keeps as they are.
_SAME, _JSON, _WIDE = "same", "json", "wide"


def columns_of(orders: Sequence[Order]) -> dict[str, list[Any]]:
    """Columns of orders by name, each a list of JSON values; tuples are written as lists are."""
    names = (*_TERMS, "asked", *STATE)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for at in range(0, len(orders), _AT_ONCE):
        some = orders[at : at + _AT_ONCE]
        terms = list(map(_terms, some))
        # Of most orders these are their terms still.
        asked = [
            None if one is now else one for one, now in zip(map(_asked, some), terms, strict=True)
        ]
        parts = (*zip(*terms, strict=True), asked, *zip(*map(_state, some), strict=True))
        for column, values in zip(columns.values(), parts, strict=True):
            column.extend(values)
    return columns


def packed(columns: Mapping[str, list[Any]]) -> tuple[list[list[Any]], dict[str, Any]]:
    """Columns as a description, JSON values that go into a snapshot's state, and arrays of bytes by name."""
    described: list[list[Any]] = []
    arrays: dict[str, Any] = {}
    for name, values in columns.items():
        if not values or values.count(values[0]) == len(values):
            described.append([name, _SAME, values[0] if values else None])
            continue
        try:
            kind, text = _JSON, orjson.dumps(values)
        except TypeError:
            kind, text = _WIDE, json.dumps(values, separators=(",", ":")).encode()
        described.append([name, kind, None])
        arrays[f"orders.{name}"] = np.frombuffer(text, np.uint8)
    return described, arrays


class PackedOrders:
    """What `packed` gave, to be taken out account by account in order.

    Parameters
    ----------
    described : list
        The description.
    arrays : mapping of str to numpy.ndarray
        All arrays of the snapshot.
    count : int
        Of orders.
    """

    def __init__(
        self, described: Sequence[Sequence[Any]], arrays: Mapping[str, Any], count: int
    ) -> None:
        read: dict[str, Callable[[bytes], list[Any]]] = {_JSON: orjson.loads, _WIDE: json.loads}
        columns: dict[str, list[Any]] = {}
        for name, kind, value in described:
            is_same = kind == _SAME
            columns[name] = (
                [value] * count if is_same else read[kind](arrays[f"orders.{name}"].tobytes())
            )
        rows = zip(*(columns[name] for name in _TERMS), strict=True)
        self._terms = list(map(Command._make, rows))
        if "taken" not in columns:
            # It is what the other exit has filled; snapshots did not say it until there was any use in it.
            filled = dict(zip(columns["terms.order_id"], columns["filled"], strict=True))
            columns["taken"] = [filled.get(one, 0) for one in columns["partner_id"]]
        self._asked = columns["asked"]
        pending = columns["pending"]
        columns["pending"] = [tuple(map(Command._make, one)) for one in pending]
        columns["ending"] = [None if one is None else tuple(one) for one in columns["ending"]]
        # What no order has been changed in is as the class says, which most orders share.
        self._state = {
            name: columns[name]
            for name in STATE
            if columns[name] != [getattr(Order, name, _NO_DEFAULT)] * count
        }
        self._taken = 0

    def take(self, count: int, holdings: Mapping[str, Holding]) -> list[Order]:
        """The next orders, which are those of an account with these holdings."""
        at = slice(self._taken, self._taken + count)
        self._taken += count
        orders = [Order(one, 0, holdings[one.symbol or ""]) for one in self._terms[at]]
        for name, column in self._state.items():
            for order, value in zip(orders, column[at], strict=True):
                setattr(order, name, value)
        for order, asked in zip(orders, self._asked[at], strict=True):
            if asked is not None:
                order.asked = Command._make(asked)
        return orders


_NO_DEFAULT = object()


def columns_of_rows(rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    """Columns of orders as layout 2 had them: symbol, terms, identifier, number, currency, parent, asked, and the rest."""
    names = ("symbol", "terms", "order_id", "number", "currency", "parent_order_id", "asked")
    known = STATE[: STATE.index("taken")]
    turned = list(map(list, zip(*rows, strict=True))) or [[]] * (len(names) + len(known) - 3)
    apart = dict(zip((*names, *known[3:]), turned, strict=True))
    terms = zip(*apart["terms"], strict=True) if rows else repeat((), len(_TERMS))
    columns = dict(zip(_TERMS, map(list, terms), strict=True))
    return columns | {name: apart[name] for name in ("asked", *known)}
