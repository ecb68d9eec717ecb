"""Digests of rows and their order-free sum: what receipts compare.

A row's digest is MurmurHash3 x64 128 (seed 0) of its canonical bytes (`schemas.canonical`). A set of
rows has the sum of its digests modulo 2**128, so that neither order nor cut into batches matters, while
each row counts as often as it is there.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.arrays import UInt64s
from schemas.canonical import canonical_bytes
from schemas.machine_code import compiled
from schemas.murmur import murmur3_128
from schemas.topic import Topic

# Rows whose canonical bytes stay in the processor's cache between writing and hashing.
_BLOCK_ROWS = 4096
_MODULUS = 1 << 128


def row_digests(topic: Topic, batch: pa.RecordBatch) -> UInt64s:
    """The digest of each row.

    Parameters
    ----------
    topic : Topic
        What the rows are.
    batch : pyarrow.RecordBatch
        n rows with exactly the topic's schema; slices, nulls and any dictionaries are fine.

    Returns
    -------
    numpy.ndarray of uint64, shape (n, 2)
        Low and high half of each digest.

    Raises
    ------
    ValueError
        Where the batch has another schema.
    """
    if not batch.schema.equals(topic.schema):
        raise ValueError(f"rows of {topic.identifier} were needed, the schema is\n{batch.schema}")
    out = np.empty((batch.num_rows, 2), dtype=np.uint64)
    for start in range(0, batch.num_rows, _BLOCK_ROWS):
        block = batch.slice(start, _BLOCK_ROWS)
        out[start : start + _BLOCK_ROWS] = murmur3_128(*canonical_bytes(topic, block))
    return out


@dataclass
class DigestSum:
    """Count and order-free digest of a set of rows.

    Parameters
    ----------
    rows : int
        How many rows.
    total : int
        Sum of their digests modulo 2**128.
    """

    rows: int = 0
    total: int = 0

    def add(self, digests: UInt64s) -> None:
        """Take more rows in; ``digests`` as `row_digests` gives them, shape (n, 2)."""
        low, high = _sum(digests)
        self.rows += len(digests)
        self.total = (self.total + int(low) + (int(high) << 64)) % _MODULUS

    def hexdigest(self) -> str:
        """The sum as 32 hexadecimal digits, most significant first."""
        return f"{self.total:032x}"


def combine(sums: Iterable[DigestSum]) -> DigestSum:
    """The sum of disjoint sets of rows."""
    combined = DigestSum()
    for part in sums:
        combined.rows += part.rows
        combined.total = (combined.total + part.total) % _MODULUS
    return combined


@compiled
def _sum(digests: Any) -> Any:
    low = high = np.uint64(0)
    for row in range(len(digests)):
        low += digests[row, 0]
        high += digests[row, 1]
        if low < digests[row, 0]:
            high += np.uint64(1)
    return low, high
