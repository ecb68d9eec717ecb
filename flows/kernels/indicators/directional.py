"""Direction: Wilder's directional movement, Aroon, vortex."""

import numpy as np

from flows.kernels.indicators.averages import TALIB, period_of
from flows.kernels.indicators.declaration import CLOSE, HIGH, LOW, Indicator
from flows.kernels.indicators.windows import (
    ZERO,
    following,
    latest_highest,
    latest_lowest,
    run_end,
    true_range,
)
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s


@jit_in_place
def _movement_step(
    count: int, sums: tuple[float, float, float], moves: tuple[float, float, float], period: int
) -> tuple[int, tuple[float, float, float]]:
    # Wilder's sums of movement down, movement up and true range; they hold once the count is the period.
    minus, plus, ranges = sums
    fall, rise, spread = moves
    if count >= period - 1:
        minus -= minus / period
        plus -= plus / period
        ranges -= ranges / period
    if count < period:
        count += 1
    minus += fall if fall > 0.0 and fall > rise else 0.0
    plus += rise if rise > 0.0 and rise > fall else 0.0
    return count, (minus, plus, ranges + spread)


@jit_in_place
def _shares(sums: tuple[float, float, float]) -> tuple[float, float]:
    # Movement down and up in percent of the true range; 0 without any range.
    minus, plus, ranges = sums
    if ranges > 0.0:
        return 100.0 * (minus / ranges), 100.0 * (plus / ranges)
    return 0.0, 0.0


@jit_in_place
def _index_of(sums: tuple[float, float, float]) -> float:
    # Directional index, NaN where it is undefined.
    minus, plus = _shares(sums)
    total = minus + plus
    if sums[2] > 0.0 and not -ZERO < total < ZERO:
        return 100.0 * (abs(minus - plus) / total)
    return np.nan


@jit_in_place
def _di(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, count = own[0], int(own[1])
        before_high, before_low, before_close = own[2], own[3], own[4]
        sums = (own[5], own[6], own[7])
        for i in range(start, end):
            high, low, close = bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
            values[0, i] = values[1, i] = np.nan
            if np.isnan(high) or np.isnan(low) or np.isnan(close):
                continue
            if started > 0:
                moves = (before_low - low, high - before_high, true_range(high, low, before_close))
                count, sums = _movement_step(count, sums, moves, period)
                if count >= period:
                    values[1, i], values[0, i] = _shares(sums)
            started = 1.0
            before_high, before_low, before_close = high, low, close
        own[0], own[1] = started, count
        own[2], own[3], own[4] = before_high, before_low, before_close
        own[5], own[6], own[7] = sums
        start = end


@jit_in_place
def _dx(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, count = own[0], int(own[1])
        before_high, before_low, before_close = own[2], own[3], own[4]
        sums = (own[5], own[6], own[7])
        index = own[8]
        for i in range(start, end):
            high, low, close = bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
            out[i] = np.nan
            if np.isnan(high) or np.isnan(low) or np.isnan(close):
                continue
            if started > 0:
                moves = (before_low - low, high - before_high, true_range(high, low, before_close))
                count, sums = _movement_step(count, sums, moves, period)
                if count >= period:
                    found = _index_of(sums)
                    # Where it is undefined, the one before goes on.
                    if not np.isnan(found):
                        index = found
                    out[i] = index
            started = 1.0
            before_high, before_low, before_close = high, low, close
        own[0], own[1] = started, count
        own[2], own[3], own[4] = before_high, before_low, before_close
        own[5], own[6], own[7] = sums
        own[8] = index
        start = end


@jit_in_place
def _adx(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    out = values[0]
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, count, averaged = own[0], int(own[1]), int(own[2])
        before_high, before_low, before_close = own[3], own[4], own[5]
        sums = (own[6], own[7], own[8])
        index = own[9]
        for i in range(start, end):
            high, low, close = bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
            out[i] = np.nan
            if np.isnan(high) or np.isnan(low) or np.isnan(close):
                continue
            if started > 0:
                moves = (before_low - low, high - before_high, true_range(high, low, before_close))
                count, sums = _movement_step(count, sums, moves, period)
                if count >= period:
                    found = _index_of(sums)
                    if averaged >= period:
                        if not np.isnan(found):
                            index = (index * (period - 1) + found) / period
                    else:
                        if not np.isnan(found):
                            index += found
                        averaged += 1
                        if averaged == period:
                            index /= period
                    if averaged >= period:
                        out[i] = index
            started = 1.0
            before_high, before_low, before_close = high, low, close
        own[0], own[1], own[2] = started, count, averaged
        own[3], own[4], own[5] = before_high, before_low, before_close
        own[6], own[7], own[8] = sums
        own[9] = index
        start = end


@jit_in_place
def _aroon(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    factor = 100.0 / period
    size = period + 1
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        count, position = int(own[0]), int(own[1])
        low_at, high_at = int(own[2]) - 1, int(own[3]) - 1
        lows = own[4 : 4 + size]
        highs = own[4 + size : 4 + 2 * size]
        for i in range(start, end):
            high, low = bars[HIGH, i], bars[LOW, i]
            values[0, i] = values[1, i] = values[2, i] = np.nan
            if np.isnan(high) or np.isnan(low):
                continue
            lows[position] = low
            highs[position] = high
            low_at = latest_lowest(lows, position, low_at)
            high_at = latest_highest(highs, position, high_at)
            since_high = position - high_at if position >= high_at else position - high_at + size
            since_low = position - low_at if position >= low_at else position - low_at + size
            position = following(position, size)
            if count < period:
                count += 1
                continue
            values[0, i] = factor * (period - since_high)
            values[1, i] = factor * (period - since_low)
            values[2, i] = factor * (since_low - since_high)
        own[0], own[1], own[2], own[3] = count, position, low_at + 1, high_at + 1
        start = end


@jit_in_place
def _vortex(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    period = int(parameters[0])
    start = 0
    while start < len(slots):
        end = run_end(slots, start)
        own = state[slots[start]]
        started, count, position, still = own[0], int(own[1]), int(own[2]), int(own[3])
        before_high, before_low, before_close = own[4], own[5], own[6]
        ranges, ups, downs = own[7], own[8], own[9]
        ring = own[10 : 10 + 3 * period]
        for i in range(start, end):
            high, low, close = bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
            values[0, i] = values[1, i] = np.nan
            if np.isnan(high) or np.isnan(low) or np.isnan(close):
                continue
            if started > 0:
                spread = true_range(high, low, before_close)
                up, down = abs(high - before_low), abs(low - before_high)
                ring[3 * position] = spread
                ring[3 * position + 1] = up
                ring[3 * position + 2] = down
                position = following(position, period)
                ranges += spread
                ups += up
                downs += down
                # After a whole window without range, its sum is zero but for what rounding left.
                still = min(still + 1, period) if spread == 0.0 else 0
                if still >= period:
                    ranges = 0.0
                if count < period - 1:
                    count += 1
                else:
                    values[0, i] = ups / ranges if ranges > 0.0 else 0.0
                    values[1, i] = downs / ranges if ranges > 0.0 else 0.0
                    ranges -= ring[3 * position]
                    ups -= ring[3 * position + 1]
                    downs -= ring[3 * position + 2]
            started = 1.0
            before_high, before_low, before_close = high, low, close
        own[0], own[1], own[2], own[3] = started, count, position, still
        own[4], own[5], own[6] = before_high, before_low, before_close
        own[7], own[8], own[9] = ranges, ups, downs
        start = end


_PRICES = ("high", "low", "close")
_WILDER = "Wilder, New Concepts in Technical Trading Systems (1978); "

DI = Indicator(
    name="di",
    parameters=period_of(14, 2),
    inputs=_PRICES,
    outputs=("_plus", "_minus"),
    warm_up=lambda period: period,
    width=lambda _: 8,
    kernel=_di,
    definition=(
        "Directional indicators: Wilder's sum of upward (_plus) and downward (_minus) movement in percent "
        "of that of the true range; 0 without any range."
    ),
    source=_WILDER + TALIB.format("PLUS_DI and MINUS_DI"),
    unit="0 to 100",
)

DX = Indicator(
    name="dx",
    parameters=period_of(14, 2),
    inputs=_PRICES,
    warm_up=lambda period: period,
    width=lambda _: 9,
    kernel=_dx,
    definition=(
        "Directional index: 100 times the difference of both directional indicators over their sum; where "
        "that is undefined, the value before."
    ),
    source=_WILDER + TALIB.format("DX"),
    unit="0 to 100",
)

ADX = Indicator(
    name="adx",
    parameters=period_of(14, 2),
    inputs=_PRICES,
    warm_up=lambda period: 2 * period - 1,
    width=lambda _: 10,
    kernel=_adx,
    definition="Wilder's mean of the directional index, seeded by the mean of the first ones.",
    source=_WILDER + TALIB.format("ADX"),
    unit="0 to 100",
)

AROON = Indicator(
    name="aroon",
    parameters=period_of(14, 2),
    inputs=("high", "low"),
    outputs=("_up", "_down", "_osc"),
    warm_up=lambda period: period,
    width=lambda period: 2 * period + 6,
    kernel=_aroon,
    definition=(
        "How recent the highest high (_up) and lowest low (_down) of the last bars are, 100 for this bar and "
        "0 for period bars ago; of equals the newest; and the difference of both (_osc)."
    ),
    source="Chande (1995); " + TALIB.format("AROON and AROONOSC"),
    unit="0 to 100, _osc -100 to 100",
)

VORTEX = Indicator(
    name="vortex",
    parameters=period_of(14, 2),
    inputs=_PRICES,
    outputs=("_plus", "_minus"),
    warm_up=lambda period: period,
    width=lambda period: 3 * period + 10,
    kernel=_vortex,
    definition=(
        "Sums of |high - low before| (_plus) and of |low - high before| (_minus) over that of the true range; "
        "0 without any range."
    ),
    source="Botes and Siepman, Stocks and Commodities V28:1 (2010); " + TALIB.format("VORTEX"),
    unit="none",
)
