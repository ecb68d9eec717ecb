"""Snapshots as log records: chunks, then a manifest with their hash. A half one is never used.

The state is taken at a commit, and that is all that the flow waits for: hashing and appending are done in
a thread. A crash between two chunks leaves chunks without a manifest, and an older snapshot is used.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from typing import Any

from connectors.control import control_record, control_value, progress_topic, snapshots_topic
from connectors.crash_points import crash_point
from connectors.log import CorruptLogError, Log, LogError, NewRecord, Record, TruncatedError
from connectors.scan import readable_records
from schemas.codec import HEADER_KIND, KIND_CONTROL

_KIND_CHUNK = b"chunk"
_CHUNK_BYTES = 512 * 1024
# Of a large state, so much is in one append: a log in SQLite has its writers wait meanwhile.
_CHUNKS_AT_ONCE = 8
# One whole snapshot to start from, and one more in case that one turns out to be damaged.
_KEPT = 2
# As long as programs wait for brokers that are away.
_VISIBLE_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A state, and the commit that it belongs to.

    Parameters
    ----------
    parts : list of bytes-like
        The state; joined it is all of it.
    number, epoch : int
        Of the commit.
    progress_offset, checkpoint_offset : int
        Offsets of that commit's progress record, and of the newest checkpoint up to it.
    positions : dict of topic to dict of partition to offset
        Where to read on from this state.
    """

    parts: list[Any]
    number: int
    epoch: int
    progress_offset: int
    checkpoint_offset: int
    positions: dict[str, dict[int, int]]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a snapshot is of; the last record of it.

    Parameters
    ----------
    number, epoch : int
        Commit number that the state belongs to, and its epoch.
    progress_offset, progress_time_ns : int
        Offset and append time of that commit's progress record. Both must still be so where the snapshot
        is used: a log that lost its end may have given the same numbers to other commits.
    checkpoint_offset : int
        Offset of the newest checkpoint up to that commit: what progress may be trimmed before.
    positions : dict of topic to dict of partition (as text) to offset
        Where to read on from this state: what inputs may be trimmed before.
    sha256, size : str, int
        Of the whole state, the hash in hexadecimal.
    chunks : list of int
        Offsets of its chunks.
    """

    number: int
    epoch: int
    progress_offset: int
    progress_time_ns: int
    checkpoint_offset: int
    positions: dict[str, dict[str, int]]
    sha256: str
    size: int
    chunks: list[int]

    @property
    def read_on(self) -> dict[str, dict[int, int]]:
        """The positions, with numbers of partitions."""
        return {
            topic: {int(partition): offset for partition, offset in places.items()}
            for topic, places in self.positions.items()
        }


class Snapshots:
    """Appends a shard's snapshots, one at a time, and cuts those that are older than the ones kept.

    Parameters
    ----------
    log : Log
        Where.
    flow, shard : str, int
        Whose.
    """

    def __init__(self, log: Log, flow: str, shard: int) -> None:
        self._log = log
        self._flow = flow
        self._shard = shard
        self._kept: list[Manifest] | None = None
        self._running: Future[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether one is still being appended."""
        return self._running is not None and not self._running.done()

    def begin(self, taken: Taken) -> None:
        """Append a snapshot in a thread; waits for the one before."""
        self.finish()
        # A program that ends waits for the thread, so that its last snapshot is whole.
        thread = ThreadPoolExecutor(1, thread_name_prefix=f"snapshot {self._flow}/{self._shard}")
        self._running = thread.submit(self._append, taken)
        thread.shutdown(wait=False)

    def finish(self) -> None:
        """Wait until the snapshot that was begun is in the log.

        Raises
        ------
        LogError
            As its append raised it.
        """
        if self._running is not None:
            self._running.result()

    def check(self) -> None:
        """Raise what appending a snapshot has raised meanwhile."""
        if not self.busy:
            self.finish()

    def _append(self, taken: Taken) -> None:
        topic = snapshots_topic(self._flow)
        state = b"".join(taken.parts)
        if self._kept is None:
            # Looked through once, whole ones only; from then on this shard knows what it has appended.
            known = manifests(self._log, self._flow, self._shard)
            self._kept = [
                m for m in known if state_of(self._log, topic, self._shard, m) is not None
            ]
        manifest = Manifest(
            number=taken.number,
            epoch=taken.epoch,
            progress_offset=taken.progress_offset,
            progress_time_ns=self._time_of_commit(taken.progress_offset),
            checkpoint_offset=taken.checkpoint_offset,
            positions={
                name: {str(partition): offset for partition, offset in places.items()}
                for name, places in taken.positions.items()
            },
            sha256=hashlib.sha256(state).hexdigest(),
            size=len(state),
            chunks=self._append_chunks(topic, taken.number, state),
        )
        self._log.append([control_record(topic, self._shard, asdict(manifest))])
        crash_point("snapshot: manifest appended")
        self._kept = [*self._kept, manifest][-_KEPT:]
        self._log.trim(topic, self._shard, min(m.chunks[0] for m in self._kept))

    def _time_of_commit(self, offset: int) -> int:
        """When the log took a commit; one that Kafka has told as done may be hidden from readers yet."""
        at = (progress_topic(self._flow), self._shard)
        deadline = time.monotonic() + _VISIBLE_S
        while not (found := self._log.read(*at, offset, max_bytes=1).records):
            if time.monotonic() > deadline:
                raise LogError(
                    f"{at[0]}[{at[1]}]: the commit at {offset} is done, and not to be read after {_VISIBLE_S:.0f} s"
                )
            self._log.wait({at: offset}, 1.0)
        return found[0].append_time_ns

    def _append_chunks(self, topic: str, number: int, state: bytes) -> list[int]:
        headers = ((HEADER_KIND, _KIND_CHUNK), ("number", str(number).encode()))
        pieces = [
            NewRecord(topic, self._shard, state[at : at + _CHUNK_BYTES], headers=headers)
            for at in range(0, len(state), _CHUNK_BYTES)
        ]
        offsets: list[int] = []
        for at in range(0, len(pieces), _CHUNKS_AT_ONCE):
            if at:
                crash_point("snapshot: between chunks")
            offsets += self._log.append(pieces[at : at + _CHUNKS_AT_ONCE])
        crash_point("snapshot: chunks appended")
        return offsets


def newest(
    log: Log, flow: str, shard: int, *, number: int, epoch: int
) -> tuple[Manifest, bytes] | None:
    """The newest whole snapshot of an epoch that is not ahead of commit ``number``, or None."""
    found = newest_first(log, flow, shard, lambda m: m.epoch == epoch and m.number <= number)
    return next(found, None)


def newest_first(
    log: Log, flow: str, shard: int, usable: Callable[[Manifest], bool]
) -> Iterator[tuple[Manifest, bytes]]:
    """The whole snapshots that are usable, the newest first; none is read before it is asked for."""
    topic = snapshots_topic(flow)
    tried = None
    try:
        last = log.last(topic, shard)
    except CorruptLogError:
        last = None
    # A shard that was closed, or killed between two snapshots, left the newest one's manifest last.
    if last is not None and _is_manifest(last):
        tried = Manifest(**control_value(last))
        if usable(tried) and (state := state_of(log, topic, shard, tried)) is not None:
            yield tried, state
    for manifest in reversed(manifests(log, flow, shard)):
        if manifest == tried or not usable(manifest):
            continue
        state = state_of(log, topic, shard, manifest)
        if state is not None:
            yield manifest, state


def manifests(log: Log, flow: str, shard: int) -> list[Manifest]:
    """The manifests of a shard's snapshots that the log keeps, the oldest first; their chunks may be damaged."""
    topic = snapshots_topic(flow)
    start = log.start(topic, shard)
    while True:
        records = readable_records(log, topic, shard, start=start, end=log.end(topic, shard))
        try:
            return [Manifest(**control_value(record)) for record in records if _is_manifest(record)]
        except TruncatedError:
            # Another copy of the shard, or retention, has just cut the oldest ones.
            begun_at, start = start, log.start(topic, shard)
            if start <= begun_at:
                raise


def state_of(log: Log, topic: str, shard: int, manifest: Manifest) -> bytes | None:
    """The state of a snapshot, or None where the log no longer has all of it as it was."""
    wanted = set(manifest.chunks)
    found: dict[int, bytes] = {}
    try:
        first, last = manifest.chunks[0], manifest.chunks[-1]
        for record in readable_records(log, topic, shard, start=first, end=last + 1):
            if record.offset in wanted:
                found[record.offset] = record.value or b""
    except TruncatedError:
        return None
    state = b"".join(found[offset] for offset in sorted(found))
    return state if hashlib.sha256(state).hexdigest() == manifest.sha256 else None


def _is_manifest(record: Record) -> bool:
    known = {one.name for one in fields(Manifest)}
    kind = record.header(HEADER_KIND)
    if kind != KIND_CONTROL:
        return False
    return control_value(record).keys() == known
