"""The close that empty windows are filled with, when a correction has changed a bar written before them."""

from typing import Any

import numpy as np

from flows.kernels.bar_windows import window_of
from flows.kernels.jit import jit
from flows.kernels.kept_trades import (
    CANCELLED,
    LAST,
    NAME,
    NONE,
    REVISION,
    correctable_from,
    places_in,
)
from flows.kernels.sessions import session_window
from schemas.arrays import Int64s


@jit
def pass_on_close(
    pair: Any,
    revised_end: int,
    key: Any,
    queue: Any,
    pool: Any,
    blocks: Any,
    length: int,
    starts: Int64s,
    bounds: Int64s,
) -> None:
    """Fill empty windows from now on with the last close of the session's written bars, as corrected."""
    first, end = bounds[key.calendar], bounds[key.calendar + 1]
    _, opening, closing = session_window(starts, first, end, pair.last_end - 1)
    if opening < revised_end <= closing:
        pair.last_close = _last_close(key, queue, pool, blocks, length, opening, closing)[1]


@jit
def close_is_lost(
    slot: int, target: Any, horizon: int, spec: Any, state: Any, queue: Any, pool: Any, blocks: Any
) -> bool:
    """Whether a trade just corrected was the last close, and the close before it is among trades not kept.

    Parameters
    ----------
    slot : int
        The key.
    target : KEPT
        The trade, corrected or cancelled already. All trades of its windows are kept.
    horizon : int
        Of corrections, ns; 0 is the session.
    spec, state : tuple
        ``arguments`` of `flows.kernels.bar_state.Spec` and `BarState`.
    queue, pool, blocks
        The key's kept trades.
    """
    lengths, _, starts, bounds, _, _ = spec
    keys, pairs, _ = state
    key = keys[slot]
    first, end = bounds[key.calendar], bounds[key.calendar + 1]
    begin = correctable_from(key.frontier, horizon, key.calendar, starts, bounds)
    kept_from = begin
    for j in range(len(lengths)):
        kept_from = min(kept_from, window_of(begin, lengths[j], key.calendar, starts, bounds)[1])
    for j in range(len(lengths)):
        if lengths[j] == 0:
            continue
        window_end = window_of(target.time, lengths[j], key.calendar, starts, bounds)[2]
        if not target.frontier < window_end <= key.frontier:
            continue
        last_end = pairs[slot * len(lengths) + j].last_end
        _, opening, closing = session_window(starts, first, end, last_end - 1)
        if not opening < window_end <= closing:
            continue
        newest = _last_close(key, queue, pool, blocks, lengths[j], opening, closing)[0]
        if newest >= window_end:
            continue
        since = opening if newest == NONE else newest - lengths[j]
        if key.lost >= since or kept_from > since:
            return True
    return False


@jit
def _last_close(
    key: Any, queue: Any, pool: Any, blocks: Any, length: int, opening: int, closing: int
) -> tuple[int, float]:
    # Of the kept trades in a session's written bars: end of the newest bar with a close, and its close.
    newest = NONE
    close = np.nan
    block = queue.first_block
    while block != NONE:
        begin, end = places_in(queue, block)
        for at in range(begin, end):
            one = pool[at]
            if one.marks & (NAME | REVISION | CANCELLED) or not one.marks & LAST:
                continue
            window_end = one.time - one.time % length + length
            entered = one.frontier < window_end <= key.frontier
            if not entered or not opening < window_end <= closing:
                continue
            if newest == NONE or window_end >= newest:
                newest = window_end
                close = one.price
        block = blocks[block].next
    return newest, close
