"""Epochs: stretches of a flow's life under one version and one set of parameters."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from connectors.control import progress_topic
from connectors.log import Log
from flows.engines.progress import Positions, Progress, progress_from
from flows.engines.reading import Reader, Run, follows_runs
from flows.engines.segments import Segment
from flows.engines.stepper import Counts
from flows.flow import Flow, FlowError


@dataclass(kw_only=True)
class Epoch:
    """One epoch of one shard.

    Parameters
    ----------
    number : int
        From 1.
    version : int
        The flow's version in it.
    params : dict
        The flow's parameters in it.
    begin, end : dict of topic to dict of partition to offset
        Input positions at its first and at its last progress record.
    counts : dict of topic to Counts
        Rows by what became of them before it began.
    commit : int
        Number of its last commit.
    runs : list of (log topic, partition, next offset)
        In ARRIVAL order: everything that was read in it, in order.
    """

    number: int
    version: int
    params: dict[str, Any]
    begin: Positions
    end: Positions
    counts: dict[str, Counts]
    commit: int = 0
    runs: list[Run] = field(default_factory=list)


def epochs(log: Log, kind: type[Flow], shard: int) -> list[Epoch]:
    """The epochs of a shard, in order, read from all of its progress records."""
    found: list[Epoch] = []
    topic = progress_topic(kind.name)
    if topic not in log.topics():
        return found
    for _, progress in progress_from(log, kind, shard, log.start(topic, shard)):
        if progress.params is not None:
            found.append(_began(progress))
        if not found:
            raise FlowError(
                f"{topic}[{shard}]: the record that began epoch {progress.epoch} is cut away; "
                "replay from the lake, or begin a new epoch"
            )
        found[-1].end = progress.positions
        found[-1].commit = progress.number
        found[-1].runs += progress.runs
    return found


def segments_of(reader: Reader, epoch: Epoch) -> Iterator[Segment]:
    """What an epoch read, in the order in which its results hang on it."""
    if follows_runs(reader.kind):
        yield from reader.follow(epoch.runs)
    yield from reader.read_to(epoch.end)


def _began(progress: Progress) -> Epoch:
    return Epoch(
        number=progress.epoch,
        version=progress.version,
        params=progress.params or {},
        begin=progress.positions,
        end=progress.positions,
        counts=progress.counts,
    )
