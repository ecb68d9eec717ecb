"""Intake: every foreign record becomes rows or dead letters, none is lost, none raises."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest

from connectors.records import RECORD_BYTES, record_pieces
from flows.catalog import catalog
from flows.flow import INBOX_SCHEMA, Emit, InputRows, Params, Rows, Watermarks
from flows.intake import Intake
from flows.snapshot import SnapshotError
from schemas.codec import encode
from schemas.faults import DEAD_LETTER
from schemas.registry import TOPICS
from schemas.topic import Topic
from schemas.validation import validate

TRADES = TOPICS["trades"]
NOW_NS = 2_600_000_000_000_000_000  # 2052, beyond every time that the strategies make.

_GOOD: dict[str, Any] = {
    "symbol": "AIG",
    "venue": "N",
    "ts_event": "2024-05-01T12:00:00.123456789Z",
    "price": 61.5,
    "size": 100,
}


def _value(**changed: Any) -> bytes:
    return orjson.dumps(_GOOD | changed)


def _run(
    values: Sequence[bytes | None],
    *,
    topic: Topic = TRADES,
    content_type: str | None = None,
    append_times: Sequence[int] | None = None,
    first_offset: int = 100,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the topic and dead letters that records give."""
    flow = Intake(Params(), None)
    count = len(values)
    times = [NOW_NS + at for at in range(count)] if append_times is None else append_times
    batch = pa.RecordBatch.from_pydict(
        {"value": values, "append_time": times, "content_type": [content_type] * count},
        schema=INBOX_SCHEMA,
    )
    given = InputRows(
        batch=batch,
        partition=3,
        offset=np.arange(first_offset, first_offset + count),
        row=np.zeros(count, dtype=np.int32),
    )
    names = [source.name for source in flow.inputs]
    inputs = tuple(given if name == topic.inbox_name else None for name in names)
    found: dict[str, list[dict[str, Any]]] = {topic.name: [], DEAD_LETTER.name: []}
    for emit in flow.on_rows(Rows(inputs=inputs)):
        assert isinstance(emit, Emit)
        assert emit.batch.num_rows
        assert emit.batch.schema.equals(emit.topic.schema)
        emit.batch.validate(full=True)
        assert len(validate(emit.topic, emit.batch).rejected) == 0
        found[emit.topic.name] += _rows(emit.batch)
    return found[topic.name], found[DEAD_LETTER.name]


def _rows(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """Python rows, times as ns (datetime ends at microseconds)."""
    plain = [
        column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column
        for column in batch.columns
    ]
    return list(pa.RecordBatch.from_arrays(plain, names=batch.schema.names).to_pylist())


def _stream(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def test_it_reads_every_inbox_and_writes_the_topics_and_dead_letters() -> None:
    names = ["quotes", "trades", "book_events", "vendor_bars", "instruments"]
    names += ["cash_movements", "corporate_actions", "orders"]
    inputs = [source.name for source in Intake.inputs]
    assert inputs == ["foreign_schemas", *(f"{name}.in" for name in names)]
    assert [topic.name for topic in Intake.outputs] == [*names, "dead_letter"]
    assert catalog()["intake"] is Intake


def test_a_minimal_trade_gets_its_defaults_an_exact_time_and_its_append_time() -> None:
    good, dead = _run([_value()])
    assert dead == []
    assert good == [
        dict.fromkeys(TRADES.schema.names)
        | _GOOD
        | {
            "ts_event": 1_714_564_800_123_456_789,
            "ts_recv": NOW_NS,
            "updates_high_low": True,
            "updates_last": True,
            "updates_volume": True,
            "action": "new",
        }
    ]


@pytest.mark.parametrize(
    "time",
    [
        1_714_564_800_123_456_789,
        "2024-05-01T12:00:00.123456789Z",
        "2024-05-01T14:00:00.123456789+02:00",
        "2024-05-01T06:30:00.123456789-05:30",
    ],
)
def test_times_are_read_to_the_nanosecond_in_any_form_even_mixed(time: object) -> None:
    others = [_value(), _value(ts_event=1_714_564_800_000_000_000, ts_ref="2024-05-01T12:00:00Z")]
    good, dead = _run([*others, _value(ts_event=time)])
    assert dead == []
    assert [row["ts_event"] for row in good] == [
        1_714_564_800_123_456_789,
        1_714_564_800_000_000_000,
        1_714_564_800_123_456_789,
    ]


def test_arrays_lines_objects_and_arrow_of_many_symbols_keep_the_order_of_the_inbox() -> None:
    lines = b"\n".join(_value(symbol=f"L{at}") for at in range(3)) + b"\n"
    array = b"[" + b",".join(_value(symbol=f"A{at}") for at in range(2)) + b"]"
    arrow = encode(TRADES.batch({**_columns(2), "symbol": ["R0", "R1"]}))
    pretty = json.dumps(_GOOD | {"symbol": "P"}, indent=2).encode()
    values = [_value(symbol="O0"), arrow, lines, array, b"  " + _value(symbol="O1"), pretty]
    good, dead = _run(values)
    assert dead == []
    assert [row["symbol"] for row in good] == [
        *("O0", "R0", "R1", "L0", "L1", "L2", "A0", "A1", "O1", "P")
    ]
    records = [0, 1, 1, 2, 2, 2, 3, 3, 4, 5]
    assert [row["ts_recv"] for row in good] == [NOW_NS + record for record in records]


def _columns(count: int) -> dict[str, Any]:
    return {
        "symbol": ["AIG"] * count,
        "venue": ["N"] * count,
        "ts_event": [1_714_564_800_000_000_000] * count,
        "ts_recv": [7] * count,
        "price": [61.5] * count,
        "size": [100.0] * count,
        "updates_high_low": [True] * count,
        "updates_last": [True] * count,
        "updates_volume": [True] * count,
        "action": ["new"] * count,
    }


@pytest.mark.parametrize(
    ("value", "row", "reason"),
    [
        (None, None, "the record has no value"),
        (b"", None, "the record holds no row"),
        (b" \n", None, "the record holds no row"),
        (b"[]", None, "the record holds no row"),
        (b"{", None, "not JSON: Expecting property name"),
        (b"\xfe", None, "not JSON: no UTF-8 at byte 0"),
        (b'{"symbol": "\xff"}', None, "not JSON: no UTF-8 at byte 12"),
        (b"nonsense", None, "not JSON: Expecting value"),
        (b"[" * 100_000, None, "nested too deep"),
        (b'{"symbol":' * 100_000, None, "nested too deep"),
        (b"null", 0, "a JSON object was needed, not null"),
        (b"5", 0, "a JSON object was needed, not 5"),
        (b"{}", 0, "symbol must be given, not null"),
        (_value() + _value(), None, "not JSON: Extra data"),
        (_value() + b"}{" + _value(), None, "not JSON: Extra data"),
        (_value() + b'}{"r":' + _value(), None, "not JSON: Extra data"),
        (_value(price="x") + b"\n", 0, 'price must be a number, not "x"'),
        (b"[" + _value(price="x") + b"]", 0, 'price must be a number, not "x"'),
        (b"[null]", 0, "a JSON object was needed, not null"),
        (_value() + b'},"r":{}', None, "not JSON: Extra data"),
        (_value(bogus=1), 0, "unknown field 'bogus'; trades has symbol, venue"),
        (b'{"symbol":"A","symbol":"B"}', 0, "field 'symbol' is given twice"),
        (_value(symbol=5), 0, "symbol must be a string, not 5"),
        (_value(price="61.5"), 0, 'price must be a number, not "61.5"'),
        (_value(price=True), 0, "price must be a number, not true"),
        (_value(updates_last=1), 0, "updates_last must be true or false, not 1"),
        (_value(price=None), 0, "price must be given, not null"),
        (_value(price=-1), 0, "price must be above 0, not -1.0"),
        (_value().replace(b"61.5", b"NaN"), None, "not JSON: NaN is no JSON number"),
        (_value().replace(b"61.5", b"Inf"), None, "not JSON: Expecting value"),
        (_value().replace(b"61.5", b"1e999"), 0, "price must be a number that a double can hold"),
        (_value(ts_event="2024-05-01T12:00:00"), 0, "ts_event must be an RFC 3339 time with"),
        (_value(ts_event="yesterday"), 0, "ts_event must be an RFC 3339 time with"),
        (_value(ts_event="2024-05-01T12:00:00.1234567891Z"), 0, "and at most 9 decimals"),
        (_value(ts_event=1.5), 0, "ts_event must be an RFC 3339 time with"),
        (_value(ts_event=2**63), 0, "ts_event must be an RFC 3339 time with"),
        (_value(ts_event=True), 0, "ts_event must be an RFC 3339 time with"),
        (_value(symbol={"a": 1}), 0, 'symbol must be a string, not {"a": 1}'),
        (_value().replace(b'"AIG"', b'"\\ud800"'), 0, "symbol must be a string"),
        (_value(ts_event=NOW_NS * 2), 0, "at most 5 minutes ahead of the append"),
        (b"\x00\x00\x00\x00\x01avro", None, "Avro needs a schema registry"),
        (b"Obj\x01avro", None, "an Avro file; write its records one by one"),
        (b"\x00\x00\x01", None, "Avro without the identifier of its schema"),
        (b"\xff\xff\xff\xff", None, "not a sound Arrow IPC stream"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7fxxxx", None, "not a sound Arrow IPC stream"),
    ],
)
def test_a_bad_record_is_one_dead_letter_with_position_reason_and_bytes_and_the_rest_is_taken(
    value: bytes | None, row: int | None, reason: str
) -> None:
    good, dead = _run([_value(symbol="B"), value, _value(symbol="C")])
    assert [each["symbol"] for each in good] == ["B", "C"]
    (letter,) = dead
    assert reason in letter.pop("reason")
    assert letter == {
        "source_topic": "trades.in",
        "ts_event": NOW_NS + 1,
        "source_partition": 3,
        "source_offset": 101,
        "source_row": row,
        "payload": value,
    }


@pytest.mark.parametrize("joint", [b"\n", b","])
def test_only_the_bad_row_of_a_record_is_rejected_and_shown_as_json(joint: bytes) -> None:
    some = [_value(symbol=f"S{at}") for at in range(5)]
    some[1] = _value(price="x")
    some[3] = _value(price=-2)
    value = joint.join(some)
    good, dead = _run([b"[" + value + b"]" if joint == b"," else value])
    assert [row["symbol"] for row in good] == ["S0", "S2", "S4"]
    assert [(letter["source_row"], letter["reason"]) for letter in dead] == [
        (1, 'price must be a number, not "x"'),
        (3, "price must be above 0, not -2.0"),
    ]
    payloads = [orjson.loads(letter["payload"]) for letter in dead]
    assert [payload["price"] for payload in payloads] == ["x", -2.0]


def test_a_broken_line_among_lines_is_rejected_alone() -> None:
    good, dead = _run([_value(symbol="A") + b'\n{"symbol":\n' + _value(symbol="B")])
    assert [row["symbol"] for row in good] == ["A", "B"]
    good, dead = _run([_value(symbol="A") + b"\ngarbage\n" + _value(symbol="B")])
    assert [row["symbol"] for row in good] == ["A", "B"]
    assert [(letter["source_row"], letter["payload"]) for letter in dead] == [(1, b"garbage")]


def test_two_halves_of_an_object_in_two_records_are_two_dead_letters() -> None:
    text = _value()
    for cut in range(1, len(text)):
        good, dead = _run([text[:cut], text[cut:], _value(symbol="B")])
        assert [row["symbol"] for row in good] == ["B"]
        assert [letter["source_offset"] for letter in dead] == [100, 101]


def test_arrow_of_other_widths_units_and_orders_is_taken_and_ts_recv_overwritten() -> None:
    stream = _stream(
        pa.RecordBatch.from_pydict(
            {
                "size": pa.array([5], pa.int32()),
                "price": pa.array([2.5], pa.float32()),
                "venue": pa.array(["N"], pa.large_string()),
                "symbol": pa.array(["AIG"])
                .dictionary_encode()
                .cast(pa.dictionary(pa.int8(), pa.string())),
                "ts_event": pa.array([1_714_564_800_000], pa.timestamp("ms", "Europe/Paris")),
                "ts_recv": pa.array([1], pa.timestamp("ns", "UTC")),
                "side": pa.nulls(1),
            }
        )
    )
    for content_type in (None, "application/vnd.apache.arrow.stream"):
        good, dead = _run([stream], content_type=content_type)
        assert dead == []
        assert [
            (r["price"], r["size"], r["ts_event"], r["ts_recv"], r["action"]) for r in good
        ] == [(2.5, 5.0, 1_714_564_800_000_000_000, NOW_NS, "new")]


@pytest.mark.parametrize(
    ("name", "column", "reason"),
    [
        ("bogus", pa.array([1]), "columns ['bogus'] where trades has"),
        ("ts_event", pa.array([1], pa.timestamp("ns")), "'ts_event' must be timestamp"),
        ("price", pa.array(["61.5"]), "column 'price' must be double, not string"),
        ("symbol", pa.array([5]), "column 'symbol' must be string, not int64"),
        ("symbol", pa.nulls(1), "symbol must be given, not null"),
        ("ts_event", pa.array([2**62], pa.timestamp("s", "UTC")), "must be timestamp[ns, tz=UTC]:"),
    ],
)
def test_arrow_with_a_wrong_column_is_a_dead_letter(
    name: str, column: pa.Array, reason: str
) -> None:
    columns = {key: pa.array(values) for key, values in _columns(1).items()}
    columns["ts_event"] = columns["ts_event"].cast(pa.timestamp("ns", "UTC"))
    columns["ts_recv"] = columns["ts_event"]
    stream = _stream(pa.RecordBatch.from_pydict(columns | {name: column}))
    good, dead = _run([stream])
    assert good == []
    assert reason in dead[0]["reason"]
    assert dead[0]["payload"] == stream


def test_a_stream_with_an_offset_that_points_astray_is_a_dead_letter() -> None:
    batch = TRADES.batch(_columns(2))
    at = TRADES.schema.get_field_index("symbol")
    astray = pa.DictionaryArray.from_arrays(
        pa.array([0, 7], pa.int32()), pa.array(["A"]), safe=False
    )
    _, dead = _run([_stream(batch.set_column(at, TRADES.schema.field(at), astray))])
    assert "not a sound Arrow IPC stream" in dead[0]["reason"]


def test_empty_arrow_and_avro_by_content_type_are_dead_letters() -> None:
    _, dead = _run([encode(TRADES.empty())])
    assert [letter["reason"] for letter in dead] == ["the record holds no row"]
    _, dead = _run([b"Hxyz"], content_type="application/avro")
    assert "Avro without the identifier of its schema" in dead[0]["reason"]


def test_the_skew_is_measured_from_each_record_s_own_append() -> None:
    event = 1_714_564_800_123_456_789
    good, dead = _run(
        [_value(symbol="A"), _value(symbol="B")],
        append_times=[event - 300_000_000_001, event - 300_000_000_000],
    )
    assert [row["symbol"] for row in good] == ["B"]
    assert dead[0]["source_offset"] == 100


def test_its_snapshot_says_what_it_is_and_nothing_else() -> None:
    taken = Intake(Params(), None).snapshot()
    assert Intake(Params(), taken).snapshot() == taken
    with pytest.raises(SnapshotError):
        Intake(Params(), b"other")
    passed = Watermarks(keys=["A"], times=np.array([5]), input=0)
    assert Intake(Params(), taken).on_watermark(passed) == []


def test_what_no_record_of_a_log_could_hold_is_told_without_its_bytes() -> None:
    """A packed record may be far larger than the log's bound; intake could never have committed it."""
    large = 33 << 20
    values = [
        b"\xfe" * large,
        _value(),
        b"[" + _value(trade_id="x" * large) + b"," + _value(symbol="B") + b"]",
        b"\xfe" * 1_000_000,
        orjson.dumps({"n" * 5_000: 1}),
    ]
    good, dead = _run(values)
    assert [row["symbol"] for row in good] == ["AIG", "B"]
    assert [
        (one["source_offset"], one["source_row"], len(one["payload"] or b"")) for one in dead
    ] == [
        (100, None, 0),
        (102, 0, 0),
        (103, None, 1_000_000),
        (104, 0, 5_006),
    ]
    assert f"its {large} bytes are in the inbox alone" in dead[0]["reason"]
    assert f"at most {32 << 20} are taken" in dead[1]["reason"]
    assert max(len(one["reason"]) for one in dead) < 600


def test_records_of_rows_are_cut_by_bytes_too() -> None:
    rows = DEAD_LETTER.batch(
        {
            "source_topic": ["a"] * 5,
            "ts_event": pa.array([0] * 5, pa.int64()),
            "source_partition": [0] * 5,
            "source_offset": list(range(5)),
            "source_row": [None] * 5,
            "reason": ["x"] * 5,
            "payload": [b"y" * size for size in (10, RECORD_BYTES, 10, 10, RECORD_BYTES)],
        }
    )
    pieces = list(record_pieces(rows))
    assert [piece.num_rows for piece in pieces] == [1, 1, 1, 1, 1]
    assert [row for piece in pieces for row in piece.to_pylist()] == rows.to_pylist()
    assert [piece.num_rows for piece in record_pieces(rows.slice(2, 2))] == [2]
