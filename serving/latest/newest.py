"""The newest row of each group of a topic, in memory, by key.

Newest is what was appended last: within a key, the log's order is the order promised. Rows of one record are kept
together and encoded together, when the first of them is asked for; a record most of whose rows were replaced is
cut down to the rest, so that memory follows the number of groups and not the rows that came.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from schemas.arrays import Int64s
from schemas.topic import Topic
from serving.latest.parts import Entry, Group, Part

# Where nobody bounds it: the groups of 8,000 symbols and 60 indicators.
GROUPS_MAX = 500_000
# A part is cut down once so few of its rows are still the newest: each row is moved twice at most on average.
_LIVE_SHARE = 4
_SMALL_PART = 4
# Places that a view begins with; and the change of one that has no row.
_PLACES = 64
_NEVER = -1


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
        How many rows have come: each is a change, and has a number.
    last : Entry or None
        The row that came last.
    moves : int
        How often groups have got or lost their place, see `places`.
    """

    def __init__(self, topic: Topic, groups_max: int = GROUPS_MAX) -> None:
        self.topic = topic
        self.change = 0
        self.last: Entry | None = None
        self.moves = 0
        self._groups_max = groups_max
        self._count = 0
        # Each group has a place, which says where to find it in what follows.
        self._places: dict[str, dict[Group, int]] = {}
        self._free: list[int] = []
        self._entries: list[Entry | None] = []
        self._lines: list[bytes | None] = []
        self._changes = np.full(_PLACES, _NEVER, dtype=np.int64)

    def apply(self, part: Part) -> None:
        """Take in newer rows."""
        places = [self._place(group) for group in part.groups]
        older: dict[int, Part] = {}
        for row, place in enumerate(places):
            old = self._entries[place]
            self._entries[place] = self.last = Entry(part, row)
            self._lines[place] = None
            if old is not None:
                old.part.live -= 1
                older[id(old.part)] = old.part
        for one in older.values():
            self._cut_down(one)
        self._changes[places] = np.arange(1, len(places) + 1) + self.change
        self.change += len(places)
        if self._count > self._groups_max:
            self._forget()

    def fill(self, part: Part) -> None:
        """Take in older rows, of groups that are not there; they are no changes."""
        for row, group in enumerate(part.groups):
            place = self._place(group)
            if self._entries[place] is None:
                self._entries[place] = Entry(part, row)
                self._changes[place] = 0
            else:
                part.live -= 1
        if self._count > self._groups_max:
            self._forget()

    def entries(self, keys: Iterable[str] | None = None) -> Iterator[Entry]:
        """The newest rows of keys, or of all; of what is not there, nothing."""
        for place in self._places_of(keys):
            if (entry := self._entries[place]) is not None:
                yield entry

    def places(self, keys: Iterable[str]) -> Int64s:
        """Where the groups of keys have their rows, until `moves` says that some have come or gone."""
        return np.fromiter(self._places_of(keys), np.int64)

    def changed(self, places: Int64s | None, since: int) -> list[int]:
        """Of places, or of all, those whose row came behind change number ``since``, in order of change."""
        # Asked for ten times a second by each of a thousand clients: what is looked at lies side by side.
        if places is None:
            places = np.flatnonzero(self._changes > since)
            changes = self._changes[places]
        else:
            changes = self._changes[places]
            newer = changes > since
            if not newer.all():
                places, changes = places[newer], changes[newer]
        found: list[int] = places[changes.argsort()].tolist()
        return found

    def entries_at(self, places: Iterable[int]) -> list[Entry]:
        """The rows at places."""
        return [entry for place in places if (entry := self._entries[place]) is not None]

    def lines_at(self, places: Iterable[int]) -> list[bytes]:
        """The same as JSON."""
        lines = self._lines
        return [lines[place] or self._line(place) for place in places]

    def batch(self, entries: Iterable[Entry]) -> pa.RecordBatch:
        """Entries as rows of the topic, in their order."""
        pieces = [entry.part.batch.slice(entry.row, 1) for entry in entries]
        if not pieces:
            return self.topic.empty()
        table = pa.Table.from_batches(pieces).combine_chunks()
        return self.topic.batch({name: table.column(name) for name in table.column_names})

    def __len__(self) -> int:
        return self._count

    def _place(self, group: Group) -> int:
        """Of a group, a new one where it has none."""
        places = self._places.get(group[0])
        if places is None:
            places = self._places[group[0]] = {}
        place = places.get(group)
        if place is None:
            place = places[group] = self._free.pop() if self._free else self._new_place()
            self._count += 1
            self.moves += 1
        return place

    def _new_place(self) -> int:
        place = len(self._entries)
        self._entries.append(None)
        self._lines.append(None)
        if place == len(self._changes):
            more = np.full(place, _NEVER, dtype=np.int64)
            self._changes = np.concatenate((self._changes, more))
        return place

    def _line(self, place: int) -> bytes:
        entry = self._entries[place]
        line = self._lines[place] = b"" if entry is None else entry.line
        return line

    def _places_of(self, keys: Iterable[str] | None) -> Iterator[int]:
        if keys is None:
            for places in self._places.values():
                yield from places.values()
            return
        for key in keys:
            yield from self._places.get(key, {}).values()

    def _cut_down(self, part: Part) -> None:
        """Keep of a part what is still the newest, once that is little."""
        count = len(part.groups)
        if not part.live or count < _SMALL_PART or part.live * _LIVE_SHARE > count:
            return
        live = []
        for row, group in enumerate(part.groups):
            place = self._places.get(group[0], {}).get(group)
            entry = None if place is None else self._entries[place]
            if entry is not None and entry.part is part:
                live.append((row, entry))
        rows = [row for row, _ in live]
        rest = Part(self.topic, part.batch.take(pa.array(rows)), [part.groups[row] for row in rows])
        for row, (_, entry) in enumerate(live):
            entry.part, entry.row = rest, row

    def _forget(self) -> None:
        """Forget the tenth of the groups that changed longest ago."""
        places = np.fromiter(self._places_of(None), np.int64, self._count)
        oldest = places[np.argsort(self._changes[places], kind="stable")]
        for place in oldest[: max(1, self._count // 10)].tolist():
            entry = self._entries[place]
            if entry is None:
                continue
            group = entry.group
            del self._places[group[0]][group]
            if not self._places[group[0]]:
                del self._places[group[0]]
            entry.part.live -= 1
            self._entries[place] = self._lines[place] = None
            self._changes[place] = _NEVER
            self._free.append(place)
            self._count -= 1
        self.moves += 1


class Changes:
    """What changes in a view among some keys.

    Parameters
    ----------
    view : LatestView
        The view.
    keys : frozenset of str or None
        Which; None for all.
    """

    def __init__(self, view: LatestView, keys: frozenset[str] | None) -> None:
        self._view = view
        self._keys = keys
        self._places: Int64s | None = None
        self._moves = view.moves

    def entries(self, since: int) -> list[Entry]:
        """What changed behind a change, in order of change."""
        return self._view.entries_at(self._changed(since))

    def lines(self, since: int) -> list[bytes]:
        """The same as JSON."""
        return self._view.lines_at(self._changed(since))

    def _changed(self, since: int) -> list[int]:
        view = self._view
        if self._keys is not None and (self._places is None or self._moves != view.moves):
            self._places, self._moves = view.places(self._keys), view.moves
        return view.changed(self._places, since)
