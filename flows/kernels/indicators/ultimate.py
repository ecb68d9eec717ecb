"""Williams' ultimate oscillator, and the choppiness index: sums of true ranges over windows."""

import numpy as np

from flows.kernels.indicators.averages import TALIB, period_of
from flows.kernels.indicators.declaration import CLOSE, HIGH, LOW, Indicator, Parameter
from flows.kernels.indicators.windows import (
    ZERO,
    following,
    range_step,
    run_end,
    true_range,
)
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s


@jit_in_place
def _ultosc(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    p_1 = int(min(parameters[0], parameters[1], parameters[2]))
    p_3 = int(max(parameters[0], parameters[1], parameters[2]))
    p_2 = int(parameters[0] + parameters[1] + parameters[2]) - p_1 - p_3
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, previous, count, position = own[0], own[1], int(own[2]), int(own[3])
        a_1, a_2, a_3 = own[4], own[5], own[6]
        b_1, b_2, b_3 = own[7], own[8], own[9]
        ring = own[10 : 10 + 2 * p_3]
        for i in range(start, end):
            high, low, close = bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
            out[i] = np.nan
            if np.isnan(high) or np.isnan(low) or np.isnan(close):
                continue
            if started == 0:
                started = 1.0
                previous = close
                continue
            pressure = close - min(low, previous)
            spread = true_range(high, low, previous)
            previous = close
            ring[2 * position] = pressure
            ring[2 * position + 1] = spread
            # Each sum begins as late as its window needs: all hold a whole window at the first value.
            if count >= p_3 - p_1:
                a_1 += pressure
                b_1 += spread
            if count >= p_3 - p_2:
                a_2 += pressure
                b_2 += spread
            a_3 += pressure
            b_3 += spread
            newest = position
            position = following(position, p_3)
            if count < p_3 - 1:
                count += 1
                continue
            value = 0.0
            if b_1 > ZERO:
                value += 4.0 * (a_1 / b_1)
            if b_2 > ZERO:
                value += 2.0 * (a_2 / b_2)
            if b_3 > ZERO:
                value += a_3 / b_3
            out[i] = 100.0 * (value / 7.0)
            left = newest + 1 - p_1 if newest + 1 >= p_1 else newest + 1 - p_1 + p_3
            a_1 -= ring[2 * left]
            b_1 -= ring[2 * left + 1]
            left = newest + 1 - p_2 if newest + 1 >= p_2 else newest + 1 - p_2 + p_3
            a_2 -= ring[2 * left]
            b_2 -= ring[2 * left + 1]
            a_3 -= ring[2 * position]
            b_3 -= ring[2 * position + 1]
        own[0], own[1], own[2], own[3] = started, previous, count, position
        own[4], own[5], own[6] = a_1, a_2, a_3
        own[7], own[8], own[9] = b_1, b_2, b_3
        start = end


@jit_in_place
def _chop(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    scale = 100.0 / np.log10(float(period))
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, previous, count, position = own[0], own[1], int(own[2]), int(own[3])
        lowest, highest = own[4], own[5]
        lows = own[6 : 6 + period]
        highs = own[6 + period : 6 + 2 * period]
        ranges = own[6 + 2 * period : 6 + 3 * period]
        for i in range(start, end):
            high, low, close = bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
            out[i] = np.nan
            if np.isnan(high) or np.isnan(low) or np.isnan(close):
                continue
            if started > 0:
                high, low = max(high, previous), min(low, previous)
                ranges[position] = high - low
                position, lowest, highest, bottom, top = range_step(
                    lows, highs, (position, lowest, highest), low, high
                )
                if count < period - 1:
                    count += 1
                else:
                    total = 0.0
                    for j in range(period):
                        total += ranges[j]
                    spread = top - bottom
                    if spread > 0.0:
                        out[i] = scale * np.log10(total / spread)
            started = 1.0
            previous = close
        own[0], own[1], own[2], own[3] = started, previous, count, position
        own[4], own[5] = lowest, highest
        start = end


ULTOSC = Indicator(
    name="ultosc",
    parameters=(
        Parameter(name="period 1", default=7, minimum=1),
        Parameter(name="period 2", default=14, minimum=1),
        Parameter(name="period 3", default=28, minimum=1),
    ),
    inputs=("high", "low", "close"),
    warm_up=lambda *periods: max(periods),
    width=lambda *periods: 2 * max(periods) + 10,
    kernel=_ultosc,
    definition=(
        "Ultimate oscillator: buying pressure, close less the lower of low and close before, over true range, "
        "summed over three windows and weighted 4, 2 and 1 from the shortest on."
    ),
    source="Williams, Stocks and Commodities V3:4 (1985); " + TALIB.format("ULTOSC"),
    unit="0 to 100",
)

CHOP = Indicator(
    name="chop",
    parameters=period_of(14, 2),
    inputs=("high", "low", "close"),
    warm_up=lambda period: period,
    width=lambda period: 3 * period + 6,
    kernel=_chop,
    definition=(
        "Choppiness: 100 times the logarithm, to the base of the period, of the sum of true ranges over the "
        "range from the lowest true low to the highest true high; null without range."
    ),
    source="Dreiss; Stock.Indicators, chop",
    unit="0 to 100",
)
