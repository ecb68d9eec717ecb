"""Log records that hold rows or watermark rows of a topic, and the way to and from batches."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.log import Headers, NewRecord, Record
from schemas.arrays import Int64s
from schemas.codec import (
    HEADER_KIND,
    HEADER_ROWS,
    HEADER_SCHEMA,
    KIND_ROWS,
    KIND_WATERMARKS,
    WATERMARKS_SCHEMA,
    CodecError,
    decode,
    decode_together,
    encode,
    rows_headers,
    watermark_headers,
)
from schemas.field import TEXT, TIMESTAMP
from schemas.partition import partition_of
from schemas.topic import Topic

# Larger records gain no speed, and a reader has to hold one of them at least.
RECORD_ROWS = 65_536
# Of a log's largest record (Kafka's is 64 MiB) one row may be half.
RECORD_BYTES = 16 << 20
# Up to so many bytes and rows a record is decoded with those beside it, and so many at once.
_TOGETHER_BYTES = 32_768
_TOGETHER_ROWS = 2_048
_TOGETHER_RECORDS = 256
# Keys whose partition is remembered; about 100 MB.
_KNOWN_MAX = 1_000_000


class Partitioner:
    """Splits batches of a topic by the partition of each row's key.

    Parameters
    ----------
    partitions : int
        Count of partitions of the target topic.
    """

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._known: dict[str, int] = {}

    def of(self, key: str) -> int:
        """The partition of a key."""
        partition = self._known.get(key)
        if partition is None:
            if len(self._known) >= _KNOWN_MAX:
                # Only remembered to save hashing: what is forgotten is found again.
                self._known.clear()
            partition = self._known[key] = partition_of(key, self.partitions)
        return partition

    def split(self, keys: pa.Array, batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The batch's rows by partition, in order of partition; order of rows is kept.

        Parameters
        ----------
        keys : pyarrow.Array
            Key of each row of the batch: strings, or a dictionary of strings.
        batch : pyarrow.RecordBatch
            The rows.
        """
        if batch.num_rows == 0:
            return
        if self.partitions == 1:
            yield 0, batch
            return
        if not pa.types.is_dictionary(keys.type):
            keys = keys.dictionary_encode()
        by_code = np.array([self.of(key) for key in keys.dictionary.to_pylist()], dtype=np.int32)
        # Two fields of a batch may share one dictionary longer than what is used: only used codes count.
        of_row = by_code[keys.indices.to_numpy(zero_copy_only=False)]
        for partition in np.unique(of_row):
            mask = of_row == partition
            if mask.all():
                yield int(partition), batch
            else:
                yield int(partition), batch.take(pa.array(np.flatnonzero(mask)))


def rows_record(
    topic: Topic, partition: int, batch: pa.RecordBatch, *, name: str = "", headers: Headers = ()
) -> NewRecord:
    """A record of rows of one partition; ``name`` where the log's topic is not the topic's name."""
    return NewRecord(
        topic=name or topic.name,
        partition=partition,
        value=encode(batch),
        headers=rows_headers(topic, batch.num_rows) + headers,
    )


def record_pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch in pieces that a record each may hold: of `RECORD_ROWS` and about `RECORD_BYTES`, a row at least."""
    for at in range(0, batch.num_rows, RECORD_ROWS):
        yield from _halves(batch.slice(at, RECORD_ROWS))


def _halves(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    # Several columns may refer to one buffer, all of them at most: so few bytes need no closer look.
    if batch.get_total_buffer_size() * batch.num_columns <= RECORD_BYTES:
        yield batch
        return
    # A dictionary goes whole with every piece of it.
    size = sum(c.nbytes for c in batch.columns if not pa.types.is_dictionary(c.type))
    if size <= RECORD_BYTES or batch.num_rows == 1:
        yield batch
        return
    middle = batch.num_rows // 2
    yield from _halves(batch.slice(0, middle))
    yield from _halves(batch.slice(middle))


def watermarks_batch(keys: list[str], times_ns: Int64s) -> pa.RecordBatch:
    """Watermark rows: from each key's time on, no earlier row of it will come."""
    return pa.RecordBatch.from_arrays(
        [pa.array(keys, TEXT), pa.array(times_ns, pa.int64()).cast(TIMESTAMP)],
        schema=WATERMARKS_SCHEMA,
    )


def watermarks_record(
    topic: str, partition: int, batch: pa.RecordBatch, *, headers: Headers = ()
) -> NewRecord:
    """A record of watermark rows of keys of one partition of a topic."""
    return NewRecord(
        topic=topic,
        partition=partition,
        value=encode(batch),
        headers=watermark_headers() + headers,
    )


def is_rows(record: Record) -> bool:
    """Whether the record holds rows."""
    return record.header(HEADER_KIND) == KIND_ROWS


def is_watermarks(record: Record) -> bool:
    """Whether the record holds watermark rows."""
    return record.header(HEADER_KIND) == KIND_WATERMARKS


def decode_rows(topic: Topic, record: Record) -> pa.RecordBatch:
    """The rows of a record.

    Raises
    ------
    CodecError
        Naming topic, partition and offset, where the record is not rows of this topic and version.
    """
    where = f"{record.topic}[{record.partition}] at offset {record.offset}"
    found = (record.header(HEADER_SCHEMA) or b"none").decode(errors="replace")
    if not is_rows(record) or found != topic.identifier:
        raise CodecError(
            f"{where}: rows of {topic.identifier} were needed, the record's schema header says "
            f"{found}; only Tapeflow writes to this topic, others write to its inbox"
        )
    try:
        return decode(record.value, topic.schema)
    except CodecError as error:
        raise CodecError(f"{where}: {error}") from error


def decode_each(topic: Topic, records: Sequence[Record]) -> Iterator[pa.RecordBatch]:
    """`decode_rows` of each, in order; of small ones side by side in less than half the time.

    These share their memory: who keeps the rows of one keeps those of all.
    """
    for is_small, group in groupby(records, _is_small):
        some = list(group)
        if not is_small:
            yield from (decode_rows(topic, record) for record in some)
            continue
        for at in range(0, len(some), _TOGETHER_RECORDS):
            yield from _decoded_together(topic, some[at : at + _TOGETHER_RECORDS])


def _is_small(record: Record) -> bool:
    """Whether it gains by being decoded with others: a large one would only be copied."""
    rows = record.header(HEADER_ROWS) or b""
    size = len(record.value or b"")
    return size <= _TOGETHER_BYTES and rows.isdigit() and int(rows) <= _TOGETHER_ROWS


def _decoded_together(topic: Topic, records: Sequence[Record]) -> Iterable[pa.RecordBatch]:
    wanted = topic.identifier.encode()
    if len(records) > 1 and all(record.header(HEADER_SCHEMA) == wanted for record in records):
        found = decode_together([record.value for record in records], topic.schema)
        told = [int(record.header(HEADER_ROWS) or 0) for record in records]
        if found is not None and told == [batch.num_rows for batch in found]:
            return found
    # Each by itself: what was wrong with one is said of that one, behind the rows before it.
    return (decode_rows(topic, record) for record in records)


def decode_watermarks(record: Record) -> pa.RecordBatch:
    """The watermark rows of a record."""
    return decode(record.value, WATERMARKS_SCHEMA)


def key_column(topic: Topic, batch: pa.RecordBatch) -> pa.Array:
    """The key of each row."""
    return batch.column(topic.key)


def event_times(topic: Topic, batch: pa.RecordBatch) -> Int64s:
    """The event time of each row, int64 ns since 1970 UTC."""
    times: Int64s = pc.cast(batch.column(topic.event_time), pa.int64()).to_numpy(
        zero_copy_only=False
    )
    return times
