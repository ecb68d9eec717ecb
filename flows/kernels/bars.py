"""Time bars from trades: one pass in log order over explicit state.

`flows.kernels.bar_state` says what the arrays hold. Nothing here depends on where the rows were cut into
batches: every sum runs strictly from left to right within its window.

Helpers take single arrays, not the tuples they are in: a tuple handed on costs a reference count for each
of its arrays, which is dear beside the few nanoseconds that a trade takes.
"""

from typing import Any

import numpy as np

from flows.kernels.bar_state import BARS_AT, CORRECTIONS_AT, ENDLESS, LATE_AT, REVISED_AT
from flows.kernels.bar_windows import (
    NEW,
    add_to_window,
    bar_of_window,
    empty_window,
    window_of,
)
from flows.kernels.corrected_windows import recompute
from flows.kernels.corrections import OFF, compute_corrected, correct, make_way
from flows.kernels.jit import jit
from flows.kernels.kept_trades import BLOCK, FREE_COUNT, append, drop_done, marks_of, name_of
from flows.kernels.sessions import session_window
from schemas.arrays import Bools, Floats, Int32s, Int64s


@jit
def add_trades(
    first: int,
    slots: Int64s,
    times: Int64s,
    prices: Floats,
    sizes: Floats,
    sides: Int32s,
    actions: Int32s,
    updates_high_low: Bools,
    updates_last: Bools,
    updates_volume: Bools,
    limits: Any,
    spec: Any,
    out: Any,
    state: Any,
    named: Any,
    kept: Any,
    revised: Any,
) -> int:
    """Take trades in, from row `first` on, and write out the bars that close.

    Parameters
    ----------
    first : int
        Row to begin with.
    slots, times, prices, sizes, sides, actions, updates_high_low, updates_last, updates_volume
        Columns of the trades, shape (n,): slot of the key, ns since 1970 UTC, price, quantity, codes.
    limits : tuple
        Most entries of a key, horizon in ns, whether trades without a name are kept, whether none is.
    spec, out, state : tuple
        ``arguments`` of `Spec`, `Written` and `BarState`; all but the first are changed.
    named : tuple of numpy.ndarray, or None
        Venue, offsets and text of trade_id and of ref_trade_id, ts_ref, whether there is one. None where the
        batch has no trade to keep: its kernel then has no code for that.
    kept, revised : tuple, or None
        ``arguments`` of `KeptTrades` and ``revised`` of `Written`, which are changed; None where `named` is.

    Returns
    -------
    int
        The row to go on with: n, or less where a part of `out` is full, no block free to keep trades in, or
        `named` is None and needed for a correction. Nothing of that row was added.
    """
    lengths, rings, starts, bounds, lateness, fill_limit = spec
    keys, pairs, windows = state
    bars, late, corrections, written = out
    limit, horizon, keep_all, keep_none = limits
    if named is not None:
        venues, id_offsets, id_text, ref_offsets, ref_text, ts_refs, told_refs = named
        queues, pool, blocks, info = kept
        entries = revised[3]
    intervals = len(lengths)
    ring = len(windows) // max(len(pairs), 1)
    for i in range(first, len(slots)):
        if written[LATE_AT] + intervals > len(late):
            return i
        if named is not None and info[FREE_COUNT] < 2 + intervals // BLOCK:
            return i
        slot = slots[i]
        time = times[i]
        key = keys[slot]
        # The row's own advance cannot make it late: its windows end after its time.
        key.frontier = max(key.frontier, time - lateness)
        frontier = key.frontier
        # Its windows are not among those that close now, for the same reason.
        if frontier >= key.next_end and not _close(
            slot,
            lengths,
            rings,
            starts,
            bounds,
            fill_limit,
            keys,
            pairs,
            windows,
            bars,
            written,
            kept,
        ):
            return i
        price = prices[i]
        size = sizes[i]
        side = sides[i]
        high_low = updates_high_low[i]
        last = updates_last[i]
        volume = updates_volume[i]
        if actions[i] != NEW:
            full = written[REVISED_AT] + intervals > len(late)
            if full or written[CORRECTIONS_AT] == len(corrections):
                return i
            reason = OFF
            if named is None and not keep_none:
                return i
            if named is not None:
                entry = entries[0]
                entry.name_low, entry.name_high = name_of(ref_offsets, ref_text, i)
                entry.price = price
                entry.size = size
                entry.venue = venues[i]
                entry.marks = marks_of(side, high_low, last, volume)
                own = entries[2]
                own.name_low, own.name_high = name_of(id_offsets, id_text, i)
                reason = correct(
                    slot,
                    actions[i],
                    ts_refs[i],
                    told_refs[i],
                    limits,
                    spec,
                    state,
                    kept,
                    revised,
                    i,
                )
            if reason != 0:
                unapplied = corrections[written[CORRECTIONS_AT]]
                unapplied.row = i
                unapplied.reason = reason
                written[CORRECTIONS_AT] += 1
            continue
        if named is not None:
            low, high = name_of(id_offsets, id_text, i)
            if high == 0 and not keep_all:
                # Windows cannot be computed again once it is in them, nor from what is kept without it.
                compute_corrected(slot, keys, windows, queues, pool, blocks)
            elif queues[slot].count >= limit or frontier >= queues[slot].check_at:
                # Before it is in its windows, as they are then what is kept makes them.
                make_way(
                    slot,
                    limit,
                    horizon,
                    keys,
                    windows,
                    queues,
                    pool,
                    blocks,
                    info,
                    lengths,
                    starts,
                    bounds,
                )
        late_before = written[LATE_AT]
        for j in range(intervals):
            pair = slot * intervals + j
            # Without lateness a ring has one place: a load and a division less for each trade and interval.
            at = pair if ring == 1 else pair * ring + pairs[pair].place
            window = windows[at]
            if not window.start <= time < window.end:
                number, start, end = window_of(time, lengths[j], key.calendar, starts, bounds)
                if end <= frontier:
                    missed = late[written[LATE_AT]]
                    missed.row = i
                    missed.interval = j
                    missed.end = end
                    missed.frontier = frontier
                    written[LATE_AT] += 1
                    continue
                place = 0 if ring == 1 else number % rings[j]
                pairs[pair].place = place
                window = windows[pair * ring + place]
                if window.count == 0:
                    empty_window(window, start, end)
                    pairs[pair].next_end = min(pairs[pair].next_end, end)
                    key.next_end = min(key.next_end, end)
            add_to_window(window, price, size, side, high_low, last, volume)
        for at in range(late_before, written[LATE_AT]):
            late[at].used = written[LATE_AT] - late_before < intervals
        if named is None:
            key.lost = max(key.lost, time)
            continue
        if high == 0 and not keep_all:
            key.lost = max(key.lost, time)
            continue
        queue = queues[slot]
        trade = pool[append(queue, blocks, info, time)]
        trade.name_low = low
        trade.name_high = high
        trade.time = time
        trade.frontier = frontier
        trade.price = price
        trade.size = size
        trade.venue = venues[i]
        trade.marks = marks_of(side, high_low, last, volume)
    return len(slots)


@jit
def pass_time(
    first: int,
    slots: Int64s,
    times: Int64s,
    horizon: int,
    spec: Any,
    state: Any,
    kept: Any,
    out: Any,
) -> int:
    """Take watermark rows in, from `first` on: close the windows that end up to each key's time.

    Parameters and the value returned are those of `add_trades`; `kept` is None where nothing ever was.
    """
    lengths, rings, starts, bounds, _, fill_limit = spec
    keys, pairs, windows = state
    bars, _, _, written = out
    for i in range(first, len(slots)):
        slot = slots[i]
        keys[slot].frontier = max(keys[slot].frontier, times[i])
        if not _close(
            slot,
            lengths,
            rings,
            starts,
            bounds,
            fill_limit,
            keys,
            pairs,
            windows,
            bars,
            written,
            kept,
        ):
            return i
        if kept is not None:
            queues, pool, blocks, info = kept
            key, queue = keys[slot], queues[slot]
            if queue.count > 0 and key.frontier >= queue.check_at:
                drop_done(
                    queue,
                    pool,
                    blocks,
                    info,
                    key.frontier,
                    horizon,
                    key.calendar,
                    lengths,
                    starts,
                    bounds,
                )
    return len(slots)


@jit
def _close(
    slot: int,
    lengths: Int64s,
    rings: Int64s,
    starts: Int64s,
    bounds: Int64s,
    fill_limit: int,
    keys: Any,
    pairs: Any,
    windows: Any,
    bars: Any,
    written: Int64s,
    kept: Any,
) -> bool:
    # Write out what ends up to the key's frontier, by end of window, then order of interval. False where
    # there is no room left.
    key = keys[slot]
    intervals = len(lengths)
    ring = len(windows) // max(len(pairs), 1)
    begin = slot * intervals
    while key.next_end <= key.frontier:
        if written[BARS_AT] == len(bars):
            return False
        chosen = begin
        second_end = ENDLESS
        for at in range(begin + 1, begin + intervals):
            end = pairs[at].next_end
            if end < pairs[chosen].next_end:
                second_end = pairs[chosen].next_end
                chosen = at
            elif end < second_end:
                second_end = end
        interval = chosen - begin
        length = lengths[interval]
        places = rings[interval]
        pair = pairs[chosen]
        bar = bars[written[BARS_AT]]
        bar.key = slot
        bar.interval = interval
        earliest = _earliest(windows, chosen * ring, places)
        if earliest >= 0 and windows[earliest].end == pair.next_end:
            if kept is not None:
                queues, pool, blocks, _ = kept
                if windows[earliest].corrected:
                    recompute(queues[slot], pool, blocks, windows[earliest])
            bar_of_window(windows[earliest], bar)
            # Its place in the ring is free.
            windows[earliest].start = 0
            windows[earliest].end = 0
            windows[earliest].count = 0
            windows[earliest].corrected = 0
            if fill_limit > 0 and length > 0:
                _remember(bar, pair, length, fill_limit, key.calendar, starts, bounds)
            earliest = _earliest(windows, chosen * ring, places)
        else:
            _fill(pair, bar, length)
        written[BARS_AT] += 1
        pair.next_end = windows[earliest].end if earliest >= 0 else ENDLESS
        if pair.last_end < pair.fill_end:
            pair.next_end = min(pair.next_end, pair.last_end + length)
        key.next_end = min(second_end, pair.next_end)
    return True


@jit
def _earliest(windows: Any, begin: int, places: int) -> int:
    # Place of the open window that ends first, or -1.
    found = -1
    for at in range(begin, begin + places):
        if windows[at].count > 0 and (found < 0 or windows[at].end < windows[found].end):
            found = at
    return found


@jit
def _remember(
    bar: Any, pair: Any, length: int, fill_limit: int, calendar: int, starts: Int64s, bounds: Int64s
) -> None:
    # What the empty windows behind a bar with trades are filled with, and up to where: with the last close
    # of the bar's session, as far as windows begin in that session, and no more than the limit.
    _, start, end = session_window(starts, bounds[calendar], bounds[calendar + 1], bar.end - 1)
    if not np.isnan(bar.close) or pair.last_end <= start:
        pair.last_close = bar.close
    pair.last_end = bar.end
    pair.fill_end = bar.end
    if not np.isnan(pair.last_close):
        pair.fill_end += min(-((bar.end - end) // length), fill_limit) * length


@jit
def _fill(pair: Any, bar: Any, length: int) -> None:
    bar.start = pair.last_end
    bar.end = pair.last_end + length
    bar.count = 0
    bar.open = pair.last_close
    bar.high = pair.last_close
    bar.low = pair.last_close
    bar.close = pair.last_close
    bar.volume = 0.0
    bar.vwap = np.nan
    bar.buy = 0.0
    bar.sell = 0.0
    pair.last_end = bar.end
