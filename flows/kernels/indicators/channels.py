"""Channels around prices: Bollinger bands, Keltner, Donchian, Ichimoku."""

import numpy as np

from flows.kernels.indicators.averages import QUOTE, TALIB, period_of
from flows.kernels.indicators.declaration import CLOSE, HIGH, LOW, Indicator, Parameter
from flows.kernels.indicators.smoothing import exponential_step, wilder_step
from flows.kernels.indicators.windows import (
    following,
    range_step,
    run_end,
    true_range,
)
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s


@jit_in_place
def _bbands(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    deviations = parameters[1]
    share = 1.0 / period
    closes = bars[CLOSE]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position, left = int(own[0]), int(own[1]), int(own[2])
        total, shift, first, second = own[3], own[4], own[5], own[6]
        ring = own[7 : 7 + period]
        for i in range(start, end):
            close = closes[i]
            values[0, i] = values[1, i] = values[2, i] = np.nan
            if np.isnan(close):
                continue
            if count == 0:
                # Squares are summed of distances from a price near by: what cancels is small.
                shift = close
                left = 32 * period
            ring[position] = close
            position = following(position, period)
            total += close
            distance = close - shift
            first += distance
            second += distance * distance
            if count < period - 1:
                count += 1
                continue
            mean = first * share
            variance = second * share - mean * mean
            middle = total / period
            oldest = ring[position]
            total -= oldest
            distance = oldest - shift
            square = distance * distance
            first -= distance
            second -= square
            left -= 1
            # As TA-Lib does: the sums are made anew around the window's mean where too much cancelled, where a
            # jump left the window, and from time to time.
            if variance < 0.000001 * (second * share) or square > 1000000.0 * second or left <= 0:
                left = 32 * period
                shift, first, second = _sums_anew(ring, position, share)
                mean = first * share
                variance = second * share - mean * mean
                if variance < 0.000000000001 * (second * share):
                    variance = 0.0
                distance = oldest - shift
                first -= distance
                second -= distance * distance
            reach = np.sqrt(variance) * deviations
            values[0, i] = middle + reach
            values[1, i] = middle
            values[2, i] = middle - reach
        own[0], own[1], own[2] = count, position, left
        own[3], own[4], own[5], own[6] = total, shift, first, second
        start = end


@jit_in_place
def _sums_anew(ring: Floats, position: int, share: float) -> tuple[float, float, float]:
    # Mean of a full ring, and the sums of distances from it and of their squares, from the oldest on.
    shift = 0.0
    place = position
    for _ in range(len(ring)):
        shift += ring[place]
        place = following(place, len(ring))
    shift *= share
    first = 0.0
    second = 0.0
    for _ in range(len(ring)):
        distance = ring[place] - shift
        first += distance
        second += distance * distance
        place = following(place, len(ring))
    return shift, first, second


@jit_in_place
def _kc(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period, range_period, reach = int(parameters[0]), int(parameters[1]), parameters[2]
    weight = 2.0 / (period + 1)
    keep = (range_period - 1) / range_period
    # As in TA-Lib, both are seeded so that their first values fall on the same bar.
    late_mean = max(range_period - period + 1, 0)
    late_range = max(period - 1 - range_period, 0)
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        seen, previous, count, average = int(own[0]), own[1], int(own[2]), own[3]
        mean_count, mean = int(own[4]), own[5]
        for i in range(start, end):
            high, low, close = bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
            values[0, i] = values[1, i] = values[2, i] = np.nan
            if np.isnan(high) or np.isnan(low) or np.isnan(close):
                continue
            if seen >= late_mean:
                typical = (high + low + close) / 3.0
                mean_count, mean = exponential_step(mean_count, mean, typical, period, weight)
            if seen > late_range:
                spread = true_range(high, low, previous)
                count, average = wilder_step(count, average, spread, range_period, keep)
            seen = min(seen + 1, period + range_period)
            previous = close
            if count >= range_period and mean_count >= period:
                values[0, i] = mean + average * reach
                values[1, i] = mean
                values[2, i] = mean - average * reach
        own[0], own[1], own[2], own[3] = seen, previous, count, average
        own[4], own[5] = mean_count, mean
        start = end


@jit_in_place
def _donchian(
    bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats
) -> None:
    period = int(parameters[0])
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position = int(own[0]), int(own[1])
        lowest, highest = own[2], own[3]
        lows = own[4 : 4 + period]
        highs = own[4 + period : 4 + 2 * period]
        for i in range(start, end):
            high, low = bars[HIGH, i], bars[LOW, i]
            values[0, i] = values[1, i] = values[2, i] = np.nan
            if np.isnan(high) or np.isnan(low):
                continue
            position, lowest, highest, bottom, top = range_step(
                lows, highs, (position, lowest, highest), low, high
            )
            if count < period - 1:
                count += 1
                continue
            values[0, i] = top
            values[1, i] = (top + bottom) / 2.0
            values[2, i] = bottom
        own[0], own[1], own[2], own[3] = count, position, lowest, highest
        start = end


@jit_in_place
def _ichimoku(
    bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats
) -> None:
    ahead = int(parameters[1])
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        # Scalars are the bars counted and the place in the rings of the spans, then position and extremes of
        # each of three windows.
        count, span_at = int(own[0]), int(own[1])
        spans = own[11 : 11 + 2 * ahead]
        for i in range(start, end):
            high, low = bars[HIGH, i], bars[LOW, i]
            for output in range(4):
                values[output, i] = np.nan
            if np.isnan(high) or np.isnan(low):
                continue
            at = 11 + 2 * ahead
            count += 1
            turning = base = slow = np.nan
            for k in range(3):
                period = int(parameters[k])
                head = 2 + 3 * k
                position, own[head + 1], own[head + 2], bottom, top = range_step(
                    own[at : at + period],
                    own[at + period : at + 2 * period],
                    (int(own[head]), own[head + 1], own[head + 2]),
                    low,
                    high,
                )
                own[head] = position
                at += 2 * period
                if count >= period:
                    middle = (top + bottom) / 2.0
                    if k == 0:
                        turning = middle
                    elif k == 1:
                        base = middle
                    else:
                        slow = middle
            values[0, i] = turning
            values[1, i] = base
            if count > ahead:
                values[2, i] = spans[2 * span_at]
                values[3, i] = spans[2 * span_at + 1]
            spans[2 * span_at] = (turning + base) / 2.0
            spans[2 * span_at + 1] = slow
            span_at = following(span_at, ahead)
        own[0], own[1] = count, span_at
        start = end


_PRICES = ("high", "low", "close")

BBANDS = Indicator(
    name="bbands",
    parameters=(
        Parameter(name="period", default=20, minimum=2),
        Parameter(name="deviations", default=2, minimum=0, whole=False),
    ),
    inputs=("close",),
    outputs=("_upper", "_middle", "_lower"),
    warm_up=lambda period, _: period - 1,
    width=lambda period, _: period + 7,
    kernel=_bbands,
    definition=(
        "Simple mean of the last closes (_middle), and so many of their population standard deviations "
        "above (_upper) and below (_lower)."
    ),
    source="Bollinger; TA-Lib 0.8, function BBANDS with a simple mean",
    unit=QUOTE,
)

KC = Indicator(
    name="kc",
    parameters=(
        Parameter(name="period", default=20, minimum=2),
        Parameter(name="period of the range", default=10, minimum=2),
        Parameter(name="multiple", default=2, minimum=0, whole=False),
    ),
    inputs=_PRICES,
    outputs=("_upper", "_middle", "_lower"),
    warm_up=lambda period, spread, _: max(period - 1, spread),
    width=lambda *_: 6,
    kernel=_kc,
    definition=(
        "Keltner channel: exponential mean of the typical price, (high + low + close) / 3 (_middle), and so "
        "many average true ranges above and below; both seeded so that their first values fall on the same bar. "
        "Stock.Indicators takes the mean of closes."
    ),
    source="Keltner (1960), with Raschke's true range; " + TALIB.format("KC"),
    unit=QUOTE,
)

DONCHIAN = Indicator(
    name="donchian",
    parameters=period_of(20, 2),
    inputs=("high", "low"),
    outputs=("_upper", "_middle", "_lower"),
    warm_up=lambda period: period - 1,
    width=lambda period: 2 * period + 4,
    kernel=_donchian,
    definition=(
        "Highest high (_upper) and lowest low (_lower) of the last bars, this one included, and their middle. "
        "Stock.Indicators leaves this bar out."
    ),
    source="Donchian; " + TALIB.format("DONCHIAN"),
    unit=QUOTE,
)

ICHIMOKU = Indicator(
    name="ichimoku",
    parameters=(
        Parameter(name="turning period", default=9, minimum=1),
        Parameter(name="base period", default=26, minimum=1),
        Parameter(name="slow period", default=52, minimum=1),
    ),
    inputs=("high", "low"),
    outputs=("_turning", "_base", "_span_a", "_span_b"),
    warm_up=lambda turning, base, slow: (
        turning - 1,
        base - 1,
        max(turning, base) - 1 + base,
        slow - 1 + base,
    ),
    width=lambda turning, base, slow: 11 + 2 * base + 2 * (turning + base + slow),
    kernel=_ichimoku,
    definition=(
        "Middle of highest high and lowest low over the turning (tenkan-sen) and the base period (kijun-sen); "
        "the leading spans that are drawn at this bar: the mean of both (_span_a) and the middle over the slow "
        "period (_span_b), each as of base-period bars ago. The lagging span is the close itself, drawn back."
    ),
    source="Hosoda (1969); Stock.Indicators, ichimoku",
    unit=QUOTE,
)
