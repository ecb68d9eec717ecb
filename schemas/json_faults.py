"""Says why one JSON text is no row of a topic: what was needed, where, and what came.

Only texts that `schemas.json_reader` did not take come here, so it may be slow.
"""

import json
from dataclasses import dataclass
from math import isfinite
from typing import Any

import orjson
import pyarrow as pa

from schemas.field import BOOL, BYTES, CATEGORY, FLOAT, INT64, TEXT, TIMESTAMP, Field
from schemas.json_reader import JsonMismatchError, column_of, wire_type
from schemas.topic import Topic

_SHOWN_CHARACTERS = 60
_NEEDS: dict[pa.DataType, tuple[tuple[type, ...], str]] = {
    TIMESTAMP: (
        (str, int),
        "an RFC 3339 time with offset and at most 9 decimals, or whole ns",
    ),
    BOOL: ((bool,), "true or false"),
    FLOAT: ((int, float), "a number"),
    TEXT: ((str,), "a string"),
    CATEGORY: ((str,), "a string"),
    BYTES: ((str,), "a string of base64"),
}


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A row, or a whole record, that is no row of the topic.

    Parameters
    ----------
    record : int
        Which of the records.
    row : int or None
        Which of its rows; None where the record could not be split into rows.
    reason : str
        What was needed and what came.
    payload : bytes or None
        The record's bytes, or the row's JSON; None where the record has no value.
    """

    record: int
    row: int | None
    reason: str
    payload: bytes | None


class JsonFaultError(ValueError):
    """A text is not JSON, or not the JSON that was needed."""


class _Twice(dict[str, Any]):
    """An object that gives a field twice: to take one of the two would be a guess."""

    field = ""


def parse(text: bytes) -> Any:
    """The JSON value of a text.

    Raises
    ------
    JsonFaultError
        Where it is not JSON.
    """
    try:
        return json.loads(text.decode(), object_pairs_hook=_object, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise JsonFaultError(f"not JSON: no UTF-8 at byte {error.start}") from error
    except RecursionError as error:
        raise JsonFaultError("not JSON that a row could be: nested too deep") from error
    except ValueError as error:
        raise JsonFaultError(f"not JSON: {error}") from error


def normal_row(topic: Topic, value: Any) -> bytes:
    """A row's JSON with all times in ns, where the row is right but for mixing the forms of times.

    Raises
    ------
    JsonFaultError
        Naming every field that is wrong.
    """
    if not isinstance(value, dict):
        raise JsonFaultError(f"a JSON object was needed, not {_shown(value)}")
    if isinstance(value, _Twice):
        raise JsonFaultError(f"field {value.field!r} is given twice")
    known = {field.name: field for field in topic.fields}
    faults = [
        f"unknown field {name!r}; {topic.name} has {', '.join(known)}"
        for name in value
        if name not in known
    ]
    row = {}
    for name, given in value.items():
        if name in known and given is not None:
            try:
                row[name] = _normal(known[name], given)
            except JsonFaultError as fault:
                faults.append(str(fault))
    if faults:
        raise JsonFaultError("; ".join(faults))
    return json.dumps(row).encode()


def row_json(value: Any) -> bytes:
    """A parsed value as JSON again."""
    try:
        return orjson.dumps(value)
    except TypeError:
        # Whole numbers beyond 64 bits and lone surrogates are beyond orjson.
        return json.dumps(value).encode()


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    names = [name for name, _ in pairs]
    twice = _Twice(found)
    twice.field = next(name for name in names if names.count(name) > 1)
    return twice


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _normal(field: Field, given: Any) -> Any:
    kinds, needed = _needs(field)
    # In Python a bool is an int, in JSON it is not.
    if not isinstance(given, kinds) or (isinstance(given, bool) and field.type != BOOL):
        raise JsonFaultError(f"{field.name} must be {needed}, not {_shown(given)}")
    if isinstance(given, float) and not isfinite(given):
        raise JsonFaultError(f"{field.name} must be {needed} that a double can hold")
    wire = wire_type(field, TEXT if isinstance(given, str) else INT64)
    try:
        value = column_of(field, pa.array([given], wire))
    except (pa.ArrowException, JsonMismatchError, OverflowError, UnicodeEncodeError) as error:
        raise JsonFaultError(f"{field.name} must be {needed}, not {_shown(given)}") from error
    return value.cast(INT64)[0].as_py() if field.type == TIMESTAMP else given


def _needs(field: Field) -> tuple[tuple[type, ...], str]:
    if pa.types.is_integer(field.type):
        return (int,), f"a whole number that fits {field.type}"
    if pa.types.is_decimal(field.type):
        return (str,), f"a string that holds a {field.type}"
    return _NEEDS[field.type]


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
