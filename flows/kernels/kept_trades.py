"""Trades that are kept so that a correction can find them: one queue a key, in log order, in shared blocks.

A queue holds three kinds of entries, so that all of them end together: trades, further names of trades
(the trade_id of a correction), and the revisions that bars have had. Entries leave at the front only: when
no bar can need them any more, or when the key has its most.
"""

from typing import Any

import numpy as np

from flows.kernels.bar_windows import window_of
from flows.kernels.jit import jit
from flows.kernels.sessions import session_window
from flows.kernels.words import word
from schemas.arrays import Bytes, Int32s, Int64s

# Entries of a block: small beside a day of a symbol, large beside the work of taking a block.
BLOCK = 128

NONE = -1

# Blocks at first, and how many times more whenever they are used up. Memory that is not touched yet is only
# promised by the system, so that much room at once costs less than copying what is kept more often.
_BLOCKS = 1_024
_GROWTH = 4

# A block: the blocks before and behind it in its queue (or the next free one), and the span of its times.
HEAD = np.dtype([("previous", "i8"), ("next", "i8"), ("earliest", "i8"), ("latest", "i8")])

# A queue: place of its first entry, place behind its last, entries, how many have left it, and the
# frontier from which on entries at its front may be done with.
QUEUE = np.dtype(
    [
        ("first_block", "i8"),
        ("first_at", "i8"),
        ("last_block", "i8"),
        ("last_at", "i8"),
        ("count", "i8"),
        ("gone", "i8"),
        ("check_at", "i8"),
    ]
)

# One cache line. ``frontier`` is the key's when the trade came: it tells which windows the trade entered.
# Of a further name it is the trade's number in the queue, counted from the first ever. Of a revision, the
# name is (interval, number of the revision) and the time is the last ns of the bar.
KEPT = np.dtype(
    [
        ("name_low", "i8"),
        ("name_high", "i8"),
        ("time", "i8"),
        ("frontier", "i8"),
        ("price", "f8"),
        ("size", "f8"),
        ("venue", "i8"),
        ("marks", "i8"),
    ]
)

# Bits of `marks`. A trade's side is in bits 5 and 6, as side + 1.
NAME, REVISION, CANCELLED, HIGH_LOW, LAST, VOLUME = 1, 2, 4, 8, 16, 128
SIDE_BIT = 5
SIDE_MASK = 3

# What `info` holds: the first free block, and how many are free.
FREE, FREE_COUNT = 0, 1

# Longer names are told apart by 120 bits of a hash.
_EXACT_BYTES = 15
_PRIME = 0x100000001B3
_ODD = 0x1E3779B97F4A7C15


class KeptTrades:
    """The queues of all keys.

    Parameters
    ----------
    room : int
        Keys that there is room for.
    """

    def __init__(self, room: int) -> None:
        self.queues = np.zeros(room, QUEUE)
        self.queues["first_block"] = NONE
        self.pool = np.empty(0, KEPT)
        self.blocks = np.empty(0, HEAD)
        self.info = np.array([NONE, 0], dtype=np.int64)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The arrays in the order in which the kernels take them."""
        return (self.queues, self.pool, self.blocks, self.info)

    @property
    def used(self) -> bool:
        """Whether anything has ever been kept."""
        return len(self.blocks) > 0

    def make_room(self, keys: int, blocks: int) -> None:
        """Have room for so many keys, and so many free blocks."""
        if keys > len(self.queues):
            queues = self.queues
            self.queues = np.zeros(keys, QUEUE)
            self.queues["first_block"] = NONE
            self.queues[: len(queues)] = queues
        free = int(self.info[FREE_COUNT])
        if free >= blocks:
            return
        old = len(self.blocks)
        new = max(_BLOCKS, _GROWTH * old, old + blocks - free)
        pool, heads = self.pool, self.blocks
        self.pool = np.zeros(new * BLOCK, KEPT)
        self.pool[: len(pool)] = pool
        self.blocks = np.zeros(new, HEAD)
        self.blocks[:old] = heads
        self.blocks["next"][old:] = np.arange(old + 1, new + 1)
        self.blocks["next"][-1] = self.info[FREE]
        self.info[:] = (old, free + new - old)

    def snapshot(self, count: int) -> dict[str, Any]:
        """The first `count` keys' queues, and their entries one queue after the other, as int64."""
        queues = self.queues[:count]
        entries = np.empty(int(queues["count"].sum()), KEPT)
        copy_entries(queues, self.pool, self.blocks, entries)
        told = np.stack([queues[name] for name in ("count", "gone", "check_at")], axis=1)
        return {"queues": told, "kept": entries.view(np.int64).reshape(-1, KEPT.itemsize // 8)}

    @classmethod
    def resumed(cls, room: int, arrays: dict[str, Any]) -> "KeptTrades":
        """What `snapshot` gave the arrays of, with room for so many keys."""
        kept = cls(room)
        told = arrays["queues"]
        kept.queues["gone"][: len(told)] = told[:, 1]
        kept.queues["check_at"][: len(told)] = told[:, 2]
        entries = arrays["kept"].reshape(-1).view(KEPT)
        kept.make_room(room, int((-(-told[:, 0] // BLOCK)).sum()))
        put_entries(kept.queues, kept.pool, kept.blocks, kept.info, told[:, 0].copy(), entries)
        return kept


@jit
def copy_entries(queues: Any, pool: Any, blocks: Any, entries: Any) -> None:
    """Copy all queues' entries, one queue after the other."""
    to = 0
    for slot in range(len(queues)):
        block, at = queues[slot].first_block, queues[slot].first_at
        for _ in range(queues[slot].count):
            if at == BLOCK:
                block, at = blocks[block].next, 0
            entries[to] = pool[block * BLOCK + at]
            at += 1
            to += 1


@jit
def put_entries(
    queues: Any, pool: Any, blocks: Any, info: Int64s, counts: Int64s, entries: Any
) -> None:
    """Append what `copy_entries` copied, so many entries to each queue."""
    taken = 0
    for slot in range(len(counts)):
        for _ in range(counts[slot]):
            pool[append(queues[slot], blocks, info, entries[taken].time)] = entries[taken]
            taken += 1


@jit
def name_of(offsets: Int32s, text: Bytes, row: int) -> tuple[int, int]:
    """A row's name as two integers; (0, 0) for an empty one, which is no name.

    Up to 15 bytes are taken as they are, so that names are equal exactly if their integers are.
    """
    begin: Any = np.int64(offsets[row])
    length: Any = np.int64(offsets[row + 1]) - begin
    low: Any = np.int64(0)
    high: Any = np.int64(0)
    if length > _EXACT_BYTES:
        for at in range(begin, begin + length):
            low = (low ^ np.int64(text[at])) * _PRIME
            high = (high + np.int64(text[at]) + 1) * _ODD
            low ^= (low >> 29) & 0x7FFFFFFFF
            high ^= (high >> 31) & 0x1FFFFFFFF
        return low, (high & 0x00FFFFFFFFFFFFFF) | (np.int64(0x7F) << 56)
    if begin + 16 > len(text):
        for at in range(min(length, 8)):
            low |= np.int64(text[begin + at]) << (8 * at)
        for at in range(8, length):
            high |= np.int64(text[begin + at]) << (8 * (at - 8))
    elif length < 8:
        low = word(text, begin) & ((np.int64(1) << (8 * length)) - 1)
    else:
        low = word(text, begin)
        high = word(text, begin + 8) & ((np.int64(1) << (8 * (length - 8))) - 1)
    return low, high | (length << 56)


@jit
def marks_of(
    side: int,
    high_low: bool,  # noqa: FBT001 - elements of arrays
    last: bool,  # noqa: FBT001 - elements of arrays
    volume: bool,  # noqa: FBT001 - elements of arrays
) -> int:
    """The marks of a trade that was not cancelled."""
    return ((side + 1) << SIDE_BIT) + HIGH_LOW * high_low + LAST * last + VOLUME * volume


@jit
def append(queue: Any, blocks: Any, info: Int64s, time: int) -> int:
    """Make place behind a queue's last entry for one of a time; there must be a free block."""
    if queue.first_block == NONE or queue.last_at == BLOCK:
        block = info[FREE]
        info[FREE] = blocks[block].next
        info[FREE_COUNT] -= 1
        head = blocks[block]
        head.next = NONE
        head.earliest = time
        head.latest = time
        if queue.first_block == NONE:
            head.previous = NONE
            queue.first_block = block
            queue.first_at = 0
        else:
            head.previous = queue.last_block
            blocks[queue.last_block].next = block
        queue.last_block = block
        queue.last_at = 0
    head = blocks[queue.last_block]
    head.earliest = min(head.earliest, time)
    head.latest = max(head.latest, time)
    place: int = queue.last_block * BLOCK + queue.last_at
    queue.last_at += 1
    queue.count += 1
    return place


@jit
def drop_first(queue: Any, blocks: Any, info: Int64s) -> None:
    """Take a queue's first entry out; a block that is done with is free again."""
    queue.first_at += 1
    queue.count -= 1
    queue.gone += 1
    block = queue.first_block
    if queue.count == 0:
        queue.first_block = NONE
    elif queue.first_at == BLOCK:
        queue.first_block = blocks[block].next
        queue.first_at = 0
        blocks[queue.first_block].previous = NONE
    else:
        return
    blocks[block].next = info[FREE]
    info[FREE] = block
    info[FREE_COUNT] += 1


@jit
def places_in(queue: Any, block: int) -> tuple[int, int]:
    """Places of a queue's entries in one of its blocks: the first, and behind the last."""
    begin = queue.first_at if block == queue.first_block else 0
    end = queue.last_at if block == queue.last_block else BLOCK
    return block * BLOCK + begin, block * BLOCK + end


@jit
def numbered(queue: Any, blocks: Any, number: int) -> int:
    """Place of the entry that was a queue's so many-th ever, or `NONE` where it has left."""
    if number < queue.gone:
        return NONE
    block, at = queue.first_block, queue.first_at + number - queue.gone
    while at >= BLOCK:
        block, at = blocks[block].next, at - BLOCK
    place: int = block * BLOCK + at
    return place


@jit
def number_of(queue: Any, blocks: Any, place: int) -> int:
    """How many entries came to a queue before the one at a place, since ever."""
    block, before = queue.first_block, -queue.first_at
    while block != place // BLOCK:
        block, before = blocks[block].next, before + BLOCK
    number: int = queue.gone + before + place % BLOCK
    return number


@jit
def correctable_from(
    frontier: int, horizon: int, calendar: int, starts: Int64s, bounds: Int64s
) -> int:
    """The earliest time of a trade that can still be corrected; horizon 0 is the session."""
    if horizon > 0:
        return frontier - horizon
    return session_window(starts, bounds[calendar], bounds[calendar + 1], frontier)[1]


@jit
def drop_done(
    queue: Any,
    pool: Any,
    blocks: Any,
    info: Int64s,
    frontier: int,
    horizon: int,
    calendar: int,
    lengths: Int64s,
    starts: Int64s,
    bounds: Int64s,
) -> None:
    """Take out, from the front on, entries that no bar of a correctable trade can need.

    It may be done at any time: doing it twice leaves the same as doing it at the later time only.
    """
    begin = correctable_from(frontier, horizon, calendar, starts, bounds)
    needed = begin
    for j in range(len(lengths)):
        needed = min(needed, window_of(begin, lengths[j], calendar, starts, bounds)[1])
    while queue.count > 0 and pool[queue.first_block * BLOCK + queue.first_at].time < needed:
        drop_first(queue, blocks, info)
    if horizon > 0:
        queue.check_at = frontier + horizon
    else:
        queue.check_at = session_window(starts, bounds[calendar], bounds[calendar + 1], frontier)[2]
