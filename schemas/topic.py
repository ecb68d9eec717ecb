"""A topic: the one declaration of a record family, from which everything else is derived.

Wire format, ClickHouse table, Parquet schema, API model, validation, docs and test generators read
this declaration; none of them repeats it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import pyarrow as pa

from schemas.field import CATEGORY, TEXT, TIMESTAMP, DeclarationError, Field
from schemas.one_row import OneRow


class Kind(StrEnum):
    """Where a topic's rows come from."""

    RAW = "raw"
    DERIVED = "derived"


class Partition(StrEnum):
    """How a landed table is cut by event time."""

    DAY = "day"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, kw_only=True)
class Landing:
    """Where and how a topic lands.

    Parameters
    ----------
    order_by : tuple of str
        ClickHouse order key; begins with the topic's key, then its event time.
    partition_by : Partition
        ClickHouse partition and folder of the lake, by event time (UTC).
    """

    order_by: tuple[str, ...]
    partition_by: Partition


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What a row must have because of what one of its fields says.

    Parameters
    ----------
    field : str
        A field of type CATEGORY.
    values : tuple of str
        The rule speaks of rows where the field has one of these.
    needs : tuple of str
        Fields that must then not be null: every one, or with ``any_of`` at least one.
    any_of : bool
        Whether one of ``needs`` is enough.
    """

    field: str
    values: tuple[str, ...]
    needs: tuple[str, ...]
    any_of: bool = False


@dataclass(frozen=True, kw_only=True)
class Topic:
    """The declaration of a record family.

    Parameters
    ----------
    name : str
        Topic, table and lake-folder name.
    version : int
        Of the schema; a change of meaning is a new version.
    kind : Kind
        Raw (a source writes it) or derived (a flow writes it).
    meaning : str
        What one row is, in one sentence.
    fields : tuple of Field
        In order; the order is part of the wire format and of the row digest.
    key : str
        The string field by which rows are partitioned and within which order is promised.
    event_time : str
        The time field that orders rows.
    identity : tuple of str
        The fields that name a row. For a raw topic the log position does, so it may be empty.
    landing : Landing
        How the topic lands.
    lateness_ns : int
        How far behind its key's newest row a row may be; the frontier trails by so much.
    retention_ns : int or None
        How long the log keeps a record at least; None for ever.
    synced : bool
        Whether an append is on disk before it is acknowledged (survives a power cut).
    rules : tuple of Rule
        What a row must have because of what one of its fields says.
    inbox : bool
        Whether the topic has an inbox (``NAME.in``) for records that others write.
    watermarked : bool
        Of a raw topic: whether its rows are market events in the market's time, so that the sources of
        a key append watermark rows to it. Not so for history and reference data, such as a vendor's bars of
        twenty years: these come in any order, and must not make the key's ticks late.
    partitions : int or None
        How many, for a small topic that every shard of a flow reads whole; None for the platform's number.

    Raises
    ------
    DeclarationError
        Naming topic and field, where the declaration is incomplete or inconsistent.
    """

    name: str
    version: int
    kind: Kind
    meaning: str
    fields: tuple[Field, ...]
    key: str
    event_time: str
    identity: tuple[str, ...]
    landing: Landing
    lateness_ns: int = 0
    retention_ns: int | None = None
    synced: bool = False
    rules: tuple[Rule, ...] = ()
    inbox: bool = False
    watermarked: bool = True
    partitions: int | None = None

    def __post_init__(self) -> None:
        self._require(bool(self.meaning), "meaning is missing; say what one row is")
        self._require(self.version >= 1, "version must be 1 or more")
        names = [field.name for field in self.fields]
        twice = sorted({name for name in names if names.count(name) > 1})
        self._require(not twice, f"fields {twice} are declared twice")
        for part, used in (
            ("key", (self.key,)),
            ("event_time", (self.event_time,)),
            ("identity", self.identity),
            ("landing.order_by", self.landing.order_by),
            ("rules", tuple(name for rule in self.rules for name in (rule.field, *rule.needs))),
        ):
            for name in used:
                self._require(name in names, f"{part} names field {name!r}, which is not declared")
        for name, types in ((self.key, (CATEGORY, TEXT)), (self.event_time, (TIMESTAMP,))):
            field = self.field(name)
            self._require(
                field.type in types and not field.nullable,
                f"field {name!r} must be {' or '.join(map(str, types))} and not nullable",
            )
        for rule in self.rules:
            unknown = set(rule.values) - set(self.field(rule.field).allowed)
            self._require(not unknown, f"a rule on {rule.field!r} names values it may not have")
        self._require(
            self.landing.order_by[:2] == (self.key, self.event_time),
            f"landing.order_by must begin with ({self.key!r}, {self.event_time!r})",
        )
        self._require(
            self.kind is Kind.RAW or bool(self.identity), "a derived topic needs an identity"
        )
        self._require(self.lateness_ns >= 0, "lateness_ns must not be negative")

    def _require(self, holds: bool, what: str) -> None:  # noqa: FBT001 - a condition, read aloud
        if not holds:
            raise DeclarationError(f"topic {self.name!r}: {what}")

    def field(self, name: str) -> Field:
        """The field of that name; KeyError with the known names where there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        known = ", ".join(field.name for field in self.fields)
        raise KeyError(f"topic {self.name!r} has no field {name!r}; it has {known}")

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the wire: no metadata, which every record would repeat."""
        return pa.schema([field.arrow.remove_metadata() for field in self.fields])

    @cached_property
    def documented_schema(self) -> pa.Schema:
        """The Arrow schema with units and meanings as metadata, for Parquet files and readers."""
        metadata = {"topic": self.name, "version": str(self.version)}
        return pa.schema([field.arrow for field in self.fields], metadata=metadata)

    def __hash__(self) -> int:
        # Of all that is declared it would take 40 us, at every look into a table by topic.
        return hash((self.name, self.version))

    @property
    def inbox_name(self) -> str:
        """Name of the topic's inbox."""
        return f"{self.name}.in"

    @property
    def identifier(self) -> str:
        """Name and version as in record headers, such as ``trades/1``."""
        return f"{self.name}/{self.version}"

    def batch(self, columns: Mapping[str, Any]) -> pa.RecordBatch:
        """One RecordBatch of this topic from columns by name.

        Parameters
        ----------
        columns : mapping of str to array-like
            All fields of the topic, or all but nullable ones (which become null), of equal length.
            Arrow arrays are cast where their type differs; others are converted.

        Returns
        -------
        pyarrow.RecordBatch
            With exactly `schema`.

        Raises
        ------
        KeyError
            For a column the topic does not have, or a non-nullable one that is missing.
        """
        unknown = sorted(set(columns) - {field.name for field in self.fields})
        if unknown:
            raise KeyError(f"topic {self.name!r} has no field {unknown}")
        rows = len(next(iter(columns.values())))
        arrays = []
        for field in self.fields:
            if field.name in columns:
                arrays.append(_as_arrow(columns[field.name], field.type))
            elif field.nullable:
                arrays.append(pa.nulls(rows, field.type))
            else:
                raise KeyError(f"topic {self.name!r}: column {field.name!r} is missing")
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def batch_of_rows(self, rows: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
        """One RecordBatch of this topic from rows: of few rows, a fourth of the time of `batch`.

        Parameters
        ----------
        rows : sequence of mapping
            Values by field, as Arrow converts them (times as ns since 1970 UTC); what is missing is null, also
            where it may not be: `schemas.validation` tells.

        Returns
        -------
        pyarrow.RecordBatch
            With exactly `schema`.
        """
        if len(rows) == 1:
            return self._one_row.batch(rows[0])
        named = {name for row in rows for name, value in row.items() if value is not None}
        given = [name for name in self._nullable if name in named]
        # Of most topics many fields are null as a rule: to convert these, too, takes half as long again.
        values = pa.array(rows, pa.struct([self._nullable[name] for name in given])).flatten()
        columns = dict(zip(given, values, strict=True))
        return pa.RecordBatch.from_arrays(
            [
                columns[name] if name in columns else pa.nulls(len(rows), field.type)
                for name, field in self._nullable.items()
            ],
            schema=self.schema,
        )

    @cached_property
    def _one_row(self) -> OneRow:
        return OneRow(self.schema)

    @cached_property
    def _nullable(self) -> dict[str, pa.Field]:
        return {field.name: field.arrow.with_nullable(True) for field in self.fields}

    def empty(self) -> pa.RecordBatch:
        """A batch of no rows."""
        return pa.RecordBatch.from_arrays(
            [pa.array([], field.type) for field in self.fields], schema=self.schema
        )


def _as_arrow(values: Any, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if not isinstance(values, pa.Array):
        values = pa.array(values) if kind == CATEGORY else pa.array(values, type=kind)
    if values.type == kind:
        return values
    if kind == CATEGORY and not pa.types.is_dictionary(values.type):
        return values.cast(TEXT).dictionary_encode()
    return values.cast(kind)
