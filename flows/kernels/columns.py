"""Columns that go into Arrow arrays as they are: codes, numbers, bitmaps of what is defined."""

from typing import Any

import numpy as np

from flows.kernels.jit import jit
from flows.kernels.sessions import session_window
from schemas.arrays import Bytes, Floats, Int32s, Int64s


@jit
def bar_columns(bars: Any, count: int) -> tuple[Int32s, Int64s, Floats, Int64s, Bytes]:
    """The first `count` bars (`flows.kernels.bar_state.BAR`) by column.

    Returns
    -------
    tuple of numpy.ndarray
        Key and interval, shape (2, count); end, start and trade count, shape (3, count); open, high, low,
        close, volume, VWAP, buy and sell volume, shape (8, count), NaN for null. What `defined` says of
        these.
    """
    codes = np.empty((2, count), dtype=np.int32)
    integers = np.empty((3, count), dtype=np.int64)
    floats = np.empty((8, count), dtype=np.float64)
    for i in range(count):
        bar = bars[i]
        codes[0, i] = bar.key
        codes[1, i] = bar.interval
        integers[0, i] = bar.end
        integers[1, i] = bar.start
        integers[2, i] = bar.count
        floats[0, i] = bar.open
        floats[1, i] = bar.high
        floats[2, i] = bar.low
        floats[3, i] = bar.close
        floats[4, i] = bar.volume
        floats[5, i] = bar.vwap
        floats[6, i] = bar.buy
        floats[7, i] = bar.sell
    undefined, bitmap = defined(floats)
    return codes, integers, floats, undefined, bitmap


@jit
def defined(columns: Floats) -> tuple[Int64s, Bytes]:
    """Where columns of numbers are not finite, as counts and as Arrow's bitmap.

    Parameters
    ----------
    columns : numpy.ndarray of float64, shape (k, n)

    Returns
    -------
    tuple of numpy.ndarray
        Count for each column of what is not finite, shape (k,). Bitmap of all columns one after the other,
        shape (ceil(k * n / 8),): bit *i* modulo 8 of byte *i* // 8 is 1 where number *i* is finite.
    """
    bitmap = np.zeros((columns.size + 7) // 8, dtype=np.uint8)
    undefined = np.zeros(len(columns), dtype=np.int64)
    bit = 0
    for column in range(len(columns)):
        for i in range(columns.shape[1]):
            if np.isfinite(columns[column, i]):
                bitmap[bit >> 3] |= np.uint8(1 << (bit & 7))
            else:
                undefined[column] += 1
            bit += 1
    return undefined, bitmap


@jit
def wanted(codes: Int32s) -> tuple[Int64s, Int64s]:
    """Rows whose code is not negative, and their codes, each of shape (m,)."""
    rows = np.empty(len(codes), dtype=np.int64)
    found = np.empty(len(codes), dtype=np.int64)
    count = 0
    for i in range(len(codes)):
        if codes[i] >= 0:
            rows[count] = i
            found[count] = codes[i]
            count += 1
    return rows[:count], found[:count]


@jit
def bars_with_sessions(
    used: Int64s,
    keys: Int64s,
    columns: Any,
    ts_start: Int64s,
    calendars: Int64s,
    starts: Int64s,
    bounds: Int64s,
) -> Floats:
    """Columns of chosen bars, as the kernels of indicators take them.

    Parameters
    ----------
    used, keys : numpy.ndarray of int64, shape (m,)
        Which bars, and the slot of each one's key.
    columns : tuple of numpy.ndarray of float64, each of shape (n,)
        Columns of all bars, NaN for null.
    ts_start : numpy.ndarray of int64, shape (n,)
        Starts of all bars.
    calendars : numpy.ndarray of int64
        Calendar of each key.
    starts, bounds : numpy.ndarray of int64
        Calendar *c* has the sessions that begin at ``starts[bounds[c]:bounds[c + 1]]``.

    Returns
    -------
    numpy.ndarray of float64, shape (columns + 1, m)
        The columns, then the number of the session in which each bar starts.
    """
    width = len(columns)
    bars = np.empty((width + 1, len(used)))
    for column in range(width):
        values = columns[column]
        for i in range(len(used)):
            bars[column, i] = values[used[i]]
    for i in range(len(used)):
        at = calendars[keys[i]]
        bars[width, i] = session_window(starts, bounds[at], bounds[at + 1], ts_start[used[i]])[0]
    return bars


@jit
def repeated(
    used: Int64s, keys: Int64s, intervals: Int64s, times: Int64s, values: Floats
) -> tuple[Int32s, Int64s, Floats, Int64s, Bytes]:
    """Columns of rows that are the values of each bar in turn.

    Parameters
    ----------
    used, keys, intervals : numpy.ndarray of int64, shape (m,)
        Which bars, and the key and interval of each.
    times : numpy.ndarray of int64, shape (n,)
        Ends of all bars.
    values : numpy.ndarray of float64, shape (k, m)

    Returns
    -------
    tuple of numpy.ndarray
        Key, interval and number of the value, shape (3, m * k); time, shape (1, m * k); the values, shape
        (1, m * k), and what `defined` says of them.
    """
    outputs = len(values)
    rows = len(keys) * outputs
    codes = np.empty((3, rows), dtype=np.int32)
    ends = np.empty((1, rows), dtype=np.int64)
    turned = np.empty((1, rows), dtype=np.float64)
    at = 0
    for i in range(len(keys)):
        for output in range(outputs):
            codes[0, at] = keys[i]
            codes[1, at] = intervals[i]
            codes[2, at] = output
            ends[0, at] = times[used[i]]
            turned[0, at] = values[output, i]
            at += 1
    undefined, bitmap = defined(turned)
    return codes, ends, turned, undefined, bitmap
