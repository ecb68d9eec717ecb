"""Which files of the lake hold which offsets of a partition, and the rows of given records out of them.

Files of rows are sorted by key and cut by date, so the rows of one record may lie in several files, anywhere
in them. They are read row group by row group, only those that hold wanted offsets, and put back in the order
of the log; a row that is missing or too much is an error that names its record.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.log import CorruptLogError
from connectors.parquet import FileRange, LakeError
from schemas.arrays import Int64s
from schemas.topic import Topic

T = TypeVar("T")

# A merge of files may come between a listing and a read, and another one behind it.
_LISTINGS = 5


@dataclass(frozen=True, slots=True)
class LakeFile:
    """A file and the range that its name says."""

    span: FileRange
    path: Path


def by_partition(paths: Iterable[Path]) -> dict[int, list[LakeFile]]:
    """The lake's files among these, by partition, in order of their ranges."""
    found: defaultdict[int, list[LakeFile]] = defaultdict(list)
    for path in paths:
        span = FileRange.of(path.name)
        if span is not None:
            found[span.partition].append(LakeFile(span, path))
    for files in found.values():
        files.sort(key=lambda one: (one.span.first, one.span.last, one.path))
    return dict(found)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Name the file in what goes wrong with its bytes; that it is gone is the caller's business."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise CorruptLogError(
            f"lake file {path}: it cannot be read as Parquet ({error}): it is cut off or damaged; bring it "
            "back from a copy, or land the lake again from the log"
        ) from error


def read_unmerged(listed: Callable[[], list[Path]], read: Callable[[list[Path]], T]) -> T:
    """What is read of files; listed and read again where the lander has merged some of them meanwhile.

    Raises
    ------
    LakeError
        Where some were gone each time.
    """
    for _ in range(_LISTINGS):
        try:
            return read(listed())
        except FileNotFoundError as error:
            gone = error
    raise LakeError(f"lake: a file was gone at each of {_LISTINGS} listings: {gone}") from gone


def offset_groups(file: pq.ParquetFile, name: str) -> list[tuple[int, int, int]]:
    """Number, smallest and largest offset of each row group with rows, by the file's statistics."""
    at = file.schema_arrow.get_field_index(name)
    groups = []
    for number in range(file.metadata.num_row_groups):
        group = file.metadata.row_group(number)
        if group.num_rows:
            found = group.column(at).statistics
            groups.append((number, int(found.min), int(found.max)))
    return groups


def check_name(one: LakeFile, column: str) -> None:
    """See that a file can be read, and has no offsets but those that its name says, by which it is found.

    Raises
    ------
    CorruptLogError
        Naming it.
    FileNotFoundError
        Where it is gone: merged meanwhile, or deleted.
    """
    with readable(one.path), pq.ParquetFile(one.path) as file:
        groups = offset_groups(file, column)
    for _, least, most in groups:
        if least < one.span.first or most > one.span.last:
            raise CorruptLogError(
                f"lake file {one.path}: it has offsets {least} to {most}, others than its name says: another file "
                "was put in its place; bring it back from a copy"
            )


def row_bytes(files: Iterable[LakeFile], first: int, last: int) -> float:
    """Bytes of a row before compression, of the widest of the files that may hold an offset; 0 of none."""
    widest = 0.0
    for one in _overlapping(files, first, last):
        with readable(one.path):
            found = pq.read_metadata(one.path)
        size = sum(found.row_group(at).total_byte_size for at in range(found.num_row_groups))
        widest = max(widest, size / max(1, found.num_rows))
    return widest


def rows_of(
    files: Iterable[LakeFile], topic: Topic, offsets: Int64s, counts: Int64s
) -> pa.RecordBatch:
    """The rows of records of one partition, in order of offset and row.

    Parameters
    ----------
    files : iterable of LakeFile
        All of the partition's files of rows.
    topic : Topic
        What the rows are.
    offsets, counts : numpy.ndarray of int64
        The records, in order, and how many rows each has: at least 1.

    Raises
    ------
    CorruptLogError
        Where a file cannot be read, or the files do not have exactly these rows.
    FileNotFoundError
        Where a file is gone: merged meanwhile, or deleted.
    """
    first, last = int(offsets[0]), int(offsets[-1])
    names = [*topic.schema.names, "_offset", "_row"]
    parts = [
        part
        for one in _overlapping(files, first, last)
        for part in _within(one.path, names, first, last)
    ]
    where = f"{topic.name}[{next((one.span.partition for one in files), '?')}]"
    if not parts:
        raise _not_whole(where, first, int(counts[0]), 0)
    table = pa.concat_tables(parts)
    order = _order(where, table, offsets, counts)
    rows = table.select(topic.schema.names).cast(topic.schema)
    rows = rows.combine_chunks().take(pa.array(order))
    (batch,) = rows.combine_chunks().to_batches()
    return batch


def _overlapping(files: Iterable[LakeFile], first: int, last: int) -> Iterator[LakeFile]:
    return (one for one in files if one.span.first <= last and one.span.last >= first)


def _within(path: Path, names: list[str], first: int, last: int) -> Iterator[pa.Table]:
    """The rows of a file between two offsets, row group by row group."""
    with readable(path), pq.ParquetFile(path) as file:
        for number, least, most in offset_groups(file, "_offset"):
            if least > last or most < first:
                continue
            if first <= least and most <= last:
                yield file.read_row_group(number, columns=names)
                continue
            # The offsets alone first: they are small, and tell whether the rest is worth reading.
            column = file.read_row_group(number, columns=["_offset"]).column("_offset")
            mask = pc.and_(pc.greater_equal(column, first), pc.less_equal(column, last))
            if pc.any(mask).as_py():
                yield file.read_row_group(number, columns=names).filter(mask)


def _order(where: str, table: pa.Table, offsets: Int64s, counts: Int64s) -> Int64s:
    """Where in the table each row of the log is; an error unless each is there exactly once."""
    offset = table.column("_offset").to_numpy()
    row = table.column("_row").to_numpy()
    ends = np.cumsum(counts)
    at = np.minimum(np.searchsorted(offsets, offset), len(offsets) - 1)
    known = (offsets[at] == offset) & (row < counts[at])
    if not known.all():
        stray = int(np.flatnonzero(~known)[0])
        raise CorruptLogError(
            f"lake: {where} has row {row[stray]} of offset {offset[stray]}, and by _control there is no such "
            "row: its files are not those of one log; land the lake again from the log"
        )
    place = (ends - counts)[at] + row
    found = np.bincount(place, minlength=int(ends[-1]))
    if (found != 1).any():
        record = int(np.searchsorted(ends, np.flatnonzero(found != 1)[0], side="right"))
        of_record = found[ends[record] - counts[record] : ends[record]]
        raise _not_whole(where, int(offsets[record]), int(counts[record]), int(of_record.sum()))
    order = np.empty(len(place), dtype=np.int64)
    order[place] = np.arange(len(place))
    return order


def _not_whole(where: str, offset: int, wanted: int, found: int) -> CorruptLogError:
    return CorruptLogError(
        f"lake: the record of {where} at offset {offset} has {wanted} rows by _control, and {found} are in the "
        "topic's files: a file whose name has that offset in its range was deleted or doubled; bring "
        "it back from a copy, or land the lake again from the log"
    )
