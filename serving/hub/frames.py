"""Frames of a stream: rows with the position behind them, encoded once for all who want the same."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson
import pyarrow as pa

from schemas.arrays import Bools
from schemas.json_codec import encode_lines
from schemas.topic import Topic

# A frame of more rows would take the event loop, and a browser, too long at a time.
FRAME_ROWS = 2_000
ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Shape:
    """What subscribers may have in common, so that one encoding serves them all.

    Parameters
    ----------
    keys : frozenset of str or None
        Keys whose rows are wanted; None for all.
    accounts : frozenset of str or None
        Accounts whose rows may be seen, in topics that have the field; None for all.
    arrow : bool
        Arrow instead of JSON.
    """

    keys: frozenset[str] | None
    accounts: frozenset[str] | None
    arrow: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """Rows as they are sent.

    Parameters
    ----------
    position : str
        Where to go on: whoever resumes there gets what follows.
    rows : int
        How many.
    body : bytes
        JSON members ``"topic":…,"position":…,"rows":[…]}``, so that a subscriber's own members go in front; or an
        Arrow IPC stream with topic and position in its schema's metadata.
    """

    position: str
    rows: int
    body: bytes


def selected(topic: Topic, batch: pa.RecordBatch, shape: Shape) -> pa.RecordBatch:
    """The rows that are wanted and may be seen."""
    mask: Bools | None = None
    if shape.keys is not None:
        mask = _is_in(batch.column(topic.key), shape.keys)
    if shape.accounts is not None and ACCOUNT in topic.schema.names:
        seen = _is_in(batch.column(ACCOUNT), shape.accounts)
        mask = seen if mask is None else mask & seen
    return batch if mask is None or mask.all() else batch.filter(pa.array(mask))


def pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Rows cut as frames are."""
    for at in range(0, batch.num_rows, FRAME_ROWS):
        yield batch.slice(at, FRAME_ROWS)


def rows_frame(topic: Topic, batch: pa.RecordBatch, position: str, *, arrow: bool) -> Frame:
    """Rows of a topic as a frame."""
    if arrow:
        return Frame(position, batch.num_rows, _arrow_body(topic, batch, position))
    return lines_frame(topic, encode_lines(topic, batch).splitlines(), position)


def lines_frame(topic: Topic, lines: list[bytes], position: str) -> Frame:
    """Rows that are JSON already as a frame."""
    head = b'"topic":"%b","position":"%b","rows":[' % (topic.name.encode(), position.encode())
    return Frame(position, len(lines), b"".join((head, b",".join(lines), b"]}")))


def own_members(name: str) -> bytes:
    """The beginning of a subscriber's frames."""
    return b'{"id":%b,' % orjson.dumps(name)


def _arrow_body(topic: Topic, batch: pa.RecordBatch, position: str) -> bytes:
    metadata = {"topic": topic.name, "version": str(topic.version), "position": position}
    dressed = batch.replace_schema_metadata(metadata)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, dressed.schema) as writer:
        writer.write_batch(dressed)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _is_in(column: pa.Array, words: frozenset[str]) -> Bools:
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    known = np.array([word in words for word in encoded.dictionary.to_pylist()] + [False])
    # A null is in no set: it has the last place.
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    found: Bools = known[codes]
    return found
