"""Records decoded together: each holds what it holds when it is decoded alone, and a bad one is named."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.log import Record
from connectors.records import decode_each, decode_rows, rows_record
from schemas.codec import CodecError, encode
from schemas.market import QUOTES, TRADES
from schemas.orders import ORDERS
from schemas.strategies import batches
from schemas.topic import Topic


def _record(topic: Topic, offset: int, batch: pa.RecordBatch, value: bytes | None = None) -> Record:
    made = rows_record(topic, 0, batch)
    return Record(topic.name, 0, offset, 0, None, made.headers, value or made.value)


def _order(number: int) -> pa.RecordBatch:
    # Words differ from record to record, and some are null.
    row = {
        "account": f"A{number % 3}",
        "symbol": [None, "S", f"S{number}"][number % 3],
        "user": "u",
    }
    return ORDERS.batch_of_rows([{**row, "order_id": str(number), "ts_event": number}])


@pytest.mark.parametrize("topic", [ORDERS, QUOTES], ids=lambda topic: topic.name)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_records_hold_what_each_holds_alone(topic: Topic, data: st.DataObject) -> None:
    made = data.draw(st.lists(batches(topic, max_rows=5), max_size=6))
    records = [_record(topic, offset, batch) for offset, batch in enumerate(made)]
    found = list(decode_each(topic, records))
    assert len(found) == len(records)
    for batch, record in zip(found, records, strict=True):
        batch.validate(full=True)
        assert batch.equals(decode_rows(topic, record))


def test_large_and_compressed_records_are_taken_among_small_ones() -> None:
    sizes = [1, 1_000, 1, 3_000, 1, 2_000, 1, 1, 30_000]
    records = [
        _record(ORDERS, offset, pa.concat_batches([_order(offset)] * size))
        for offset, size in enumerate(sizes)
    ]
    # Compressed within a run of small ones, and alone.
    assert [len(records[at].value or b"") > 32_768 for at in (1, 3)] == [False, True]
    assert len(records[1].value or b"") > 16_384
    for batch, record in zip(list(decode_each(ORDERS, records)), records, strict=True):
        assert batch.equals(decode_rows(ORDERS, record))


def test_rows_before_a_bad_record_come_first() -> None:
    records = [_record(ORDERS, number, _order(number)) for number in range(3)]
    records[2] = _record(TRADES, 2, TRADES.empty())
    found = decode_each(ORDERS, records)
    assert [next(found).num_rows, next(found).num_rows] == [1, 1]
    with pytest.raises(CodecError, match=r"at offset 2: rows of orders"):
        next(found)


def _messages(value: bytes) -> list[bytes]:
    """The messages of an Arrow stream as they lie in it, its end among them."""
    found, reader = [], pa.BufferReader(value)
    while reader.tell() < len(value):
        begin = reader.tell()
        try:
            pa.ipc.read_message(reader)
        except EOFError:
            reader.seek(len(value))
        found.append(value[begin : reader.tell()])
    return found


def test_a_record_without_its_words_does_not_get_those_of_the_record_before() -> None:
    records = [_record(ORDERS, number, _order(number)) for number in range(2)]
    schema, _, *rest = _messages(records[1].value or b"")
    records[1] = _record(ORDERS, 1, _order(1), b"".join((schema, *rest)))
    with pytest.raises(CodecError, match=r"at offset 1: .*dictionaries"):
        list(decode_each(ORDERS, records))


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("harm", ["cut", "empty", "other schema", "bytes"])
def test_a_bad_record_is_named(harm: str, at: int) -> None:
    records = [_record(ORDERS, 70 + number, _order(number)) for number in range(4)]
    value = records[at].value or b""
    bad = {
        "cut": value[: len(value) // 2],
        "empty": b"\xff\xff\xff\xff\0\0\0\0",
        "other schema": encode(TRADES.empty()),
        "bytes": b"{}",
    }[harm]
    records[at] = _record(ORDERS, 70 + at, _order(at), bad)
    with pytest.raises(CodecError, match=rf"orders\[0\] at offset {70 + at}: "):
        list(decode_each(ORDERS, records))


def test_rows_are_never_taken_for_those_of_the_record_beside() -> None:
    """A stream of none and one of two batches together have as many as two streams ought to have."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, ORDERS.schema):
        pass
    none = sink.getvalue().to_pybytes()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, ORDERS.schema) as writer:
        writer.write_batch(_order(1))
        writer.write_batch(_order(2))
    two = sink.getvalue().to_pybytes()
    records = [
        _record(ORDERS, 0, ORDERS.empty(), none),
        _record(ORDERS, 1, pa.concat_batches([_order(1), _order(2)]), two),
    ]
    assert [batch.num_rows for batch in list(decode_each(ORDERS, records))] == [0, 2]
