"""Counts over the members of a universe, interval by interval, whatever the order of the members' rows.

All counts and sums are of integers, so that they are the same in any order: a volume is split into whole
units and billionths of one, rounded half to even. A sum of floats would hang on the order of its terms.
"""

from typing import Any

import numpy as np

from flows.kernels.breadth_parts import UNKNOWN, UNSET
from flows.kernels.jit import jit
from schemas.arrays import Int64s

# Columns of a window.
(TIME, REVISION, MEMBERS, ADVANCES, DECLINES, UNCHANGED, NEW_HIGHS, NEW_LOWS) = range(8)
(UP, UP_PARTS, DOWN, DOWN_PARTS, VOLUME, VOLUME_PARTS) = range(8, 14)
WINDOW = 14
# Revision of a window that is still to be written.
WAITS = -2
PARTS = 1_000_000_000

# Columns of a universe and interval: the newest end, up to where windows are written, the least of its
# fresh members' times and a member that has it, the number of windows that wait, the first of them.
NEWEST, FRONTIER, LEAST, LEAST_MEMBER, OPEN, FIRST_OPEN = range(6)
STATE = 6


@jit
def add_parts(
    rows: Any, parts: Any, grid: Any, state: Int64s, reached: Int64s, windows: Int64s
) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """Take rows of ``breadth_parts`` in, in order; give the windows that are to be written.

    A window is written when every member that is fresh has passed its end, and once more for each bar
    that comes behind that. A member is fresh if its time is less than the patience behind the newest end.
    A row of one interval tells the time of its member in the universe's other intervals too.

    Parameters
    ----------
    rows : tuple of numpy.ndarray of int64, each of shape (n,)
        Slot of universe and interval, slot of the symbol, end of the interval (ns).
    parts : tuple of numpy.ndarray, each of shape (n,)
        has_bar, direction (`UNKNOWN` for null), is_new_high, is_new_low and volume, as in the topic.
    grid : tuple of numpy.ndarray of int64, each of shape (intervals,)
        Length of a cell that ends of windows fall into, and the patience, ns. The slots of a universe
        follow one another.
    state, reached, windows : numpy.ndarray of int64
        Shapes (slots, `STATE`), (slots, symbols) and (slots, horizon, `WINDOW`); changed. All begin
        with `UNSET`, but counts with 0.

    Returns
    -------
    tuple of numpy.ndarray of int64
        Slot of each window to write, shape (m,); its columns, shape (m, `WINDOW`); rows that came more
        than the horizon behind the newest end, which changed nothing, and up to where windows were
        written then, each of shape (k,).
    """
    slots, members, times = rows
    has_bar, directions, new_highs, new_lows, volumes = parts
    room = len(slots)
    for slot in range(len(state)):
        room += state[slot, OPEN]
    written_slots = np.empty(room, dtype=np.int64)
    written = np.empty((room, WINDOW), dtype=np.int64)
    late = np.empty((2, len(slots)), dtype=np.int64)
    count = 0
    late_count = 0
    cells, patience = grid
    for i in range(len(slots)):
        slot = slots[i]
        own = state[slot]
        ring = windows[slot]
        interval = slot % len(cells)
        cell_ns = cells[interval]
        cell = (times[i] - 1) // cell_ns
        if own[NEWEST] != UNSET and cell <= (own[NEWEST] - 1) // cell_ns - len(ring):
            late[0, late_count] = i
            late[1, late_count] = own[FRONTIER]
            late_count += 1
            continue
        before = own[FRONTIER]
        for other in range(slot - interval, slot - interval + len(cells)):
            if other != slot:
                _hear(state[other], reached[other], members[i], times[i])
        _reach(own, reached[slot], members[i], times[i], patience[interval])
        # What is written before the row's own window makes room for that.
        while own[OPEN] and own[FIRST_OPEN] < cell:
            window = ring[own[FIRST_OPEN] % len(ring)]
            if window[TIME] > own[FRONTIER]:
                break
            count = _write(own, ring, slot, written_slots, written, count)
        window = ring[cell % len(ring)]
        if has_bar[i]:
            if window[TIME] == UNSET or (window[TIME] - 1) // cell_ns != cell:
                _begin(own, window, cell, times[i], before)
            window[TIME] = max(window[TIME], times[i])
            _count(window, directions[i], new_highs[i], new_lows[i], volumes[i])
            if window[REVISION] != WAITS:
                # The others of its time are written: it is a revision of them, or comes alone.
                window[REVISION] += 1
                written_slots[count] = slot
                written[count] = window
                count += 1
        while own[OPEN]:
            window = ring[own[FIRST_OPEN] % len(ring)]
            if window[TIME] > own[FRONTIER]:
                break
            count = _write(own, ring, slot, written_slots, written, count)
    return written_slots[:count], written[:count], late[0, :late_count], late[1, :late_count]


@jit
def _begin(own: Int64s, window: Int64s, cell: int, time: int, frontier: int) -> None:
    """Begin a window: it waits, unless what it would wait for has passed."""
    window[:] = 0
    window[TIME] = time
    if time <= frontier:
        window[REVISION] = -1
        return
    window[REVISION] = WAITS
    if own[OPEN] == 0 or cell < own[FIRST_OPEN]:
        own[FIRST_OPEN] = cell
    own[OPEN] += 1


@jit
def _hear(own: Int64s, reached: Int64s, member: int, time: int) -> None:
    """A member has come to a time in another interval: all before that has come in this one too."""
    if reached[member] == UNSET or time - 1 < own[LEAST]:
        # It may have to be waited for from now on: who is the last is found out at the next row.
        own[LEAST] = UNSET
    # A bar of this interval that ends at the very time may follow still.
    reached[member] = max(reached[member], time - 1)


@jit
def _reach(own: Int64s, reached: Int64s, member: int, time: int, patience: int) -> None:
    """A member has come to a time: move the newest end and the frontier."""
    joins = reached[member] == UNSET or time < own[LEAST]
    reached[member] = max(reached[member], time)
    own[NEWEST] = max(own[NEWEST], time)
    oldest = own[NEWEST] - patience
    known = own[LEAST] != UNSET and not joins and own[LEAST] > oldest
    if not known or reached[own[LEAST_MEMBER]] != own[LEAST]:
        own[LEAST] = np.iinfo(np.int64).max
        for j in range(len(reached)):
            # Of equals the last: members mostly come in order, and this one then comes last.
            if oldest < reached[j] <= own[LEAST]:
                own[LEAST] = reached[j]
                own[LEAST_MEMBER] = j
    own[FRONTIER] = max(own[FRONTIER], own[LEAST])


@jit
def _count(window: Int64s, direction: int, new_high: bool, new_low: bool, volume: float) -> None:  # noqa: FBT001 - numba takes no keywords
    whole = np.floor(volume)
    units = np.int64(whole)
    parts = np.int64(np.rint((volume - whole) * PARTS))
    window[MEMBERS] += 1
    window[NEW_HIGHS] += new_high
    window[NEW_LOWS] += new_low
    window[VOLUME] += units
    window[VOLUME_PARTS] += parts
    if direction == UNKNOWN:
        return
    window[ADVANCES] += direction > 0
    window[DECLINES] += direction < 0
    window[UNCHANGED] += direction == 0
    if direction > 0:
        window[UP] += units
        window[UP_PARTS] += parts
    elif direction < 0:
        window[DOWN] += units
        window[DOWN_PARTS] += parts


@jit
def _write(own: Int64s, ring: Int64s, slot: int, slots: Int64s, written: Int64s, count: int) -> int:
    """Write the first window that waits, and find the next one."""
    cell = own[FIRST_OPEN]
    window = ring[cell % len(ring)]
    window[REVISION] = 0
    slots[count] = slot
    written[count] = window
    own[OPEN] -= 1
    if own[OPEN]:
        cell += 1
        while True:
            window = ring[cell % len(ring)]
            # One that waits is later than the one just written; what is left in the ring is not.
            if window[REVISION] == WAITS and window[TIME] > written[count, TIME]:
                break
            cell += 1
        own[FIRST_OPEN] = cell
    return count + 1
