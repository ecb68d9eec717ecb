"""The API's models say what validation says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.field import BYTES
from schemas.models import model
from schemas.registry import TOPICS
from schemas.strategies import broken_rows, rows
from schemas.topic import Topic
from schemas.validation import validate
from tests.golden.rows import ALL

_MINIMAL = {
    "symbol": "AIG",
    "venue": "N",
    "ts_event": "2024-05-01T14:00:00.123456789+02:00",
    "price": 61,
    "size": 100.5,
}


def _from_api(topic: Topic, row: dict[str, Any]) -> dict[str, Any]:
    """What a client would send: bytes are base64 there, which is pydantic's affair."""
    return {name: v for name, v in row.items() if topic.field(name).type != BYTES}


@given(data=st.data(), topic=st.sampled_from(ALL))
def test_what_validation_takes_the_model_takes_with_the_same_values(
    data: st.DataObject, topic: Topic
) -> None:
    row = data.draw(rows(topic))
    sent = _from_api(topic, row)
    dumped = model(topic)(**sent).model_dump()
    assert {name: dumped[name] for name in sent} == sent


@given(data=st.data(), topic=st.sampled_from(ALL))
def test_a_fault_is_refused_by_model_and_validation_and_both_name_the_field(
    data: st.DataObject, topic: Topic
) -> None:
    row, name = data.draw(broken_rows(topic))
    outcome = validate(topic, topic.batch_of_rows([row]))
    assert outcome.rejected.tolist() == [0]
    assert name in outcome.reasons[0]
    if row[name] is None and name == "ts_recv":
        return  # A client may leave it out; the platform sets it.
    with pytest.raises(ValidationError) as refused:
        model(topic)(**_from_api(topic, row))
    assert {error["loc"][0] for error in refused.value.errors()} == {name}


def test_a_minimal_trade_gets_the_declared_defaults_and_an_exact_time() -> None:
    trade = model(TOPICS["trades"])(**_MINIMAL).model_dump()
    assert trade["ts_event"] == 1_714_564_800_123_456_789
    assert trade["action"] == "new"
    assert trade["updates_last"] is True
    assert trade["side"] is None
    assert trade["ts_recv"] is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("price", "61"),
        ("price", True),
        ("ts_event", "2024-05-01T14:00:00"),
        ("ts_event", 1.5),
        ("ts_event", True),
        ("ts_event", 2**63),
        ("symbol", 5),
        ("symbol", ""),
        ("bogus", 1),
    ],
)
def test_types_are_not_bent_and_unknown_fields_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as refused:
        model(TOPICS["trades"])(**(_MINIMAL | {name: value}))
    assert [error["loc"] for error in refused.value.errors()] == [(name,)]


def test_the_json_schema_has_units_and_meanings() -> None:
    schema = model(TOPICS["book_events"]).model_json_schema()
    assert schema["title"] == "BookEvents"
    assert "Unit: quote currency." in schema["properties"]["price"]["description"]
