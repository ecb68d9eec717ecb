"""Epochs: stretches of a flow's life under one version and one set of parameters."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.control import progress_topic
from connectors.log import Log
from flows.engines.progress import (
    Positions,
    Progress,
    Run,
    epoch_table,
    last_progress,
    read_progress,
)
from flows.engines.reading import Reader, follows_runs
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
        Input positions at its first and at its last progress record; their topics are its inputs.
    counts : dict of topic to Counts
        Rows by what became of them before it began.
    first, commit : int
        Numbers of its first and of its last commit.
    offset : int
        Offset of its first progress record.
    runs : list of (log topic, partition, next offset)
        In ARRIVAL order: everything that was read in it, in order.
    recorded : iterable of such, or None
        The same, behind ``runs``, as the progress records hold it: there may be millions.
    carried, base, layout
        As of `flows.engines.progress.EpochEntry`.
    """

    number: int
    version: int
    params: dict[str, Any]
    begin: Positions
    end: Positions
    counts: dict[str, Counts]
    first: int = 0
    commit: int = 0
    offset: int = 0
    runs: list[Run] = field(default_factory=list)
    recorded: Iterable[Run] | None = None
    carried: bool = False
    base: int | None = None
    layout: int | None = None


@dataclass(frozen=True, kw_only=True)
class Runs:
    """The order of reads that progress records hold, behind one commit and up to another.

    Parameters
    ----------
    log : Log
        Where.
    kind, shard : type of Flow, int
        Whose.
    offset : int
        Of the first progress record to look at.
    after, upto : int
        Commit numbers: behind the first, up to the second.
    """

    log: Log
    kind: type[Flow]
    shard: int
    offset: int
    after: int
    upto: int

    def __iter__(self) -> Iterator[Run]:
        topic = progress_topic(self.kind.name)
        if self.offset < self.log.start(topic, self.shard):
            raise FlowError(
                f"{topic}[{self.shard}]: the order in which flow {self.kind.name!r} read its inputs is "
                f"cut away between offset {self.offset} and {self.log.start(topic, self.shard)}; the "
                "lake has it: run the verb on it (log = lake:///path)"
            )
        for _, progress in read_progress(self.log, self.kind, self.shard, self.offset):
            if progress.number > self.upto:
                return
            if progress.number > self.after:
                yield from progress.runs


def epochs(log: Log, kind: type[Flow], shard: int) -> list[Epoch]:
    """The epochs of a shard, in order, from its last progress record and the checkpoint before it."""
    if progress_topic(kind.name) not in log.topics():
        return []
    last = last_progress(log, kind, shard)
    return [] if last is None else epochs_up_to(log, kind, shard, last)


def epochs_up_to(log: Log, kind: type[Flow], shard: int, last: tuple[int, Progress]) -> list[Epoch]:
    """As `epochs`, up to a progress record and its offset."""
    found = []
    for entry in epoch_table(log, kind, shard, last)[1]:
        commit = last[1].number if entry.last is None else entry.last
        recorded = None
        offset = entry.offset or 0
        if follows_runs(kind):
            recorded = Runs(
                log=log, kind=kind, shard=shard, offset=offset, after=entry.first, upto=commit
            )
        found.append(
            Epoch(
                number=entry.number,
                version=entry.version,
                params=entry.params,
                begin=entry.begin,
                end=last[1].positions if entry.end is None else entry.end,
                counts=entry.counts,
                first=entry.first,
                commit=commit,
                offset=offset,
                recorded=recorded,
                carried=entry.carried,
                base=entry.base,
                layout=entry.layout,
            )
        )
    return found


def with_one_state(known: Sequence[Epoch]) -> list[Epoch]:
    """The last epochs, from the one on whose state began empty: each later one went on with the state before it."""
    found: list[Epoch] = []
    for epoch in known:
        found = [*found, epoch] if epoch.carried else [epoch]
    return found


def segments_of(
    reader: Reader, epoch: Epoch, full: Callable[[int], bool] = lambda _: False
) -> Iterator[Segment]:
    """What an epoch read, in the order in which its results hang on it; ``full`` as of `Reader.read_to`."""
    if follows_runs(reader.kind):
        yield from reader.follow(epoch.runs)
        yield from reader.follow(epoch.recorded or ())
    yield from reader.read_to(epoch.end, full)
