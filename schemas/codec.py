"""The wire format of log records that hold rows: an Arrow IPC stream, and headers that say what it is.

JSON, for inboxes and the API, is in `schemas.json_codec`.
"""

from collections.abc import Sequence

import pyarrow as pa

from schemas.field import TEXT, TIMESTAMP
from schemas.topic import Topic

HEADER_KIND = "kind"
HEADER_SCHEMA = "schema"
HEADER_ROWS = "rows"
HEADER_FLOW = "flow"
HEADER_SHARD = "shard"
HEADER_COMMIT = "commit"
HEADER_SOURCE = "source"
HEADER_LIVE = "live"

KIND_ROWS = b"rows"
KIND_WATERMARKS = b"watermarks"
KIND_CONTROL = b"control"

WATERMARKS_SCHEMA = pa.schema(
    [pa.field("key", TEXT, nullable=False), pa.field("ts_event", TIMESTAMP, nullable=False)]
)

# Below this size a record is dominated by its schema, and LZ4 costs more than it saves.
_COMPRESS_FROM_BYTES = 16_384
# One thread: handing a record's few buffers to Arrow's pool costs ten times what LZ4 itself does.
_LZ4 = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_READ = pa.ipc.IpcReadOptions(use_threads=False)
_PLAIN = pa.ipc.IpcWriteOptions()
# What a message of an Arrow stream begins with, before its length; and what a stream ends with.
_MESSAGE = b"\xff\xff\xff\xff"
_END = _MESSAGE + bytes(4)


class CodecError(ValueError):
    """Bytes that are not what their headers say; the message says what was found."""


def encode(batch: pa.RecordBatch) -> bytes:
    """An Arrow IPC stream of one batch; LZ4-compressed where it is large enough to pay.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Rows of one topic, with exactly the topic's schema, or `WATERMARKS_SCHEMA`.
    """
    options = _LZ4 if _is_large(batch) else _PLAIN
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def _is_large(batch: pa.RecordBatch) -> bool:
    # What a slice refers to takes 5 us a column to find out, and whole buffers tell as much of most batches.
    return bool(
        batch.get_total_buffer_size() >= _COMPRESS_FROM_BYTES
        and batch.nbytes >= _COMPRESS_FROM_BYTES
    )


def decode(value: bytes | None, schema: pa.Schema) -> pa.RecordBatch:
    """The batch of an Arrow IPC stream, zero-copy where it was not compressed.

    Parameters
    ----------
    value : bytes or None
        What `encode` made.
    schema : pyarrow.Schema
        What the batch must have.

    Raises
    ------
    CodecError
        Where the bytes are no Arrow stream or hold another schema.
    """
    try:
        with pa.ipc.open_stream(value or b"", options=_READ) as reader:
            batches = list(reader)
    # Arrow says OSError where a stream is shorter than its head says.
    except (pa.ArrowException, OSError) as error:
        raise CodecError(f"not an Arrow IPC stream: {error}") from error
    if len(batches) == 1:
        batch = batches[0]
    else:
        table = pa.Table.from_batches(batches, schema=reader.schema)
        batch = pa.RecordBatch.from_arrays(
            [
                column.combine_chunks() if column.num_chunks else pa.array([], column.type)
                for column in table.columns
            ],
            schema=reader.schema,
        )
    if not batch.schema.equals(schema):
        raise CodecError(f"the Arrow schema is\n{batch.schema}\nwhere this was needed:\n{schema}")
    return batch


def decode_together(
    values: Sequence[bytes | None], schema: pa.Schema
) -> list[pa.RecordBatch] | None:
    """As `decode` of each, in less than half the time where they are small: their schema is read once.

    Parameters
    ----------
    values : sequence of bytes or None
        At least one.
    schema : pyarrow.Schema
        What the batches must have.

    Returns
    -------
    list of pyarrow.RecordBatch or None
        As many as values, in one memory; None where not each of them is a whole stream that begins with the same
        bytes as the first: `decode` tells of each what it is.
    """
    first = values[0] or b""
    head = first[: 8 + int.from_bytes(first[4:8], "little")]
    if not head.startswith(_MESSAGE):
        return None
    parts = [head]
    for value in values:
        if value is None or not (value.startswith(head) and value.endswith(_END)):
            return None
        parts.append(value[len(head) : -len(_END)])
    try:
        with pa.ipc.open_stream(b"".join(parts), options=_READ) as reader:
            batches = list(reader)
            words = reader.stats.num_dictionary_batches
    except (pa.ArrowException, OSError):
        return None
    # One that lacks its words would have those of the stream before it.
    wanted = sum(map(pa.types.is_dictionary, schema.types)) * len(values)
    is_whole = len(batches) == len(values) and words == wanted and reader.schema.equals(schema)
    return batches if is_whole else None


def rows_headers(topic: Topic, rows: int) -> tuple[tuple[str, bytes], ...]:
    """Headers of a record that holds rows of a topic."""
    return (
        (HEADER_KIND, KIND_ROWS),
        (HEADER_SCHEMA, topic.identifier.encode()),
        (HEADER_ROWS, str(rows).encode()),
    )


def watermark_headers() -> tuple[tuple[str, bytes], ...]:
    """Headers of a record that holds watermark rows."""
    return ((HEADER_KIND, KIND_WATERMARKS),)
