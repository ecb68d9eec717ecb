"""Rows of orders in memory, each with the one before it of the same order."""

from dataclasses import dataclass

import pyarrow as pa

from schemas.orders import ORDER_EVENTS
from schemas.topic import Topic
from serving.latest.row_store import RowStore


@dataclass(frozen=True, slots=True)
class Records:
    """Records of a partition: the offset and the count of rows of each, and all their rows."""

    offsets: list[int]
    lengths: list[int]
    batch: pa.RecordBatch


class Chains:
    """Rows of a topic by order: the newest, and from each row the one before it of the same order.

    Parameters
    ----------
    topic : Topic
        Whose rows.
    rows_max : int
        So many of them are kept.
    """

    def __init__(self, topic: Topic, rows_max: int) -> None:
        self.store = RowStore(topic, rows_max)
        self.newest: dict[str, int] = {}
        self._before: dict[int, int] = {}
        self._rows_max = rows_max

    def append(self, partition: int, records: Records) -> int:
        """Take the rows of records in; the number of the first."""
        order_ids: list[str] = records.batch.column("order_id").to_pylist()
        first = self.store.append(partition, records.offsets, records.lengths, records.batch)
        for number, order_id in enumerate(order_ids, first):
            before = self.newest.get(order_id)
            if before is not None:
                self._before[number] = before
            self.newest[order_id] = number
        return first

    @property
    def is_full(self) -> bool:
        """Whether it holds much of rows that are kept no more."""
        return len(self.newest) + len(self._before) > 4 * self._rows_max

    def numbers(self, order_id: str) -> list[int]:
        """Rows of an order that are kept, oldest first."""
        found = []
        number = self.newest.get(order_id)
        while number is not None and number >= self.store.first:
            found.append(number)
            number = self._before.get(number)
        return found[::-1]

    def purge(self) -> None:
        """Forget rows that are kept no more."""
        first = self.store.first
        self.newest = {name: row for name, row in self.newest.items() if row >= first}
        self._before = {row: before for row, before in self._before.items() if before >= first}


class EventChains(Chains):
    """Events by order, and which of an order's says how it stands.

    That is the newest, but for answers to what came long after the order's end: they have none of its terms.

    Parameters
    ----------
    rows_max : int
        So many events are kept.
    """

    def __init__(self, rows_max: int) -> None:
        super().__init__(ORDER_EVENTS, rows_max)
        # Of orders whose newest event is such an answer: the event before all of these, or -1.
        self._before_answers: dict[str, int] = {}

    def append(self, partition: int, records: Records) -> int:
        """As of any rows."""
        first = super().append(partition, records)
        types = records.batch.column("order_type")
        if not (types.null_count or self._before_answers):
            return first
        order_ids = records.batch.column("order_id").to_pylist()
        if not types.null_count:
            for order_id in self._before_answers.keys() & order_ids:
                del self._before_answers[order_id]
            return first
        rows = zip(order_ids, types.is_valid().to_pylist(), strict=True)
        for number, (order_id, has_terms) in enumerate(rows, first):
            if has_terms:
                self._before_answers.pop(order_id, None)
            else:
                self._before_answers.setdefault(order_id, self._before.get(number, -1))
        return first

    def standing(self, order_id: str) -> int:
        """The event that says how an order stands; -1 where it is not kept."""
        number = self._before_answers.get(order_id, self.newest.get(order_id, -1))
        return number if number >= self.store.first else -1

    def purge(self) -> None:
        """As of any rows."""
        super().purge()
        rows = self._before_answers.items()
        self._before_answers = {name: row for name, row in rows if name in self.newest}
