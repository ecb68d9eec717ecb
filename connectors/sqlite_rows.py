"""The rows of the SQLite log: how a record is laid out, checksummed and read back.

One table a partition, keyed by offset: appends go to the right edge of a tree of their own, a topic is
deleted by dropping tables, and a damaged page harms one partition only. The value is the last column,
so that the others are read without touching its overflow pages.
"""

import struct
from functools import lru_cache

from xxhash import xxh3_64_intdigest

from connectors.log import Headers, NewRecord, Record

Row = tuple[int, int, bytes | None, bytes, int, bytes | None]

COLUMNS = "record_offset, append_time_ns, key, headers, checksum, value"

# Header blocks repeat from record to record; larger ones are not worth the memory of a cache.
_CACHED_HEADERS = 2048
_CACHED_BYTES = 512
_NAME = struct.Struct("<H")
_VALUE = struct.Struct("<I")
_META = struct.Struct("<qqqqq")
_NULL = -1


class ChecksumError(ValueError):
    """A row whose bytes are not those that were appended."""


def table(partition_id: int) -> str:
    """Name of the table that holds a partition's records."""
    return f"records_{partition_id}"


def create_statement(partition_id: int) -> str:
    """DDL of a partition's table."""
    return (
        f"CREATE TABLE {table(partition_id)} ("
        "record_offset INTEGER PRIMARY KEY, append_time_ns INTEGER NOT NULL, key BLOB, "
        "headers BLOB NOT NULL, checksum INTEGER NOT NULL, value BLOB)"
    )


def insert_statement(partition_id: int) -> str:
    """Insert of one `Row`."""
    return f"INSERT INTO {table(partition_id)} ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"  # noqa: S608 - the name is an integer of ours


def select_statement(partition_id: int, rest: str) -> str:
    """Select of `Row` columns; ``rest`` is what follows the table."""
    return f"SELECT {COLUMNS} FROM {table(partition_id)} {rest}"  # noqa: S608 - the name is an integer of ours


def to_row(partition_id: int, offset: int, append_time_ns: int, record: NewRecord) -> Row:
    """A record as it is stored."""
    headers = _encode_headers(record.headers)
    checksum = _checksum(partition_id, offset, append_time_ns, record.key, headers, record.value)
    return offset, append_time_ns, record.key, headers, checksum, record.value


def to_record(partition_id: int, topic: str, partition: int, row: Row) -> Record:
    """A stored row as a record.

    Raises
    ------
    ChecksumError
        Where the row is not what was appended.
    """
    offset, append_time_ns, key, headers, checksum, value = row
    if not is_whole(partition_id, row):
        raise ChecksumError(f"checksum {checksum} does not fit the bytes of offset {offset}")
    return Record(topic, partition, offset, append_time_ns, key, decode_headers(headers), value)


def is_whole(partition_id: int, row: Row) -> bool:
    """Whether a row's checksum fits; False too where damage changed a column's type."""
    offset, append_time_ns, key, headers, checksum, value = row
    return (
        isinstance(append_time_ns, int)
        and isinstance(headers, bytes)
        and isinstance(key, bytes | None)
        and isinstance(value, bytes | None)
        and _checksum(partition_id, offset, append_time_ns, key, headers, value) == checksum
    )


def _checksum(
    partition_id: int,
    offset: int,
    append_time_ns: int,
    key: bytes | None,
    headers: bytes,
    value: bytes | None,
) -> int:
    """XXH3-64 of the whole row and its place, as the signed integer SQLite can store."""
    meta = _META.pack(
        partition_id,
        offset,
        append_time_ns,
        _NULL if key is None else len(key),
        _NULL if value is None else len(value),
    )
    seed = xxh3_64_intdigest(b"".join((meta, key or b"", headers)))
    digest: int = xxh3_64_intdigest(value or b"", seed)
    return digest - (1 << 63)


def _encode_headers(headers: Headers) -> bytes:
    """Per header: u16 length, name in UTF-8, u32 length, value."""
    if not headers:
        return b""
    parts = []
    for name, value in headers:
        encoded = name.encode()
        parts += [_NAME.pack(len(encoded)), encoded, _VALUE.pack(len(value)), value]
    return b"".join(parts)


def decode_headers(data: bytes) -> Headers:
    """The headers of a stored row."""
    return _decode_cached(data) if len(data) <= _CACHED_BYTES else _decode_headers(data)


def _decode_headers(data: bytes) -> Headers:
    headers = []
    at = 0
    while at < len(data):
        (length,) = _NAME.unpack_from(data, at)
        at += _NAME.size
        name = data[at : at + length].decode()
        at += length
        (length,) = _VALUE.unpack_from(data, at)
        at += _VALUE.size
        headers.append((name, data[at : at + length]))
        at += length
    return tuple(headers)


@lru_cache(maxsize=_CACHED_HEADERS)
def _decode_cached(data: bytes) -> Headers:
    return _decode_headers(data)
