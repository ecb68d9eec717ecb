"""Recounts from the log what became of every row of a flow's inputs: the audit of flows.

Where retention has cut the log's beginning, it is recounted from the oldest commit from which the log has
all (`flows.engines.origin`), and the checks say which: their counts are those since then.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from connectors.checks import Check
from connectors.log import Log
from connectors.row_counts import RowCounts
from connectors.scan import scan_rows
from flows.engines.commits import Commits
from flows.engines.epochs import epochs_up_to
from flows.engines.origin import Origin, origin_of
from flows.engines.progress import Progress, last_progress, shard_count
from flows.engines.recompute import recompute
from flows.engines.stepper import Counts, Output
from flows.flow import Emit, Flow, Input
from schemas.codec import HEADER_FLOW
from schemas.faults import DEAD_LETTER, LATE
from schemas.topic import Topic


@dataclass(frozen=True, kw_only=True)
class _Shard:
    """A shard as it was when the audit began: it may go on meanwhile."""

    index: int
    progress: Progress
    origin: Origin

    def counts(self, name: str) -> Counts:
        """What became of an input's rows since the origin."""
        now, then = self.progress.counts.get(name, Counts()), self.origin.counts.get(name, Counts())
        return Counts(**{field: one - getattr(then, field) for field, one in now.__dict__.items()})

    def begin(self, name: str, partition: int) -> int | None:
        """Where the shard read on at the origin, or first read later; None where no epoch says."""
        places = (one.begin.get(name, {}).get(partition) for one in self.origin.rest)
        return next((offset for offset in places if offset is not None), None)


def recount(log: Log, kind: type[Flow], counts: RowCounts | None = None) -> list[Check]:
    """The checks of one flow; none where it has never run.

    Parameters
    ----------
    log : Log
        Where it runs.
    kind : type of Flow
        Which.
    counts : RowCounts or None
        Of the same log, where other flows' inputs, most of them the same, are counted too.
    """
    of_inboxes = any(declared.inbox for declared in kind.inputs)
    shards = []
    for index in range(shard_count(log, kind)):
        last = last_progress(log, kind, index)
        if last is not None:
            needed = {one.name for one in kind.inputs} | {LATE.name}
            gone = sorted(
                (needed if of_inboxes else last[1].positions.keys()) - log.topics().keys()
            )
            if gone:
                return [_gone(kind, name) for name in gone]
            known = epochs_up_to(log, kind, index, last)
            origin = origin_of(log, kind, index, known, with_state=of_inboxes)
            shards.append(_Shard(index=index, progress=last[1], origin=origin))
    if not shards:
        return []
    commits = Commits(
        log=log,
        kind=kind,
        upto={one.index: one.progress.number for one in shards},
        after={one.index: one.origin.commit for one in shards},
    )
    since = "".join(f"; shard {one.index} {one.origin}" for one in shards if one.origin.why)
    if of_inboxes:
        return _of_inboxes(log, kind, shards, commits, since)
    return [
        check
        for declared in kind.inputs
        for check in _of_input(
            log, kind, declared, shards, commits, since, counts or RowCounts(log)
        )
    ]


def _gone(kind: type[Flow], name: str) -> Check:
    return Check(
        subject=f"{kind.name}: {name}",
        claim="the topic that the flow needs is in the log",
        left=1,
        right=0,
        terms={"missing": 1},
        detail=f"the log has no topic {name}, which {kind.name!r} needs: it was deleted (the lake has its rows), or the "
        "log was made by an older version (`tapeflow run --until-end` makes it)",
    )


def _of_input(
    log: Log,
    kind: type[Flow],
    declared: Input,
    shards: Sequence[_Shard],
    commits: Commits,
    since: str,
    counts: RowCounts,
) -> list[Check]:
    told, in_log = _told(declared, shards, counts)
    late, missed = _late(log, kind, declared, commits)
    subject = f"{kind.name}: {declared.name}"
    return [
        Check(
            subject=subject,
            claim=f"rows in the log up to the flow's position = read{since}",
            left=in_log,
            right=told.read,
            terms={"in_log": in_log, "read": told.read},
        ),
        Check(
            subject=subject,
            claim=f"read = used + late + held{since}",
            left=in_log,
            right=told.used + late + told.held,
            terms={"read": in_log, "used": told.used, "late": late, "held": told.held},
        ),
        Check(
            subject=subject,
            claim=f"windows missed by used rows = rows of late that say so{since}",
            left=told.missed,
            right=missed,
            terms={"missed": told.missed, "in_late": missed},
        ),
    ]


def _told(declared: Input, shards: Sequence[_Shard], counts: RowCounts) -> tuple[Counts, int]:
    """What the shards' progress says of an input, and the rows that the log has up to their positions."""
    total = Counts()
    in_log = 0
    for shard in shards:
        for name, count in shard.counts(declared.name).__dict__.items():
            setattr(total, name, getattr(total, name) + count)
        for partition, end in shard.progress.positions.get(declared.name, {}).items():
            start = shard.begin(declared.name, partition)
            in_log += counts.total(declared.topic, partition, start=start, end=end)
    return total, in_log


def _late(log: Log, kind: type[Flow], declared: Input, commits: Commits) -> tuple[int, int]:
    """Distinct late rows of an input in ``late``, and windows missed by rows that were used."""
    named: set[tuple[object, ...]] = set()
    missed = 0
    columns = ["source_partition", "source_offset", "source_row", "source_identity", "key"]
    for partition in _partitions(log, LATE):
        for record, batch in scan_rows(log, LATE, partition):
            if not commits.has(record):
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


def _of_inboxes(
    log: Log, kind: type[Flow], shards: Sequence[_Shard], commits: Commits, since: str
) -> list[Check]:
    """For a flow on inboxes: what their bytes hold when decoded again, against what is in the topics."""
    decoded: Counter[str] = Counter()
    for shard in shards:
        for _, outputs in recompute(log, kind, shard.index, shard.origin.rest, shard.origin.start):
            decoded.update(_named(outputs))
    checks = []
    stored = _stored(log, kind, commits)
    for declared in kind.inputs:
        if not declared.inbox:
            continue
        accepted, rejected = stored[declared.topic.name], stored[declared.name]
        read = decoded[declared.topic.name] + decoded[declared.name]
        checks.append(
            Check(
                subject=f"{kind.name}: {declared.name}",
                claim=f"rows decoded again = accepted + rejected{since}",
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


def _stored(log: Log, kind: type[Flow], commits: Commits) -> Counter[str]:
    found: Counter[str] = Counter()
    by = f"{kind.name}/".encode()
    for topic in kind.outputs:
        for partition in _partitions(log, topic):
            for record, batch in scan_rows(log, topic, partition):
                if (record.header(HEADER_FLOW) or b"").startswith(by) and commits.has(record):
                    found.update(_by_name(topic, batch))
    return found


def _partitions(log: Log, topic: Topic) -> range:
    """None of a topic that somebody has deleted: it has no rows, and that is what is told."""
    config = log.topics().get(topic.name)
    return range(0 if config is None else config.partitions)


def _by_name(topic: Topic, batch: pa.RecordBatch) -> Mapping[str, int]:
    if topic is not DEAD_LETTER:
        return {topic.name: batch.num_rows}
    return Counter(batch.column("source_topic").cast(pa.string()).to_pylist())
