"""A batch of one row is what it is as the first of two, which Arrow converts."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import one_row
from schemas.codec import decode, encode
from schemas.orders import ORDER_EVENTS, ORDERS
from schemas.registry import TOPICS
from schemas.strategies import rows
from schemas.topic import Topic


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_a_row_is_the_same_alone_and_beside_another(topic: Topic, data: st.DataObject) -> None:
    row = data.draw(rows(topic))
    found = topic.batch_of_rows([row])
    found.validate(full=True)
    assert found.equals(topic.batch_of_rows([row, row]).slice(0, 1))
    assert decode(encode(found), topic.schema).equals(found)


def test_words_are_each_their_own_however_many_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_row, "_WORDS_MAX", 3)
    maker = one_row.OneRow(ORDER_EVENTS.schema)
    for number in [*range(10), *range(10)]:
        row: dict[str, Any] = {"symbol": f"S{number}", "account": "S1", "ts_event": number}
        assert maker.batch(row).equals(ORDER_EVENTS.batch_of_rows([row, row]).slice(0, 1))


@pytest.mark.parametrize("value", [5, b"\xff", ["new"], 1.5], ids=repr)
def test_what_is_no_word_is_arrows_to_take_or_refuse(value: object) -> None:
    row = {"account": "A", "command": value, "ts_event": 1}
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        ORDERS.batch_of_rows([row])
