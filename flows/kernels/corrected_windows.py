"""A window computed from the kept trades of its key, as if each had come as it was corrected."""

from typing import Any

from flows.kernels.bar_windows import add_to_window, empty_window
from flows.kernels.jit import jit
from flows.kernels.kept_trades import (
    BLOCK,
    CANCELLED,
    HIGH_LOW,
    LAST,
    NAME,
    NONE,
    REVISION,
    SIDE_BIT,
    SIDE_MASK,
    VOLUME,
    places_in,
)


@jit
def recompute(queue: Any, pool: Any, blocks: Any, window: Any) -> None:
    """Compute a window again from its kept trades."""
    empty_window(window, window.start, window.end)
    # No entry is a window's last ns less than none, and none is in no place.
    fill_window(queue, pool, blocks, window, NONE, pool[queue.first_block * BLOCK], NONE)


@jit
def fill_window(
    queue: Any, pool: Any, blocks: Any, window: Any, place: int, instead: Any, interval: int
) -> int:
    """Take a key's kept trades into a window, in log order.

    Parameters
    ----------
    queue, pool, blocks
        The key's kept trades.
    window : WINDOW
        With start and end, and without trades.
    place, instead : int, KEPT
        The entry that is taken in place of the one at a place; none for `NONE`.
    interval : int
        Of the window.

    Returns
    -------
    int
        Place of the entry that counts the window's revisions, or `NONE`.
    """
    revisions = NONE
    block = queue.first_block
    while block != NONE:
        head = blocks[block]
        begin, end = places_in(queue, block)
        if head.latest < window.start or head.earliest >= window.end:
            end = begin
        for at in range(begin, end):
            one = pool[at]
            if not window.start <= one.time < window.end or one.marks & NAME:
                continue
            if one.marks & REVISION:
                if one.time == window.end - 1 and one.name_low == interval:
                    revisions = at
                continue
            if window.end <= one.frontier:
                continue
            if at == place:
                _take(window, instead)
            else:
                _take(window, one)
        block = head.next
    return revisions


@jit
def _take(window: Any, trade: Any) -> None:
    if trade.marks & CANCELLED:
        window.count += 1
        window.cancelled += 1
        return
    add_to_window(
        window,
        trade.price,
        trade.size,
        ((trade.marks >> SIDE_BIT) & SIDE_MASK) - 1,
        trade.marks & HIGH_LOW != 0,
        trade.marks & LAST != 0,
        trade.marks & VOLUME != 0,
    )
