"""Late rows as rows of the topic ``late``: one form for every flow and order."""

import numpy as np
import orjson
import pyarrow as pa

from flows.flow import Emit, Flow, Input, InputRows, Late
from schemas.faults import LATE
from schemas.field import TIMESTAMP
from schemas.topic import Kind

BEHIND = "the row was behind its input's frontier"


def late_emit(flow: type[Flow], declared: Input, rows: InputRows, late: Late) -> Emit:
    """The rows of ``late`` that say which windows were missed by which rows.

    Parameters
    ----------
    flow : type of Flow
        The flow that could not use them.
    declared : Input
        The input they came from.
    rows : InputRows
        The batch that ``late.index`` refers to.
    late : Late
        What the flow, or the event order, said.
    """
    index = pa.array(late.index)
    count = len(late.index)
    topic = declared.topic
    times = rows.batch.column(topic.event_time).take(index)
    raw = topic.kind is Kind.RAW
    window_end = pa.array(late.window_end, mask=late.window_end < 0, type=pa.int64())
    batch = LATE.batch(
        {
            "key": rows.batch.column(topic.key).take(index),
            "ts_event": times,
            "flow": _constant(flow.name, count),
            "source_topic": _constant(declared.name, count),
            "source_partition": pa.array(np.full(count, rows.partition, np.int32))
            if raw
            else pa.nulls(count, pa.int32()),
            "source_offset": pa.array(rows.offset[late.index])
            if raw
            else pa.nulls(count, pa.int64()),
            "source_row": pa.array(rows.row[late.index]) if raw else pa.nulls(count, pa.int32()),
            "source_identity": pa.nulls(count, pa.string())
            if raw
            else _identity(declared, rows, index),
            "window": pa.array(list(late.window), pa.string()),
            "ts_window_end": window_end.cast(TIMESTAMP),
            "ts_frontier": pa.array(late.frontier, pa.int64()).cast(TIMESTAMP),
            "used": pa.array(late.used),
            "reason": _constant(late.reason, count),
        }
    )
    return Emit(topic=LATE, batch=batch)


def _constant(value: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([value]))


def _identity(declared: Input, rows: InputRows, index: pa.Array) -> pa.Array:
    # Late rows are few: a Python loop over them costs nothing that matters.
    named = rows.batch.select(list(declared.topic.identity)).take(index)
    texts = [
        pa.array(column).cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in named.columns
    ]
    plain = pa.RecordBatch.from_arrays(texts, names=named.schema.names).to_pylist()
    return pa.array([orjson.dumps(row).decode() for row in plain], pa.string())
