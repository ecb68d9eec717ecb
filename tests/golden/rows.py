"""Three telling rows of each topic: full, as many nulls as may be, and odd values. Never changed."""

from decimal import Decimal
from typing import Any

import pyarrow as pa

from schemas.field import (
    BOOL,
    BYTES,
    CATEGORY,
    DECIMAL,
    FLOAT,
    INT32,
    INT64,
    TEXT,
    TIMESTAMP,
    UINT64,
)
from schemas.registry import TOPICS
from schemas.topic import Topic

_START_NS = 1_126_013_400_000_000_000  # 2005-09-06T13:30:00Z

_FULL = {
    TIMESTAMP: _START_NS + 123_456_789,
    FLOAT: 61.07,
    BOOL: True,
    INT32: 7,
    INT64: 1_234_567_890_123,
    UINT64: 18_446_744_073_709_551_615,
    TEXT: "T-1",
    BYTES: b'{"price": -1}',
    CATEGORY: "AIG",
    DECIMAL: Decimal("1234567.0000000089"),
}
_ODD = {
    TIMESTAMP: _START_NS + 1,
    FLOAT: 1e-9,
    BOOL: False,
    INT32: 2_147_483_647,
    INT64: 0,
    UINT64: 0,
    TEXT: "",
    BYTES: b"\x00\xff",
    CATEGORY: "Zürich ☃",
    DECIMAL: Decimal("0.0000000001"),
}


def golden_rows(topic: Topic) -> list[dict[str, Any]]:
    """The rows as Python values; times as ns since 1970 UTC."""
    full = {field.name: _value(field, _FULL, 0) for field in topic.fields}
    odd = {field.name: _value(field, _ODD, -1) for field in topic.fields}
    sparse = {field.name: None if field.nullable else full[field.name] for field in topic.fields}
    if topic.name == "book_events":
        full["action"] = "add"
        sparse |= {"action": "halt", "state": "halted"}
    if topic.name == "trades":
        odd["size"] = -0.0
        sparse["action"] = "new"
    if topic.name == "orders":
        sparse["command"] = odd["command"]
        odd |= {"order_class": "simple", "order_type": "market", "time_in_force": "day"}
    if topic.name == "corporate_actions":
        # A row without any of its terms would be refused.
        sparse |= {"action": "dividend", "amount": full["amount"]}
    return [full, sparse, odd]


def golden_batch(topic: Topic) -> pa.RecordBatch:
    """The rows as a batch."""
    rows = golden_rows(topic)
    return topic.batch({field.name: [row[field.name] for row in rows] for field in topic.fields})


def _value(field: Any, values: dict[Any, Any], choice: int) -> Any:
    if field.allowed:
        return field.allowed[choice]
    value = values[field.type]
    if field.type == DECIMAL:
        return _within(field, value)
    low = field.minimum if field.type in (INT32, INT64, UINT64) else None
    return value if low is None else max(value, int(low))


def _within(field: Any, value: Decimal) -> Decimal:
    low = value if field.minimum is None else max(value, Decimal(str(field.minimum)))
    return low if field.maximum is None else min(low, Decimal(str(field.maximum)))


ALL = list(TOPICS.values())
