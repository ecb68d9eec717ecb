"""Records of rows as tables with their log positions, as ClickHouse and the lake take them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from connectors.log import Record
from schemas.field import TIMESTAMP
from schemas.landed import landed_schema
from schemas.topic import Topic


@dataclass(frozen=True, slots=True)
class Decoded:
    """A record of rows with its batch."""

    record: Record
    batch: pa.RecordBatch


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
