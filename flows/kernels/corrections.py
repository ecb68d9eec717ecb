"""A correction or cancellation: find the trade it means, and compute that trade's windows again.

A window is computed from all its kept trades, in log order, as if the trade had come as it is corrected. So
sums are the same, bit for bit, as those of a log in which it did. An open window is computed again when it
closes, once for all its corrections; one written already at each.
"""

from typing import Any

from flows.kernels.bar_state import REVISED_AT
from flows.kernels.bar_windows import (
    CANCEL,
    bar_of_window,
    empty_window,
    same_bar,
    window_of,
)
from flows.kernels.corrected_windows import fill_window, recompute
from flows.kernels.filled_closes import close_is_lost, pass_on_close
from flows.kernels.jit import jit
from flows.kernels.kept_trades import (
    BLOCK,
    CANCELLED,
    NAME,
    NONE,
    REVISION,
    append,
    correctable_from,
    drop_done,
    drop_first,
    number_of,
    numbered,
    places_in,
)
from schemas.arrays import Int64s

# Why a correction was not applied; 0 is that it was. The places of `flows.bars_corrected.REASONS`.
APPLIED, OFF, UNKNOWN, BY_TIME, NO_SUCH_TIME, AMBIGUOUS, ALREADY_CANCELLED, TOO_OLD, INCOMPLETE = (
    range(9)
)


@jit
def correct(  # noqa: PLR0911 - a return for each reason
    slot: int,
    action: int,
    ts_ref: int,
    told_ref: bool,  # noqa: FBT001 - an element of an array
    limits: Any,
    spec: Any,
    state: Any,
    kept: Any,
    revised: Any,
    row: int,
) -> int:
    """Apply a correction or cancellation; `APPLIED`, or why it was not.

    Parameters
    ----------
    slot, action : int
        Its key and action.
    ts_ref : int
        Time of the trade meant, where `told_ref`.
    limits : tuple of int
        As `flows.kernels.bars.add_trades` has it.
    spec, state, kept : tuple
        ``arguments`` of `Spec`, `BarState` and `KeptTrades`.
    revised : tuple
        ``revised`` of `Written`. Its first entry is the correction: the name it refers to, venue, price, size
        and marks; its last one has the correction's own name.
    row : int
        Its row, for the revisions that it causes.

    Returns
    -------
    int
        The reason's number.
    """
    _, horizon, keep_all, _ = limits
    lengths, _, starts, bounds, _, _ = spec
    queues, pool, blocks, info = kept
    key = state[0][slot]
    queue = queues[slot]
    entries = revised[3]
    given = entries[0]
    if given.name_high == 0 and not keep_all:
        return BY_TIME
    drop_done(
        queue, pool, blocks, info, key.frontier, horizon, key.calendar, lengths, starts, bounds
    )
    if told_ref and ts_ref < correctable_from(key.frontier, horizon, key.calendar, starts, bounds):
        return TOO_OLD
    if given.name_high != 0:
        place = _find_by_name(queue, pool, blocks, given, ts_ref, told_ref)
        if place == NONE:
            return UNKNOWN
    else:
        place, reason = _find_by_time(queue, pool, blocks, given, ts_ref, action)
        if place == NONE:
            return reason
    target = pool[place]
    if target.marks & CANCELLED:
        return ALREADY_CANCELLED
    reason = _why_not(target, key, lengths, starts, bounds, horizon)
    if reason != APPLIED:
        return reason
    entries[1] = target
    if action == CANCEL:
        target.marks |= CANCELLED
    else:
        target.price = given.price
        target.size = given.size
        target.marks = given.marks
    fills = spec[5] > 0
    if fills and close_is_lost(slot, target, horizon, spec, state, queue, pool, blocks):
        pool[place] = entries[1]
        return INCOMPLETE
    first = revised[-1][REVISED_AT]
    _revise(slot, place, row, spec, state, kept, revised)
    _take_down(slot, place, action, first, limits, spec, state, kept, revised)
    return APPLIED


@jit
def make_way(
    slot: int,
    limit: int,
    horizon: int,
    keys: Any,
    windows: Any,
    queues: Any,
    pool: Any,
    blocks: Any,
    info: Int64s,
    lengths: Int64s,
    starts: Int64s,
    bounds: Int64s,
) -> None:
    """Let entries of a key go that are done with; at the limit also the oldest, whose windows are lost."""
    queue = queues[slot]
    key = keys[slot]
    drop_done(
        queue, pool, blocks, info, key.frontier, horizon, key.calendar, lengths, starts, bounds
    )
    while queue.count >= limit:
        first = pool[queue.first_block * BLOCK + queue.first_at]
        if not first.marks & (NAME | REVISION):
            # They can be computed once more now, and not after.
            compute_corrected(slot, keys, windows, queues, pool, blocks)
            key.lost = max(key.lost, first.time)
        drop_first(queue, blocks, info)


@jit
def compute_corrected(
    slot: int, keys: Any, windows: Any, queues: Any, pool: Any, blocks: Any
) -> None:
    """Compute the open windows of a key that have been corrected again, while all their trades are kept."""
    if not keys[slot].corrected:
        return
    size = len(windows) // len(keys)
    for at in range(slot * size, (slot + 1) * size):
        if windows[at].corrected:
            recompute(queues[slot], pool, blocks, windows[at])
    keys[slot].corrected = 0


@jit
def _find_by_name(
    queue: Any,
    pool: Any,
    blocks: Any,
    given: Any,
    ts_ref: int,
    told_ref: bool,  # noqa: FBT001 - an element of an array
) -> int:
    # The newest trade of a name and venue (and time), from the newest back; `NONE` where there is none.
    block = queue.last_block if queue.count > 0 else NONE
    while block != NONE:
        begin, end = places_in(queue, block)
        for at in range(end - 1, begin - 1, -1):
            one = pool[at]
            if (
                one.name_low == given.name_low
                and one.name_high == given.name_high
                and one.venue == given.venue
                and not one.marks & REVISION
                and (one.time == ts_ref or not told_ref)
            ):
                return numbered(queue, blocks, one.frontier) if one.marks & NAME else at
        block = blocks[block].previous
    return NONE


@jit
def _find_by_time(
    queue: Any, pool: Any, blocks: Any, given: Any, ts_ref: int, action: int
) -> tuple[int, int]:
    # The only trade at a time and venue (and of a price and size), or `NONE` and why.
    found = NONE
    block = queue.first_block
    while block != NONE:
        head = blocks[block]
        begin, end = places_in(queue, block)
        if not head.earliest <= ts_ref <= head.latest:
            end = begin
        for at in range(begin, end):
            one = pool[at]
            if one.time != ts_ref or one.venue != given.venue:
                continue
            if one.marks & (NAME | REVISION | CANCELLED):
                continue
            if action == CANCEL and (one.price != given.price or one.size != given.size):
                continue
            if found != NONE:
                return NONE, AMBIGUOUS
            found = at
        block = head.next
    return found, NO_SUCH_TIME


@jit
def _why_not(
    target: Any, key: Any, lengths: Int64s, starts: Int64s, bounds: Int64s, horizon: int
) -> int:
    # `APPLIED` where a trade is within the horizon and all its windows can be computed again.
    if target.time < correctable_from(key.frontier, horizon, key.calendar, starts, bounds):
        return TOO_OLD
    for j in range(len(lengths)):
        _, start, end = window_of(target.time, lengths[j], key.calendar, starts, bounds)
        if end > target.frontier and key.lost >= start:
            return INCOMPLETE
    return APPLIED


@jit
def _revise(
    slot: int, place: int, row: int, spec: Any, state: Any, kept: Any, revised: Any
) -> None:
    # Mark the corrected trade's open windows, and write the revisions of those closed.
    lengths, rings, starts, bounds, _, fill_limit = spec
    keys, pairs, windows = state
    queues, pool, blocks, _ = kept
    new_bars, old_bars, told, entries, scratch, written = revised
    key, queue, target = keys[slot], queues[slot], pool[place]
    ring = len(windows) // len(pairs)
    for j in range(len(lengths)):
        number, start, end = window_of(target.time, lengths[j], key.calendar, starts, bounds)
        pair = slot * len(lengths) + j
        if end <= target.frontier:
            # It came too late for this one.
            continue
        if end > key.frontier:
            windows[pair * ring + (0 if ring == 1 else number % rings[j])].corrected = 1
            key.corrected = 1
            continue
        at = written[REVISED_AT]
        new, old, one = new_bars[at], old_bars[at], told[at]
        empty_window(scratch[0], start, end)
        revisions = fill_window(queue, pool, blocks, scratch[0], NONE, target, j)
        empty_window(scratch[1], start, end)
        fill_window(queue, pool, blocks, scratch[1], place, entries[1], j)
        bar_of_window(scratch[0], new)
        bar_of_window(scratch[1], old)
        if same_bar(new, old):
            continue
        new.key = slot
        new.interval = j
        one.row = row
        one.revision = 1
        if revisions != NONE:
            pool[revisions].name_high += 1
            one.revision = pool[revisions].name_high
        written[REVISED_AT] += 1
        if fill_limit > 0 and lengths[j] > 0:
            pass_on_close(pairs[pair], end, key, queue, pool, blocks, lengths[j], starts, bounds)


@jit
def _take_down(
    slot: int,
    place: int,
    action: int,
    first: int,
    limits: Any,
    spec: Any,
    state: Any,
    kept: Any,
    revised: Any,
) -> None:
    # Keep the correction's own name, and the first revisions of bars. This may push older entries out.
    limit, horizon, _, _ = limits
    lengths, _, starts, bounds, _, _ = spec
    keys, _, windows = state
    queues, pool, blocks, info = kept
    new_bars, _, told, entries, _, written = revised
    queue, given, extra = queues[slot], entries[0], entries[2]
    renamed = extra.name_low != given.name_low or extra.name_high != given.name_high
    extra.time = pool[place].time
    extra.venue = given.venue
    extra.marks = NAME
    extra.frontier = number_of(queue, blocks, place)
    if action != CANCEL and extra.name_high != 0 and renamed:
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
        pool[append(queue, blocks, info, extra.time)] = extra
    for at in range(first, written[REVISED_AT]):
        if told[at].revision > 1:
            continue
        extra.name_low = new_bars[at].interval
        extra.name_high = 1
        extra.time = new_bars[at].end - 1
        extra.marks = REVISION
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
        pool[append(queue, blocks, info, extra.time)] = extra
