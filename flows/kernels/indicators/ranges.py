"""Range and trend: Bollinger bands, average true range, average directional index."""

import numpy as np

from flows.kernels.fused import fma
from flows.kernels.indicators.declaration import CLOSE, HIGH, LOW, Indicator, Parameter
from flows.kernels.jit import jit
from schemas.arrays import Floats, Int64s

# Places in the state of the bands.
_COUNT, _POSITION, _TOTAL, _SHIFT, _FIRST, _SECOND, _BARS_LEFT, _WINDOW = 0, 1, 2, 3, 4, 5, 6, 7

# Places in the state of the true range, and of the directional index.
_PREVIOUS_CLOSE, _ATR = 1, 2
_PREVIOUS_HIGH, _PREVIOUS_LOW, _MINUS, _PLUS, _TRUE_RANGE, _ADX = 2, 3, 4, 5, 6, 7

# TA-Lib's absolute bound for a sum of two percentages that counts as zero.
_ZERO = 1e-14


@jit
def _bbands(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    at: int,
    parameters: Floats,
    values: Floats,
    column: int,
) -> None:
    period = int(parameters[0])
    deviations = parameters[1]
    share = 1.0 / period
    window = at + _WINDOW
    for i in range(len(slots)):
        slot = slots[i]
        close = bars[i, CLOSE]
        for output in range(3):
            values[i, column + output] = np.nan
        if np.isnan(close):
            continue
        count = state[slot, at + _COUNT]
        if count == 0:
            # Squares are summed of distances from a price near by: what cancels is small.
            state[slot, at + _SHIFT] = close
            state[slot, at + _BARS_LEFT] = 32 * period
        position = int(state[slot, at + _POSITION])
        state[slot, window + position] = close
        position = position + 1 if position + 1 < period else 0
        state[slot, at + _POSITION] = position
        total = state[slot, at + _TOTAL] + close
        distance = close - state[slot, at + _SHIFT]
        first = state[slot, at + _FIRST] + distance
        second = state[slot, at + _SECOND] + distance * distance
        if count < period - 1:
            state[slot, at + _COUNT] = count + 1
            state[slot, at + _TOTAL] = total
            state[slot, at + _FIRST] = first
            state[slot, at + _SECOND] = second
            continue
        mean = first * share
        variance = second * share - mean * mean
        middle = total / period
        oldest = state[slot, window + position]
        total -= oldest
        distance = oldest - state[slot, at + _SHIFT]
        square = distance * distance
        first -= distance
        second -= square
        state[slot, at + _BARS_LEFT] -= 1
        # As TA-Lib does: the sums are made anew around the window's mean where too much cancelled, where a
        # jump left the window, and from time to time.
        if (
            variance < 0.000001 * (second * share)
            or square > 1000000.0 * second
            or state[slot, at + _BARS_LEFT] <= 0
        ):
            state[slot, at + _BARS_LEFT] = 32 * period
            shift = 0.0
            for j in range(period):
                shift += state[slot, window + (position + j) % period]
            shift *= share
            state[slot, at + _SHIFT] = shift
            first = 0.0
            second = 0.0
            for j in range(period):
                distance = state[slot, window + (position + j) % period] - shift
                first += distance
                second += distance * distance
            mean = first * share
            variance = second * share - mean * mean
            if variance < 0.000000000001 * (second * share):
                variance = 0.0
            distance = oldest - shift
            first -= distance
            second -= distance * distance
        state[slot, at + _TOTAL] = total
        state[slot, at + _FIRST] = first
        state[slot, at + _SECOND] = second
        reach = np.sqrt(variance) * deviations
        values[i, column] = middle + reach
        values[i, column + 1] = middle
        values[i, column + 2] = middle - reach


@jit
def _true_range(high: float, low: float, previous_close: float) -> float:
    return max(high - low, abs(high - previous_close), abs(low - previous_close))


@jit
def _atr(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    at: int,
    parameters: Floats,
    values: Floats,
    column: int,
) -> None:
    period = int(parameters[0])
    keep = (period - 1) / period
    take = 1.0 - keep
    for i in range(len(slots)):
        slot = slots[i]
        high = bars[i, HIGH]
        low = bars[i, LOW]
        close = bars[i, CLOSE]
        values[i, column] = np.nan
        if np.isnan(high) or np.isnan(low) or np.isnan(close):
            continue
        count = state[slot, at + _COUNT]
        spread = _true_range(high, low, state[slot, at + _PREVIOUS_CLOSE])
        state[slot, at + _PREVIOUS_CLOSE] = close
        if count <= period:
            state[slot, at + _COUNT] = count + 1
        if count == 0:
            continue
        average = state[slot, at + _ATR]
        if count > period:
            average = fma(average, keep, spread * take)
        else:
            average += spread
            if count == period:
                average /= period
        state[slot, at + _ATR] = average
        if count >= period:
            values[i, column] = average


@jit
def _adx(
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
        high = bars[i, HIGH]
        low = bars[i, LOW]
        close = bars[i, CLOSE]
        values[i, column] = np.nan
        if np.isnan(high) or np.isnan(low) or np.isnan(close):
            continue
        count = state[slot, at + _COUNT]
        rise = high - state[slot, at + _PREVIOUS_HIGH]
        fall = state[slot, at + _PREVIOUS_LOW] - low
        spread = _true_range(high, low, state[slot, at + _PREVIOUS_CLOSE])
        state[slot, at + _PREVIOUS_HIGH] = high
        state[slot, at + _PREVIOUS_LOW] = low
        state[slot, at + _PREVIOUS_CLOSE] = close
        if count < 2 * period:
            state[slot, at + _COUNT] = count + 1
        if count == 0:
            continue
        minus = state[slot, at + _MINUS]
        plus = state[slot, at + _PLUS]
        true_range = state[slot, at + _TRUE_RANGE]
        if count >= period:
            minus -= minus / period
            plus -= plus / period
            true_range -= true_range / period
        minus += fall if fall > 0.0 and fall > rise else 0.0
        plus += rise if rise > 0.0 and rise > fall else 0.0
        true_range += spread
        state[slot, at + _MINUS] = minus
        state[slot, at + _PLUS] = plus
        state[slot, at + _TRUE_RANGE] = true_range
        if count < period:
            continue
        index = state[slot, at + _ADX]
        directional = np.nan
        if true_range > 0.0:
            minus_share = 100.0 * (minus / true_range)
            plus_share = 100.0 * (plus / true_range)
            total = minus_share + plus_share
            if not -_ZERO < total < _ZERO:
                directional = 100.0 * (abs(minus_share - plus_share) / total)
        if count >= 2 * period:
            if not np.isnan(directional):
                index = (index * (period - 1) + directional) / period
        else:
            if not np.isnan(directional):
                index += directional
            if count == 2 * period - 1:
                index /= period
        state[slot, at + _ADX] = index
        if count >= 2 * period - 1:
            values[i, column] = index


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
    unit="quote currency",
)

ATR = Indicator(
    name="atr",
    parameters=(Parameter(name="period", default=14, minimum=1),),
    inputs=("high", "low", "close"),
    warm_up=lambda period: period,
    width=lambda period: 3,  # noqa: ARG005 - the state does not grow with the period
    kernel=_atr,
    definition="Wilder's mean of the true range, seeded by the simple mean of the first true ranges.",
    source="Wilder, New Concepts in Technical Trading Systems (1978); TA-Lib 0.8, function ATR",
    unit="quote currency",
)

ADX = Indicator(
    name="adx",
    parameters=(Parameter(name="period", default=14, minimum=2),),
    inputs=("high", "low", "close"),
    warm_up=lambda period: 2 * period - 1,
    width=lambda period: 8,  # noqa: ARG005 - the state does not grow with the period
    kernel=_adx,
    definition="Wilder's mean of the directional index, seeded by the mean of the first ones.",
    source="Wilder, New Concepts in Technical Trading Systems (1978); TA-Lib 0.8, function ADX",
    unit="0 to 100",
)
