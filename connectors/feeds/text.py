"""Delimited text into Arrow columns, block by block; a line that does not fit costs that line only."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from connectors.feeds.archive import ByteStream, count_lines, line_blocks
from connectors.feeds.source import Block, Fault, Rows, Source, first_times
from schemas.arrays import Int64s
from schemas.topic import Topic

_COUNT = re.compile(r"Expected (\d+) columns, got (\d+)")
_VALUE = re.compile(
    r"In CSV column #(\d+): (?:Row #\d+: )?(?:CSV conversion error to ([^:]+): )?(.*)", re.DOTALL
)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a format's lines become rows.

    Parameters
    ----------
    topic : Topic
        Of the rows.
    columns : mapping of str to pyarrow.DataType
        The file's columns in order; those of type null are not read.
    build : callable
        From the read columns to `Rows`.
    required : tuple of str
        Columns in which an empty value makes the line a fault.
    header : bool
        Whether the first line names the columns and is no row.
    delimiter : str
        Between two values.
    quoted : bool
        Whether values may stand in double quotes (without line ends inside).
    rows_per_line : int
        How many rows ``build`` makes of each line, one behind the other.
    """

    topic: Topic
    columns: Mapping[str, pa.DataType]
    build: Callable[[pa.RecordBatch], Rows]
    required: tuple[str, ...]
    header: bool = False
    delimiter: str = ","
    quoted: bool = False
    rows_per_line: int = 1


class TextBlock(Block):
    """Whole lines of a file, read into rows."""

    def __init__(self, data: bytes, first_line: int, layout: Layout) -> None:
        self._data = data
        self._first_line = first_line
        self.last_line = first_line + count_lines(data) - 1
        columns, at, faults = read_lines(data, first_line, layout)
        self.faults = tuple(faults)
        self.rows = layout.build(columns)
        self.lines = at if layout.rows_per_line == 1 else np.repeat(at, layout.rows_per_line)

    def text(self, line: int) -> bytes:
        """The text of a line without its end."""
        return line_text(self._data, line - self._first_line)


class TextSource(Source):
    """A delimited text file of one layout.

    Parameters
    ----------
    path : pathlib.Path
        Plain, gzip, or a zip with one member.
    layout : Layout
        Of its lines.
    block_bytes : int
        How much unpacked text is read into one block.
    whole_scan : bool
        Whether `scan` must read the whole file, since it may hold several keys.
    member : str
        Of a zip the member to read, which is then the part's name; empty where there is only one.
    """

    def __init__(
        self,
        path: Path,
        layout: Layout,
        block_bytes: int,
        *,
        whole_scan: bool = False,
        member: str = "",
    ) -> None:
        self.path = path
        self.part = member
        self.topic = layout.topic
        self._layout = layout
        self._block_bytes = block_bytes
        self._whole_scan = whole_scan
        self._stream = ByteStream(path, member)
        self.bytes_total = self._stream.bytes_total

    @property
    def bytes_done(self) -> int:
        """Bytes of the file read so far."""
        return self._stream.bytes_done

    def blocks(self, after_line: int = 0) -> Iterator[TextBlock]:
        """Blocks of rows behind a line."""
        skip = max(after_line, int(self._layout.header))
        for data, first_line in line_blocks(self._stream, self._block_bytes):
            behind = skip - first_line + 1
            if behind <= 0:
                yield TextBlock(data, first_line, self._layout)
                continue
            at = 0
            for _ in range(min(behind, data.count(b"\n"))):
                at = data.index(b"\n", at) + 1
            if at < len(data):
                yield TextBlock(data[at:], first_line + behind, self._layout)

    def scan(self) -> dict[str, int]:
        """Key to first event time: of the first rows, or of all where the file may hold many keys."""
        return first_times(self, whole=self._whole_scan)


def read_lines(
    data: bytes, first_line: int, layout: Layout
) -> tuple[pa.RecordBatch, Int64s, list[Fault]]:
    """The columns of a layout in some whole lines, the line of each row, and the lines that are no rows."""
    return _Parser(layout).parse(data, first_line)


def line_text(data: bytes, at: int) -> bytes:
    """The text of the line at a place (from 0) among whole lines, without its end."""
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    start = 0 if at == 0 else int(ends[at - 1]) + 1
    return data[start : int(ends[at])].rstrip(b"\r")


class _Parser:
    """Reads a block at once, and by halves where a line in it does not fit."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        names = list(layout.columns)
        self._read = csv.ReadOptions(column_names=names, use_threads=False, block_size=1 << 30)
        self._parse = csv.ParseOptions(
            delimiter=layout.delimiter,
            quote_char='"' if layout.quoted else False,
            ignore_empty_lines=False,
        )
        wanted = {name: kind for name, kind in layout.columns.items() if not pa.types.is_null(kind)}
        self._schema = pa.schema(wanted.items())
        self._convert = csv.ConvertOptions(
            column_types=wanted,
            include_columns=list(wanted),
            strings_can_be_null=True,
            null_values=[""],
            quoted_strings_can_be_null=False,
        )

    def parse(self, data: bytes, first_line: int) -> tuple[pa.RecordBatch, Int64s, list[Fault]]:
        """Columns, the line of each row, and the lines that are no rows."""
        faults: list[Fault] = []
        parts: list[pa.Table] = []
        lines: list[Int64s] = []
        # A stack, not recursion: last half first, so that the parts come in order.
        todo = [(data, first_line)]
        while todo:
            part, line = todo.pop()
            count = count_lines(part)
            try:
                table = csv.read_csv(
                    pa.BufferReader(part),
                    read_options=self._read,
                    parse_options=self._parse,
                    convert_options=self._convert,
                )
                # A carriage return within a line is a line end to Arrow.
                wrong = "" if table.num_rows == count else "a carriage return within the line"
            except pa.ArrowInvalid as error:
                wrong = self._reason(str(error))
            if wrong:
                if count == 1:
                    faults.append(Fault(line, wrong, part.rstrip(b"\r\n")))
                    continue
                cut = part.index(b"\n", len(part) // 2 - 1) + 1
                if cut == len(part):
                    cut = part.rindex(b"\n", 0, len(part) - 1) + 1
                todo += [(part[cut:], line + part.count(b"\n", 0, cut)), (part[:cut], line)]
                continue
            parts.append(table)
            lines.append(np.arange(line, line + count, dtype=np.int64))
        return self._complete(data, first_line, parts, lines, faults)

    def _complete(
        self,
        data: bytes,
        first_line: int,
        parts: list[pa.Table],
        lines: list[Int64s],
        faults: list[Fault],
    ) -> tuple[pa.RecordBatch, Int64s, list[Fault]]:
        table = pa.concat_tables(parts) if parts else self._schema.empty_table()
        at = np.concatenate(lines) if lines else np.empty(0, np.int64)
        batch = table.combine_chunks().to_batches()[0] if table.num_rows else _empty(self._schema)
        empty = [name for name in self._layout.required if batch.column(name).null_count]
        if empty:
            missing = np.zeros(batch.num_rows, np.bool_)
            text = data.split(b"\n")
            for name in empty:
                null = batch.column(name).is_null().to_numpy(zero_copy_only=False) & ~missing
                missing |= null
                faults += [
                    Fault(
                        int(line), f"column {name} is empty", text[line - first_line].rstrip(b"\r")
                    )
                    for line in at[null]
                ]
            batch = batch.filter(pa.array(~missing))
            at = at[~missing]
            faults.sort(key=lambda fault: fault.line)
        return batch, at, faults

    def _reason(self, error: str) -> str:
        found = _COUNT.search(error)
        if found:
            return f"{found[1]} columns were needed, the line has {found[2]}"
        found = _VALUE.search(error)
        if found:
            name = list(self._layout.columns)[int(found[1])]
            needed = f"{found[2]} was needed, " if found[2] else ""
            return f"column {name}: {needed}{found[3].strip()}"
        return error


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], kind) for kind in schema.types], schema=schema)
