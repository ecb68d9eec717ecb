"""Means of means: double and triple exponential, Tillson's T3, TRIX, Wilder's mean, the true strength index."""

import numpy as np

from flows.kernels.indicators.averages import QUOTE, TALIB, period_of
from flows.kernels.indicators.declaration import CLOSE, Indicator, Parameter
from flows.kernels.indicators.smoothing import exponential_step, wilder_step
from flows.kernels.indicators.windows import run_end
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s


@jit_in_place
def _dema(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    weight = 2.0 / (period + 1)
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count_1, count_2, first, second = int(own[0]), int(own[1]), own[2], own[3]
        for i in range(start, end):
            out[i] = np.nan
            if np.isnan(closes[i]):
                continue
            count_1, first = exponential_step(count_1, first, closes[i], period, weight)
            if count_1 < period:
                continue
            count_2, second = exponential_step(count_2, second, first, period, weight)
            if count_2 >= period:
                out[i] = closes[i] if period == 1 else 2.0 * first - second
        own[0], own[1], own[2], own[3] = count_1, count_2, first, second
        start = end


@jit_in_place
def _triple_step(
    counts: tuple[int, int, int],
    means: tuple[float, float, float],
    value: float,
    period: int,
    weight: float,
) -> tuple[tuple[int, int, int], tuple[float, float, float]]:
    # Three exponential means, one of another; the third holds once its count is the period.
    count_1, count_2, count_3 = counts
    first, second, third = means
    count_1, first = exponential_step(count_1, first, value, period, weight)
    if count_1 >= period:
        count_2, second = exponential_step(count_2, second, first, period, weight)
        if count_2 >= period:
            count_3, third = exponential_step(count_3, third, second, period, weight)
    return (count_1, count_2, count_3), (first, second, third)


@jit_in_place
def _tema(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    weight = 2.0 / (period + 1)
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        counts = (int(own[0]), int(own[1]), int(own[2]))
        means = (own[3], own[4], own[5])
        for i in range(start, end):
            out[i] = np.nan
            if np.isnan(closes[i]):
                continue
            counts, means = _triple_step(counts, means, closes[i], period, weight)
            if counts[2] >= period:
                out[i] = 3.0 * means[0] - 3.0 * means[1] + means[2]
                if period == 1:
                    out[i] = closes[i]
        own[0], own[1], own[2] = counts
        own[3], own[4], own[5] = means
        start = end


@jit_in_place
def _trix(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    weight = 2.0 / (period + 1)
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        counts = (int(own[0]), int(own[1]), int(own[2]))
        means = (own[3], own[4], own[5])
        for i in range(start, end):
            out[i] = np.nan
            if np.isnan(closes[i]):
                continue
            known = counts[2] >= period
            before = means[2]
            counts, means = _triple_step(counts, means, closes[i], period, weight)
            if known:
                out[i] = (means[2] / before - 1.0) * 100.0 if before != 0.0 else 0.0
        own[0], own[1], own[2] = counts
        own[3], own[4], own[5] = means
        start = end


@jit_in_place
def _t3(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    weight = 2.0 / (period + 1)
    factor = parameters[1]
    square = factor * factor
    c_6 = -square * factor
    c_5 = 3.0 * (square - c_6)
    c_4 = -6.0 * square - 3.0 * (factor - c_6)
    c_3 = 1.0 + 3.0 * factor - c_6 + 3.0 * square
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        counts = (int(own[0]), int(own[1]), int(own[2]))
        later_counts = (int(own[3]), int(own[4]), int(own[5]))
        means = (own[6], own[7], own[8])
        later = (own[9], own[10], own[11])
        for i in range(start, end):
            out[i] = np.nan
            if np.isnan(closes[i]):
                continue
            counts, means = _triple_step(counts, means, closes[i], period, weight)
            if counts[2] < period:
                continue
            later_counts, later = _triple_step(later_counts, later, means[2], period, weight)
            if later_counts[2] >= period:
                out[i] = c_6 * later[2] + c_5 * later[1] + c_4 * later[0] + c_3 * means[2]
                if period == 1:
                    out[i] = closes[i]
        own[0], own[1], own[2] = counts
        own[3], own[4], own[5] = later_counts
        own[6], own[7], own[8] = means
        own[9], own[10], own[11] = later
        start = end


@jit_in_place
def _rma(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    keep = (period - 1) / period
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, average = int(own[0]), own[1]
        for i in range(start, end):
            out[i] = np.nan
            if np.isnan(closes[i]):
                continue
            count, average = wilder_step(count, average, closes[i], period, keep)
            if count >= period:
                out[i] = average
        own[0], own[1] = count, average
        start = end


@jit_in_place
def _tsi(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period_1, period_2 = int(parameters[0]), int(parameters[1])
    weight_1, weight_2 = 2.0 / (period_1 + 1), 2.0 / (period_2 + 1)
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, previous = own[0], own[1]
        count_1, count_2 = int(own[2]), int(own[3])
        change_1, change_2, size_1, size_2 = own[4], own[5], own[6], own[7]
        for i in range(start, end):
            out[i] = np.nan
            if np.isnan(closes[i]):
                continue
            change = closes[i] - previous
            previous = closes[i]
            if started == 0:
                started = 1.0
                continue
            _, size_1 = exponential_step(count_1, size_1, abs(change), period_1, weight_1)
            count_1, change_1 = exponential_step(count_1, change_1, change, period_1, weight_1)
            if count_1 < period_1:
                continue
            _, size_2 = exponential_step(count_2, size_2, size_1, period_2, weight_2)
            count_2, change_2 = exponential_step(count_2, change_2, change_1, period_2, weight_2)
            if count_2 >= period_2:
                out[i] = 100.0 * change_2 / size_2 if size_2 > 0.0 else 0.0
        own[0], own[1], own[2], own[3] = started, previous, count_1, count_2
        own[4], own[5], own[6], own[7] = change_1, change_2, size_1, size_2
        start = end


DEMA = Indicator(
    name="dema",
    parameters=period_of(20),
    inputs=("close",),
    warm_up=lambda period: 2 * (period - 1),
    width=lambda _: 4,
    kernel=_dema,
    definition="Twice the exponential mean of closes less the exponential mean of that mean.",
    source="Mulloy, Stocks and Commodities V12:1 (1994); " + TALIB.format("DEMA"),
    unit=QUOTE,
)

TEMA = Indicator(
    name="tema",
    parameters=period_of(20),
    inputs=("close",),
    warm_up=lambda period: 3 * (period - 1),
    width=lambda _: 6,
    kernel=_tema,
    definition="Three times the first less three times the second plus the third of chained exponential means.",
    source="Mulloy, Stocks and Commodities V12:1 (1994); " + TALIB.format("TEMA"),
    unit=QUOTE,
)

TRIX = Indicator(
    name="trix",
    parameters=period_of(15),
    inputs=("close",),
    warm_up=lambda period: 3 * (period - 1) + 1,
    width=lambda _: 6,
    kernel=_trix,
    definition="Change from bar to bar of the third of chained exponential means, in percent.",
    source="Hutson (1983); " + TALIB.format("TRIX"),
    unit="percent",
)

T3 = Indicator(
    name="t3",
    parameters=(
        Parameter(name="period", default=5, minimum=1),
        Parameter(name="volume factor", default=0.7, minimum=0, maximum=1, whole=False),
    ),
    inputs=("close",),
    warm_up=lambda period, _: 6 * (period - 1),
    width=lambda *_: 12,
    kernel=_t3,
    definition=(
        "Generalised double exponential mean, mean * (1 + factor) - mean of mean * factor, applied three "
        "times: a sum over the third to sixth of six chained exponential means."
    ),
    source="Tillson, Stocks and Commodities V16:1 (1998); " + TALIB.format("T3"),
    unit=QUOTE,
)

RMA = Indicator(
    name="rma",
    parameters=period_of(14),
    inputs=("close",),
    warm_up=lambda period: period - 1,
    width=lambda _: 2,
    kernel=_rma,
    definition=(
        "Wilder's (smoothed) mean of closes: weight 1 / period, seeded by the mean of the first closes."
    ),
    source="Wilder (1978); " + TALIB.format("RMA"),
    unit=QUOTE,
)

TSI = Indicator(
    name="tsi",
    parameters=(
        Parameter(name="first period", default=25, minimum=2),
        Parameter(name="second period", default=13, minimum=2),
    ),
    inputs=("close",),
    warm_up=lambda first, second: first + second - 1,
    width=lambda *_: 8,
    kernel=_tsi,
    definition=(
        "True strength index: 100 times the twice exponentially smoothed change of the close over the same "
        "of its absolute value; 0 where nothing ever changed."
    ),
    source="Blau, Stocks and Commodities V9:11 (1991); " + TALIB.format("TSI"),
    unit="-100 to 100",
)
