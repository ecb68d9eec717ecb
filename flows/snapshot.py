"""State as bytes: a JSON head and raw arrays, in a fixed order, without pickle."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

_MAGIC = b"TFS1"


class SnapshotError(ValueError):
    """Bytes that are no snapshot of this kind and version."""


def pack(kind: str, version: int, head: Mapping[str, Any], arrays: Mapping[str, Any]) -> bytes:
    """Bytes of a state; the same state gives the same bytes.

    Parameters
    ----------
    kind, version : str, int
        What the state is of; `unpack` asks for the same.
    head : mapping
        Small JSON values: keys in order, counters.
    arrays : mapping of str to numpy.ndarray
        Numeric arrays of any shape.
    """
    return b"".join(pack_parts(kind, version, head, arrays))


def pack_parts(
    kind: str, version: int, head: Mapping[str, Any], arrays: Mapping[str, Any]
) -> list[Any]:
    """As `pack`, in parts: joined they are its bytes. Arrays' parts are their own memory, not copies."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    description = {
        "kind": kind,
        "version": version,
        "head": dict(head),
        "arrays": [[name, a.dtype.str, list(a.shape)] for name, a in sorted(contiguous.items())],
    }
    text = orjson.dumps(description, option=orjson.OPT_SORT_KEYS)
    memory = [array.reshape(-1).view(np.uint8).data for _, array in sorted(contiguous.items())]
    return [_MAGIC, len(text).to_bytes(8, "little"), text, *memory]


def unpack(data: bytes, kind: str, version: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Head and arrays (writable copies) of what `pack` made.

    Raises
    ------
    SnapshotError
        Where the bytes are no snapshot, or one of another kind or version.
    """
    if data[:4] != _MAGIC:
        raise SnapshotError(f"not a snapshot: it begins with {data[:4]!r}, not {_MAGIC!r}")
    end = 12 + int.from_bytes(data[4:12], "little")
    description = orjson.loads(data[12:end])
    found = (description["kind"], description["version"])
    if found != (kind, version):
        raise SnapshotError(f"a snapshot of {found} where one of {(kind, version)} was needed")
    arrays: dict[str, Any] = {}
    for name, dtype, shape in description["arrays"]:
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(data, dtype=dtype, count=count, offset=end).reshape(shape)
        arrays[name] = array.copy()
        end += array.nbytes
    if end != len(data):
        raise SnapshotError(f"the snapshot has {len(data)} bytes where its head says {end}")
    return description["head"], arrays
