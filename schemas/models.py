"""A pydantic model a topic, for the API: the same names, types, bounds, values and defaults.

Rules between fields and the skew of clocks are left to `schemas.validation`, which every row passes.
"""

from decimal import Decimal
from functools import cache
from typing import Annotated, Any, Literal

import pyarrow as pa
from pydantic import (
    Base64Bytes,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    WithJsonSchema,
    create_model,
)
from pydantic import Field as ModelField

from schemas.field import (
    BOOL,
    BYTES,
    CATEGORY,
    DECIMAL,
    FLOAT,
    INT32,
    INT64,
    RECEIVE_TIME,
    TEXT,
    TIMESTAMP,
    UINT64,
    Field,
)
from schemas.topic import Topic

_RANGES = {INT32: (-(2**31), 2**31 - 1), INT64: (-(2**63), 2**63 - 1), UINT64: (0, 2**64 - 1)}


class Row(BaseModel):
    """A row of a topic: immutable, and nothing but the declared fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@cache
def model(topic: Topic) -> type[Row]:
    """The model of a topic's rows.

    Parameters
    ----------
    topic : Topic
        Its fields become the model's, times as whole ns since 1970 UTC (RFC 3339 text is read too).
        `RECEIVE_TIME` may be left out: the platform sets it.

    Returns
    -------
    type of Row
        Named after the topic, such as ``BookEvents``.
    """
    name = "".join(part.capitalize() for part in topic.name.split("_"))
    fields: dict[str, Any] = {
        field.name: _member(field, key=field.name == topic.key) for field in topic.fields
    }
    return create_model(name, __base__=Row, __doc__=topic.meaning, **fields)


def _member(field: Field, *, key: bool) -> tuple[Any, Any]:
    kind = _kind(field)
    optional = field.nullable or field.name == RECEIVE_TIME
    if field.default is not None:
        default: Any = field.default
    else:
        default = None if optional else ...
    described = field.meaning if field.unit == "none" else f"{field.meaning} Unit: {field.unit}."
    return kind | None if optional else kind, ModelField(
        default, description=described, min_length=1 if key else None
    )


def _kind(field: Field) -> Any:
    if field.allowed:
        return Literal[field.allowed]
    if field.type == TIMESTAMP:
        return _TIME
    if field.type in (FLOAT, INT32, INT64, UINT64, DECIMAL):
        return _number(field)
    plain = {TEXT: str, CATEGORY: str, BOOL: bool}
    if field.type in plain:
        return Annotated[plain[field.type], ModelField(strict=True)]
    if field.type == BYTES:
        return Base64Bytes
    raise TypeError(f"field {field.name!r}: no model type is known for {field.type}")


def _number(field: Field) -> Any:
    bounds: dict[str, Any] = {"gt": field.above, "ge": field.minimum, "le": field.maximum}
    if field.type == DECIMAL:
        return Annotated[Decimal, ModelField(max_digits=38, decimal_places=10, **bounds)]
    if field.type == FLOAT:
        return Annotated[float, ModelField(strict=True, allow_inf_nan=False, **bounds)]
    low, high = _RANGES[field.type]
    bounds["ge"] = low if field.minimum is None else max(low, int(field.minimum))
    bounds["le"] = high if field.maximum is None else min(high, int(field.maximum))
    return Annotated[int, ModelField(strict=True, **bounds)]


def _time_ns(value: object) -> int:
    """Whole ns since 1970 UTC of what stands for a time; pydantic's own times end at microseconds."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("an RFC 3339 time with offset, or whole ns since 1970 UTC, is needed")  # noqa: TRY004 - pydantic reports a ValueError, not a TypeError
    try:
        times = pa.array([value], TEXT if isinstance(value, str) else INT64).cast(TIMESTAMP)
    except (pa.ArrowException, OverflowError) as error:
        raise ValueError(f"no time of at most 9 decimals with an offset: {error}") from error
    return int(times.cast(INT64)[0].as_py())


_TIME = Annotated[
    int,
    BeforeValidator(_time_ns),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer"}]}),
]
