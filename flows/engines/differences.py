"""Says how two sides of a topic differ: how many rows, and the first of them with what was read for it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.engines.compared_rows import Found, RowPlace, RowSource
from flows.engines.row_counts import RowBuckets, RowCounts
from flows.engines.sides import InputSpan, Summary, is_ordered
from schemas.arrays import UInt64s
from schemas.digest import row_digests
from schemas.topic import Topic


@dataclass(frozen=True, kw_only=True)
class DifferingRow:
    """One side's row at the first difference.

    Parameters
    ----------
    row : dict
        By field name.
    place : RowPlace or None
        Where it is in a log; None for a row that was just computed.
    inputs : list of InputSpan
        What was read when it was emitted: the segment, or all that its commit had read.
    """

    row: dict[str, Any]
    place: RowPlace | None
    inputs: list[InputSpan]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first differing row of a topic: in order of key, then of rows within the key.

    ``left`` and ``right`` hold the row of each side, or None where that side has no such row; ``place`` counts
    the key's rows from 0.
    """

    key: str
    place: int
    left: DifferingRow | None
    right: DifferingRow | None

    @property
    def in_log(self) -> dict[str, Any] | None:
        """The left side's row by field name."""
        return None if self.left is None else self.left.row

    @property
    def computed(self) -> dict[str, Any] | None:
        """The right side's row by field name."""
        return None if self.right is None else self.right.row


def differing_keys(left: Summary, right: Summary) -> list[str]:
    """Keys whose rows or their order differ, in order."""
    one, other = left.by_key(), right.by_key()
    return sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))


def explain(
    topic: Topic, left: RowSource, right: RowSource, keys: list[str]
) -> tuple[RowCounts, Difference]:
    """How the rows of keys that differ do so.

    Parameters
    ----------
    topic : Topic
        Whose rows.
    left, right : RowSource
        Both sides; each is gone through twice, the second time up to the first differing row.
    keys : list of str
        Keys that differ, in order; the first one's first differing row is looked for.
    """
    first = keys[0]
    wanted = pa.array(keys)
    of_first: list[UInt64s] = []
    with RowBuckets() as buckets:
        for side, source in enumerate((left, right)):
            digests = [np.zeros((0, 2), dtype=np.uint64)]
            for found in source.rows({topic.name}):
                names = _keys(topic, found.batch)
                differing = found.batch.filter(pc.is_in(names, wanted))
                if differing.num_rows:
                    buckets.add(side, topic, differing)
                own = found.batch.filter(pc.equal(names, first))
                if own.num_rows:
                    digests.append(row_digests(topic, own))
            of_first.append(np.concatenate(digests))
        counts = buckets.count()
    places = _first_places(topic, *of_first)
    if places == (None, None):
        # The key's rows are spread over partitions, in which a reader finds them in no order.
        places = (0, 0)
    one, other = (
        None if place is None else _row_at(topic, source, first, place)
        for source, place in zip((left, right), places, strict=True)
    )
    place = min(place for place in places if place is not None)
    return counts, Difference(key=first, place=place, left=one, right=other)


def _keys(topic: Topic, batch: pa.RecordBatch) -> pa.Array:
    return batch.column(topic.key).cast(pa.string())


def _first_places(topic: Topic, left: UInt64s, right: UInt64s) -> tuple[int | None, int | None]:
    """Place of the first differing row among the key's rows, on each side; None where there is none."""
    if is_ordered(topic):
        common = min(len(left), len(right))
        differing = np.flatnonzero((left[:common] != right[:common]).any(axis=1))
        place = int(differing[0]) if len(differing) else common
        return (
            place if place < len(left) else None,
            place if place < len(right) else None,
        )
    return _first_unmatched(left, right)


def _first_unmatched(left: UInt64s, right: UInt64s) -> tuple[int | None, int | None]:
    """The same for rows without order: the first row of either side that the other has fewer of."""
    rows, inverse = np.unique(np.concatenate([left, right]), axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    one, other = inverse[: len(left)], inverse[len(left) :]
    over = np.bincount(one, minlength=len(rows)) - np.bincount(other, minlength=len(rows))
    here = np.flatnonzero(over[one] > 0)
    there = np.flatnonzero(over[other] < 0)
    return (int(here[0]) if len(here) else None, int(there[0]) if len(there) else None)


def _row_at(topic: Topic, source: RowSource, key: str, place: int) -> DifferingRow:
    passed = 0
    for found, at in _places_of(topic, source, key):
        if passed + len(at) <= place:
            passed += len(at)
            continue
        row = int(at[place - passed])
        values: dict[str, Any] = found.batch.slice(row, 1).to_pylist()[0]
        return DifferingRow(row=values, place=found.place_of(row), inputs=source.inputs_of(found))
    raise AssertionError(f"{topic.name}: the key {key!r} had more than {place} rows a moment ago")


def _places_of(topic: Topic, source: RowSource, key: str) -> Iterator[tuple[Found, Any]]:
    for found in source.rows({topic.name}):
        at = np.flatnonzero(pc.equal(_keys(topic, found.batch), key).to_numpy(zero_copy_only=False))
        if len(at):
            yield found, at
