"""Whether a row that is still a mapping is good beyond doubt: for doors that take rows one by one.

What is not, may be good still: `schemas.validation` decides, and has the words. Of one row that costs fifty times as
much, for it goes over columns.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from schemas.field import BOOL, CATEGORY, DECIMAL, TEXT, TIMESTAMP, Field
from schemas.topic import Topic
from schemas.validation import EARLIEST_NS

Test = Callable[[Any], bool]


@cache
def row_check(topic: Topic) -> Callable[[Mapping[str, Any]], bool]:
    """A function that says of a row whether `schemas.validation.validate` takes it, if it is sure.

    Parameters
    ----------
    topic : Topic
        What the rows must be. Event times ahead of the clock are not looked at.

    Returns
    -------
    callable
        Of a row that `Topic.batch_of_rows` can read. False where a row is bad or might be.
    """
    needed = tuple(field.name for field in topic.fields if not field.nullable)
    tests = {
        field.name: test
        for field in topic.fields
        if (test := _test(field, key=field.name == topic.key)) is not None
    }
    rules = tuple(
        (rule.field, frozenset(rule.values), rule.needs, any if rule.any_of else all)
        for rule in topic.rules
    )

    def is_good(row: Mapping[str, Any]) -> bool:
        given = {name: value for name, value in row.items() if value is not None}
        for name in needed:
            if name not in given:
                return False
        for name, value in given.items():
            if name in tests and not tests[name](value):
                return False
        for field, words, needs, enough in rules:
            if given.get(field) in words and not enough(name in given for name in needs):
                return False
        return True

    return is_good


def _test(field: Field, *, key: bool) -> Test | None:
    """What a value must pass; None where any will do."""
    if field.type in (CATEGORY, TEXT):
        if field.allowed:
            return frozenset(field.allowed).__contains__
        return bool if key else None
    if field.type == TIMESTAMP:
        return lambda value: type(value) is int and value >= EARLIEST_NS
    if field.type == DECIMAL:
        return _decimal_test(field)
    # A row of other numbers is not taken one by one anywhere: no rule is said twice without need.
    return None if field.type == BOOL else lambda _: False


def _decimal_test(field: Field) -> Test:
    low = Decimal("-Infinity") if field.minimum is None else Decimal(str(field.minimum))
    high = Decimal("Infinity") if field.maximum is None else Decimal(str(field.maximum))
    above = Decimal("-Infinity") if field.above is None else Decimal(str(field.above))
    # What is not finite cannot be compared.
    return lambda value: (
        type(value) is Decimal and value.is_finite() and value > above and low <= value <= high
    )
