"""Moving averages of the close: simple, exponential, weighted."""

import numpy as np

from flows.kernels.fused import fma
from flows.kernels.indicators.declaration import CLOSE, Indicator, Parameter
from flows.kernels.jit import jit
from schemas.arrays import Floats, Int64s

# Places in the state.
_COUNT, _POSITION, _TOTAL, _WINDOW = 0, 1, 2, 3
_SUM, _SIMPLE, _TRAILING, _BARS_LEFT, _WEIGHTED_WINDOW = 2, 3, 4, 5, 6

_TALIB = "TA-Lib 0.8, function {}"


@jit
def simple_step(state: Floats, slot: int, at: int, period: int, value: float) -> float:
    """Take one value into a running sum over `period` values; give their mean, NaN before.

    The state is `period` + 3 floats from `at` on.
    """
    position = int(state[slot, at + _POSITION])
    state[slot, at + _WINDOW + position] = value
    position = position + 1 if position + 1 < period else 0
    state[slot, at + _POSITION] = position
    total: float = state[slot, at + _TOTAL] + value
    if state[slot, at + _COUNT] < period - 1:
        state[slot, at + _COUNT] += 1
        state[slot, at + _TOTAL] = total
        return np.nan
    state[slot, at + _TOTAL] = total - state[slot, at + _WINDOW + position]
    return total / period


@jit
def _sma(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    at: int,
    parameters: Floats,
    values: Floats,
    column: int,
) -> None:
    period = int(parameters[0])
    for i in range(len(slots)):
        close = bars[i, CLOSE]
        if np.isnan(close):
            values[i, column] = np.nan
        else:
            values[i, column] = simple_step(state, slots[i], at, period, close)


@jit
def _ema(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    at: int,
    parameters: Floats,
    values: Floats,
    column: int,
) -> None:
    period = int(parameters[0])
    weight = 2.0 / (period + 1)
    for i in range(len(slots)):
        slot = slots[i]
        close = bars[i, CLOSE]
        values[i, column] = np.nan
        if np.isnan(close):
            continue
        if period == 1:
            values[i, column] = close
            continue
        count = state[slot, at] + 1
        average = state[slot, at + 1]
        if count > period:
            average = fma(close - average, weight, average)
        else:
            average += close
            state[slot, at] = count
            if count == period:
                average /= period
        state[slot, at + 1] = average
        if count >= period:
            values[i, column] = average


@jit
def _wma(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    at: int,
    parameters: Floats,
    values: Floats,
    column: int,
) -> None:
    period = int(parameters[0])
    divider = period * (period + 1) / 2.0
    for i in range(len(slots)):
        slot = slots[i]
        close = bars[i, CLOSE]
        values[i, column] = np.nan
        if np.isnan(close):
            continue
        window = at + _WEIGHTED_WINDOW
        position = int(state[slot, at + _POSITION])
        state[slot, window + position] = close
        position = position + 1 if position + 1 < period else 0
        state[slot, at + _POSITION] = position
        count = state[slot, at + _COUNT]
        weighted = state[slot, at + _SUM]
        simple = state[slot, at + _SIMPLE]
        simple += close
        if count < period - 1:
            state[slot, at + _COUNT] = count + 1
            state[slot, at + _SIMPLE] = simple
            state[slot, at + _SUM] = weighted + close * (count + 1)
            state[slot, at + _BARS_LEFT] = 8 * period
            continue
        simple -= state[slot, at + _TRAILING]
        weighted += close * period
        # As TA-Lib does, both sums are made anew from the window from time to time, so that what is lost by
        # rounding does not add up.
        state[slot, at + _BARS_LEFT] -= 1
        if state[slot, at + _BARS_LEFT] <= 0:
            state[slot, at + _BARS_LEFT] = 8 * period
            simple = 0.0
            weighted = 0.0
            for weight in range(1, period + 1):
                value = state[slot, window + (position + weight - 1) % period]
                simple += value
                weighted += value * weight
        state[slot, at + _TRAILING] = state[slot, window + position]
        state[slot, at + _SIMPLE] = simple
        state[slot, at + _SUM] = weighted - simple
        values[i, column] = close if period == 1 else weighted / divider


def _period(default: float) -> tuple[Parameter, ...]:
    return (Parameter(name="period", default=default, minimum=1),)


SMA = Indicator(
    name="sma",
    parameters=_period(20),
    inputs=("close",),
    warm_up=lambda period: period - 1,
    width=lambda period: period + 3,
    kernel=_sma,
    definition="Arithmetic mean of the last closes.",
    source=_TALIB.format("SMA"),
    unit="quote currency",
)

EMA = Indicator(
    name="ema",
    parameters=_period(20),
    inputs=("close",),
    warm_up=lambda period: period - 1,
    width=lambda period: 2,  # noqa: ARG005 - the state does not grow with the period
    kernel=_ema,
    definition=(
        "Exponential mean of closes with weight 2 / (period + 1), seeded by the mean of the first "
        "closes."
    ),
    source=_TALIB.format("EMA"),
    unit="quote currency",
)

WMA = Indicator(
    name="wma",
    parameters=_period(20),
    inputs=("close",),
    warm_up=lambda period: period - 1,
    width=lambda period: period + 6,
    kernel=_wma,
    definition="Mean of the last closes with weights 1 (oldest) to period (newest).",
    source=_TALIB.format("WMA"),
    unit="quote currency",
)
