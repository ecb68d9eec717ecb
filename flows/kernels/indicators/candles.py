"""What candlestick patterns look at: the last five candles, and what is long, short, near or equal.

How big a body or a shadow is depends on the candles before it. As in TA-Lib, a candle is measured by the mean
range of the ones before it, and the running sums behind these means are those of TA-Lib, begun on the same bars
and taken on in the same order: a comparison with a mean that is just equal goes the same way.
"""

import numpy as np

from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats

# Columns of a candle: prices, upper and lower end of the body, sizes of body and shadows, 1 white and -1 black.
OPEN, HIGH, LOW, CLOSE, TOP, BOTTOM, BODY, UPPER, LOWER, COLOR = range(10)
CANDLE = 10

# Candles that a pattern can look at, newest first.
CANDLES = 5

# Ranges of which there are running sums: of bodies, of high less low, of both shadows, each over 10 candles, and of
# high less low over 5.
BODIES, SPREADS, SHADOWS, SPREADS_5 = range(4)
_LONG = 10
_SHORT = 5

# A sum begins on the first bar on which a pattern needs it, which is one of the 6th to 15th.
FIRST = 5
BEGINS = 10

# Places in the state: count of bars, the candles, the sums as of the last five bars, the ranges.
_COUNT = 0
AT_CANDLES = 10
AT_SUMS = AT_CANDLES + CANDLES * CANDLE
SUMS = 4 * BEGINS
AT_RANGES = AT_SUMS + (CANDLES + 1) * SUMS
WIDTH = AT_RANGES + 4 * _LONG

# No pattern looks further back than the bars counted up to here.
_ENOUGH = 1_000


@jit_in_place
def push(own: Floats, opening: float, high: float, low: float, close: float) -> int:
    """Take a candle in; give the number of bars before it."""
    count = int(own[_COUNT])
    for at in range(AT_CANDLES + CANDLES * CANDLE - 1, AT_CANDLES + CANDLE - 1, -1):
        own[at] = own[at - CANDLE]
    for at in range(AT_SUMS + CANDLES * SUMS - 1, AT_SUMS + SUMS - 1, -1):
        own[at] = own[at - SUMS]
    top, bottom = max(opening, close), min(opening, close)
    own[AT_CANDLES + OPEN] = opening
    own[AT_CANDLES + HIGH] = high
    own[AT_CANDLES + LOW] = low
    own[AT_CANDLES + CLOSE] = close
    own[AT_CANDLES + TOP] = top
    own[AT_CANDLES + BOTTOM] = bottom
    own[AT_CANDLES + BODY] = abs(close - opening)
    own[AT_CANDLES + UPPER] = high - top
    own[AT_CANDLES + LOWER] = bottom - low
    own[AT_CANDLES + COLOR] = 1.0 if close >= opening else -1.0
    sums = AT_SUMS + CANDLES * SUMS
    for series in range(4):
        period = _SHORT if series == SPREADS_5 else _LONG
        begin = count - FIRST
        if period <= count < FIRST + BEGINS:
            own[sums + series * BEGINS + begin] = _sum(own, series, period, count)
    for at in range(SUMS):
        own[AT_SUMS + at] = own[sums + at]
    _take_on(own, count)
    if count < _ENOUGH + _LONG:
        own[_COUNT] = count + 1
    else:
        # The places of the rings go on as they would.
        own[_COUNT] = count + 1 - _LONG
    return count


@jit_in_place
def _sum(own: Floats, series: int, period: int, count: int) -> float:
    # Sum of the last ranges, from the oldest on.
    total = 0.0
    for at in range(count - period, count):
        total += own[AT_RANGES + series * _LONG + at % period]
    return total


@jit_in_place
def _take_on(own: Floats, count: int) -> None:
    # The new candle's ranges come into the sums, and those of the candle that leaves go out.
    spread = own[AT_CANDLES + HIGH] - own[AT_CANDLES + LOW]
    shadows = own[AT_CANDLES + UPPER] + own[AT_CANDLES + LOWER]
    for series in range(4):
        value = spread
        if series == BODIES:
            value = own[AT_CANDLES + BODY]
        elif series == SHADOWS:
            value = shadows
        place = AT_RANGES + series * _LONG
        place += count % _SHORT if series == SPREADS_5 else count % _LONG
        change = value - own[place]
        own[place] = value
        at = AT_SUMS + CANDLES * SUMS + series * BEGINS
        for begin in range(BEGINS):
            own[at + begin] += change


@jit_in_place
def of(own: Floats, back: int, column: int) -> float:
    """A column of the candle so many bars ago."""
    value: float = own[AT_CANDLES + back * CANDLE + column]
    return value


@jit_in_place
def _sum_before(own: Floats, series: int, back: int, warm_up: int) -> float:
    total: float = own[AT_SUMS + back * SUMS + series * BEGINS + warm_up - back - FIRST]
    return total


@jit_in_place
def mean_body(own: Floats, back: int, warm_up: int) -> float:
    """Above it, the body of the candle so many bars ago is long; below it, short.

    `warm_up` is that of the pattern that asks: its sums began there.
    """
    return _sum_before(own, BODIES, back, warm_up) / 10.0


@jit_in_place
def tenth(own: Floats, back: int, warm_up: int) -> float:
    """Up to it a body is a doji's, and a shadow below it is very short: a tenth of the mean high less low."""
    return 0.1 * (_sum_before(own, SPREADS, back, warm_up) / 10.0)


@jit_in_place
def short_shadow(own: Floats, back: int, warm_up: int) -> float:
    """Below it, a shadow is short: half of the mean of both shadows."""
    return _sum_before(own, SHADOWS, back, warm_up) / 10.0 / 2.0


@jit_in_place
def near(own: Floats, back: int, warm_up: int) -> float:
    """Distance up to which prices are near each other."""
    return 0.2 * (_sum_before(own, SPREADS_5, back, warm_up) / 5.0)


@jit_in_place
def far(own: Floats, back: int, warm_up: int) -> float:
    """Distance from which on sizes are far from each other."""
    return 0.6 * (_sum_before(own, SPREADS_5, back, warm_up) / 5.0)


@jit_in_place
def equal(own: Floats, back: int, warm_up: int) -> float:
    """Distance up to which prices are equal."""
    return 0.05 * (_sum_before(own, SPREADS_5, back, warm_up) / 5.0)


@jit_in_place
def is_white(own: Floats, back: int) -> bool:
    """Whether the candle so many bars ago closed not lower than it opened."""
    return of(own, back, COLOR) > 0.0


@jit_in_place
def is_black(own: Floats, back: int) -> bool:
    """Whether the candle so many bars ago closed lower than it opened."""
    return of(own, back, COLOR) < 0.0


@jit_in_place
def is_long(own: Floats, back: int, warm_up: int) -> bool:
    """Whether the candle so many bars ago has a long body."""
    return of(own, back, BODY) > mean_body(own, back, warm_up)


@jit_in_place
def is_doji(own: Floats, back: int, warm_up: int) -> bool:
    """Whether the candle so many bars ago is a doji: it closed where it opened, or nearly."""
    return of(own, back, BODY) <= tenth(own, back, warm_up)


@jit_in_place
def gaps_up(own: Floats, back: int, before: int) -> bool:
    """Whether the body of one candle lies above that of an older one."""
    return of(own, back, BOTTOM) > of(own, before, TOP)


@jit_in_place
def gaps_down(own: Floats, back: int, before: int) -> bool:
    """Whether the body of one candle lies below that of an older one."""
    return of(own, back, TOP) < of(own, before, BOTTOM)


@jit_in_place
def is_within(value: float, middle: float, reach: float) -> bool:
    """Whether a price is not further from another than a distance."""
    return middle - reach <= value <= middle + reach


@jit_in_place
def has_all(opening: float, high: float, low: float, close: float) -> bool:
    """Whether a bar has all four prices."""
    return not (np.isnan(opening) or np.isnan(high) or np.isnan(low) or np.isnan(close))
