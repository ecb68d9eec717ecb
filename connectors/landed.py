"""Rows with the log positions that they landed from: what ClickHouse's tables and the lake's files hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyarrow as pa

from connectors.log import Record
from schemas.field import INT32, INT64, TIMESTAMP
from schemas.topic import Topic

PARTITION = "_partition"
OFFSET = "_offset"
ROW = "_row"
APPENDED = "_appended"

POSITION_FIELDS = (
    pa.field(PARTITION, INT32, nullable=False, metadata={"meaning": "Log partition of the row."}),
    pa.field(
        OFFSET, INT64, nullable=False, metadata={"meaning": "Log offset of the row's record."}
    ),
    pa.field(ROW, INT32, nullable=False, metadata={"meaning": "Place of the row in its record."}),
    pa.field(
        APPENDED, TIMESTAMP, nullable=False, metadata={"meaning": "When the log took the record."}
    ),
)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A record of rows with its batch."""

    record: Record
    batch: pa.RecordBatch


@lru_cache(maxsize=256)
def landed_schema(topic: Topic) -> pa.Schema:
    """The topic's documented schema and the position columns."""
    documented = topic.documented_schema
    return pa.schema([*documented, *POSITION_FIELDS], metadata=documented.metadata)


def landed_table(topic: Topic, rows: Sequence[Decoded]) -> pa.Table:
    """One table of the records' rows in the order given, in one chunk, with their positions.

    Parameters
    ----------
    topic : Topic
        Of all the records.
    rows : sequence of Decoded
        Records of any partitions.
    """
    counts = np.array([one.batch.num_rows for one in rows], dtype=np.int64)

    def spread(values: list[int], kind: type[np.generic]) -> pa.Array:
        return pa.array(np.repeat(np.array(values, dtype=kind), counts))

    starts = np.cumsum(counts) - counts
    within = (np.arange(counts.sum()) - np.repeat(starts, counts)).astype(np.int32)
    positions = [
        spread([one.record.partition for one in rows], np.int32),
        spread([one.record.offset for one in rows], np.int64),
        pa.array(within),
        spread([one.record.append_time_ns for one in rows], np.int64).cast(TIMESTAMP),
    ]
    table = pa.Table.from_batches([one.batch for one in rows], schema=topic.schema)
    columns = table.combine_chunks().columns
    return pa.Table.from_arrays([*columns, *positions], schema=landed_schema(topic))
