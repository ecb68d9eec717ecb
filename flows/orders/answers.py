"""What a batch of commands, reports or fills is answered with: events and instructions as batches.

The answer to a plain order is what it said itself, with a few words and numbers that are counted or the same for all:
such rows are made of the columns of its batch. All others are made of tuples.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from flows.columns import chosen, dictionary_codes
from flows.orders.rows import batch_of, column_of
from flows.orders.states import ACCEPTED
from schemas.field import CATEGORY, DECIMAL, TEXT, TIMESTAMP, Field
from schemas.orders import INSTRUCTIONS, ORDER_EVENTS, ORDERS
from schemas.topic import Topic

Row = tuple[Any, ...]


class Accepted(NamedTuple):
    """Plain orders of one account that were accepted, with no other command of it between them.

    Parameters
    ----------
    rows : list of int
        Of their batch, ascending; one at least.
    event, instruction : int
        Numbers of the first one's event and instruction; those of the others follow.
    currency : str
        Of all.
    """

    rows: list[int]
    event: int
    instruction: int
    currency: str


class Outbox:
    """Rows that have been caused and not been given away yet.

    Attributes
    ----------
    events, instructions : list of tuple
        Rows of ``order_events`` and ``instructions`` but those of plain orders.
    accepted : list of Accepted
        Plain orders, in any order.
    """

    __slots__ = ("_marks", "accepted", "events", "instructions")

    def __init__(self) -> None:
        self.events: list[Row] = []
        self.instructions: list[Row] = []
        self.accepted: list[Accepted] = []
        # Row of the batch, how many of events and of instructions there were behind it.
        self._marks: list[tuple[int, int, int]] = []

    def mark(self, row: int) -> None:
        """All that a row of the batch has caused is there; where plain orders are, each other row is told of, in order."""
        self._marks.append((row, len(self.events), len(self.instructions)))

    def batches(self, cause: pa.RecordBatch, now: int) -> list[tuple[Topic, pa.RecordBatch]]:
        """The rows as batches; none are left.

        Parameters
        ----------
        cause : pyarrow.RecordBatch
            Rows of ``orders``, if any of them was a plain order.
        now : int
            Market time since the first of these was taken, ns since 1970 UTC.
        """
        if self.accepted:
            plain = _Plain(cause, self.accepted, self._marks, now)
            made = [
                (ORDER_EVENTS, plain.events(self.events)),
                (INSTRUCTIONS, plain.instructions(self.instructions)),
            ]
        else:
            rows = ((ORDER_EVENTS, self.events), (INSTRUCTIONS, self.instructions))
            made = [(topic, batch_of(topic, own)) for topic, own in rows if own]
        for own in (self.accepted, self.events, self.instructions, self._marks):
            own.clear()
        return made


class _Plain:
    """Answers to the plain orders of a batch, as columns."""

    def __init__(
        self,
        cause: pa.RecordBatch,
        accepted: Sequence[Accepted],
        marks: Sequence[tuple[int, int, int]],
        now: int,
    ) -> None:
        runs, events, instructions, currencies = zip(*accepted, strict=True)
        rows = np.array(list(chain.from_iterable(runs)), np.int64)
        in_order = np.argsort(rows)
        counts = np.array(list(map(len, runs)))
        # Of each row its run, and its place in that.
        run = np.repeat(np.arange(len(runs)), counts)[in_order]
        place = in_order - (np.cumsum(counts) - counts)[run]
        self._count = len(rows)
        self._cause = cause
        self._places = rows[in_order]
        self._rows = pa.array(self._places)
        self._marks = marks
        self._first_word = pa.array(np.zeros(self._count, np.int32))
        self._time = pa.array(np.full(self._count, now)).view(TIMESTAMP)
        self._event_numbers = pa.array(np.array(events)[run] + place)
        self._instruction_numbers = pa.array(np.array(instructions)[run] + place)
        self._currencies = (
            self._word(currencies[0])
            if len(set(currencies)) == 1
            else pa.array(np.array(currencies, object)[run], TEXT).dictionary_encode()
        )
        self._columns: dict[str, pa.Array] = {}

    def events(self, others: Sequence[Row]) -> pa.RecordBatch:
        """Rows of ``order_events``, with others where they were caused."""
        own = {
            "ts_event": self._time,
            "sequence": self._event_numbers,
            "event": self._word(ACCEPTED),
            "status": self._word(ACCEPTED),
            "filled_quantity": _zeros(self._count),
            "remaining_quantity": self._asked("quantity"),
            # It has none before it is routed, whatever the client asks for.
            "venue": pa.nulls(self._count, CATEGORY),
        }
        return self._merged(ORDER_EVENTS, own, others, [events for _, events, _ in self._marks])

    def instructions(self, others: Sequence[Row]) -> pa.RecordBatch:
        """Rows of ``instructions``, with others where they were caused."""
        own = {
            "ts_event": self._time,
            "sequence": self._instruction_numbers,
            "action": self._word("new"),
            "currency": self._currencies,
            "ts_entry": self._asked("ts_event"),
        }
        return self._merged(INSTRUCTIONS, own, others, [count for *_, count in self._marks])

    def _merged(
        self,
        topic: Topic,
        own: Mapping[str, pa.Array],
        others: Sequence[Row],
        counts: Sequence[int],
    ) -> pa.RecordBatch:
        columns = [
            own[one.name] if one.name in own else self._asked_of(one) for one in topic.fields
        ]
        if others:
            marked = [row for row, _, _ in self._marks]
            before = np.array([0, *counts])[np.searchsorted(marked, self._places)]
            # Of each row of the result its place among the plain rows with the others behind them.
            order = np.full(self._count + len(others), -1, np.int64)
            order[np.arange(self._count) + before] = np.arange(self._count)
            order[order < 0] = self._count + np.arange(len(others))
            places = pa.array(order)
            apart = zip(topic.fields, columns, zip(*others, strict=True), strict=True)
            columns = [_merged(field, plain, values, places) for field, plain, values in apart]
        return pa.RecordBatch.from_arrays(columns, schema=topic.schema)

    def _asked_of(self, field: Field) -> pa.Array:
        return (
            self._asked(field.name) if field.name in _ASKED else pa.nulls(self._count, field.type)
        )

    def _asked(self, name: str) -> pa.Array:
        """What the orders say themselves."""
        found = self._columns.get(name)
        if found is None:
            column = self._cause.column(name)
            if column.null_count == len(column):
                found = pa.nulls(self._count, column.type)
            elif column.type != CATEGORY:
                # Even all rows are copied: a column as it came may be a view of a longer one, with other bytes behind.
                found = column.take(self._rows)
            elif len(column.dictionary) == 1 and not column.null_count:
                found = self._word(column.dictionary[0].as_py())
            else:
                found = _in_order(column.take(self._rows))
            self._columns[name] = found
        return found

    def _word(self, word: str) -> pa.Array:
        return chosen(pa.array([word], TEXT), self._first_word)


_ASKED = frozenset(field.name for field in ORDERS.fields)


def _merged(field: Field, plain: pa.Array, values: Sequence[Any], order: pa.Array) -> pa.Array:
    others = column_of(field, values)
    if plain.null_count + others.null_count == len(order):
        return pa.nulls(len(order), field.type)
    if field.type == CATEGORY:
        plain, others = plain.cast(TEXT), others.cast(TEXT)
    found = pa.concat_arrays([plain, others]).take(order)
    return found.dictionary_encode() if field.type == CATEGORY else found


def _in_order(column: pa.DictionaryArray) -> pa.Array:
    """With a dictionary of the values that there are, in order of their first row: as encoding them would make it."""
    count, words = len(column), column.dictionary
    if column.null_count == count:
        return pa.nulls(count, CATEGORY)
    if column.null_count or len(words) > count or len(words.unique()) < len(words):
        return column.cast(TEXT).dictionary_encode()
    used = column.indices.unique()
    ranks = np.empty(len(words), np.int32)
    ranks[used.to_numpy()] = np.arange(len(used))
    return chosen(words.take(used), pa.array(ranks[dictionary_codes(column)]))


def _zeros(count: int) -> pa.Array:
    return pa.Array.from_buffers(DECIMAL, count, [None, pa.py_buffer(bytes(16 * count))])
