"""Commands as rows of `orders`: what the platform adds to what a client said."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.arrays import Int64s
from schemas.field import INT64, TEXT, TIMESTAMP
from schemas.order_ids import order_ids_of
from schemas.orders import ORDERS
from schemas.row_checks import row_check
from schemas.validation import Validated, validate

# What the door says itself; a retry may differ in these and be the same order.
DOOR_FIELDS = ("ts_event", "ts_recv", "user", "correlation_id")

_TIMES = tuple(ORDERS.schema.get_field_index(name) for name in ("ts_event", "ts_recv"))


def command_row(
    fields: dict[str, Any], *, command: str, user: str, correlation_id: str
) -> dict[str, Any]:
    """A command of one order: what was asked, and by whom."""
    return {
        "order_class": "simple",
        "strategy": "",
        **fields,
        "command": command,
        "user": user,
        "correlation_id": correlation_id,
    }


def rows_of_commands(commands: list[dict[str, Any]], time_ns: int) -> Validated:
    """Commands as rows, good and rejected.

    Parameters
    ----------
    commands : list of dict
        As `command_row` makes them, with ``order_id``; fields that are missing are null.
    time_ns : int
        When the door took them, ns since 1970 UTC.
    """
    rows = [{**command, "ts_event": time_ns, "ts_recv": time_ns} for command in commands]
    batch = ORDERS.batch_of_rows(rows)
    is_good = row_check(ORDERS)
    if all(is_good(row) for row in rows):
        return Validated(good=batch, rejected=np.empty(0, dtype=np.int64), reasons=[])
    return validate(ORDERS, batch)


def rows_of_columns(columns: dict[str, pa.Array], *, user: str, correlation_id: str) -> Validated:
    """New orders of a batch as rows, good and rejected.

    Parameters
    ----------
    columns : dict of str to pyarrow.Array
        The requested fields, as `serving.gateway.requests.ReadOrders` has them.
    """
    count = len(columns["account"])
    # What has no name is rejected below, whatever its identifier.
    accounts, clients = (
        columns[name].fill_null("").to_pylist() for name in ("account", "client_order_id")
    )
    batch = ORDERS.batch(
        {
            **columns,
            "ts_event": pa.array(np.zeros(count, dtype=np.int64), INT64),
            "ts_recv": pa.array(np.zeros(count, dtype=np.int64), INT64),
            "command": one_word("new", count),
            "order_id": order_ids_of(accounts, clients),
            "user": pa.repeat(user, count),
            "correlation_id": pa.repeat(correlation_id, count),
        }
    )
    return validate(ORDERS, batch)


def one_word(word: str, count: int) -> pa.DictionaryArray:
    """The same word in every row."""
    return pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(count, dtype=np.int32)), pa.array([word], TEXT)
    )


def at_time(batch: pa.RecordBatch, time_ns: int) -> pa.RecordBatch:
    """The rows as the door took them at a time: ns since 1970 UTC."""
    times = pa.array(np.full(batch.num_rows, time_ns, dtype=np.int64), INT64).cast(TIMESTAMP)
    for place in _TIMES:
        batch = batch.set_column(place, ORDERS.schema.field(place), times)
    return batch


def said(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """What a client said, row by row: to compare a retry with the first."""
    words: list[dict[str, Any]] = batch.drop_columns(list(DOOR_FIELDS)).to_pylist()
    return words


def partitions_of(batch: pa.RecordBatch, partition_of: Callable[[str], int]) -> Int64s:
    """Partition of each row by its key, shape (n,)."""
    accounts = batch.column(ORDERS.key)
    by_code = np.array(
        [partition_of(key) for key in accounts.dictionary.to_pylist()], dtype=np.int64
    )
    found: Int64s = by_code[accounts.indices.to_numpy(zero_copy_only=False)]
    return found
