"""JSON to rows and back: nothing is bent, nothing is lost, and many small texts are read at once."""

from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.field import CATEGORY, DECIMAL, TEXT, TIMESTAMP, Field
from schemas.json_codec import decode_json, encode_lines
from schemas.registry import TOPICS
from schemas.strategies import batches
from schemas.topic import Kind, Landing, Partition, Topic
from tests.golden.rows import ALL

TRADES = TOPICS["trades"]
_MONEY = Topic(
    name="money",
    version=1,
    kind=Kind.RAW,
    meaning="An amount.",
    fields=(
        Field(name="account", type=CATEGORY, unit="none", nullable=False, meaning="Whose."),
        Field(name="ts_event", type=TIMESTAMP, unit="ns", nullable=False, meaning="When."),
        Field(name="amount", type=DECIMAL, unit="USD", nullable=True, meaning="How much."),
    ),
    key="account",
    event_time="ts_event",
    identity=(),
    landing=Landing(order_by=("account", "ts_event"), partition_by=Partition.DAY),
)


def _trade(at: int = 0, **changed: Any) -> bytes:
    row = {"symbol": f"S{at}", "venue": "N", "ts_event": at, "price": 1.5, "size": 2}
    return orjson.dumps(row | changed)


def _plain(batch: pa.RecordBatch) -> pa.Table:
    """Rows with dictionaries decoded: equal rows may have other dictionaries."""
    columns = [c.cast(TEXT) if pa.types.is_dictionary(c.type) else c for c in batch.columns]
    return pa.Table.from_arrays(columns, names=batch.schema.names)


@given(data=st.data(), topic=st.sampled_from([*ALL, _MONEY]))
def test_rows_come_back_from_their_lines_as_one_record_and_as_a_record_each(
    data: st.DataObject, topic: Topic
) -> None:
    batch = data.draw(batches(topic))
    lines = encode_lines(topic, batch)
    each = lines.splitlines()
    assert len(each) == batch.num_rows
    for records in ([lines] if each else [], each):
        decoded = decode_json(topic, pa.array(records, pa.binary()))
        assert decoded.faults == []
        assert _plain(decoded.batch).equals(_plain(batch))


def test_a_line_is_plain_json_with_rfc_3339_times() -> None:
    batch = decode_json(TRADES, pa.array([_trade(1, ts_ref=1_714_564_800_123_456_789)])).batch
    (line,) = encode_lines(TRADES, batch).splitlines()
    row = orjson.loads(line)
    assert list(row) == TRADES.schema.names
    assert row["ts_event"] == "1970-01-01T00:00:00.000000001Z"
    assert row["ts_ref"] == "2024-05-01T12:00:00.123456789Z"
    assert row["ts_recv"] is None


@pytest.mark.parametrize(
    "amount", ["0.0000000000", "-0.0000000001", "0.0000001500", "12.0000000000", None]
)
def test_a_decimal_is_written_with_its_point_however_small_it_is(amount: str | None) -> None:
    value = None if amount is None else Decimal(amount)
    columns = {"account": ["A", "B"], "ts_event": [1, 2], "amount": [value, Decimal("7.5")]}
    first, second = encode_lines(_MONEY, _MONEY.batch(columns)).splitlines()
    assert orjson.loads(first)["amount"] == amount
    assert orjson.loads(second)["amount"] == "7.5000000000"


def test_a_decimal_is_a_string_to_the_last_digit() -> None:
    text = b'{"account":"A","ts_event":1,"amount":"1234567890123456789.0123456789"}'
    decoded = decode_json(_MONEY, pa.array([text]))
    assert decoded.batch.column("amount").to_pylist() == [Decimal("1234567890123456789.0123456789")]
    (line,) = encode_lines(_MONEY, decoded.batch).splitlines()
    assert orjson.loads(line)["amount"] == "1234567890123456789.0123456789"
    for wrong in (b"1.5", b'"1.50000000001"', b'"x"', b'"1e40"'):
        changed = text.replace(b'"1234567890123456789.0123456789"', wrong)
        decoded = decode_json(_MONEY, pa.array([text, changed]))
        assert [fault.record for fault in decoded.faults] == [1]
        assert "amount must be a string that holds a decimal128" in decoded.faults[0].reason


def test_one_mistake_among_thousands_is_found_and_the_order_is_kept() -> None:
    texts = [_trade(at) for at in range(3000)]
    texts[1234] = _trade(1234, price="x")
    texts[2345] = _trade(2345, ts_event="1970-01-01T00:00:00.000002345Z")
    decoded = decode_json(TRADES, pa.array(texts))
    assert [(f.record, f.row, f.payload) for f in decoded.faults] == [(1234, 0, texts[1234])]
    wanted = [at for at in range(3000) if at != 1234]
    assert decoded.record.tolist() == wanted
    assert decoded.batch.column("ts_event").cast(pa.int64()).to_pylist() == wanted
    assert decoded.batch.column("symbol").to_pylist() == [f"S{at}" for at in wanted]


def test_a_field_that_only_later_texts_have_is_read_too() -> None:
    decoded = decode_json(TRADES, pa.array([_trade(0), _trade(1, side="buy"), _trade(2)]))
    assert decoded.faults == []
    assert decoded.batch.column("side").to_pylist() == [None, "buy", None]


@pytest.mark.parametrize("start", [0, 1, 5])
def test_a_slice_of_records_is_read_as_itself(start: int) -> None:
    records = pa.array([b"[]", _trade(1), b"[" + _trade(2) + b"]", _trade(3) + b"\n" + _trade(4)])
    decoded = decode_json(TRADES, records.slice(start))
    symbols = ["S1", "S2", "S3", "S4"] if start < 4 else []
    assert decoded.batch.column("symbol").to_pylist() == symbols
    assert len(decoded.faults) == (start == 0)


def test_whole_numbers_keep_all_64_bits() -> None:
    topic = TOPICS["book_events"]
    row = {"symbol": "A", "venue": "N", "ts_event": 2**63 - 1, "action": "add"}
    texts = [orjson.dumps(row | {"order_id": value}) for value in (2**64 - 1, 2**53 + 1, 0)]
    decoded = decode_json(topic, pa.array(texts))
    assert decoded.batch.column("order_id").to_pylist() == [2**64 - 1, 2**53 + 1, 0]
    assert decoded.batch.column("ts_event").cast(pa.int64()).to_pylist() == [2**63 - 1] * 3
    for wrong in (b"18446744073709551616", b"-1", b"1.0", b'"1"', b"true"):
        text = texts[0].replace(b"18446744073709551615", wrong)
        (fault,) = decode_json(topic, pa.array([text])).faults
        assert fault.reason.startswith("order_id must be a whole number that fits uint64, not ")
