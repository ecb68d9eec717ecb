"""What intake knows of foreign schemas: exactly what rows of ``foreign_schemas`` have told it, in their order."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from flows.avro_schema import AvroSchemaError, Column, columns_of
from schemas.arrays import Int64s

# A desk's producers use a few dozen. The oldest goes, and is asked for again where it is needed again.
_MAX_SCHEMAS = 1_000
# A schema that was not to be had is asked for again for records that come so much later.
_AGAIN_NS = 60 * 1_000_000_000
_UNKNOWN = (
    "Avro needs a schema registry, and none has told of schema {}: set schema_registry, or write JSON or an "
    "Arrow IPC stream"
)


@dataclass(frozen=True, kw_only=True)
class _Told:
    asked_ns: int
    text: str | None
    reason: str | None
    columns: tuple[Column, ...] = ()


class ForeignSchemas:
    """Schemas by identifier."""

    def __init__(self) -> None:
        self._told: dict[str, _Told] = {}

    def learn(self, batch: pa.RecordBatch) -> None:
        """Take in rows of ``foreign_schemas``; the newest of an identifier counts."""
        times = batch.column("ts_event").cast(pa.int64()).to_pylist()
        texts, reasons = batch.column("schema_text").to_pylist(), batch.column("reason").to_pylist()
        for name, asked_ns, text, reason in zip(
            batch.column("schema_id").cast(pa.string()).to_pylist(),
            times,
            texts,
            reasons,
            strict=True,
        ):
            self._keep(name, _told(asked_ns, text, reason))

    def columns(self, schema_id: int) -> tuple[Column, ...] | str:
        """The columns of a schema, or why its records cannot be decoded."""
        told = self._told.get(str(schema_id))
        if told is None:
            return _UNKNOWN.format(schema_id)
        return told.columns if told.reason is None else told.reason

    def missing(self, ids: Int64s, appended_ns: Int64s) -> list[str]:
        """Identifiers that are to be asked for, because of records that were appended at these times."""
        found = []
        for schema_id in np.unique(ids[ids >= 0]).tolist():
            told = self._told.get(str(schema_id))
            newest = int(appended_ns[ids == schema_id].max())
            if told is None or (told.text is None and newest >= told.asked_ns + _AGAIN_NS):
                found.append(str(schema_id))
        return found

    def state(self) -> list[list[Any]]:
        """All of it, for a snapshot."""
        return [
            [schema_id, told.asked_ns, told.text, told.reason if told.text is None else None]
            for schema_id, told in self._told.items()
        ]

    def restore(self, state: list[list[Any]]) -> None:
        """What `state` gave."""
        for schema_id, asked_ns, text, reason in state:
            self._keep(schema_id, _told(asked_ns, text, reason))

    def _keep(self, schema_id: str, told: _Told) -> None:
        self._told.pop(schema_id, None)
        self._told[schema_id] = told
        while len(self._told) > _MAX_SCHEMAS:
            del self._told[next(iter(self._told))]


def _told(asked_ns: int, text: str | None, reason: str | None) -> _Told:
    if text is None:
        return _Told(asked_ns=asked_ns, text=None, reason=reason or "the schema is not known")
    try:
        return _Told(asked_ns=asked_ns, text=text, reason=None, columns=columns_of(text))
    except AvroSchemaError as error:
        return _Told(asked_ns=asked_ns, text=text, reason=f"its schema cannot be used: {error}")
