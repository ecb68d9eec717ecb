"""Rows of ``instructions`` and ``broker_reports`` as what desks take."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from flows.columns import dictionary_codes
from flows.orders.money import scaled_ints
from flows.trading.interfaces import Order
from flows.trading.triggers import HELD_TYPES
from flows.trading.working import Working
from schemas.execution import BROKER_REPORTS
from schemas.field import CATEGORY, DECIMAL, TIMESTAMP
from schemas.orders import INSTRUCTIONS
from schemas.topic import Topic


class BrokerReport(NamedTuple):
    """A row of ``broker_reports``."""

    symbol: str
    venue: str
    broker_order_id: str
    report_id: str
    report: str
    quantity: int | None
    price: int | None
    fees: int | None
    reason: str | None


class Instructions:
    """Rows of ``instructions``; read at the first that is asked for.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        The rows.
    """

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch
        self._rows: list[tuple[Any, ...]] = []

    def at(self, row: int) -> tuple[str, Working]:
        """Action and terms of a row."""
        if not self._rows:
            self._rows = list(_rows(INSTRUCTIONS, self._batch))
        (
            symbol,
            ts_event,
            account,
            sequence,
            action,
            order_id,
            client_order_id,
            parent_order_id,
            side,
            quantity,
            limit_price,
            stop_price,
            trail_amount,
            trail_percent,
            peg,
            peg_offset,
            display_quantity,
            ts_expire,
            algorithm,
            algorithm_params,
            venue,
            lot_method,
            lots,
            order_type,
            time_in_force,
            currency,
            strategy,
            _,
            correlation_id,
        ) = self._rows[row]
        order = Order(
            order_id,
            account,
            symbol,
            side,
            quantity,
            order_type,
            time_in_force,
            limit_price if order_type != "market" else None,
            peg,
            peg_offset or 0,
            display_quantity,
            venue,
        )
        working = Working(
            order,
            client_order_id,
            parent_order_id,
            currency,
            strategy,
            lot_method,
            lots,
            correlation_id,
            ts_event,
            sequence,
            stop_price,
            trail_amount,
            trail_percent,
            ts_expire,
            algorithm,
            algorithm_params,
            order_type if order_type in HELD_TYPES else None,
        )
        return action, working


def broker_reports(batch: pa.RecordBatch) -> Iterator[BrokerReport]:
    """Each row."""
    names = [field.name for field in BROKER_REPORTS.fields]
    wanted = [names.index(name) for name in BrokerReport._fields]
    for row in _rows(BROKER_REPORTS, batch):
        yield BrokerReport(*(row[at] for at in wanted))


def _rows(topic: Topic, batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    columns = [_values(field.type, batch.column(field.name)) for field in topic.fields]
    return zip(*columns, strict=True)


def _values(kind: pa.DataType, column: pa.Array) -> list[Any]:
    if column.null_count == len(column):
        return [None] * len(column)
    if kind == DECIMAL:
        return scaled_ints(column)
    if kind == CATEGORY and not column.null_count:
        words = column.dictionary.to_pylist()
        return [words[code] for code in dictionary_codes(column).tolist()]
    found: list[Any] = (column.view(pa.int64()) if kind == TIMESTAMP else column).to_pylist()
    return found
