"""Makes few large files of many small ones in a folder of the lake, in one step for its readers.

The folder is built anew in ``lake/.compaction`` (files that stay are hard links) and the two are exchanged
by one system call. A reader that lists the folder sees all old files or all new ones. One that listed
before and opens after finds a merged file gone, which is an error in every reader, never a wrong count. The old
folder is kept for `GRACE_S`, so that a listing under way when they were exchanged is whole. Whatever a crash
leaves lies in ``lake/.compaction``, where `clean` removes it.
"""

import ctypes
import errno
import os
import shutil
import time
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from connectors.crash_points import crash_point
from connectors.lake_files import readable
from connectors.parquet import FileRange, LakeError, sync_folder, write_synced

# Rows of a file after which it is left as it is; readers gain little by larger ones.
TARGET_ROWS = 1_000_000
# The same, where rows are large (payloads of dead letters, what others wrote to an inbox): a merge is
# made in memory, and so is a read of the lake as a log.
TARGET_BYTES = 128 << 20
# Fewer small files than this are not worth writing their rows again.
FILES_MIN = 8
GRACE_S = 5.0
_STAGING = ".compaction"
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


class CompactionUnsupportedError(LakeError):
    """The file system cannot exchange two folders in one step."""


class Compactor:
    """Compacts folders of one lake; one a lake at a time, in the program that writes it.

    Parameters
    ----------
    lake : Path
        Folder of the lake.
    """

    def __init__(self, lake: Path) -> None:
        self._staging = lake / _STAGING
        self._lake = lake
        self._replaced: list[tuple[float, Path]] = []
        self._count = 0
        self.clean()

    def clean(self) -> None:
        """Remove what a crash or an earlier run left; at start only."""
        shutil.rmtree(self._staging, ignore_errors=True)

    def compact(self, folder: Path, order: Callable[[pa.Table], pa.Table]) -> int:
        """Merge the small files of a folder, partition by partition.

        Parameters
        ----------
        folder : Path
            Of the lake, with files named by `FileRange`.
        order : callable
            Sorts the rows of a merged file.

        Returns
        -------
        int
            How many files were merged away; 0 where there were too few.

        Raises
        ------
        CompactionUnsupportedError
            Where the file system cannot do it; the folder is as it was.
        CorruptLogError
            Where a file of the folder cannot be read, which is named.
        """
        self._sweep(time.monotonic() - GRACE_S)
        groups = list(_groups(folder))
        if not groups:
            return 0
        self._count += 1
        staging = self._staging / f"{self._count}"
        try:
            _build(folder, staging / folder.relative_to(self._lake), groups, order)
            crash_point("compaction: before swap")
            _exchange(folder, staging / folder.relative_to(self._lake))
        except Exception:
            # Half a merged file would take the last room of a disk until the lander's next start.
            shutil.rmtree(staging, ignore_errors=True)
            raise
        crash_point("compaction: after swap")
        sync_folder(folder.parent)
        self._replaced.append((time.monotonic(), staging))
        return sum(len(group) - 1 for group in groups)

    def _sweep(self, before_s: float) -> None:
        old = [path for swapped_s, path in self._replaced if swapped_s <= before_s]
        self._replaced = [one for one in self._replaced if one[1] not in old]
        for path in old:
            shutil.rmtree(path)


def _build(
    folder: Path,
    fresh: Path,
    groups: list[list[tuple[Path, FileRange]]],
    order: Callable[[pa.Table], pa.Table],
) -> None:
    """Make the folder as it will be: each group one file, and the others as they are."""
    fresh.mkdir(parents=True)
    merged = {path for group in groups for path, _ in group}
    for path in folder.glob("*.parquet"):
        if path not in merged:
            (fresh / path.name).hardlink_to(path)
    for group in groups:
        spans = [span for _, span in group]
        name = FileRange(spans[0].partition, spans[0].first, spans[-1].last).name
        tables = [_table(path) for path, _ in group]
        rows = pa.concat_tables(tables).combine_chunks()
        write_synced(fresh / name, order(rows))
    sync_folder(fresh)


def _groups(folder: Path) -> Iterator[list[tuple[Path, FileRange]]]:
    """Runs of neighbouring small files of one partition that make one file of the target's size."""
    found = [(path, FileRange.of(path.name)) for path in folder.glob("*.parquet")]
    spans = [(path, span) for path, span in found if span is not None]
    spans.sort(key=lambda one: (one[1].partition, one[1].first))
    for _, files in groupby(spans, key=lambda one: one[1].partition):
        group: list[tuple[Path, FileRange]] = []
        rows = size = 0
        for path, span in files:
            count, size_bytes = _rows_and_bytes(path)
            small = count <= TARGET_ROWS // 2 and size_bytes <= TARGET_BYTES // 2
            # Only neighbours are merged: a file's name then says a range that no other file of its
            # folder and partition is in.
            if not small or rows + count > TARGET_ROWS or size + size_bytes > TARGET_BYTES:
                if len(group) >= FILES_MIN:
                    yield group
                group, rows, size = [], 0, 0
            if small:
                group.append((path, span))
                rows += count
                size += size_bytes
        if len(group) >= FILES_MIN:
            yield group


def _table(path: Path) -> pa.Table:
    with readable(path):
        return pq.read_table(path, partitioning=None)


def _rows_and_bytes(path: Path) -> tuple[int, int]:
    """Rows of a file, and their bytes before compression."""
    with readable(path):
        found = pq.read_metadata(path)
    groups = (found.row_group(at).total_byte_size for at in range(found.num_row_groups))
    return int(found.num_rows), sum(groups)


def _exchange(one: Path, other: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.renameat2(
        _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE
    )
    if done == 0:
        return
    code = ctypes.get_errno()
    what = f"lake folder {one}: cannot be exchanged with its compacted copy: {os.strerror(code)}"
    if code in {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}:
        raise CompactionUnsupportedError(
            f"{what}; the file system lacks renameat2(RENAME_EXCHANGE), so small files stay"
        )
    raise LakeError(what)
