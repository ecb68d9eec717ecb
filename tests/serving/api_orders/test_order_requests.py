"""Bodies of orders: exact decimals, faults by their place, and nothing that a body can do."""

import contextlib
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.field import DECIMAL
from serving.gateway.order_rows import rows_of_columns
from serving.gateway.requests import (
    ORDERS_MAX,
    REQUESTED,
    RequestFaultError,
    order_model,
    read_many,
    read_one,
    replacement_model,
)
from tests.serving.ordering import order

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
EXACT = st.decimals(
    min_value=Decimal("0.0000000001"), max_value=Decimal(10) ** 27, places=10, allow_nan=False
)


def body(*orders: Any) -> bytes:
    return json.dumps(orders[0] if len(orders) == 1 else orders).encode()


@given(EXACT, EXACT)
def test_a_decimal_is_exact_as_a_string_and_as_a_number(quantity: Decimal, price: Decimal) -> None:
    text = body(order("a")).replace(b'"100"', f'"{quantity}"'.encode())
    text = text.replace(b'"150.25"', str(price).encode())
    single = read_one(text, order_model())
    assert (single["quantity"], single["limit_price"]) == (quantity, price)
    columns = read_many(b"[" + text + b"]").columns
    assert columns["quantity"][0].as_py() == quantity
    assert columns["limit_price"][0].as_py() == price


@pytest.mark.parametrize(
    "given_",
    ["1.12345678901", '"1.12345678901"', '"NaN"', '"Infinity"', "1e999999999", '"1e999999999"',
     "10000000000000000000000000001", '"1_000"', "true", '"x"', "[]", '""', "NaN", "1e-11"],
)  # fmt: skip
def test_what_is_no_decimal_of_38_digits_is_a_fault_of_its_field(given_: str) -> None:
    text = body(order("a")).replace(b'"100"', given_.encode())
    with pytest.raises(RequestFaultError) as fault:
        read_one(text, order_model())
    assert not fault.value.faults or fault.value.faults[0][0] == "quantity"
    try:
        read = read_many(b"[" + body(order("fine")) + b"," + text + b"]")
    except RequestFaultError as whole:
        assert "JSON" in str(whole)  # noqa: PT017 - either way is right, each in its words
    else:
        assert list(read.faults) == [1]
        assert "quantity" in read.faults[1]
        assert read.rows == [0]


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"unknown": 1}, "unknown"),
        ({"order_id": "mine"}, "order_id"),
        ({"user": "somebody"}, "user"),
        ({"client_order_id": ""}, "client_order_id"),
        ({"client_order_id": "x" * 129}, "client_order_id"),
        ({"symbol": "A\x00B"}, "symbol"),
        ({"account": "\ud800"}, "account"),
        ({"strategy": "a\nb"}, "strategy"),
        ({"side": "hold"}, "side"),
        ({"ts_expire": "2024-01-01T00:00:00"}, "ts_expire"),
        ({"algorithm_params": "x" * 4097}, "algorithm_params"),
    ],
)
def test_a_fault_names_its_field_alone_and_in_a_batch(fields: dict[str, Any], at: str) -> None:
    with pytest.raises(RequestFaultError) as fault:
        read_one(body(order(**{"client_order_id": "a", **fields})), order_model())
    assert [name for name, _ in fault.value.faults] == [at]
    read = read_many(body(order("fine"), order(**{"client_order_id": "a", **fields})))
    checked = rows_of_columns(read.columns, user="u", correlation_id="c")
    words = [read.rows[row] for row in checked.rejected.tolist()]
    assert [*read.faults, *words] == [1]
    assert next(iter([*read.faults.values(), *checked.reasons])).startswith(at)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b"\xff",
        b'{"a":1,"a":1}',
        b'[{"a":NaN}]',
        b"1" * 5000,
        b"null",
        b'"x"',
        b"[]",
    ],
)
def test_what_is_no_order_at_all_is_said_so(text: bytes) -> None:
    with pytest.raises(RequestFaultError):
        read_one(text, order_model())
    with pytest.raises(RequestFaultError):
        read_many(text)


def test_a_batch_has_a_largest_size() -> None:
    orders = [order(str(number)) for number in range(ORDERS_MAX + 1)]
    assert len(read_many(body(*orders[:-1])).rows) == ORDERS_MAX
    with pytest.raises(RequestFaultError, match="10,000"):
        read_many(body(*orders))


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=60), JSON.map(lambda value: json.dumps(value).encode())))
def test_no_body_does_anything_but_be_refused_or_read(text: bytes) -> None:
    for read in (
        lambda: read_one(text, order_model()),
        lambda: read_one(text, replacement_model()),
    ):
        with contextlib.suppress(RequestFaultError):
            read()
    try:
        found = read_many(text)
    except RequestFaultError:
        return
    assert sorted([*found.rows, *found.faults]) == list(range(len(found.rows) + len(found.faults)))


def test_parameters_of_an_algorithm_may_be_an_object_which_is_one_text_in_any_order() -> None:
    """A client that writes JSON need not quote JSON within it, and a retry with its members turned is the same."""
    given_: dict[str, Any] = {"slices": 6, "duration_seconds": 0.5, "style": "cröss"}
    text = '{"duration_seconds":0.5,"slices":6,"style":"cröss"}'
    turned = {name: given_[name] for name in sorted(given_)}
    assert list(turned) != list(given_)
    asked = [order(name, algorithm="twap", algorithm_params=params)
             for name, params in (("a", given_), ("b", turned), ("c", text))]  # fmt: skip
    assert [read_one(body(one), order_model())["algorithm_params"] for one in asked] == [text] * 3
    assert read_many(body(*asked)).columns["algorithm_params"].to_pylist() == [text] * 3


@pytest.mark.parametrize(
    "params", ['{"rate": 1e400}', '{"rate": NaN}', '{"a": 1, "a": 2}', "[1]", "7", '{"a": "\\u0085"}',
               '{"a": "%s"}' % ("x" * 4096)],
)  # fmt: skip
def test_parameters_that_no_text_of_the_topic_holds_are_refused(params: str) -> None:
    text = body(order("a")).replace(
        b'"time_in_force"', b'"algorithm_params": %b, "time_in_force"' % params.encode()
    )
    with pytest.raises(RequestFaultError):
        read_one(text, order_model())


FIELD_VALUES: dict[str, st.SearchStrategy[Any]] = {
    field.name: st.none()
    | (EXACT.map(str) if field.type == DECIMAL else st.sampled_from(field.allowed or ("x", "é")))
    for field in REQUESTED
    if not field.name.startswith("ts_")
}
PARAMETERS: st.SearchStrategy[Any] = st.dictionaries(
    st.text(max_size=5), st.integers() | st.booleans() | st.text(max_size=8), max_size=3
)
FIELD_VALUES["algorithm_params"] = FIELD_VALUES["algorithm_params"] | PARAMETERS


@settings(max_examples=60)
@given(st.lists(st.fixed_dictionaries({}, optional=FIELD_VALUES), min_size=1, max_size=5))
def test_a_batch_is_read_as_its_orders_one_by_one_are(orders: list[dict[str, Any]]) -> None:
    """Column-wise and row by row must say the same: what one refuses is refused by the other, or by the rules."""
    read = read_many(json.dumps(orders).encode())
    checked = rows_of_columns(read.columns, user="u", correlation_id="c")
    rejected = {read.rows[at] for at in checked.rejected.tolist()}
    for number, asked in enumerate(orders):
        try:
            single = read_one(json.dumps(asked).encode(), order_model())
        except RequestFaultError:
            assert number in read.faults or number in rejected
            continue
        assert number not in read.faults
        at = read.rows.index(number)
        assert {name: column[at].as_py() for name, column in read.columns.items()} == {
            name: single.get(name) for name in read.columns
        }
