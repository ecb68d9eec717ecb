"""``lake/_control``: what the rows in the lake do not say, so that the lake alone rebuilds the log.

For every record of a landed topic its position, append time, key and headers; and for the records that
are no rows (watermarks, progress, feeds, what others wrote to an inbox) the value too. The files of a
partition follow each other without a gap, so a file that is gone is noticed. ``_topics.json`` beside it
says how the log keeps its topics. `connectors.lake_log` reads all this back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from connectors.log import Record, TopicConfig
from connectors.parquet import CONTROL_FOLDER, FileRange, LakeError, sync_folder, write_file
from schemas.field import BYTES, INT32, INT64, TEXT, TIMESTAMP

_CATALOG = "_topics.json"
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


def write_catalog(lake: Path, topics: Mapping[str, TopicConfig]) -> None:
    """Keep how the log keeps its topics: partition counts are needed where a partition has no record yet."""
    fresh = lake / f"{_CATALOG}.new"
    value = {name: asdict(config) for name, config in sorted(topics.items())}
    fresh.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    fresh.replace(lake / _CATALOG)
    sync_folder(lake)


def read_catalog(lake: Path) -> dict[str, TopicConfig]:
    """The topics of the log that was landed in a lake.

    Raises
    ------
    LakeError
        Where nothing has landed in the folder.
    """
    path = lake / _CATALOG
    try:
        values = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        raise LakeError(
            f"lake {lake}: it has no {_CATALOG}, so no log has landed there; name a lake's folder, or land "
            "one: `tapeflow land --until-end`"
        ) from None
    except orjson.JSONDecodeError as error:
        raise LakeError(f"lake {lake}: {_CATALOG} is damaged ({error}); land again") from error
    return {name: TopicConfig(**value) for name, value in values.items()}


def write_control(lake: Path, name: str, span: FileRange, records: Sequence[Record]) -> None:
    """Write the control rows of a range; the same range again replaces the same file.

    A range without a record (Kafka's markers alone) has a file too: it says that there is nothing.
    """
    write_file(lake, control_folder(lake, name), span.name, control_table(records))


def control_table(records: Sequence[Record]) -> pa.Table:
    """One row a record; the caller leaves the value out where the lake has the record's rows."""
    columns = {
        "topic": [one.topic for one in records],
        "partition": [one.partition for one in records],
        "offset": [one.offset for one in records],
        "append_time": [one.append_time_ns for one in records],
        "key": [one.key for one in records],
        "headers": [
            [{"name": name, "value": value} for name, value in one.headers] for one in records
        ],
        "value": [one.value for one in records],
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
