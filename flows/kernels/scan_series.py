"""Series that criteria of the scanner look back on: the session so far, windows of bars and of sessions.

Declared and computed as indicators are (`flows.kernels.indicators.declaration`), and no indicators: they have
no names of their own, the criteria name their outputs.
"""

import numpy as np

from flows.kernels.indicators.declaration import (
    CLOSE,
    HIGH,
    LOW,
    OPEN,
    SESSION,
    VOLUME,
    Indicator,
    Parameter,
)
from flows.kernels.jit import jit
from schemas.arrays import Floats, Int64s

_INPUTS = ("open", "high", "low", "close", "volume", "session")
_SOURCE = "this platform"
# A longer window is an indicator's business: these look through the whole window at each step.
_LONGEST = 2_520

SESSION_OUTPUTS = (
    "session_open",
    "session_high",
    "session_low",
    "session_volume",
    "session_bars",
    "previous_open",
    "previous_high",
    "previous_low",
    "previous_close",
    "previous_volume",
    "up_bars",
    "down_bars",
)
_NOW = 5
_BEFORE = 5


@jit
def _lacks(bars: Floats, i: int) -> bool:
    """Whether a bar has no prices."""
    return bool(
        np.isnan(bars[OPEN, i])
        or np.isnan(bars[HIGH, i])
        or np.isnan(bars[LOW, i])
        or np.isnan(bars[CLOSE, i])
    )


@jit
def _session(
    bars: Floats,
    slots: Int64s,
    state: Floats,
    parameters: Floats,  # noqa: ARG001 - the contract of indicators
    values: Floats,
) -> None:
    for i in range(len(slots)):
        values[:, i] = np.nan
        if _lacks(bars, i):
            continue
        own = state[slots[i]]
        # Started, session, close; the session so far; the one before; runs of rising and falling closes.
        now = own[3 : 3 + _NOW]
        before = own[3 + _NOW : 3 + _NOW + _BEFORE]
        runs = own[3 + _NOW + _BEFORE :]
        close = bars[CLOSE, i]
        if own[0] == 0.0 or own[1] != bars[SESSION, i]:
            if own[0] > 0.0:
                before[0], before[1], before[2], before[4] = now[0], now[1], now[2], now[3]
                before[3] = own[2]
            own[0] += 1.0
            own[1] = bars[SESSION, i]
            now[0], now[1], now[2] = bars[OPEN, i], bars[HIGH, i], bars[LOW, i]
            now[3] = now[4] = 0.0
        now[1] = max(now[1], bars[HIGH, i])
        now[2] = min(now[2], bars[LOW, i])
        now[3] += bars[VOLUME, i]
        now[4] += 1.0
        if runs[2] > 0.0:
            runs[0] = runs[0] + 1.0 if close > own[2] else 0.0
            runs[1] = runs[1] + 1.0 if close < own[2] else 0.0
            values[_NOW + _BEFORE, i] = runs[0]
            values[_NOW + _BEFORE + 1, i] = runs[1]
        runs[2] = 1.0
        own[2] = close
        values[:_NOW, i] = now
        if own[0] > 1.0:
            values[_NOW : _NOW + _BEFORE, i] = before


@jit
def _window(bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats) -> None:
    n = int(parameters[0])
    for i in range(len(slots)):
        values[:, i] = np.nan
        if _lacks(bars, i):
            continue
        own = state[slots[i]]
        ring = own[1:].reshape(4, n)
        count = int(own[0])
        at = count % n
        if count >= n:
            # What is about to be written over is as far back as the window is long.
            values[0, i] = ring[0, at]
            total = 0.0
            for j in range(n):
                total += ring[3, (at + j) % n]
            values[3, i] = total / n
        ring[0, at], ring[1, at] = bars[CLOSE, i], bars[HIGH, i]
        ring[2, at], ring[3, at] = bars[LOW, i], bars[VOLUME, i]
        own[0] = count + 1
        if count + 1 >= n:
            values[1, i] = ring[1].max()
            values[2, i] = ring[2].min()


@jit
def _sessions(
    bars: Floats, slots: Int64s, state: Floats, parameters: Floats, values: Floats
) -> None:
    n = int(parameters[0])
    for i in range(len(slots)):
        values[:, i] = np.nan
        if _lacks(bars, i):
            continue
        own = state[slots[i]]
        # Started, session, count of sessions that are over; this session; what is told; their rings.
        now = own[3:7]
        told = own[7:11]
        if own[0] == 0.0 or own[1] != bars[SESSION, i]:
            if own[0] > 0.0:
                _end_session(own, own[11:].reshape(4, n), now, told)
            own[0] = 1.0
            own[1] = bars[SESSION, i]
            now[1], now[2], now[3] = bars[HIGH, i], bars[LOW, i], 0.0
        now[0] = bars[CLOSE, i]
        now[1] = max(now[1], bars[HIGH, i])
        now[2] = min(now[2], bars[LOW, i])
        now[3] += bars[VOLUME, i]
        if own[2] >= n:
            values[:, i] = told


@jit
def _end_session(own: Floats, ring: Floats, now: Floats, told: Floats) -> None:
    n = ring.shape[1]
    count = int(own[2])
    ring[:, count % n] = now
    own[2] = count + 1
    if count + 1 < n:
        return
    oldest = (count + 1) % n
    total = 0.0
    for j in range(n):
        total += ring[3, (oldest + j) % n]
    told[0] = ring[0, oldest]
    told[1] = ring[1].max()
    told[2] = ring[2].min()
    told[3] = total / n


def _length(name: str) -> tuple[Parameter, ...]:
    return (Parameter(name=name, default=20, minimum=1, maximum=_LONGEST),)


SESSION_SERIES = Indicator(
    name="session",
    inputs=_INPUTS,
    outputs=SESSION_OUTPUTS,
    warm_up=lambda: 0,
    width=lambda: 3 + _NOW + _BEFORE + 3,
    kernel=_session,
    definition="The session so far, the session before, and runs of rising and falling closes.",
    source=_SOURCE,
    unit="as the criteria say",
)
WINDOW_SERIES = Indicator(
    name="window",
    parameters=_length("bars"),
    inputs=_INPUTS,
    outputs=("close_ago", "high", "low", "average_volume"),
    warm_up=lambda n: n,
    width=lambda n: 1 + 4 * n,
    kernel=_window,
    definition="The last n bars: the close before them, their high and low, the mean volume before.",
    source=_SOURCE,
    unit="as the criteria say",
)
SESSIONS_SERIES = Indicator(
    name="sessions",
    parameters=_length("sessions"),
    inputs=_INPUTS,
    outputs=("close_ago", "high", "low", "average_volume"),
    warm_up=lambda n: n,
    width=lambda n: 11 + 4 * n,
    kernel=_sessions,
    definition="The n sessions before this one: the first one's close, their high, low and mean volume.",
    source=_SOURCE,
    unit="as the criteria say",
)
