"""Times of day as files give them, in New York or elsewhere, to nanoseconds UTC, exactly."""

from datetime import UTC, date, datetime, tzinfo
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from connectors.feeds.source import FeedError
from schemas.arrays import Bools, Int64s
from schemas.field import TIMESTAMP

DAY_NS = 86_400_000_000_000
# Seconds with up to nine decimals; 28 digits hold any time of day and any time since 1970.
DECIMAL_SECONDS = pa.decimal128(28, 9)
# 1 January 1900, and 31 December 2261.
_FIRST_DAY, _LAST_DAY = -25_567, 106_650
_NEW_YORK = ZoneInfo("America/New_York")


def new_york_midnight(text: str) -> int:
    """Midnight in New York of a date such as ``2012-06-21`` or ``20120621``, ns since 1970 UTC.

    Times of day are counted from it as elapsed time; US markets are closed on the days on which the
    clocks change.
    """
    return midnight(text, _NEW_YORK)


def midnight(text: str, zone: tzinfo) -> int:
    """Midnight of a date such as ``2012-06-21`` or ``20120621`` in a time zone, ns since 1970 UTC."""
    try:
        day = date.fromisoformat(text)
    except ValueError as error:
        raise FeedError(f"{text!r} in a file name is no date: {error}") from error
    return _midnight(day, zone)


def new_york_midnights(days: Int64s) -> Int64s:
    """Midnight in New York of each day, given as days since 1970; ns since 1970 UTC, shape (n,)."""
    distinct, at = np.unique(days, return_inverse=True)
    first = date(1970, 1, 1).toordinal()
    found = [_midnight(date.fromordinal(first + day), _NEW_YORK) for day in distinct.tolist()]
    midnights: Int64s = np.array(found, np.int64)[at]
    return midnights


def no_days(days: Int64s) -> Bools:
    """Which days since 1970 have no midnights, at both ends, in int64 nanoseconds since 1900."""
    return (days < _FIRST_DAY) | (days > _LAST_DAY)


@cache
def _midnight(day: date, zone: tzinfo) -> int:
    begins = datetime(day.year, day.month, day.day, tzinfo=zone)
    return int(begins.astimezone(UTC).timestamp()) * 1_000_000_000


def milliseconds(columns: pa.RecordBatch, midnight_ns: int) -> tuple[pa.Array, dict[str, Bools]]:
    """The times in column ``ms``, counted from midnight; and by reason the rows whose time is none."""
    ms = columns.column("ms").to_numpy(zero_copy_only=False)
    outside = (ms < 0) | (ms >= DAY_NS // 1_000_000)
    refused = {"column ms: milliseconds since midnight, 0 to 86399999, were needed": outside}
    ns = midnight_ns + np.where(outside, 0, ms) * 1_000_000
    return pa.array(ns).view(TIMESTAMP), refused


def decimal_to_int64(values: pa.Decimal128Array) -> tuple[Int64s, Bools]:
    """The unscaled integers of decimals: nanoseconds, for seconds of scale 9 or milliseconds of scale 6.

    Exact, where a way over float64 would lose the last digits.

    Parameters
    ----------
    values : pyarrow.Array of decimal128, shape (n,)
        Any.

    Returns
    -------
    tuple of numpy.ndarray, each of shape (n,)
        The int64 values, 0 where null or too large; and where they were too large.
    """
    if len(values) == 0:
        return np.empty(0, np.int64), np.empty(0, np.bool_)
    # 16 bytes little-endian each: the low half is the int64 wherever the high half only repeats its sign.
    words = np.frombuffer(values.buffers()[1], np.int64)[2 * values.offset :][: 2 * len(values)]
    low, high = words[::2], words[1::2]
    valid = values.is_valid().to_numpy(zero_copy_only=False)
    outside = valid & (high != low >> 63)
    return np.where(valid & ~outside, low, 0), outside
