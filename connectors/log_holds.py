"""Who still needs which part of a log: the lander, flows with their snapshots, runs, and receipts.

A flow that is killed goes on from its newest snapshot that is whole, or from the one before; without a
snapshot of its present epoch it computes again from its beginning. So nothing from its oldest snapshot's
positions on may be cut, and nothing at all before it has one (two, of state that is carried over epochs); one that is
damaged is none, which is told, and no reason not to cut before the others; its progress records are needed from that snapshot's checkpoint on. Who seals receipts has what is not sealed yet kept: a receipt of what is gone says nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.control import (
    RECEIPTS_TOPIC,
    control_value,
    progress_topic,
    snapshots_topic,
)
from connectors.landings import CLICKHOUSE, LAKE, LandingState, read_state
from connectors.log import CorruptLogError, Log, LogError, TopicConfig, TruncatedError
from connectors.run_log import MANIFEST_TOPIC, run_names, run_topic
from connectors.scan import passed_over, readable_records
from schemas.codec import HEADER_KIND, KIND_CONTROL
from schemas.registry import TOPICS, inboxes

Place = tuple[str, int]

# What ``without`` calls the chain of receipts.
RECEIPTS = "receipts"
_PROGRESS = progress_topic("")
# Snapshots that there must be of state that is carried over epochs (books) before anything is cut: one may turn out
# to be damaged, and what windows collect may begin anew, books may not.
_OF_CARRIED = 2
# Looks at snapshots that their flow trims meanwhile.
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Hold:
    """Somebody who needs a partition from an offset on; the end, where all of it was needed no longer."""

    who: str
    before: int


def holds(
    log: Log,
    without: Collection[str] = (),
    on_damage: Callable[[CorruptLogError], None] = passed_over,
) -> dict[Place, list[Hold]]:
    """What holds back a cut, by partition of every topic that lands.

    Parameters
    ----------
    log : Log
        Whose progress, snapshots and landings are read.
    without : collection of str
        Flows that are never to run again: what they have not read may go; `RECEIPTS` where nothing is to be
        sealed any more.
    on_damage : callable
        Told of each record of a snapshot that the log cannot give: that snapshot counts for none.
    """
    topics = log.topics()
    found: defaultdict[Place, list[Hold]] = defaultdict(list)
    for place, hold in _of_lander(log, topics):
        found[place].append(hold)
    for name, config in topics.items():
        if name.startswith(_PROGRESS) and name.removeprefix(_PROGRESS) not in without:
            flow = name.removeprefix(_PROGRESS)
            holds = list(_of_flow(log, flow, config.partitions, on_damage))
            for place, hold in (*holds, *_of_unread(log, topics, flow, {one for one, _ in holds})):
                found[place].append(hold)
    if RECEIPTS not in without:
        for place, hold in _of_receipts(log, list(found)):
            found[place].append(hold)
    for run in _open_runs(log, topics):
        for place in found:
            found[place].append(Hold(f"run {run}: not complete", log.start(*place)))
    return dict(found)


def can_start(log: Log, flow: str, shard: int) -> bool:
    """Whether a flow's shard has a snapshot to go on from with the progress records that are there."""
    progress = progress_topic(flow)
    told = log.last(progress, shard)
    if told is None:
        return False
    last, start = control_value(told), log.start(progress, shard)
    newest = told.offset if last["checkpoint"] is None else last["checkpoint"]
    return newest >= start and any(
        one["number"] <= last["number"] and one["checkpoint_offset"] >= start
        for one in _snapshots(log, flow, shard, last, passed_over)
    )


def _open_runs(log: Log, topics: Mapping[str, TopicConfig]) -> list[str]:
    """Runs of replays that were begun and are not complete: they may read on from anywhere."""
    found = []
    for run in run_names(log):
        manifest = run_topic(run, MANIFEST_TOPIC)
        newest = log.last(manifest, 0) if manifest in topics else None
        if newest is not None and control_value(newest).get("kind") != "done":
            found.append(run)
    return found


def _of_receipts(log: Log, places: Sequence[Place]) -> Iterator[tuple[Place, Hold]]:
    """Where receipts have been sealed before: what the newest does not speak of."""
    if RECEIPTS_TOPIC not in log.topics() or log.last(RECEIPTS_TOPIC, 0) is None:
        return
    # Signatures are loaded by those who have some.
    from connectors.receipt_chain import sealed_ends  # noqa: PLC0415

    try:
        ends = sealed_ends(log)
    except LogError:
        # What is wrong with the chain is told by who seals, or verifies.
        for name, partition in places:
            yield (
                (name, partition),
                Hold("receipts: the chain is broken", log.start(name, partition)),
            )
        return
    for name, partition in places:
        sealed = ends.get(name, [])
        upto = sealed[partition] if partition < len(sealed) else log.start(name, partition)
        yield (name, partition), Hold("receipts: not sealed yet", upto)


def _of_lander(log: Log, topics: Mapping[str, TopicConfig]) -> Iterator[tuple[Place, Hold]]:
    state = read_state(log)
    landing = dict.fromkeys(TOPICS, (CLICKHOUSE, LAKE)) | {
        topic.inbox_name: (LAKE,) for topic in inboxes().values()
    }
    landing |= dict.fromkeys((name for name in topics if name.startswith(_PROGRESS)), (LAKE,))
    for name, sinks in landing.items():
        if name not in topics:
            continue
        for partition in range(topics[name].partitions):
            for sink in sinks:
                landed = state.position(sink, name, partition)
                start = log.start(name, partition) if landed is None else landed
                begun = _begun(state, sink, name, partition)
                before = start if begun is None else min(start, begun)
                yield (name, partition), Hold(f"lander: not in {sink} yet", before)


def _begun(state: LandingState, sink: str, name: str, partition: int) -> int | None:
    """Where the first range begins that the lander may have to write again."""
    starts = [
        span.start
        for intent in state.open.values()
        if intent.sink == sink and intent.topic == name
        for span in intent.spans
        if span.partition == partition
    ]
    return min(starts, default=None)


def _of_flow(
    log: Log, flow: str, shards: int, on_damage: Callable[[CorruptLogError], None]
) -> Iterator[tuple[Place, Hold]]:
    progress = progress_topic(flow)
    told = {shard: log.last(progress, shard) for shard in range(shards)}
    values = {shard: control_value(record) for shard, record in told.items() if record is not None}
    for shard in range(shards):
        who = f"{flow}/{shard}"
        if shard not in values:
            # It begins at the start; the others say which topics it will read.
            for place in _inputs_of_shard(values, shard):
                yield place, Hold(f"{who}: has not begun", log.start(*place))
            continue
        inputs = list(_positions(values[shard]["positions"]))
        for place, offset in inputs:
            yield place, Hold(f"{who}: not read yet", offset)
        snapshots = _snapshots(log, flow, shard, values[shard], on_damage)
        lacking = _lacking(snapshots, values[shard])
        if lacking:
            for place in [*(place for place, _ in inputs), (progress, shard)]:
                yield place, Hold(f"{who}: {lacking}", log.start(*place))
        for one in snapshots:
            why = f"{who}: a restart reads on from here, after its snapshot"
            for place, offset in _positions(one["positions"]):
                yield place, Hold(why, offset)
            yield (progress, shard), Hold(why, one["checkpoint_offset"])


def _of_unread(
    log: Log, topics: Mapping[str, TopicConfig], flow: str, read: Collection[Place]
) -> Iterator[tuple[Place, Hold]]:
    """Partitions of a flow's inboxes that none of its shards has read from yet: others have added them."""
    for name in inboxes().keys() & {topic for topic, _ in read}:
        for partition in range(topics[name].partitions):
            if (name, partition) not in read:
                yield (name, partition), Hold(f"{flow}: not read yet", log.start(name, partition))


def _lacking(snapshots: Sequence[Mapping[str, Any]], last: Mapping[str, Any]) -> str:
    """Which snapshots a shard has not got yet, in words; empty where there are enough of them to cut."""
    if not any(one["epoch"] == last["epoch"] for one in snapshots):
        return "has no whole snapshot yet"
    if len(snapshots) < _OF_CARRIED and last.get("state_since"):
        return "has one whole snapshot yet, and its state must not be lost"
    return ""


def _inputs_of_shard(values: Mapping[int, dict[str, Any]], shard: int) -> list[Place]:
    """Partitions that a shard will read, by what another shard of the flow reads."""
    for other, value in values.items():
        return [
            (topic, shard if len(offsets) == 1 and str(other) in offsets else int(partition))
            for topic, offsets in value["positions"].items()
            for partition in offsets
        ]
    return []


def _positions(positions: Mapping[str, Mapping[str, int]]) -> Iterator[tuple[Place, int]]:
    for topic, offsets in positions.items():
        for partition, offset in offsets.items():
            yield (topic, int(partition)), offset


def _snapshots(
    log: Log,
    flow: str,
    shard: int,
    last: Mapping[str, Any],
    on_damage: Callable[[CorruptLogError], None],
) -> list[dict[str, Any]]:
    """Manifests of a shard's whole snapshots of its present epoch, and of those whose state was carried into it."""
    epoch: int = last.get("state_since") or last["epoch"]
    name = snapshots_topic(flow)
    if name not in log.topics():
        return []
    for _ in range(_ATTEMPTS - 1):
        try:
            return _manifests(log, name, shard, epoch, on_damage)
        except TruncatedError:
            continue  # the flow has just cut its oldest ones
    return _manifests(log, name, shard, epoch, on_damage)


def _manifests(
    log: Log, name: str, shard: int, since: int, on_damage: Callable[[CorruptLogError], None]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    damaged: list[CorruptLogError] = []
    read: set[int] = set()
    start, end = log.start(name, shard), log.end(name, shard)
    for record in readable_records(
        log, name, shard, start=start, end=end, on_damage=damaged.append
    ):
        read.add(record.offset)
        if record.header(HEADER_KIND) == KIND_CONTROL:
            found.append(control_value(record))
    for error in damaged:
        on_damage(error)
    return [one for one in found if one["epoch"] >= since and read.issuperset(one["chunks"])]
