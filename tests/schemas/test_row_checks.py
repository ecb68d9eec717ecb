from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.audit_log import AUDIT_LOG
from schemas.field import CATEGORY, DECIMAL, TEXT, TIMESTAMP, Field
from schemas.market import TRADES
from schemas.orders import ORDERS
from schemas.row_checks import row_check
from schemas.topic import Topic
from schemas.validation import validate

ORDER: dict[str, Any] = {
    "account": "desk-1",
    "ts_event": 0,
    "ts_recv": 0,
    "command": "new",
    "order_id": "x",
    "client_order_id": "mine",
    "symbol": "AAPL",
    "side": "buy",
    "quantity": Decimal(100),
    "order_type": "market",
    "time_in_force": "day",
    "order_class": "simple",
    "strategy": "",
    "user": "tim",
}


def _values(field: Field) -> st.SearchStrategy[Any]:
    if field.type == DECIMAL:
        return st.sampled_from([Decimal(0), Decimal(-1), Decimal("0.0000000001"), Decimal(7)])
    if field.type == TIMESTAMP:
        return st.sampled_from([0, 1, -2_208_988_800_000_000_000, -2_208_988_800_000_000_001])
    if field.allowed:
        return st.sampled_from([*field.allowed, "", "nothing"])
    return st.sampled_from(["", "word"])


def _rows(topic: Topic, begin: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Rows that are some fields away from one that is good."""
    one = st.sampled_from(topic.fields).flatmap(
        lambda field: st.tuples(st.just(field.name), st.none() | _values(field))
    )
    return st.lists(one, max_size=4).map(lambda changes: {**begin, **dict(changes)})


@given(_rows(ORDERS, ORDER))
def test_an_order_is_good_exactly_where_validation_takes_it(row: dict[str, Any]) -> None:
    found = validate(ORDERS, ORDERS.batch_of_rows([row]))
    assert row_check(ORDERS)(row) == (not found.reasons)


@pytest.mark.parametrize("rule", ORDERS.rules, ids=lambda rule: f"{rule.field}-{rule.values[0]}")
def test_a_rule_that_is_broken_is_no_good(rule: Any) -> None:
    row = {**ORDER, rule.field: rule.values[0], **dict.fromkeys(rule.needs)}
    assert validate(ORDERS, ORDERS.batch_of_rows([row])).reasons
    assert not row_check(ORDERS)(row)


def test_numbers_that_cannot_be_compared_are_left_to_validation() -> None:
    for value in (Decimal("NaN"), Decimal("Infinity"), 7, "7"):
        assert not row_check(ORDERS)({**ORDER, "quantity": value})


def test_what_it_does_not_know_it_leaves_to_validation() -> None:
    trade = {"symbol": "AAPL", "venue": "N", "ts_event": 0, "ts_recv": 0, "price": 1.0, "size": 1.0}
    assert not row_check(TRADES)(trade)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_rows_become_the_same_batch_as_columns(count: int) -> None:
    rows = [
        {**ORDER, "client_order_id": str(number), "ts_event": number} for number in range(count)
    ]
    columns = {
        field.name: [row.get(field.name) for row in rows]
        for field in ORDERS.fields
        if field.type not in (CATEGORY, TEXT) or field.name in ORDER
    }
    wanted = ORDERS.batch(columns) if rows else ORDERS.empty()
    made = ORDERS.batch_of_rows(rows)
    made.validate(full=True)
    assert made.equals(wanted)


def test_a_field_that_is_missing_is_null_even_where_it_may_not_be() -> None:
    made = AUDIT_LOG.batch_of_rows([{"actor": "tim"}])
    assert made.column("hash").null_count == 1
    assert "hash must be given, not null" in validate(AUDIT_LOG, made).reasons[0]
