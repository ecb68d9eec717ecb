"""Averages whose weights hang on more than age: Kaufman's, Hull's, Arnaud Legoux', volume-weighted."""

import numpy as np

from flows.kernels.indicators.averages import QUOTE, TALIB, period_of
from flows.kernels.indicators.declaration import CLOSE, VOLUME, Indicator, Parameter
from flows.kernels.indicators.smoothing import weighted_step
from flows.kernels.indicators.windows import ZERO, following, run_end
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s

# Kaufman's fastest and slowest weight: exponential means over 2 and 30 bars.
_FASTEST = 2.0 / 3.0
_SLOWEST = 2.0 / 31.0


@jit_in_place
def _kama(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position = int(own[0]), int(own[1])
        previous, path, average, left = own[2], own[3], own[4], own[5]
        ring = own[6 : 6 + period]
        for i in range(start, end):
            close = closes[i]
            out[i] = np.nan
            if np.isnan(close):
                continue
            # The ring holds the closes before this one, the oldest where this one goes.
            oldest = ring[position]
            ring[position] = close
            position = following(position, period)
            step = abs(close - previous)
            if count < period:
                if count > 0:
                    path += step
                count += 1
                previous = close
                average = close
                continue
            if count == period:
                count += 1
                path += step
            else:
                path -= abs(left - oldest)
                path += step
            left = oldest
            way = close - oldest
            efficiency = 1.0
            if path > abs(way) and not -ZERO < path < ZERO:
                efficiency = abs(way / path)
            weight = efficiency * (_FASTEST - _SLOWEST) + _SLOWEST
            average = (close - average) * (weight * weight) + average
            previous = close
            out[i] = average
        own[0], own[1], own[2], own[3] = count, position, previous, path
        own[4], own[5] = average, left
        start = end


@jit_in_place
def _hma(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    half = max(period // 2, 1)
    root = int(np.sqrt(period))
    whole_share = 1.0 / (0.5 * period * (period + 1.0))
    half_share = 1.0 / (0.5 * half * (half + 1.0))
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position, at_root, left = int(own[0]), int(own[1]), int(own[2]), int(own[3])
        whole, whole_weighted, halved, half_weighted = own[4], own[5], own[6], own[7]
        sums = (int(own[8]), own[9], own[10], own[11], int(own[12]))
        ring = own[13 : 13 + period]
        roots = own[13 + period : 13 + period + root]
        for i in range(start, end):
            close = closes[i]
            out[i] = np.nan
            if np.isnan(close):
                continue
            # The closes that leave the whole and the half window.
            oldest = ring[position]
            middle = ring[position - half if position >= half else position - half + period]
            ring[position] = close
            position = following(position, period)
            if count < period - 1:
                count += 1
                continue
            if left > 0:
                left -= 1
                whole_weighted += period * close - whole
                whole += close - oldest
                half_weighted += half * close - halved
                halved += close - middle
            else:
                # Made anew from the window, so that what rounding loses does not add up.
                left = 8 * period
                whole, whole_weighted = _sums(ring, position, period)
                halved, half_weighted = _sums(ring, position, half)
            value = 2.0 * half_weighted * half_share - whole_weighted * whole_share
            at_root, sums, out[i] = weighted_step(roots, at_root, sums, value)
        own[0], own[1], own[2], own[3] = count, position, at_root, left
        own[4], own[5], own[6], own[7] = whole, whole_weighted, halved, half_weighted
        own[8], own[9], own[10], own[11], own[12] = sums
        start = end


@jit_in_place
def _sums(ring: Floats, position: int, last: int) -> tuple[float, float]:
    # Sum of the last values of a ring whose oldest is at `position`, and that with weights from 1 on.
    total = 0.0
    weighted = 0.0
    place = (position + len(ring) - last) % len(ring)
    for weight in range(1, last + 1):
        total += ring[place]
        weighted += weight * ring[place]
        place = following(place, len(ring))
    return total, weighted


@jit_in_place
def _alma(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    middle = np.floor(parameters[1] * (period - 1))
    width = period / parameters[2]
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position = int(own[0]), int(own[1])
        total = own[2]
        ring = own[3 : 3 + period]
        weights = own[3 + period : 3 + 2 * period]
        if total == 0.0:
            for j in range(period):
                weights[j] = np.exp(-(j - middle) * (j - middle) / (2.0 * width * width))
                total += weights[j]
            own[2] = total
        for i in range(start, end):
            out[i] = np.nan
            if np.isnan(closes[i]):
                continue
            ring[position] = closes[i]
            position = following(position, period)
            if count < period - 1:
                count += 1
                continue
            mean = 0.0
            place = position
            for j in range(period):
                mean += weights[j] * ring[place]
                place = following(place, period)
            out[i] = mean / total
        own[0], own[1] = count, position
        start = end


@jit_in_place
def _vwma(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    closes = bars[CLOSE]
    volumes = bars[VOLUME]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position, turnover, total = int(own[0]), int(own[1]), own[2], own[3]
        turnovers = own[4 : 4 + period]
        sizes = own[4 + period : 4 + 2 * period]
        for i in range(start, end):
            close, volume = closes[i], volumes[i]
            out[i] = np.nan
            if np.isnan(close) or np.isnan(volume):
                continue
            turnovers[position] = close * volume
            sizes[position] = volume
            position = following(position, period)
            turnover += close * volume
            total += volume
            if count < period - 1:
                count += 1
                continue
            out[i] = turnover / total if total > 0.0 else np.nan
            turnover -= turnovers[position]
            total -= sizes[position]
        own[0], own[1], own[2], own[3] = count, position, turnover, total
        start = end


KAMA = Indicator(
    name="kama",
    parameters=period_of(30, 2),
    inputs=("close",),
    warm_up=lambda period: period,
    width=lambda period: period + 6,
    kernel=_kama,
    definition=(
        "Kaufman's adaptive mean: each close moves it by the square of a weight between 2/31 and 2/3, "
        "larger the straighter the way of the last closes was; it begins at the close before its first "
        "value. Stock.Indicators begins one bar earlier."
    ),
    source="Kaufman, Smarter Trading (1995); " + TALIB.format("KAMA"),
    unit=QUOTE,
)

HMA = Indicator(
    name="hma",
    parameters=period_of(20),
    inputs=("close",),
    warm_up=lambda period: period + int(period**0.5) - 2,
    width=lambda period: period + int(period**0.5) + 13,
    kernel=_hma,
    definition=(
        "Weighted mean, over the square root of the period, of twice the weighted mean over half the "
        "period less the one over all of it; both derived periods are cut to whole numbers."
    ),
    source="Hull (2005); " + TALIB.format("HMA"),
    unit=QUOTE,
)

ALMA = Indicator(
    name="alma",
    parameters=(
        Parameter(name="period", default=9, minimum=1),
        Parameter(name="offset", default=0.85, minimum=0, maximum=1, whole=False),
        Parameter(name="sigma", default=6, minimum=0.1, whole=False),
    ),
    inputs=("close",),
    warm_up=lambda period, *_: period - 1,
    width=lambda period, *_: 2 * period + 3,
    kernel=_alma,
    definition=(
        "Mean of closes under a bell of weights: its top at offset * (period - 1), cut to a whole number, from the "
        "oldest; its standard deviation period / sigma. Others do not cut."
    ),
    source="Legoux and Kouzis-Loukas (2009); Tulip Indicators, function alma",
    unit=QUOTE,
)

VWMA = Indicator(
    name="vwma",
    parameters=period_of(20, 2),
    inputs=("close", "volume"),
    warm_up=lambda period: period - 1,
    width=lambda period: 2 * period + 4,
    kernel=_vwma,
    definition="Mean of the last closes weighted by volume; null without any volume.",
    source=TALIB.format("VWMA"),
    unit=QUOTE,
)
