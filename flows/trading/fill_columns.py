"""Columns of order reports and executions of orders that were filled at once; see `flows.trading.at_once`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.orders.money import decimal_column, decimals
from flows.trading.blocks import filled_up, taken
from flows.trading.interfaces import CONSOLIDATED
from schemas.arrays import Bools, Int64s
from schemas.execution import ROUTING_DECISIONS
from schemas.field import DECIMAL, TIMESTAMP
from schemas.orders import EXECUTIONS, ORDER_REPORTS
from schemas.topic import Topic

if TYPE_CHECKING:
    from flows.trading.desk import Desk


class Filled(NamedTuple):
    """What was filled.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Rows of ``instructions``; n of them.
    desks : sequence of Desk
        Of each symbol.
    of_row : numpy.ndarray of int64, shape (n,)
        Place of each row's desk among them.
    fill_rows : numpy.ndarray of int64, shape (m,)
        Row of each fill, ascending.
    fills : numpy.ndarray of int64, shape (m, 2)
        Quantity and price of each fill, scaled by 10**10.
    """

    batch: pa.RecordBatch
    desks: Sequence["Desk"]
    of_row: Int64s
    fill_rows: Int64s
    fills: Int64s


def routed(filled: Filled, rows: Int64s, limited: Bools, venues: pa.Array) -> list[pa.Array]:
    """Reports that the orders of some rows were sent to venues; ``limited``, shape (n,): which have a limit that counts."""
    limits = taken(filled.batch, "limit_price", rows)
    if not limited[rows].all():
        limits = pc.if_else(pa.array(limited[rows]), limits, pa.scalar(None, DECIMAL))
    return _filled_up(
        ORDER_REPORTS,
        filled,
        rows,
        {
            "sequence": pa.array(np.ones(len(rows), np.int64)),
            "report": pa.repeat("routed", len(rows)),
            "filled_quantity": decimals(np.zeros(len(rows), np.int64)),
            "limit_price": limits,
            "stop_price": pa.nulls(len(rows), DECIMAL),
            "venue": venues,
            "reason": pa.nulls(len(rows), pa.string()),
        },
    )


def executions(filled: Filled) -> list[pa.Array]:
    """The fills."""
    rows = filled.fill_rows
    count = len(rows)
    order_ids = taken(filled.batch, "order_id", rows)
    # How many fills back the order's first one is.
    numbers = np.arange(1, count + 1) - np.searchsorted(rows, rows)
    markets = [desk.market for desk in filled.desks]
    numbers_of = pa.array(filled.of_row[rows])
    return _filled_up(
        EXECUTIONS,
        filled,
        rows,
        {
            "execution_id": execution_ids(
                order_ids, taken(filled.batch, "sequence", rows), numbers
            ),
            "order_id": order_ids,
            "quantity": decimals(filled.fills[:, 0]),
            "price": decimals(filled.fills[:, 1]),
            "fees": decimals(np.zeros(count, np.int64)),
            "liquidity": pa.repeat("removed", count),
            "venue": pa.repeat(CONSOLIDATED, count),
            "bid": decimal_column([market.bid for market in markets]).take(numbers_of),
            "ask": decimal_column([market.ask for market in markets]).take(numbers_of),
        },
    )


def decisions(filled: Filled, rows: Int64s, columns: dict[str, pa.Array]) -> list[pa.Array]:
    """Routing decisions on the orders of some rows; columns of what is not the market's or the instruction's."""
    markets = [desk.market for desk in filled.desks]
    numbers_of = pa.array(filled.of_row[rows])
    columns["bid"] = decimal_column([market.bid for market in markets]).take(numbers_of)
    columns["ask"] = decimal_column([market.ask for market in markets]).take(numbers_of)
    return _filled_up(ROUTING_DECISIONS, filled, rows, columns)


def execution_ids(order_ids: pa.Array, sequences: pa.Array, numbers: Int64s) -> pa.Array:
    """Names of fills by their orders' names, their orders' instructions, and how many fills back their order's first is."""
    return pc.binary_join_element_wise(
        order_ids, sequences.cast(pa.string()), pa.array(numbers).cast(pa.string()), "-"
    )


def _filled_up(
    topic: Topic, filled: Filled, rows: Int64s, columns: dict[str, pa.Array]
) -> list[pa.Array]:
    """A topic's columns: time is the market's, and what is not given is the instruction's."""
    now = np.array([desk.now for desk in filled.desks], np.int64)
    columns["ts_event"] = pa.array(now[filled.of_row[rows]]).view(TIMESTAMP)
    return filled_up(topic, columns, filled.batch, rows)
