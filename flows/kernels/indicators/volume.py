"""Volume: on-balance volume and the session's volume-weighted average price."""

import numpy as np

from flows.kernels.indicators.declaration import CLOSE, SESSION, VOLUME, VWAP, Indicator
from flows.kernels.jit import jit
from schemas.arrays import Floats, Int64s

# Places in the state.
_STARTED, _PREVIOUS, _BALANCE = 0, 1, 2
_SESSION, _TURNOVER, _VOLUME = 1, 2, 3


@jit
def _obv(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    at: int,
    parameters: Floats,  # noqa: ARG001 - the form of every kernel
    values: Floats,
    column: int,
) -> None:
    for i in range(len(slots)):
        slot = slots[i]
        close = bars[i, CLOSE]
        volume = bars[i, VOLUME]
        values[i, column] = np.nan
        if np.isnan(close) or np.isnan(volume):
            continue
        if state[slot, at + _STARTED] == 0:
            state[slot, at + _STARTED] = 1
            state[slot, at + _BALANCE] = volume
        elif close > state[slot, at + _PREVIOUS]:
            state[slot, at + _BALANCE] += volume
        elif close < state[slot, at + _PREVIOUS]:
            state[slot, at + _BALANCE] -= volume
        state[slot, at + _PREVIOUS] = close
        values[i, column] = state[slot, at + _BALANCE]


@jit
def _vwap_session(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    at: int,
    parameters: Floats,  # noqa: ARG001 - the form of every kernel
    values: Floats,
    column: int,
) -> None:
    for i in range(len(slots)):
        slot = slots[i]
        session = bars[i, SESSION]
        if state[slot, at + _STARTED] == 0 or session != state[slot, at + _SESSION]:
            state[slot, at + _STARTED] = 1
            state[slot, at + _SESSION] = session
            state[slot, at + _TURNOVER] = 0.0
            state[slot, at + _VOLUME] = 0.0
        if not (np.isnan(bars[i, VWAP]) or np.isnan(bars[i, VOLUME])):
            state[slot, at + _TURNOVER] += bars[i, VWAP] * bars[i, VOLUME]
            state[slot, at + _VOLUME] += bars[i, VOLUME]
        values[i, column] = np.nan
        if state[slot, at + _VOLUME] > 0:
            values[i, column] = state[slot, at + _TURNOVER] / state[slot, at + _VOLUME]


OBV = Indicator(
    name="obv",
    inputs=("close", "volume"),
    warm_up=lambda: 0,
    width=lambda: 3,
    kernel=_obv,
    definition=(
        "The first bar's volume, plus the volume of every later bar that closed higher than the one "
        "before, less that of every bar that closed lower."
    ),
    source="Granville (1963); TA-Lib 0.8, function OBV",
    unit="shares, contracts or coins",
)

VWAP_SESSION = Indicator(
    name="vwap_session",
    inputs=("vwap", "volume", "session"),
    warm_up=lambda: 0,
    width=lambda: 4,
    kernel=_vwap_session,
    definition=(
        "Volume-weighted mean price of all bars of the calendar's session so far, a bar being of the "
        "session in which it starts; null before the first volume. A bar without volume leaves it as it is."
    ),
    source="Sum of vwap times volume over sum of volume; no TA-Lib function",
    unit="quote currency",
)
