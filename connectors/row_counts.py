"""How many rows the records of a log hold: each record is read and decoded once, however many claims count it."""

from array import array
from dataclasses import dataclass, field

import numpy as np

from connectors.log import Log
from connectors.scan import scan_rows
from schemas.arrays import Int64s
from schemas.topic import Topic


@dataclass(kw_only=True)
class _Counted:
    """What a partition holds from ``start`` to before ``end``: 16 bytes a record that has rows."""

    start: int
    end: int
    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    rows: "array[int]" = field(default_factory=lambda: array("q"))


class RowCounts:
    """Counts the rows of records. An audit's own: what retention cuts meanwhile was there when it began.

    Parameters
    ----------
    log : Log
        Where they are.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._counted: dict[tuple[str, int], _Counted] = {}

    def by_record(
        self, topic: Topic, partition: int, *, end: int, start: int | None = None
    ) -> tuple[Int64s, Int64s]:
        """Offsets of the records that hold rows, and how many rows each holds.

        Parameters
        ----------
        topic : Topic
            Of the rows.
        partition : int
            Of the topic.
        end : int
            The offset to stop before.
        start : int or None
            The first offset; None for the log's.

        Raises
        ------
        LogError
            Where the log ends before ``end``, or cannot give a record as it was appended.
        """
        first = self._log.start(topic.name, partition) if start is None else start
        if end <= first:
            # Of a flow that was given up, and has read no further than to where the log is now cut.
            return np.empty(0, np.int64), np.empty(0, np.int64)
        where = (topic.name, partition)
        known = self._counted.get(where)
        # What lies between the end of what is known and the first may be cut: it is not asked for.
        if known is None or not known.start <= first <= known.end:
            known = self._counted[where] = _Counted(start=first, end=first)
        if known.end < end:
            self._go_on(known, topic, partition, end)
        offsets = np.array(known.offsets, np.int64)
        inside = slice(*np.searchsorted(offsets, [first, end]).tolist())
        return offsets[inside], np.array(known.rows, np.int64)[inside]

    def total(self, topic: Topic, partition: int, *, end: int, start: int | None = None) -> int:
        """Rows of all records between two offsets; parameters and errors as those of `by_record`."""
        return int(self.by_record(topic, partition, end=end, start=start)[1].sum())

    def _go_on(self, known: _Counted, topic: Topic, partition: int, end: int) -> None:
        found = [
            (record.offset, batch.num_rows)
            for record, batch in scan_rows(self._log, topic, partition, start=known.end, end=end)
            if batch.num_rows
        ]
        known.offsets.extend(offset for offset, _ in found)
        known.rows.extend(rows for _, rows in found)
        known.end = end
