"""Momentum: relative strength, convergence of averages, stochastic, commodity channel."""

import numpy as np

from flows.kernels.fused import fma
from flows.kernels.indicators.averages import simple_step
from flows.kernels.indicators.declaration import CLOSE, HIGH, LOW, Indicator, Parameter
from flows.kernels.jit import jit
from schemas.arrays import Floats, Int64s

# TA-Lib's bound below which a difference counts as zero beside the numbers it is the difference of.
_RELATIVE_ZERO = 1e-14

# Places in the state.
_COUNT, _PREVIOUS, _GAIN, _LOSS = 0, 1, 2, 3
_FAST, _SLOW, _SIGNAL = 1, 2, 3
_POSITION, _WINDOW = 1, 2


@jit
def _rsi(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    at: int,
    parameters: Floats,
    values: Floats,
    column: int,
) -> None:
    period = int(parameters[0])
    share = 1.0 / period
    for i in range(len(slots)):
        slot = slots[i]
        close = bars[i, CLOSE]
        values[i, column] = np.nan
        if np.isnan(close):
            continue
        # Bars before this one, as far as the warm-up needs them counted.
        count = state[slot, at + _COUNT]
        change = close - state[slot, at + _PREVIOUS]
        state[slot, at + _PREVIOUS] = close
        if count <= period:
            state[slot, at + _COUNT] = count + 1
        if count == 0:
            continue
        gain = state[slot, at + _GAIN]
        loss = state[slot, at + _LOSS]
        if count > period:
            gain *= period - 1
            loss *= period - 1
        rise = max(change, 0.0)
        gain += rise
        loss += rise - change
        if count >= period:
            gain *= share
            loss *= share
            total = gain + loss
            values[i, column] = 100.0 * (gain / total) if total > 0.0 else 0.0
        state[slot, at + _GAIN] = gain
        state[slot, at + _LOSS] = loss


@jit
def _macd(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    at: int,
    parameters: Floats,
    values: Floats,
    column: int,
) -> None:
    fast_period = int(min(parameters[0], parameters[1]))
    slow_period = int(max(parameters[0], parameters[1]))
    signal_period = int(parameters[2])
    fast_weight = 2.0 / (fast_period + 1)
    slow_weight = 2.0 / (slow_period + 1)
    signal_weight = 2.0 / (signal_period + 1)
    for i in range(len(slots)):
        slot = slots[i]
        close = bars[i, CLOSE]
        for output in range(3):
            values[i, column + output] = np.nan
        if np.isnan(close):
            continue
        count = state[slot, at + _COUNT] + 1
        fast = state[slot, at + _FAST]
        slow = state[slot, at + _SLOW]
        signal = state[slot, at + _SIGNAL]
        if count < slow_period + signal_period:
            state[slot, at + _COUNT] = count
        if count > slow_period:
            fast = fma(close - fast, fast_weight, fast)
            slow = fma(close - slow, slow_weight, slow)
        else:
            # Both seeds end on the same bar: the fast one is the tail of the slow one.
            slow += close
            if count > slow_period - fast_period:
                fast += close
            if count == slow_period:
                slow /= slow_period
                fast /= fast_period
        state[slot, at + _FAST] = fast
        state[slot, at + _SLOW] = slow
        if count < slow_period:
            continue
        line = fast - slow
        if signal_period == 1:
            signal = line
        elif count < slow_period + signal_period:
            signal += line
            if count == slow_period + signal_period - 1:
                signal /= signal_period
        else:
            signal = fma(line - signal, signal_weight, signal)
        state[slot, at + _SIGNAL] = signal
        if count >= slow_period + signal_period - 1:
            values[i, column] = line
            values[i, column + 1] = signal
            values[i, column + 2] = line - signal


@jit
def _stoch(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    at: int,
    parameters: Floats,
    values: Floats,
    column: int,
) -> None:
    period = int(parameters[0])
    k_period = int(parameters[1])
    d_period = int(parameters[2])
    lows = at + _WINDOW
    highs = lows + period
    k_at = highs + period
    d_at = k_at + k_period + 3
    for i in range(len(slots)):
        slot = slots[i]
        close = bars[i, CLOSE]
        values[i, column] = np.nan
        values[i, column + 1] = np.nan
        if np.isnan(bars[i, HIGH]) or np.isnan(bars[i, LOW]) or np.isnan(close):
            continue
        position = int(state[slot, at + _POSITION])
        state[slot, lows + position] = bars[i, LOW]
        state[slot, highs + position] = bars[i, HIGH]
        state[slot, at + _POSITION] = position + 1 if position + 1 < period else 0
        if state[slot, at + _COUNT] < period - 1:
            state[slot, at + _COUNT] += 1
            continue
        lowest = bars[i, LOW]
        highest = bars[i, HIGH]
        for j in range(period):
            lowest = min(lowest, state[slot, lows + j])
            highest = max(highest, state[slot, highs + j])
        spread = highest - lowest
        raw = 0.0
        if abs(spread) > _RELATIVE_ZERO * (abs(highest) + abs(lowest)):
            raw = (close - lowest) / spread * 100.0
        slow_k = simple_step(state, slot, k_at, k_period, raw)
        if np.isnan(slow_k):
            continue
        slow_d = simple_step(state, slot, d_at, d_period, slow_k)
        if not np.isnan(slow_d):
            values[i, column] = slow_k
            values[i, column + 1] = slow_d


@jit
def _cci(
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
        slot = slots[i]
        typical = (bars[i, HIGH] + bars[i, LOW] + bars[i, CLOSE]) / 3
        values[i, column] = np.nan
        if np.isnan(typical):
            continue
        position = int(state[slot, at + _POSITION])
        state[slot, at + _WINDOW + position] = typical
        state[slot, at + _POSITION] = position + 1 if position + 1 < period else 0
        if state[slot, at + _COUNT] < period - 1:
            state[slot, at + _COUNT] += 1
            continue
        # Sums run over the ring's places, not over time, as TA-Lib's do.
        mean = 0.0
        for j in range(period):
            mean += state[slot, at + _WINDOW + j]
        mean /= period
        deviation = 0.0
        for j in range(period):
            deviation += abs(state[slot, at + _WINDOW + j] - mean)
        deviation /= period
        distance = typical - mean
        zero = _RELATIVE_ZERO * abs(mean)
        if abs(distance) <= zero or abs(deviation) <= zero:
            values[i, column] = 0.0
        else:
            values[i, column] = distance / (0.015 * deviation)


RSI = Indicator(
    name="rsi",
    parameters=(Parameter(name="period", default=14, minimum=2),),
    inputs=("close",),
    warm_up=lambda period: period,
    width=lambda period: 4,  # noqa: ARG005 - the state does not grow with the period
    kernel=_rsi,
    definition=(
        "100 times the share of Wilder's average gain in the sum of average gain and average loss; "
        "0 without either."
    ),
    source="Wilder, New Concepts in Technical Trading Systems (1978); TA-Lib 0.8, function RSI",
    unit="0 to 100",
)

MACD = Indicator(
    name="macd",
    parameters=(
        Parameter(name="fast period", default=12, minimum=2),
        Parameter(name="slow period", default=26, minimum=2),
        Parameter(name="signal period", default=9, minimum=1),
    ),
    inputs=("close",),
    outputs=("", "_signal", "_hist"),
    warm_up=lambda fast, slow, signal: max(fast, slow) + signal - 2,
    width=lambda fast, slow, signal: 4,  # noqa: ARG005 - the state does not grow with the periods
    kernel=_macd,
    definition=(
        "Fast less slow exponential mean of closes, both seeded on the same bar; its own exponential "
        "mean (_signal); and the difference of the two (_hist)."
    ),
    source="Appel (1979); TA-Lib 0.8, function MACD",
    unit="quote currency",
)

STOCH = Indicator(
    name="stoch",
    parameters=(
        Parameter(name="period", default=14, minimum=1),
        Parameter(name="smoothing of k", default=3, minimum=1),
        Parameter(name="period of d", default=3, minimum=1),
    ),
    inputs=("high", "low", "close"),
    outputs=("_k", "_d"),
    warm_up=lambda period, k, d: period + k + d - 3,
    width=lambda period, k, d: 2 * period + k + d + 8,
    kernel=_stoch,
    definition=(
        "Slow stochastic: place of the close in the range of the last bars, 0 for a range of zero, "
        "smoothed by a simple mean (_k), and the simple mean of that (_d)."
    ),
    source="Lane; TA-Lib 0.8, function STOCH with simple means",
    unit="0 to 100",
)

CCI = Indicator(
    name="cci",
    parameters=(Parameter(name="period", default=20, minimum=2),),
    inputs=("high", "low", "close"),
    warm_up=lambda period: period - 1,
    width=lambda period: period + 2,
    kernel=_cci,
    definition=(
        "Distance of the typical price, (high + low + close) / 3, from its simple mean, in units of "
        "0.015 mean absolute deviations; 0 where either is zero."
    ),
    source="Lambert (1980); TA-Lib 0.8, function CCI",
    unit="none",
)
