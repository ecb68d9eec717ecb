"""Momentum: relative strength, convergence of averages, commodity channel."""

import numpy as np

from flows.kernels.indicators.averages import QUOTE, period_of
from flows.kernels.indicators.declaration import CLOSE, HIGH, LOW, Indicator, Parameter
from flows.kernels.indicators.smoothing import exponential_step, strength_step
from flows.kernels.indicators.windows import RELATIVE_ZERO, ZERO, following, mean_of, run_end
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s

_WILDER = "Wilder, New Concepts in Technical Trading Systems (1978); TA-Lib 0.8, function RSI"


@jit_in_place
def _rsi(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    _strength(bars[CLOSE], slots, state, int(parameters[0]), 0, values[0])


@jit_in_place
def _cmo(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    _strength(bars[CLOSE], slots, state, int(parameters[0]), 1, values[0])


@jit_in_place
def _strength(
    closes: Floats, slots: Int64s, state: Floats, period: int, losses: int, out: Floats
) -> None:
    # The share of the average gain, less the average loss where losses count (1), in the sum of both.
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started = own[0]
        count = int(own[1])
        previous, gain, loss = own[2], own[3], own[4]
        for i in range(start, end):
            out[i] = np.nan
            if np.isnan(closes[i]):
                continue
            if started > 0:
                count, gain, loss = strength_step(count, gain, loss, closes[i] - previous, period)
            started = 1.0
            previous = closes[i]
            if count >= period:
                total = gain + loss
                net = gain - loss if losses else gain
                out[i] = 100.0 * (net / total) if total > 0.0 else 0.0
        own[0], own[1], own[2], own[3], own[4] = started, count, previous, gain, loss
        start = end


@jit_in_place
def _macd(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    fast_period = int(min(parameters[0], parameters[1]))
    slow_period = int(max(parameters[0], parameters[1]))
    signal_period = int(parameters[2])
    fast_weight = 2.0 / (fast_period + 1)
    slow_weight = 2.0 / (slow_period + 1)
    signal_weight = 2.0 / (signal_period + 1)
    closes = bars[CLOSE]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        fast_count, slow_count, signal_count = int(own[0]), int(own[1]), int(own[2])
        fast, slow, signal = own[3], own[4], own[5]
        for i in range(start, end):
            values[0, i] = values[1, i] = values[2, i] = np.nan
            close = closes[i]
            if np.isnan(close):
                continue
            slow_count, slow = exponential_step(slow_count, slow, close, slow_period, slow_weight)
            # Both seeds end on the same bar: the fast one is the tail of the slow one.
            if slow_count > slow_period - fast_period:
                fast_count, fast = exponential_step(
                    fast_count, fast, close, fast_period, fast_weight
                )
            if slow_count < slow_period:
                continue
            line = fast - slow
            signal_count, signal = exponential_step(
                signal_count, signal, line, signal_period, signal_weight
            )
            if signal_period == 1:
                signal = line
            if signal_count >= signal_period:
                values[0, i] = line
                values[1, i] = signal
                values[2, i] = line - signal
        own[0], own[1], own[2] = fast_count, slow_count, signal_count
        own[3], own[4], own[5] = fast, slow, signal
        start = end


@jit_in_place
def _cci(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        ring = own[2 : 2 + period]
        count = int(own[0])
        position = int(own[1])
        for i in range(start, end):
            typical = (bars[HIGH, i] + bars[LOW, i] + bars[CLOSE, i]) / 3
            out[i] = np.nan
            if np.isnan(typical):
                continue
            ring[position] = typical
            position = following(position, period)
            if count < period - 1:
                count += 1
                continue
            # Sums run over the ring's places, not over time, as TA-Lib's do.
            mean = mean_of(ring)
            deviation = 0.0
            for j in range(period):
                deviation += abs(ring[j] - mean)
            deviation /= period
            distance = typical - mean
            zero = RELATIVE_ZERO * abs(mean)
            if abs(distance) <= zero or abs(deviation) <= zero:
                out[i] = 0.0
            else:
                out[i] = distance / (0.015 * deviation)
        own[0], own[1] = count, position
        start = end


@jit_in_place
def _mom(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    out = values[0]
    _closes_before(bars[CLOSE], slots, state, int(parameters[0]), out)
    for i in range(len(slots)):
        out[i] = bars[CLOSE, i] - out[i]


@jit_in_place
def _roc(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    out = values[0]
    _closes_before(bars[CLOSE], slots, state, int(parameters[0]), out)
    for i in range(len(slots)):
        before = out[i]
        out[i] = (bars[CLOSE, i] / before - 1.0) * 100.0 if before != 0.0 else 0.0


@jit_in_place
def _closes_before(closes: Floats, slots: Int64s, state: Floats, period: int, out: Floats) -> None:
    # The close so many bars before each bar; NaN where there is none, or none now.
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        ring = own[2 : 2 + period]
        count = int(own[0])
        position = int(own[1])
        for i in range(start, end):
            out[i] = np.nan
            if np.isnan(closes[i]):
                continue
            if count >= period:
                out[i] = ring[position]
            else:
                count += 1
            ring[position] = closes[i]
            position = following(position, period)
        own[0], own[1] = count, position
        start = end


@jit_in_place
def _bop(
    bars: Floats,
    slots: Int64s,
    state: Floats,  # noqa: ARG001 - the form of every kernel
    parameters: Floats,  # noqa: ARG001 - the form of every kernel
    values: Floats,
) -> None:
    for i in range(len(slots)):
        spread = bars[HIGH, i] - bars[LOW, i]
        body = bars[CLOSE, i] - bars[0, i]
        values[0, i] = body / spread if spread >= ZERO else body * spread * 0.0


RSI = Indicator(
    name="rsi",
    parameters=period_of(14, 2),
    inputs=("close",),
    warm_up=lambda period: period,
    width=lambda _: 5,
    kernel=_rsi,
    definition=(
        "100 times the share of Wilder's average gain in the sum of average gain and average loss; "
        "0 without either."
    ),
    source=_WILDER,
    unit="0 to 100",
)

CMO = Indicator(
    name="cmo",
    parameters=period_of(14, 2),
    inputs=("close",),
    warm_up=lambda period: period,
    width=lambda _: 5,
    kernel=_cmo,
    definition=(
        "100 times the difference of Wilder's average gain and average loss over their sum; 0 without "
        "either. TA-Lib smooths; Chande's own and Stock.Indicators sum without smoothing."
    ),
    source="Chande and Kroll, The New Technical Trader (1994); TA-Lib 0.8, function CMO",
    unit="-100 to 100",
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
    width=lambda fast, slow, signal: 6,  # noqa: ARG005 - the state does not grow with the periods
    kernel=_macd,
    definition=(
        "Fast less slow exponential mean of closes, both seeded on the same bar; its own exponential "
        "mean (_signal); and the difference of the two (_hist)."
    ),
    source="Appel (1979); TA-Lib 0.8, function MACD",
    unit=QUOTE,
)

CCI = Indicator(
    name="cci",
    parameters=period_of(20, 2),
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

MOM = Indicator(
    name="mom",
    parameters=period_of(10),
    inputs=("close",),
    warm_up=lambda period: period,
    width=lambda period: period + 2,
    kernel=_mom,
    definition="Close less the close so many bars ago.",
    source="TA-Lib 0.8, function MOM",
    unit=QUOTE,
)

ROC = Indicator(
    name="roc",
    parameters=period_of(10),
    inputs=("close",),
    warm_up=lambda period: period,
    width=lambda period: period + 2,
    kernel=_roc,
    definition="Change of the close since so many bars ago, in percent of the older close; 0 if that is 0.",
    source="TA-Lib 0.8, function ROC",
    unit="percent",
)

BOP = Indicator(
    name="bop",
    inputs=("open", "high", "low", "close"),
    warm_up=lambda: 0,
    width=lambda: 0,
    kernel=_bop,
    definition="Balance of power: (close - open) / (high - low); 0 for a bar without range.",
    source="Livshin (2001); TA-Lib 0.8, function BOP",
    unit="-1 to 1",
)
