"""Rows that executing orders gives, collected row by row and handed over by column."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from flows.flow import Emit, Emitted
from flows.orders.money import decimal_column
from flows.orders.rows import batch_of
from flows.trading.blocks import Block
from flows.trading.landed import Landed
from schemas.execution import ALGORITHM_REPORTS, BROKER_ORDERS, ROUTING_DECISIONS
from schemas.field import CATEGORY, DECIMAL, TIMESTAMP
from schemas.orders import EXECUTIONS, ORDER_REPORTS
from schemas.topic import Topic

OUTPUTS = (EXECUTIONS, ORDER_REPORTS, ROUTING_DECISIONS, ALGORITHM_REPORTS, BROKER_ORDERS)


class Outbox:
    """Collects rows: tuples of the topic's fields in declared order, times in ns, decimals scaled."""

    def __init__(self) -> None:
        self.executions: list[tuple[Any, ...]] = []
        self.order_reports: list[tuple[Any, ...]] = []
        self.routing_decisions: list[tuple[Any, ...]] = []
        self.algorithm_reports: list[tuple[Any, ...]] = []
        self.broker_orders: list[tuple[Any, ...]] = []
        self.blocks: dict[str, Block] = {}
        """By topic; one at a time."""
        self.landed = Landed()

    def emptied(self) -> list[Emitted]:
        """What was collected, as batches."""
        emitted: list[Emitted] = []
        if self.landed.rows:
            self.blocks[EXECUTIONS.name] = self.landed.block()
            self.landed = Landed()
        for topic in OUTPUTS:
            rows = getattr(self, topic.name)
            block = self.blocks.pop(topic.name, None)
            if rows or block is not None:
                emitted.append(Emit(topic=topic, batch=_batch(topic, rows, block)))
                rows.clear()
        return emitted


def _batch(topic: Topic, rows: list[tuple[Any, ...]], block: Block | None) -> pa.RecordBatch:
    if block is None and len(rows) == 1:
        return batch_of(topic, rows)
    if block is None:
        arrays = _columns(topic, rows)
    elif not rows:
        arrays = block.columns
    else:
        order = np.insert(
            np.arange(len(rows)) + len(block.before), block.before, np.arange(len(block.before))
        )
        both = zip(block.columns, _columns(topic, rows), strict=True)
        arrays = [pa.concat_arrays(parts).take(pa.array(order)) for parts in both]
    named = zip(topic.fields, arrays, strict=True)
    arrays = [one.dictionary_encode() if field.type == CATEGORY else one for field, one in named]
    return pa.RecordBatch.from_arrays(arrays, schema=topic.schema)


def _columns(topic: Topic, rows: list[tuple[Any, ...]]) -> list[pa.Array]:
    columns = zip(topic.fields, zip(*rows, strict=True), strict=True)
    return [_column(field.type, values) for field, values in columns]


def _column(kind: pa.DataType, values: Sequence[Any]) -> pa.Array:
    if kind == DECIMAL:
        return decimal_column(values)
    if kind == TIMESTAMP:
        return pa.array(values, pa.int64()).view(TIMESTAMP)
    return pa.array(values, pa.string() if kind == CATEGORY else kind)
