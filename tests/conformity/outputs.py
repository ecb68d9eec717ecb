"""What flows gave, in a form that can be compared: rows of each topic by key, in order."""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from connectors.log import Log
from connectors.records import decode_rows, is_rows
from flows.engines.stepper import Output
from flows.flow import Emit
from schemas.topic import Topic


def by_topic(outputs: Iterable[Output]) -> dict[str, pa.Table]:
    """Emitted rows of each topic, in the order of their keys; order within a key is kept."""
    batches: dict[str, list[pa.RecordBatch]] = {}
    topics: dict[str, Topic] = {}
    for one in outputs:
        if isinstance(one, Emit):
            batches.setdefault(one.topic.name, []).append(one.batch)
            topics[one.topic.name] = one.topic
    return {name: comparable(topics[name], parts) for name, parts in sorted(batches.items())}


def comparable(topic: Topic, batches: list[pa.RecordBatch]) -> pa.Table:
    """Rows with dictionaries decoded, stably sorted by key."""
    table = pa.Table.from_batches(batches, schema=topic.schema).combine_chunks()
    plain = pa.table(
        {
            name: column.cast(column.type.value_type)
            if pa.types.is_dictionary(column.type)
            else column
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
    )
    order = pc.sort_indices(
        plain.append_column("_at", pa.array(range(plain.num_rows))),
        sort_keys=[(topic.key, "ascending"), ("_at", "ascending")],
    )
    return plain.take(order)


def logged(log: Log, topic: Topic) -> pa.Table:
    """All rows of a topic in a log, comparable."""
    batches = []
    for partition in range(log.topics()[topic.name].partitions):
        offset = log.start(topic.name, partition)
        while offset < log.end(topic.name, partition):
            chunk = log.read(topic.name, partition, offset)
            batches += [decode_rows(topic, record) for record in chunk.records if is_rows(record)]
            offset = chunk.next_offset
    return comparable(topic, batches)


def same_bytes(one: dict[str, pa.Table], other: dict[str, pa.Table]) -> None:
    """Fail with the first differing row where two results are not the same, bit for bit."""
    assert list(one) == list(other)
    for name, table in one.items():
        assert table.num_rows == other[name].num_rows, (name, table.num_rows, other[name].num_rows)
        if _bytes(table) != _bytes(other[name]):
            for at, (left, right) in enumerate(
                zip(table.to_pylist(), other[name].to_pylist(), strict=True)
            ):
                assert left == right, (name, at)
            raise AssertionError(f"{name}: the rows print the same, and their bytes differ")


def _bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    combined = table.combine_chunks()
    # A copy without offsets and spare bits: equal rows then have equal buffers.
    with pa.ipc.new_stream(sink, combined.schema) as writer:
        writer.write_table(pa.concat_tables([combined.slice(0, 0), combined]).combine_chunks())
    return sink.getvalue().to_pybytes()
