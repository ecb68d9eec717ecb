"""Rows of a topic by column, most of whose fields are an instruction's."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from schemas.arrays import Int64s
from schemas.topic import Topic


class Block(NamedTuple):
    """Rows of a topic by column, among those that were collected one by one.

    Parameters
    ----------
    columns : list of pyarrow.Array
        The topic's fields in declared order, each of n rows; categories as strings.
    before : numpy.ndarray of int64, shape (n,)
        How many of the topic's other rows go before each, ascending.
    """

    columns: list[pa.Array]
    before: Int64s


def filled_up(
    topic: Topic, columns: dict[str, pa.Array], batch: pa.RecordBatch, rows: Int64s
) -> list[pa.Array]:
    """A topic's columns: what is not given is taken from rows of a batch."""
    return [
        columns[field.name] if field.name in columns else taken(batch, field.name, rows)
        for field in topic.fields
    ]


def taken(batch: pa.RecordBatch, name: str, rows: Int64s) -> pa.Array:
    """Rows of a column; categories as strings."""
    column = batch.column(name)
    if not np.array_equal(rows, np.arange(len(column))):
        column = column.take(pa.array(rows))
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def words(distinct: Sequence[str], numbers: Sequence[int] | Int64s) -> pa.Array:
    """A column of words, of which a few are repeated, by their numbers."""
    return pa.array(distinct, pa.string()).take(pa.array(np.asarray(numbers, np.int64)))
