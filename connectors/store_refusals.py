"""What ClickHouse's refusals mean: which can pass, what to call them, and what a person can do about the rest.

Codes as in ClickHouse's src/Common/ErrorCodes.cpp.
"""

import re
import socket

from clickhouse_connect.driver.exceptions import (
    DatabaseError,
    DataError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)
from urllib3.exceptions import HTTPError

from connectors.chdb_engine import StoreError

# Everything that asking a store may raise and that may be "not now".
KINDS: tuple[type[Exception], ...] = (DatabaseError, HTTPError, StoreError, OSError)

_NOT_NOW = {
    159: "time-out",
    198: "network",
    202: "too many queries",
    203: "too many queries",
    209: "time-out",
    210: "network",
    225: "keeper",
    236: "stopped",
    241: "memory limit",
    242: "replica is read-only",
    243: "disk full",
    252: "too many parts",
    279: "network",
    285: "keeper",
    319: "unknown outcome",
    394: "stopped",
    425: "system",
    999: "keeper",
}
_NO_SPACE = re.compile(r"errno: 28\b|No space left on device")
_ADVICE = (
    (
        {164, 192, 193, 194, 492, 497, 516},
        "the user in the setting `store` may not insert there: give it the right, or name another user",
    ),
    (
        {81},
        "the database in the setting `store` is not there: make it, or name another",
    ),
    (
        {60},
        "it was dropped: a start makes it again, empty; rows that had landed in it are in the lake still",
    ),
    (
        {6, 7, 8, 10, 16, 20, 27, 33, 38, 41, 44, 47, 49, 50, 53, 70, 117, 131, 349},
        "its columns are not the rows': compare `SHOW CREATE TABLE` with sql/tables, and alter the table",
    ),
    (
        {74, 75, 76, 107, 139, 387},
        "ClickHouse cannot read or write its files: see its own log and the disk's",
    ),
)


class StoreRefusedError(StoreError):
    """What will be the same the next time: a wrong password, an unknown database, a URL that names no store."""


def cause_of(error: Exception) -> str | None:
    """A word for a failure that can pass; None for one that will be the same the next time."""
    if isinstance(error, StoreRefusedError):
        return None
    if not isinstance(error, DatabaseError):
        return _network_cause(error)
    if error.code is not None:
        if error.code in _NOT_NOW:
            return _NOT_NOW[error.code]
        return "disk full" if _NO_SPACE.search(str(error)) else None
    if isinstance(error, (DataError, ProgrammingError, NotSupportedError)):
        return None
    # Without a code it is not ClickHouse that spoke: the way there, a proxy, or half an answer.
    inner = error.__cause__
    return _network_cause(inner if isinstance(error, OperationalError) and inner else error)


def advice(error: DatabaseError) -> str:
    """What a person can do about a refusal that does not pass."""
    for codes, told in _ADVICE:
        if error.code in codes:
            return told
    return "mend it there"


def _network_cause(error: BaseException) -> str:
    chain = [error, error.__cause__, error.__context__]
    text = " ".join(f"{type(one).__name__} {one}" for one in chain if one is not None)
    if "refused" in text:
        return "connection refused"
    if any(isinstance(one, TimeoutError) for one in chain) or "timed out" in text.lower():
        return "time-out"
    if any(isinstance(one, socket.gaierror) for one in chain) or "NameResolution" in text:
        return "unknown host"
    if isinstance(error, StoreError):
        return "not running"
    return "connection cut"
