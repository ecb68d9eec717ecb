"""What validation lets through, what it rejects, and the words it gives."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from schemas.field import CATEGORY, DECIMAL, INT64, TEXT, TIMESTAMP, Field
from schemas.registry import TOPICS
from schemas.topic import Kind, Landing, Partition, Topic
from schemas.validation import MAX_SKEW_NS, Validated, validate
from tests.golden.rows import ALL, golden_batch, golden_rows

TRADES = TOPICS["trades"]
BOOK_EVENTS = TOPICS["book_events"]


def _batch(topic: Topic, *rows: dict[str, Any]) -> pa.RecordBatch:
    columns = {field.name: [row[field.name] for row in rows] for field in topic.fields}
    return topic.batch(
        {
            name: pa.array(values, TEXT) if topic.field(name).type == CATEGORY else values
            for name, values in columns.items()
        }
    )


def _trade(**changed: Any) -> dict[str, Any]:
    return golden_rows(TRADES)[0] | {"action": "new"} | changed


def _outcome(topic: Topic, *rows: dict[str, Any], latest_ns: Any = None) -> Validated:
    return validate(topic, _batch(topic, *rows), latest_ns)


@pytest.mark.parametrize("topic", ALL, ids=lambda topic: topic.name)
def test_good_rows_come_back_as_the_very_batch_that_was_given(topic: Topic) -> None:
    batch = golden_batch(topic)
    outcome = validate(topic, batch)
    assert outcome.good is batch
    assert len(outcome.rejected) == 0
    assert outcome.reasons == []


@pytest.mark.parametrize("topic", ALL, ids=lambda topic: topic.name)
def test_an_empty_batch_is_good(topic: Topic) -> None:
    assert validate(topic, topic.empty(), 0).good.num_rows == 0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"price": 0.0}, "price must be above 0, not 0.0"),
        ({"price": -1.5}, "price must be above 0, not -1.5"),
        ({"price": float("nan")}, "price must be a finite number, not nan"),
        ({"price": float("inf")}, "price must be a finite number, not inf"),
        ({"price": float("-inf")}, "price must be a finite number, not -inf"),
        ({"size": -1.0}, "size must be 0 or more, not -1.0"),
        ({"price": None}, "price must be given, not null"),
        ({"symbol": None}, "symbol must be given, not null"),
        ({"symbol": ""}, "symbol must not be empty, not ''"),
        ({"ts_event": None}, "ts_event must be given, not null"),
        ({"updates_last": None}, "updates_last must be given, not null"),
        ({"side": "short"}, "side must be one of buy, sell, not 'short'"),
        ({"action": "bust"}, "action must be one of new, correct, cancel, not 'bust'"),
        (
            {"action": "cancel", "ref_trade_id": None, "ts_ref": None},
            "ref_trade_id or ts_ref must be given where action is 'cancel'",
        ),
        (
            {"ts_ref": -(2**62)},
            "ts_ref must be 1900 or later, not 1823-11-12 00:06:21.572612096+00:00",
        ),
        (
            {"price": -1.0, "side": "x" * 200},
            f"price must be above 0, not -1.0; side must be one of buy, sell, not '{'x' * 79}…",
        ),
    ],
)
def test_a_bad_trade_is_rejected_with_its_reason_and_the_others_stay(
    changed: dict[str, Any], reason: str
) -> None:
    good = _trade()
    outcome = _outcome(TRADES, good, _trade(**changed), good)
    assert outcome.reasons == [reason]
    assert outcome.rejected.tolist() == [1]
    assert outcome.good.to_pylist() == _batch(TRADES, good, good).to_pylist()
    assert outcome.good.schema.equals(TRADES.schema)


def test_a_cancellation_that_names_its_trade_in_one_way_is_good() -> None:
    by_id = _trade(action="cancel", ts_ref=None)
    by_time = _trade(action="correct", ref_trade_id=None)
    assert len(_outcome(TRADES, by_id, by_time).rejected) == 0


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"action": "halt", "state": None}, "state must be given where action is 'halt'"),
        ({"price": None}, "side, price, size must be given where action is 'add'"),
        (
            {"action": "hidden_execute", "size": None},
            "price, size must be given where action is 'hidden_execute'",
        ),
    ],
)
def test_a_book_event_must_have_what_its_action_needs(changed: dict[str, Any], reason: str) -> None:
    row = golden_rows(BOOK_EVENTS)[0]
    halt = golden_rows(BOOK_EVENTS)[1]
    outcome = _outcome(BOOK_EVENTS, halt, row | changed)
    assert (outcome.rejected.tolist(), outcome.reasons) == ([1], [reason])


def test_words_of_a_dictionary_that_no_row_uses_are_not_held_against_it() -> None:
    batch = _batch(TRADES, _trade())
    at = batch.schema.get_field_index("side")
    words = pa.array(["short", None, "buy"])
    for code, rejected in ((2, 0), (1, 0), (None, 0), (0, 1)):
        side = pa.DictionaryArray.from_arrays(pa.array([code], pa.int32()), words)
        outcome = validate(TRADES, batch.set_column(at, TRADES.schema.field(at), side))
        assert len(outcome.rejected) == rejected


def test_a_code_that_points_to_a_null_is_a_null() -> None:
    batch = _batch(TRADES, _trade(), _trade())
    at = batch.schema.get_field_index("symbol")
    symbol = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array([None, "A"]))
    outcome = validate(TRADES, batch.set_column(at, TRADES.schema.field(at), symbol))
    assert outcome.reasons == ["symbol must be given, not null"]
    assert outcome.rejected.tolist() == [0]


def test_an_event_may_be_ahead_of_its_append_by_the_skew_and_not_a_nanosecond_more() -> None:
    now = _trade()["ts_event"]
    ahead = _trade(ts_event=now + MAX_SKEW_NS + 1)
    edge = _trade(ts_event=now + MAX_SKEW_NS)
    outcome = _outcome(TRADES, edge, ahead, latest_ns=now)
    assert outcome.rejected.tolist() == [1]
    assert outcome.reasons == [
        (
            "ts_event must be at most 5 minutes ahead of the append, "
            "not 2005-09-06 13:35:00.123456790+00:00"
        )
    ]
    each = np.array([now - 1, now + 1])
    assert _outcome(TRADES, edge, ahead, latest_ns=each).rejected.tolist() == [0]
    assert len(_outcome(TRADES, edge, ahead).rejected) == 0


def test_nulls_hide_whatever_lies_under_them() -> None:
    quotes = TOPICS["quotes"]
    batch = golden_batch(quotes)
    at = batch.schema.get_field_index("bid")
    bid = pa.array([-1.0, float("nan"), 1.0], mask=np.array([True, True, False]))
    assert len(validate(quotes, batch.set_column(at, "bid", bid)).rejected) == 0


def test_a_slice_is_judged_by_its_own_rows_only() -> None:
    bad, good = _trade(price=-1.0, side="x", updates_last=None), _trade()
    batch = _batch(TRADES, bad, good, good, bad)
    assert len(validate(TRADES, batch.slice(1, 2)).rejected) == 0
    assert validate(TRADES, batch.slice(2)).rejected.tolist() == [1]


def test_bounds_of_integers_decimals_and_maxima_hold() -> None:
    def number(name: str, kind: pa.DataType, **bounds: float) -> Field:
        return Field(name=name, type=kind, unit="x", nullable=True, meaning="x", **bounds)

    topic = Topic(
        name="numbers",
        version=1,
        kind=Kind.RAW,
        meaning="Numbers.",
        fields=(
            Field(name="key", type=TEXT, unit="none", nullable=False, meaning="x"),
            Field(name="ts_event", type=TIMESTAMP, unit="ns", nullable=False, meaning="x"),
            number("count", INT64, minimum=1, maximum=10),
            number("money", DECIMAL, above=0, maximum=2),
        ),
        key="key",
        event_time="ts_event",
        identity=(),
        landing=Landing(order_by=("key", "ts_event"), partition_by=Partition.DAY),
    )
    rows = [
        {"key": "a", "ts_event": 0, "count": count, "money": money}
        for count, money in (
            (1, Decimal("0.0000000001")),
            (10, Decimal(2)),
            (None, None),
            (0, None),
            (11, Decimal(0)),
            (2**62, Decimal("2.0000000001")),
        )
    ]
    assert _outcome(topic, *rows).reasons == [
        "count must be 1 or more, not 0",
        "count must be 10 or less, not 11; money must be above 0, not Decimal('0E-10')",
        (
            "count must be 10 or less, not 4611686018427387904; "
            "money must be at most 2, not Decimal('2.0000000001')"
        ),
    ]


def test_another_schema_is_the_callers_error() -> None:
    with pytest.raises(ValueError, match="rows of trades/1 were needed"):
        validate(TRADES, golden_batch(BOOK_EVENTS))
