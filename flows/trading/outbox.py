"""Rows that executing orders gives, collected row by row and handed over by column."""

from typing import Any

import pyarrow as pa

from flows.flow import Emit, Emitted
from flows.orders.money import decimal_column
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

    def emptied(self) -> list[Emitted]:
        """What was collected, as batches."""
        emitted: list[Emitted] = []
        for topic in OUTPUTS:
            rows = getattr(self, topic.name)
            if rows:
                emitted.append(Emit(topic=topic, batch=_batch(topic, rows)))
                rows.clear()
        return emitted


def _batch(topic: Topic, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = zip(topic.fields, zip(*rows, strict=True), strict=True)
    arrays = [_column(field.type, values) for field, values in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=topic.schema)


def _column(kind: pa.DataType, values: tuple[Any, ...]) -> pa.Array:
    if kind == DECIMAL:
        return decimal_column(values)
    if kind == TIMESTAMP:
        return pa.array(values, pa.int64()).view(TIMESTAMP)
    if kind == CATEGORY:
        return pa.array(values, pa.string()).dictionary_encode()
    return pa.array(values, kind)
