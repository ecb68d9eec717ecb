"""Hypothesis strategies that make rows and batches of a topic, valid ones and broken ones.

For tests only: hypothesis is no dependency of the platform.
"""

from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

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
    Field,
)
from schemas.topic import Topic

Row = dict[str, Any]

# 1990 to 2050, the range of `schemas.sessions`.
_TIMES_NS = st.integers(631_152_000_000_000_000, 2_524_607_999_999_999_999)
_WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8
) | st.sampled_from(["AIG", "BAC", "IBM", "SPY"])
_SMALLEST = Decimal("1e-10")
_LARGEST = Decimal("9999999999999999999999999999.9999999999")
_USUAL = Decimal(10**9)
_RANGES = {INT32: (-(2**31), 2**31 - 1), INT64: (-(2**63), 2**63 - 1), UINT64: (0, 2**64 - 1)}


def rows(topic: Topic) -> st.SearchStrategy[Row]:
    """Valid rows as Python values by field name; times as ns since 1970 UTC."""
    return st.fixed_dictionaries({field.name: values(field) for field in topic.fields}).map(
        lambda row: _ruled(topic, row)
    )


def batches(topic: Topic, *, max_rows: int = 20) -> st.SearchStrategy[pa.RecordBatch]:
    """Valid batches, empty ones and slices of longer ones among them."""

    def sliced(drawn: tuple[list[Row], int]) -> pa.RecordBatch:
        some, start = drawn
        return topic.batch_of_rows(some).slice(min(start, len(some)))

    return st.tuples(st.lists(rows(topic), max_size=max_rows), st.integers(0, 3)).map(sliced)


def broken_rows(topic: Topic) -> st.SearchStrategy[tuple[Row, str]]:
    """Rows with one fault, and the name of the field that has it."""
    broken = []
    for field in topic.fields:
        faulty = _faulty(field)
        if faulty is not None:
            name = st.just(field.name)
            broken.append(st.builds(_with_fault, rows(topic), name, faulty))
    return st.one_of(broken)


def _with_fault(row: Row, name: str, value: Any) -> tuple[Row, str]:
    return {**row, name: value}, name


def values(field: Field) -> st.SearchStrategy[Any]:
    """Values that a field may hold, null among them where it may be null."""
    valid = _valid(field)
    return st.none() | valid if field.nullable else valid


def _valid(field: Field) -> st.SearchStrategy[Any]:
    if field.allowed:
        return st.sampled_from(field.allowed)
    if field.type == FLOAT:
        lowest = field.above if field.above is not None else field.minimum
        return st.floats(
            min_value=lowest,
            max_value=field.maximum,
            exclude_min=field.above is not None,
            allow_nan=False,
            allow_infinity=False,
        )
    if field.type == DECIMAL:
        return _decimals(field)
    if field.type in _RANGES:
        low, high = _RANGES[field.type]
        low = low if field.minimum is None else max(low, int(field.minimum))
        high = high if field.maximum is None else min(high, int(field.maximum))
        return st.integers(low, high)
    plain: dict[pa.DataType, st.SearchStrategy[Any]] = {
        TIMESTAMP: _TIMES_NS,
        BOOL: st.booleans(),
        TEXT: st.text(max_size=12),
        CATEGORY: _WORDS,
        BYTES: st.binary(max_size=20),
    }
    return plain[field.type]


def _decimals(field: Field) -> st.SearchStrategy[Any]:
    """Exact numbers as money and quantities are, and now and then the largest that the type holds."""
    least = _LARGEST.copy_negate()
    if field.above is not None:
        least = Decimal(str(field.above)) + _SMALLEST
    elif field.minimum is not None:
        least = Decimal(str(field.minimum))
    most = _LARGEST if field.maximum is None else Decimal(str(field.maximum))
    usual = st.decimals(
        min_value=max(least, -_USUAL), max_value=min(most, _USUAL), places=10, allow_nan=False
    )
    return usual | st.sampled_from((least, most))


def _faulty(field: Field) -> st.SearchStrategy[Any] | None:
    faults: list[st.SearchStrategy[Any]] = []
    if not field.nullable:
        faults.append(st.none())
    if field.allowed:
        faults.append(_WORDS.filter(lambda word: word not in field.allowed))
    if field.type == FLOAT:
        faults.append(st.sampled_from([float("nan"), float("inf"), float("-inf")]))
    if field.type == DECIMAL:
        faults += _decimal_faults(field)
    elif field.above is not None:
        faults.append(st.floats(max_value=field.above, allow_nan=False))
    if field.minimum is not None and field.type == FLOAT:
        faults.append(st.floats(max_value=field.minimum, exclude_max=True, allow_nan=False))
    if field.minimum is not None and field.type in (INT32, INT64):
        faults.append(st.integers(_RANGES[field.type][0], int(field.minimum) - 1))
    return st.one_of(faults) if faults else None


def _decimal_faults(field: Field) -> list[st.SearchStrategy[Any]]:
    below = []
    if field.above is not None:
        below.append(Decimal(str(field.above)))
    if field.minimum is not None:
        below.append(Decimal(str(field.minimum)) - _SMALLEST)
    beyond = [] if field.maximum is None else [Decimal(str(field.maximum)) + _SMALLEST]
    return [st.just(value) for value in (*below, *beyond)]


def _ruled(topic: Topic, row: Row) -> Row:
    """The row, with what the topic's rules want where it is null."""
    fixed = dict(row)
    for rule in topic.rules:
        missing = [name for name in rule.needs if fixed[name] is None]
        if row[rule.field] in rule.values and (len(missing) == len(rule.needs) or not rule.any_of):
            for name in missing:
                field = topic.field(name)
                numbers = {FLOAT: 1.0, TIMESTAMP: 0, TEXT: "1", CATEGORY: "1", DECIMAL: Decimal(1)}
                fixed[name] = field.allowed[0] if field.allowed else numbers[field.type]
    return fixed
