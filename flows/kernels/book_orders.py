"""The orders of all books in one hash table: open addressing with linear probing, in numba.

An order whose level is no more is gone too: its entry is used again or dropped when the table is laid out
anew. An order that is taken out leaves no mark: those behind it move up.
"""

from typing import Any

import numpy as np

from flows.kernels.book_levels import level_of
from flows.kernels.book_state import FREE, NUMBER
from flows.kernels.jit import jit, jit_in_place
from schemas.arrays import Floats, Int64s


@jit_in_place
def find_order(orders: Any, book: int, id_: int) -> int:
    """The entry of an order, gone or not, or the empty one where it would be put."""
    mask = len(orders) - 1
    at: int = _home(book, id_, mask)
    while orders[at].place != FREE and not (orders[at].id == id_ and orders[at].place >> 1 == book):
        at = (at + 1) & mask
    return at


@jit_in_place
def level_of_order(orders: Any, at: int, sides: Any, keys: Floats, levels: Floats) -> int:
    """Where the level of an entry's order is; -1 if the entry is empty or the order gone."""
    if orders[at].place == FREE:
        return -1
    level = level_of(sides, keys, orders[at].place, orders[at].key)
    return level if level >= 0 and levels[level, NUMBER] == orders[at].level else -1


@jit_in_place
def remove_order(orders: Any, at: int) -> None:
    """Take an entry out; entries behind it that the gap would hide from a search move up."""
    mask = len(orders) - 1
    gap = at
    orders[gap].place = FREE
    at = (at + 1) & mask
    while orders[at].place != FREE:
        home = _home(orders[at].place >> 1, orders[at].id, mask)
        # Its way from home to here, and from the gap to here.
        if (at - home) & mask >= (at - gap) & mask:
            orders[gap] = orders[at]
            orders[at].place = FREE
            gap = at
        at = (at + 1) & mask


@jit
def resting(orders: Any, sides: Any, keys: Floats, levels: Floats) -> Int64s:
    """The entries of orders that are not gone, shape (m,)."""
    found = np.empty(len(orders), dtype=np.int64)
    count = 0
    for at in range(len(orders)):
        if level_of_order(orders, at, sides, keys, levels) >= 0:
            found[count] = at
            count += 1
    return found[:count]


@jit_in_place
def carry_orders(orders: Any, into: Any) -> None:
    """Put orders into an empty table that has room for them."""
    for at in range(len(orders)):
        into[find_order(into, orders[at].place >> 1, orders[at].id)] = orders[at]


@jit_in_place
def _home(book: int, id_: int, mask: int) -> Any:
    # Two rounds of multiply and shift (as in MurmurHash3's finaliser): ids that follow one another spread.
    mixed = np.uint64(id_) + np.uint64(book) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    mixed = mixed ^ (mixed >> np.uint64(33))
    return np.int64(mixed & np.uint64(mask))
