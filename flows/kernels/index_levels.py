"""Levels of indices: weighted sums of closes, interval by interval, in order of the intervals.

``level = sum over members of (weight * last close) / divisor``: the Laspeyres formula of price- and
share-weighted indices, where a weight is a number of shares.
"""

from typing import Any

import numpy as np

from flows.kernels.breadth_parts import UNSET
from flows.kernels.jit import jit
from schemas.arrays import Bools, Floats, Int64s

# Columns of an index and interval: the last interval that is done, the number of windows that wait, the
# first of them (as numbers of cells).
DONE, OPEN, FIRST = range(3)
STATE = 3
# Columns of a level.
LEVEL, DIVISOR, MEMBERS, STALE = range(4)
LEVELS = 4


@jit
def add_closes(
    rows: Any, of_symbol: Any, indices: Any, state: Any, windows: Any
) -> tuple[Int64s, Int64s, Floats, Int64s, Int64s, Bools]:
    """Take closes of members in, in order; give the levels that they complete.

    A level is computed when all members have passed the interval's end, or when a member is as many
    intervals further as there is room for. It needs a close of every member, by then.

    Parameters
    ----------
    rows : tuple of numpy.ndarray, each of shape (n,)
        Slot of the symbol, number of the interval, end of the interval (ns), close (NaN for none).
    of_symbol : tuple of numpy.ndarray of int64
        Symbol *s* is member ``members[j]`` of index ``places[j]`` for *j* from ``bounds[s]`` to
        ``bounds[s + 1]``: bounds, places, members.
    indices : tuple of numpy.ndarray
        Length of a cell of each interval (ns), shape (intervals,); weights, shape (indices, members), NaN
        behind the last one; base levels and base times, each of shape (indices,).
    state : tuple of numpy.ndarray
        Slots (index times interval) of integers, shape (slots, `STATE`); where each member is, shape
        (slots, members); its last close, same shape; divisors, shape (slots,). Changed.
    windows : tuple of numpy.ndarray
        Ends of the windows that wait, shape (slots, horizon), `UNSET` where none does; closes in them,
        shape (slots, horizon, members). Changed.

    Returns
    -------
    tuple of numpy.ndarray
        Slot and end of each level, each of shape (m,); its columns, shape (m, `LEVELS`); rows that came
        behind the level they would have changed, the end of the last that was done then, and whether they
        entered the level of another index, each of shape (k,).
    """
    symbols, intervals, times, closes = rows
    bounds, places, members = of_symbol
    cells = indices[0]
    own, reached = state[0], state[1]
    room = own[:, OPEN].sum()
    for i in range(len(symbols)):
        room += bounds[symbols[i] + 1] - bounds[symbols[i]]
    where = np.empty((2, room), dtype=np.int64)
    levels = np.empty((room, LEVELS), dtype=np.float64)
    late = np.empty((2, room), dtype=np.int64)
    used = np.zeros(room, dtype=np.bool_)
    count = 0
    late_count = 0
    for i in range(len(symbols)):
        missed = late_count
        entered = False
        for j in range(bounds[symbols[i]], bounds[symbols[i] + 1]):
            slot = places[j] * len(cells) + intervals[i]
            cell_ns = cells[intervals[i]]
            cell = (times[i] - 1) // cell_ns
            horizon = windows[0].shape[1]
            if cell <= own[slot, DONE]:
                late[0, late_count] = i
                late[1, late_count] = (own[slot, DONE] + 1) * cell_ns
                late_count += not np.isnan(closes[i])
            elif not np.isnan(closes[i]):
                while own[slot, OPEN] and own[slot, FIRST] <= cell - horizon:
                    count = _write(slot, indices, state, windows, where, levels, count)
                own[slot, DONE] = max(own[slot, DONE], cell - horizon)
                _place(slot, cell, times[i], members[j], closes[i], own, windows)
                entered = True
            reached[slot, members[j]] = max(reached[slot, members[j]], times[i])
            frontier = _least(reached[slot], indices[1][places[j]])
            while own[slot, OPEN] and windows[0][slot, own[slot, FIRST] % horizon] <= frontier:
                count = _write(slot, indices, state, windows, where, levels, count)
            if frontier != UNSET:
                own[slot, DONE] = max(own[slot, DONE], (frontier - 1) // cell_ns)
        used[missed:late_count] = entered
    found = late[:, :late_count]
    return where[0, :count], where[1, :count], levels[:count], found[0], found[1], used[:late_count]


@jit
def _place(
    slot: int, cell: int, time: int, member: int, close: float, own: Int64s, windows: Any
) -> None:
    ends, closes = windows
    at = cell % ends.shape[1]
    if ends[slot, at] == UNSET:
        closes[slot, at] = np.nan
        if own[slot, OPEN] == 0 or cell < own[slot, FIRST]:
            own[slot, FIRST] = cell
        own[slot, OPEN] += 1
    ends[slot, at] = max(ends[slot, at], time)
    closes[slot, at, member] = close


@jit
def _least(reached: Int64s, weights: Floats) -> int:
    least = np.iinfo(np.int64).max
    for member in range(len(reached)):
        if not np.isnan(weights[member]):
            least = min(least, reached[member])
    return least


@jit
def _write(
    slot: int,
    indices: Any,
    state: Any,
    windows: Any,
    where: Int64s,
    levels: Floats,
    count: int,
) -> int:
    """Write the level of the first window that waits, if it has one, and find the next window."""
    own, reached, last, divisors = state
    ends, closes = windows
    cells, weights, base_levels, base_times = indices
    index = slot // len(cells)
    horizon = ends.shape[1]
    at = own[slot, FIRST] % horizon
    time = ends[slot, at]
    total = 0.0
    fresh = 0
    stale = 0
    for member in range(len(last[slot])):
        if np.isnan(weights[index, member]):
            break
        if not np.isnan(closes[slot, at, member]):
            last[slot, member] = closes[slot, at, member]
            fresh += 1
        stale += reached[slot, member] < time
        total += weights[index, member] * last[slot, member]
    if np.isnan(divisors[slot]) and time >= base_times[index] and total > 0:
        divisors[slot] = total / base_levels[index]
    level = total / divisors[slot]
    ends[slot, at] = UNSET
    own[slot, DONE] = own[slot, FIRST]
    own[slot, OPEN] -= 1
    if own[slot, OPEN]:
        own[slot, FIRST] += 1
        while ends[slot, own[slot, FIRST] % horizon] == UNSET:
            own[slot, FIRST] += 1
    if np.isnan(level):
        return count
    where[0, count] = slot
    where[1, count] = time
    levels[count, LEVEL] = level
    levels[count, DIVISOR] = divisors[slot]
    levels[count, MEMBERS] = fresh
    levels[count, STALE] = stale
    return count + 1
