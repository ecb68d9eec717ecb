"""JSON values of live messages into field values; a value that does not fit is a ValueError that says so."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

from schemas.field import BOOL, CATEGORY, FLOAT, INT32, INT64, TEXT, TIMESTAMP, UINT64, Field

NS_PER_UNIT = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}

_RANGES = {
    INT32: (-(2**31), 2**31 - 1),
    INT64: (-(2**63), 2**63 - 1),
    UINT64: (0, 2**64 - 1),
}


def converter(field: Field) -> Callable[[Any], Any]:
    """What makes a value of a field out of a JSON value; null stays null.

    Raises
    ------
    ValueError
        From the converter, naming the field, what was needed and what came.
    """
    convert = _CONVERTERS[field.type]

    def checked(value: Any) -> Any:
        if value is None:
            return None
        try:
            return convert(value, field.type)
        except (ValueError, TypeError, ArithmeticError):
            raise ValueError(
                f"{field.name}: a {field.type} was needed, not {str(value)[:80]!r}"
            ) from None

    return checked


def time_ns(value: Any, unit: str) -> int:
    """A time as ns since 1970 UTC: a number of ``unit``s since then, or ISO 8601 where the unit is ``iso``.

    Exact: fractions are not rounded through binary floats.

    Examples
    --------
    >>> time_ns("2021-02-22T15:51:44.208000001Z", "iso")
    1614009104208000001
    >>> time_ns("1614009104.208000001", "s")
    1614009104208000001
    """
    try:
        ns = _iso_ns(value) if unit == "iso" else _count_ns(value, NS_PER_UNIT[unit])
    except (TypeError, ValueError, ArithmeticError):
        needed = "an ISO 8601 time with its zone" if unit == "iso" else f"a time in {unit}"
        raise ValueError(f"{needed} was needed, not {str(value)[:80]!r}") from None
    if not -(2**63) <= ns < 2**63:
        raise ValueError(f"a time that nanoseconds since 1970 can say was needed, not {value!r}")
    return ns


def _count_ns(value: Any, unit_ns: int) -> int:
    if isinstance(value, bool):
        raise TypeError
    if isinstance(value, int):
        return value * unit_ns
    # str() of a float is the shortest text that gives it: what the JSON said.
    return int(Decimal(str(value)) * unit_ns)


def _iso_ns(text: Any) -> int:
    if not isinstance(text, str):
        raise TypeError
    whole, dot, rest = text.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    fraction, zone = (rest[:digits], rest[digits:]) if dot else ("", "")
    moment = datetime.fromisoformat(whole + zone)
    if moment.tzinfo is None:
        raise ValueError
    return int(moment.timestamp()) * NS_PER_UNIT["s"] + int((fraction + "0" * 9)[:9])


def _float(value: Any, kind: pa.DataType) -> float:
    del kind
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _int(value: Any, kind: pa.DataType) -> int:
    if isinstance(value, (bool, float)):
        raise TypeError
    number = int(value)
    low, high = _RANGES[kind]
    if not low <= number <= high:
        raise ValueError
    return number


def _text(value: Any, kind: pa.DataType) -> str:
    del kind
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise TypeError


def _bool(value: Any, kind: pa.DataType) -> bool:
    del kind
    if not isinstance(value, bool):
        raise TypeError
    return value


def _ns(value: Any, kind: pa.DataType) -> int:
    del kind
    return time_ns(value, "ns")


_CONVERTERS: dict[pa.DataType, Callable[[Any, pa.DataType], Any]] = {
    FLOAT: _float,
    INT32: _int,
    INT64: _int,
    UINT64: _int,
    TEXT: _text,
    CATEGORY: _text,
    BOOL: _bool,
    TIMESTAMP: _ns,
}
