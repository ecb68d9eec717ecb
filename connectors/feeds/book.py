"""The simulator's limit order books: price-time priority, one book a symbol, in numba over arrays.

Orders lie in a pool a symbol, chained by price level, first in first out; levels lie in a ring of ticks.
Every kernel writes the rows that it causes into `Rows`: book events, trades, and quotes where the touch has
changed. Prices are ticks, sizes whole shares.
"""

from typing import Any, NamedTuple

import numpy as np

from flows.kernels.jit import jit
from schemas.arrays import Int64s, UInt64s

# What numba's integers are to the type checker.
Integer = int | np.integer[Any]

POOL = 256
LEVELS = 128
# An action writes at most one row for each order of a book, and one more.
ROWS_PER_ACTION_MAX = POOL + 2

BUY, SELL = 0, 1
ADD, CANCEL, EXECUTE = 0, 1, 2
NONE = -1
ID, SIDE, TICK, SIZE, AFTER, BEFORE, PLACE = 0, 1, 2, 3, 4, 5, 6
HEAD, TAIL, TOTAL = 0, 1, 2

# A book is refilled below the first and thinned above the second count of orders.
_FEW, _MANY = 40, 160
_LOT = 100
_TICK_LEAST = 100
_DEPTH = 31
_FILLS_MAX = 8


class Books(NamedTuple):
    """State of all books: S symbols, `POOL` order slots and `LEVELS` ring places each.

    An order's fields lie together, so that touching an order costs one cache line, not seven.
    """

    order: Int64s  # (S, POOL, 8): ID, SIDE, TICK, SIZE, AFTER, BEFORE, PLACE
    live: Int64s  # (S, POOL): the first count are slots in use, the others free ones
    orders: Int64s  # (S, 3), counts: orders of both sides, of BUY, of SELL
    level: Int64s  # (S, 2, LEVELS, 3): HEAD, TAIL, TOTAL
    best: Int64s  # (S, 2): tick of the touch
    quoted: Int64s  # (S, 4): last quote row: bid, bid size, ask, ask size
    next_id: Int64s  # (2,): of orders, of trades


class Rows(NamedTuple):
    """Rows that a run of actions caused; ``used`` counts those of book events, trades, quotes."""

    used: Int64s  # (3,)
    event: Int64s  # (rows, 7): symbol, time, action, order id, side, tick, size
    trade: Int64s  # (rows, 6): symbol, time, aggressor side, tick, size, trade id
    quote: Int64s  # (rows, 6): symbol, time, bid, bid size, ask, ask size


def new_books(ticks: Int64s) -> Books:
    """Empty books around starting prices.

    Parameters
    ----------
    ticks : numpy.ndarray of int64, shape (S,)
        Starting price of each symbol.
    """
    symbols = len(ticks)
    order = np.zeros((symbols, POOL, 8), np.int64)
    order[:, :, PLACE] = np.arange(POOL)
    level = np.full((symbols, 2, LEVELS, 3), NONE, np.int64)
    level[..., TOTAL] = 0
    return Books(
        order=order,
        live=order[:, :, PLACE].copy(),
        orders=np.zeros((symbols, 3), np.int64),
        level=level,
        best=np.stack([ticks - 1, ticks + 1], axis=1),
        quoted=np.zeros((symbols, 4), np.int64),
        next_id=np.ones(2, np.int64),
    )


def new_rows(capacity: int) -> Rows:
    """Room for rows of a run of actions."""
    return Rows(
        used=np.zeros(3, np.int64),
        event=np.empty((capacity, 7), np.int64),
        trade=np.empty((capacity, 6), np.int64),
        quote=np.empty((capacity, 6), np.int64),
    )


@jit
def run(
    books: Books, rows: Rows, symbols: Int64s, times: Int64s, draws: UInt64s, start: int
) -> int:
    """Act on the books, one action an entry, until the entries or the room for rows are used up.

    Parameters
    ----------
    books, rows : Books, Rows
        Changed and filled.
    symbols, times, draws : numpy.ndarray, shape (n,)
        Symbol, time and 64 random bits of each action.
    start : int
        First action.

    Returns
    -------
    int
        The action to go on with.
    """
    rows.used[:] = 0
    room = rows.event.shape[0] - ROWS_PER_ACTION_MAX
    for at in range(start, len(times)):
        if rows.used[0] > room:
            return at
        _act(books, rows, symbols[at], times[at], draws[at])
    return len(times)


@jit
def seed_books(books: Books, rows: Rows, start: int, time: int, depth: int) -> int:
    """Two orders at each of the first levels of both sides; returns the symbol to go on with."""
    rows.used[:] = 0
    room = rows.event.shape[0] - ROWS_PER_ACTION_MAX
    for symbol in range(start, len(books.orders)):
        if rows.used[0] > room:
            return symbol
        bid, ask = books.best[symbol, BUY], books.best[symbol, SELL]
        for level in range(depth):
            for order in range(2):
                size = _LOT * (1 + (symbol + 3 * level + order) % 5)
                _add(books, rows, symbol, time, BUY, bid - level, size)
                _add(books, rows, symbol, time, SELL, ask + level, size)
        _quote(books, rows, symbol, time)
    return len(books.orders)


@jit
def _act(books: Books, rows: Rows, symbol: Integer, time: Integer, draw: Integer) -> None:
    bits = np.uint64(draw)
    kind = np.int64(bits & np.uint64(127))
    side = np.int64((bits >> np.uint64(7)) & np.uint64(1))
    lots = 1 + np.int64((bits >> np.uint64(8)) & np.uint64(7))
    pick = np.int64((bits >> np.uint64(32)) & np.uint64(0x7FFFFFFF))
    count = books.orders[symbol, 0]
    # Of 128: 62 limit orders, 16 market orders, 50 cancels; a thin book is refilled, a full one thinned.
    if count < _FEW or (kind < 62 and count < _MANY):
        # The smaller of two uniform numbers: orders crowd near the touch.
        near = min(pick & _DEPTH, (pick >> 8) & _DEPTH)
        if side == BUY:
            tick = max(books.best[symbol, SELL] - 1 - near, _TICK_LEAST)
        else:
            tick = books.best[symbol, BUY] + 1 + near
        _add(books, rows, symbol, time, side, tick, lots * _LOT)
    elif kind < 78:
        _take(books, rows, symbol, time, side, lots * _LOT)
    else:
        slot = books.live[symbol, pick % count]
        size = books.order[symbol, slot, SIZE]
        part = size if lots > 2 or size < 2 * _LOT else size // (2 * _LOT) * _LOT
        _cancel(books, rows, symbol, time, slot, part)
    _quote(books, rows, symbol, time)


@jit
def _add(
    books: Books,
    rows: Rows,
    symbol: Integer,
    time: Integer,
    side: Integer,
    tick: Integer,
    size: Integer,
) -> None:
    ring = tick % LEVELS
    # The ring place may hold orders a whole ring away, left behind by a price that ran: they go first.
    while books.level[symbol, side, ring, HEAD] != NONE:
        old = books.level[symbol, side, ring, HEAD]
        if books.order[symbol, old, TICK] == tick:
            break
        _cancel(books, rows, symbol, time, old, books.order[symbol, old, SIZE])
        if books.level[symbol, side, ring, HEAD] == old:
            return
    slot = books.live[symbol, books.orders[symbol, 0]]
    books.orders[symbol, 0] += 1
    books.orders[symbol, 1 + side] += 1
    order_id = books.next_id[0]
    books.next_id[0] += 1
    books.order[symbol, slot, ID] = order_id
    books.order[symbol, slot, SIDE] = side
    books.order[symbol, slot, TICK] = tick
    books.order[symbol, slot, SIZE] = size
    last = books.level[symbol, side, ring, TAIL]
    books.order[symbol, slot, BEFORE] = last
    books.order[symbol, slot, AFTER] = NONE
    if last == NONE:
        books.level[symbol, side, ring, HEAD] = slot
    else:
        books.order[symbol, last, AFTER] = slot
    books.level[symbol, side, ring, TAIL] = slot
    books.level[symbol, side, ring, TOTAL] += size
    best = books.best[symbol, side]
    if books.orders[symbol, 1 + side] == 1 or (tick > best if side == BUY else tick < best):
        books.best[symbol, side] = tick
    _event(rows, symbol, time, ADD, order_id, side, tick, size)


@jit
def _take(
    books: Books, rows: Rows, symbol: Integer, time: Integer, aggressor: Integer, size: Integer
) -> None:
    """A market order against the other side's touch; what is left after the last but one order is void."""
    side = 1 - aggressor
    for _ in range(_FILLS_MAX):
        if size == 0 or books.orders[symbol, 1 + side] < 2:
            return
        tick = books.best[symbol, side]
        slot = books.level[symbol, side, tick % LEVELS, HEAD]
        filled = min(size, books.order[symbol, slot, SIZE])
        size -= filled
        order_id = books.order[symbol, slot, ID]
        _reduce(books, symbol, slot, filled)
        _event(rows, symbol, time, EXECUTE, order_id, side, tick, filled)
        at = rows.used[1]
        rows.used[1] += 1
        rows.trade[at, 0] = symbol
        rows.trade[at, 1] = time
        rows.trade[at, 2] = aggressor
        rows.trade[at, 3] = tick
        rows.trade[at, 4] = filled
        rows.trade[at, 5] = books.next_id[1]
        books.next_id[1] += 1


@jit
def _cancel(
    books: Books, rows: Rows, symbol: Integer, time: Integer, slot: Integer, size: Integer
) -> None:
    """Take shares of an order away; the last order of a side stays, so that there is a touch."""
    side, tick = books.order[symbol, slot, SIDE], books.order[symbol, slot, TICK]
    if size == books.order[symbol, slot, SIZE] and books.orders[symbol, 1 + side] < 2:
        return
    order_id = books.order[symbol, slot, ID]
    _reduce(books, symbol, slot, size)
    _event(rows, symbol, time, CANCEL, order_id, side, tick, size)


@jit
def _reduce(books: Books, symbol: Integer, slot: Integer, size: Integer) -> None:
    """Less shares of an order; none left: it leaves its level, and the touch may move."""
    side, tick = books.order[symbol, slot, SIDE], books.order[symbol, slot, TICK]
    ring = tick % LEVELS
    books.order[symbol, slot, SIZE] -= size
    books.level[symbol, side, ring, TOTAL] -= size
    if books.order[symbol, slot, SIZE] > 0:
        return
    before, after = books.order[symbol, slot, BEFORE], books.order[symbol, slot, AFTER]
    if before == NONE:
        books.level[symbol, side, ring, HEAD] = after
    else:
        books.order[symbol, before, AFTER] = after
    if after == NONE:
        books.level[symbol, side, ring, TAIL] = before
    else:
        books.order[symbol, after, BEFORE] = before
    books.orders[symbol, 0] -= 1
    books.orders[symbol, 1 + side] -= 1
    last = books.live[symbol, books.orders[symbol, 0]]
    hole = books.order[symbol, slot, PLACE]
    books.live[symbol, hole] = last
    books.order[symbol, last, PLACE] = hole
    books.live[symbol, books.orders[symbol, 0]] = slot
    books.order[symbol, slot, PLACE] = books.orders[symbol, 0]
    if tick == books.best[symbol, side] and books.level[symbol, side, ring, HEAD] == NONE:
        books.best[symbol, side] = _next_best(books, symbol, side, tick)


@jit
def _next_best(books: Books, symbol: Integer, side: Integer, tick: Integer) -> Integer:
    """The touch of a side that has an order, none of them at ``tick`` or better."""
    step = -1 if side == BUY else 1
    for _ in range(LEVELS):
        tick += step
        head = books.level[symbol, side, tick % LEVELS, HEAD]
        # A ring place can hold orders a whole ring away: their tick tells.
        if head != NONE and books.order[symbol, head, TICK] == tick:
            return tick
    best = NONE
    for at in range(books.orders[symbol, 0]):
        slot = books.live[symbol, at]
        if books.order[symbol, slot, SIDE] == side:
            far = books.order[symbol, slot, TICK]
            if best == NONE or (far - best) * step < 0:
                best = far
    return best


@jit
def _event(
    rows: Rows,
    symbol: Integer,
    time: Integer,
    action: Integer,
    order_id: Integer,
    side: Integer,
    tick: Integer,
    size: Integer,
) -> None:
    at = rows.used[0]
    rows.used[0] += 1
    rows.event[at, 0] = symbol
    rows.event[at, 1] = time
    rows.event[at, 2] = action
    rows.event[at, 3] = order_id
    rows.event[at, 4] = side
    rows.event[at, 5] = tick
    rows.event[at, 6] = size


@jit
def _quote(books: Books, rows: Rows, symbol: Integer, time: Integer) -> None:
    """A quote row, where the touch or its size has changed."""
    bid, ask = books.best[symbol, BUY], books.best[symbol, SELL]
    bid_size = books.level[symbol, BUY, bid % LEVELS, TOTAL]
    ask_size = books.level[symbol, SELL, ask % LEVELS, TOTAL]
    quoted = books.quoted[symbol]
    if quoted[0] == bid and quoted[1] == bid_size and quoted[2] == ask and quoted[3] == ask_size:
        return
    quoted[0], quoted[1], quoted[2], quoted[3] = bid, bid_size, ask, ask_size
    at = rows.used[2]
    rows.used[2] += 1
    rows.quote[at, 0] = symbol
    rows.quote[at, 1] = time
    rows.quote[at, 2:6] = quoted
