"""First-in-first-out queues, one a key, in one pool of records: memory follows what waits, not the keys' bounds.

Kernels append and take with `append` and `take_first`; Python gives the pool more room when it is full.
"""

from typing import Any

import numpy as np

from flows.kernels.jit import jit
from schemas.arrays import Int64s

NONE = -1

# A queue: its first and last record in the pool, `NONE` for none, and how many it has.
QUEUE = np.dtype([("first", "i8"), ("last", "i8"), ("count", "i8")])

_ROOM = 1024


class Queues:
    """Queues of all keys.

    Parameters
    ----------
    record : numpy.dtype
        Of what waits: 8-byte fields, of which ``next`` is the pool's own.
    keys : int
        How many there are.
    room : int
        Records that fit, at least 1.
    """

    def __init__(self, record: np.dtype[Any], keys: int, room: int = _ROOM) -> None:
        self._record = record
        self.queues = np.zeros(keys, QUEUE)
        self.queues["first"] = NONE
        self.queues["last"] = NONE
        self.pool = np.zeros(room, record)
        self.pool["next"] = np.arange(1, room + 1)
        self.pool["next"][-1] = NONE
        # The first record that is free; those behind it are linked.
        self.free = np.zeros(1, dtype=np.int64)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The arrays in the order in which the kernels take them."""
        return (self.queues, self.pool, self.free)

    @property
    def is_full(self) -> bool:
        """Whether no record is free."""
        return bool(self.free[0] == NONE)

    def add_keys(self, keys: int) -> None:
        """Make room for so many keys."""
        more = np.zeros(keys, QUEUE)
        more["first"] = NONE
        more["last"] = NONE
        more[: len(self.queues)] = self.queues
        self.queues = more

    def add_room(self) -> None:
        """Make room for twice the records of a pool that is full."""
        room = len(self.pool)
        bigger = Queues(self._record, 0, 2 * room)
        bigger.pool[:room] = self.pool
        self.pool = bigger.pool
        self.free[0] = room

    def snapshot(self, name: str, keys: int) -> dict[str, Any]:
        """How many records each of the first keys has, and all of them in order, as arrays of int64."""
        counts = self.queues["count"][:keys].copy()
        records = np.zeros(int(counts.sum()), self._record)
        _gather(self.queues[:keys], self.pool, records)
        records["next"] = 0
        return {f"{name}_counts": counts, f"{name}_records": records.view(np.int64)}

    @classmethod
    def resumed(
        cls, record: np.dtype[Any], name: str, arrays: dict[str, Any], keys: int
    ) -> "Queues":
        """The queues that `snapshot` gave the arrays of, with room for so many keys."""
        counts, records = arrays[f"{name}_counts"], arrays[f"{name}_records"].view(record)
        count = len(records)
        queues = cls(record, max(keys, len(counts)), count + _ROOM)
        linked = queues.pool["next"].copy()
        queues.pool[:count] = records
        queues.pool["next"] = linked
        queues.free[0] = count
        ends = np.cumsum(counts)
        some = np.flatnonzero(counts)
        queues.queues["count"][: len(counts)] = counts
        queues.queues["first"][some] = (ends - counts)[some]
        queues.queues["last"][some] = ends[some] - 1
        queues.pool["next"][ends[some] - 1] = NONE
        return queues


@jit
def append(queues: Any, pool: Any, free: Int64s, slot: int) -> int:
    """Append a record, which is to be filled, to a key's queue; `NONE` where none is free."""
    at = free[0]
    if at == NONE:
        return NONE
    free[0] = pool[at].next
    pool[at].next = NONE
    queue = queues[slot]
    if queue.last == NONE:
        queue.first = at
    else:
        pool[queue.last].next = at
    queue.last = at
    queue.count += 1
    return int(at)


@jit
def take_first(queues: Any, pool: Any, free: Int64s, slot: int) -> None:
    """Take the first record out of a key's queue, which has one."""
    queue = queues[slot]
    at = queue.first
    queue.first = pool[at].next
    if queue.first == NONE:
        queue.last = NONE
    queue.count -= 1
    pool[at].next = free[0]
    free[0] = at


@jit
def _gather(queues: Any, pool: Any, records: Any) -> None:
    count = 0
    for slot in range(len(queues)):
        at = queues[slot].first
        while at != NONE:
            records[count] = pool[at]
            at = pool[at].next
            count += 1
