"""A writer's Avro schema as columns: which kind of value each field has, and the Arrow type it becomes.

Only flat records: what is a row of a topic has no lists in it. A schema that has is refused with the reason,
and so is each of its records.
"""

from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa

from flows.kernels import avro

_KINDS = {
    "null": (avro.NULL, pa.null()),
    "boolean": (avro.BOOLEAN, pa.bool_()),
    "int": (avro.INT, pa.int32()),
    "long": (avro.LONG, pa.int64()),
    "float": (avro.FLOAT, pa.float32()),
    "double": (avro.DOUBLE, pa.float64()),
    "bytes": (avro.BYTES, pa.binary()),
    "string": (avro.BYTES, pa.string()),
    "enum": (avro.ENUM, pa.string()),
    "fixed": (avro.FIXED, pa.binary()),
}
# Local times have no zone: they become plain ones, which no field of ours takes.
_LOGICAL = {
    ("long", "timestamp-millis"): pa.timestamp("ms", "UTC"),
    ("long", "timestamp-micros"): pa.timestamp("us", "UTC"),
    ("long", "timestamp-nanos"): pa.timestamp("ns", "UTC"),
    ("long", "local-timestamp-millis"): pa.timestamp("ms"),
    ("long", "local-timestamp-micros"): pa.timestamp("us"),
    ("long", "local-timestamp-nanos"): pa.timestamp("ns"),
    ("int", "date"): pa.date32(),
}
# No record is as large, and no sum of a place and a size overflows.
_FIXED_MAX = 1 << 30
# Names are in the reason of each dead letter.
_NAME_MAX = 256
_DECIMAL_BYTES = 16
_DECIMAL_DIGITS = 38


class AvroSchemaError(ValueError):
    """A schema whose records cannot be rows; the message says which field, and what it is."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One field.

    Parameters
    ----------
    name : str
        The field's.
    kind : int
        As `flows.kernels.avro` names it.
    type : pyarrow.DataType
        What its values become.
    null_branch : int
        Which branch of its union is null; -1 where it is none.
    size : int
        Bytes of a fixed; symbols of an enum.
    symbols : tuple of str
        Of an enum.
    """

    name: str
    kind: int
    type: pa.DataType
    null_branch: int = -1
    size: int = 0
    symbols: tuple[str, ...] = ()


def columns_of(text: str) -> tuple[Column, ...]:
    """The columns of a schema in JSON.

    Raises
    ------
    AvroSchemaError
        Where it is no schema, or one of anything but flat records.
    """
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise AvroSchemaError(f"the schema is not JSON: {error}") from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise AvroSchemaError("the schema is of no record")
    fields = schema.get("fields")
    # A record without fields would be a row of nothing.
    if not isinstance(fields, list) or not fields or not all(map(_is_named, fields)):
        raise AvroSchemaError("the schema has no fields")
    names = [one["name"] for one in fields]
    if len(set(names)) < len(names):
        raise AvroSchemaError("the schema has a field twice")
    named: dict[str, Any] = {}
    return tuple(
        _column(one["name"], one.get("type"), named, str(schema.get("namespace", "")))
        for one in fields
    )


def _is_named(field: Any) -> bool:
    return (
        isinstance(field, dict)
        and isinstance(field.get("name"), str)
        and 0 < len(field["name"]) <= _NAME_MAX
    )


def _column(name: str, declared: Any, named: dict[str, Any], space: str) -> Column:
    null_branch = -1
    # {"type": {"type": "long", …}}, as some writers nest it; not by recursion, for it may be deep.
    while isinstance(declared, dict) and isinstance(declared.get("type"), dict):
        declared = declared["type"]
    if isinstance(declared, list):
        others = [one for one in declared if one != "null"]
        if len(others) != 1 or len(declared) != 2:
            raise AvroSchemaError(
                f"field {name!r} is a union of {len(declared)}; a type alone or with null was needed"
            )
        null_branch = declared.index("null")
        declared = others[0]
    if isinstance(declared, str) and declared in named:
        declared = named[declared]
    if isinstance(declared, str):
        declared = {"type": declared}
    if not isinstance(declared, dict):
        raise AvroSchemaError(f"field {name!r} has no type")
    kind = declared.get("type")
    if isinstance(kind, dict):
        raise AvroSchemaError(f"field {name!r} nests a type in a union's branch")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise AvroSchemaError(
            f"field {name!r} is of type {_shown(kind)}; a single value was needed"
        )
    if kind in ("enum", "fixed"):
        _remember(declared, named, space)
    code, arrow = _KINDS[kind]
    symbols = _symbols(name, declared) if kind == "enum" else ()
    size = len(symbols) if kind == "enum" else _size(name, declared) if kind == "fixed" else 0
    return Column(
        name=name,
        kind=code,
        type=_logical(kind, declared, arrow, size),
        null_branch=null_branch,
        size=size,
        symbols=symbols,
    )


def _remember(declared: dict[str, Any], named: dict[str, Any], space: str) -> None:
    name = str(declared.get("name", ""))
    own = str(declared.get("namespace", space))
    named[name] = named[f"{own}.{name}" if own else name] = declared


def _symbols(name: str, declared: dict[str, Any]) -> tuple[str, ...]:
    symbols = declared.get("symbols")
    if not isinstance(symbols, list) or not all(isinstance(one, str) for one in symbols):
        raise AvroSchemaError(f"field {name!r} is an enum without symbols")
    return tuple(symbols)


def _size(name: str, declared: dict[str, Any]) -> int:
    size = declared.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _FIXED_MAX:
        raise AvroSchemaError(f"field {name!r} is a fixed without a size of 0 to {_FIXED_MAX}")
    return size


def _logical(kind: str, declared: dict[str, Any], arrow: pa.DataType, size: int) -> pa.DataType:
    """The type that the logical type says; the plain one where there is none that is known (as Avro asks)."""
    logical = declared.get("logicalType")
    if logical == "decimal" and kind in ("bytes", "fixed"):
        precision: Any = declared.get("precision")
        scale: Any = declared.get("scale", 0)
        sound = isinstance(precision, int) and isinstance(scale, int)
        if sound and 0 <= scale <= precision and 0 < precision <= _DECIMAL_DIGITS:
            return pa.decimal128(precision, scale) if size <= _DECIMAL_BYTES else arrow
        return arrow
    return _LOGICAL.get((kind, str(logical)), arrow)


def _shown(kind: Any) -> str:
    return repr(kind[:_NAME_MAX]) if isinstance(kind, str) else "a nested one"
