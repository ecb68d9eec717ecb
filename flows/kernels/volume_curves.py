"""What bars tell of a day's course: share of the volume by the time of day, volume a day, variance of the price."""

from typing import Any

import numpy as np

from flows.kernels.jit import jit
from schemas.arrays import Floats, Int64s
from schemas.sessions import DAY_NS

BIN_NS = 600_000_000_000
"""Ten minutes: fine enough for the course of a day, and few enough to be kept of every symbol."""

BINS = DAY_NS // BIN_NS

MEMORY_DAYS = 20
"""Days that a mean weighs alike; older ones fade. A month of trading."""

# Of a symbol: start of the running session, length of its bars, days learned; last close; volume, sum of squared
# log returns and their count of the running session; mean volume a day and variance a second of the days before.
CURVE = np.dtype(
    [
        ("session", "i8"),
        ("interval", "i8"),
        ("days", "i8"),
        ("close", "f8"),
        ("volume", "f8"),
        ("squares", "f8"),
        ("returns", "i8"),
        ("mean_volume", "f8"),
        ("variance", "f8"),
    ]
)


@jit
def learn(
    slots: Int64s,
    intervals: Int64s,
    begins: Int64s,
    closes: Floats,
    volumes: Floats,
    starts: Int64s,
    curves: Any,
    today: Floats,
    learned: Floats,
) -> None:
    """Take bars in.

    Parameters
    ----------
    slots, intervals, begins : numpy.ndarray of int64, shape (n,)
        Slot of the symbol (below 0: not kept), length of the bar and its start, ns. Of a symbol those bars count that
        are as long as its first.
    closes, volumes : numpy.ndarray of float64, shape (n,)
        NaN for no close.
    starts : numpy.ndarray of int64, shape (s,)
        Starts of all session windows, ascending.
    curves : numpy.ndarray of CURVE, shape (k,)
        Changed.
    today, learned : numpy.ndarray of float64, shape (k, BINS)
        Volume of the running session; mean share of the volume of the days before. Changed.
    """
    for i in range(len(slots)):
        slot = slots[i]
        if slot < 0:
            continue
        curve = curves[slot]
        if curve.interval == 0:
            curve.interval = intervals[i]
        if curve.interval != intervals[i]:
            continue
        at = np.searchsorted(starts, begins[i], side="right") - 1
        if at < 0 or starts[at] < curve.session:
            continue
        if starts[at] > curve.session:
            _end_session(curve, today[slot], learned[slot])
            curve.session = starts[at]
        offset = (begins[i] - starts[at]) % DAY_NS
        today[slot, offset // BIN_NS] += volumes[i]
        curve.volume += volumes[i]
        close = closes[i]
        if close > 0:
            # A session's first bar has no return: what happened over night is not what an order meets.
            if curve.close > 0:
                change = np.log(close / curve.close)
                curve.squares += change * change
                curve.returns += 1
            curve.close = close


@jit
def _end_session(curve: Any, today: Floats, learned: Floats) -> None:
    if curve.volume > 0:
        curve.days += 1
        weight = 1.0 / min(curve.days, MEMORY_DAYS)
        for at in range(BINS):
            learned[at] += weight * (today[at] / curve.volume - learned[at])
        curve.mean_volume += weight * (curve.volume - curve.mean_volume)
        if curve.returns > 0:
            found = curve.squares / (curve.returns * (curve.interval / 1e9))
            # Days without a return say nothing of the variance.
            known = weight if curve.variance > 0 else 1.0
            curve.variance += known * (found - curve.variance)
    for at in range(BINS):
        today[at] = 0.0
    curve.volume = 0.0
    curve.squares = 0.0
    curve.returns = 0
    curve.close = 0.0
