"""Candlestick patterns of three candles. 100 is bullish, -100 bearish, 0 none."""

from flows.kernels.indicators.candles import (
    BODY,
    BOTTOM,
    CLOSE,
    COLOR,
    HIGH,
    LOW,
    LOWER,
    OPEN,
    TOP,
    UPPER,
    equal,
    far,
    gaps_down,
    gaps_up,
    is_black,
    is_doji,
    is_long,
    is_white,
    is_within,
    mean_body,
    near,
    of,
    short_shadow,
    tenth,
)
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats

# How far the third candle of a star must close into the body of the first.
_PENETRATION = 0.3


@jit_in_place
def two_crows(own: Floats) -> float:
    """Long white; black above it; black from within the second body into the first."""
    holds = (
        is_white(own, 2)
        and is_long(own, 2, 12)
        and is_black(own, 1)
        and gaps_up(own, 1, 2)
        and is_black(own, 0)
        and of(own, 1, CLOSE) < of(own, 0, OPEN) < of(own, 1, OPEN)
        and of(own, 2, OPEN) < of(own, 0, CLOSE) < of(own, 2, CLOSE)
    )
    return -100.0 if holds else 0.0


@jit_in_place
def three_inside(own: Floats) -> float:
    """A short body inside the long one before, then a close beyond the open of the long one."""
    first = of(own, 2, COLOR)
    holds = (
        of(own, 1, TOP) < of(own, 2, TOP)
        and of(own, 1, BOTTOM) > of(own, 2, BOTTOM)
        and of(own, 0, COLOR) == -first
        and of(own, 0, CLOSE) * first < of(own, 2, OPEN) * first
        and is_long(own, 2, 12)
        and of(own, 1, BODY) <= mean_body(own, 1, 12)
    )
    return -100.0 * first if holds else 0.0


@jit_in_place
def three_outside(own: Floats) -> float:
    """A body that engulfs one of the other colour, then a close further on."""
    second = of(own, 1, COLOR)
    holds = (
        of(own, 2, COLOR) == -second
        and of(own, 1, TOP) > of(own, 2, TOP)
        and of(own, 1, BOTTOM) < of(own, 2, BOTTOM)
        and of(own, 0, CLOSE) * second > of(own, 1, CLOSE) * second
    )
    return 100.0 * second if holds else 0.0


@jit_in_place
def three_stars_in_south(own: Floats) -> float:
    """Three black candles, each smaller and within the range before, the first with a long lower shadow."""
    holds = (
        is_black(own, 2)
        and is_black(own, 1)
        and is_black(own, 0)
        and is_long(own, 2, 12)
        and of(own, 2, LOWER) > of(own, 2, BODY)
        and of(own, 1, BODY) < of(own, 2, BODY)
        and of(own, 2, CLOSE) < of(own, 1, OPEN) <= of(own, 2, HIGH)
        and of(own, 2, LOW) <= of(own, 1, LOW) < of(own, 2, CLOSE)
        and of(own, 1, LOWER) > tenth(own, 1, 12)
        and of(own, 0, BODY) < mean_body(own, 0, 12)
        and of(own, 0, LOWER) < tenth(own, 0, 12)
        and of(own, 0, UPPER) < tenth(own, 0, 12)
        and of(own, 0, LOW) > of(own, 1, LOW)
        and of(own, 0, HIGH) < of(own, 1, HIGH)
    )
    return 100.0 if holds else 0.0


@jit_in_place
def _three_rise(own: Floats) -> bool:
    # Three white candles with rising closes, each opening within or near the body before.
    return (
        is_white(own, 2)
        and is_white(own, 1)
        and is_white(own, 0)
        and of(own, 0, CLOSE) > of(own, 1, CLOSE) > of(own, 2, CLOSE)
        and of(own, 2, OPEN) < of(own, 1, OPEN) <= of(own, 2, CLOSE) + near(own, 2, 12)
        and of(own, 1, OPEN) < of(own, 0, OPEN) <= of(own, 1, CLOSE) + near(own, 1, 12)
    )


@jit_in_place
def three_white_soldiers(own: Floats) -> float:
    """Three white candles with rising closes and no upper shadows, none far shorter than the one before."""
    holds = (
        _three_rise(own)
        and of(own, 2, UPPER) < tenth(own, 2, 12)
        and of(own, 1, UPPER) < tenth(own, 1, 12)
        and of(own, 0, UPPER) < tenth(own, 0, 12)
        and of(own, 1, BODY) > of(own, 2, BODY) - far(own, 2, 12)
        and of(own, 0, BODY) > of(own, 1, BODY) - far(own, 1, 12)
        and of(own, 0, BODY) > mean_body(own, 0, 12)
    )
    return 100.0 if holds else 0.0


@jit_in_place
def advanceblock(own: Floats) -> float:
    """Three white candles with rising closes, whose bodies shrink or whose upper shadows grow."""
    if not (
        _three_rise(own) and is_long(own, 2, 12) and of(own, 2, UPPER) < short_shadow(own, 2, 12)
    ):
        return 0.0
    first, second, third = of(own, 2, BODY), of(own, 1, BODY), of(own, 0, BODY)
    holds = (
        (second < first - far(own, 2, 12) and third < second + near(own, 1, 12))
        or third < second - far(own, 1, 12)
        or (
            third < second < first
            and (
                of(own, 0, UPPER) > short_shadow(own, 0, 12)
                or of(own, 1, UPPER) > short_shadow(own, 1, 12)
            )
        )
        or (third < second and of(own, 0, UPPER) > third)
    )
    return -100.0 if holds else 0.0


@jit_in_place
def stalledpattern(own: Floats) -> float:
    """Two long white candles, then a short white one at the upper end of the second."""
    holds = (
        is_white(own, 2)
        and is_white(own, 1)
        and is_white(own, 0)
        and of(own, 0, CLOSE) > of(own, 1, CLOSE) > of(own, 2, CLOSE)
        and is_long(own, 2, 12)
        and is_long(own, 1, 12)
        and of(own, 1, UPPER) < tenth(own, 1, 12)
        and of(own, 2, OPEN) < of(own, 1, OPEN) <= of(own, 2, CLOSE) + near(own, 2, 12)
        and of(own, 0, BODY) < mean_body(own, 0, 12)
        and of(own, 0, OPEN) >= of(own, 1, CLOSE) - of(own, 0, BODY) - near(own, 1, 12)
    )
    return -100.0 if holds else 0.0


@jit_in_place
def _turns(own: Floats) -> bool:
    # A long candle, and a third of the other colour, not short, that closes well within its body.
    first = of(own, 2, COLOR)
    reach = of(own, 2, BODY) * _PENETRATION
    limit = of(own, 2, CLOSE) - reach if first > 0.0 else of(own, 2, CLOSE) + reach
    return (
        of(own, 0, COLOR) == -first
        and is_long(own, 2, 12)
        and of(own, 0, BODY) > mean_body(own, 0, 12)
        and of(own, 0, CLOSE) * first < limit * first
    )


@jit_in_place
def abandonedbaby(own: Floats) -> float:
    """Long candle; doji beyond its whole range; then back beyond the doji's, well into the first body."""
    if not (_turns(own) and is_doji(own, 1, 12)):
        return 0.0
    if is_white(own, 2):
        holds = of(own, 1, LOW) > of(own, 2, HIGH) and of(own, 0, HIGH) < of(own, 1, LOW)
    else:
        holds = of(own, 1, HIGH) < of(own, 2, LOW) and of(own, 0, LOW) > of(own, 1, HIGH)
    return 100.0 * of(own, 0, COLOR) if holds else 0.0


@jit_in_place
def eveningstar(own: Floats) -> float:
    """Long white; short body above it; black well into the first body."""
    holds = (
        is_white(own, 2)
        and gaps_up(own, 1, 2)
        and of(own, 1, BODY) <= mean_body(own, 1, 12)
        and _turns(own)
    )
    return -100.0 if holds else 0.0


@jit_in_place
def eveningdojistar(own: Floats) -> float:
    """Long white; doji above it; black well into the first body."""
    holds = is_white(own, 2) and gaps_up(own, 1, 2) and is_doji(own, 1, 12) and _turns(own)
    return -100.0 if holds else 0.0


@jit_in_place
def morningstar(own: Floats) -> float:
    """Long black; short body below it; white well into the first body."""
    holds = (
        is_black(own, 2)
        and gaps_down(own, 1, 2)
        and of(own, 1, BODY) <= mean_body(own, 1, 12)
        and _turns(own)
    )
    return 100.0 if holds else 0.0


@jit_in_place
def morningdojistar(own: Floats) -> float:
    """Long black; doji below it; white well into the first body."""
    holds = is_black(own, 2) and gaps_down(own, 1, 2) and is_doji(own, 1, 12) and _turns(own)
    return 100.0 if holds else 0.0


@jit_in_place
def gapsidesidewhite(own: Floats) -> float:
    """Two white candles side by side, alike, both beyond the body before; 100 above it, -100 below."""
    up = gaps_up(own, 1, 2) and gaps_up(own, 0, 2)
    down = gaps_down(own, 1, 2) and gaps_down(own, 0, 2)
    holds = (
        (up or down)
        and is_white(own, 1)
        and is_white(own, 0)
        and is_within(of(own, 0, BODY), of(own, 1, BODY), near(own, 1, 7))
        and is_within(of(own, 0, OPEN), of(own, 1, OPEN), equal(own, 1, 7))
    )
    if not holds:
        return 0.0
    return 100.0 if up else -100.0


@jit_in_place
def identical_three_crows(own: Floats) -> float:
    """Three black candles with falling closes and no lower shadows, each opening at the close before."""
    holds = (
        is_black(own, 2)
        and is_black(own, 1)
        and is_black(own, 0)
        and of(own, 2, LOWER) < tenth(own, 2, 12)
        and of(own, 1, LOWER) < tenth(own, 1, 12)
        and of(own, 0, LOWER) < tenth(own, 0, 12)
        and of(own, 2, CLOSE) > of(own, 1, CLOSE) > of(own, 0, CLOSE)
        and is_within(of(own, 1, OPEN), of(own, 2, CLOSE), equal(own, 2, 12))
        and is_within(of(own, 0, OPEN), of(own, 1, CLOSE), equal(own, 1, 12))
    )
    return -100.0 if holds else 0.0


@jit_in_place
def sticksandwich(own: Floats) -> float:
    """Black, white above its close, black with the same close."""
    holds = (
        is_black(own, 2)
        and is_white(own, 1)
        and is_black(own, 0)
        and of(own, 1, LOW) > of(own, 2, CLOSE)
        and is_within(of(own, 0, CLOSE), of(own, 2, CLOSE), equal(own, 2, 7))
    )
    return 100.0 if holds else 0.0


@jit_in_place
def tasukigap(own: Floats) -> float:
    """A candle beyond the body before, then one of the other colour, as long, that closes within the gap."""
    color = of(own, 1, COLOR)
    opening, close = of(own, 0, OPEN), of(own, 0, CLOSE)
    if of(own, 0, COLOR) != -color:
        return 0.0
    if not of(own, 1, BOTTOM) < opening < of(own, 1, TOP):
        return 0.0
    if color > 0.0:
        holds = gaps_up(own, 1, 2) and of(own, 2, TOP) < close < of(own, 1, OPEN)
    else:
        holds = gaps_down(own, 1, 2) and of(own, 1, OPEN) < close < of(own, 2, BOTTOM)
    alike = abs(of(own, 1, BODY) - of(own, 0, BODY)) < near(own, 1, 7)
    return 100.0 * color if holds and alike else 0.0


@jit_in_place
def tristar(own: Floats) -> float:
    """Three doji, the second beyond the first, the third on the way back."""
    limit = tenth(own, 2, 12)
    if of(own, 2, BODY) > limit or of(own, 1, BODY) > limit or of(own, 0, BODY) > limit:
        return 0.0
    if gaps_down(own, 1, 2) and of(own, 0, BOTTOM) > of(own, 1, BOTTOM):
        return 100.0
    return -100.0 if gaps_up(own, 1, 2) and of(own, 0, TOP) < of(own, 1, TOP) else 0.0


@jit_in_place
def unique_three_river(own: Floats) -> float:
    """Long black; black inside its body with a lower low; short white above that low."""
    holds = (
        is_black(own, 2)
        and is_black(own, 1)
        and is_white(own, 0)
        and of(own, 1, CLOSE) > of(own, 2, CLOSE)
        and of(own, 1, OPEN) <= of(own, 2, OPEN)
        and of(own, 1, LOW) < of(own, 2, LOW)
        and of(own, 0, OPEN) > of(own, 1, LOW)
        and is_long(own, 2, 12)
        and of(own, 0, BODY) < mean_body(own, 0, 12)
    )
    return 100.0 if holds else 0.0


@jit_in_place
def upside_gap_two_crows(own: Floats) -> float:
    """Long white; short black above it; black that engulfs the second, still above the first."""
    holds = (
        is_white(own, 2)
        and is_long(own, 2, 12)
        and is_black(own, 1)
        and of(own, 1, BODY) <= mean_body(own, 1, 12)
        and gaps_up(own, 1, 2)
        and is_black(own, 0)
        and of(own, 0, OPEN) > of(own, 1, OPEN)
        and of(own, 2, CLOSE) < of(own, 0, CLOSE) < of(own, 1, CLOSE)
    )
    return -100.0 if holds else 0.0


@jit_in_place
def xside_gap_three_methods(own: Floats) -> float:
    """Two candles of one colour with a gap between, then one of the other from the second body into the first."""
    color = of(own, 2, COLOR)
    holds = (
        of(own, 1, COLOR) == color
        and of(own, 0, COLOR) == -color
        and of(own, 1, BOTTOM) < of(own, 0, OPEN) < of(own, 1, TOP)
        and of(own, 2, BOTTOM) < of(own, 0, CLOSE) < of(own, 2, TOP)
        and (gaps_up(own, 1, 2) if color > 0.0 else gaps_down(own, 1, 2))
    )
    return 100.0 * color if holds else 0.0
