"""Whatever bytes others write: the same rows and letters however they are cut, and never an error."""

from typing import Any

import orjson
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from flows.intake import Intake
from schemas.codec import encode
from schemas.strategies import batches, broken_rows, rows
from schemas.topic import Topic
from tests.flows.test_intake import NOW_NS, TRADES, _rows, _run, _value

_PIECES = st.lists(
    st.sampled_from(
        [
            *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"\n", b" ", b"\\", b"5", b"-0", b"1e5"),
            *(
                b"null",
                b"true",
                b"NaN",
                b'"r"',
                b'"symbol"',
                b'"price"',
                b'{"r":',
                b"\xff",
                b"\x00",
            ),
            *(
                _value(),
                _value(price="x"),
                _value(price=-1),
                _value(ts_event=5),
                b"\xff\xff\xff\xff",
                b"\x00\x00\x00\x00\x01",
            ),
        ]
    ),
    max_size=8,
).map(b"".join)


_RECORDS = st.lists(
    st.none()
    | st.binary(max_size=12)
    | _PIECES
    | st.sampled_from(
        [
            _value(),
            _value(ts_event=5),
            _value(symbol=5),
            _value(price=-1),
            b"[" + _value() + b"," + _value(price=-1) + b"]",
            _value() + b"\n" + _value(bogus=1),
        ]
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=150)
@given(values=_RECORDS)
@example(values=[_value(price=1), _value().replace(b"61.5", b"-0")])
def test_any_bytes_give_the_same_rows_and_letters_however_they_are_cut(
    values: list[bytes | None],
) -> None:
    """Also: nothing raises, and every record gives a row or a dead letter."""
    good, dead = _run(values)
    alone = [
        _run([value], append_times=[NOW_NS + at], first_offset=100 + at)
        for at, value in enumerate(values)
    ]
    assert good == [row for some, _ in alone for row in some]
    assert dead == [letter for _, some in alone for letter in some]
    assert all(some or letters for some, letters in alone)


@given(
    data=st.data(),
    topic=st.sampled_from([source.topic for source in Intake.inputs if source.inbox]),
)
def test_valid_rows_arrive_unchanged_as_arrow_and_as_json_and_broken_ones_do_not(
    data: st.DataObject, topic: Topic
) -> None:
    batch = data.draw(batches(topic))
    broken, name = data.draw(broken_rows(topic).filter(lambda drawn: drawn[1] != "ts_recv"))
    assume(broken[name] is not None or topic.field(name).default is None)
    wanted = [row | {"ts_recv": NOW_NS} for row in _rows(batch)]
    if wanted:
        for value in (encode(batch), orjson.dumps(_rows(batch), default=str)):
            good, dead = _run([value], topic=topic)
            assert dead == []
            assert good == wanted
    good, dead = _run([encode(topic.batch_of_rows([broken]))], topic=topic)
    assert good == []
    assert name in dead[0]["reason"]


@settings(max_examples=200)
@given(row=rows(TRADES), at=st.integers(0, 2000), byte=st.integers(0, 255))
def test_a_stream_with_any_byte_changed_never_raises(
    row: dict[str, Any], at: int, byte: int
) -> None:
    stream = bytearray(encode(TRADES.batch_of_rows([row])))
    stream[at % len(stream)] = byte
    good, dead = _run([bytes(stream)])
    assert good or dead
