"""Recounts from the log what became of every row of a flow's inputs: the audit of flows."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from connectors.checks import Check
from connectors.log import Log
from connectors.scan import scan_rows
from flows.engines.commits import is_later
from flows.engines.epochs import Epoch, epochs
from flows.engines.progress import Progress, last_progress, shard_count
from flows.engines.recompute import recompute
from flows.engines.stepper import Counts, Output
from flows.flow import Emit, Flow, Input
from schemas.codec import HEADER_FLOW
from schemas.faults import DEAD_LETTER, LATE
from schemas.topic import Topic


def recount(log: Log, kind: type[Flow]) -> list[Check]:
    """The checks of one flow; none where it has never run."""
    if any(declared.inbox for declared in kind.inputs):
        return _recount_inboxes(log, kind)
    checks: list[Check] = []
    # Read once: a flow may go on while it is audited.
    found = {shard: last_progress(log, kind, shard) for shard in range(shard_count(log, kind))}
    shards = {shard: last[1] for shard, last in found.items() if last is not None}
    if not shards:
        return checks
    for declared in kind.inputs:
        told, in_log = _told(log, kind, declared, shards)
        late, missed = _late(log, kind, declared, shards)
        subject = f"{kind.name}: {declared.name}"
        checks += [
            Check(
                subject=subject,
                claim="rows in the log up to the flow's position = read",
                left=in_log,
                right=told.read,
                terms={"in_log": in_log, "read": told.read},
            ),
            Check(
                subject=subject,
                claim="read = used + late + held",
                left=in_log,
                right=told.used + late + told.held,
                terms={"read": in_log, "used": told.used, "late": late, "held": told.held},
            ),
            Check(
                subject=subject,
                claim="windows missed by used rows = rows of late that say so",
                left=told.missed,
                right=missed,
                terms={"missed": told.missed, "in_late": missed},
            ),
        ]
    return checks


def _begin(known: Sequence[Epoch], name: str, partition: int) -> int | None:
    """Where a shard began to read an input; None where no epoch began with it."""
    begins = (one.begin.get(name, {}).get(partition) for one in known)
    return next((offset for offset in begins if offset is not None), None)


def _told(
    log: Log, kind: type[Flow], declared: Input, shards: Mapping[int, Progress]
) -> tuple[Counts, int]:
    """What the shards' progress says of an input, and the rows that the log has up to their positions."""
    total = Counts()
    in_log = 0
    for shard, progress in shards.items():
        known = epochs(log, kind, shard)
        for name, count in progress.counts[declared.name].__dict__.items():
            setattr(total, name, getattr(total, name) + count)
        for partition, end in progress.positions[declared.name].items():
            start = _begin(known, declared.name, partition)
            in_log += sum(
                batch.num_rows
                for _, batch in scan_rows(log, declared.topic, partition, start=start, end=end)
            )
    return total, in_log


def _late(
    log: Log, kind: type[Flow], declared: Input, shards: Mapping[int, Progress]
) -> tuple[int, int]:
    """Distinct late rows of an input in ``late``, and windows missed by rows that were used."""
    named: set[tuple[object, ...]] = set()
    missed = 0
    commits = {shard: progress.number for shard, progress in shards.items()}
    columns = ["source_partition", "source_offset", "source_row", "source_identity", "key"]
    for partition in range(log.topics()[LATE.name].partitions):
        for record, batch in scan_rows(log, LATE, partition):
            if is_later(log, kind, record, commits):
                continue
            own = pc.and_(
                pc.equal(batch.column("flow").cast(pa.string()), kind.name),
                pc.equal(batch.column("source_topic").cast(pa.string()), declared.name),
            )
            mine = batch.filter(own)
            used = mine.column("used")
            missed += pc.sum(used).as_py() or 0
            rest = mine.filter(pc.invert(used)).select(columns)
            named.update(zip(*(column.to_pylist() for column in rest.columns), strict=True))
    return len(named), missed


def _recount_inboxes(log: Log, kind: type[Flow]) -> list[Check]:
    """For a flow on inboxes: what their bytes hold when decoded again, against what is in the topics."""
    decoded: Counter[str] = Counter()
    commits: dict[int, int] = {}
    for shard in range(shard_count(log, kind)):
        known = epochs(log, kind, shard)
        for _, outputs in recompute(log, kind, shard, known):
            decoded.update(_named(outputs))
        if known:
            commits[shard] = known[-1].commit
    if not commits:
        return []
    checks = []
    stored = _stored(log, kind, commits)
    for declared in kind.inputs:
        accepted, rejected = stored[declared.topic.name], stored[declared.name]
        read = decoded[declared.topic.name] + decoded[declared.name]
        checks.append(
            Check(
                subject=f"{kind.name}: {declared.name}",
                claim="rows decoded again = accepted + rejected",
                left=read,
                right=accepted + rejected,
                terms={"read": read, "accepted": accepted, "rejected": rejected},
            )
        )
    return checks


def _named(outputs: Sequence[Output]) -> Counter[str]:
    """Rows by topic; dead letters by the inbox that they are from."""
    found: Counter[str] = Counter()
    for one in outputs:
        if isinstance(one, Emit):
            found.update(_by_name(one.topic, one.batch))
    return found


def _stored(log: Log, kind: type[Flow], commits: Mapping[int, int]) -> Counter[str]:
    found: Counter[str] = Counter()
    by = f"{kind.name}/".encode()
    for topic in kind.outputs:
        for partition in range(log.topics()[topic.name].partitions):
            for record, batch in scan_rows(log, topic, partition):
                own = (record.header(HEADER_FLOW) or b"").startswith(by)
                if own and not is_later(log, kind, record, commits):
                    found.update(_by_name(topic, batch))
    return found


def _by_name(topic: Topic, batch: pa.RecordBatch) -> dict[str, int]:
    if topic is not DEAD_LETTER:
        return {topic.name: batch.num_rows}
    return Counter(batch.column("source_topic").cast(pa.string()).to_pylist())
