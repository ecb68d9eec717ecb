"""Candlestick patterns of four and five candles, and hikkake. 100 is bullish, -100 bearish, 0 none."""

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
    gaps_down,
    gaps_up,
    is_black,
    is_long,
    is_white,
    mean_body,
    near,
    of,
    tenth,
)
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats

# Bars within which a hikkake can be confirmed, the one that made it included.
_HIKKAKE = 4

# How far the small candles of a mat hold may reach into the first body.
_PENETRATION = 0.5


@jit_in_place
def three_black_crows(own: Floats) -> float:
    """After a white candle, three black ones with falling closes and no lower shadows, each from within the last."""
    holds = (
        is_white(own, 3)
        and is_black(own, 2)
        and is_black(own, 1)
        and is_black(own, 0)
        and of(own, 2, CLOSE) < of(own, 1, OPEN) < of(own, 2, OPEN)
        and of(own, 1, CLOSE) < of(own, 0, OPEN) < of(own, 1, OPEN)
        and of(own, 3, HIGH) > of(own, 2, CLOSE) > of(own, 1, CLOSE) > of(own, 0, CLOSE)
        and of(own, 2, LOWER) < tenth(own, 2, 13)
        and of(own, 1, LOWER) < tenth(own, 1, 13)
        and of(own, 0, LOWER) < tenth(own, 0, 13)
    )
    return -100.0 if holds else 0.0


@jit_in_place
def _opens_near(own: Floats, back: int) -> bool:
    # Whether a candle opens within the body before it, or near.
    reach = near(own, back + 1, 8)
    opening = of(own, back, OPEN)
    return of(own, back + 1, BOTTOM) - reach <= opening <= of(own, back + 1, TOP) + reach


@jit_in_place
def three_line_strike(own: Floats) -> float:
    """Three candles of one colour, each closing further on, and one of the other that takes back all."""
    color = of(own, 1, COLOR)
    holds = (
        of(own, 3, COLOR) == color
        and of(own, 2, COLOR) == color
        and of(own, 0, COLOR) == -color
        and _opens_near(own, 2)
        and _opens_near(own, 1)
        and of(own, 1, CLOSE) * color > of(own, 2, CLOSE) * color > of(own, 3, CLOSE) * color
        and of(own, 0, OPEN) * color > of(own, 1, CLOSE) * color
        and of(own, 0, CLOSE) * color < of(own, 3, OPEN) * color
    )
    return 100.0 * color if holds else 0.0


@jit_in_place
def breakaway(own: Floats) -> float:
    """Long candle; a gap on; two more the same way; then back into the gap."""
    color = of(own, 4, COLOR)
    if not (
        of(own, 3, COLOR) == color
        and of(own, 1, COLOR) == color
        and of(own, 0, COLOR) == -color
        and is_long(own, 4, 14)
    ):
        return 0.0
    far_end = HIGH if color > 0.0 else LOW
    near_end = LOW if color > 0.0 else HIGH
    goes_on = (
        of(own, 2, far_end) * color > of(own, 3, far_end) * color
        and of(own, 2, near_end) * color > of(own, 3, near_end) * color
        and of(own, 1, far_end) * color > of(own, 2, far_end) * color
        and of(own, 1, near_end) * color > of(own, 2, near_end) * color
    )
    gap = gaps_up(own, 3, 4) if color > 0.0 else gaps_down(own, 3, 4)
    close = of(own, 0, CLOSE) * color
    fills = of(own, 4, CLOSE) * color < close < of(own, 3, OPEN) * color
    return -100.0 * color if gap and goes_on and fills else 0.0


@jit_in_place
def concealbabyswall(own: Floats) -> float:
    """Two black bodies without shadows; black below them with a shadow into the second; black that engulfs it."""
    holds = (
        is_black(own, 3)
        and is_black(own, 2)
        and is_black(own, 1)
        and is_black(own, 0)
        and of(own, 3, LOWER) < tenth(own, 3, 13)
        and of(own, 3, UPPER) < tenth(own, 3, 13)
        and of(own, 2, LOWER) < tenth(own, 2, 13)
        and of(own, 2, UPPER) < tenth(own, 2, 13)
        and gaps_down(own, 1, 2)
        and of(own, 1, UPPER) > tenth(own, 1, 13)
        and of(own, 1, HIGH) > of(own, 2, CLOSE)
        and of(own, 0, HIGH) > of(own, 1, HIGH)
        and of(own, 0, LOW) < of(own, 1, LOW)
    )
    return 100.0 if holds else 0.0


@jit_in_place
def ladderbottom(own: Floats) -> float:
    """Three falling black candles, a black one with an upper shadow, and a white one beyond it."""
    holds = (
        is_black(own, 4)
        and is_black(own, 3)
        and is_black(own, 2)
        and of(own, 4, OPEN) > of(own, 3, OPEN) > of(own, 2, OPEN)
        and of(own, 4, CLOSE) > of(own, 3, CLOSE) > of(own, 2, CLOSE)
        and is_black(own, 1)
        and of(own, 1, UPPER) > tenth(own, 1, 14)
        and is_white(own, 0)
        and of(own, 0, OPEN) > of(own, 1, OPEN)
        and of(own, 0, CLOSE) > of(own, 1, HIGH)
    )
    return 100.0 if holds else 0.0


@jit_in_place
def _three_small(own: Floats) -> bool:
    # A long body five candles ago, and three short ones since.
    return (
        is_long(own, 4, 14)
        and of(own, 3, BODY) < mean_body(own, 3, 14)
        and of(own, 2, BODY) < mean_body(own, 2, 14)
        and of(own, 1, BODY) < mean_body(own, 1, 14)
    )


@jit_in_place
def mathold(own: Floats) -> float:
    """Long white; short black above it; two short ones falling, not far into it; white beyond all."""
    limit = of(own, 4, CLOSE) - of(own, 4, BODY) * _PENETRATION
    holds = (
        is_white(own, 4)
        and is_black(own, 3)
        and is_white(own, 0)
        and gaps_up(own, 3, 4)
        and limit < of(own, 2, BOTTOM) < of(own, 4, CLOSE)
        and limit < of(own, 1, BOTTOM) < of(own, 4, CLOSE)
        and of(own, 2, TOP) < of(own, 3, OPEN)
        and of(own, 1, TOP) < of(own, 2, TOP)
        and of(own, 0, OPEN) > of(own, 1, CLOSE)
        and of(own, 0, CLOSE) > max(of(own, 3, HIGH), of(own, 2, HIGH), of(own, 1, HIGH))
        and _three_small(own)
    )
    return 100.0 if holds else 0.0


@jit_in_place
def _touches_first(own: Floats, back: int) -> bool:
    # Whether a part of a body is within the range of the candle five bars ago.
    return of(own, back, BOTTOM) < of(own, 4, HIGH) and of(own, back, TOP) > of(own, 4, LOW)


@jit_in_place
def rise_fall_three_methods(own: Floats) -> float:
    """Long candle, three short ones against it within its range, and a long one the first way, beyond it."""
    color = of(own, 4, COLOR)
    holds = (
        of(own, 3, COLOR) == -color
        and of(own, 2, COLOR) == -color
        and of(own, 1, COLOR) == -color
        and of(own, 0, COLOR) == color
        and _touches_first(own, 3)
        and _touches_first(own, 2)
        and _touches_first(own, 1)
        and of(own, 1, CLOSE) * color < of(own, 2, CLOSE) * color < of(own, 3, CLOSE) * color
        and of(own, 0, OPEN) * color > of(own, 1, CLOSE) * color
        and of(own, 0, CLOSE) * color > of(own, 4, CLOSE) * color
        and _three_small(own)
        and is_long(own, 0, 14)
    )
    return 100.0 * color if holds else 0.0


@jit_in_place
def _is_inside(own: Floats, back: int) -> bool:
    return of(own, back, HIGH) < of(own, back + 1, HIGH) and of(own, back, LOW) > of(
        own, back + 1, LOW
    )


@jit_in_place
def _breaks(own: Floats) -> float:
    # 1 where high and low are both lower than before, -1 where both are higher.
    if of(own, 0, HIGH) < of(own, 1, HIGH) and of(own, 0, LOW) < of(own, 1, LOW):
        return 1.0
    if of(own, 0, HIGH) > of(own, 1, HIGH) and of(own, 0, LOW) > of(own, 1, LOW):
        return -1.0
    return 0.0


@jit_in_place
def _confirmed(own: Floats, at: int, found: float) -> float:
    # Bars left to be confirmed in, the direction, high and low to be confirmed beyond are kept from `at` on.
    if found != 0.0:
        own[at] = _HIKKAKE - 1
        own[at + 1] = found
        own[at + 2], own[at + 3] = of(own, 1, HIGH), of(own, 1, LOW)
        return 100.0 * found
    if own[at] > 0.0:
        own[at] -= 1.0
        close = of(own, 0, CLOSE)
        if (own[at + 1] > 0.0 and close > own[at + 2]) or (
            own[at + 1] < 0.0 and close < own[at + 3]
        ):
            own[at] = 0.0
            return 200.0 if own[at + 1] > 0.0 else -200.0
    return 0.0


@jit_in_place
def hikkake(own: Floats, count: int) -> float:
    """An inside bar and a false break of it; 200 when a close on the other side confirms within three bars."""
    return _confirmed(own, 1, _breaks(own) if count >= 2 and _is_inside(own, 1) else 0.0)


@jit_in_place
def hikkakemod(own: Floats, count: int) -> float:
    """As hikkake, after two inside bars, the first of which closes near its end on the side of the break."""
    found = 0.0
    if count >= 7 and _is_inside(own, 2) and _is_inside(own, 1):
        found = _breaks(own)
        reach = near(own, 2, 7)
        close = of(own, 2, CLOSE)
        if (found > 0.0 and close > of(own, 2, LOW) + reach) or (
            found < 0.0 and close < of(own, 2, HIGH) - reach
        ):
            found = 0.0
    return _confirmed(own, 5, found)
