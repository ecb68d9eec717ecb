"""The engine on Bytewax: each shard a keyed stateful step; any number of workers.

A source partition a shard tells when the log holds something new; the keyed step reads, computes and
commits. Recovery is ours (progress records and snapshots in the log), not Bytewax's: its recovery store
could not be committed atomically with the rows that a flow emits.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event
from time import monotonic, sleep
from typing import Any

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.errors import BytewaxRuntimeError
from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import cluster_main

from connectors.log import Log, open_log
from flows.catalog import catalog, flows_named
from flows.engines.local import cycles, in_order
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.flow import Flow, FlowError, Params

# Bytewax's own stub leaves the function's arguments untyped.
_cluster_main: Any = cluster_main

# How long the only worker sleeps at most where it has nothing to do: the log wakes it, a stop does not.
_SLEEP_S = 0.1
# Never a time to come: Bytewax counts from when it began to ask for a batch, and would make another sleep as long; and
# it counts by the wall clock, which may be set back: for as long as that, nothing would be looked at.
_AT_ONCE = datetime.fromtimestamp(0, UTC)
# How long until one of several workers looks again; no longer, as meanwhile it does not work what others ring for.
# Where rows have just come, more will; where none have, looking more often would only warm the machine.
_BUSY_S = 0.00025
_IDLE_S = 0.001
_BUSY_FOR_S = 0.05
# Between looks at whether somebody has added partitions to an input: each is a question of a few milliseconds.
_COUNTS_S = 5.0


@dataclass(kw_only=True)
class _Desk:
    """What a shard's source partition and its step tell each other; both run in this process.

    ``pending`` is whether the step still has a token: at most one is under way, which bounds the queue.
    ``ends`` is where the shard is to stop, once that is known. ``steps`` counts the tokens that it was given.
    ``counts`` are the inputs' partition counts that the shard has been told of.
    """

    shard: Shard
    pending: bool = False
    steps: int = 0
    rung_at: float = 0.0
    opened: bool = False
    done: bool = False
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(kw_only=True)
class _Run:
    """One run of flows: its shards, and when they are to stop."""

    log: Log
    kinds: Sequence[type[Flow]]
    desks: dict[str, _Desk]
    workers: int
    until_end: bool
    stop: Event
    cycles: dict[type[Flow], list[type[Flow]]]
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    counted_at: float = field(default_factory=monotonic)

    def count_partitions(self) -> None:
        """See, now and again, whether inputs have more partitions; not in a run that has an end to come to."""
        if self.until_end or monotonic() - self.counted_at < _COUNTS_S:
            return
        self.counted_at = monotonic()
        inputs = {one.name for kind in self.kinds for one in kind.inputs}
        found = {n: count for n, count in self.log.counts_now().items() if n in inputs}
        if found and found != self.counts:
            self.counts = found

    def upstream_done(self, kind: type[Flow]) -> bool:
        """Whether every flow of this run that writes an input of ``kind`` has come to its end.

        Flows that read each other do not wait for one another here.
        """
        inputs = {one.name for one in kind.inputs}
        writers = [
            one
            for one in self.kinds
            if one not in self.cycles.get(kind, [kind]) and inputs & {t.name for t in one.outputs}
        ]
        return all(desk.done for desk in self.desks.values() if desk.shard.kind in writers)

    def has_news(self, desk: _Desk) -> bool:
        """Whether there is something that a shard would read now."""
        return self.log.wait(desk.shard.wanted(), 0.0)

    def finished(self, desk: _Desk) -> bool:
        """Whether a shard has nothing left to do."""
        if self.stop.is_set():
            return True
        if not (self.until_end and desk.opened and self.upstream_done(desk.shard.kind)):
            return False
        if not desk.ends:
            # Looked up once: another writer could go on for ever.
            desk.ends = self._ends(desk)
        return desk.shard.at_end(desk.ends) and self._cycle_rests(desk)

    def is_stuck(self, desk: _Desk) -> bool:
        """Whether a shard is to come to an end that it cannot read up to, for rows that are held: a step says so."""
        if not desk.ends or desk.shard.kind in self.cycles or not desk.shard.waiting():
            return False
        return not (desk.shard.at_end(desk.ends) or self.has_news(desk))

    def _ends(self, desk: _Desk) -> dict[tuple[str, int], int]:
        """Where a shard is to stop, once the flows that it waits for are done.

        Behind what other programs had written when the run began, which is nothing in a partition added since; what the run's own flows wrote, to the end.
        """
        written = {topic.name for kind in self.kinds for topic in kind.outputs}
        return {
            at: self.log.end(*at) if at[0] in written else self.ends.get(at, 0)
            for at in desk.shard.positions()
        }

    def _ends_within(self, desk: _Desk, own: Collection[str]) -> dict[tuple[str, int], int]:
        """Where a shard of a cycle has come to the end: of what the cycle itself writes, that moves."""
        return {at: self.log.end(*at) if at[0] in own else end for at, end in desk.ends.items()}

    def _cycle_rests(self, desk: _Desk) -> bool:
        """Whether none of the flows that read each other, this shard's own among them, can cause another row."""
        kinds = self.cycles.get(desk.shard.kind, [])
        own = {topic.name for kind in kinds for topic in kind.outputs}
        ring = [one for one in self.desks.values() if one.shard.kind in kinds and not one.done]
        steps = [one.steps for one in ring]
        if any(not one.opened or (one.pending and one is not desk) for one in ring):
            return False
        rests = all(
            one.ends and not one.shard.has_outputs and one.shard.at_end(self._ends_within(one, own))
            for one in ring
        )
        # Other workers may have gone on meanwhile: then what was seen was never so at once.
        return rests and steps == [one.steps for one in ring]


def run(
    log_url: str,
    flow_names: Sequence[str] = (),
    params: Mapping[str, Params] | None = None,
    *,
    workers: int = 1,
    until_end: bool = False,
    options: ShardOptions | None = None,
    stop: Event | None = None,
) -> None:
    """Run flows on a log until told to stop, or until the log's present end.

    Parameters
    ----------
    log_url : str
        As `connectors.log.open_log` takes it; the topics are there.
    flow_names : sequence of str
        Which flows of the catalogue; all of them if empty.
    params : mapping of flow name to Params
        Parameters; a flow that is not named gets its defaults.
    workers : int
        Bytewax worker threads.
    until_end : bool
        Whether to stop at the end that the log has now, what these flows add to it included.
    options : ShardOptions or None
        How the shards work.
    stop : threading.Event or None
        Set it to stop: every shard that has begun commits, takes a snapshot and closes.

    Raises
    ------
    Exception
        As the shard that failed raised it: a FlowError, LogError, CodecError or CalendarError, say.
    """
    known = flows_named(flow_names) if flow_names else catalog()
    unknown = [name for name in flow_names if name not in known]
    if unknown:
        raise FlowError(f"no flow {', '.join(unknown)}; there are {', '.join(catalog())}")
    kinds = [known[name] for name in flow_names] if flow_names else list(known.values())
    with open_log(log_url) as log:
        run_kinds(
            log, kinds, params, workers=workers, until_end=until_end, options=options, stop=stop
        )


def run_kinds(
    log: Log,
    kinds: Sequence[type[Flow]],
    params: Mapping[str, Params] | None = None,
    *,
    workers: int = 1,
    until_end: bool = False,
    options: ShardOptions | None = None,
    stop: Event | None = None,
) -> None:
    """As `run`, for classes and an open log."""
    desks: dict[str, _Desk] = {}
    for place, kind in enumerate(in_order(kinds)):
        given = (params or {}).get(kind.name) or kind.params_type()
        for index in range(prepare(log, kind)):
            shard = Shard(log, kind, given, index, options or ShardOptions())
            # Bytewax works keys that are due at once in their order: who reads comes behind who writes, and
            # has its rows the sooner by a round.
            desks[f"{place:03d} {shard.name}"] = _Desk(shard=shard)
    ends = {
        (one.name, partition): log.end(one.name, partition)
        for kind in kinds
        for one in kind.inputs
        for partition in range(log.topics()[one.name].partitions)
    }
    this = _Run(
        log=log,
        kinds=kinds,
        desks=desks,
        workers=workers,
        until_end=until_end,
        stop=stop or Event(),
        cycles=cycles(kinds),
        ends=ends,
    )
    flow = Dataflow("tapeflow")
    tokens = op.input("log", flow, _Source(this))
    steps = op.stateful_batch("shard", tokens, lambda _: _Step(this))
    op.output("done", steps, _Sink())
    try:
        _cluster_main(flow, [], 0, worker_count_per_proc=workers)
    except BytewaxRuntimeError as error:
        if error.__cause__ is None:
            raise
        # As the shard raised it, whichever it is: who called knows which errors are told in one message.
        raise error.__cause__ from error


class _Source(FixedPartitionedSource[tuple[str, str], None]):
    """One partition a worker; its items are tokens: a shard has something to do."""

    def __init__(self, this: _Run) -> None:
        self._run = this
        self._bells = {
            f"bell-{at}": list(this.desks)[at :: this.workers] for at in range(this.workers)
        }

    def list_parts(self) -> list[str]:
        return [name for name, shards in self._bells.items() if shards]

    def build_part(self, step_id: str, for_part: str, resume_state: None) -> "_Bell":
        del step_id, resume_state
        return _Bell(self._run, self._bells[for_part])


class _Bell(StatefulSourcePartition[tuple[str, str], None]):
    """Rings for its shards when they have something to read, or something to commit for too long.

    One look at the log serves all of them, so that an idle platform costs next to nothing.
    """

    def __init__(self, this: _Run, names: list[str]) -> None:
        self._run = this
        self._desks = {name: this.desks[name] for name in names}
        self._rung_at = 0.0

    def next_batch(self) -> Iterable[tuple[str, str]]:
        if all(desk.done for desk in self._desks.values()):
            raise StopIteration
        self._run.count_partitions()
        free = {n: desk for n, desk in self._desks.items() if not desk.pending and not desk.done}
        due = [name for name, desk in free.items() if self._is_due(desk)]
        quiet = [name for name in free if name not in due]
        sleep_s = 0.0 if due else self._sleep_s()
        if quiet and self._run.log.wait(self._positions(quiet), sleep_s):
            due += [name for name in quiet if self._run.has_news(free[name])]
        now = monotonic()
        for name in due:
            free[name].pending = True
            free[name].steps += 1
            free[name].rung_at = self._rung_at = now
        if not due and self._run.workers > 1:
            sleep(_BUSY_S if now - self._rung_at < _BUSY_FOR_S else _IDLE_S)
        return [(name, name) for name in due]

    def _is_due(self, desk: _Desk) -> bool:
        if not desk.opened or self._run.finished(desk) or self._run.is_stuck(desk):
            return True
        if desk.counts is not self._run.counts:
            return True
        waited = monotonic() - desk.rung_at
        return waited >= desk.shard.options.idle_commit_s and desk.shard.dirty

    def _sleep_s(self) -> float:
        """How long this worker need not do anything but what the log will wake it for."""
        left = [desk for desk in self._desks.values() if not desk.done]
        if self._run.workers > 1 or any(desk.pending for desk in left):
            return 0.0
        now = monotonic()
        commits = [
            desk.rung_at + desk.shard.options.idle_commit_s - now
            for desk in left
            if desk.shard.dirty
        ]
        return max(0.0, min([_SLEEP_S, *commits]))

    def _positions(self, names: list[str]) -> dict[tuple[str, int], int]:
        """The first positions that any of the shards reads on from."""
        first: dict[tuple[str, int], int] = {}
        for name in names:
            for where, offset in self._desks[name].shard.wanted().items():
                first[where] = min(offset, first.get(where, offset))
        return first

    def next_awake(self) -> datetime | None:
        return _AT_ONCE

    def snapshot(self) -> None:
        return None


class _Step(StatefulBatchLogic[str, int, None]):
    """Works a shard when its bell has rung; which shard, the token says."""

    def __init__(self, this: _Run) -> None:
        self._run = this

    def on_batch(self, values: list[str]) -> tuple[Iterable[int], bool]:
        desk = self._run.desks[values[-1]]
        if self._run.stop.is_set():
            # Without a last look at the log: while brokers are away, each shard would wait for them.
            self._end(desk)
            return [], StatefulBatchLogic.RETAIN
        if not desk.opened:
            desk.shard.open()
            desk.opened = True
        number = desk.shard.number
        rows = [self._work(desk)]
        if desk.shard.number != number:
            rows += [self._work(other) for other in self._answering(desk)]
        desk.pending = False
        return rows, StatefulBatchLogic.RETAIN

    def _work(self, desk: _Desk) -> int:
        counts = self._run.counts
        if desk.counts is not counts:
            desk.shard.take_in(counts)
            desk.counts = counts
        before = desk.shard.positions()
        rows = desk.shard.step()
        if self._run.finished(desk):
            self._end(desk)
        elif desk.ends and desk.shard.positions() == before:
            desk.shard.refuse_to_wait()
        return rows

    def _end(self, desk: _Desk) -> None:
        # One that has not begun need not find its way back to its state, which may be long.
        if desk.opened:
            desk.shard.close()
        desk.done = True

    def _answering(self, desk: _Desk) -> Iterator[_Desk]:
        """The other flows of a cycle, which take their turn at once: a round of Bytewax takes as long as a step."""
        if self._run.workers > 1:
            return
        kind = desk.shard.kind
        kinds = [one for one in self._run.cycles.get(kind, ()) if one is not kind]
        for other in self._run.desks.values():
            free = other.opened and not (other.pending or other.done)
            if free and other.shard.kind in kinds and self._run.has_news(other):
                other.steps += 1
                other.rung_at = monotonic()
                yield other

    def snapshot(self) -> None:
        return None


class _Sink(DynamicSink[Any]):
    """Takes the steps' counts; the log has the rows."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "_Nowhere":
        del step_id, worker_index, worker_count
        return _Nowhere()


class _Nowhere(StatelessSinkPartition[Any]):
    def write_batch(self, items: list[Any]) -> None:
        del items
