"""Candlestick patterns of one candle, or of one and where it lies beside the one before.

100 is bullish, -100 bearish, 0 none; where TA-Lib says only that the pattern is there, it is 100.
"""

from flows.kernels.indicators.candles import (
    BODY,
    BOTTOM,
    COLOR,
    HIGH,
    LOW,
    LOWER,
    TOP,
    UPPER,
    gaps_down,
    gaps_up,
    is_black,
    is_doji,
    is_long,
    is_white,
    mean_body,
    near,
    of,
    short_shadow,
    tenth,
)
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats


@jit_in_place
def _signed(own: Floats, holds: bool) -> float:  # noqa: FBT001 - a kernel takes its arguments by place
    return 100.0 * of(own, 0, COLOR) if holds else 0.0


@jit_in_place
def belthold(own: Floats) -> float:
    """Long body without a shadow where it began."""
    shadow = of(own, 0, LOWER) if is_white(own, 0) else of(own, 0, UPPER)
    return _signed(own, is_long(own, 0, 10) and shadow < tenth(own, 0, 10))


@jit_in_place
def closingmarubozu(own: Floats) -> float:
    """Long body without a shadow where it ended."""
    shadow = of(own, 0, UPPER) if is_white(own, 0) else of(own, 0, LOWER)
    return _signed(own, is_long(own, 0, 10) and shadow < tenth(own, 0, 10))


@jit_in_place
def marubozu(own: Floats) -> float:
    """Long body without shadows."""
    limit = tenth(own, 0, 10)
    return _signed(
        own, is_long(own, 0, 10) and of(own, 0, UPPER) < limit and of(own, 0, LOWER) < limit
    )


@jit_in_place
def longline(own: Floats) -> float:
    """Long body with short shadows."""
    limit = short_shadow(own, 0, 10)
    return _signed(
        own, is_long(own, 0, 10) and of(own, 0, UPPER) < limit and of(own, 0, LOWER) < limit
    )


@jit_in_place
def shortline(own: Floats) -> float:
    """Short body with short shadows."""
    limit = short_shadow(own, 0, 10)
    is_small = of(own, 0, BODY) < mean_body(own, 0, 10)
    return _signed(own, is_small and of(own, 0, UPPER) < limit and of(own, 0, LOWER) < limit)


@jit_in_place
def spinningtop(own: Floats) -> float:
    """Short body with both shadows longer than it."""
    body = of(own, 0, BODY)
    is_small = body < mean_body(own, 0, 10)
    return _signed(own, is_small and of(own, 0, UPPER) > body and of(own, 0, LOWER) > body)


@jit_in_place
def highwave(own: Floats) -> float:
    """Short body with both shadows more than twice as long."""
    body = of(own, 0, BODY)
    is_small = body < mean_body(own, 0, 10)
    return _signed(
        own, is_small and of(own, 0, UPPER) > 2.0 * body and of(own, 0, LOWER) > 2.0 * body
    )


@jit_in_place
def doji(own: Floats) -> float:
    """Closed where it opened, or nearly."""
    return 100.0 if is_doji(own, 0, 10) else 0.0


@jit_in_place
def dragonflydoji(own: Floats) -> float:
    """Doji with a lower shadow only."""
    limit = tenth(own, 0, 10)
    holds = is_doji(own, 0, 10) and of(own, 0, UPPER) < limit and of(own, 0, LOWER) > limit
    return 100.0 if holds else 0.0


@jit_in_place
def gravestonedoji(own: Floats) -> float:
    """Doji with an upper shadow only."""
    limit = tenth(own, 0, 10)
    holds = is_doji(own, 0, 10) and of(own, 0, LOWER) < limit and of(own, 0, UPPER) > limit
    return 100.0 if holds else 0.0


@jit_in_place
def longleggeddoji(own: Floats) -> float:
    """Doji with a long shadow, or two."""
    body = of(own, 0, BODY)
    holds = is_doji(own, 0, 10) and (of(own, 0, LOWER) > body or of(own, 0, UPPER) > body)
    return 100.0 if holds else 0.0


@jit_in_place
def rickshawman(own: Floats) -> float:
    """Doji with two long shadows, its body near the middle of the range."""
    body = of(own, 0, BODY)
    middle = of(own, 0, LOW) + (of(own, 0, HIGH) - of(own, 0, LOW)) / 2.0
    reach = near(own, 0, 10)
    holds = (
        is_doji(own, 0, 10)
        and of(own, 0, LOWER) > body
        and of(own, 0, UPPER) > body
        and of(own, 0, BOTTOM) <= middle + reach
        and of(own, 0, TOP) >= middle - reach
    )
    return 100.0 if holds else 0.0


@jit_in_place
def takuri(own: Floats) -> float:
    """Doji with a very long lower and no upper shadow."""
    holds = (
        is_doji(own, 0, 10)
        and of(own, 0, UPPER) < tenth(own, 0, 10)
        and of(own, 0, LOWER) > 2.0 * of(own, 0, BODY)
    )
    return 100.0 if holds else 0.0


@jit_in_place
def _hangs(own: Floats) -> bool:
    # Short body, long lower and no upper shadow.
    body = of(own, 0, BODY)
    return (
        body < mean_body(own, 0, 11)
        and of(own, 0, LOWER) > body
        and of(own, 0, UPPER) < tenth(own, 0, 11)
    )


@jit_in_place
def hammer(own: Floats) -> float:
    """Short body, long lower and no upper shadow, near the low before or below it."""
    return (
        100.0 if _hangs(own) and of(own, 0, BOTTOM) <= of(own, 1, LOW) + near(own, 1, 11) else 0.0
    )


@jit_in_place
def hangingman(own: Floats) -> float:
    """Short body, long lower and no upper shadow, near the high before or above it."""
    return (
        -100.0 if _hangs(own) and of(own, 0, BOTTOM) >= of(own, 1, HIGH) - near(own, 1, 11) else 0.0
    )


@jit_in_place
def _stands(own: Floats) -> bool:
    # Short body, long upper and no lower shadow.
    body = of(own, 0, BODY)
    return (
        body < mean_body(own, 0, 11)
        and of(own, 0, UPPER) > body
        and of(own, 0, LOWER) < tenth(own, 0, 11)
    )


@jit_in_place
def invertedhammer(own: Floats) -> float:
    """Short body, long upper and no lower shadow, below the body before."""
    return 100.0 if gaps_down(own, 0, 1) and _stands(own) else 0.0


@jit_in_place
def shootingstar(own: Floats) -> float:
    """Short body, long upper and no lower shadow, above the body before."""
    return -100.0 if gaps_up(own, 0, 1) and _stands(own) else 0.0


@jit_in_place
def dojistar(own: Floats) -> float:
    """Doji beyond the long body before."""
    if not (is_long(own, 1, 11) and is_doji(own, 0, 11)):
        return 0.0
    if is_white(own, 1):
        return -100.0 if gaps_up(own, 0, 1) else 0.0
    return 100.0 if is_black(own, 1) and gaps_down(own, 0, 1) else 0.0
