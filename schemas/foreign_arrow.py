"""Reads Arrow IPC streams that others wrote, whose columns are only much like a topic's."""

from collections.abc import Callable

import pyarrow as pa

from schemas.field import BOOL, BYTES, CATEGORY, DECIMAL, FLOAT, TEXT, TIMESTAMP, Field
from schemas.topic import Topic

# How a stream begins since Arrow 0.15.
STREAM_MAGIC = b"\xff\xff\xff\xff"


_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_ALIKE: dict[pa.DataType, tuple[Callable[[pa.DataType], bool], ...]] = {
    CATEGORY: _STRINGS,
    TEXT: _STRINGS,
    FLOAT: (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal),
    DECIMAL: (pa.types.is_decimal, pa.types.is_integer),
    BYTES: (pa.types.is_large_binary,),
    BOOL: (),
}


class ForeignArrowError(ValueError):
    """Bytes that are no Arrow stream of a topic's rows; the message says what was needed."""


def decode_stream(topic: Topic, data: bytes) -> pa.RecordBatch:
    """The rows of an Arrow IPC stream, with the topic's schema, not validated.

    Columns are taken by name. A missing one is null, or has its declared default. Types may differ where
    nothing can be lost: other units of time with a zone, narrower numbers, large or plain strings.

    Parameters
    ----------
    topic : Topic
        What the rows should be.
    data : bytes
        Anything.

    Raises
    ------
    ForeignArrowError
        Where the bytes are no sound stream, or a column is unknown, twice there or of another kind.
    """
    try:
        with pa.ipc.open_stream(data) as reader:
            batches = list(reader)
            schema = reader.schema
        for batch in batches:
            # Offsets and codes of foreign bytes may point anywhere.
            batch.validate(full=True)
        table = pa.Table.from_batches(batches, schema=schema)
        _check_names(schema)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ForeignArrowError(f"not a sound Arrow IPC stream: {error}") from error
    if table.num_rows == 0:
        raise ForeignArrowError("the record holds no row")
    return topic_rows(topic, table)


def topic_rows(topic: Topic, table: pa.Table) -> pa.RecordBatch:
    """A table's rows with the topic's schema, as `decode_stream` gives them.

    Raises
    ------
    ForeignArrowError
        Where a column is unknown, twice there or of another kind.
    """
    names = table.column_names
    known = [field.name for field in topic.fields]
    wrong = [name for name in names if name not in known]
    if wrong or len(set(names)) < len(names):
        raise ForeignArrowError(
            f"columns {wrong or 'given twice'} where {topic.name} has {', '.join(known)}"
        )
    return topic.batch({field.name: _column(field, table) for field in topic.fields})


def _check_names(schema: pa.Schema) -> None:
    """UnicodeDecodeError where a column's name, or a time zone's, is no UTF-8."""
    for kind in schema.types:
        if pa.types.is_timestamp(kind):
            str(kind.tz).encode()
    for name in schema.names:
        str(name).encode()


def _column(field: Field, table: pa.Table) -> pa.Array:
    plain = TEXT if field.type == CATEGORY else field.type
    if field.name not in table.column_names:
        column = pa.nulls(table.num_rows, plain)
    else:
        given = table.column(field.name)
        if pa.types.is_dictionary(given.type):
            given = given.cast(given.type.value_type)
        if not _alike(field, given.type):
            raise ForeignArrowError(f"column {field.name!r} must be {plain}, not {given.type}")
        try:
            column = given.combine_chunks()
            if field.type == FLOAT and pa.types.is_decimal(given.type):
                # By its text, the nearest double is found, as where JSON is read; Arrow's own cast may miss it.
                column = column.cast(TEXT)
            column = column.cast(plain)
        except pa.ArrowException as error:
            raise ForeignArrowError(f"column {field.name!r} must be {plain}: {error}") from error
    if field.default is not None:
        column = column.fill_null(field.default)
    return column


def _alike(field: Field, given: pa.DataType) -> bool:
    if given == field.type or pa.types.is_null(given):
        return True
    if field.type == TIMESTAMP:
        return bool(pa.types.is_timestamp(given) and given.tz)
    return any(test(given) for test in _ALIKE.get(field.type, (pa.types.is_integer,)))
