"""Foreign Avro behind a schema's identifier: rows or dead letters, and the log alone says which."""

import io
import json
import struct
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.avro import decode_avro, schema_ids
from flows.avro_schema import AvroSchemaError, columns_of
from flows.flow import INBOX_SCHEMA, Emit, InputRows, Params, Rows
from flows.intake import Intake
from flows.kernels import avro as kernel
from schemas.faults import DEAD_LETTER
from schemas.field import TIMESTAMP
from schemas.foreign_arrow import topic_rows
from schemas.foreign_schemas import FOREIGN_SCHEMAS
from schemas.registry import TOPICS

TRADES = TOPICS["trades"]
NOW_NS = 1_800_000_000_000_000_000
EVENT_US = 1_714_564_800_123_456
_SYMBOL = {"name": "symbol", "type": "string"}
_TIME = {"name": "ts_event", "type": {"type": "long", "logicalType": "timestamp-micros"}}
_PRICE = {"name": "price", "type": "double"}
_SIZE = {"name": "size", "type": ["null", "double"], "default": None}
_VENUE = {
    "name": "venue",
    "type": {"type": "enum", "name": "Venue", "symbols": ["N", "T", "Z"]},
}
_RECORD_OF = '{"type": "record", "fields": [{"name": "a", "type": %s}]}'
_FIELDS = [_SYMBOL, _TIME, _PRICE, _SIZE, _VENUE]
_ROW = {"symbol": "AIG", "ts_event": EVENT_US, "price": 61.5, "size": 100.0, "venue": "T"}


def _schema(*fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Trade", "namespace": "desk", "fields": list(fields)}


def _framed(schema: Mapping[str, Any], row: Mapping[str, Any], schema_id: int = 7) -> bytes:
    """As Confluent's serializer writes it; logical types as the numbers that they are."""
    sink = io.BytesIO()
    fastavro.schemaless_writer(sink, _plain(schema), dict(row))
    return b"\x00" + struct.pack(">I", schema_id) + sink.getvalue()


def _plain(value: Any) -> Any:
    """Without times' logical types, so that whole numbers are written as they are."""
    if isinstance(value, dict):
        time = "timestamp" in str(value.get("logicalType")) or value.get("logicalType") == "date"
        return {k: _plain(v) for k, v in value.items() if not (k == "logicalType" and time)}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _told(schema: Any = None, *, schema_id: int = 7, reason: str | None = None) -> pa.RecordBatch:
    return FOREIGN_SCHEMAS.batch(
        {
            "schema_id": [str(schema_id)],
            "ts_event": pa.array([NOW_NS], pa.int64()),
            "schema_type": ["AVRO"],
            "schema_text": pa.array([None if reason else json.dumps(schema)], pa.string()),
            "reason": pa.array([reason], pa.string()),
        }
    )


def _rows(flow: Intake, name: str, batch: pa.RecordBatch) -> Rows:
    given = InputRows(
        batch=batch,
        partition=0,
        offset=np.arange(100, 100 + batch.num_rows),
        row=np.zeros(batch.num_rows, dtype=np.int32),
    )
    return Rows(inputs=tuple(given if one.name == name else None for one in flow.inputs))


def _inbox(values: Sequence[bytes | None], append_ns: int = NOW_NS) -> pa.RecordBatch:
    count = len(values)
    columns = {"value": values, "append_time": [append_ns] * count, "content_type": [None] * count}
    return pa.RecordBatch.from_pydict(columns, schema=INBOX_SCHEMA)


def _take(
    flow: Intake, values: Sequence[bytes | None]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {TRADES.name: [], DEAD_LETTER.name: []}
    for emit in flow.on_rows(_rows(flow, "trades.in", _inbox(values))):
        assert isinstance(emit, Emit)
        assert emit.batch.schema.equals(emit.topic.schema)
        found[emit.topic.name] += _plain_rows(emit.batch)
    return found[TRADES.name], found[DEAD_LETTER.name]


def _plain_rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    columns = [c.cast(pa.int64()) if c.type == TIMESTAMP else c for c in batch.columns]
    return list(pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist())


def _flow(*told: pa.RecordBatch) -> Intake:
    flow = Intake(Params(), None)
    for batch in told:
        assert flow.on_rows(_rows(flow, FOREIGN_SCHEMAS.name, batch)) == []
    return flow


def test_a_known_schemas_records_are_rows() -> None:
    schema = _schema(*_FIELDS)
    good, dead = _take(_flow(_told(schema)), [_framed(schema, _ROW)])
    assert dead == []
    assert [(r["symbol"], r["ts_event"], r["price"], r["size"], r["venue"]) for r in good] == [
        ("AIG", EVENT_US * 1000, 61.5, 100.0, "T")
    ]
    assert (good[0]["ts_recv"], good[0]["action"]) == (NOW_NS, "new")


@pytest.mark.parametrize(
    ("changed", "row", "wanted"),
    [
        ({"type": {"type": "long", "logicalType": "timestamp-millis"}, "name": "ts_event"},
         {"ts_event": EVENT_US // 1000}, ("ts_event", EVENT_US // 1000 * 10**6)),
        ({"type": {"type": "long", "logicalType": "timestamp-nanos"}, "name": "ts_event"},
         {"ts_event": EVENT_US * 1000 + 7}, ("ts_event", EVENT_US * 1000 + 7)),
        ({"type": {"type": "bytes", "logicalType": "decimal", "precision": 20, "scale": 4},
          "name": "price"}, {"price": Decimal("61.5125")}, ("price", 61.5125)),
        ({"type": {"type": "fixed", "name": "F", "size": 9, "logicalType": "decimal",
          "precision": 20, "scale": 2}, "name": "price"}, {"price": Decimal("0.29")},
         ("price", 0.29)),
        ({"type": "float", "name": "price"}, {"price": 61.25}, ("price", 61.25)),
        ({"type": ["int", "null"], "name": "size"}, {"size": 300}, ("size", 300.0)),
        ({"type": "long", "name": "size"}, {"size": 2**40}, ("size", float(2**40))),
        ({"type": "string", "name": "venue"}, {"venue": "N"}, ("venue", "N")),
    ],
)  # fmt: skip
def test_other_types_and_logical_types_are_taken_where_nothing_is_lost(
    changed: dict[str, Any], row: dict[str, Any], wanted: tuple[str, Any]
) -> None:
    schema = _schema(*(changed if one["name"] == changed["name"] else one for one in _FIELDS))
    good, dead = _take(_flow(_told(schema)), [_framed(schema, _ROW | row)])
    assert dead == []
    assert good[0][wanted[0]] == wanted[1]


@pytest.mark.parametrize(
    ("field", "row", "reason"),
    [
        ({"name": "desk", "type": "string"}, {"desk": "x"}, "columns ['desk'] where trades has"),
        ({"name": "ts_event", "type": "long"}, {}, "'ts_event' must be timestamp"),
        (
            {"name": "ts_event", "type": {"type": "long", "logicalType": "local-timestamp-micros"}},
            {},
            "'ts_event' must be timestamp",
        ),
        ({"name": "price", "type": "string"}, {"price": "61.5"}, "'price' must be double"),
        ({"name": "price", "type": ["null", "double"]}, {"price": None}, "price must be given"),
        ({"name": "price", "type": "double"}, {"price": -1.0}, "price must be above 0"),
        ({"name": "size", "type": "long"}, {"size": 2**60 + 1}, "column 'size' must be double"),
        (
            {"name": "size", "type": {"type": "array", "items": "double"}},
            {"size": [1.0]},
            "field 'size' is of type 'array'",
        ),
        ({"name": "size", "type": ["int", "double"]}, {"size": 1.5}, "'size' is a union of 2"),
        (
            {"name": "size", "type": ["null", "int", "double"]},
            {"size": None},
            "'size' is a union of 3",
        ),
    ],
)
def test_what_is_no_row_is_a_dead_letter_with_reason_and_bytes(
    field: dict[str, Any], row: dict[str, Any], reason: str
) -> None:
    fields = [one for one in _FIELDS if one["name"] != field["name"]]
    schema, fine = _schema(*fields, field), _schema(*_FIELDS)
    values = [_framed(fine, _ROW, 1), _framed(schema, _ROW | row), _framed(fine, _ROW, 1)]
    good, dead = _take(_flow(_told(schema), _told(fine, schema_id=1)), values)
    assert len(good) == 2
    (letter,) = dead
    assert reason in letter["reason"]
    assert (letter["source_offset"], letter["payload"]) == (101, values[1])


def test_one_records_loss_is_not_its_neighbours() -> None:
    schema = _schema(*(f for f in _FIELDS if f is not _SIZE), {"name": "size", "type": "long"})
    sizes = [2**60 + 1 if at % 5 == 3 else at + 1 for at in range(23)]
    values = [_framed(schema, _ROW | {"size": size}) for size in sizes]
    good, dead = _take(_flow(_told(schema)), values)
    assert [row["size"] for row in good] == [float(size) for size in sizes if size < 100]
    assert [letter["source_offset"] for letter in dead] == [103, 108, 113, 118]


def test_an_older_and_a_newer_schema_of_one_subject_are_read_each_with_its_own() -> None:
    older = _schema(_SYMBOL, _TIME, _PRICE, _VENUE, {"name": "size", "type": "int"})
    newer = _schema(*_FIELDS, {"name": "trade_id", "type": ["null", "string"], "default": None})
    values = [
        _framed(older, _ROW | {"size": 5}, 1),
        _framed(newer, _ROW | {"trade_id": "t2"}, 2),
        _framed(older, _ROW | {"size": 6}, 1),
        _framed(newer, _ROW | {"trade_id": None}, 2),
    ]
    good, dead = _take(_flow(_told(older, schema_id=1), _told(newer, schema_id=2)), values)
    assert dead == []
    assert [(row["size"], row["trade_id"]) for row in good] == [
        (5.0, None),
        (100.0, "t2"),
        (6.0, None),
        (100.0, None),
    ]


def test_what_is_told_decides_alone_and_is_in_the_snapshot() -> None:
    schema = _schema(*_FIELDS)
    value = _framed(schema, _ROW)
    nobody = Intake(Params(), None)
    _, dead = _take(nobody, [value])
    assert "none has told of schema 7: set schema_registry" in dead[0]["reason"]
    refused = _flow(_told(reason="the registry has no schema 7: gone"))
    assert _take(refused, [value])[1][0]["reason"] == "the registry has no schema 7: gone"
    known = _flow(_told(reason="gone"), _told(schema))
    assert len(_take(known, [value])[0]) == 1
    for flow in (nobody, refused, known):
        again = Intake(Params(), flow.snapshot())
        assert again.snapshot() == flow.snapshot()
        assert _take(again, [value]) == _take(flow, [value])


def test_it_asks_for_what_it_was_not_told_and_a_minute_later_for_what_was_refused() -> None:
    schema = _schema(*_FIELDS)
    values = [_framed(schema, _ROW, 300), b"{}", None, _framed(schema, _ROW, 8), b"\x00\x00"]
    flow = _flow(_told(schema, schema_id=8), _told(reason="gone", schema_id=9))
    values.append(_framed(schema, _ROW, 9))
    assert flow.missing(_rows(flow, "trades.in", _inbox(values))) == ["300"]
    later = _inbox(values, append_ns=NOW_NS + 60 * 10**9)
    assert flow.missing(_rows(flow, "trades.in", later)) == ["9", "300"]
    assert flow.missing(_rows(flow, FOREIGN_SCHEMAS.name, _told(schema))) == []


def test_only_so_many_schemas_are_kept_the_oldest_goes() -> None:
    schema = _schema(*_FIELDS)
    flow = _flow(*(_told(schema, schema_id=number) for number in range(1_001)))
    asked = _rows(flow, "trades.in", _inbox([_framed(schema, _ROW, at) for at in (0, 1, 1_000)]))
    assert flow.missing(asked) == ["0"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ('"string"', "of no record"),
        ('{"type": "record", "name": "T"}', "no fields"),
        ('{"type": "record", "fields": [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]}',
         "a field twice"),
        ('{"type": "record", "fields": [{"name": "a"}]}', "field 'a' has no type"),
        ('{"type": "record", "fields": [{"name": "a", "type": "Other"}]}', "type 'Other'"),
        ('{"type": "record", "fields": [{"name": "a", "type": {"type": "map", "values": "int"}}]}',
         "type 'map'"),
        ('{"type": "record", "fields": [{"name": "a", "type": {"type": "enum", "name": "E"}}]}',
         "an enum without symbols"),
        ('{"type": "record", "fields": [{"name": "a", "type": {"type": "fixed", "name": "F"}}]}',
         "a fixed without a size"),
        ('{"type": "record", "fields": [{"name": "a", "type": {"type": "fixed", "name": "F", "size": -1}}]}',
         "a fixed without a size"),
        # A place and such a size overflow: the next field would be read in front of the record.
        (_RECORD_OF % '{"type": "fixed", "name": "F", "size": 9223372036854775807}',
         "a fixed without a size"),
        (_RECORD_OF % '{"type": "fixed", "name": "F", "size": 9223372036854775808}',
         "a fixed without a size"),
        # A row of nothing; it was no row and no dead letter.
        ('{"type": "record", "name": "T", "fields": []}', "no fields"),
        ('{"type": "record", "fields": [{"name": "' + 300 * "a" + '", "type": "int"}]}', "no fields"),
    ],
)  # fmt: skip
def test_a_schema_that_cannot_be_rows_says_why(text: str, reason: str) -> None:
    with pytest.raises(AvroSchemaError, match=reason):
        columns_of(text)


def test_a_type_that_is_nested_a_thousand_times_is_read() -> None:
    deep = '{"type":' * 1_000 + '"int"' + "}" * 1_000
    assert columns_of(_RECORD_OF % deep)[0].type == pa.int32()


def test_a_size_beyond_the_record_is_no_place_to_read_on() -> None:
    read = kernel.read_records(
        np.zeros(90, np.uint8),
        *(np.array([at], dtype=np.int64) for at in (5, 90)),
        np.array([kernel.FIXED, kernel.DOUBLE]),
        np.array([-1, -1]),
        np.array([2**63 - 1, 0]),
    )
    assert (read[3].tolist(), read[4].tolist()) == ([kernel.ENDS_EARLY], [0])


def test_a_schema_that_no_record_can_be_a_row_of_is_found_out_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    def counted(*given: Any) -> Any:
        asked.append(given)
        return topic_rows(*given)

    monkeypatch.setattr("flows.avro.topic_rows", counted)
    schema = _schema(_SYMBOL, _TIME, {"name": "price", "type": "string"}, _VENUE)
    value = _framed(schema, _ROW | {"price": "61.5"})
    good, dead = _take(_flow(_told(schema)), [value] * 500)
    assert (len(good), len(dead), len(asked)) == (0, 500, 1)


def test_every_kind_of_value_is_what_fastavro_reads() -> None:
    kinds: list[Any] = [
        "boolean", "int", "long", "float", "double", "bytes", "string",
        {"type": "enum", "name": "E", "symbols": ["a", "b"]},
        {"type": "fixed", "name": "F", "size": 3},
        ["null", "E"], ["F", "null"],
        {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10},
        {"type": "int", "logicalType": "date"},
        {"type": "string", "logicalType": "uuid"},
    ]  # fmt: skip
    schema = _schema(*({"name": f"f{at}", "type": kind} for at, kind in enumerate(kinds)))
    rows = [
        dict(zip((f"f{at}" for at in range(len(kinds))), row, strict=True))
        for row in (
            (True, -1, 2**63 - 1, 1.5, -0.1, b"", "", "a", b"abc", None, None, Decimal("-0.5"), 1,
             str(uuid.UUID(int=5))),
            (False, -(2**31), -(2**63), 0.0, 1e300, b"\xff" * 300, "Größe", "b", b"\x00\x01\x02", "b",
             b"xyz", Decimal(9) * 10**27, -1, str(uuid.UUID(int=9))),
        )
    ]  # fmt: skip
    values = pa.array([b"xx", *(_framed(schema, row) for row in rows)], pa.binary())[1:]
    columns = columns_of(json.dumps(schema))
    from flows import avro  # noqa: PLC0415 - its table before it is a topic's

    found: list[pa.Table] = []
    original = avro.topic_rows
    try:
        avro.topic_rows = lambda _, table: found.append(table) or TRADES.empty()
        decode_avro(TRADES, columns, values)
    finally:
        avro.topic_rows = original
    shown = found[-1].set_column(12, "f12", found[-1]["f12"].cast(pa.int32())).to_pylist()
    assert shown == rows


_HOSTILE = st.one_of(
    st.binary(max_size=40),
    st.builds(
        lambda row, cut, extra: _framed(_schema(*_FIELDS), row)[5:][:cut] + extra,
        st.builds(lambda s, p: _ROW | {"symbol": s, "price": p}, st.text(max_size=5), st.floats()),
        st.integers(0, 60),
        st.binary(max_size=3),
    ),
)


@settings(max_examples=300)
@given(bodies=st.lists(_HOSTILE, min_size=1, max_size=8))
def test_any_bytes_are_what_fastavro_reads_or_dead_letters_however_they_are_cut(
    bodies: list[bytes],
) -> None:
    schema = _schema(*_FIELDS)
    flow = _flow(_told(schema))
    values = [b"\x00\x00\x00\x00\x07" + body for body in bodies]
    good, dead = _take(flow, values)
    alone = [_take(flow, [value]) for value in values]
    assert good == [row for rows, _ in alone for row in rows]
    assert [letter["reason"] for letter in dead] == [
        one["reason"] for _, some in alone for one in some
    ]
    for body, (rows, letters) in zip(bodies, alone, strict=True):
        assert len(rows) + len(letters) == 1
        if rows:
            sink = io.BytesIO(body)
            read = fastavro.schemaless_reader(sink, _plain(schema))
            assert sink.tell() == len(body)
            assert (read["symbol"], read["price"], read["size"], read["venue"]) == (
                rows[0]["symbol"], rows[0]["price"], rows[0]["size"], rows[0]["venue"],
            )  # fmt: skip
            assert read["ts_event"] * 1000 == rows[0]["ts_event"]


def test_identifiers_of_odd_records() -> None:
    values = pa.array(
        [b"", b"\x00", b"\x00\x00\x00\x01\x00", b"\x01\x00\x00\x00\x01", b"\x00\xff\xff\xff\xffx"]
    )
    assert schema_ids(values).tolist() == [-1, -1, 256, -1, 2**32 - 1]
    assert schema_ids(pa.array([b"", b"\x00"], pa.binary())).tolist() == [-1, -1]
