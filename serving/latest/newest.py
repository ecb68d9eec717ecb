"""The newest row of each group of a topic, in memory: found column-wise, kept by key.

Newest is what was appended last: within a key, the log's order is the order promised. Rows of one record are kept
together and encoded together, when the first of them is asked for; a record most of whose rows were replaced is
cut down to the rest, so that memory follows the number of groups and not the rows that came.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter

import numpy as np
import pyarrow as pa

from schemas.arrays import Int64s
from schemas.field import CATEGORY, TEXT
from schemas.json_codec import encode_lines
from schemas.topic import Topic
from serving.latest.groups import group_fields

# Where nobody bounds it: the groups of 8,000 symbols and 60 indicators.
GROUPS_MAX = 500_000
# A part is cut down once so few of its rows are still the newest: each row is moved twice at most on average.
_LIVE_SHARE = 4
_SMALL_PART = 4

Group = tuple[str, ...]

_CHANGE = attrgetter("change")


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
    lines : list of bytes or None
        The rows as JSON, once they were asked for.
    live : int
        How many of them are the newest still.
    """

    __slots__ = ("_topic", "batch", "groups", "lines", "live")

    def __init__(self, topic: Topic, batch: pa.RecordBatch, groups: list[Group]) -> None:
        self._topic = topic
        self.batch = batch
        self.groups = groups
        self.live = len(groups)
        self.lines: list[bytes] | None = None

    def line(self, row: int) -> bytes:
        """A row as JSON, without a line feed."""
        return self.encoded()[row]

    def encoded(self) -> list[bytes]:
        """All rows as JSON, made when they are first asked for."""
        if self.lines is None:
            self.lines = encode_lines(self._topic, self.batch).splitlines()
        return self.lines


@dataclass(slots=True)
class Entry:
    """The newest row of a group: the place of its change among all, and where it is."""

    change: int
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
    return [(one.part.lines or one.part.encoded())[one.row] for one in entries]


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


class LatestView:
    """The newest row of each group of a topic.

    Parameters
    ----------
    topic : Topic
        Which.
    groups_max : int
        Of more groups, those whose row is oldest are forgotten.

    Attributes
    ----------
    change : int
        How many rows have come: each change has a number, see `Entry`.
    last : Entry or None
        The row that came last.
    """

    def __init__(self, topic: Topic, groups_max: int = GROUPS_MAX) -> None:
        self.topic = topic
        self.change = 0
        self.last: Entry | None = None
        self._groups_max = groups_max
        self._by_key: dict[str, dict[Group, Entry]] = {}
        self._count = 0

    def apply(self, part: Part) -> None:
        """Take in newer rows."""
        for row, group in enumerate(part.groups):
            self.change += 1
            entries = self._by_key.get(group[0])
            if entries is None:
                entries = self._by_key[group[0]] = {}
            old = entries.get(group)
            entries[group] = self.last = Entry(self.change, part, row)
            if old is None:
                self._count += 1
            else:
                old.part.live -= 1
                self._cut_down(old.part)
        if self._count > self._groups_max:
            self._forget()

    def fill(self, part: Part) -> None:
        """Take in older rows, of groups that are not there; they are no changes."""
        for row, group in enumerate(part.groups):
            entries = self._by_key.setdefault(group[0], {})
            if group in entries:
                part.live -= 1
            else:
                entries[group] = Entry(0, part, row)
                self._count += 1
        if self._count > self._groups_max:
            self._forget()

    def entries(self, keys: Iterable[str] | None = None) -> Iterator[Entry]:
        """The newest rows of keys, or of all; of what is not there, nothing."""
        if keys is None:
            for entries in self._by_key.values():
                yield from entries.values()
            return
        for key in keys:
            yield from self._by_key.get(key, {}).values()

    def changes(self, keys: Iterable[str] | None, since: int) -> list[Entry]:
        """What changed behind change number ``since``, in order of change."""
        # Asked for ten times a second by each of a thousand clients: no generator, no function of ours a row.
        known = self._by_key
        found = [
            entry
            for key in (known if keys is None else keys)
            if key in known
            for entry in known[key].values()
            if entry.change > since
        ]
        found.sort(key=_CHANGE)
        return found

    def batch(self, entries: Iterable[Entry]) -> pa.RecordBatch:
        """Entries as rows of the topic, in their order."""
        pieces = [entry.part.batch.slice(entry.row, 1) for entry in entries]
        if not pieces:
            return self.topic.empty()
        table = pa.Table.from_batches(pieces).combine_chunks()
        return self.topic.batch({name: table.column(name) for name in table.column_names})

    def __len__(self) -> int:
        return self._count

    def _cut_down(self, part: Part) -> None:
        """Keep of a part what is still the newest, once that is little."""
        if len(part.groups) < _SMALL_PART or part.live * _LIVE_SHARE > len(part.groups):
            return
        live = [
            (row, entry)
            for row, group in enumerate(part.groups)
            if (entry := self._by_key.get(group[0], {}).get(group)) is not None
            and entry.part is part
        ]
        if not live:
            return
        rows = [row for row, _ in live]
        rest = Part(self.topic, part.batch.take(pa.array(rows)), [part.groups[row] for row in rows])
        for row, (_, entry) in enumerate(live):
            entry.part, entry.row = rest, row

    def _forget(self) -> None:
        """Forget the tenth of the groups that changed longest ago."""
        entries = sorted(self.entries(), key=_CHANGE)
        for entry in entries[: max(1, len(entries) // 10)]:
            group = entry.part.groups[entry.row]
            del self._by_key[group[0]][group]
            if not self._by_key[group[0]]:
                del self._by_key[group[0]]
            entry.part.live -= 1
            self._count -= 1


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
