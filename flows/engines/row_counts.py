"""Counts rows that only one side has, and rows that differ, of more rows than memory holds.

What is kept of a row is a digest of its identity and one of the whole row. They are sorted into buckets on disk by the
identity's, so that all rows of one identity are in one bucket; a bucket at a time is in memory.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Self

import numpy as np
import pyarrow as pa

from schemas.arrays import UInt64s
from schemas.digest import row_digests
from schemas.topic import Landing, Partition, Topic

# 100 M rows of both sides are 50 MB a bucket then.
_BUCKETS = 64
_WIDTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RowCounts:
    """How the rows of two sides differ.

    Parameters
    ----------
    left_only, right_only : int
        Rows whose identity only that side has.
    different : int
        Rows that both have, with other content.
    """

    left_only: int = 0
    right_only: int = 0
    different: int = 0


class RowBuckets:
    """Digests of the rows of two sides, on disk. To be closed, or used in a ``with``."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="tapeflow-compare-")
        self._files: dict[tuple[int, int], BinaryIO] = {}

    def add(self, side: int, topic: Topic, batch: pa.RecordBatch) -> None:
        """Keep rows of side 0 (left) or 1 (right)."""
        whole = row_digests(topic, batch)
        identity = whole
        if topic.identity:
            named = identity_topic(topic)
            identity = row_digests(named, batch.select(named.schema.names))
        both = np.concatenate([identity, whole], axis=1)
        bucket = (identity[:, 0] % np.uint64(_BUCKETS)).astype(np.int64)
        order = np.argsort(bucket, kind="stable")
        edges = np.searchsorted(bucket[order], np.arange(_BUCKETS + 1))
        for number in range(_BUCKETS):
            rows = order[edges[number] : edges[number + 1]]
            if len(rows):
                self._file(side, number).write(both[rows].tobytes())

    def count(self) -> RowCounts:
        """What the rows that were added amount to."""
        found = RowCounts()
        for number in range(_BUCKETS):
            one = _counted(self._read(0, number), self._read(1, number))
            found = RowCounts(
                left_only=found.left_only + one.left_only,
                right_only=found.right_only + one.right_only,
                different=found.different + one.different,
            )
        return found

    def close(self) -> None:
        """Delete what is on disk."""
        for file in self._files.values():
            file.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _path(self, side: int, number: int) -> Path:
        return Path(self._folder.name) / f"{side}-{number}"

    def _file(self, side: int, number: int) -> BinaryIO:
        if (side, number) not in self._files:
            self._files[side, number] = self._path(side, number).open("wb")
        return self._files[side, number]

    def _read(self, side: int, number: int) -> UInt64s:
        if (side, number) not in self._files:
            return np.zeros((0, _WIDTH), dtype=np.uint64)
        self._files[side, number].flush()
        return np.fromfile(self._path(side, number), dtype=np.uint64).reshape(-1, _WIDTH)


@cache
def identity_topic(topic: Topic) -> Topic:
    """A topic's identity (and its key and event time) as a topic, for digests of these alone."""
    kept = {*topic.identity, topic.key, topic.event_time}
    return replace(
        topic,
        fields=tuple(field for field in topic.fields if field.name in kept),
        landing=Landing(order_by=(topic.key, topic.event_time), partition_by=Partition.DAY),
        rules=(),
    )


def _counted(left: UInt64s, right: UInt64s) -> RowCounts:
    """Rows that are the same on both sides cancel out; of what is left, pairs of one identity differ."""
    rows, inverse = np.unique(np.concatenate([left, right]), axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    counts = [
        np.bincount(part, minlength=len(rows))
        for part in (inverse[: len(left)], inverse[len(left) :])
    ]
    same = np.minimum(*counts)
    identities, which = np.unique(rows[:, :2], axis=0, return_inverse=True)
    which = which.reshape(-1)
    left_over, right_over = (
        np.bincount(which, weights=one - same, minlength=len(identities)).astype(np.int64)
        for one in counts
    )
    pairs = np.minimum(left_over, right_over)
    return RowCounts(
        left_only=int((left_over - pairs).sum()),
        right_only=int((right_over - pairs).sum()),
        different=int(pairs.sum()),
    )
