"""Intake: what others wrote to the inboxes becomes valid rows of the topics, or dead letters.

The only flow that decodes foreign bytes and validates. Of what it has read it keeps the schemas that
``foreign_schemas`` told it of, and nothing else.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.avro import MAGIC, decode_avro, schema_ids
from flows.flow import Emit, Emitted, Flow, Input, InputRows, Order, Params, Rows, Watermarks
from flows.foreign_schemas import ForeignSchemas
from flows.snapshot import pack, unpack
from schemas.arrays import Bools, Int64s
from schemas.faults import DEAD_LETTER, PAYLOAD_BYTES_MAX
from schemas.field import INT64, RECEIVE_TIME, TIMESTAMP
from schemas.foreign_arrow import STREAM_MAGIC, ForeignArrowError, decode_stream
from schemas.foreign_schemas import FOREIGN_SCHEMAS
from schemas.json_codec import Decoded, decode_json, encode_lines
from schemas.json_faults import Fault
from schemas.registry import inboxes
from schemas.topic import Topic
from schemas.validation import validate

_AVRO_FILE = b"Obj\x01"
_NO_FILES = (
    "an Avro file; write its records one by one with the identifier of their schema, as Confluent's "
    "serializers do"
)
# Names in reasons are the writers' own, of any length.
_REASON_MAX = 500
# Rows, and of each the record that it is from and its place in there.
_Part = tuple[pa.RecordBatch, Int64s, Int64s]
_NO_IDENTIFIER = "Avro without the identifier of its schema: a zero byte and four more were needed"


class Intake(Flow):
    """Decodes and validates the records of all inboxes.

    A record is JSON (an object, an array, lines), an Arrow IPC stream or Avro behind the identifier of its
    schema, told by its first bytes or its content type. ``ts_recv`` of a row is the time at which its record was appended to the inbox, whatever
    its writer says. Of each record come as many rows and dead letters together as it holds rows; a
    record that cannot be split into rows is one dead letter.
    """

    name: ClassVar[str] = "intake"
    version: ClassVar[int] = 1
    # The schemas first: where both have records, they are known before they are needed.
    inputs: ClassVar[tuple[Input, ...]] = (
        Input(topic=FOREIGN_SCHEMAS, broadcast=True),
        *(Input(topic=topic, inbox=True) for topic in inboxes().values()),
    )
    looks_up: ClassVar[Topic | None] = FOREIGN_SCHEMAS
    outputs: ClassVar[tuple[Topic, ...]] = (*inboxes().values(), DEAD_LETTER)
    order: ClassVar[Order] = Order.ARRIVAL

    def __init__(self, params: Params, snapshot: bytes | None) -> None:
        self.params = params
        self._schemas = ForeignSchemas()
        if snapshot is not None:
            head, _ = unpack(snapshot, self.name, self.version)
            self._schemas.restore(head.get("schemas", []))

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Rows of the topic proper, then dead letters, both in the order of the records."""
        at, given = rows.only
        source = self.inputs[at]
        if not source.inbox:
            self._schemas.learn(given.batch)
            return []
        append_times = given.batch.column("append_time").to_numpy()
        decoded = self._decode(source.topic, given.batch)
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

    def missing(self, rows: Rows) -> list[str]:
        """Identifiers of schemas that records name and nobody has told of yet."""
        at, given = rows.only
        if not self.inputs[at].inbox:
            return []
        values = given.batch.column("value")
        numbers = np.flatnonzero(_begins(values, MAGIC))
        if not len(numbers):
            return []
        ids = schema_ids(values.take(pa.array(numbers)))
        times = given.batch.column("append_time").to_numpy()[numbers]
        return self._schemas.missing(ids, times)

    def snapshot(self) -> bytes:
        """The schemas that are known."""
        return pack(self.name, self.version, {"schemas": self._schemas.state()}, {})

    def _decode(self, topic: Topic, records: pa.RecordBatch) -> Decoded:
        values = records.column("value")
        is_null = values.is_null().to_numpy(zero_copy_only=False)
        is_arrow = _begins(values, STREAM_MAGIC) | _says(records, "arrow")
        is_avro = _begins(values, MAGIC) | _begins(values, _AVRO_FILE) | _says(records, "avro")
        is_json = ~(is_null | is_arrow | is_avro)
        if is_json.all():
            return decode_json(topic, values)
        numbers = np.flatnonzero(is_json)
        json = decode_json(topic, values.take(pa.array(numbers)))
        parts = [(json.batch, numbers[json.record], json.row)]
        faults = [replace(fault, record=int(numbers[fault.record])) for fault in json.faults]
        for number in np.flatnonzero(is_null).tolist():
            reason = "the record has no value"
            faults.append(Fault(record=number, row=None, reason=reason, payload=None))
        parts += _from_arrow(topic, values, np.flatnonzero(is_arrow & ~is_null), faults)
        avro = np.flatnonzero(is_avro & ~is_arrow & ~is_null)
        parts += self._from_avro(topic, values, avro, faults)
        return _merged(topic, parts, faults)

    def _from_avro(
        self, topic: Topic, values: pa.Array, numbers: Int64s, faults: list[Fault]
    ) -> list[_Part]:
        """The rows of Avro records, schema by schema."""
        some = values.take(pa.array(numbers))
        ids = schema_ids(some)
        parts = []
        for schema_id in np.unique(ids).tolist():
            places = np.flatnonzero(ids == schema_id)
            columns = self._schemas.columns(schema_id) if schema_id >= 0 else _NO_IDENTIFIER
            if isinstance(columns, str):
                for number in numbers[places].tolist():
                    payload = values[number].as_py()
                    reason = _NO_FILES if payload.startswith(_AVRO_FILE) else columns
                    faults.append(Fault(record=number, row=None, reason=reason, payload=payload))
                continue
            found = decode_avro(topic, columns, some.take(pa.array(places)))
            for fault in found.faults:
                number = int(numbers[places[fault.record]])
                payload = values[number].as_py()
                faults.append(replace(fault, record=number, payload=payload))
            rows = np.zeros(len(found.record), dtype=np.int64)
            parts.append((found.batch, numbers[places[found.record]], rows))
        return parts


def _from_arrow(
    topic: Topic, values: pa.Array, numbers: Int64s, faults: list[Fault]
) -> list[_Part]:
    parts = []
    for number in numbers.tolist():
        payload = values[number].as_py()
        try:
            batch = decode_stream(topic, payload)
        except ForeignArrowError as error:
            faults.append(Fault(record=number, row=None, reason=str(error), payload=payload))
        else:
            count = batch.num_rows
            parts.append((batch, np.full(count, number), np.arange(count, dtype=np.int64)))
    return parts


def _merged(topic: Topic, parts: Sequence[_Part], faults: list[Fault]) -> Decoded:
    table = pa.Table.from_batches([batch for batch, _, _ in parts]).combine_chunks()
    record = np.concatenate([record for _, record, _ in parts])
    row = np.concatenate([row for _, _, row in parts])
    order = np.lexsort((row, record))
    columns = table.take(pa.array(order))
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


def _without_giants(topic: Topic, decoded: Decoded, records: pa.RecordBatch) -> Decoded:
    """Rows that no record of the log could hold become faults; only a record as large can have one."""
    lengths = pc.binary_length(records.column("value")).fill_null(0).to_numpy()
    places = np.flatnonzero(lengths[decoded.record] > PAYLOAD_BYTES_MAX)
    if not len(places):
        return decoded
    lines = encode_lines(topic, decoded.batch.take(pa.array(places))).splitlines()
    sizes = np.array([len(line) for line in lines], dtype=np.int64)
    giants = places[sizes > PAYLOAD_BYTES_MAX]
    faults = [
        Fault(
            record=int(decoded.record[at]),
            row=int(decoded.row[at]),
            reason=f"a row of {size} bytes; at most {PAYLOAD_BYTES_MAX} are taken",
            payload=None,
        )
        for at, size in zip(giants.tolist(), sizes[sizes > PAYLOAD_BYTES_MAX].tolist(), strict=True)
    ]
    kept = np.delete(np.arange(len(decoded.record)), giants)
    return Decoded(
        batch=decoded.batch.take(pa.array(kept)),
        record=decoded.record[kept],
        row=decoded.row[kept],
        faults=[*decoded.faults, *faults],
    )


def _validated(
    topic: Topic, decoded: Decoded, records: pa.RecordBatch, append_times: Int64s
) -> tuple[pa.RecordBatch, list[Fault]]:
    """The good rows, and all faults in the order of records and rows."""
    decoded = _without_giants(topic, decoded, records)
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
            "reason": [_reason(fault) for fault in faults],
            "payload": [None if _is_large(fault) else fault.payload for fault in faults],
        }
    )


def _is_large(fault: Fault) -> bool:
    return fault.payload is not None and len(fault.payload) > PAYLOAD_BYTES_MAX


def _reason(fault: Fault) -> str:
    reason = fault.reason
    if len(reason) > _REASON_MAX:
        reason = f"{reason[:_REASON_MAX]}…"
    if fault.payload is None or not _is_large(fault):
        return reason
    return f"{reason}; its {len(fault.payload)} bytes are in the inbox alone"
