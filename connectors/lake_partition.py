"""One partition of a log as the lake has it: windows of its records, with their rows, in order of offset."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.lake_control import control_folder
from connectors.lake_files import (
    LakeFile,
    by_partition,
    offset_groups,
    readable,
    row_bytes,
    rows_of,
)
from connectors.log import CorruptLogError, Record
from connectors.parquet import topic_files
from schemas.arrays import Int64s
from schemas.codec import HEADER_KIND, HEADER_ROWS, KIND_ROWS, encode
from schemas.topic import Topic

# Of the rows that one window holds: few enough to be kept for every input of a flow at once.
_WINDOW_BYTES = 48 << 20
_WINDOW_ROWS = 500_000
# Records are made of a window by so many.
_RECORDS = 256
# A dictionary this small is sent with every record; a larger one is cut to the words that a record uses.
_SMALL_DICTIONARY = 64
# A merge of files may come between a listing and a read, and another one behind it.
_LISTINGS = 5

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class Window:
    """Consecutive records of a partition.

    Parameters
    ----------
    first, stop : int
        The offsets that it speaks of: all records between them are in it.
    offsets : numpy.ndarray of int64
        Of its records, in order.
    control : pyarrow.Table
        Their control rows.
    rows : pyarrow.RecordBatch or None
        Their rows, one record's after the other's.
    starts : numpy.ndarray of int64, shape (records + 1,)
        Where in ``rows`` each record's begin.
    has_rows : numpy.ndarray of bool
        Whether a record is one of rows (it may have none).
    topic : Topic or None
        What the rows are.
    """

    first: int
    stop: int
    offsets: Int64s
    control: pa.Table
    rows: pa.RecordBatch | None
    starts: Int64s
    has_rows: Any
    topic: Topic | None

    @property
    def size_bytes(self) -> int:
        """Memory that it holds."""
        rows = 0 if self.rows is None else self.rows.nbytes
        return int(self.control.nbytes + rows)

    def records(self, offset: int, max_bytes: int) -> tuple[list[Record], int]:
        """Records from an offset on, one at least if there is one, and where to read on."""
        at = int(np.searchsorted(self.offsets, offset))
        found: list[Record] = []
        size = 0
        while at < len(self.offsets):
            for row in self.control.slice(at, _RECORDS).to_pylist():
                record = self._record(at, row)
                size += len(record.value or b"") + len(record.key or b"")
                if found and size > max_bytes:
                    return found, found[-1].offset + 1
                found.append(record)
                at += 1
        return found, self.stop

    def _record(self, at: int, row: dict[str, Any]) -> Record:
        value = self._encoded(at) if self.has_rows[at] else row["value"]
        return Record(
            topic=row["topic"],
            partition=row["partition"],
            offset=row["offset"],
            append_time_ns=row["append_time"],
            key=row["key"],
            headers=tuple((one["name"], one["value"]) for one in row["headers"]),
            value=value,
        )

    def _encoded(self, at: int) -> bytes:
        if self.topic is None:
            raise AssertionError("only a declared topic has rows")
        start, stop = int(self.starts[at]), int(self.starts[at + 1])
        if start == stop or self.rows is None:
            return encode(self.topic.empty())
        batch = self.rows.slice(start, stop - start)
        columns = [_compact(column) for column in batch.columns]
        return encode(pa.RecordBatch.from_arrays(columns, schema=batch.schema))


@dataclass(kw_only=True)
class LakePartition:
    """The files of one partition, as they were when the lake was opened, or in merges of them since.

    Parameters
    ----------
    lake : Path
        Folder of the lake.
    name : str
        Log topic.
    partition : int
        Which.
    topic : Topic or None
        Declaration of its rows; None where records are kept as they came.
    """

    lake: Path
    name: str
    partition: int
    topic: Topic | None
    start: int = 0
    end: int = 0
    _control: list[LakeFile] = field(default_factory=list)
    _rows: list[LakeFile] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._list_control()
        if self._control:
            self.start = self._control[0].span.first
            self.end = self._control[-1].span.last + 1

    def window(self, offset: int) -> Window:
        """The records from an offset within the partition on, as many as make a window.

        Raises
        ------
        CorruptLogError
            Where a file is damaged, or gone for good.
        """
        return self._read(lambda: self._window(offset))

    def last_offset(self) -> int | None:
        """The offset of the newest record; None where there is none.

        Raises
        ------
        CorruptLogError
            As of `window`.
        """
        return self._read(self._last_offset)

    def _read(self, read: Callable[[], Found]) -> Found:
        """What is read of the files; of those of now where some have been merged since they were listed."""
        with self._lock:
            for _ in range(_LISTINGS - 1):
                try:
                    return read()
                except FileNotFoundError:
                    self._list_control()
                    self._rows = None
            try:
                return read()
            except FileNotFoundError as error:
                raise CorruptLogError(
                    f"lake file {error.filename}: it is gone; bring it back from a copy, or land the lake "
                    "again from the log"
                ) from error

    def _last_offset(self) -> int | None:
        for one in reversed(self._control):
            with readable(one.path), pq.ParquetFile(one.path) as file:
                groups = offset_groups(file, "offset")
            if groups and one.span.first < self.end:
                newest = groups[-1][2]
                return newest if newest < self.end else self._newest_before_end(one.path)
        return None

    def _newest_before_end(self, path: Path) -> int | None:
        """In a file that was merged with later ones since the lake was opened."""
        offsets = pq.read_table(path, columns=["offset"], partitioning=None).column("offset")
        newest = pc.max(offsets.filter(pc.less(offsets, self.end))).as_py()
        return None if newest is None else int(newest)

    def _list_control(self) -> None:
        folder = control_folder(self.lake, self.name)
        self._control = by_partition(folder.glob(f"{self.partition}-*.parquet")).get(
            self.partition, []
        )

    def _row_files(self, topic: Topic) -> list[LakeFile]:
        if self._rows is None:
            self._rows = by_partition(topic_files(self.lake, topic)).get(self.partition, [])
        return self._rows

    def _window(self, offset: int) -> Window:
        control, stop = self._control_from(offset)
        offsets = control.column("offset").to_numpy()
        has_rows, counts = _row_counts(control)
        if self.topic is None:
            has_rows[:] = False
            counts[:] = 0
        elif counts.any():
            fits = self._records_that_fit(self.topic, offsets, counts)
            if fits < len(offsets):
                control, stop = control.slice(0, fits), int(offsets[fits])
                offsets, has_rows, counts = offsets[:fits], has_rows[:fits], counts[:fits]
        rows = None
        filled = counts > 0
        if self.topic is not None and filled.any():
            files = self._row_files(self.topic)
            rows = rows_of(files, self.topic, offsets[filled], counts[filled])
        return Window(
            first=offset,
            stop=stop,
            offsets=offsets,
            control=control,
            rows=rows,
            starts=np.concatenate([[0], np.cumsum(counts)]),
            has_rows=has_rows,
            topic=self.topic,
        )

    def _records_that_fit(self, topic: Topic, offsets: Int64s, counts: Int64s) -> int:
        """How many of the records make a window of bounded size; one at least."""
        files = self._row_files(topic)
        width = max(8.0 * len(topic.fields), row_bytes(files, int(offsets[0]), int(offsets[-1])))
        most = min(_WINDOW_ROWS, _WINDOW_BYTES / width)
        return max(1, int(np.searchsorted(np.cumsum(counts), most, side="right")))

    def _control_from(self, offset: int) -> tuple[pa.Table, int]:
        """Control rows from an offset on, to the end of their row group, and the offset that follows them."""
        for one in self._control:
            if one.span.last < offset:
                continue
            if one.span.first > offset:
                break
            with readable(one.path), pq.ParquetFile(one.path) as file:
                groups = offset_groups(file, "offset")
                for number, _, most in groups:
                    if most >= offset:
                        table = file.read_row_group(number).combine_chunks()
                        stop = one.span.last + 1 if number == groups[-1][0] else most + 1
                        return self._cut(table, offset), min(stop, self.end)
                nothing = file.schema_arrow.empty_table()
            return nothing, min(one.span.last + 1, self.end)
        first = next((one.span.first for one in self._control if one.span.first > offset), self.end)
        raise CorruptLogError(
            f"lake {control_folder(self.lake, self.name)}: no file has offsets {offset} to {first - 1} of "
            f"partition {self.partition}: it was deleted; bring it back from a copy, or land the lake again "
            "from the log"
        )

    def _cut(self, control: pa.Table, offset: int) -> pa.Table:
        at = control.schema.get_field_index("append_time")
        times = control.column(at).cast(pa.int64())
        control = control.set_column(at, "append_time", times)
        column = control.column("offset")
        inside = pc.and_(pc.greater_equal(column, offset), pc.less(column, self.end))
        return control if pc.all(inside).as_py() else control.filter(inside).combine_chunks()


def _row_counts(control: pa.Table) -> tuple[Any, Int64s]:
    """Whether each record is one of rows, and how many it has, by its headers."""
    headers = control.column("headers").combine_chunks()
    if isinstance(headers, pa.ChunkedArray):
        headers = pa.concat_arrays(headers.chunks) if headers.num_chunks else headers.type.empty()
    of_record = pc.list_parent_indices(headers).to_numpy()
    flat = pc.list_flatten(headers)
    names, values = pc.struct_field(flat, "name"), pc.struct_field(flat, "value")
    is_kind = pc.and_(pc.equal(names, HEADER_KIND), pc.equal(values, KIND_ROWS)).to_numpy(
        zero_copy_only=False
    )
    has_rows = np.zeros(control.num_rows, dtype=bool)
    has_rows[of_record[is_kind]] = True
    counts = np.zeros(control.num_rows, dtype=np.int64)
    is_count = pc.equal(names, HEADER_ROWS).to_numpy(zero_copy_only=False) & has_rows[of_record]
    texts = values.filter(pa.array(is_count)).cast(pa.string())
    counts[of_record[is_count]] = texts.cast(pa.int64()).to_numpy()
    return has_rows, counts


def _compact(column: pa.Array) -> pa.Array:
    """A column whose dictionary has no more words than pay."""
    if not pa.types.is_dictionary(column.type):
        return column
    if len(column.dictionary) <= max(_SMALL_DICTIONARY, len(column)):
        return column
    return column.dictionary_decode().dictionary_encode()
