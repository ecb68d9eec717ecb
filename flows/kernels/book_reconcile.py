"""Order by order, a book beside what its vendor shows of it: what must be said so that both stay the same.

A vendor that tells only what happens in the best N levels leaves its reader's book wrong where a level comes
into view that changed, came or went out of view. The kernel keeps the book as `flows.book` does (a level shows its
known orders and a rest; a level that goes takes its orders with it) and writes *corrections*, each the whole size
of a price:

- behind a message, for every level of the best N that is not as the vendor shows it;
- before a cancel or execution of an order that the book does not know, where the level's rest is smaller than that:
  0 and then its size, so that the level has a rest only. The orders known there are not those that are there.

Prices and sizes are integers, as the vendor gives them.
"""

from typing import Any, NamedTuple

import numpy as np

from flows.kernels.jit import jit
from schemas.arrays import Bools, Int64s, UInt64s

OTHER, ADD, TAKE = 0, 1, 2
BEFORE, BEHIND = 0, 1

# A level: what it shows, the part that its known orders have (the other part is the rest), the count of these, and
# a number that no other level has: an order belongs to the level of its number.
_SIZE, _SUM, _ORDERS, _NUMBER = 0, 1, 2, 3
# An order: side, price as in the book, what is left, the number of its level.
_SIDE, _KEY, _LEFT, _LEVEL = 0, 1, 2, 3
# Places in the counts: levels of each side, entries of the table, levels ever made.
_ENTRIES, _MADE = 2, 3
# Rows that one message may cause, beside one for each level that is there.
_ROWS_PER_LEVEL, _ROWS_BEFORE = 2, 2
_FREE = np.uint64(0)


class Book(NamedTuple):
    """The book: L levels a side, best last, and a table of H orders."""

    prices: Int64s  # (2, L): of bids, and of asks negated, so that the best is the largest
    levels: Int64s  # (2, L, 4)
    counts: Int64s  # (4,)
    ids: UInt64s  # (H,): 0 where free
    orders: Int64s  # (H, 4)


class Corrections(NamedTuple):
    """What was written: message, `BEFORE` or `BEHIND` it, side (0 bid, 1 ask), price, whole size."""

    used: Int64s  # (1,)
    rows: Int64s  # (rows, 5)


def new_book(levels: int, orders: int) -> Book:
    """An empty book with room for so many levels a side, and half as many orders as the table has."""
    return Book(
        prices=np.zeros((2, levels), np.int64),
        levels=np.zeros((2, levels, 4), np.int64),
        counts=np.zeros(4, np.int64),
        ids=np.zeros(orders, np.uint64),
        orders=np.zeros((orders, 4), np.int64),
    )


def grown(book: Book) -> Book:
    """The same book with a table of orders twice as large, and without those whose levels are gone."""
    larger = new_book(book.prices.shape[1], 2 * len(book.ids))
    larger.prices[:], larger.levels[:], larger.counts[:] = book.prices, book.levels, book.counts
    larger.counts[_ENTRIES] = _carry(book, larger.ids, larger.orders)
    return larger


def needs_growth(book: Book) -> bool:
    """Whether the table of orders is half full."""
    return 2 * int(book.counts[_ENTRIES]) >= len(book.ids)


@jit
def reconcile(
    first: int, messages: Any, shown: Int64s, known: Bools, none: int, book: Any, out: Any
) -> int:
    """Take messages in and write what the vendor's view says beyond them.

    Parameters
    ----------
    first : int
        Message to begin with.
    messages : tuple of numpy.ndarray
        Action (`OTHER`, `ADD`, `TAKE`), order id (0 for none), side (0 bid, 1 ask), price, size, shape (n,).
    shown : numpy.ndarray of int64, shape (n, 4 N)
        What the vendor shows after each message, level by level from the best: ask price, ask size, bid price,
        bid size.
    known : numpy.ndarray of bool, shape (n,)
        Whether ``shown`` is.
    none : int
        A shown price at least so far from zero is no level.
    book : Book
        Is changed.
    out : Corrections
        Is written to.

    Returns
    -------
    int
        The message to go on with: n, or less where ``out`` is full or the table of orders must grow.
    """
    actions, ids, sides, prices, sizes = messages
    keys, levels, counts, table, orders = book
    used, rows = out
    depth = shown.shape[1] // 4
    for i in range(first, len(actions)):
        most = counts[0] + counts[1] + 2 * depth * _ROWS_PER_LEVEL + _ROWS_BEFORE
        if used[0] + most > len(rows) or 2 * counts[_ENTRIES] >= len(table):
            return i
        if actions[i] != OTHER:
            side = sides[i]
            key = -prices[i] if side else prices[i]
            entry = _find(table, ids[i])
            at = _level_of(keys, levels, counts, table, orders, entry)
            if actions[i] == ADD:
                if at >= 0:
                    _take(at, entry, orders[entry, _LEFT], keys, levels, counts, table, orders)
                    entry = _find(table, ids[i])
                at = _made(side, key, keys, levels, counts)
                if at >= 0:
                    levels[side, at, _SIZE] += sizes[i]
                if at >= 0 and ids[i] != _FREE:
                    levels[side, at, _SUM] += sizes[i]
                    levels[side, at, _ORDERS] += 1
                    counts[_ENTRIES] += table[entry] == _FREE
                    table[entry] = ids[i]
                    order = orders[entry]
                    order[_SIDE], order[_KEY], order[_LEFT] = side, key, sizes[i]
                    order[_LEVEL] = levels[side, at, _NUMBER]
            elif at >= 0:
                _take(at, entry, sizes[i], keys, levels, counts, table, orders)
            else:
                _take_unknown(i, side, key, sizes[i], keys, levels, counts, used, rows)
        if known[i]:
            for side in range(2):
                # Here, since a call costs more than the few levels that nearly always are the same.
                column = 2 - 2 * side
                sign = 1 - 2 * side
                at = counts[side] - 1
                level = 0
                while (
                    level < depth
                    and at >= 0
                    and keys[side, at] == sign * shown[i, column]
                    and levels[side, at, _SIZE] == shown[i, column + 1]
                ):
                    at -= 1
                    column += 4
                    level += 1
                if level < depth and (at >= 0 or abs(shown[i, column]) < none):
                    _correct(i, side, level, shown, none, keys, levels, counts, used, rows)
    return len(actions)


@jit
def _correct(
    i: int,
    side: int,
    level: int,
    shown: Int64s,
    none: int,
    keys: Int64s,
    levels: Int64s,
    counts: Int64s,
    used: Int64s,
    rows: Int64s,
) -> None:
    sign = 1 - 2 * side
    while 4 * level < shown.shape[1]:
        at = counts[side] - 1 - level
        price = shown[i, 4 * level + 2 - 2 * side]
        if abs(price) >= none and at < 0:
            return
        if abs(price) >= none or (at >= 0 and keys[side, at] > sign * price):
            # The vendor has nothing there.
            _write(i, BEHIND, side, sign * keys[side, at], 0, used, rows)
            _drop(side, at, keys, levels, counts)
            continue
        size = shown[i, 4 * level + 3 - 2 * side]
        at = _made(side, sign * price, keys, levels, counts)
        if levels[side, at, _SIZE] != size:
            _write(i, BEHIND, side, price, size, used, rows)
            _set(side, at, size, levels, counts)
        level += 1


@jit
def _take_unknown(
    i: int,
    side: int,
    key: int,
    size: int,
    keys: Int64s,
    levels: Int64s,
    counts: Int64s,
    used: Int64s,
    rows: Int64s,
) -> None:
    at = _at(keys, counts, side, key)
    if at < 0 or keys[side, at] != key:
        return
    whole = levels[side, at, _SIZE]
    if whole - levels[side, at, _SUM] < size <= whole:
        price = -key if side else key
        _write(i, BEFORE, side, price, 0, used, rows)
        _write(i, BEFORE, side, price, whole, used, rows)
        levels[side, at, _SIZE] = 0
        _set(side, at, 0, levels, counts)
        levels[side, at, _SIZE] = whole
    rest = levels[side, at, _SIZE] - levels[side, at, _SUM]
    levels[side, at, _SIZE] -= min(rest, size)
    if levels[side, at, _SIZE] == 0:
        _drop(side, at, keys, levels, counts)


@jit
def _set(side: int, at: int, size: int, levels: Int64s, counts: Int64s) -> None:
    # Where there is less than the known orders have, or nothing, they are known no more.
    if size < levels[side, at, _SUM] or size == 0:
        levels[side, at, _SUM] = 0
        levels[side, at, _ORDERS] = 0
        levels[side, at, _NUMBER] = counts[_MADE]
        counts[_MADE] += 1
    levels[side, at, _SIZE] = size


@jit
def _write(
    i: int, place: int, side: int, price: int, size: int, used: Int64s, rows: Int64s
) -> None:
    row = rows[used[0]]
    row[0], row[1], row[2], row[3], row[4] = i, place, side, price, size
    used[0] += 1


@jit
def _at(keys: Int64s, counts: Int64s, side: int, key: int) -> Any:
    # The last level whose key is not above this one; most changes are near the best.
    at = counts[side] - 1
    while at >= 0 and keys[side, at] > key:
        at -= 1
    return at


@jit
def _made(side: int, key: int, keys: Int64s, levels: Int64s, counts: Int64s) -> Any:
    # The level of a key, made where there was none; -1 where it would be worse than all there is room for.
    at = _at(keys, counts, side, key)
    if at >= 0 and keys[side, at] == key:
        return at
    if counts[side] == keys.shape[1]:
        # The worst level is forgotten; it is said anew when it comes into view.
        if at < 0:
            return -1
        _drop(side, 0, keys, levels, counts)
        at -= 1
    at += 1
    for moved in range(counts[side], at, -1):
        keys[side, moved] = keys[side, moved - 1]
        levels[side, moved] = levels[side, moved - 1]
    keys[side, at] = key
    levels[side, at] = 0
    levels[side, at, _NUMBER] = counts[_MADE]
    counts[_MADE] += 1
    counts[side] += 1
    return at


@jit
def _drop(side: int, at: int, keys: Int64s, levels: Int64s, counts: Int64s) -> None:
    for moved in range(at, counts[side] - 1):
        keys[side, moved] = keys[side, moved + 1]
        levels[side, moved] = levels[side, moved + 1]
    counts[side] -= 1


@jit
def _take(
    at: int,
    entry: int,
    size: int,
    keys: Int64s,
    levels: Int64s,
    counts: Int64s,
    table: UInt64s,
    orders: Int64s,
) -> None:
    side = orders[entry, _SIDE]
    taken = min(size, orders[entry, _LEFT])
    orders[entry, _LEFT] -= taken
    levels[side, at, _SUM] -= taken
    levels[side, at, _SIZE] -= taken
    if orders[entry, _LEFT] == 0:
        levels[side, at, _ORDERS] -= 1
        _remove(table, orders, entry)
        counts[_ENTRIES] -= 1
    if levels[side, at, _SIZE] == 0:
        _drop(side, at, keys, levels, counts)


@jit
def _level_of(
    keys: Int64s, levels: Int64s, counts: Int64s, table: UInt64s, orders: Int64s, entry: int
) -> Any:
    # The level of an order; -1 where it is not known, or not any more.
    if table[entry] == _FREE:
        return -1
    side, key = orders[entry, _SIDE], orders[entry, _KEY]
    at = _at(keys, counts, side, key)
    if at < 0 or keys[side, at] != key or levels[side, at, _NUMBER] != orders[entry, _LEVEL]:
        return -1
    return at


@jit
def _find(table: UInt64s, id_: int) -> Any:
    # Open addressing: where the order is, or the free entry where it would be.
    mask = np.uint64(len(table) - 1)
    at = _home(id_, mask)
    while table[at] != _FREE and table[at] != id_:
        at = (at + np.uint64(1)) & mask
    return np.int64(at)


@jit
def _remove(table: UInt64s, orders: Int64s, entry: int) -> None:
    # Entries behind the gap that it would hide from a search move up.
    mask = np.uint64(len(table) - 1)
    gap = np.uint64(entry)
    at = (gap + np.uint64(1)) & mask
    while table[at] != _FREE:
        if (at - _home(table[at], mask)) & mask >= (at - gap) & mask:
            table[gap] = table[at]
            orders[gap] = orders[at]
            gap = at
        at = (at + np.uint64(1)) & mask
    table[gap] = _FREE


@jit
def _home(id_: Any, mask: Any) -> Any:
    # Multiply and shift, so that ids that follow one another spread.
    mixed = np.uint64(id_) * np.uint64(0x9E3779B97F4A7C15)
    return (mixed ^ (mixed >> np.uint64(32))) & mask


@jit
def _carry(book: Any, into_ids: UInt64s, into_orders: Int64s) -> int:
    keys, levels, counts, table, orders = book
    carried = 0
    for entry in range(len(table)):
        if _level_of(keys, levels, counts, table, orders, entry) >= 0:
            at = _find(into_ids, table[entry])
            into_ids[at] = table[entry]
            into_orders[at] = orders[entry]
            carried += 1
    return carried
