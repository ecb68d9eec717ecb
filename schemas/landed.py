"""What a topic's rows look like once landed: its own columns and the position of each row in the log."""

import pyarrow as pa

from schemas.field import INT32, INT64, TIMESTAMP
from schemas.topic import Topic

# An underscore keeps these apart from what a source writes; `Field` would refuse a time without ts_.
POSITION_FIELDS: tuple[pa.Field, ...] = tuple(
    pa.field(name, kind, nullable=False, metadata={"unit": unit, "meaning": meaning})
    for name, kind, unit, meaning in (
        ("_partition", INT32, "none", "Log partition of the row's record."),
        ("_offset", INT64, "none", "Log offset of the row's record."),
        ("_row", INT32, "none", "Place of the row in its record, from 0."),
        (
            "_appended",
            TIMESTAMP,
            "ns since 1970-01-01 UTC",
            "When the log took the record: a property of this log, no part of the row's digest.",
        ),
    )
)


def landed_schema(topic: Topic) -> pa.Schema:
    """Arrow schema of a topic's Parquet files, units and meanings as metadata.

    Parameters
    ----------
    topic : Topic
        Whose rows land.

    Returns
    -------
    pyarrow.Schema
        The topic's documented fields in order, then `POSITION_FIELDS`.
    """
    documented = topic.documented_schema
    return pa.schema([*documented, *POSITION_FIELDS], metadata=documented.metadata)
