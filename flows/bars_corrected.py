"""Rows on corrections of trades: the bars that they revise, and those that were not applied."""

from typing import Any

import numpy as np
import pyarrow as pa

from flows.columns import chosen, columns, float_columns
from flows.flow import Emit, InputRows
from flows.kernels.columns import bar_columns
from flows.keys import KeySlots
from schemas.arrays import Int32s, Int64s
from schemas.bars import BARS_REVISED
from schemas.faults import CORRECTIONS_UNAPPLIED
from schemas.field import INT32, INT64, TIMESTAMP

# In the order of the reasons' numbers in `flows.kernels.corrections`; the first stands for none.
REASONS = (
    "",
    "corrections are not applied: keep_trades is none",
    "no kept trade of the symbol and venue has this ref_trade_id (and ts_ref): unknown, or kept no longer",
    "it refers by ts_ref only: that needs keep_trades = all",
    "no kept trade of the symbol and venue has this ts_ref (and price and size, if to be cancelled)",
    "several trades of the symbol and venue have this ts_ref (and price and size, if to be cancelled)",
    "the trade has been cancelled already",
    "the trade is older than correction_horizon",
    "a bar of the trade cannot be computed again: not all its trades are kept",
)


def revised_bars(
    written: Any, count: int, given: InputRows, keys: KeySlots, intervals: pa.Array
) -> Emit:
    """The first `count` revisions of `flows.kernels.bar_state.Written` as rows of ``bars_revised``."""
    codes, integers, numbers, undefined, bitmap = bar_columns(written.new_bars, count)
    new = float_columns(numbers, undefined, bitmap)
    _, old_integers, numbers, undefined, bitmap = bar_columns(written.old_bars, count)
    old = float_columns(numbers, undefined, bitmap)
    key, interval = columns((INT32, INT32), codes)
    ends, starts, counts = columns((TIMESTAMP, TIMESTAMP, INT64), integers)
    old_counts = columns((TIMESTAMP, TIMESTAMP, INT64), old_integers)[2]
    rows = written.told["row"][:count].copy()
    batch = pa.RecordBatch.from_arrays(
        [
            keys.column(key),
            chosen(intervals, interval),
            given.batch.column("ts_event").take(pa.array(rows)),
            starts,
            ends,
            pa.array(written.told["revision"][:count].copy()),
            *new[:5],
            counts,
            *new[5:],
            *old[:5],
            old_counts,
            *old[5:],
            *positions(given, rows),
        ],
        schema=BARS_REVISED.schema,
    )
    return Emit(topic=BARS_REVISED, batch=batch)


def positions(given: InputRows, rows: Int64s) -> list[pa.Array]:
    """Columns of the log positions of rows: partition, offset, row."""
    partition = np.full(len(rows), given.partition, dtype=np.int32)
    return [pa.array(partition), pa.array(given.offset[rows]), pa.array(given.row[rows])]


def unapplied(
    flow: str, given: InputRows, rows: Int64s, reasons: tuple[str, ...], numbers: Int32s
) -> Emit:
    """Rows of ``corrections_unapplied``: which rows a flow has not applied, and the number of each reason."""
    taken = given.batch.select(["symbol", "ts_event"]).take(pa.array(rows))
    batch = pa.RecordBatch.from_arrays(
        [
            *taken.columns,
            chosen(pa.array([flow]), pa.array(np.zeros(len(rows), dtype=np.int32))),
            *positions(given, rows),
            chosen(pa.array(reasons), pa.array(numbers)),
        ],
        schema=CORRECTIONS_UNAPPLIED.schema,
    )
    return Emit(topic=CORRECTIONS_UNAPPLIED, batch=batch)
