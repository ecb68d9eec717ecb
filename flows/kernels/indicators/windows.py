"""Runs of bars of one slot, and the highest and lowest of a window: what most kernels of indicators share."""

import numpy as np

from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s

# TA-Lib's bounds below which a number counts as zero: beside what it is the difference of, and alone.
RELATIVE_ZERO = 1e-14
ZERO = 1e-14


@jit_in_place
def run_end(slots: Int64s, start: int) -> int:
    """Where the run of bars of one slot that begins at `start` ends, exclusive."""
    end = start + 1
    while end < len(slots) and slots[end] == slots[start]:
        end += 1
    return end


@jit_in_place
def following(position: int, size: int) -> int:
    """The next place in a ring of `size` places."""
    position += 1
    return position if position < size else 0


@jit_in_place
def range_step(
    lows: Floats, highs: Floats, since: tuple[int, float, float], low: float, high: float
) -> tuple[int, float, float, float, float]:
    """Take a low and a high into their windows; give the lowest and the highest there.

    No branch hangs on the values, and nothing is looked for: a round of the rings begins at their first place, from
    which on the extremes are carried along; behind them, of the round before, each place has the extreme from there to
    the end (M. van Herk, Pattern Recognition Letters 13:7, 1992; for streams, as a queue of two stacks).

    Parameters
    ----------
    lows, highs : numpy.ndarray of float64
        Two rings of one length, of `range_step` alone.
    since : tuple of int, float and float
        Where the next values go, and the lowest low and highest high since the round began.

    Returns
    -------
    tuple of int and four float
        ``since`` behind these values; the lowest low and the highest high of the window, which mean nothing before
        it is full.
    """
    position, lowest, highest = since
    lowest = low if position == 0 or low <= lowest else lowest
    highest = high if position == 0 or high >= highest else highest
    lows[position] = low
    highs[position] = high
    position += 1
    if position < len(lows):
        behind_low, behind_high = lows[position], highs[position]
        bottom = min(behind_low, lowest)
        top = max(behind_high, highest)
        return position, lowest, highest, bottom, top
    # The first place is written over before it is read.
    for j in range(len(lows) - 2, 0, -1):
        low = min(lows[j], low)
        high = max(highs[j], high)
        lows[j] = low
        highs[j] = high
    return 0, lowest, highest, lowest, highest


@jit_in_place
def latest_highest(ring: Floats, position: int, place: int) -> int:
    """Place of the highest value of a ring, the newest of equals.

    Parameters
    ----------
    ring : numpy.ndarray of float64
        The window, with the newest value at `position`; it need not be full yet.
    place : int
        The place before that value came, -1 if it is the first.
    """
    if place != position or place < 0:
        return position if place < 0 or ring[position] >= ring[place] else place
    # It has been written over: look through the window, from its oldest value on.
    size = len(ring)
    place = position + 1 if position + 1 < size else 0
    for j in range(position + 2, size):
        if ring[j] >= ring[place]:
            place = j
    for j in range(position + 1):
        if ring[j] >= ring[place]:
            place = j
    return place


@jit_in_place
def latest_lowest(ring: Floats, position: int, place: int) -> int:
    """Place of the lowest value of a ring, the newest of equals; see `latest_highest`."""
    if place != position or place < 0:
        return position if place < 0 or ring[position] <= ring[place] else place
    # It has been written over: look through the window, from its oldest value on.
    size = len(ring)
    place = position + 1 if position + 1 < size else 0
    for j in range(position + 2, size):
        if ring[j] <= ring[place]:
            place = j
    for j in range(position + 1):
        if ring[j] <= ring[place]:
            place = j
    return place


@jit_in_place
def true_range(high: float, low: float, previous_close: float) -> float:
    """The range of a bar and of the way from the close before it."""
    return max(high - low, abs(high - previous_close), abs(low - previous_close))


@jit_in_place
def place_in_range(value: float, low: float, high: float) -> float:
    """Place of a value in a range, from 0 to 100; 0 for a range of zero, as TA-Lib has it."""
    spread = high - low
    if abs(spread) > RELATIVE_ZERO * (abs(high) + abs(low)):
        return (value - low) / spread * 100.0
    return 0.0


@jit_in_place
def mean_of(ring: Floats) -> float:
    """Mean of a full ring; the sum runs over the ring's places."""
    total = 0.0
    for j in range(len(ring)):
        total += ring[j]
    return total / len(ring)


@jit_in_place
def variance_of(ring: Floats, freedom: int) -> float:
    """Variance of a full ring over its length less `freedom`, in two passes: nothing cancels or drifts."""
    mean = mean_of(ring)
    total = 0.0
    for j in range(len(ring)):
        total += (ring[j] - mean) * (ring[j] - mean)
    return total / (len(ring) - freedom) if len(ring) > freedom else np.nan
