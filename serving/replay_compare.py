"""Compares what flows have emitted with what is computed again, or with runs; in parallel over shards."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.control import progress_topic
from connectors.log import Log
from flows.catalog import catalog
from flows.engines.bounds import Bounds
from flows.engines.compare import Comparison, outputs_of
from flows.engines.differences import differing_keys
from flows.engines.origin import outputs_cut
from flows.engines.progress import Positions, read_progress, shard_count
from flows.engines.sides import Summary, merge
from flows.engines.stretches import Stretch, stretch_of, warmed
from flows.flow import Flow, FlowError, Params
from schemas.faults import LATE
from schemas.topic import Kind
from serving.replay_bounds import bounds_of
from serving.replay_pool import Pool
from serving.replay_tasks import Compute, Explain, LogAt, RowsAt, ShardOf, SumUp
from serving.run_making import Places
from serving.run_manifest import Manifest

LIVE = "live"


@dataclass(frozen=True, kw_only=True)
class Range:
    """What is compared: ``--from`` and ``--to``, and whether snapshots may be used."""

    begin: str | None = None
    end: str | None = None
    cold: bool = False


ALL = Range()


def compare_again(
    places: Places,
    names: Sequence[str],
    pool: Pool,
    *,
    within: Range = ALL,
    params: Mapping[str, Params] | None = None,
    run: Manifest | None = None,
) -> list[Comparison]:
    """What the live flows (or a run) have emitted, against the same computed again from the inputs.

    Parameters
    ----------
    places : Places
        Where.
    names : sequence of str
        Flows; all that have run where empty.
    pool : Pool
        Who does it.
    within : Range
        What is compared.
    params : mapping of flow name to Params, or None
        Other parameters than those of each epoch; a flow that is not named keeps its own.
    run : Manifest or None
        A run to compare with; None for the live topics.

    Raises
    ------
    FlowError
        For a name that is no flow's.
    """
    pairs = []
    log = pool.logs.at(places.live)
    bounds = bounds_of(log, within.begin, within.end, cold=within.cold)
    kinds = [
        kind
        for kind in _kinds(names if names or run is None else run.flows)
        if shard_count(log, kind)
    ]
    _refuse_chained(kinds, params or {})
    for kind in kinds:
        _refuse_missing(log, kind)
        for shard in range(shard_count(log, kind)):
            other = params is not None and kind.name in params
            stretch = stretch_of(log, kind, shard, bounds, from_beginning=other)
            if stretch is None:
                continue
            if params is not None and other:
                again = stretch.with_params(kind.version, params[kind.name])
            else:
                again = stretch = _warmed(log, kind, stretch, bounds)
            right = RowsAt(log=places.live, stretch=again, computed=True)
            pairs.append((RowsAt(log=places.live, stretch=stretch, computed=False), right))
    if run is not None:
        pairs = [(_of_run(places, run, left.stretch, pool), right) for left, right in pairs]
    return _compared(pairs, pool)


def compare_run(
    places: Places, run: Manifest, other: Manifest | None, pool: Pool, within: Range = ALL
) -> list[Comparison]:
    """A run against the live topics as they were when it began, or against another run.

    Parameters
    ----------
    places : Places
        Where.
    run : Manifest
        The run; its side is called "computed".
    other : Manifest or None
        The other run; None for live.
    pool : Pool
        Who does it.
    within : Range
        What is compared; all that the run is of by default.
    """
    names = run.flows if other is None else sorted({*run.flows, *other.flows})
    arguments = run.arguments
    if within.begin is None and within.end is None:
        within = Range(begin=arguments.begin, end=arguments.end)
    pairs = []
    log = pool.logs.at(places.live)
    bounds = bounds_of(log, within.begin, within.end)
    for kind in _kinds(names):
        for shard in range(_shards(log, kind, places, run, pool)):
            commit = run.commits.get(kind.name, {}).get(str(shard))
            live = (
                None
                if commit is None
                else stretch_of(log, kind, shard, bounds, commit=commit, from_beginning=True)
            )
            if other is None and commit is not None:
                cut = _cut_since(log, kind, shard, bounds, commit)
                if cut:
                    raise FlowError(
                        f"run {run.run!r}: what {kind.name}/{shard} gave live is cut ({cut}), and the run has all of "
                        "it: make another run from the lake and compare the two (--into OTHER --from-lake "
                        f"--compare {run.run})"
                    )
            live = live or Stretch(
                flow=kind.name, shard=shard, from_ns=bounds.from_ns, to_ns=bounds.to_ns
            )
            left = (
                RowsAt(log=places.live, stretch=live, computed=False)
                if other is None
                else _of_run(places, other, live, pool)
            )
            pairs.append((left, _of_run(places, run, live, pool)))
    return _compared(pairs, pool)


def _kinds(names: Sequence[str]) -> list[type[Flow]]:
    known = catalog()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise FlowError(f"no flow {', '.join(unknown)}; there are {', '.join(known)}")
    # Each once, however often it was named: its rows would be counted as often.
    return [known[name] for name in dict.fromkeys(names or known)]


def _refuse_chained(kinds: Sequence[type[Flow]], params: Mapping[str, Params]) -> None:
    """See that no flow reads what another one gives with other parameters: only a run has those rows."""
    other = {
        topic.name: kind.name
        for kind in kinds
        if kind.name in params
        for topic in kind.outputs
        if topic.kind is Kind.DERIVED
    }
    for kind in kinds:
        for one in kind.inputs:
            changed = other.get(one.name, kind.name)
            if changed != kind.name:
                raise FlowError(
                    f"replay: flow {kind.name!r} reads {one.name}, which {changed!r} gives with other parameters, and "
                    "would be computed from the rows that it gave live. Keep a run, in which parameters go down the "
                    f"chain (--into NAME --params FILE --compare live|RUN), or compare {changed!r} alone (--flows "
                    f"{changed})"
                )


def _refuse_missing(log: Log, kind: type[Flow]) -> None:
    topics = log.topics()
    needed = [*(one.name for one in kind.inputs), LATE.name]
    missing = [name for name in needed if name not in topics]
    if missing:
        raise FlowError(
            f"flow {kind.name!r}: the log {log.url} has no topic {', '.join(missing)}: it was deleted, or the "
            "log was made by an older version; any verb that writes, such as `tapeflow run --until-end`, makes it"
        )


def _shards(log: Log, kind: type[Flow], places: Places, run: Manifest, pool: Pool) -> int:
    alone = pool.logs.at(places.alone(run.run))
    return max(shard_count(log, kind), shard_count(alone, kind))


def _warmed(log: Log, kind: type[Flow], stretch: Stretch, bounds: Bounds) -> Stretch:
    """The stretch from the nearest snapshot that leads up to what is compared.

    For offsets only: they say which commits lie before. Before a time lies what the log says, and rows that
    it has lost from before a snapshot would not be missed.
    """
    return stretch if bounds.cold or not stretch.after else warmed(log, kind, stretch)


def _cut_since(log: Log, kind: type[Flow], shard: int, bounds: Bounds, commit: int) -> str:
    """What retention has cut of a live shard's rows up to a commit, in words; empty where nothing is.

    From an event time on, who asks knows that the rows are there.
    """
    start = log.start(progress_topic(kind.name), shard)
    if start and next(read_progress(log, kind, shard, start))[1].number > commit:
        return f"its progress is kept from {start} on"
    return "" if bounds.from_ns is not None else outputs_cut(log, kind)


def _of_run(places: Places, run: Manifest, live: Stretch, pool: Pool) -> RowsAt:
    """A run's side of what is compared with a live stretch."""
    at = places.alone(run.run)
    bounds = Bounds(from_ns=live.from_ns, to_ns=live.to_ns)
    if live.after:
        bounds = replace(bounds, from_offsets=_flat(live.begin), to_offsets=_flat(live.end))
    log = pool.logs.at(at)
    stretch = stretch_of(log, catalog()[live.flow], live.shard, bounds, from_beginning=True)
    if live.after and stretch is not None and stretch.begin != live.begin:
        raise FlowError(
            f"run {run.run!r} cannot be compared with {live.flow}/{live.shard} from commit {live.after + 1} on, as "
            "none of its own commits ends there: compare all of it"
            + (
                f", with --from-lake ({live.why})"
                if live.why
                else " or by times, or make one of the same --from"
            )
        )
    empty = Stretch(flow=live.flow, shard=live.shard)
    return RowsAt(log=at, stretch=stretch or empty, computed=False)


def _flat(positions: Positions) -> dict[tuple[str, int | None], int]:
    return {
        (topic, partition): offset
        for topic, places in positions.items()
        for partition, offset in places.items()
    }


def _compared(pairs: Sequence[tuple[RowsAt, RowsAt]], pool: Pool) -> list[Comparison]:
    sides = [side for pair in pairs for side in pair]
    again = [
        Compute(log=side.log, stretch=side.stretch)
        for side in sides
        if side.computed and side.stretch.compared
    ]
    logged = _sum_ups([side for side in sides if not side.computed], pool)
    tasks: list[Compute | SumUp] = [*again, *logged]
    results: list[Any] = pool.run(tasks)
    found: dict[tuple[LogAt, bool, ShardOf], dict[str, Summary]] = defaultdict(dict)
    parts: dict[tuple[LogAt, ShardOf, str], list[Summary]] = defaultdict(list)
    for task, result in zip(tasks, results, strict=True):
        if isinstance(task, Compute):
            found[task.log, True, (task.stretch.flow, task.stretch.shard)] = result
            continue
        for shard, summary in result.items():
            parts[task.log, shard, task.topic].append(summary)
    for (log, shard, topic), summaries in parts.items():
        found[log, False, shard][topic] = merge(summaries)
    explained = pool.run([_explain(left, right, found) for left, right in pairs])
    return [one for comparisons in explained for one in comparisons]


def _sum_ups(sides: Sequence[RowsAt], pool: Pool) -> list[SumUp]:
    """One task for each partition that holds rows of any of the sides."""
    by_topic: dict[tuple[LogAt, str], list[Stretch]] = defaultdict(list)
    for side in sides:
        for topic in outputs_of(catalog()[side.stretch.flow]):
            by_topic[side.log, topic.name].append(side.stretch)
    tasks = []
    for (at, name), stretches in by_topic.items():
        log = pool.logs.at(at)
        for partition in range(log.topics()[name].partitions if name in log.topics() else 0):
            records = log.end(name, partition) - log.start(name, partition)
            if records:
                tasks.append(
                    SumUp(
                        log=at,
                        topic=name,
                        partition=partition,
                        stretches=tuple(stretches),
                        records=records,
                    )
                )
    return tasks


def _explain(
    left: RowsAt,
    right: RowsAt,
    found: Mapping[tuple[LogAt, bool, ShardOf], dict[str, Summary]],
) -> Explain:
    one, other = (
        replace(
            side,
            summaries=found.get(
                (side.log, side.computed, (side.stretch.flow, side.stretch.shard)), {}
            ),
        )
        for side in (left, right)
    )
    differ = any(
        differing_keys(one.summaries.get(name, Summary()), other.summaries.get(name, Summary()))
        for name in one.summaries.keys() | other.summaries.keys()
    )
    records = 0
    if differ and right.computed:
        records = Compute(log=right.log, stretch=right.stretch).records
    return Explain(left=one, right=other, records=records)
