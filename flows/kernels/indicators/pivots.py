"""Pivot points of the session before."""

import numpy as np

from flows.kernels.indicators.averages import QUOTE
from flows.kernels.indicators.declaration import CLOSE, HIGH, LOW, SESSION, Indicator
from flows.kernels.jit import jit_in_place
from schemas.arrays import Floats, Int64s

# Places in the state: whether a session has begun and which; its prices so far; whether one is complete, and
# its prices.
_STARTED, _SESSION, _HIGH, _LOW, _CLOSE, _COMPLETE, _TOP, _BOTTOM, _LAST = range(9)


@jit_in_place
def _pivots(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    parameters: Floats,  # noqa: ARG001 - the form of every kernel
    values: Floats,
) -> None:
    for i in range(len(slots)):
        own = state[slots[i]]
        high, low, close = bars[HIGH, i], bars[LOW, i], bars[CLOSE, i]
        for output in range(7):
            values[output, i] = np.nan
        if np.isnan(high) or np.isnan(low) or np.isnan(close):
            continue
        if own[_STARTED] == 0 or bars[SESSION, i] != own[_SESSION]:
            own[_COMPLETE] = own[_STARTED]
            own[_TOP], own[_BOTTOM], own[_LAST] = own[_HIGH], own[_LOW], own[_CLOSE]
            own[_STARTED] = 1.0
            own[_SESSION] = bars[SESSION, i]
            own[_HIGH], own[_LOW] = high, low
        own[_HIGH] = max(own[_HIGH], high)
        own[_LOW] = min(own[_LOW], low)
        own[_CLOSE] = close
        if own[_COMPLETE] == 0:
            continue
        top, bottom = own[_TOP], own[_BOTTOM]
        pivot = (top + bottom + own[_LAST]) / 3.0
        values[0, i] = pivot
        values[1, i] = 2.0 * pivot - bottom
        values[2, i] = 2.0 * pivot - top
        values[3, i] = pivot + (top - bottom)
        values[4, i] = pivot - (top - bottom)
        values[5, i] = top + 2.0 * (pivot - bottom)
        values[6, i] = bottom - 2.0 * (top - pivot)


PIVOTS = Indicator(
    name="pivots",
    inputs=("high", "low", "close", "session"),
    outputs=("_p", "_r1", "_s1", "_r2", "_s2", "_r3", "_s3"),
    warm_up=lambda: 1,
    width=lambda: 9,
    kernel=_pivots,
    definition=(
        "Standard pivot points of the calendar's session before: p = (high + low + close) / 3; r1 = 2p - low, "
        "s1 = 2p - high; r2, s2 = p plus, less the range; r3 = high + 2(p - low), s3 = low - 2(high - p). Null in "
        "the first session, so the warm-up is at least one bar."
    ),
    source="Floor traders' pivots; Stock.Indicators, pivot points (standard)",
    unit=QUOTE,
)
