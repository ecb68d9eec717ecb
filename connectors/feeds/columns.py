"""Any CSV (plain, gzip, zip) or Parquet file, by a mapping of its columns to a topic's fields."""

import csv as csv_reader
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from connectors.feeds.mapping import ColumnMapping, FieldSource
from connectors.feeds.source import (
    Block,
    BrokenFileError,
    FeedError,
    Format,
    Probe,
    Rows,
    Source,
    first_times,
)
from connectors.feeds.text import Layout, TextSource
from connectors.feeds.times import decimal_to_int64
from schemas.arrays import Bools
from schemas.field import CATEGORY, FLOAT, TIMESTAMP, Field
from schemas.topic import Topic

# Decimals whose unscaled integer is nanoseconds, so that no digit is lost on the way.
_TIME_TYPES = {
    "s": pa.decimal128(28, 9),
    "ms": pa.decimal128(28, 6),
    "us": pa.decimal128(28, 3),
    "ns": pa.decimal128(28, 0),
    "rfc3339": TIMESTAMP,
}
# Of tables that are called CSV all the same.
_DELIMITERS = (",", ";", "\t", "|")
_UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
# A Parquet row of market data is some 100 bytes unpacked; this turns block bytes into rows.
_PARQUET_ROW_BYTES = 64


class Columns(Format):
    """CSV and Parquet files with a column mapping.

    Parameters
    ----------
    mapping : ColumnMapping or None
        None where the user gave none: then no file is of this format.
    """

    name = "columns"
    summary = "any CSV (.csv, .csv.gz, .zip) or Parquet file, with a column mapping (--mapping)"

    def __init__(self, mapping: ColumnMapping | None) -> None:
        self._mapping = mapping

    def matches(self, probe: Probe) -> bool:
        """Whether there is a mapping and the file has the columns that it names."""
        if self._mapping is None:
            return False
        if probe.container == "parquet":
            return probe.path.suffix == ".parquet"
        return not _missing(self._mapping, _file_columns(self._mapping, probe))

    def why_not(self, probe: Probe) -> str:
        """The columns that the mapping names and the file lacks; another delimiter that would find them."""
        if self._mapping is None or probe.container == "parquet":
            return ""
        missing = ", ".join(_missing(self._mapping, _file_columns(self._mapping, probe)))
        for other in _DELIMITERS:
            if not _missing(self._mapping, _file_columns(self._mapping, probe, other)):
                return f"the mapping's columns are there with delimiter={other!r}: say so in the mapping"
        return f"the mapping names column {missing}, which its first line does not have"

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a file.

        Raises
        ------
        FeedError
            Where there is no mapping, or a column that it names is not there.
        """
        if self._mapping is None:
            raise FeedError(f"{probe}: format columns needs a column mapping (--mapping)")
        if probe.container == "parquet":
            wanted = {at.column for at in self._mapping.fields.values() if at.column}
            build = partial(_rows, mapping=self._mapping, read=_parquet_column)
            topic = self._mapping.topic
            return (ParquetSource(probe.path, topic, sorted(wanted), build, block_bytes),)
        names = _file_columns(self._mapping, probe)
        missing = _missing(self._mapping, names)
        if missing:
            raise FeedError(
                f"{probe}: the mapping names column {', '.join(missing)}, the file has "
                f"{', '.join(names)}"
            )
        layout = _layout(self._mapping, names, probe)
        return (TextSource(probe.path, layout, block_bytes, whole_scan=True),)


class ParquetBlock(Block):
    """Rows of a Parquet file; a row's number stands for its line, its JSON for its text."""

    faults = ()

    def __init__(self, table: pa.RecordBatch, first_row: int, rows: Rows) -> None:
        self._table = table
        self._first_row = first_row
        self.rows = rows
        self.lines = np.arange(first_row, first_row + table.num_rows, dtype=np.int64)
        self.last_line = first_row + table.num_rows - 1

    def text(self, line: int) -> bytes:
        """The row as JSON."""
        row = self._table.slice(line - self._first_row, 1).to_pylist()[0]
        return orjson.dumps(row, default=str)


class ParquetSource(Source):
    """A Parquet file of one topic.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    topic : Topic
        Of the rows.
    columns : sequence of str
        Those of the file that are read.
    build : callable
        From them to `Rows`.
    block_bytes : int
        How much is read into one block, about.
    """

    def __init__(
        self,
        path: Path,
        topic: Topic,
        columns: Sequence[str],
        build: Callable[[pa.RecordBatch], Rows],
        block_bytes: int,
    ) -> None:
        self.path = path
        self.topic = topic
        self.bytes_total = path.stat().st_size
        self._bytes_done = 0
        self._columns = list(columns)
        self._build_rows = build
        self._rows = max(1, block_bytes // _PARQUET_ROW_BYTES)
        try:
            self._schema = pq.read_schema(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise BrokenFileError(
                f"{path}: not a whole Parquet file ({error}); nothing of it can be read"
            ) from error
        missing = sorted(set(self._columns) - set(self._schema.names))
        if missing:
            raise FeedError(
                f"{path}: the mapping names column {', '.join(missing)}, the file has "
                f"{', '.join(self._schema.names)}"
            )

    @property
    def bytes_done(self) -> int:
        """Bytes of the file read so far, by its rows."""
        return self._bytes_done

    def blocks(self, after_line: int = 0) -> Iterator[ParquetBlock]:
        """Blocks of rows behind a row number."""
        row = 1
        # Pre-buffering would keep what was read until the end: memory as large as the file.
        with pq.ParquetFile(self.path, pre_buffer=False) as file:
            try:
                for table in file.iter_batches(self._rows, columns=self._columns):
                    behind = min(max(0, after_line - row + 1), table.num_rows)
                    row += table.num_rows
                    self._bytes_done = self.bytes_total * (row - 1) // file.metadata.num_rows
                    if behind < table.num_rows:
                        part = table.slice(behind)
                        yield ParquetBlock(part, row - part.num_rows, self._build(part))
            except (pa.ArrowInvalid, OSError) as error:
                raise BrokenFileError(
                    f"{self.path}: damaged behind row {row - 1}: {error}"
                ) from error

    def scan(self) -> dict[str, int]:
        """Key to first event time, from a whole pass over the file."""
        return first_times(self, whole=True)

    def _build(self, table: pa.RecordBatch) -> Rows:
        try:
            return self._build_rows(table)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise FeedError(
                f"{self.path}: a column has another type than needed: {error}"
            ) from error


def _file_columns(mapping: ColumnMapping, probe: Probe, delimiter: str = "") -> list[str]:
    line = probe.first_line.decode("utf-8-sig", errors="replace")
    values = next(csv_reader.reader([line], delimiter=delimiter or mapping.delimiter), [])
    return values if mapping.header else [str(at + 1) for at in range(len(values))]


def _missing(mapping: ColumnMapping, names: list[str]) -> list[str]:
    wanted = {source.column for source in mapping.fields.values() if source.column}
    return sorted(wanted - set(names))


def _layout(mapping: ColumnMapping, names: list[str], probe: Probe) -> Layout:
    kinds: dict[str, pa.DataType] = {}
    required = []
    for name, source in mapping.fields.items():
        if not source.column:
            continue
        field = mapping.topic.field(name)
        kind = _TIME_TYPES[source.unit] if field.type == TIMESTAMP else field.type
        if kinds.setdefault(source.column, kind) != kind:
            raise FeedError(
                f"{probe}: column {source.column} is mapped to fields of different types "
                f"({kinds[source.column]} and {kind}); copy it in the file"
            )
        if not field.nullable:
            required.append(source.column)
    if len(set(names)) < len(names):
        raise FeedError(f"{probe}: two columns have the same name; use header=no and numbers")
    return Layout(
        topic=mapping.topic,
        columns={name: kinds.get(name, pa.null()) for name in names},
        build=partial(_rows, mapping=mapping, read=_text_column),
        required=tuple(dict.fromkeys(required)),
        header=mapping.header,
        delimiter=mapping.delimiter,
        quoted=True,
    )


_Read = Callable[[pa.Array, Field, FieldSource], tuple[pa.Array, Bools | None]]


def _rows(table: pa.RecordBatch, *, mapping: ColumnMapping, read: _Read) -> Rows:
    topic = mapping.topic
    columns: dict[str, Any] = {}
    refused: dict[str, Bools] = {}
    for name, source in mapping.fields.items():
        field = topic.field(name)
        if source.column:
            columns[name], outside = read(table.column(source.column), field, source)
            if outside is not None and outside.any():
                refused[f"column {source.column}: a time in int64 nanoseconds was needed"] = outside
        else:
            columns[name] = _constant(source.constant, field, table.num_rows)
    columns[topic.key] = _upper(columns[topic.key])
    if "ts_recv" in topic.schema.names:
        columns["ts_recv"] = columns[topic.event_time]
    return Rows(batch=_ordered(topic, columns), refused=refused)


def _ordered(topic: Topic, columns: dict[str, Any]) -> pa.RecordBatch:
    return topic.batch({name: columns[name] for name in topic.schema.names if name in columns})


def _text_column(
    column: pa.Array, field: Field, source: FieldSource
) -> tuple[pa.Array, Bools | None]:
    if field.type == TIMESTAMP and source.unit != "rfc3339":
        ns, outside = decimal_to_int64(column)
        null = column.is_null().to_numpy(zero_copy_only=False)
        return pa.array(ns, mask=null).view(TIMESTAMP), outside
    return _scaled(column, field, source), None


def _parquet_column(
    column: pa.Array, field: Field, source: FieldSource
) -> tuple[pa.Array, Bools | None]:
    if field.type != TIMESTAMP:
        wanted = column.cast(field.type.value_type if field.type == CATEGORY else field.type)
        return _scaled(wanted, field, source), None
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("ns")).cast(pa.int64()).view(TIMESTAMP), None
    if pa.types.is_integer(column.type) and source.unit in _UNIT_NS:
        ns = pc.multiply_checked(column.cast(pa.int64()), _UNIT_NS[source.unit])
        return ns.view(TIMESTAMP), None
    raise FeedError(
        f"column {source.column} is {column.type}: a time must be a timestamp, or an integer with a unit "
        f"of {', '.join(_UNIT_NS)}"
    )


def _scaled(column: pa.Array, field: Field, source: FieldSource) -> pa.Array:
    if field.type == FLOAT and source.divide_by != 1.0:
        return pc.divide(column, source.divide_by)
    if source.values and field.type == CATEGORY:
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        words = [source.values.get(word, word) for word in encoded.dictionary.to_pylist()]
        return _recoded(encoded, words)
    return column


def _constant(value: Any, field: Field, rows: int) -> pa.Array:
    kind = field.type.value_type if field.type == CATEGORY else field.type
    try:
        scalar = pa.scalar(value) if isinstance(value, str) else pa.scalar(value, kind)
        return pa.repeat(scalar.cast(kind), rows)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise FeedError(
            f"mapping: constant {value!r} is no {kind}, as {field.name} needs: {error}"
        ) from error


def _upper(keys: pa.Array) -> pa.Array:
    """Keys in upper case: one instrument has one name."""
    encoded = keys if pa.types.is_dictionary(keys.type) else keys.dictionary_encode()
    words = encoded.dictionary.to_pylist()
    upper = [word.upper() for word in words]
    return encoded if upper == words else _recoded(encoded, upper)


def _recoded(encoded: pa.DictionaryArray, words: list[str]) -> pa.DictionaryArray:
    """The column with other words; two codes that now mean the same become one."""
    distinct = list(dict.fromkeys(words))
    code = pa.array([distinct.index(word) for word in words], pa.int32())
    return pa.DictionaryArray.from_arrays(
        code.take(encoded.indices), pa.array(distinct, pa.string())
    )
