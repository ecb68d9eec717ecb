"""Reads many small JSON texts of one topic at once into columns, all or none.

Arrow's JSON reader is strict on types, on fields given twice and on fields that no one declared, and
reads a million one-event messages a second; polars' reader, as fast, turns 5 into "5" and leaves
unknown fields out unseen. What this cannot read, `schemas.json_codec` looks into text by text.
"""

from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from schemas.arrays import Int64s
from schemas.field import BOOL, BYTES, CATEGORY, FLOAT, INT32, INT64, TEXT, TIMESTAMP, UINT64, Field
from schemas.topic import Topic

_AS_THEY_ARE = (BOOL, FLOAT, INT32, INT64, UINT64)

# Each text is made the value of this member of a line of its own. JSON allows no line between a member
# and the next brace, so two broken texts can never be read as one whole: a text gives one value, an
# error, or more lines than texts.
_OPEN, _CLOSE = b'{"r":', b"}"


class JsonMismatchError(ValueError):
    """At least one of the texts is not what was asked for; the message is the reader's."""


@dataclass(frozen=True, kw_only=True)
class JsonRows:
    """What was read.

    Parameters
    ----------
    columns : pyarrow.RecordBatch
        n rows: every field of the topic, CATEGORY as plain strings, null where a text has none.
    lengths : numpy.ndarray of int64
        Rows of each text; they sum to n.
    """

    columns: pa.RecordBatch
    lengths: Int64s


def read_objects(topic: Topic, texts: pa.Array) -> JsonRows:
    """Read texts that are one JSON object each.

    Parameters
    ----------
    topic : Topic
        What the objects are rows of.
    texts : pyarrow.BinaryArray
        At least one text, none null.

    Raises
    ------
    JsonMismatchError
        Where one of them is anything else: not JSON, not an object, a wrong type, an unknown field.
    """
    return _read(topic, texts, pa.struct, _one_row_each)


def read_arrays(topic: Topic, texts: pa.Array) -> JsonRows:
    """Read texts that are one JSON array of objects each; otherwise as `read_objects`."""

    def listed(members: list[pa.Field]) -> pa.DataType:
        return pa.list_(pa.struct(members))

    return _read(topic, texts, listed, _rows_of_lists)


def column_of(field: Field, values: pa.Array) -> pa.Array:
    """Values as JSON has them (text or ns for a time) in the type that `JsonRows` has them.

    Raises
    ------
    pyarrow.ArrowInvalid
        Where a text is no RFC 3339 time with an offset, no decimal or no base64.
    """
    if field.type == TIMESTAMP and values.type == TEXT:
        # Arrow reads 2024-05-01T12Z too, and wants an offset: a time without one means nothing.
        return pc.cast(values, TIMESTAMP)
    if field.type == TIMESTAMP:
        return values.cast(TIMESTAMP)
    if field.type in _AS_THEY_ARE:
        return values
    if field.type == BYTES:
        return _from_base64(values)
    return pc.cast(values, column_type(field))


def column_type(field: Field) -> pa.DataType:
    """The type in which `JsonRows` has a field's values."""
    return TEXT if field.type == CATEGORY else field.type


def wire_type(field: Field, time: pa.DataType) -> pa.DataType:
    """The Arrow type in which JSON's reader takes a field's values."""
    if field.type == TIMESTAMP:
        return time
    return field.type if field.type in _AS_THEY_ARE else TEXT


def _read(
    topic: Topic,
    texts: pa.Array,
    shape: Callable[[list[pa.Field]], pa.DataType],
    rows_of: Callable[[pa.Array], tuple[pa.StructArray, Int64s]],
) -> JsonRows:
    data = _joined(texts)
    failure: Exception | None = None
    for names, time in _guesses(topic, texts[0].as_py()):
        wanted = [pa.field(f.name, wire_type(f, time)) for f in topic.fields if f.name in names]
        try:
            rows, lengths = rows_of(_parsed(data, shape(wanted)))
            if len(lengths) != len(texts) or rows.null_count:
                raise JsonMismatchError("one JSON value a text, and no null, was needed")
            _refuse_infinite(rows)
            found = dict(zip(names, rows.flatten(), strict=True))
            columns = [
                column_of(field, found[field.name])
                if field.name in names
                else pa.nulls(len(rows), column_type(field))
                for field in topic.fields
            ]
        except (pa.ArrowException, UnicodeDecodeError) as error:
            failure = failure or error
            continue
        return JsonRows(
            columns=pa.RecordBatch.from_arrays(columns, names=[f.name for f in topic.fields]),
            lengths=lengths,
        )
    raise JsonMismatchError(str(failure)) from failure


def _guesses(topic: Topic, first: bytes) -> list[tuple[list[str], pa.DataType]]:
    """Which fields to ask for, and the form of times, most likely first; the last two are certain.

    Texts of one producer are alike, and Arrow spends on a field that none has as much as on one that all
    have. A wrong guess ends at the first text that shows it.
    """
    every = [field.name for field in topic.fields]
    named = [name for name in every if b'"%b"' % name.encode() in first]
    after = first.partition(b'"%b"' % topic.event_time.encode())[2].lstrip(b" \t\r\n:")
    times = (TEXT, INT64) if after.startswith(b'"') else (INT64, TEXT)
    likely = [(named, times[0])] if 0 < len(named) < len(every) else []
    return [*likely, *((every, time) for time in times)]


def _joined(texts: pa.Array) -> bytes:
    one_list = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
    joined = pc.binary_join(one_list, _CLOSE + b"\n" + _OPEN)[0].as_buffer()
    return b"".join((_OPEN, joined, _CLOSE))


def _parsed(data: bytes, wanted: pa.DataType) -> pa.Array:
    # Arrow's reader takes any bytes for a string: this is the check that they are UTF-8.
    data.decode()
    table = pyarrow.json.read_json(
        pa.BufferReader(data),
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(data) + 1),
        parse_options=pyarrow.json.ParseOptions(
            explicit_schema=pa.schema([("r", wanted)]),
            unexpected_field_behavior="error",
            newlines_in_values=True,
        ),
    )
    lines = table.column("r").combine_chunks()
    if lines.null_count:
        raise JsonMismatchError("a JSON value was needed, not null")
    return lines


def _refuse_infinite(rows: pa.StructArray) -> None:
    """Arrow's reader takes NaN and Inf for numbers; JSON has neither."""
    for at in range(rows.type.num_fields):
        if (
            rows.type.field(at).type == FLOAT
            and pc.any(pc.invert(pc.is_finite(rows.field(at)))).as_py()
        ):
            raise JsonMismatchError("a finite number was needed")


def _one_row_each(lines: pa.Array) -> tuple[pa.StructArray, Int64s]:
    return lines, np.ones(len(lines), dtype=np.int64)


def _rows_of_lists(lines: pa.Array) -> tuple[pa.StructArray, Int64s]:
    return lines.flatten(), lines.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)


def _from_base64(values: pa.Array) -> pa.Array:
    texts = values.to_pylist()
    try:
        decoded = [None if text is None else b64decode(text, validate=True) for text in texts]
    except ValueError as error:
        raise JsonMismatchError(f"base64 was needed: {error}") from error
    return pa.array(decoded, BYTES)
