"""Snapshots as log records: chunks, then a manifest with their hash. A half one is never used."""

import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from connectors.control import control_record, control_value, snapshots_topic
from connectors.crash_points import crash_point
from connectors.log import Log, NewRecord
from schemas.codec import HEADER_KIND

_KIND_CHUNK = b"chunk"
_CHUNK_BYTES = 512 * 1024
# Of a large state, so much is in one append: a log in SQLite has its writers wait meanwhile.
_CHUNKS_AT_ONCE = 8
# One whole snapshot to start from, and one more in case that one turns out to be damaged.
_KEPT = 2


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a snapshot is of.

    Parameters
    ----------
    number : int
        Commit number that the state belongs to.
    epoch : int
        Its epoch.
    progress_offset : int
        Offset of that commit's progress record.
    positions : dict of topic to dict of partition (as text) to offset
        Where to read on from this state.
    sha256 : str
        Of the whole state, hexadecimal.
    size : int
        Of the whole state, bytes.
    first_offset, chunks : int
        Where its chunks begin, and how many there are.
    """

    number: int
    epoch: int
    progress_offset: int
    positions: dict[str, dict[str, int]]
    sha256: str
    size: int
    first_offset: int
    chunks: int


def save(
    log: Log,
    flow: str,
    shard: int,
    state: bytes,
    *,
    number: int,
    epoch: int,
    progress_offset: int,
    positions: dict[str, dict[int, int]],
) -> None:
    """Append a snapshot, and cut those that are older than the ones kept."""
    topic = snapshots_topic(flow)
    pieces = [state[at : at + _CHUNK_BYTES] for at in range(0, len(state), _CHUNK_BYTES)]
    headers = ((HEADER_KIND, _KIND_CHUNK), ("number", str(number).encode()))
    chunks = [NewRecord(topic, shard, piece, headers=headers) for piece in pieces]
    offsets = []
    for at in range(0, len(chunks), _CHUNKS_AT_ONCE):
        if at:
            crash_point("snapshot: between chunks")
        offsets += log.append(chunks[at : at + _CHUNKS_AT_ONCE])
    crash_point("snapshot: chunks appended")
    manifest = Manifest(
        number=number,
        epoch=epoch,
        progress_offset=progress_offset,
        positions={
            name: {str(partition): offset for partition, offset in places.items()}
            for name, places in positions.items()
        },
        sha256=hashlib.sha256(state).hexdigest(),
        size=len(state),
        first_offset=offsets[0],
        chunks=len(pieces),
    )
    log.append([control_record(topic, shard, asdict(manifest))])
    crash_point("snapshot: manifest appended")
    whole = [one for one, _ in _stored(log, flow, shard)]
    if len(whole) > _KEPT:
        log.trim(topic, shard, whole[-_KEPT].first_offset)


def newest(
    log: Log, flow: str, shard: int, *, number: int, epoch: int
) -> tuple[Manifest, bytes] | None:
    """The newest whole snapshot of an epoch that is not ahead of commit ``number``, or None."""
    for manifest, state in reversed(_stored(log, flow, shard)):
        if manifest.epoch == epoch and manifest.number <= number:
            return manifest, state
    return None


def _stored(log: Log, flow: str, shard: int) -> list[tuple[Manifest, bytes]]:
    topic = snapshots_topic(flow)
    offset, end = log.start(topic, shard), log.end(topic, shard)
    chunks: dict[int, bytes] = {}
    found: list[tuple[Manifest, bytes]] = []
    while offset < end:
        chunk = log.read(topic, shard, offset)
        for record in chunk.records:
            if record.header(HEADER_KIND) == _KIND_CHUNK:
                chunks[record.offset] = record.value or b""
                continue
            value: dict[str, Any] = control_value(record)
            manifest = Manifest(**value)
            places = [at for at in sorted(chunks) if at >= manifest.first_offset]
            state = b"".join(chunks[at] for at in places[: manifest.chunks])
            if hashlib.sha256(state).hexdigest() == manifest.sha256:
                found.append((manifest, state))
            chunks = {}
        offset = chunk.next_offset
    return found
