"""Sides of trades and their spreads against the best quotes: one pass in order of event time.

A trade waits in its key's queue until its horizon is over; quotes wait in another while the lag lasts.
"""

from typing import Any

import numpy as np

from flows.kernels.jit import jit
from flows.kernels.queues import append, take_first
from schemas.arrays import Int32s, Int64s

NEVER = np.iinfo(np.int64).min

# How far from the middle, as a share of it, a price at it may be: price, bid, ask and their sum are each
# rounded to a double, so that one middle of cents in four is not the double nearest to it.
_ROUNDING = 2.0**-50

TRADES_INPUT, NBBO_INPUT = 0, 1

# Sides and rules as places in the dictionaries that they are written with.
BUY, SELL, NO_SIDE = 0, 1, -1
BY_QUOTE, BY_TICK, NO_RULE = 0, 1, -1
LAG_QUEUE_FULL, NO_FAULT = 0, -1
MEASURED, NO_SIDE_KNOWN, NO_QUOTE_BEFORE, NO_QUOTE_AFTER, QUEUE_FULL = range(5)

# A key: how many trades it had, the last price and the side that the last change of price says; the best
# quotes now; those before the lag, and the time of the newest that came there before its lag was over.
KEY = np.dtype(
    [
        ("number", "i8"),
        ("price", "f8"),
        ("tick", "i8"),
        ("bid", "f8"),
        ("ask", "f8"),
        ("time", "i8"),
        ("lagged_bid", "f8"),
        ("lagged_ask", "f8"),
        ("lagged_time", "i8"),
        ("cut", "i8"),
    ]
)

# A quote that is younger than the lag.
QUOTE = np.dtype([("next", "i8"), ("time", "i8"), ("bid", "f8"), ("ask", "f8")])

# A trade whose horizon is not over.
WAITING = np.dtype(
    [
        ("next", "i8"),
        ("time", "i8"),
        ("number", "i8"),
        ("price", "f8"),
        ("size", "f8"),
        ("side", "i8"),
        ("mid", "f8"),
    ]
)

# What a pass has written so far.
SIGNS_AT, IMPACTS_AT = 0, 1


def new_keys(count: int) -> Any:
    """State of keys before their first row."""
    keys = np.zeros(count, KEY)
    for name in ("price", "bid", "ask", "lagged_bid", "lagged_ask"):
        keys[name] = np.nan
    keys["tick"] = NO_SIDE
    for name in ("time", "lagged_time", "cut"):
        keys[name] = NEVER
    return keys


@jit
def add_steps(
    first: int,
    input_index: Int32s,
    row_index: Int64s,
    trades: Any,
    quotes: Any,
    spec: Any,
    state: Any,
    out: Any,
) -> int:
    """Take trades and best quotes in, in their merged order, from step `first` on.

    Parameters
    ----------
    first : int
        Step to begin with.
    input_index, row_index : numpy.ndarray
        Step *i* is row ``row_index[i]`` of the trades (`TRADES_INPUT`) or the quotes.
    trades : tuple of numpy.ndarray
        Slot, time (ns), price, size, and whether the row is a trade that is signed.
    quotes : tuple of numpy.ndarray
        Slot, time (ns), bid and ask, NaN for null.
    spec : tuple of int
        Lag, horizon (ns), bounds of a key's waiting quotes and trades.
    state : tuple
        Keys (KEY), and ``arguments`` of the queues of quotes and of trades; changed.
    out : tuple
        Rows (SIGN), rows (IMPACT), counts of both; changed.

    Returns
    -------
    int
        The step to go on with: n, or less where a part of `out` or a pool of waiting records is full.
    """
    lag, horizon, quotes_max, trades_max = spec
    keys, young, young_pool, young_free, waiting, waiting_pool, waiting_free = state
    signs, impacts, counts = out
    trade_slots, trade_times, prices, sizes, is_signed = trades
    quote_slots, quote_times, bids, asks = quotes
    for i in range(first, len(input_index)):
        row = row_index[i]
        is_trade = input_index[i] == TRADES_INPUT
        slot = trade_slots[row] if is_trade else quote_slots[row]
        time = trade_times[row] if is_trade else quote_times[row]
        key = keys[slot]
        if not _end_horizons(
            slot, key, time, horizon, waiting, waiting_pool, waiting_free, impacts, counts
        ):
            return i
        if lag > 0:
            _end_lags(slot, key, time - lag, young, young_pool, young_free)
        if not is_trade:
            key.bid = bids[row]
            key.ask = asks[row]
            key.time = time
            if lag > 0:
                if young[slot].count >= quotes_max:
                    key.cut = young_pool[young[slot].first].time
                    _apply_first(slot, key, young, young_pool, young_free)
                at = append(young, young_pool, young_free, slot)
                if at < 0:
                    return i
                young_pool[at].time = time
                young_pool[at].bid = key.bid
                young_pool[at].ask = key.ask
            continue
        if not is_signed[row]:
            continue
        if counts[SIGNS_AT] == len(signs) or counts[IMPACTS_AT] == len(impacts):
            return i
        is_full = waiting[slot].count >= trades_max
        at = -1
        if not is_full:
            at = append(waiting, waiting_pool, waiting_free, slot)
            if at < 0:
                return i
        sign = signs[counts[SIGNS_AT]]
        sign.row = row
        sign.key = slot
        _sign(key, prices[row], sign, lag > 0)
        sign.fault = LAG_QUEUE_FULL if lag > 0 and key.cut >= time - lag else NO_FAULT
        counts[SIGNS_AT] += 1
        if is_full:
            impact = impacts[counts[IMPACTS_AT]]
            _write(impact, slot, sign.number, time, prices[row], sizes[row], sign.side, sign.mid)
            impact.time = time
            impact.status = QUEUE_FULL
            counts[IMPACTS_AT] += 1
        else:
            one = waiting_pool[at]
            one.time = time
            one.number = sign.number
            one.price = prices[row]
            one.size = sizes[row]
            one.side = sign.side
            one.mid = sign.mid
    return len(input_index)


@jit
def pass_time(first: int, slots: Int64s, times: Int64s, spec: Any, state: Any, out: Any) -> int:
    """Take watermark rows in, from `first` on: horizons that are over by each key's time.

    Parameters and the value returned are those of `add_steps`.
    """
    _, horizon, _, _ = spec
    keys, _, _, _, waiting, waiting_pool, waiting_free = state
    _, impacts, counts = out
    for i in range(first, len(slots)):
        slot = slots[i]
        if not _end_horizons(
            slot,
            keys[slot],
            times[i],
            horizon,
            waiting,
            waiting_pool,
            waiting_free,
            impacts,
            counts,
        ):
            return i
    return len(slots)


@jit
def middle(bid: float, ask: float) -> float:
    """Middle of bid and ask; NaN where one is missing or they are crossed."""
    return bid / 2.0 + ask / 2.0 if bid <= ask else np.nan


@jit
def _sign(key: Any, price: float, sign: Any, is_lagged: bool) -> None:  # noqa: FBT001 - a kernel
    bid = key.lagged_bid if is_lagged else key.bid
    ask = key.lagged_ask if is_lagged else key.ask
    mid = middle(bid, ask)
    # A comparison with NaN is false: the first price is no change.
    if price > key.price:
        key.tick = BUY
    elif price < key.price:
        key.tick = SELL
    key.price = price
    key.number += 1
    side = key.tick
    rule = BY_TICK if side != NO_SIDE else NO_RULE
    away = price - mid
    if abs(away) > _ROUNDING * mid:
        side = BUY if away > 0.0 else SELL
        rule = BY_QUOTE
    sign.number = key.number
    sign.quote_time = key.lagged_time if is_lagged else key.time
    sign.side = side
    sign.rule = rule
    sign.tick = key.tick
    sign.bid = bid
    sign.ask = ask
    sign.mid = mid
    sign.quoted = ask - bid if not np.isnan(mid) else np.nan
    sign.effective = 2.0 * _direction(side) * (price - mid)


@jit
def _direction(side: int) -> float:
    # Not known gives NaN, as everything that is computed from it.
    if side == NO_SIDE:
        return np.nan
    return 1.0 if side == BUY else -1.0


@jit
def _end_horizons(
    slot: int,
    key: Any,
    time: int,
    horizon: int,
    waiting: Any,
    pool: Any,
    free: Int64s,
    impacts: Any,
    counts: Int64s,
) -> bool:
    # Write out the trades whose horizon ended before a time; false where there is no room left.
    while waiting[slot].count > 0:
        one = pool[waiting[slot].first]
        # A quote of the very end of the horizon still counts.
        if one.time + horizon >= time:
            return True
        if counts[IMPACTS_AT] == len(impacts):
            return False
        impact = impacts[counts[IMPACTS_AT]]
        _write(impact, slot, one.number, one.time, one.price, one.size, one.side, one.mid)
        impact.time = one.time + horizon
        impact.mid_after = middle(key.bid, key.ask)
        direction = _direction(one.side)
        impact.realized = 2.0 * direction * (one.price - impact.mid_after)
        impact.impact = 2.0 * direction * (impact.mid_after - one.mid)
        impact.status = MEASURED
        if one.side == NO_SIDE:
            impact.status = NO_SIDE_KNOWN
        elif np.isnan(one.mid):
            impact.status = NO_QUOTE_BEFORE
        elif np.isnan(impact.mid_after):
            impact.status = NO_QUOTE_AFTER
        counts[IMPACTS_AT] += 1
        take_first(waiting, pool, free, slot)
    return True


@jit
def _write(
    impact: Any,
    slot: int,
    number: int,
    time: int,
    price: float,
    size: float,
    side: int,
    mid: float,
) -> None:
    impact.key = slot
    impact.number = number
    impact.trade_time = time
    impact.price = price
    impact.size = size
    impact.side = side
    impact.mid = mid
    impact.mid_after = np.nan
    impact.effective = 2.0 * _direction(side) * (price - mid)
    impact.realized = np.nan
    impact.impact = np.nan


@jit
def _end_lags(slot: int, key: Any, before: int, young: Any, pool: Any, free: Int64s) -> None:
    # Quotes from before a time have come to be the ones that trades are held against.
    while young[slot].count > 0 and pool[young[slot].first].time < before:
        _apply_first(slot, key, young, pool, free)


@jit
def _apply_first(slot: int, key: Any, young: Any, pool: Any, free: Int64s) -> None:
    first = pool[young[slot].first]
    key.lagged_bid = first.bid
    key.lagged_ask = first.ask
    key.lagged_time = first.time
    take_first(young, pool, free, slot)
