"""Rows of a topic on one side of a comparison: their sum, and for each key their count and chained digest.

Memory goes with the number of keys, not of rows. Sides of parts of a topic are put together by `merge`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from flows.kernels.jit import jit
from flows.keys import KeySlots
from schemas.arrays import Int64s, UInt64s
from schemas.digest import DigestSum, row_digests
from schemas.faults import LATE
from schemas.topic import Topic

_MAX_KEYS = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpan:
    """What was read of an input when a row was emitted: a segment, or what a commit has read.

    Parameters
    ----------
    topic, partition : str, int
        Log topic and partition.
    first_offset, last_offset : int
        The first and the last record that it is of.
    first_row, last_row : int or None
        Places of its first and last row in these records; None for whole records.
    """

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    first_row: int | None = None
    last_row: int | None = None


@dataclass
class Side:
    """Rows of one topic on one side.

    Parameters
    ----------
    topic : Topic
        Whose rows.
    total : DigestSum
        Of all of them.
    """

    topic: Topic
    total: DigestSum = field(default_factory=DigestSum)
    _keys: KeySlots = field(default_factory=lambda: KeySlots([], _MAX_KEYS))
    _chain: UInt64s = field(default_factory=lambda: np.zeros((64, 3), dtype=np.uint64))

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows in, behind those that are there."""
        digests = row_digests(self.topic, batch)
        self.total.add(digests)
        slots = self._keys.of(key_column(self.topic, batch))
        if len(self._keys) > len(self._chain):
            more = max(len(self._keys), 2 * len(self._chain)) - len(self._chain)
            self._chain = np.pad(self._chain, ((0, more), (0, 0)))
        _link(self._chain, slots, digests, is_ordered(self.topic))

    def summary(self) -> "Summary":
        """What is compared, small enough to be handed from process to process."""
        count = len(self._keys)
        return Summary(
            rows=self.total.rows,
            total=self.total.total,
            keys=list(self._keys.keys),
            chain=self._chain[:count].copy(),
        )


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A side without its topic: rows, sum, and for each key its count and chained digest.

    Parameters
    ----------
    rows, total : int
        As of `DigestSum`.
    keys : list of str
        Each once.
    chain : numpy.ndarray of uint64, shape (len(keys), 3)
        Rows, and the two halves of the digest of the key's rows in order.
    """

    rows: int = 0
    total: int = 0
    keys: list[str] = field(default_factory=list)
    chain: UInt64s = field(default_factory=lambda: np.zeros((0, 3), dtype=np.uint64))

    @property
    def digest(self) -> DigestSum:
        """Rows and their order-free sum."""
        return DigestSum(rows=self.rows, total=self.total)

    def by_key(self) -> dict[str, tuple[int, int, int]]:
        """Key to its part of the chain."""
        return {
            key: (int(rows), int(low), int(high))
            for key, (rows, low, high) in zip(self.keys, self.chain, strict=True)
        }


def merge(parts: Iterable[Summary]) -> Summary:
    """One summary of parts whose keys are disjoint, as partitions' are.

    A key that is in several parts all the same gets a chain that no side without that fault has.
    """
    found = list(parts)
    if len(found) == 1:
        return found[0]
    chains: dict[str, tuple[int, int, int]] = {}
    rows = total = 0
    for part in found:
        rows += part.rows
        total = (total + part.total) % (1 << 128)
        for key, (count, low, high) in part.by_key().items():
            known = chains.get(key, (0, 0, 0))
            chains[key] = (
                known[0] + count,
                (known[1] * 3 + low) % (1 << 64),
                (known[2] * 3 + high) % (1 << 64),
            )
    return Summary(
        rows=rows,
        total=total,
        keys=list(chains),
        chain=np.array(list(chains.values()), dtype=np.uint64).reshape(-1, 3),
    )


def key_column(topic: Topic, batch: pa.RecordBatch) -> pa.Array:
    """The key of each row, as a dictionary."""
    keys = batch.column(topic.key)
    return keys if pa.types.is_dictionary(keys.type) else keys.dictionary_encode()


def is_ordered(topic: Topic) -> bool:
    """Whether the order of a key's rows is promised: late rows of two inputs have none between them."""
    return topic is not LATE


@jit
def _link(chain: UInt64s, slots: Int64s, digests: UInt64s, ordered: bool) -> None:  # noqa: FBT001 - numba takes no keywords
    """Link each row's digest to its key's chain (or sum, for a topic without order within a key)."""
    multiplier = np.uint64(0x9E3779B97F4A7C15) if ordered else np.uint64(1)
    for i in range(len(slots)):
        slot = slots[i]
        chain[slot, 0] += np.uint64(1)
        chain[slot, 1] = chain[slot, 1] * multiplier + digests[i, 0]
        chain[slot, 2] = chain[slot, 2] * multiplier + digests[i, 1]
