"""The newest rows of a topic in memory, numbered as they came: appended by one thread, read by any.

Small batches are joined as they pile up, for a batch of one row costs as much memory as hundreds of rows.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import numpy as np
import pyarrow as pa

from schemas.field import CATEGORY, TEXT
from schemas.topic import Topic

# So many small batches make a larger one, so many of these a larger one yet, and so on up to one that stays: who
# appends holds up whoever answers requests, and to join 32 of a few rows takes 2 ms, with what is freed then.
_JOINED = (8, 8, 8)
# So many rows make one that stays, however few batches they came in.
_JOIN_ROWS = 16_384


class RowStore:
    """Rows of one topic, from `first` on.

    Parameters
    ----------
    topic : Topic
        Which.
    rows_max : int
        About so many of the newest are kept.

    Attributes
    ----------
    first, end : int
        Number of the first row kept, and of the row that will come next.
    """

    def __init__(self, topic: Topic, rows_max: int) -> None:
        self.topic = topic
        self.first = 0
        self.end = 0
        self._rows_max = rows_max
        # Words as plain text: batches whose dictionaries differ can be joined.
        self._schema = pa.schema(
            [
                pa.field(field.name, TEXT if field.type == CATEGORY else field.type)
                for field in topic.fields
            ]
        )
        # Replaced as a whole when batches are joined or dropped, so that a reader sees one state.
        self._kept: tuple[list[int], list[pa.RecordBatch]] = ([], [])
        # Batches at the end that are still to be joined: how many not at all, once, and twice.
        self._small = [0] * len(_JOINED)
        self._small_rows = 0
        # Number of the first row, partition and offset of each record.
        self._records: deque[tuple[int, int, int]] = deque()

    def append(
        self, partition: int, offsets: Sequence[int], lengths: Sequence[int], batch: pa.RecordBatch
    ) -> int:
        """Keep the rows of consecutive records of a partition.

        Parameters
        ----------
        partition : int
            Whose.
        offsets, lengths : sequence of int
            Of each record.
        batch : pyarrow.RecordBatch
            The rows of all of them; words as in the topic, or as plain text.

        Returns
        -------
        int
            The number of the first row.
        """
        begin = self.end
        firsts = accumulate(lengths[:-1], initial=begin)
        self._records.extend(
            (first, partition, at) for first, at in zip(firsts, offsets, strict=True)
        )
        starts, batches = self._kept
        # As it came: to read its words takes longer than all the rest, and hardly any single batch is asked for.
        batches.append(batch)
        starts.append(begin)
        self.end = begin + batch.num_rows
        self._small[0] += 1
        self._small_rows += batch.num_rows
        is_enough = self._small_rows >= _JOIN_ROWS
        for level, most in enumerate(_JOINED):
            if not is_enough and self._small[level] < most:
                return begin
            self._join(self._small[level])
            self._small[level] = 0
            self._small[(level + 1) % len(_JOINED)] += 1
        # What has been joined so often stays.
        self._small[0], self._small_rows = 0, 0
        return begin

    def rows(self, numbers: Iterable[int]) -> tuple[list[int], pa.RecordBatch]:
        """Rows by their numbers, in the order given; those that are not kept any more are left out.

        Returns
        -------
        tuple of list of int and pyarrow.RecordBatch
            The numbers found, and their rows.
        """
        found: list[int] = []
        starts, batches = self._kept
        by_batch: dict[int, tuple[list[int], list[int]]] = {}
        for number in numbers:
            place = bisect_right(starts, number) - 1
            if place >= 0:
                rows, places = by_batch.setdefault(place, ([], []))
                rows.append(number - starts[place])
                places.append(len(found))
                found.append(number)
        if not found:
            return [], self.topic.empty()
        pieces = [
            self._plain(batches[place].take(pa.array(rows)))
            for place, (rows, _) in by_batch.items()
        ]
        order = np.argsort(np.concatenate([places for _, places in by_batch.values()]))
        table = pa.Table.from_batches(pieces).take(pa.array(order)).combine_chunks()
        return found, self.topic.batch({name: table.column(name) for name in table.column_names})

    def newest_first(self) -> Iterator[tuple[int, pa.RecordBatch]]:
        """What is kept, batch by batch, the newest first; each with the number of its first row."""
        starts, batches = self._kept
        # A batch that is just being appended has no start yet.
        for at in range(len(starts) - 1, -1, -1):
            yield starts[at], self._plain(batches[at])

    def offsets(self) -> dict[int, int]:
        """Of each partition the offset from which on its rows are kept."""
        found: dict[int, int] = {}
        for _, partition, offset in list(self._records):
            found.setdefault(partition, offset)
        return found

    def joined(self, batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
        """The rows of several batches as one; words as in the topic where Arrow can join them, else as plain text."""
        if len(batches) == 1:
            return batches[0]
        try:
            return pa.concat_batches(batches)
        except pa.ArrowInvalid:
            # It cannot join dictionaries with a null among their words, nor these with plain text.
            return pa.concat_batches([self._plain(batch) for batch in batches])

    def _plain(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch if batch.schema.equals(self._schema) else batch.cast(self._schema)

    def _join(self, count: int) -> None:
        """Make one batch of the last ones, and drop the oldest where there are rows enough without it."""
        starts, batches = self._kept
        at = max(0, len(batches) - count)
        starts, batches = (
            [*starts[:at], starts[at]],
            [*batches[:at], self._plain(self.joined(batches[at:]))],
        )
        while len(batches) > 1 and self.end - starts[1] >= self._rows_max:
            starts, batches = starts[1:], batches[1:]
        self._kept = (starts, batches)
        self.first = starts[0]
        # A record that was cut in two by what was dropped is not kept as a whole: it does not count.
        while self._records and self._records[0][0] < self.first:
            self._records.popleft()
