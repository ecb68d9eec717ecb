"""Trend followers: parabolic SAR, SuperTrend, Heikin-Ashi candles, linear-regression slope."""

import numpy as np

from flows.kernels.indicators.averages import QUOTE, TALIB, period_of
from flows.kernels.indicators.declaration import CLOSE, HIGH, LOW, OPEN, Indicator, Parameter
from flows.kernels.indicators.smoothing import wilder_step
from flows.kernels.indicators.windows import following, run_end, true_range
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s


@jit_in_place
def _sar(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    largest = parameters[1]
    acceleration = min(parameters[0], largest)
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        bars_seen, is_long = int(own[0]), own[1] > 0
        stop, extreme, step = own[2], own[3], own[4]
        before_high, before_low = own[5], own[6]
        for i in range(start, end):
            high, low = bars[HIGH, i], bars[LOW, i]
            out[i] = np.nan
            if np.isnan(high) or np.isnan(low):
                continue
            if bars_seen == 0:
                bars_seen = 1
                before_high, before_low = high, low
                continue
            if bars_seen == 1:
                # The first direction is that of the larger movement, up where neither is larger.
                bars_seen = 2
                fall, rise = before_low - low, high - before_high
                is_long = not (fall > 0.0 and fall > rise)
                stop = before_low if is_long else before_high
                extreme = high if is_long else low
                step = acceleration
                before_high, before_low = high, low
            turns = low <= stop if is_long else high >= stop
            if turns:
                is_long = not is_long
                stop = min(extreme, before_low, low) if is_long else max(extreme, before_high, high)
                out[i] = stop
                step = acceleration
                extreme = high if is_long else low
            else:
                out[i] = stop
                if (is_long and high > extreme) or (not is_long and low < extreme):
                    extreme = high if is_long else low
                    step = min(step + acceleration, largest)
            stop += step * (extreme - stop)
            stop = min(stop, before_low, low) if is_long else max(stop, before_high, high)
            before_high, before_low = high, low
        own[0], own[1] = bars_seen, 1.0 if is_long else 0.0
        own[2], own[3], own[4] = stop, extreme, step
        own[5], own[6] = before_high, before_low
        start = end


@jit_in_place
def _supertrend(
    bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats
) -> None:
    period, multiple = int(parameters[0]), parameters[1]
    keep = (period - 1) / period
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, previous, count, average = own[0], own[1], int(own[2]), own[3]
        direction, upper, lower = own[4], own[5], own[6]
        for i in range(start, end):
            high, low, close = bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
            values[0, i] = values[1, i] = np.nan
            if np.isnan(high) or np.isnan(low) or np.isnan(close):
                continue
            if started > 0:
                spread = true_range(high, low, previous)
                count, average = wilder_step(count, average, spread, period, keep)
            if count >= period:
                top = (high + low) / 2.0 + multiple * average
                bottom = (high + low) / 2.0 - multiple * average
                if direction == 0.0:
                    direction, upper, lower = 1.0, top, bottom
                else:
                    if top < upper or previous > upper:
                        upper = top
                    if bottom > lower or previous < lower:
                        lower = bottom
                    if direction > 0.0 and close < lower:
                        direction = -1.0
                    elif direction < 0.0 and close > upper:
                        direction = 1.0
                values[0, i] = lower if direction > 0.0 else upper
                values[1, i] = direction
            started = 1.0
            previous = close
        own[0], own[1], own[2], own[3] = started, previous, count, average
        own[4], own[5], own[6] = direction, upper, lower
        start = end


@jit_in_place
def _ha(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:  # noqa: ARG001 - the form of every kernel
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, before_open, before_close = own[0], own[1], own[2]
        for i in range(start, end):
            opening, high, low, close = bars[OPEN, i], bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
            for output in range(4):
                values[output, i] = np.nan
            if np.isnan(opening) or np.isnan(high) or np.isnan(low) or np.isnan(close):
                continue
            own_open = (before_open + before_close if started > 0 else opening + close) / 2.0
            own_close = (((opening + high) + low) + close) / 4.0
            started = 1.0
            before_open, before_close = own_open, own_close
            values[0, i] = own_open
            values[1, i] = max(high, own_open, own_close)
            values[2, i] = min(low, own_open, own_close)
            values[3, i] = own_close
        own[0], own[1], own[2] = started, before_open, before_close
        start = end


@jit_in_place
def _linreg_slope(
    bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats
) -> None:
    period = int(parameters[0])
    sum_x = period * (period - 1) * 0.5
    sum_xx = period * (period - 1) * (2 * period - 1) / 6.0
    divisor = sum_x * sum_x - period * sum_xx
    closes = bars[CLOSE]
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position, left, sum_y, sum_xy = int(own[0]), int(own[1]), int(own[2]), own[3], own[4]
        ring = own[5 : 5 + period]
        for i in range(start, end):
            close = closes[i]
            out[i] = np.nan
            if np.isnan(close):
                continue
            # x counts back from the newest close, which has 0.
            oldest = ring[position]
            ring[position] = close
            position = following(position, period)
            if count < period - 1:
                count += 1
                continue
            if left > 0:
                sum_xy = sum_xy + sum_y - period * oldest
                sum_y = sum_y - oldest + close
            else:
                # As in TA-Lib, the sums are made anew from the window from time to time.
                left = 32 * period
                sum_y = 0.0
                sum_xy = 0.0
                place = position
                for x in range(period - 1, -1, -1):
                    sum_y += ring[place]
                    sum_xy += x * ring[place]
                    place = following(place, period)
            left -= 1
            out[i] = (period * sum_xy - sum_x * sum_y) / divisor
        own[0], own[1], own[2], own[3], own[4] = count, position, left, sum_y, sum_xy
        start = end


_PRICES = ("high", "low", "close")

SAR = Indicator(
    name="sar",
    parameters=(
        Parameter(name="acceleration", default=0.02, minimum=0, whole=False),
        Parameter(name="largest", default=0.2, minimum=0, whole=False),
    ),
    inputs=("high", "low"),
    warm_up=lambda *_: 1,
    width=lambda *_: 7,
    kernel=_sar,
    definition=(
        "Parabolic stop and reverse. The first direction is that of the larger directional movement of the "
        "second bar, long if neither is larger; the first stop is the far end of the first bar."
    ),
    source="Wilder (1978); " + TALIB.format("SAR"),
    unit=QUOTE,
)

SUPERTREND = Indicator(
    name="supertrend",
    parameters=(
        Parameter(name="period", default=10, minimum=2),
        Parameter(name="multiple", default=3, minimum=0, whole=False),
    ),
    inputs=_PRICES,
    outputs=("", "_direction"),
    warm_up=lambda period, _: period,
    width=lambda *_: 7,
    kernel=_supertrend,
    definition=(
        "Band so many average true ranges from (high + low) / 2, moved only towards the price until a close "
        "beyond it turns the trend: the lower band in a rising trend (_direction 1), the upper one in a falling "
        "(-1). It begins rising; Stock.Indicators begins by where the close is."
    ),
    source="Seban; " + TALIB.format("SUPERTREND"),
    unit=QUOTE,
)

HA = Indicator(
    name="ha",
    inputs=("open", "high", "low", "close"),
    outputs=("_open", "_high", "_low", "_close"),
    warm_up=lambda: 0,
    width=lambda: 3,
    kernel=_ha,
    definition=(
        "Heikin-Ashi candle: close is the mean of the bar's four prices; open the middle of the candle before "
        "(of the bar, for the first); high and low the extremes of these and the bar's."
    ),
    source="Valcu, Stocks and Commodities V22:2 (2004); " + TALIB.format("HA"),
    unit=QUOTE,
)

LINREG_SLOPE = Indicator(
    name="linreg_slope",
    parameters=period_of(14, 2),
    inputs=("close",),
    warm_up=lambda period: period - 1,
    width=lambda period: period + 5,
    kernel=_linreg_slope,
    definition="Slope of the least-squares line through the last closes.",
    source=TALIB.format("LINEARREG_SLOPE"),
    unit="quote currency a bar",
)
