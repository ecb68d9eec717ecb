"""From where a shard's results can be computed again: its beginning, or the oldest state that can be read on from.

A log whose beginning retention has cut away still has snapshots, and all that came behind them. What is
computed from there is compared with the commits behind it, and says so. The lake has the whole history.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from connectors.control import progress_topic, snapshots_topic
from connectors.log import Log, Record
from flows.engines.bounds import Start
from flows.engines.epochs import Epoch, Runs
from flows.engines.kept import cut_away, is_of_this_log
from flows.engines.progress import Progress, last_progress, read_progress
from flows.engines.reading import follows_runs
from flows.engines.snapshots import Manifest, manifests, state_of
from flows.engines.stepper import Counts
from flows.flow import Flow, Order
from schemas.faults import LATE

# Later than any commit.
_NOT_KNOWN = (1 << 63) - 1


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where to begin.

    Parameters
    ----------
    commit : int
        Results of later commits only can be computed; 0 for all of them.
    rest : tuple of Epoch
        What is to be computed: the first of them is what came behind the commit in its epoch.
    counts : dict of topic to Counts
        Rows by what became of them up to there.
    start : Start or None
        The snapshot; None to begin with a fresh flow.
    time_ns : int or None
        Append time of the commit's progress record, ns since 1970 UTC; None for the beginning.
    why : str
        Why not from the beginning; empty from there.
    """

    commit: int
    rest: tuple[Epoch, ...]
    counts: dict[str, Counts]
    start: Start | None = None
    time_ns: int | None = None
    why: str = ""

    def __str__(self) -> str:
        return f"compared from commit {self.commit} on: {self.why}" if self.why else ""


def origin_of(
    log: Log, kind: type[Flow], shard: int, known: Sequence[Epoch], *, with_state: bool = True
) -> Origin:
    """The earliest place from which a shard's results can be computed again and be compared.

    Parameters
    ----------
    log : Log
        Only read.
    kind, shard : type of Flow, int
        Whose results.
    known : sequence of Epoch
        Its epochs, at least one (`flows.engines.epochs.epochs`).
    with_state : bool
        Whether the results are to be computed, which needs a snapshot's state; not for counts alone.

    Where the log keeps no such place (a flow that has had nothing to do since before the cut), it is the
    last commit: what comes behind that can be compared, and so far nothing has.
    """
    why = _why_not_whole(log, kind, shard, known)
    if not why:
        return Origin(commit=0, rest=tuple(known), counts=known[0].counts)
    since = _outputs_whole_since(log, kind)
    for one in _later(log, kind, shard, known, with_state=with_state):
        if not cut_away(log, one.rest[0].begin) and (one.time_ns or 0) > since:
            return replace(one, why=why)
    return replace(_at_end(log, kind, shard, known[-1]), why=f"{why}; the lake has all of it")


def _why_not_whole(log: Log, kind: type[Flow], shard: int, known: Sequence[Epoch]) -> str:
    """What is missing for computing everything again, in words; empty where nothing is."""
    others = [epoch for epoch in known if epoch.version != kind.version]
    if others:
        return (
            f"epoch {others[-1].number} was computed by version {others[-1].version}, and version "
            f"{kind.version} is installed"
        )
    cut = cut_away(log, known[0].begin)
    if cut:
        return f"the log before is cut ({'; '.join(cut)})"
    gone = outputs_cut(log, kind)
    if gone:
        return f"the log before is cut ({gone})"
    start = log.start(progress_topic(kind.name), shard)
    if follows_runs(kind) and known[0].offset < start:
        return f"the order of reads before is cut (progress is kept from {start} on)"
    return ""


def outputs_cut(log: Log, kind: type[Flow]) -> str:
    """The first partition of a flow's outputs whose beginning is cut away, in words; empty where none is."""
    for name, partition in _output_places(log, kind):
        start = log.start(name, partition)
        if start:
            return f"{name}[{partition}] is kept from {start} on"
    return ""


def _outputs_whole_since(log: Log, kind: type[Flow]) -> int:
    """The append time behind which every record of the flow's outputs is kept, ns; -1 for all of them.

    A partition of which nothing is left does not tell: what it had may be younger than the oldest snapshot, from
    which rows would be computed again that the log was never missing. Retention leaves a partition's newest record
    for this; only cuts of earlier versions, or a broker's own, leave none.
    """
    since = -1
    for name, partition in _output_places(log, kind):
        start = log.start(name, partition)
        if start:
            records = log.read(name, partition, start, max_bytes=1).records
            since = max(since, records[0].append_time_ns if records else _NOT_KNOWN)
    return since


def _output_places(log: Log, kind: type[Flow]) -> Iterator[tuple[str, int]]:
    """Partitions of a flow's outputs; of a topic that somebody has deleted nothing is cut, all of it is missing."""
    topics = log.topics()
    for name in (*(topic.name for topic in kind.outputs), LATE.name):
        if name in topics:
            yield from ((name, partition) for partition in range(topics[name].partitions))


def _later(
    log: Log, kind: type[Flow], shard: int, known: Sequence[Epoch], *, with_state: bool
) -> Iterator[Origin]:
    """Places behind the beginning, the earliest first: snapshots, and where fresh flows began (SINGLE)."""
    usable = _of_installed_version(kind, known)
    found: list[tuple[Origin, Manifest | None]] = []
    for manifest in manifests(log, kind.name, shard):
        rest = [one for one in usable if one.number >= manifest.epoch]
        if rest and rest[0].number == manifest.epoch and is_of_this_log(log, kind, shard, manifest):
            found.append((_at_snapshot(log, kind, shard, manifest, rest), manifest))
    if kind.order is Order.SINGLE:
        found += [(one, None) for one in _epoch_begins(log, kind, shard, usable)]
    for origin, of in sorted(found, key=lambda one: one[0].commit):
        if of is None or not with_state:
            yield origin
            continue
        state = state_of(log, snapshots_topic(kind.name), shard, of)
        if state is not None:
            yield replace(origin, start=_start(of, origin.rest[0], state))


def _of_installed_version(kind: type[Flow], known: Sequence[Epoch]) -> list[Epoch]:
    """The last epochs, behind the last one of another version."""
    found: list[Epoch] = []
    for epoch in known:
        found = [*found, epoch] if epoch.version == kind.version else []
    return found


def _at_snapshot(
    log: Log, kind: type[Flow], shard: int, manifest: Manifest, rest: Sequence[Epoch]
) -> Origin:
    record = _progress_record(log, kind, shard, manifest.progress_offset)
    behind = Runs(
        log=log,
        kind=kind,
        shard=shard,
        offset=manifest.progress_offset,
        after=manifest.number,
        upto=rest[0].commit,
    )
    recorded = behind if follows_runs(kind) else None
    first = replace(rest[0], begin=manifest.read_on, recorded=recorded)
    return Origin(
        commit=manifest.number,
        rest=(first, *rest[1:]),
        counts=Progress.of(record).counts,
        time_ns=manifest.progress_time_ns,
    )


def _start(manifest: Manifest, epoch: Epoch, state: bytes) -> Start:
    return Start(
        epoch=epoch.number,
        number=manifest.number,
        params=epoch.params,
        positions=manifest.read_on,
        state=state,
    )


def _epoch_begins(
    log: Log, kind: type[Flow], shard: int, usable: Sequence[Epoch]
) -> Iterator[Origin]:
    start = log.start(progress_topic(kind.name), shard)
    for at, epoch in enumerate(usable):
        if epoch.offset >= start and not epoch.carried:
            record = _progress_record(log, kind, shard, epoch.offset)
            yield Origin(
                commit=epoch.first,
                rest=tuple(usable[at:]),
                counts=epoch.counts,
                time_ns=record.append_time_ns,
            )


def _at_end(log: Log, kind: type[Flow], shard: int, epoch: Epoch) -> Origin:
    """The last commit of the last epoch, which a flow may have passed since that was read."""
    newest = last_progress(log, kind, shard)
    start = log.start(progress_topic(kind.name), shard)
    progress = None if newest is None else newest[1]
    if progress is None or progress.number != epoch.commit:
        told = (one for _, one in read_progress(log, kind, shard, start))
        progress = next(one for one in told if one.number == epoch.commit)
    rest = replace(epoch, begin=progress.positions, end=progress.positions, runs=[], recorded=None)
    return Origin(commit=progress.number, rest=(rest,), counts=progress.counts)


def _progress_record(log: Log, kind: type[Flow], shard: int, offset: int) -> Record:
    return log.read(progress_topic(kind.name), shard, offset, max_bytes=1).records[0]
