"""What scans carry from row to row: crossings, who matches, and the last values of another stream."""

import numpy as np

from flows.kernels.breadth_parts import UNSET
from flows.kernels.jit import jit
from schemas.arrays import Bools, Floats, Int64s


@jit
def crossings(left: Floats, right: Floats, slots: Int64s, before: Floats) -> Int64s:
    """Where one series crosses another, against each slot's row before.

    Parameters
    ----------
    left, right : numpy.ndarray of float64, shape (n,)
        NaN for undefined.
    slots : numpy.ndarray of int64, shape (n,)
    before : numpy.ndarray of float64, shape (slots, 2)
        Both values of each slot's last row, NaN at first; changed.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        1 where left was not above right and is now, -1 where it was not below and is now, 0 where neither,
        2 where one of the four values is undefined.
    """
    found = np.empty(len(slots), dtype=np.int64)
    for i in range(len(slots)):
        own = before[slots[i]]
        if np.isnan(own[0]) or np.isnan(own[1]) or np.isnan(left[i]) or np.isnan(right[i]):
            found[i] = 2
        elif own[0] <= own[1] and left[i] > right[i]:
            found[i] = 1
        elif own[0] >= own[1] and left[i] < right[i]:
            found[i] = -1
        else:
            found[i] = 0
        own[0] = left[i]
        own[1] = right[i]
    return found


@jit
def changes(true: Bools, slots: Int64s, matching: Bools) -> tuple[Int64s, Bools]:
    """Rows at which a slot begins or ceases to match.

    Parameters
    ----------
    true : numpy.ndarray of bool, shape (n,)
        Whether each row matches.
    slots : numpy.ndarray of int64, shape (n,)
    matching : numpy.ndarray of bool, shape (slots,)
        Whether each slot's last row did; changed.

    Returns
    -------
    tuple of numpy.ndarray, each of shape (m,)
        The rows, and whether they begin to.
    """
    rows = np.empty(len(slots), dtype=np.int64)
    begins = np.empty(len(slots), dtype=np.bool_)
    count = 0
    for i in range(len(slots)):
        if true[i] != matching[slots[i]]:
            matching[slots[i]] = true[i]
            rows[count] = i
            begins[count] = true[i]
            count += 1
    return rows[:count], begins[:count]


@jit
def keep(
    slots: Int64s, cell: Int64s, values: Floats, newest: Int64s, cells: Int64s, kept: Floats
) -> None:
    """Keep the last values of each slot in each cell of time, for as many cells as there is room.

    Parameters
    ----------
    slots, cell : numpy.ndarray of int64, shape (n,)
        Slot of each row, and the cell of time that it is in.
    values : numpy.ndarray of float64, shape (k, n)
    newest : numpy.ndarray of int64, shape (slots,)
        Place of each slot's newest cell; changed.
    cells : numpy.ndarray of int64, shape (slots, room)
        The kept cells, in a ring in order, `UNSET` at first; changed.
    kept : numpy.ndarray of float64, shape (slots, room, k)
        Their values; changed.
    """
    room = cells.shape[1]
    for i in range(len(slots)):
        slot = slots[i]
        at = newest[slot]
        if cells[slot, at] == UNSET or cell[i] > cells[slot, at]:
            at = (at + 1) % room
            newest[slot] = at
            cells[slot, at] = cell[i]
        else:
            # A row of a cell that is not kept any more, or never was, says nothing of what comes.
            steps = 0
            while steps < room and cells[slot, at] > cell[i]:
                at = (at - 1) % room
                steps += 1
            if steps == room or cells[slot, at] != cell[i]:
                continue
        for j in range(len(values)):
            kept[slot, at, j] = values[j, i]


@jit
def latest(
    slots: Int64s, cell: Int64s, limit: int, newest: Int64s, cells: Int64s, kept: Floats
) -> Floats:
    """The newest kept values of each row's cell or one before it.

    Parameters
    ----------
    slots, cell : numpy.ndarray of int64, shape (n,)
        Slot (negative for none) of each row, and the last cell that it may see.
    limit : int
        How many cells back values still hold.
    newest, cells, kept : numpy.ndarray
        As `keep` has them.

    Returns
    -------
    numpy.ndarray of float64, shape (k, n)
        NaN where there are none.
    """
    room = cells.shape[1]
    found = np.full((kept.shape[2], len(slots)), np.nan)
    for i in range(len(slots)):
        slot = slots[i]
        if slot < 0:
            continue
        at = newest[slot]
        steps = 0
        while steps < room and cells[slot, at] != UNSET and cells[slot, at] > cell[i]:
            at = (at - 1) % room
            steps += 1
        if steps < room and cells[slot, at] != UNSET and cell[i] - cells[slot, at] <= limit:
            for j in range(len(found)):
                found[j, i] = kept[slot, at, j]
    return found
