"""Bars of symbols paired with those of their benchmarks; beta and correlation over the last pairs.

A *lane* is one benchmark and interval, a *slot* one symbol and interval. A symbol's bar waits in its slot's
queue until its lane's frontier has reached its end; then it is paired with the benchmark's bar of the same end, or
with none.
"""

from typing import Any

import numpy as np

from flows.kernels.jit import jit
from schemas.arrays import Floats, Int64s

# Before every time.
NEVER = np.iinfo(np.int64).min


@jit
def take_bars(slots: Int64s, ends: Int64s, closes: Floats, lanes: Int64s, state: Any) -> Any:
    """Take bars of symbols in; give slot, end, beta and correlation of those that need not wait.

    Parameters
    ----------
    slots, ends : numpy.ndarray of int64, shape (n,)
    closes : numpy.ndarray of float64, shape (n,)
        NaN for null.
    lanes : numpy.ndarray of int64, shape (slots,)
        Lane of each slot, -1 for one without a benchmark.
    state : tuple
        Arrays of `flows.relative.Pairs`.
    """
    counts, queue_ends, queue_closes, _, frontiers, _, _, _, _ = state
    # Each bar lets at most one go: itself, or the one that it drives out of a full queue.
    out_slots = np.empty(len(slots), dtype=np.int64)
    out_ends = np.empty(len(slots), dtype=np.int64)
    out = np.empty((2, len(slots)))
    written = 0
    room = queue_ends.shape[1]
    for i in range(len(slots)):
        slot, lane = slots[i], lanes[slots[i]]
        end, close = ends[i], closes[i]
        if counts[slot, 1] > 0 or frontiers[lane] < end:
            head, waiting = counts[slot, 0], counts[slot, 1]
            place = (head + waiting) % room
            if waiting < room:
                queue_ends[slot, place] = end
                queue_closes[slot, place] = close
                counts[slot, 1] = waiting + 1
                continue
            # The oldest has waited for its benchmark too long.
            out_slots[written], out_ends[written] = slot, queue_ends[slot, head]
            out[0, written] = out[1, written] = np.nan
            queue_ends[slot, head] = end
            queue_closes[slot, head] = close
            counts[slot, 0] = (head + 1) % room
        else:
            out_slots[written], out_ends[written] = slot, end
            out[0, written], out[1, written] = _compared(slot, lane, end, close, state)
        written += 1
    return out_slots[:written], out_ends[:written], out[:, :written].copy()


@jit
def waiting_in(lanes: Int64s, counts: Int64s, lane: int) -> int:
    """How many bars wait for a lane."""
    total = 0
    for slot in range(len(lanes)):
        if lanes[slot] == lane:
            total += counts[slot, 1]
    return total


@jit
def pass_time(told: Int64s, ends: Int64s, closes: Floats, lanes: Int64s, state: Any) -> Any:
    """Move lanes' frontiers, by bars of benchmarks (or by time alone, with NaN closes); give as `take_bars` does.

    Parameters
    ----------
    told, ends : numpy.ndarray of int64, shape (n,)
        Which lanes, and up to when.
    """
    counts, queue_ends, queue_closes, _, frontiers, _, _, _, _ = state
    total = 0
    for lane in range(len(frontiers)):
        total += waiting_in(lanes, counts, lane)
    out_slots = np.empty(total, dtype=np.int64)
    out_ends = np.empty(total, dtype=np.int64)
    out = np.empty((2, total))
    written = 0
    room = queue_ends.shape[1]
    for i in range(len(told)):
        lane = told[i]
        if ends[i] <= frontiers[lane]:
            continue
        frontiers[lane] = ends[i]
        if not np.isnan(closes[i]):
            _remember(lane, ends[i], closes[i], state)
        for slot in range(len(lanes)):
            if lanes[slot] != lane:
                continue
            while counts[slot, 1] > 0 and queue_ends[slot, counts[slot, 0]] <= ends[i]:
                head = counts[slot, 0]
                end, close = queue_ends[slot, head], queue_closes[slot, head]
                counts[slot, 0] = (head + 1) % room
                counts[slot, 1] -= 1
                out_slots[written], out_ends[written] = slot, end
                out[0, written], out[1, written] = _compared(slot, lane, end, close, state)
                written += 1
    return out_slots[:written], out_ends[:written], out[:, :written].copy()


@jit
def _remember(lane: int, end: int, close: float, state: Any) -> None:
    _, _, _, _, _, lane_counts, lane_ends, lane_closes, _ = state
    place = lane_counts[lane] % lane_ends.shape[1]
    lane_ends[lane, place] = end
    lane_closes[lane, place] = close
    lane_counts[lane] += 1


@jit
def _benchmark_at(lane: int, end: int, state: Any) -> float:
    # Close of the benchmark's bar with that end, NaN where there is none (any more).
    _, _, _, _, _, lane_counts, lane_ends, lane_closes, _ = state
    room = lane_ends.shape[1]
    high = lane_counts[lane]
    low = max(high - room, 0)
    while low < high:
        middle = (low + high) // 2
        if lane_ends[lane, middle % room] < end:
            low = middle + 1
        else:
            high = middle
    if low < lane_counts[lane] and lane_ends[lane, low % room] == end:
        found: float = lane_closes[lane, low % room]
        return found
    return np.nan


@jit
def _compared(slot: int, lane: int, end: int, close: float, state: Any) -> tuple[float, float]:
    counts, _, _, pairs, _, _, _, _, periods = state
    benchmark = _benchmark_at(lane, end, state)
    if np.isnan(close) or np.isnan(benchmark):
        return np.nan, np.nan
    room = pairs.shape[2]
    place = counts[slot, 2] % room
    pairs[slot, 0, place] = benchmark
    pairs[slot, 1, place] = close
    counts[slot, 2] += 1
    known = counts[slot, 2]
    beta = correlation = np.nan
    if known > periods[0]:
        beta = _beta(pairs[slot], known, periods[0])
    if known >= periods[1]:
        correlation = _correlation(pairs[slot], known, periods[1])
    return beta, correlation


@jit
def _beta(pairs: Floats, known: int, period: int) -> float:
    # As TA-Lib's BETA: slope of returns, 0 for a benchmark that did not move.
    room = pairs.shape[1]
    means = np.zeros(2)
    for k in range(known - period, known):
        for which in range(2):
            before = pairs[which, (k - 1) % room]
            means[which] += (pairs[which, k % room] - before) / before / period
    above = below = 0.0
    for k in range(known - period, known):
        before_x, before_y = pairs[0, (k - 1) % room], pairs[1, (k - 1) % room]
        x = (pairs[0, k % room] - before_x) / before_x - means[0]
        y = (pairs[1, k % room] - before_y) / before_y - means[1]
        above += x * y
        below += x * x
    return above / below if below > 0.0 else 0.0


@jit
def _correlation(pairs: Floats, known: int, period: int) -> float:
    # As TA-Lib's CORREL: of prices, 0 where either did not move.
    room = pairs.shape[1]
    mean_x = mean_y = 0.0
    for k in range(known - period, known):
        mean_x += pairs[0, k % room] / period
        mean_y += pairs[1, k % room] / period
    xx = yy = xy = 0.0
    for k in range(known - period, known):
        x, y = pairs[0, k % room] - mean_x, pairs[1, k % room] - mean_y
        xx += x * x
        yy += y * y
        xy += x * y
    if xx > 0.0 and yy > 0.0:
        found: float = xy / np.sqrt(xx * yy)
        return max(-1.0, min(1.0, found))
    return 0.0
