"""``lake/_control``: what the rows in the lake do not say, so that the lake alone rebuilds the log.

For every record of a landed topic its position, append time, key and headers; and for the records that
are no rows (watermarks, progress, feeds) the value too.
"""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from connectors.log import Record
from connectors.parquet import CONTROL_FOLDER, FileRange, write_file
from connectors.records import is_rows
from schemas.field import BYTES, INT32, INT64, TEXT, TIMESTAMP

CONTROL_SCHEMA = pa.schema(
    [
        pa.field("topic", TEXT, nullable=False),
        pa.field("partition", INT32, nullable=False),
        pa.field("offset", INT64, nullable=False),
        pa.field("append_time", TIMESTAMP, nullable=False),
        pa.field("key", BYTES),
        # A list, and no map: a header's name may come twice, and every reader takes a list.
        pa.field(
            "headers",
            pa.list_(pa.struct([pa.field("name", TEXT), pa.field("value", BYTES)])),
            nullable=False,
        ),
        pa.field("value", BYTES),
    ]
)


def control_folder(lake: Path, name: str) -> Path:
    """Where the control records of a log topic lie."""
    return lake / CONTROL_FOLDER / name


def write_control(lake: Path, name: str, span: FileRange, records: Sequence[Record]) -> None:
    """Write the control rows of a range; the same range again replaces the same file."""
    write_file(lake, control_folder(lake, name), span.name, control_table(records))


def control_table(records: Sequence[Record]) -> pa.Table:
    """One row a record; the value is null where the lake has the record's rows."""
    columns = {
        "topic": [one.topic for one in records],
        "partition": [one.partition for one in records],
        "offset": [one.offset for one in records],
        "append_time": [one.append_time_ns for one in records],
        "key": [one.key for one in records],
        "headers": [
            [{"name": name, "value": value} for name, value in one.headers] for one in records
        ],
        "value": [None if is_rows(one) else one.value for one in records],
    }
    arrays = [
        pa.array(columns[f.name], INT64).cast(TIMESTAMP)
        if f.name == "append_time"
        else pa.array(columns[f.name], f.type)
        for f in CONTROL_SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=CONTROL_SCHEMA)


def sort_control(rows: pa.Table) -> pa.Table:
    """Control rows of one partition by offset."""
    return rows.take(pc.sort_indices(rows, [("offset", "ascending")]))
