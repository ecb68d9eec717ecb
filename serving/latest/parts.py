"""The newest rows of a record, found column-wise and kept together."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.arrays import Int64s
from schemas.field import CATEGORY, TEXT
from schemas.json_codec import encode_lines
from schemas.topic import Topic
from serving.latest.groups import group_fields

Group = tuple[str, ...]


class Part:
    """Newest rows of one record.

    Parameters
    ----------
    topic : Topic
        Of the rows.
    batch : pyarrow.RecordBatch
        n rows with the topic's fields, words as plain text.
    groups : list of tuple of str
        The group of each.

    Attributes
    ----------
    live : int
        How many of them are the newest still.
    """

    __slots__ = ("_lines", "_topic", "batch", "groups", "live")

    def __init__(self, topic: Topic, batch: pa.RecordBatch, groups: list[Group]) -> None:
        self._topic = topic
        self.batch = batch
        self.groups = groups
        self.live = len(groups)
        self._lines: list[bytes] | None = None

    def line(self, row: int) -> bytes:
        """A row as JSON, without a line feed; all are encoded when the first one is asked for."""
        if self._lines is None:
            self._lines = encode_lines(self._topic, self.batch).splitlines()
        return self._lines[row]


@dataclass(slots=True)
class Entry:
    """The newest row of a group: where it is."""

    part: Part
    row: int

    @property
    def group(self) -> Group:
        """Values of `group_fields`."""
        return self.part.groups[self.row]

    @property
    def line(self) -> bytes:
        """The row as JSON."""
        return self.part.line(self.row)


def lines_of(entries: Iterable[Entry]) -> list[bytes]:
    """Rows as JSON, in their order."""
    return [one.line for one in entries]


def newest_rows(topic: Topic, batch: pa.RecordBatch) -> Part:
    """The last row of each group of a batch, in order of row.

    Parameters
    ----------
    topic : Topic
        Of the rows.
    batch : pyarrow.RecordBatch
        At least one row.
    """
    fields = group_fields(topic)
    rows = _last_rows([batch.column(name) for name in fields])
    kept = _plain(batch.take(pa.array(rows)) if len(rows) < batch.num_rows else batch)
    groups = list(zip(*(kept.column(name).to_pylist() for name in fields), strict=True))
    return Part(topic, kept, groups)


def _last_rows(columns: list[pa.Array]) -> Int64s:
    """The last row of each combination of values, ascending."""
    count = len(columns[0])
    combined = np.zeros(count, dtype=np.int64)
    for column in columns:
        encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
        # A dictionary of the wire may say a word twice: the same word must have one code.
        words: dict[str, int] = {}
        codes = [words.setdefault(word, len(words)) for word in encoded.dictionary.to_pylist()]
        of_row = np.array(codes, dtype=np.int64)[encoded.indices.to_numpy(zero_copy_only=False)]
        combined = combined * len(words) + of_row
    # The first row of what is reversed is the last one.
    _, first = np.unique(combined[::-1], return_index=True)
    rows: Int64s = np.sort(count - 1 - first).astype(np.int64)
    return rows


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """With words as text: a dictionary would keep all words of its record alive."""
    columns = [column.cast(TEXT) if column.type == CATEGORY else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
