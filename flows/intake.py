"""Intake: what others wrote to the inboxes becomes valid rows of the topics, or dead letters.

The only flow that decodes foreign bytes and validates. It keeps nothing between records.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.flow import Emit, Emitted, Flow, Input, InputRows, Order, Params, Rows, Watermarks
from flows.snapshot import pack, unpack
from schemas.arrays import Bools, Int64s
from schemas.faults import DEAD_LETTER
from schemas.field import INT64, RECEIVE_TIME, TIMESTAMP
from schemas.foreign_arrow import STREAM_MAGIC, ForeignArrowError, decode_stream
from schemas.json_codec import Decoded, decode_json, encode_lines
from schemas.json_faults import Fault
from schemas.registry import inboxes
from schemas.topic import Topic
from schemas.validation import validate

_AVRO_STARTS = (b"Obj\x01", b"\x00")
_NO_AVRO = "Avro needs a schema registry, and none is set; write JSON or an Arrow IPC stream"


class Intake(Flow):
    """Decodes and validates the records of all inboxes.

    A record is JSON (an object, an array, lines) or an Arrow IPC stream, told by its first bytes or its
    content type. ``ts_recv`` of a row is the time at which its record was appended to the inbox, whatever
    its writer says. Of each record come as many rows and dead letters together as it holds rows; a
    record that cannot be split into rows is one dead letter.
    """

    name: ClassVar[str] = "intake"
    version: ClassVar[int] = 1
    inputs: ClassVar[tuple[Input, ...]] = tuple(
        Input(topic=topic, inbox=True) for topic in inboxes().values()
    )
    outputs: ClassVar[tuple[Topic, ...]] = (*inboxes().values(), DEAD_LETTER)
    order: ClassVar[Order] = Order.ARRIVAL

    def __init__(self, params: Params, snapshot: bytes | None) -> None:
        self.params = params
        if snapshot is not None:
            unpack(snapshot, self.name, self.version)

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Rows of the topic proper, then dead letters, both in the order of the records."""
        at, given = rows.only
        source = self.inputs[at]
        append_times = given.batch.column("append_time").to_numpy()
        decoded = _decode(source.topic, given.batch)
        good, faults = _validated(source.topic, decoded, given.batch, append_times)
        emitted: list[Emitted] = []
        if good.num_rows:
            emitted.append(Emit(topic=source.topic, batch=good))
        if faults:
            dead = _dead_letters(source.name, given, append_times, faults)
            emitted.append(Emit(topic=DEAD_LETTER, batch=dead))
        return emitted

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Nothing waits for time."""
        del watermarks
        return []

    def snapshot(self) -> bytes:
        """Nothing but name and version."""
        return pack(self.name, self.version, {}, {})


def _decode(topic: Topic, records: pa.RecordBatch) -> Decoded:
    values = records.column("value")
    is_null = values.is_null().to_numpy(zero_copy_only=False)
    is_arrow = _begins(values, STREAM_MAGIC) | _says(records, "arrow")
    is_avro = _says(records, "avro")
    for start in _AVRO_STARTS:
        is_avro = is_avro | _begins(values, start)
    is_json = ~(is_null | is_arrow | is_avro)
    if is_json.all():
        return decode_json(topic, values)
    numbers = np.flatnonzero(is_json)
    json = decode_json(topic, values.take(pa.array(numbers)))
    parts = [(json.batch, numbers[json.record], json.row)]
    faults = [
        Fault(record=int(numbers[f.record]), row=f.row, reason=f.reason, payload=f.payload)
        for f in json.faults
    ]
    for number in np.flatnonzero(~is_json).tolist():
        try:
            batch = _not_json(topic, values[number].as_py(), avro=bool(is_avro[number]))
        except ForeignArrowError as error:
            payload = values[number].as_py()
            faults.append(Fault(record=number, row=None, reason=str(error), payload=payload))
        else:
            count = batch.num_rows
            parts.append((batch, np.full(count, number), np.arange(count, dtype=np.int64)))
    return _merged(topic, parts, faults)


def _not_json(topic: Topic, data: bytes | None, *, avro: bool) -> pa.RecordBatch:
    if data is None:
        raise ForeignArrowError("the record has no value")
    if avro:
        raise ForeignArrowError(_NO_AVRO)
    return decode_stream(topic, data)


def _merged(
    topic: Topic, parts: Sequence[tuple[pa.RecordBatch, Int64s, Int64s]], faults: list[Fault]
) -> Decoded:
    table = pa.Table.from_batches([batch for batch, _, _ in parts]).unify_dictionaries()
    record = np.concatenate([record for _, record, _ in parts])
    row = np.concatenate([row for _, _, row in parts])
    order = np.lexsort((row, record))
    columns = table.combine_chunks().take(pa.array(order))
    return Decoded(
        batch=topic.batch(dict(zip(columns.column_names, columns.columns, strict=True))),
        record=record[order],
        row=row[order],
        faults=faults,
    )


def _begins(values: pa.Array, start: bytes) -> Bools:
    begins = pc.starts_with(values, pattern=start).fill_null(False)
    found: Bools = begins.to_numpy(zero_copy_only=False)
    return found


def _says(records: pa.RecordBatch, kind: str) -> Bools:
    column = records.column("content_type")
    if column.null_count == len(column):
        return np.zeros(len(column), dtype=np.bool_)
    says = pc.match_substring(column, kind, ignore_case=True).fill_null(False)
    found: Bools = says.to_numpy(zero_copy_only=False)
    return found


def _validated(
    topic: Topic, decoded: Decoded, records: pa.RecordBatch, append_times: Int64s
) -> tuple[pa.RecordBatch, list[Fault]]:
    """The good rows, and all faults in the order of records and rows."""
    times = append_times[decoded.record]
    at = topic.schema.get_field_index(RECEIVE_TIME)
    batch = decoded.batch
    if at >= 0:
        received = pa.array(times, INT64).cast(TIMESTAMP)
        batch = batch.set_column(at, topic.schema.field(at), received)
    outcome = validate(topic, batch, times)
    if len(outcome.rejected) == 0 and not decoded.faults:
        return outcome.good, []
    held = np.bincount(decoded.record, minlength=records.num_rows)
    broken = np.array([fault.record for fault in decoded.faults], dtype=np.int64)
    held += np.bincount(broken, minlength=records.num_rows)
    rejected = batch.take(pa.array(outcome.rejected))
    faults = list(decoded.faults)
    for index, reason, line in zip(
        outcome.rejected.tolist(),
        outcome.reasons,
        encode_lines(topic, rejected).splitlines(),
        strict=True,
    ):
        record = int(decoded.record[index])
        payload = records.column("value")[record].as_py() if held[record] == 1 else line
        faults.append(
            Fault(record=record, row=int(decoded.row[index]), reason=reason, payload=payload)
        )
    faults.sort(key=lambda fault: (fault.record, -1 if fault.row is None else fault.row))
    return outcome.good, faults


def _dead_letters(
    inbox: str, given: InputRows, append_times: Int64s, faults: Sequence[Fault]
) -> pa.RecordBatch:
    record: Any = np.array([fault.record for fault in faults], dtype=np.int64)
    return DEAD_LETTER.batch(
        {
            "source_topic": [inbox] * len(faults),
            "ts_event": append_times[record],
            "source_partition": [given.partition] * len(faults),
            "source_offset": given.offset[record],
            "source_row": [fault.row for fault in faults],
            "reason": [fault.reason for fault in faults],
            "payload": [fault.payload for fault in faults],
        }
    )
