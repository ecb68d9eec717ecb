"""Ranges of bars: average true range, and the chandelier exit that is so many of them away."""

import numpy as np

from flows.kernels.indicators.averages import QUOTE, TALIB, period_of
from flows.kernels.indicators.declaration import CLOSE, HIGH, LOW, Indicator, Parameter
from flows.kernels.indicators.smoothing import wilder_step
from flows.kernels.indicators.windows import (
    range_step,
    run_end,
    true_range,
)
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s


@jit_in_place
def _atr(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    _average_range(bars, slots, state, parameters, values[0])


@jit_in_place
def _natr(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    _average_range(bars, slots, state, parameters, values[0])
    for i in range(len(slots)):
        close = bars[CLOSE, i]
        if not np.isnan(values[0, i]):
            values[0, i] = values[0, i] / close * 100.0 if close != 0.0 else 0.0


@jit_in_place
def _average_range(
    bars: Floats, slots: Int64s, state: Floats, parameters: Floats, out: Floats
) -> None:
    period = int(parameters[0])
    keep = (period - 1) / period
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, previous, count, average = own[0], own[1], int(own[2]), own[3]
        for i in range(start, end):
            high, low, close = bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
            out[i] = np.nan
            if np.isnan(high) or np.isnan(low) or np.isnan(close):
                continue
            if started > 0:
                spread = true_range(high, low, previous)
                count, average = wilder_step(count, average, spread, period, keep)
                if count >= period:
                    out[i] = average
            started = 1.0
            previous = close
        own[0], own[1], own[2], own[3] = started, previous, count, average
        start = end


@jit_in_place
def _chandelier(
    bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats
) -> None:
    period, reach = int(parameters[0]), parameters[1]
    keep = (period - 1) / period
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, previous, count, average = own[0], own[1], int(own[2]), own[3]
        position, lowest, highest = int(own[4]), own[5], own[6]
        lows = own[7 : 7 + period]
        highs = own[7 + period : 7 + 2 * period]
        for i in range(start, end):
            high, low, close = bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
            values[0, i] = values[1, i] = np.nan
            if np.isnan(high) or np.isnan(low) or np.isnan(close):
                continue
            position, lowest, highest, bottom, top = range_step(
                lows, highs, (position, lowest, highest), low, high
            )
            if started > 0:
                spread = true_range(high, low, previous)
                count, average = wilder_step(count, average, spread, period, keep)
                if count >= period:
                    values[0, i] = top - reach * average
                    values[1, i] = bottom + reach * average
            started = 1.0
            previous = close
        own[0], own[1], own[2], own[3] = started, previous, count, average
        own[4], own[5], own[6] = position, lowest, highest
        start = end


_PRICES = ("high", "low", "close")
_WILDER = "Wilder, New Concepts in Technical Trading Systems (1978); "

ATR = Indicator(
    name="atr",
    parameters=period_of(14),
    inputs=_PRICES,
    warm_up=lambda period: period,
    width=lambda _: 4,
    kernel=_atr,
    definition="Wilder's mean of the true range, seeded by the simple mean of the first true ranges.",
    source=_WILDER + TALIB.format("ATR"),
    unit=QUOTE,
)

NATR = Indicator(
    name="natr",
    parameters=period_of(14, 2),
    inputs=_PRICES,
    warm_up=lambda period: period,
    width=lambda _: 4,
    kernel=_natr,
    definition="Average true range (as atr) in percent of the close; 0 if that is 0.",
    source=TALIB.format("NATR"),
    unit="percent",
)

CHANDELIER = Indicator(
    name="chandelier",
    parameters=(
        Parameter(name="period", default=22, minimum=2),
        Parameter(name="multiple", default=3, minimum=0, whole=False),
    ),
    inputs=_PRICES,
    outputs=("_long", "_short"),
    warm_up=lambda period, _: period,
    width=lambda period, _: 2 * period + 7,
    kernel=_chandelier,
    definition=(
        "Chandelier exit: highest high of the last bars less so many average true ranges (_long), lowest low "
        "plus as many (_short)."
    ),
    source="LeBeau, in Elder, Come Into My Trading Room (2002); composed of TA-Lib's MAX, MIN and ATR",
    unit=QUOTE,
)
