"""The lake: Parquet files under ``lake/<topic>/date=YYYY-MM-DD``, which any reader of Parquet takes as they are.

A slow topic, whose landing is declared by month or by year, has folders ``month=YYYY-MM`` or ``year=YYYY``
in place of a file for each date: twenty years of daily bars are twenty folders, and not five thousand. A file is named ``<partition>-<first offset>-<last offset>.parquet`` after the range of the log that it
holds, so that the same range written again replaces the same file.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from connectors.crash_points import crash_point
from schemas.arrays import Int64s
from schemas.field import CATEGORY, FLOAT, INT32, INT64, TIMESTAMP
from schemas.topic import Partition, Topic

CONTROL_FOLDER = "_control"
WRITING_FOLDER = ".writing"
# A reader that wants one symbol skips row groups by their statistics: files are sorted by key.
_ROW_GROUP_ROWS = 131_072
# Folder name and numpy's unit, by how a topic's landing is cut.
_PERIODS = {
    Partition.DAY: ("date", "D"),
    Partition.MONTH: ("month", "M"),
    Partition.YEAR: ("year", "Y"),
}
_FILE = re.compile(r"(\d+)-(\d+)-(\d+)\.parquet")
_ENCODINGS = {TIMESTAMP: "DELTA_BINARY_PACKED", INT32: "DELTA_BINARY_PACKED"} | {
    INT64: "DELTA_BINARY_PACKED",
    pa.string(): "DELTA_LENGTH_BYTE_ARRAY",
    pa.binary(): "DELTA_LENGTH_BYTE_ARRAY",
}


class LakeError(RuntimeError):
    """The lake cannot be written or read; the message says which folder and what to do."""


@dataclass(frozen=True, slots=True)
class FileRange:
    """What a file's name says: partition, first and last offset of the log range it was made from."""

    partition: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.partition}-{self.first}-{self.last}.parquet"

    @classmethod
    def of(cls, name: str) -> "FileRange | None":
        """The range that a file name says; None for a name that is not the lake's."""
        found = _FILE.fullmatch(name)
        return cls(*map(int, found.groups())) if found else None


def lake_folder(url: str | Path) -> Path:
    """The folder of a lake given as a path or a ``file://`` URL.

    Raises
    ------
    LakeError
        For a URL of another scheme.
    """
    if isinstance(url, Path):
        return url.resolve()
    parts = urlsplit(url)
    if parts.scheme not in {"", "file"} or parts.netloc:
        raise LakeError(f"lake {url!r}: it must be a folder, as in file:///data/lake or data/lake")
    return Path(unquote(parts.path) if parts.scheme else url).resolve()


def period_name(topic: Topic) -> str:
    """Which folders a topic has in the lake: ``date``, ``month`` or ``year``, all of UTC."""
    return _PERIODS[topic.landing.partition_by][0]


def period_folders(topic: Topic, times_ns: Int64s) -> Any:
    """Name of the folder of rows with these event times, each once, as an array of strings."""
    periods = np.unique(_periods(topic, times_ns)).astype(str)
    return np.array([f"{period_name(topic)}={one}" for one in periods])


def _periods(topic: Topic, times_ns: Int64s) -> Any:
    unit = _PERIODS[topic.landing.partition_by][1]
    return times_ns.view("datetime64[ns]").astype(f"datetime64[{unit}]")


def topic_files(lake: Path, topic: Topic) -> list[Path]:
    """A topic's files, in order of folder and name.

    Raises
    ------
    LakeError
        Where an earlier version has cut the topic's folders in another way.
    """
    name = period_name(topic)
    folder = lake / topic.name
    for other in (one for one, _ in _PERIODS.values() if one != name):
        if next(folder.glob(f"{other}=*"), None) is not None:
            raise LakeError(
                f"lake {folder}: it has folders {other}=…, and {topic.name} is cut by {name} now; delete "
                "the lake's folder and land it again from the log, into a new home"
            )
    return sorted(folder.glob(f"{name}=*/*.parquet"))


def write_range(lake: Path, topic: Topic, span: FileRange, rows: pa.Table) -> list[Path]:
    """Write the rows of a range of one partition, one file a date (month, year); all are on disk on return.

    Parameters
    ----------
    lake : Path
        Folder of the lake.
    topic : Topic
        Whose rows.
    span : FileRange
        Range of the log; names the files.
    rows : pyarrow.Table
        As `connectors.landed.landed_table` makes it, in order of offset and row.

    Returns
    -------
    list of Path
        The files, in order of period.
    """
    times = rows.column(topic.event_time).cast(pa.int64()).to_numpy()
    ordered = rows.take(pa.array(_key_time_order(rows.column(topic.key), times)))
    periods = _periods(topic, ordered.column(topic.event_time).cast(pa.int64()).to_numpy())
    files = []
    for period in np.unique(periods):
        whole = periods.min() == periods.max()
        part = ordered if whole else ordered.filter(pa.array(periods == period))
        folder = lake / topic.name / f"{period_name(topic)}={period}"
        files.append(write_file(lake, folder, span.name, part))
    return files


def write_file(lake: Path, folder: Path, name: str, rows: pa.Table) -> Path:
    """Write one file of the lake so that a reader of the folder sees all of it or nothing.

    It is made in ``lake/.writing``, synced, and renamed: beside the others, even a hidden file would
    keep Polars from reading the folder.
    """
    writing = lake / WRITING_FOLDER
    writing.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    fresh = writing / "-".join([*folder.relative_to(lake).parts, name])
    write_synced(fresh, rows)
    target = folder / name
    crash_point("lake: file written")
    fresh.replace(target)
    crash_point("lake: file renamed")
    sync_folder(folder)
    return target


def write_synced(path: Path, rows: pa.Table) -> None:
    """Write rows as Parquet to a path, and to the disk."""
    with path.open("wb") as file:
        pq.write_table(
            rows,
            file,
            compression="zstd",
            compression_level=1,
            row_group_size=_ROW_GROUP_ROWS,
            use_dictionary=[f.name for f in rows.schema if f.type in (CATEGORY, FLOAT)],
            column_encoding={
                f.name: _ENCODINGS[f.type] for f in rows.schema if f.type in _ENCODINGS
            },
            write_statistics=True,
        )
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk: a rename is durable only then."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sort_rows(topic: Topic, rows: pa.Table) -> pa.Table:
    """Rows of one partition by key, event time, offset and row."""
    offset = rows.column("_offset").to_numpy()
    row = rows.column("_row").to_numpy()
    times = rows.column(topic.event_time).cast(pa.int64()).to_numpy()
    by_position = np.lexsort((row, offset))
    rows = rows.take(pa.array(by_position))
    return rows.take(pa.array(_key_time_order(rows.column(topic.key), times[by_position])))


def _key_time_order(keys: pa.ChunkedArray, times: Int64s) -> Int64s:
    """Stable order by key (as text) and time; ties stay as they came."""
    one = keys.combine_chunks()
    if isinstance(one, pa.ChunkedArray):
        one = pa.concat_arrays(one.chunks)
    if not pa.types.is_dictionary(one.type):
        one = one.dictionary_encode()
    names = np.array(one.dictionary.to_pylist(), dtype=object)
    # Two codes of one name would tear a key apart: equal names get equal ranks.
    _, ranks = np.unique(names, return_inverse=True)
    rank = ranks.astype(np.int32)[one.indices.to_numpy(zero_copy_only=False)]
    if len(names) <= np.iinfo(np.int16).max:
        rank = rank.astype(np.int16)  # numpy sorts 16 bits by radix, four times as fast
    order: Int64s = np.lexsort((times, rank))
    return order
