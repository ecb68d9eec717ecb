"""Steps of means: each takes one value and what was carried so far, and gives what is carried on.

A step that has a window is given its ring, a part of the state; numbers are carried in variables.
"""

import numpy as np

from flows.kernels.fused import fma
from flows.kernels.indicators.windows import following
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats


@jit_in_place
def mean_step(
    ring: Floats, position: int, count: int, total: float, value: float
) -> tuple[int, int, float, float]:
    """Simple mean over the ring: position, count, total and the mean, NaN before the ring is full."""
    period = len(ring)
    ring[position] = value
    position = following(position, period)
    total += value
    if count < period - 1:
        return position, count + 1, total, np.nan
    return position, count, total - ring[position], total / period


@jit_in_place
def exponential_step(
    count: int, average: float, value: float, period: int, weight: float
) -> tuple[int, float]:
    """Exponential mean: count up to `period`, and the sum before, the mean from then on.

    It is seeded by the mean of the first `period` values; `weight` is 2 / (period + 1).
    """
    if count >= period:
        return count, fma(value - average, weight, average)
    count += 1
    average += value
    if count == period:
        average /= period
    return count, average


@jit_in_place
def wilder_step(
    count: int, average: float, value: float, period: int, keep: float
) -> tuple[int, float]:
    """Wilder's mean, seeded as `exponential_step`; `keep` is (period - 1) / period."""
    if count >= period:
        return count, fma(average, keep, value * (1.0 - keep))
    count += 1
    average += value
    if count == period:
        average /= period
    return count, average


@jit_in_place
def weighted_step(
    ring: Floats, position: int, sums: tuple[int, float, float, float, int], value: float
) -> tuple[int, tuple[int, float, float, float, int], float]:
    """Mean with weights 1 (oldest) to period (newest): position, sums and the mean, NaN before full.

    `sums` are the count, the weighted and the simple sum, the value that leaves next, and the bars left until
    both sums are made anew from the window, as TA-Lib does, so that what rounding loses does not add up.
    """
    period = len(ring)
    count, weighted, simple, leaving, left = sums
    ring[position] = value
    position = following(position, period)
    simple += value
    if count < period - 1:
        weighted += value * (count + 1)
        return position, (count + 1, weighted, simple, leaving, 8 * period), np.nan
    simple -= leaving
    weighted += value * period
    left -= 1
    if left <= 0:
        left = 8 * period
        simple = 0.0
        weighted = 0.0
        place = position
        for weight in range(1, period + 1):
            simple += ring[place]
            weighted += ring[place] * weight
            place = following(place, period)
    mean = value if period == 1 else weighted / (0.5 * period * (period + 1.0))
    return position, (count, weighted - simple, simple, ring[position], left), mean


@jit_in_place
def strength_step(
    count: int, gain: float, loss: float, change: float, period: int
) -> tuple[int, float, float]:
    """Wilder's average gain and loss: count of changes up to `period`, and sums before, means from then on."""
    share = 1.0 / period
    rise = max(change, 0.0)
    if count >= period:
        gain = (gain * (period - 1) + rise) * share
        loss = (loss * (period - 1) + (rise - change)) * share
        return count, gain, loss
    count += 1
    gain += rise
    loss += rise - change
    if count == period:
        gain *= share
        loss *= share
    return count, gain, loss
