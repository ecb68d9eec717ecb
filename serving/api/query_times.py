"""Times in queries: RFC 3339 with an offset, or ns since 1970 UTC."""

from typing import Annotated

import pyarrow as pa
from fastapi import Query
from pydantic import BeforeValidator, WithJsonSchema

from schemas.field import INT64, TEXT, TIMESTAMP

START_NS = -2_208_988_800_000_000_000
"""1900, the earliest time of a row."""

END_NS = 2**63 - 1


def _time_ns(value: object) -> int:
    if isinstance(value, int):
        return value
    text = str(value)
    try:
        if text.lstrip("-").isdecimal():
            found = int(text)
        else:
            found = int(pa.array([text], TEXT).cast(TIMESTAMP).cast(INT64)[0].as_py())
    except (pa.ArrowException, ValueError) as error:
        raise ValueError(
            "a time is RFC 3339 with an offset, such as 2024-05-01T13:30:00Z, or ns since 1970 UTC"
        ) from error
    if not START_NS <= found <= END_NS:
        raise ValueError("the time is before 1900 or after 2262")
    return found


Time = Annotated[
    int,
    BeforeValidator(_time_ns),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer"}]}),
]
From = Annotated[Time, Query(alias="from", description="Not before (RFC 3339, or ns since 1970)")]
To = Annotated[Time, Query(alias="to", description="Before (RFC 3339, or ns since 1970)")]
