"""The canonical bytes of a row, written slowly and plainly: the reference for `schemas.canonical`."""

import struct
from decimal import Context
from typing import Any

import mmh3

from schemas.field import BOOL, BYTES, DECIMAL, FLOAT, INT32, INT64, TIMESTAMP, UINT64
from schemas.topic import Topic

_EXACT = Context(prec=60)
_FORMATS = {INT64: "<q", TIMESTAMP: "<q", UINT64: "<Q", INT32: "<i", BOOL: "<?"}


def canonical(topic: Topic, row: dict[str, Any]) -> bytes:
    """Bytes of one row; times as ns since 1970 UTC."""
    out = struct.pack("<H", topic.version)
    for field in topic.fields:
        if field.name == "ts_recv":
            continue
        value = row[field.name]
        if value is None:
            out += b"\x00"
            continue
        out += b"\x01"
        if field.type in _FORMATS:
            out += struct.pack(_FORMATS[field.type], value)
        elif field.type == FLOAT:
            out += struct.pack("<d", 0.0 if value == 0 else value)
        elif field.type == DECIMAL:
            out += int(_EXACT.scaleb(value, 10)).to_bytes(16, "little", signed=True)
        else:
            raw = value if field.type == BYTES else value.encode()
            out += struct.pack("<I", len(raw)) + raw
    return out


def digest(data: bytes) -> tuple[int, int]:
    """MurmurHash3 x64 128, low and high half."""
    low, high = mmh3.hash64(data, seed=0, x64arch=True, signed=False)
    return low, high
