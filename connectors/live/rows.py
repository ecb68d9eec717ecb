"""Rows of several topics, gathered message by message and made into batches."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.arrays import Int64s
from schemas.field import RECEIVE_TIME
from schemas.topic import Topic


class Rows:
    """Gathers rows; a field that a row leaves out has the topic's default, or is null."""

    def __init__(self) -> None:
        self._columns: dict[str, tuple[Topic, dict[str, list[Any]], list[int]]] = {}

    def add(self, topic: Topic, number: int, recv_ns: int, row: Mapping[str, Any]) -> None:
        """Add a row.

        Parameters
        ----------
        topic : Topic
            Its topic.
        number, recv_ns : int
            Number and receive time of its message.
        row : mapping of str to object
            Field values as `values.converter` gives them.
        """
        known = self._columns.get(topic.name)
        if known is None:
            known = (topic, {field.name: [] for field in topic.fields}, [])
            self._columns[topic.name] = known
        for field in topic.fields:
            value = recv_ns if field.name == RECEIVE_TIME else row.get(field.name)
            known[1][field.name].append(field.default if value is None else value)
        known[2].append(number)

    def groups(self) -> list[tuple[Topic, pa.RecordBatch, Int64s]]:
        """A batch a topic, in the order in which the topics came, with each row's message number."""
        return [
            (topic, topic.batch(columns), np.array(numbers, np.int64))
            for topic, columns, numbers in self._columns.values()
        ]
