"""What one event of an order or level does to a book; `flows.book` says it in words."""

from typing import Any

import numpy as np

from flows.kernels.book_faults import write_fault
from flows.kernels.book_levels import (
    ROUNDING,
    add_to_sum,
    level_of,
    made_level,
    remove_level,
)
from flows.kernels.book_orders import find_order, level_of_order, remove_order
from flows.kernels.book_state import (
    ADD,
    ADDED,
    DUPLICATE_ORDER,
    ENTRIES_AT,
    FREE,
    IGNORED,
    INCOMPLETE,
    LEVEL,
    LEVELS_AT,
    MODIFY,
    NEGATIVE,
    NUMBER,
    ORDERS,
    ORDERS_AT,
    OTHER_PRICE,
    OTHER_SIDE,
    OVERSIZED,
    OWN_PRICE_KEPT,
    OWN_SIDE_KEPT,
    REPLACED,
    REST,
    SUM,
    SUM_LOW,
    UNKNOWN_ORDER,
    ZEROED,
)
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s


@jit_in_place
def apply_event(  # noqa: PLR0911 - a return a case
    row: int,
    book: int,
    action: int,
    side: int,
    id_: int,
    named: bool,  # noqa: FBT001 - an element of an array
    price: float,
    size: float,
    depth: int,
    books: Any,
    sides: Any,
    orders: Any,
    keys: Floats,
    levels: Floats,
    counts: Int64s,
    faults: Any,
) -> None:
    """Apply an add, modify, cancel, execute or level; there must be room for an order and a level more.

    Parameters are one event of `flows.kernels.book.apply_events`, the book, and arrays of the state and of
    what is written.
    """
    if (
        side < 0
        or np.isnan(price)
        or not size >= 0
        or (action == ADD and size == 0)
        or (action == MODIFY and not named)
    ):
        write_fault(books, book, row, INCOMPLETE, IGNORED, np.nan, faults, counts)
        return
    place = 2 * book + side
    key = -price if side else price
    if action == LEVEL or (action == ADD and not named):
        _set_rest(place, key, size, action == LEVEL, depth, books, sides, keys, levels, counts)
        return
    at = find_order(orders, book, id_) if named else -1
    level = level_of_order(orders, at, sides, keys, levels) if named else -1
    if level < 0 and action not in (ADD, MODIFY):
        kind = _take_rest(place, key, size, depth, books, sides, keys, levels, counts)
        if kind == UNKNOWN_ORDER:
            write_fault(books, book, row, kind, IGNORED, np.nan, faults, counts)
        elif kind == NEGATIVE:
            write_fault(books, book, row, kind, ZEROED, np.nan, faults, counts)
        return
    if level < 0:
        if action == MODIFY:
            resolution = ADDED if size > 0 else IGNORED
            write_fault(books, book, row, UNKNOWN_ORDER, resolution, np.nan, faults, counts)
            if size == 0:
                return
        _rest_order(at, id_, place, key, size, depth, books, sides, orders, keys, levels, counts)
        return
    order = orders[at]
    left = order.size
    own = abs(order.key)
    if action == ADD:
        write_fault(books, book, row, DUPLICATE_ORDER, REPLACED, left, faults, counts)
    elif order.place != place:
        resolution = REPLACED if action == MODIFY else OWN_SIDE_KEPT
        write_fault(books, book, row, OTHER_SIDE, resolution, own, faults, counts)
    elif action != MODIFY and order.key != key:
        write_fault(books, book, row, OTHER_PRICE, OWN_PRICE_KEPT, own, faults, counts)
    if action in (ADD, MODIFY):
        if size > 0 and order.place == place and order.key == key:
            add_to_sum(levels, level, size)
            add_to_sum(levels, level, -left)
            order.size = size
            order.whole = size
            _touch(books, sides, place, level, depth)
            return
        _leave(at, level, depth, books, sides, orders, keys, levels, counts)
        if size > 0:
            # Taking it out has moved entries: it has another place.
            at = find_order(orders, book, id_)
            _rest_order(
                at, id_, place, key, size, depth, books, sides, orders, keys, levels, counts
            )
        return
    rounding = ROUNDING * order.whole
    if size > left + rounding:
        write_fault(books, book, row, OVERSIZED, ZEROED, left, faults, counts)
    if size >= left - rounding:
        _leave(at, level, depth, books, sides, orders, keys, levels, counts)
    else:
        # By the difference, so that the sum is that of what is left.
        add_to_sum(levels, level, left - size)
        add_to_sum(levels, level, -left)
        order.size = left - size
        _touch(books, sides, order.place, level, depth)


@jit_in_place
def _rest_order(
    at: int,
    id_: int,
    place: int,
    key: float,
    size: float,
    depth: int,
    books: Any,
    sides: Any,
    orders: Any,
    keys: Floats,
    levels: Floats,
    counts: Int64s,
) -> None:
    level = _made(place, key, books, sides, keys, levels, counts)
    order = orders[at]
    if order.place == FREE:
        counts[ENTRIES_AT] += 1
    order.id = id_
    order.place = place
    order.level = levels[level, NUMBER]
    order.key = key
    order.size = size
    order.whole = size
    counts[ORDERS_AT] += 1
    levels[level, ORDERS] += 1
    add_to_sum(levels, level, size)
    _touch(books, sides, place, level, depth)


@jit_in_place
def _leave(
    at: int,
    level: int,
    depth: int,
    books: Any,
    sides: Any,
    orders: Any,
    keys: Floats,
    levels: Floats,
    counts: Int64s,
) -> None:
    place = orders[at].place
    _touch(books, sides, place, level, depth)
    levels[level, ORDERS] -= 1
    if levels[level, ORDERS] > 0:
        add_to_sum(levels, level, -orders[at].size)
    elif levels[level, REST] > 0:
        levels[level, SUM] = 0.0
        levels[level, SUM_LOW] = 0.0
    else:
        counts[LEVELS_AT] -= 1
        remove_level(sides, keys, levels, place, level)
    counts[ORDERS_AT] -= 1
    counts[ENTRIES_AT] -= 1
    remove_order(orders, at)


@jit_in_place
def _set_rest(
    place: int,
    key: float,
    size: float,
    whole: bool,  # noqa: FBT001 - a comparison's result
    depth: int,
    books: Any,
    sides: Any,
    keys: Floats,
    levels: Floats,
    counts: Int64s,
) -> None:
    # The size is all that the price has, or (not whole) comes to what it has.
    if size == 0:
        level = level_of(sides, keys, place, key)
        if level >= 0:
            _touch(books, sides, place, level, depth)
            counts[ORDERS_AT] -= np.int64(levels[level, ORDERS])
            counts[LEVELS_AT] -= 1
            remove_level(sides, keys, levels, place, level)
        return
    level = _made(place, key, books, sides, keys, levels, counts)
    if not whole:
        levels[level, REST] += size
    elif size >= levels[level, SUM]:
        levels[level, REST] = size - levels[level, SUM]
    else:
        # Some of its orders are gone, and nothing tells which: it begins anew.
        counts[ORDERS_AT] -= np.int64(levels[level, ORDERS])
        books[place >> 1].levels += 1
        levels[level, SUM] = 0.0
        levels[level, SUM_LOW] = 0.0
        levels[level, REST] = size
        levels[level, ORDERS] = 0.0
        levels[level, NUMBER] = books[place >> 1].levels
    _touch(books, sides, place, level, depth)


@jit_in_place
def _take_rest(
    place: int,
    key: float,
    size: float,
    depth: int,
    books: Any,
    sides: Any,
    keys: Floats,
    levels: Floats,
    counts: Int64s,
) -> int:
    # The kind of fault, -1 for none.
    level = level_of(sides, keys, place, key)
    if level < 0 or levels[level, REST] == 0:
        return UNKNOWN_ORDER
    rest = levels[level, REST]
    _touch(books, sides, place, level, depth)
    left = rest - size
    levels[level, REST] = left if left > ROUNDING * rest else 0.0
    if levels[level, REST] == 0 and levels[level, ORDERS] == 0:
        counts[LEVELS_AT] -= 1
        remove_level(sides, keys, levels, place, level)
    return NEGATIVE if left < -ROUNDING * rest else -1


@jit_in_place
def _made(
    place: int,
    key: float,
    books: Any,
    sides: Any,
    keys: Floats,
    levels: Floats,
    counts: Int64s,
) -> int:
    book = books[place >> 1]
    level, new = made_level(sides, keys, levels, place, key, book.levels + 1)
    if new:
        book.levels += 1
        counts[LEVELS_AT] += 1
    return level


@jit_in_place
def _touch(books: Any, sides: Any, place: int, level: int, depth: int) -> None:
    # A level changes, has come or will go; does it matter, is it among the best?
    if sides[place].start + sides[place].count - level <= depth:
        books[place >> 1].touched = 1
