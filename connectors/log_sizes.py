"""How large a partition is, and where a size ends, estimated from a few stretches of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from connectors.log import Stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a partition holds, nearly; exactly where its stretches are all of it."""

    records: int
    rows: int
    size_bytes: int
    exact: bool


def estimate(stretches: Sequence[Stretch], end: int, start: int = 0) -> Size:
    """What a partition holds from ``start`` to ``end``.

    Parameters
    ----------
    stretches : sequence of Stretch
        As `connectors.log.Log.stretches` gives them.
    end, start : int
        Where the partition ends, and from where on it is asked about.
    """
    records = rows = size = 0.0
    exact = True
    for one, upto in _parts(stretches, end):
        width = one.stop - one.first
        share = max(0, upto - max(one.first, start)) / width
        records += one.records * share
        rows += one.rows * share
        size += one.size_bytes * share
        exact = exact and upto - one.first == width and start <= one.first
    return Size(records=round(records), rows=round(rows), size_bytes=round(size), exact=exact)


def offset_of_size(stretches: Sequence[Stretch], end: int, size_bytes: int) -> int:
    """The first offset from which on a partition holds no more than so many bytes."""
    left = float(size_bytes)
    cut = end
    for one, upto in reversed(list(_parts(stretches, end))):
        each = one.size_bytes / (one.stop - one.first)
        whole = each * (upto - one.first)
        if whole > left:
            return cut - int(left // each)
        left -= whole
        cut = one.first
    return cut


def _parts(stretches: Sequence[Stretch], end: int) -> Iterator[tuple[Stretch, int]]:
    """Each stretch, and up to where it stands for what is there."""
    for at, one in enumerate(stretches):
        yield one, stretches[at + 1].first if at + 1 < len(stretches) else max(end, one.stop)
