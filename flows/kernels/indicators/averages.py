"""Moving averages of the close: simple, exponential, weighted."""

import numpy as np

from flows.kernels.indicators.declaration import CLOSE, Indicator, Parameter
from flows.kernels.indicators.smoothing import exponential_step, mean_step, weighted_step
from flows.kernels.indicators.windows import run_end
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s

TALIB = "TA-Lib 0.8, function {}"
QUOTE = "quote currency"


@jit_in_place
def _sma(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    parameters: Floats,  # noqa: ARG001 - the form of every kernel
    values: Floats,
) -> None:
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        ring = own[3:]
        count = int(own[0])
        position = int(own[1])
        total = own[2]
        for i in range(start, end):
            out[i] = np.nan
            if not np.isnan(closes[i]):
                position, count, total, out[i] = mean_step(ring, position, count, total, closes[i])
        own[0] = count
        own[1] = position
        own[2] = total
        start = end


@jit_in_place
def _ema(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    weight = 2.0 / (period + 1)
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count = int(own[0])
        average = own[1]
        for i in range(start, end):
            out[i] = np.nan
            if np.isnan(closes[i]):
                continue
            count, average = exponential_step(count, average, closes[i], period, weight)
            if count >= period:
                out[i] = closes[i] if period == 1 else average
        own[0] = count
        own[1] = average
        start = end


@jit_in_place
def _wma(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    parameters: Floats,  # noqa: ARG001 - the form of every kernel
    values: Floats,
) -> None:
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        ring = own[6:]
        position = int(own[0])
        sums = (int(own[1]), own[2], own[3], own[4], int(own[5]))
        for i in range(start, end):
            out[i] = np.nan
            if not np.isnan(closes[i]):
                position, sums, out[i] = weighted_step(ring, position, sums, closes[i])
        own[0] = position
        own[1], own[2], own[3], own[4], own[5] = sums
        start = end


def period_of(default: float, minimum: float = 1) -> tuple[Parameter, ...]:
    """A period as the only parameter."""
    return (Parameter(name="period", default=default, minimum=minimum),)


SMA = Indicator(
    name="sma",
    parameters=period_of(20),
    inputs=("close",),
    warm_up=lambda period: period - 1,
    width=lambda period: period + 3,
    kernel=_sma,
    definition="Arithmetic mean of the last closes.",
    source=TALIB.format("SMA"),
    unit=QUOTE,
)

EMA = Indicator(
    name="ema",
    parameters=period_of(20),
    inputs=("close",),
    warm_up=lambda period: period - 1,
    width=lambda _: 2,
    kernel=_ema,
    definition=(
        "Exponential mean of closes with weight 2 / (period + 1), seeded by the mean of the first "
        "closes."
    ),
    source=TALIB.format("EMA"),
    unit=QUOTE,
)

WMA = Indicator(
    name="wma",
    parameters=period_of(20),
    inputs=("close",),
    warm_up=lambda period: period - 1,
    width=lambda period: period + 6,
    kernel=_wma,
    definition="Mean of the last closes with weights 1 (oldest) to period (newest).",
    source=TALIB.format("WMA"),
    unit=QUOTE,
)
