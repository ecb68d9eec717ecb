"""Place in a range: stochastics of prices and of the RSI, Williams %R, Fisher's transform."""

import numpy as np

from flows.kernels.indicators.averages import period_of
from flows.kernels.indicators.declaration import CLOSE, HIGH, LOW, Indicator, Parameter
from flows.kernels.indicators.smoothing import mean_step, strength_step
from flows.kernels.indicators.windows import (
    RELATIVE_ZERO,
    place_in_range,
    range_step,
    run_end,
)
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s


@jit_in_place
def _stoch(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    _smoothed(
        bars, slots, state, (int(parameters[0]), int(parameters[1]), int(parameters[2])), values
    )


@jit_in_place
def _stochf(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    _smoothed(bars, slots, state, (int(parameters[0]), 1, int(parameters[1])), values)


@jit_in_place
def _smoothed(
    bars: Floats, slots: Int64s, state: Floats, periods: tuple[int, int, int], values: Floats
) -> None:
    # The fast stochastic is the slow one without smoothing of k: a mean of one value is that value, to the bit.
    period, k_period, d_period = periods
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position = int(own[0]), int(own[1])
        lowest, highest = own[2], own[3]
        k_position, k_count, k_total = int(own[4]), int(own[5]), own[6]
        d_position, d_count, d_total = int(own[7]), int(own[8]), own[9]
        lows = own[10 : 10 + period]
        highs = own[10 + period : 10 + 2 * period]
        ks = own[10 + 2 * period : 10 + 2 * period + k_period]
        ds = own[10 + 2 * period + k_period : 10 + 2 * period + k_period + d_period]
        for i in range(start, end):
            high, low, close = bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
            values[0, i] = values[1, i] = np.nan
            if np.isnan(high) or np.isnan(low) or np.isnan(close):
                continue
            position, lowest, highest, bottom, top = range_step(
                lows, highs, (position, lowest, highest), low, high
            )
            if count < period - 1:
                count += 1
                continue
            raw = place_in_range(close, bottom, top)
            if k_period == 1:
                slow_k = raw
            else:
                k_position, k_count, k_total, slow_k = mean_step(
                    ks, k_position, k_count, k_total, raw
                )
            if np.isnan(slow_k):
                continue
            d_position, d_count, d_total, slow_d = mean_step(
                ds, d_position, d_count, d_total, slow_k
            )
            if not np.isnan(slow_d):
                values[0, i] = slow_k
                values[1, i] = slow_d
        own[0], own[1], own[2], own[3] = count, position, lowest, highest
        own[4], own[5], own[6] = k_position, k_count, k_total
        own[7], own[8], own[9] = d_position, d_count, d_total
        start = end


@jit_in_place
def _stochrsi(
    bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats
) -> None:
    strength_period = int(parameters[0])
    period, d_period = int(parameters[1]), int(parameters[2])
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position = int(own[0]), int(own[1])
        lowest, highest = own[2], own[3]
        d_position, d_count, d_total = int(own[4]), int(own[5]), own[6]
        started, changes, previous, gain, loss = own[7], int(own[8]), own[9], own[10], own[11]
        lows = own[12 : 12 + period]
        highs = own[12 + period : 12 + 2 * period]
        ds = own[12 + 2 * period : 12 + 2 * period + d_period]
        for i in range(start, end):
            close = bars[CLOSE, i]
            values[0, i] = values[1, i] = np.nan
            if np.isnan(close):
                continue
            if started > 0:
                changes, gain, loss = strength_step(
                    changes, gain, loss, close - previous, strength_period
                )
            started = 1.0
            previous = close
            if changes < strength_period:
                continue
            total = gain + loss
            strength = 100.0 * (gain / total) if total > 0.0 else 0.0
            position, lowest, highest, bottom, top = range_step(
                lows, highs, (position, lowest, highest), strength, strength
            )
            if count < period - 1:
                count += 1
                continue
            fast_k = place_in_range(strength, bottom, top)
            d_position, d_count, d_total, fast_d = mean_step(
                ds, d_position, d_count, d_total, fast_k
            )
            if not np.isnan(fast_d):
                values[0, i] = fast_k
                values[1, i] = fast_d
        own[0], own[1], own[2], own[3] = count, position, lowest, highest
        own[4], own[5], own[6] = d_position, d_count, d_total
        own[7], own[8], own[9], own[10], own[11] = started, changes, previous, gain, loss
        start = end


@jit_in_place
def _willr(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    highs_of_bars, lows_of_bars, closes = bars[HIGH], bars[LOW], bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position = int(own[0]), int(own[1])
        lowest, highest = own[2], own[3]
        lows = own[4 : 4 + period]
        highs = own[4 + period : 4 + 2 * period]
        for i in range(start, end):
            high, low, close = highs_of_bars[i], lows_of_bars[i], closes[i]
            out[i] = np.nan
            if np.isnan(high) or np.isnan(low) or np.isnan(close):
                continue
            position, lowest, highest, bottom, top = range_step(
                lows, highs, (position, lowest, highest), low, high
            )
            if count < period - 1:
                count += 1
                continue
            spread = top - bottom
            out[i] = 0.0
            if abs(spread) > RELATIVE_ZERO * (abs(top) + abs(bottom)):
                out[i] = (top - close) / spread * -100.0
        own[0], own[1], own[2], own[3] = count, position, lowest, highest
        start = end


@jit_in_place
def _fisher(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position = int(own[0]), int(own[1])
        lowest, highest = own[2], own[3]
        smoothed, transformed = own[4], own[5]
        lows = own[6 : 6 + period]
        highs = own[6 + period : 6 + 2 * period]
        for i in range(start, end):
            middle = 0.5 * (bars[HIGH, i] + bars[LOW, i])
            values[0, i] = values[1, i] = np.nan
            if np.isnan(middle):
                continue
            position, lowest, highest, bottom, top = range_step(
                lows, highs, (position, lowest, highest), middle, middle
            )
            if count < period - 1:
                count += 1
                continue
            spread = top - bottom
            if spread == 0.0:
                spread = 0.001
            smoothed = 0.33 * 2.0 * ((middle - bottom) / spread - 0.5) + 0.67 * smoothed
            # What is carried on is cut off too: beyond 1 there is no logarithm.
            if smoothed > 0.99:
                smoothed = 0.999
            elif smoothed < -0.99:
                smoothed = -0.999
            values[1, i] = transformed
            transformed = 0.5 * np.log((1.0 + smoothed) / (1.0 - smoothed)) + 0.5 * transformed
            values[0, i] = transformed
        own[0], own[1], own[2], own[3] = count, position, lowest, highest
        own[4], own[5] = smoothed, transformed
        start = end


_D = Parameter(name="period of d", default=3, minimum=1)
_PRICES = ("high", "low", "close")

STOCH = Indicator(
    name="stoch",
    parameters=(
        Parameter(name="period", default=14, minimum=1),
        Parameter(name="smoothing of k", default=3, minimum=1),
        _D,
    ),
    inputs=_PRICES,
    outputs=("_k", "_d"),
    warm_up=lambda period, k, d: period + k + d - 3,
    width=lambda period, k, d: 2 * period + k + d + 10,
    kernel=_stoch,
    definition=(
        "Slow stochastic: place of the close in the range of the last bars, 0 for a range of zero, "
        "smoothed by a simple mean (_k), and the simple mean of that (_d)."
    ),
    source="Lane; TA-Lib 0.8, function STOCH with simple means",
    unit="0 to 100",
)

STOCHF = Indicator(
    name="stochf",
    parameters=(Parameter(name="period", default=14, minimum=1), _D),
    inputs=_PRICES,
    outputs=("_k", "_d"),
    warm_up=lambda period, d: period + d - 2,
    width=lambda period, d: 2 * period + d + 11,
    kernel=_stochf,
    definition=(
        "Fast stochastic: place of the close in the range of the last bars (_k), 0 for a range of zero, "
        "and its simple mean (_d)."
    ),
    source="Lane; TA-Lib 0.8, function STOCHF with a simple mean",
    unit="0 to 100",
)

STOCHRSI = Indicator(
    name="stochrsi",
    parameters=(
        Parameter(name="period of rsi", default=14, minimum=2),
        Parameter(name="period", default=14, minimum=1),
        _D,
    ),
    inputs=("close",),
    outputs=("_k", "_d"),
    warm_up=lambda strength, period, d: strength + period + d - 2,
    width=lambda _, period, d: 2 * period + d + 12,
    kernel=_stochrsi,
    definition=(
        "Fast stochastic of the RSI: its place in its own range over the last bars (_k), 0 for a range of "
        "zero, and the simple mean of that (_d)."
    ),
    source="Chande and Kroll (1993); TA-Lib 0.8, function STOCHRSI with a simple mean",
    unit="0 to 100",
)

WILLR = Indicator(
    name="willr",
    parameters=period_of(14, 2),
    inputs=_PRICES,
    warm_up=lambda period: period - 1,
    width=lambda period: 2 * period + 4,
    kernel=_willr,
    definition=(
        "Williams %R: distance of the close below the highest high, in percent of the range of the last "
        "bars, negative; 0 for a range of zero."
    ),
    source="Williams (1973); TA-Lib 0.8, function WILLR",
    unit="-100 to 0",
)

FISHER = Indicator(
    name="fisher",
    parameters=period_of(9),
    inputs=("high", "low"),
    outputs=("", "_signal"),
    warm_up=lambda period: period - 1,
    width=lambda period: 2 * period + 6,
    kernel=_fisher,
    definition=(
        "Fisher's transform of the place of (high + low) / 2 in its range over the last bars, smoothed by "
        "a third before and by a half after; _signal is the value of the bar before. A range of zero "
        "counts as 0.001, as Tulip has it."
    ),
    source="Ehlers, Stocks and Commodities V20:11 (2002); Tulip Indicators, function fisher",
    unit="none",
)
