"""A batch of one row is made another way than one of many: the bytes are the same."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from flows.orders import rows
from flows.orders.money import LARGEST
from flows.orders.rows import batch_of, column_of
from schemas.codec import encode
from schemas.execution import ROUTING_DECISIONS
from schemas.field import BOOL, CATEGORY, DECIMAL, FLOAT, INT64, TEXT, TIMESTAMP, Field
from schemas.orders import EXECUTIONS, INSTRUCTIONS, ORDER_EVENTS, ORDER_REPORTS
from schemas.topic import Topic

_VALUES: dict[pa.DataType, tuple[Any, ...]] = {
    CATEGORY: ("buy", "", "Ærø"),
    TEXT: ("a reason", "", "Ærø"),
    DECIMAL: (0, -1, 10**10, LARGEST, -LARGEST),
    INT64: (0, 1, 2**63 - 1),
    TIMESTAMP: (0, 1_381_152_600_000_000_000, -1),
    FLOAT: (0.1, -0.0),
    BOOL: (True, False),
}


@pytest.mark.parametrize(
    "topic", [ORDER_EVENTS, INSTRUCTIONS, EXECUTIONS, ORDER_REPORTS, ROUTING_DECISIONS]
)
def test_one_row_has_the_bytes_of_many(topic: Topic) -> None:
    rng = np.random.default_rng(3)
    for _ in range(30):
        row = tuple(_value(field, rng) for field in topic.fields)
        columns = [
            column_of(field, (value,)) for field, value in zip(topic.fields, row, strict=True)
        ]
        expected = pa.RecordBatch.from_arrays(columns, schema=topic.schema)
        made = batch_of(topic, [row])
        made.validate(full=True)
        assert encode(made) == encode(expected)


def test_a_number_that_no_decimal_holds_is_refused_in_a_row_of_its_own() -> None:
    row: list[Any] = [None] * len(ORDER_REPORTS.fields)
    at = [field.name for field in ORDER_REPORTS.fields].index("quantity")
    row[at] = LARGEST + 1
    with pytest.raises(OverflowError, match="more than decimal"):
        batch_of(ORDER_REPORTS, [tuple(row)])


def test_another_topic_of_a_name_has_its_own_columns() -> None:
    """Tests, and logs of earlier versions, have topics of one name with other fields."""
    known = len(rows._columns_of_one(ORDER_EVENTS))
    renamed = replace(ORDER_REPORTS, name=ORDER_EVENTS.name)
    assert len(rows._columns_of_one(renamed)) == len(ORDER_REPORTS.fields) != known
    assert len(rows._columns_of_one(ORDER_EVENTS)) == known


def _value(field: Field, rng: np.random.Generator) -> Any:
    if field.nullable and rng.random() < 0.5:
        return None
    values = _VALUES[field.type]
    return values[int(rng.integers(len(values)))]
