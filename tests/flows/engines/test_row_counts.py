"""What only one side has and what differs is counted by identity, of rows on disk."""

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest

from flows.engines.row_counts import RowBuckets, RowCounts
from schemas.bars import BARS
from tests.conformity.workload import topic_rows


def counted(left: pa.RecordBatch, right: pa.RecordBatch, cut: int = 100) -> RowCounts:
    with RowBuckets() as buckets:
        for side, batch in enumerate((left, right)):
            for at in range(0, batch.num_rows, cut):
                buckets.add(side, BARS, batch.slice(at, cut))
        return buckets.count()


def plainly(left: pa.RecordBatch, right: pa.RecordBatch) -> RowCounts:
    """The same by Python's own means: rows that are the same cancel out, then pairs of one identity."""
    sides = [Counter(repr(row) for row in batch.to_pylist()) for batch in (left, right)]
    rest = [sides[0] - sides[1], sides[1] - sides[0]]
    names: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for side, batch in enumerate((left, right)):
        identities = {
            repr(row): repr([row[name] for name in BARS.identity]) for row in batch.to_pylist()
        }
        for row, count in rest[side].items():
            names[identities[row]][side] += count
    pairs = [(min(one), one) for one in names.values()]
    return RowCounts(
        left_only=sum(one[0] - both for both, one in pairs),
        right_only=sum(one[1] - both for both, one in pairs),
        different=sum(both for both, _ in pairs),
    )


@pytest.mark.parametrize("seed", range(6))
def test_counts_are_those_of_a_plain_count(seed: int) -> None:
    rng = np.random.default_rng(seed)
    whole = topic_rows(BARS, rng, 400, 1_000)
    # Some rows twice, so that an identity is there more than once.
    left = whole.take(pa.array(rng.integers(0, 400, 380)))
    right = whole.take(pa.array(rng.integers(0, 400, 380)))
    at = BARS.schema.get_field_index("close")
    close = right.column("close").to_numpy(zero_copy_only=False).copy()
    changed = rng.integers(0, 380, 40)
    close[changed] = rng.integers(1, 3, 40)
    right = right.set_column(at, BARS.schema.field(at), pa.array(close))
    found = counted(left, right)
    assert found == plainly(left, right)
    assert min(found.left_only, found.right_only, found.different) > 0


def test_the_same_rows_in_another_order_and_cut_differ_in_nothing() -> None:
    rows = topic_rows(BARS, np.random.default_rng(3), 300, 1_000)
    backwards = rows.take(pa.array(range(299, -1, -1)))
    assert counted(rows, backwards, cut=37) == RowCounts()
