"""The price levels of one side of a book: find, add, take, set, best levels; in numba.

A side's levels lie in order of key in its part of the arena, the best one last
(`flows.kernels.book_state`). A level shows the sum of its orders and its rest. The sum is kept in two doubles
(Knuth's two-sum; Dekker 1971): what was added and taken away again leaves nothing behind, so that
0.1 + 0.2 - 0.1 shows 0.2.

Each level has a number that no other level of its book ever has. An order has the number of its level; when that
is no more, neither is the order.
"""

from typing import Any

from flows.kernels.book_state import NUMBER, ORDERS, PARTS, REST, SUM, SUM_LOW
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats

# Levels from the best one on that are looked at one by one before the others are halved again and again.
_NEAR = 16

# What part of a size may be rounding, where sizes that are no whole numbers have been subtracted.
ROUNDING = 1e-12


@jit_in_place
def find_level(keys: Floats, start: int, count: int, key: float) -> int:
    """Where the last level is whose key is not above `key`; ``start - 1`` if there is none."""
    at = start + count - 1
    nearest = max(start, at - _NEAR)
    while at >= nearest and keys[at] > key:
        at -= 1
    if at >= nearest:
        return at
    low = start
    high = at + 1
    while low < high:
        middle = (low + high) // 2
        if keys[middle] <= key:
            low = middle + 1
        else:
            high = middle
    return low - 1


@jit_in_place
def level_of(sides: Any, keys: Floats, side: int, key: float) -> int:
    """Where the level of a key is; -1 if there is none."""
    start = sides[side].start
    at = find_level(keys, start, sides[side].count, key)
    return at if at >= start and keys[at] == key else -1


@jit_in_place
def made_level(
    sides: Any, keys: Floats, levels: Floats, side: int, key: float, number: int
) -> tuple[int, bool]:
    """Where the level of a key is, made empty with a number where there was none; whether it is new.

    There must be room for a level more.
    """
    start = sides[side].start
    count = sides[side].count
    at = find_level(keys, start, count, key)
    if at >= start and keys[at] == key:
        return at, False
    at += 1
    for moved in range(start + count, at, -1):
        keys[moved] = keys[moved - 1]
        for part in range(PARTS):
            levels[moved, part] = levels[moved - 1, part]
    keys[at] = key
    levels[at, SUM] = 0.0
    levels[at, SUM_LOW] = 0.0
    levels[at, REST] = 0.0
    levels[at, ORDERS] = 0.0
    levels[at, NUMBER] = number
    sides[side].count += 1
    return at, True


@jit_in_place
def remove_level(sides: Any, keys: Floats, levels: Floats, side: int, at: int) -> None:
    """Take a level out."""
    sides[side].count -= 1
    for moved in range(at, sides[side].start + sides[side].count):
        keys[moved] = keys[moved + 1]
        for part in range(PARTS):
            levels[moved, part] = levels[moved + 1, part]


@jit_in_place
def add_to_sum(levels: Floats, at: int, size: float) -> None:
    """Add to the sum of the sizes of a level's orders, or take away, without a trace of rounding."""
    high = levels[at, SUM]
    total = high + size
    part = total - high
    lost = (high - (total - part)) + (size - part)
    low = levels[at, SUM_LOW] + lost
    levels[at, SUM] = total + low
    levels[at, SUM_LOW] = low - (levels[at, SUM] - total)


@jit_in_place
def copy_best(
    sides: Any, keys: Floats, levels: Floats, book: int, depth: int, seen: Floats
) -> bool:
    """Write the best levels of a book into its row of `seen`; whether anything is not as it was there."""
    changed = False
    for side in range(2):
        start = sides[2 * book + side].start
        at = start + sides[2 * book + side].count - 1
        sign = -1.0 if side else 1.0
        place = 2 * side
        for _ in range(depth):
            price = 0.0
            size = 0.0
            if at >= start:
                price = sign * keys[at]
                size = levels[at, SUM] + levels[at, REST]
            if seen[book, place] != price or seen[book, place + 1] != size:
                seen[book, place] = price
                seen[book, place + 1] = size
                changed = True
            at -= 1
            place += 4
    return changed
