"""Differences of means: of prices, percent, of volume; know sure thing, Schaff's cycle, detrended price."""

import numpy as np

from flows.kernels.indicators.averages import QUOTE, TALIB, period_of
from flows.kernels.indicators.declaration import CLOSE, HIGH, LOW, VOLUME, Indicator, Parameter
from flows.kernels.indicators.smoothing import exponential_step, mean_step
from flows.kernels.indicators.windows import following, range_step, run_end
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s


@jit_in_place
def _difference(
    series: Floats, slots: Int64s, state: Floats, parameters: Floats, out: Floats, percent: int
) -> None:
    # Fast less slow exponential mean of a series, or with `percent` that in percent of the slow one.
    fast_period = int(min(parameters[0], parameters[1]))
    slow_period = int(max(parameters[0], parameters[1]))
    fast_weight = 2.0 / (fast_period + 1)
    slow_weight = 2.0 / (slow_period + 1)
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        fast_count, slow_count, fast, slow = int(own[0]), int(own[1]), own[2], own[3]
        for i in range(start, end):
            value = series[i]
            out[i] = np.nan
            if np.isnan(value):
                continue
            slow_count, slow = exponential_step(slow_count, slow, value, slow_period, slow_weight)
            fast_count, fast = exponential_step(fast_count, fast, value, fast_period, fast_weight)
            if slow_count < slow_period:
                continue
            if percent == 0:
                out[i] = fast - slow
            else:
                out[i] = (fast - slow) / slow * 100.0 if slow != 0.0 else 0.0
        own[0], own[1], own[2], own[3] = fast_count, slow_count, fast, slow
        start = end


@jit_in_place
def _apo(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    _difference(bars[CLOSE], slots, state, parameters, values[0], 0)


@jit_in_place
def _ppo(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    _difference(bars[CLOSE], slots, state, parameters, values[0], 1)


@jit_in_place
def _pvo(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    _difference(bars[VOLUME], slots, state, parameters, values[0], 1)


@jit_in_place
def _ao(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    fast, slow = int(parameters[0]), int(parameters[1])
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        fast_at, fast_count, fast_total = int(own[0]), int(own[1]), own[2]
        slow_at, slow_count, slow_total = int(own[3]), int(own[4]), own[5]
        fast_ring = own[6 : 6 + fast]
        slow_ring = own[6 + fast : 6 + fast + slow]
        for i in range(start, end):
            middle = (bars[HIGH, i] + bars[LOW, i]) / 2.0
            out[i] = np.nan
            if np.isnan(middle):
                continue
            fast_at, fast_count, fast_total, fast_mean = mean_step(
                fast_ring, fast_at, fast_count, fast_total, middle
            )
            slow_at, slow_count, slow_total, slow_mean = mean_step(
                slow_ring, slow_at, slow_count, slow_total, middle
            )
            # NaN while either warms up.
            out[i] = fast_mean - slow_mean
        own[0], own[1], own[2] = fast_at, fast_count, fast_total
        own[3], own[4], own[5] = slow_at, slow_count, slow_total
        start = end


@jit_in_place
def _dpo(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    back = period // 2 + 1
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        position, count, total = int(own[0]), int(own[1]), own[2]
        ring = own[3 : 3 + period]
        for i in range(start, end):
            out[i] = np.nan
            if np.isnan(closes[i]):
                continue
            place = position
            position, count, total, mean = mean_step(ring, position, count, total, closes[i])
            if not np.isnan(mean):
                place = place - back if place >= back else place - back + period
                out[i] = ring[place] - mean
        own[0], own[1], own[2] = position, count, total
        start = end


@jit_in_place
def _kst(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    closes = bars[CLOSE]
    longest = int(max(parameters[0], parameters[1], parameters[2], parameters[3]))
    signal_period = int(parameters[8])
    # Scalars are the count and position of the closes, then position, count and total of each of five means.
    rings = 17 + longest
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        ring = own[17:rings]
        for i in range(start, end):
            close = closes[i]
            values[0, i] = values[1, i] = np.nan
            if np.isnan(close):
                continue
            position = int(own[1])
            line = 0.0
            at = rings
            for k in range(4):
                back, period = int(parameters[k]), int(parameters[4 + k])
                if own[0] < back:
                    line = np.nan
                else:
                    before = ring[
                        position - back if position >= back else position - back + longest
                    ]
                    rate = (close / before - 1.0) * 100.0 if before != 0.0 else 0.0
                    head = 2 + 3 * k
                    place, count, own[head + 2], mean = mean_step(
                        own[at : at + period],
                        int(own[head]),
                        int(own[head + 1]),
                        own[head + 2],
                        rate,
                    )
                    own[head] = place
                    own[head + 1] = count
                    line += (k + 1) * mean
                at += period
            ring[position] = close
            own[1] = following(position, longest)
            if own[0] < longest:
                own[0] += 1
            if not np.isnan(line):
                values[0, i] = line
                place, count, own[16], values[1, i] = mean_step(
                    own[at : at + signal_period], int(own[14]), int(own[15]), own[16], line
                )
                own[14] = place
                own[15] = count
        start = end


@jit_in_place
def _cycle_step(own: Floats, at: int, period: int, value: float, factor: float) -> float:
    # Place of a value in its range over the period, smoothed; NaN before the ring is full. Of the state are
    # used: count, position, lowest and highest since the rings began, the last place, the smoothed one, the rings.
    position, own[at + 2], own[at + 3], bottom, top = range_step(
        own[at + 7 : at + 7 + period],
        own[at + 7 + period : at + 7 + 2 * period],
        (int(own[at + 1]), own[at + 2], own[at + 3]),
        value,
        value,
    )
    own[at + 1] = position
    if own[at] < period - 1:
        own[at] += 1
        return np.nan
    spread = top - bottom
    if spread > 0.0:
        own[at + 4] = (value - bottom) / spread * 100.0
    if own[at + 6] == 0:
        own[at + 6] = 1
        own[at + 5] = own[at + 4]
    else:
        own[at + 5] += factor * (own[at + 4] - own[at + 5])
    smoothed: float = own[at + 5]
    return smoothed


@jit_in_place
def _stc(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    fast_period = int(min(parameters[1], parameters[2]))
    slow_period = int(max(parameters[1], parameters[2]))
    fast_weight = 2.0 / (fast_period + 1)
    slow_weight = 2.0 / (slow_period + 1)
    closes = bars[CLOSE]
    out = values[0]
    for i in range(len(slots)):
        own = state[slots[i]]
        close = closes[i]
        out[i] = np.nan
        if np.isnan(close):
            continue
        count, own[2] = exponential_step(int(own[0]), own[2], close, fast_period, fast_weight)
        own[0] = count
        count, own[3] = exponential_step(int(own[1]), own[3], close, slow_period, slow_weight)
        own[1] = count
        if count < slow_period:
            continue
        once = _cycle_step(own, 4, period, own[2] - own[3], 0.5)
        if not np.isnan(once):
            out[i] = _cycle_step(own, 11 + 2 * period, period, once, 0.5)


def _periods(fast: float, slow: float) -> tuple[Parameter, ...]:
    return (
        Parameter(name="fast period", default=fast, minimum=2),
        Parameter(name="slow period", default=slow, minimum=2),
    )


_SEEDS = "each seeded by the simple mean of its first values"

APO = Indicator(
    name="apo",
    parameters=_periods(12, 26),
    inputs=("close",),
    warm_up=lambda fast, slow: max(fast, slow) - 1,
    width=lambda *_: 4,
    kernel=_apo,
    definition=f"Fast less slow exponential mean of closes, {_SEEDS}.",
    source=TALIB.format("APO with exponential means"),
    unit=QUOTE,
)

PPO = Indicator(
    name="ppo",
    parameters=_periods(12, 26),
    inputs=("close",),
    warm_up=lambda fast, slow: max(fast, slow) - 1,
    width=lambda *_: 4,
    kernel=_ppo,
    definition=f"Fast less slow exponential mean of closes in percent of the slow one, {_SEEDS}.",
    source=TALIB.format("PPO with exponential means"),
    unit="percent",
)

PVO = Indicator(
    name="pvo",
    parameters=_periods(12, 26),
    inputs=("volume",),
    warm_up=lambda fast, slow: max(fast, slow) - 1,
    width=lambda *_: 4,
    kernel=_pvo,
    definition=f"Fast less slow exponential mean of volume in percent of the slow one, {_SEEDS}.",
    source=TALIB.format("PVO with exponential means"),
    unit="percent",
)

AO = Indicator(
    name="ao",
    parameters=_periods(5, 34),
    inputs=("high", "low"),
    warm_up=lambda fast, slow: max(fast, slow) - 1,
    width=lambda fast, slow: fast + slow + 6,
    kernel=_ao,
    definition="Awesome oscillator: fast less slow simple mean of (high + low) / 2.",
    source="Williams, New Trading Dimensions (1998); " + TALIB.format("AO"),
    unit=QUOTE,
)

DPO = Indicator(
    name="dpo",
    parameters=period_of(20, 3),
    inputs=("close",),
    warm_up=lambda period: period - 1,
    width=lambda period: period + 3,
    kernel=_dpo,
    definition=(
        "Detrended price: the close period / 2 + 1 bars ago less the simple mean of the last closes."
    ),
    source=TALIB.format("DPO"),
    unit=QUOTE,
)

KST = Indicator(
    name="kst",
    parameters=(
        *(
            Parameter(name=f"rate {k + 1}", default=v, minimum=1)
            for k, v in enumerate((10, 15, 20, 30))
        ),
        *(
            Parameter(name=f"mean {k + 1}", default=v, minimum=1)
            for k, v in enumerate((10, 10, 10, 15))
        ),
        Parameter(name="signal period", default=9, minimum=1),
    ),
    inputs=("close",),
    outputs=("", "_signal"),
    warm_up=lambda a, b, c, d, e, f, g, h, signal: (
        max(a + e, b + f, c + g, d + h) - 1,
        max(a + e, b + f, c + g, d + h) + signal - 2,
    ),
    width=lambda a, b, c, d, e, f, g, h, signal: 17 + max(a, b, c, d) + e + f + g + h + signal,
    kernel=_kst,
    definition=(
        "Know sure thing: simple means of four rates of change (percent), weighted 1 to 4; and its own "
        "simple mean (_signal)."
    ),
    source="Pring, Stocks and Commodities V10:9 (1992): daily, short-term parameters",
    unit="percent",
)

STC = Indicator(
    name="stc",
    parameters=(Parameter(name="cycle", default=10, minimum=2), *_periods(23, 50)),
    inputs=("close",),
    warm_up=lambda cycle, fast, slow: max(fast, slow) - 1 + 2 * (cycle - 1),
    width=lambda cycle, *_: 2 * (2 * cycle + 7) + 4,
    kernel=_stc,
    definition=(
        "Schaff trend cycle: fast less slow exponential mean of closes, each seeded by the mean of its first "
        "closes; twice over, its place in its range over the cycle, exponentially smoothed with weight 1/2. "
        "In a range of zero the place stays where it was. Stock.Indicators smooths by a simple mean of 3."
    ),
    source="Schaff (1999)",
    unit="0 to 100",
)
