"""Volatility and statistics: realised volatility four ways, ulcer index, z-score, Hurst exponent.

Volatility is of one bar, not a year: times the root of the bars a year gives the annual one.
"""

import numpy as np

from flows.kernels.indicators.averages import period_of
from flows.kernels.indicators.declaration import CLOSE, HIGH, LOW, OPEN, Indicator
from flows.kernels.indicators.windows import following, mean_of, run_end, variance_of
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s

_LN_2 = float(np.log(2.0))

# Lags over which the Hurst exponent is fitted: 1, 2, 4, 8 and 16 bars.
_LAGS = 5
_LONGEST_LAG = 16


@jit_in_place
def _rv_close(
    bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats
) -> None:
    period = int(parameters[0])
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, previous, count, position = own[0], own[1], int(own[2]), int(own[3])
        ring = own[4 : 4 + period]
        for i in range(start, end):
            close = closes[i]
            out[i] = np.nan
            if not close > 0.0:
                continue
            if started > 0:
                ring[position] = np.log(close / previous)
                position = following(position, period)
                if count < period - 1:
                    count += 1
                else:
                    out[i] = np.sqrt(variance_of(ring, 1))
            started = 1.0
            previous = close
        own[0], own[1], own[2], own[3] = started, previous, count, position
        start = end


@jit_in_place
def _rv_parkinson(
    bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats
) -> None:
    out = values[0]
    for i in range(len(slots)):
        out[i] = np.nan
        if bars[LOW, i] > 0.0 and bars[HIGH, i] > 0.0:
            reach = np.log(bars[HIGH, i] / bars[LOW, i])
            out[i] = reach * reach
    _root_of_mean(slots, state, int(parameters[0]), 4.0 * _LN_2, out)


@jit_in_place
def _rv_garman_klass(
    bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats
) -> None:
    out = values[0]
    for i in range(len(slots)):
        opening, high, low, close = bars[OPEN, i], bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
        out[i] = np.nan
        if opening > 0.0 and high > 0.0 and low > 0.0 and close > 0.0:
            reach = np.log(high / low)
            move = np.log(close / opening)
            out[i] = 0.5 * reach * reach - (2.0 * _LN_2 - 1.0) * move * move
    _root_of_mean(slots, state, int(parameters[0]), 1.0, out)


@jit_in_place
def _root_of_mean(slots: Int64s, state: Floats, period: int, divisor: float, out: Floats) -> None:
    # In place of each bar's own number, the root of the mean of the last ones over a divisor; NaN is no number.
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position = int(own[0]), int(own[1])
        ring = own[2 : 2 + period]
        for i in range(start, end):
            if np.isnan(out[i]):
                continue
            ring[position] = out[i]
            out[i] = np.nan
            position = following(position, period)
            if count < period - 1:
                count += 1
            else:
                out[i] = np.sqrt(max(mean_of(ring) / divisor, 0.0))
        own[0], own[1] = count, position
        start = end


@jit_in_place
def _rv_yang_zhang(
    bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats
) -> None:
    period = int(parameters[0])
    share = 0.34 / (1.34 + (period + 1.0) / (period - 1.0))
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, previous, count, position = own[0], own[1], int(own[2]), int(own[3])
        gaps = own[4 : 4 + period]
        moves = own[4 + period : 4 + 2 * period]
        drifts = own[4 + 2 * period : 4 + 3 * period]
        for i in range(start, end):
            opening, high, low, close = bars[OPEN, i], bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
            out[i] = np.nan
            if not (opening > 0.0 and high > 0.0 and low > 0.0 and close > 0.0):
                continue
            if started > 0:
                up, down, move = (
                    np.log(high / opening),
                    np.log(low / opening),
                    np.log(close / opening),
                )
                gaps[position] = np.log(opening / previous)
                moves[position] = move
                drifts[position] = up * (up - move) + down * (down - move)
                position = following(position, period)
                if count < period - 1:
                    count += 1
                else:
                    open_to_close = share * variance_of(moves, 1)
                    drift = (1.0 - share) * mean_of(drifts)
                    out[i] = np.sqrt(max(variance_of(gaps, 1) + open_to_close + drift, 0.0))
            started = 1.0
            previous = close
        own[0], own[1], own[2], own[3] = started, previous, count, position
        start = end


@jit_in_place
def _ulcer(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position = int(own[0]), int(own[1])
        ring = own[2 : 2 + period]
        for i in range(start, end):
            close = closes[i]
            out[i] = np.nan
            if not close > 0.0:
                continue
            ring[position] = close
            position = following(position, period)
            if count < period - 1:
                count += 1
                continue
            total = 0.0
            top = 0.0
            place = position
            for _ in range(period):
                top = max(top, ring[place])
                fall = 100.0 * (ring[place] - top) / top
                total += fall * fall
                place = following(place, period)
            out[i] = np.sqrt(total / period)
        own[0], own[1] = count, position
        start = end


@jit_in_place
def _zscore(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position = int(own[0]), int(own[1])
        ring = own[2 : 2 + period]
        for i in range(start, end):
            close = closes[i]
            out[i] = np.nan
            if np.isnan(close):
                continue
            ring[position] = close
            position = following(position, period)
            if count < period - 1:
                count += 1
                continue
            deviation = np.sqrt(variance_of(ring, 0))
            mean = mean_of(ring)
            # A window of equal closes leaves no more than rounding.
            if deviation > 1e-12 * abs(mean):
                out[i] = (close - mean) / deviation
        own[0], own[1] = count, position
        start = end


@jit_in_place
def _hurst(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    size = period + 1
    closes = bars[CLOSE]
    out = values[0]
    middle = (_LAGS - 1) / 2.0 * _LN_2
    spread = 0.0
    for k in range(_LAGS):
        spread += (k * _LN_2 - middle) * (k * _LN_2 - middle)
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position, left = int(own[0]), int(own[1]), int(own[2])
        sums = own[3 : 3 + _LAGS]
        ring = own[3 + _LAGS : 3 + _LAGS + size]
        for i in range(start, end):
            out[i] = np.nan
            if not closes[i] > 0.0:
                continue
            value = np.log(closes[i])
            oldest = ring[position]
            for k in range(_LAGS):
                lag = 1 << k
                if count >= lag:
                    step = value - ring[(position + size - lag) % size]
                    sums[k] += step * step
                if count >= size:
                    step = ring[(position + lag) % size] - oldest
                    sums[k] -= step * step
            ring[position] = value
            position = following(position, size)
            count = min(count + 1, size)
            left -= 1
            if count < size:
                continue
            if left <= 0:
                # Made anew from the window, so that what rounding loses does not add up.
                left = size
                _squares_anew(ring, position, sums)
            slope = 0.0
            for k in range(_LAGS):
                mean = sums[k] / (size - (1 << k))
                slope += (k * _LN_2 - middle) * 0.5 * np.log(mean) if mean > 0.0 else np.nan
            out[i] = slope / spread
        own[0], own[1], own[2] = count, position, left
        start = end


@jit_in_place
def _squares_anew(ring: Floats, position: int, sums: Floats) -> None:
    size = len(ring)
    for k in range(_LAGS):
        lag = 1 << k
        sums[k] = 0.0
        for j in range(size - lag):
            step = ring[(position + j + lag) % size] - ring[(position + j) % size]
            sums[k] += step * step


_PER_BAR = "of log returns, a bar"

RV_CLOSE = Indicator(
    name="rv_close",
    parameters=period_of(20, 2),
    inputs=("close",),
    warm_up=lambda period: period,
    width=lambda period: period + 4,
    kernel=_rv_close,
    definition="Realised volatility: sample standard deviation of the log returns of closes.",
    source="Close-to-close estimator",
    unit=_PER_BAR,
)

RV_PARKINSON = Indicator(
    name="rv_parkinson",
    parameters=period_of(20),
    inputs=("high", "low"),
    warm_up=lambda period: period - 1,
    width=lambda period: period + 2,
    kernel=_rv_parkinson,
    definition="Realised volatility: root of the mean of ln(high / low)^2 over 4 ln 2.",
    source="Parkinson, Journal of Business 53:1 (1980)",
    unit=_PER_BAR,
)

RV_GARMAN_KLASS = Indicator(
    name="rv_garman_klass",
    parameters=period_of(20),
    inputs=("open", "high", "low", "close"),
    warm_up=lambda period: period - 1,
    width=lambda period: period + 2,
    kernel=_rv_garman_klass,
    definition=(
        "Realised volatility: root of the mean of ln(high / low)^2 / 2 - (2 ln 2 - 1) ln(close / open)^2, "
        "0 if that is negative."
    ),
    source="Garman and Klass, Journal of Business 53:1 (1980)",
    unit=_PER_BAR,
)

RV_YANG_ZHANG = Indicator(
    name="rv_yang_zhang",
    parameters=period_of(20, 2),
    inputs=("open", "high", "low", "close"),
    warm_up=lambda period: period,
    width=lambda period: 3 * period + 4,
    kernel=_rv_yang_zhang,
    definition=(
        "Realised volatility: root of the sample variance of ln(open / close before), plus k times that of "
        "ln(close / open), plus 1 - k times Rogers and Satchell's mean; k = 0.34 / (1.34 + (n + 1) / (n - 1))."
    ),
    source="Yang and Zhang, Journal of Business 73:3 (2000)",
    unit=_PER_BAR,
)

ULCER = Indicator(
    name="ulcer",
    parameters=period_of(14),
    inputs=("close",),
    warm_up=lambda period: period - 1,
    width=lambda period: period + 2,
    kernel=_ulcer,
    definition=(
        "Root of the mean square of the falls, in percent, of the last closes from the highest close of the "
        "window up to each."
    ),
    source="Martin and McCann (1987); the window as in Stock.Indicators",
    unit="percent",
)

ZSCORE = Indicator(
    name="zscore",
    parameters=period_of(20, 2),
    inputs=("close",),
    warm_up=lambda period: period - 1,
    width=lambda period: period + 2,
    kernel=_zscore,
    definition=(
        "Distance of the close from the mean of the last closes in their population standard deviations; null "
        "where all are equal."
    ),
    source="Stock.Indicators, stdev",
    unit="standard deviations",
)

HURST = Indicator(
    name="hurst",
    parameters=period_of(100, 2 * _LONGEST_LAG),
    inputs=("close",),
    warm_up=lambda period: period,
    width=lambda period: period + 4 + _LAGS,
    kernel=_hurst,
    definition=(
        "Generalised Hurst exponent of order 2: least-squares slope, over lags of 1, 2, 4, 8 and 16 bars, of the "
        "logarithm of the root mean square change of ln(close) on the logarithm of the lag, within the last "
        "period changes; 1/2 for a random walk. Null where a lag has no change at all."
    ),
    source="Di Matteo, Quantitative Finance 7:1 (2007); not the rescaled range",
    unit="none",
)
