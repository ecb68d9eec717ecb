"""Candlestick patterns of two candles. 100 is bullish, -100 bearish, 0 none."""

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
    is_black,
    is_doji,
    is_long,
    is_white,
    is_within,
    mean_body,
    of,
    tenth,
)
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats


@jit_in_place
def counterattack(own: Floats) -> float:
    """Two long candles of opposite colours with equal closes."""
    holds = (
        of(own, 1, COLOR) == -of(own, 0, COLOR)
        and is_long(own, 1, 11)
        and is_long(own, 0, 11)
        and is_within(of(own, 0, CLOSE), of(own, 1, CLOSE), equal(own, 1, 11))
    )
    return 100.0 * of(own, 0, COLOR) if holds else 0.0


@jit_in_place
def darkcloudcover(own: Floats) -> float:
    """After a long white candle, a black one that opens above its high and closes below the middle of its body."""
    close = of(own, 0, CLOSE)
    holds = (
        is_white(own, 1)
        and is_long(own, 1, 11)
        and is_black(own, 0)
        and of(own, 0, OPEN) > of(own, 1, HIGH)
        and of(own, 1, OPEN) < close < of(own, 1, CLOSE) - of(own, 1, BODY) * 0.5
    )
    return -100.0 if holds else 0.0


@jit_in_place
def piercing(own: Floats) -> float:
    """After a long black candle, a long white one that opens below its low and closes above the middle of its body."""
    close = of(own, 0, CLOSE)
    holds = (
        is_black(own, 1)
        and is_long(own, 1, 11)
        and is_white(own, 0)
        and is_long(own, 0, 11)
        and of(own, 0, OPEN) < of(own, 1, LOW)
        and of(own, 1, CLOSE) + of(own, 1, BODY) * 0.5 < close < of(own, 1, OPEN)
    )
    return 100.0 if holds else 0.0


@jit_in_place
def engulfing(own: Floats) -> float:
    """A body that engulfs one of the other colour; 80 where they share an end."""
    opening, close = of(own, 0, OPEN), of(own, 0, CLOSE)
    before_open, before_close = of(own, 1, OPEN), of(own, 1, CLOSE)
    color = of(own, 0, COLOR)
    if color == of(own, 1, COLOR):
        return 0.0
    top, bottom = of(own, 0, TOP), of(own, 0, BOTTOM)
    outer, inner = of(own, 1, TOP), of(own, 1, BOTTOM)
    if not ((top >= outer and bottom < inner) or (top > outer and bottom <= inner)):
        return 0.0
    return color * (100.0 if opening != before_close and close != before_open else 80.0)


@jit_in_place
def _inside(own: Floats) -> float:
    # Against the colour before: 100 for a body inside the one before, 80 where they share an end.
    against = -of(own, 1, COLOR)
    top, bottom = of(own, 0, TOP), of(own, 0, BOTTOM)
    if top < of(own, 1, TOP) and bottom > of(own, 1, BOTTOM):
        return 100.0 * against
    if top <= of(own, 1, TOP) and bottom >= of(own, 1, BOTTOM):
        return 80.0 * against
    return 0.0


@jit_in_place
def harami(own: Floats) -> float:
    """A short body inside the long one before; 80 where they share an end."""
    if is_long(own, 1, 11) and of(own, 0, BODY) <= mean_body(own, 0, 11):
        return _inside(own)
    return 0.0


@jit_in_place
def haramicross(own: Floats) -> float:
    """A doji inside the long body before; 80 where they share an end."""
    return _inside(own) if is_long(own, 1, 11) and is_doji(own, 0, 11) else 0.0


@jit_in_place
def homingpigeon(own: Floats) -> float:
    """A short black body inside the long black one before."""
    holds = (
        is_black(own, 1)
        and is_black(own, 0)
        and is_long(own, 1, 11)
        and of(own, 0, BODY) <= mean_body(own, 0, 11)
        and of(own, 0, OPEN) < of(own, 1, OPEN)
        and of(own, 0, CLOSE) > of(own, 1, CLOSE)
    )
    return 100.0 if holds else 0.0


@jit_in_place
def _white_from_below(own: Floats) -> bool:
    # After a long black candle, a white one that opens below its low.
    return (
        is_black(own, 1)
        and is_long(own, 1, 11)
        and is_white(own, 0)
        and of(own, 0, OPEN) < of(own, 1, LOW)
    )


@jit_in_place
def inneck(own: Floats) -> float:
    """White after long black, from below its low to its close or slightly above."""
    before = of(own, 1, CLOSE)
    holds = _white_from_below(own) and before <= of(own, 0, CLOSE) <= before + equal(own, 1, 11)
    return -100.0 if holds else 0.0


@jit_in_place
def onneck(own: Floats) -> float:
    """White after long black, from below its low to its low."""
    holds = _white_from_below(own) and is_within(
        of(own, 0, CLOSE), of(own, 1, LOW), equal(own, 1, 11)
    )
    return -100.0 if holds else 0.0


@jit_in_place
def thrusting(own: Floats) -> float:
    """White after long black, from below its low into its body, up to the middle."""
    before = of(own, 1, CLOSE)
    close = of(own, 0, CLOSE)
    holds = (
        _white_from_below(own)
        and before + equal(own, 1, 11) < close <= before + of(own, 1, BODY) * 0.5
    )
    return -100.0 if holds else 0.0


@jit_in_place
def _is_marubozu(own: Floats, back: int) -> bool:
    limit = tenth(own, back, 11)
    return is_long(own, back, 11) and of(own, back, UPPER) < limit and of(own, back, LOWER) < limit


@jit_in_place
def _kicks(own: Floats) -> bool:
    # Two bodies without shadows, of opposite colours, with a gap in the direction of the second.
    if of(own, 1, COLOR) != -of(own, 0, COLOR):
        return False
    if not (_is_marubozu(own, 1) and _is_marubozu(own, 0)):
        return False
    if is_black(own, 1):
        return of(own, 0, LOW) > of(own, 1, HIGH)
    return of(own, 0, HIGH) < of(own, 1, LOW)


@jit_in_place
def kicking(own: Floats) -> float:
    """Two long bodies without shadows, of opposite colours, and a gap between them; told by the second."""
    return 100.0 * of(own, 0, COLOR) if _kicks(own) else 0.0


@jit_in_place
def kickingbylength(own: Floats) -> float:
    """As kicking, told by the longer body."""
    longer = 0 if of(own, 0, BODY) > of(own, 1, BODY) else 1
    return 100.0 * of(own, longer, COLOR) if _kicks(own) else 0.0


@jit_in_place
def matchinglow(own: Floats) -> float:
    """Two black candles with equal closes."""
    holds = (
        is_black(own, 1)
        and is_black(own, 0)
        and is_within(of(own, 0, CLOSE), of(own, 1, CLOSE), equal(own, 1, 6))
    )
    return 100.0 if holds else 0.0


@jit_in_place
def separatinglines(own: Floats) -> float:
    """Two candles of opposite colours with equal opens, the second long, without a shadow where it began."""
    shadow = of(own, 0, LOWER) if is_white(own, 0) else of(own, 0, UPPER)
    holds = (
        of(own, 1, COLOR) == -of(own, 0, COLOR)
        and is_within(of(own, 0, OPEN), of(own, 1, OPEN), equal(own, 1, 11))
        and is_long(own, 0, 11)
        and shadow < tenth(own, 0, 11)
    )
    return 100.0 * of(own, 0, COLOR) if holds else 0.0
