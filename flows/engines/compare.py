"""Compares what a flow has emitted with what the log gives when it is computed again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from connectors.log import Log
from connectors.scan import scan_rows
from flows.engines.commits import is_later
from flows.engines.epochs import Epoch, epochs
from flows.engines.recompute import recompute
from flows.flow import Emit, Flow
from flows.kernels.jit import jit
from flows.keys import KeySlots
from schemas.arrays import Int64s, UInt64s
from schemas.codec import HEADER_FLOW, HEADER_SHARD
from schemas.digest import DigestSum, row_digests
from schemas.faults import LATE
from schemas.topic import Topic

_MAX_KEYS = 10_000_000
Batches = Iterator[tuple[Topic, pa.RecordBatch]]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first differing row of a topic: in order of key, then of rows within the key.

    ``in_log`` and ``computed`` hold the row of each side by field name, or None where that side has no
    such row; ``place`` counts the key's rows from 0.
    """

    key: str
    place: int
    in_log: dict[str, Any] | None
    computed: dict[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A topic as a flow's shard emitted it, against the same computed again."""

    flow: str
    shard: int
    topic: str
    in_log: DigestSum
    computed: DigestSum
    difference: Difference | None

    @property
    def identical(self) -> bool:
        """Whether rows, and their order within each key, are the same."""
        return self.difference is None


@dataclass(frozen=True)
class _Scope:
    """A shard, and its epochs when the comparison began: it may go on while it is compared."""

    log: Log
    kind: type[Flow]
    shard: int
    known: list[Epoch]


@dataclass
class _Side:
    """Rows of one topic on one side: their sum, and for each key their count and chained digest."""

    topic: Topic
    total: DigestSum = field(default_factory=DigestSum)
    keys: KeySlots = field(default_factory=lambda: KeySlots([], _MAX_KEYS))
    chain: UInt64s = field(default_factory=lambda: np.zeros((64, 3), dtype=np.uint64))

    def add(self, batch: pa.RecordBatch) -> None:
        digests = row_digests(self.topic, batch)
        self.total.add(digests)
        keys = batch.column(self.topic.key)
        slots = self.keys.of(
            keys if pa.types.is_dictionary(keys.type) else keys.dictionary_encode()
        )
        if len(self.keys) > len(self.chain):
            more = max(len(self.keys), 2 * len(self.chain)) - len(self.chain)
            self.chain = np.pad(self.chain, ((0, more), (0, 0)))
        _link(self.chain, slots, digests, _is_ordered(self.topic))

    def by_key(self) -> dict[str, tuple[int, ...]]:
        return {
            key: tuple(int(part) for part in self.chain[slot])
            for slot, key in enumerate(self.keys.keys)
        }


def compare(
    log: Log, kind: type[Flow], shard: int, on_rows: Callable[[int], None] | None = None
) -> list[Comparison]:
    """A shard's outputs in the log against the same computed again from its inputs in the log.

    Parameters
    ----------
    log : Log
        Only read.
    kind : type of Flow
        The flow.
    shard : int
        Which shard.
    on_rows : callable or None
        Told how many rows were emitted again, batch by batch.

    Returns
    -------
    list of Comparison
        One for each topic that either side has rows of.
    """
    computed: dict[str, _Side] = {}
    scope = _Scope(log, kind, shard, epochs(log, kind, shard))
    for topic, batch in _computed(scope):
        computed.setdefault(topic.name, _Side(topic)).add(batch)
        if on_rows is not None:
            on_rows(batch.num_rows)
    in_log: dict[str, _Side] = {}
    for topic, batch in _in_log(scope, [*kind.outputs, LATE]):
        in_log.setdefault(topic.name, _Side(topic)).add(batch)
    found = []
    for topic in (*kind.outputs, LATE):
        ours = computed.get(topic.name, _Side(topic))
        theirs = in_log.get(topic.name, _Side(topic))
        if not ours.total.rows and not theirs.total.rows:
            continue
        found.append(
            Comparison(
                flow=kind.name,
                shard=shard,
                topic=topic.name,
                in_log=theirs.total,
                computed=ours.total,
                difference=_difference(scope, topic, theirs, ours),
            )
        )
    return found


@jit
def _link(chain: UInt64s, slots: Int64s, digests: UInt64s, ordered: bool) -> None:  # noqa: FBT001 - numba takes no keywords
    """Link each row's digest to its key's chain (or sum, for a topic without order within a key)."""
    multiplier = np.uint64(0x9E3779B97F4A7C15) if ordered else np.uint64(1)
    for i in range(len(slots)):
        slot = slots[i]
        chain[slot, 0] += np.uint64(1)
        chain[slot, 1] = chain[slot, 1] * multiplier + digests[i, 0]
        chain[slot, 2] = chain[slot, 2] * multiplier + digests[i, 1]


def _is_ordered(topic: Topic) -> bool:
    # Late rows of two inputs have no order between them.
    return topic is not LATE


def _computed(scope: _Scope) -> Batches:
    for _, outputs in recompute(scope.log, scope.kind, scope.shard, scope.known):
        for one in outputs:
            if isinstance(one, Emit):
                yield one.topic, one.batch


def _in_log(scope: _Scope, topics: list[Topic]) -> Batches:
    log, kind = scope.log, scope.kind
    flow = f"{kind.name}/".encode()
    own = str(scope.shard).encode()
    commits = {scope.shard: scope.known[-1].commit} if scope.known else {}
    for topic in topics:
        for partition in range(log.topics()[topic.name].partitions):
            for record, batch in scan_rows(log, topic, partition):
                by = record.header(HEADER_FLOW) or b""
                if not by.startswith(flow) or record.header(HEADER_SHARD) != own:
                    continue
                if not is_later(log, kind, record, commits):
                    yield topic, batch


def _difference(scope: _Scope, topic: Topic, theirs: _Side, ours: _Side) -> Difference | None:
    left, right = theirs.by_key(), ours.by_key()
    if left == right:
        return None
    key = min(key for key in left.keys() | right.keys() if left.get(key) != right.get(key))
    in_log = _rows_of_key(_in_log(scope, [topic]), topic, key)
    computed = _rows_of_key(_computed(scope), topic, key)
    place = _first_differing(topic, in_log, computed)
    return Difference(
        key=key, place=place, in_log=_row(in_log, place), computed=_row(computed, place)
    )


def _rows_of_key(batches: Batches, topic: Topic, key: str) -> pa.RecordBatch:
    found = [topic.empty()]
    for one, batch in batches:
        if one is topic:
            keys = batch.column(topic.key)
            plain = keys.cast(pa.string())
            mask = pa.compute.equal(plain, key)
            found.append(batch.filter(mask))
    table = pa.Table.from_batches(found).unify_dictionaries().combine_chunks()
    batches_ = table.to_batches()
    batch = batches_[0] if batches_ else topic.empty()
    if _is_ordered(topic):
        return batch
    # Arrow does not sort batches by dictionaries.
    plain = pa.table(
        {
            name: column.cast(column.type.value_type)
            if pa.types.is_dictionary(column.type)
            else column
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
    )
    order = [(name, "ascending") for name in plain.column_names if name != topic.key]
    return batch.take(pa.compute.sort_indices(plain, sort_keys=order))


def _first_differing(topic: Topic, left: pa.RecordBatch, right: pa.RecordBatch) -> int:
    common = min(left.num_rows, right.num_rows)
    one = row_digests(topic, left.slice(0, common))
    other = row_digests(topic, right.slice(0, common))
    differing = np.flatnonzero((one != other).any(axis=1))
    return int(differing[0]) if len(differing) else common


def _row(batch: pa.RecordBatch, place: int) -> dict[str, Any] | None:
    if place >= batch.num_rows:
        return None
    row: dict[str, Any] = batch.slice(place, 1).to_pylist()[0]
    return row
