"""A field of a record: its name, Arrow type, unit, nullability, meaning and what it may hold.

Nothing here knows a topic or an engine; `schemas.topic` puts fields together.
"""

from dataclasses import dataclass

import pyarrow as pa

TIMESTAMP = pa.timestamp("ns", tz="UTC")
FLOAT = pa.float64()
BOOL = pa.bool_()
INT32 = pa.int32()
INT64 = pa.int64()
UINT64 = pa.uint64()
TEXT = pa.string()
BYTES = pa.binary()
CATEGORY = pa.dictionary(pa.int32(), pa.string())
DECIMAL = pa.decimal128(38, 10)

RECEIVE_TIME = "ts_recv"
"""The one field that the platform itself sets, at the door; it is no part of a row's digest."""

TYPES: tuple[pa.DataType, ...] = (
    TIMESTAMP,
    FLOAT,
    BOOL,
    INT32,
    INT64,
    UINT64,
    TEXT,
    BYTES,
    CATEGORY,
    DECIMAL,
)


class DeclarationError(TypeError):
    """A declaration of a field or topic that is incomplete or contradicts itself."""


@dataclass(frozen=True, kw_only=True)
class Field:
    """One column of a topic.

    Parameters
    ----------
    name : str
        Lower case with underscores; every time field begins with ``ts_``.
    type : pyarrow.DataType
        One of `TYPES`.
    unit : str
        Physical unit ("USD", "shares", "ns since 1970-01-01 UTC"), or "none" for names and flags.
    nullable : bool
        Whether null ("undefined") is allowed.
    meaning : str
        One sentence for the docs.
    minimum, maximum : float or None
        Inclusive bounds of a number. A float field is never NaN or infinite, with or without.
    above : float or None
        Exclusive lower bound of a number.
    allowed : tuple of str
        The only values a string may have; empty for any.
    default : str, bool or None
        What a row from outside has where its writer leaves the field out; None for nothing, so that
        a field that is not nullable must be given. Rows within the platform always have all fields.

    Raises
    ------
    DeclarationError
        Naming the field, where the declaration is incomplete or inconsistent.
    """

    name: str
    type: pa.DataType
    unit: str
    nullable: bool
    meaning: str
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    allowed: tuple[str, ...] = ()
    default: str | bool | None = None

    def __post_init__(self) -> None:
        if not self.name or self.name != self.name.lower() or not self.name.isidentifier():
            raise DeclarationError(f"field {self.name!r}: the name must be a lower-case identifier")
        for part in ("unit", "meaning"):
            if not getattr(self, part):
                raise DeclarationError(f"field {self.name!r}: {part} is missing; say it in words")
        if self.type not in TYPES:
            raise DeclarationError(
                f"field {self.name!r}: type {self.type} is not one of {[str(t) for t in TYPES]}"
            )
        if (self.type == TIMESTAMP) != self.name.startswith("ts_"):
            raise DeclarationError(
                f"field {self.name!r}: a time field, and no other, has a name that begins with ts_"
            )
        bounded = self.minimum is not None or self.maximum is not None or self.above is not None
        if bounded and not self.is_number:
            raise DeclarationError(f"field {self.name!r}: bounds are for numbers, not {self.type}")
        if self.allowed and self.type not in (TEXT, CATEGORY):
            raise DeclarationError(f"field {self.name!r}: allowed values are for strings")
        if not self._default_fits():
            raise DeclarationError(
                f"field {self.name!r}: default {self.default!r} is no {self.type} that it may hold"
            )

    def _default_fits(self) -> bool:
        if self.default is None:
            return True
        if isinstance(self.default, bool):
            return bool(self.type == BOOL)
        return self.type in (TEXT, CATEGORY) and (not self.allowed or self.default in self.allowed)

    @property
    def is_number(self) -> bool:
        """Whether the field holds a number that can have bounds."""
        return self.type in (FLOAT, INT32, INT64, UINT64, DECIMAL)

    @property
    def arrow(self) -> pa.Field:
        """The Arrow field, with unit and meaning as metadata."""
        return pa.field(
            self.name,
            self.type,
            nullable=self.nullable,
            metadata={"unit": self.unit, "meaning": self.meaning},
        )
