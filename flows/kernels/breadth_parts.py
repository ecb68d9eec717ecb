"""What each bar says to a universe: its direction against the previous session, new highs and lows."""

from typing import Any

import numpy as np

from flows.kernels.jit import jit
from flows.kernels.sessions import session_window
from schemas.arrays import Bools, Floats, Int32s, Int64s

# What stands for a time that has not come.
UNSET = np.iinfo(np.int64).min
# What stands for a direction that is not known.
UNKNOWN = 2

SESSION, LAST_END, SESSIONS_KEPT, NEXT_KEPT = range(4)
CLOSE, PREVIOUS, HIGH, LOW, KEPT_HIGH, KEPT_LOW = range(6)
WHOLE = 4
NUMBERS = 6


@jit
def add_bars(
    slots: Int64s,
    calendars: Any,
    times: Any,
    prices: Any,
    whole: Int64s,
    numbers: Floats,
    kept: Floats,
) -> tuple[Int32s, Bools, Bools]:
    """Take bars in, in order.

    Parameters
    ----------
    slots : numpy.ndarray of int64, shape (n,)
        Slot of each bar's symbol and interval.
    calendars : tuple of numpy.ndarray of int64
        Calendar of each bar, shape (n,); starts and bounds of all calendars' sessions.
    times : tuple of numpy.ndarray of int64, each of shape (n,)
        Start and end of each bar, ns.
    prices : tuple of numpy.ndarray of float64, each of shape (n,)
        High, low and close, NaN for null.
    whole, numbers : numpy.ndarray of int64 and float64, shapes (slots, `WHOLE`) and (slots, `NUMBERS`)
        State; changed. A slot begins with `UNSET`, 0 and NaN.
    kept : numpy.ndarray of float64, shape (slots, 2, sessions)
        Highs and lows of the last sessions; changed.

    Returns
    -------
    tuple of numpy.ndarray, each of shape (n,)
        Sign of the close less the previous session's close (`UNKNOWN` without both); whether the high is
        above all highs of the kept sessions and of this session so far, all sessions being known; the
        same of the low.
    """
    directions = np.empty(len(slots), dtype=np.int32)
    new_highs = np.zeros(len(slots), dtype=np.bool_)
    new_lows = np.zeros(len(slots), dtype=np.bool_)
    of_bar, starts, bounds = calendars
    start, end = times
    high, low, close = prices
    for i in range(len(slots)):
        slot = slots[i]
        state = whole[slot]
        number = numbers[slot]
        calendar = of_bar[i]
        session = session_window(starts, bounds[calendar], bounds[calendar + 1], start[i])[0]
        if session != state[SESSION]:
            _end_session(state, number, kept[slot])
            state[SESSION] = session
        full = state[SESSIONS_KEPT] == kept.shape[2]
        if full and high[i] > number[KEPT_HIGH] and not number[HIGH] >= high[i]:
            new_highs[i] = True
        if full and low[i] < number[KEPT_LOW] and not number[LOW] <= low[i]:
            new_lows[i] = True
        if not number[HIGH] >= high[i] and not np.isnan(high[i]):
            number[HIGH] = high[i]
        if not number[LOW] <= low[i] and not np.isnan(low[i]):
            number[LOW] = low[i]
        directions[i] = _direction(close[i], number[PREVIOUS])
        if not np.isnan(close[i]):
            number[CLOSE] = close[i]
        state[LAST_END] = max(state[LAST_END], end[i])
    return directions, new_highs, new_lows


@jit
def _direction(close: float, previous: float) -> int:
    if close > previous:
        return 1
    if close < previous:
        return -1
    return 0 if close == previous else UNKNOWN


@jit
def _end_session(state: Int64s, number: Floats, kept: Floats) -> None:
    """The session is over: keep its high, low and close."""
    if not np.isnan(number[CLOSE]):
        number[PREVIOUS] = number[CLOSE]
    if not np.isnan(number[HIGH]):
        sessions = kept.shape[1]
        kept[0, state[NEXT_KEPT]] = number[HIGH]
        kept[1, state[NEXT_KEPT]] = number[LOW]
        state[NEXT_KEPT] = (state[NEXT_KEPT] + 1) % sessions
        state[SESSIONS_KEPT] = min(state[SESSIONS_KEPT] + 1, sessions)
        number[KEPT_HIGH] = kept[0, 0]
        number[KEPT_LOW] = kept[1, 0]
        for j in range(1, state[SESSIONS_KEPT]):
            number[KEPT_HIGH] = max(number[KEPT_HIGH], kept[0, j])
            number[KEPT_LOW] = min(number[KEPT_LOW], kept[1, j])
    number[HIGH] = np.nan
    number[LOW] = np.nan


@jit
def pass_time(
    keys: Int64s, times: Int64s, lengths: Int64s, calendars: Any, whole: Int64s
) -> tuple[Int64s, Int64s, Int64s]:
    """Intervals that symbols have passed without a bar.

    Parameters
    ----------
    keys, times : numpy.ndarray of int64, shape (n,)
        Slot of a symbol, and up to when its time has passed, ns.
    lengths : numpy.ndarray of int64, shape (intervals,)
        Length of each interval, ns; 0 for the calendar's session.
    calendars : tuple of numpy.ndarray of int64
        Calendar of each of the symbols, shape (n,); starts and bounds of all calendars' sessions.
    whole : numpy.ndarray of int64, shape (slots, `WHOLE`)
        State of symbols and intervals; changed. A symbol without a bar yet is of no interest.

    Returns
    -------
    tuple of numpy.ndarray of int64, each of shape (m,)
        Which of the n, the interval, and the end of the last interval passed.
    """
    room = len(keys) * len(lengths)
    rows = np.empty(room, dtype=np.int64)
    intervals = np.empty(room, dtype=np.int64)
    ends = np.empty(room, dtype=np.int64)
    of_key, starts, bounds = calendars
    found = 0
    for i in range(len(keys)):
        for interval in range(len(lengths)):
            state = whole[keys[i] * len(lengths) + interval]
            if state[LAST_END] == UNSET:
                continue
            if lengths[interval]:
                end = times[i] // lengths[interval] * lengths[interval]
            else:
                at = of_key[i]
                end = session_window(starts, bounds[at], bounds[at + 1], times[i])[1]
            if end > state[LAST_END]:
                state[LAST_END] = end
                rows[found] = i
                intervals[found] = interval
                ends[found] = end
                found += 1
    return rows[:found], intervals[:found], ends[:found]
