"""Computes a run: outputs of flows beside the live ones, by the ordinary engine, up to where the live flows stood."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from connectors.control import progress_topic, snapshots_topic
from connectors.log import Log, TopicConfig
from connectors.run_log import check_run_name, run_topic, topics_of_run
from flows.catalog import catalog
from flows.engines.compare import outputs_of
from flows.engines.local import in_order
from flows.engines.parameters import recorded
from flows.engines.progress import Positions, last_progress, shard_count
from flows.engines.run_stages import Stage, stages_of
from flows.engines.stretches import stretch_of
from flows.flow import Flow, FlowError, Params
from schemas.topic import Kind
from serving.replay_bounds import bounds_of
from serving.replay_pool import Pool
from serving.replay_tasks import ComputeRun, LogAt, Tally
from serving.run_landing import land_run
from serving.run_manifest import Arguments, Manifest, begin_run, end_run, read_manifest


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where things are.

    Parameters
    ----------
    log : str
        URL of the live log, which keeps the runs, too.
    source : str
        URL of what is replayed: the live log's, or its lake's (``lake:///…``).
    store, lake : str and Path, or None
        Where a run lands; None to leave that out.
    """

    log: str
    source: str
    store: str | None = None
    lake: Path | None = None

    @property
    def live(self) -> LogAt:
        """What is replayed."""
        return LogAt(url=self.source)

    def alone(self, run: str) -> LogAt:
        """A run's topics, and nothing else."""
        return LogAt(url=self.source, run=run, kept_in=self.log)


def make_run(
    places: Places,
    run: str,
    arguments: Arguments,
    usual: Mapping[str, Params],
    pool: Pool,
) -> Manifest:
    """Compute a run, or what is missing of it, and land it.

    Parameters
    ----------
    places : Places
        Where.
    run : str
        Its name.
    arguments : Arguments
        What is asked for; of a run that is there already they must be the same.
    usual : mapping of str to Params
        The settings' parameters of every flow, for those that have never run.
    pool : Pool
        Who does it.

    Raises
    ------
    FlowError
        For a flow or range that there is not; where the run is there with other arguments.
    connectors.log.LogError
        For a name that no run may have.
    """
    check_run_name(run, catalog())
    kept_in, source = pool.logs.at(LogAt(url=places.log)), pool.logs.at(places.live)
    manifest = read_manifest(kept_in, run)
    if manifest is None:
        manifest = begin_run(kept_in, _begun(source, run, arguments))
    _refuse_others(manifest, arguments)
    if manifest.done_ns is None:
        _compute(places, source, kept_in, manifest, usual, pool)
        _tally(places, kept_in, run, pool)
    if places.store is not None and places.lake is not None:
        own = {topic.name for name in manifest.flows for topic in outputs_of(catalog()[name])}
        land_run(kept_in, run, places.store, places.lake, own)
    found = read_manifest(kept_in, run)
    assert found is not None  # noqa: S101 - it was begun above
    return found


def _begun(source: Log, run: str, arguments: Arguments) -> Manifest:
    known = catalog()
    topics = source.topics()
    bounds = bounds_of(source, arguments.begin, arguments.end)
    names = arguments.flows
    if names is None:
        names = [name for name in known if _last_commits(source, known[name])]
    _refuse_unknown(names)
    if not names:
        raise FlowError(f"run {run!r}: no flow has run on {source.url}; name those to compute")
    if (bounds.from_offsets or bounds.to_offsets) and arguments.params is not None:
        raise FlowError(
            f"run {run!r}: offsets and other parameters do not go together, as topics that the run writes "
            "have other offsets; say --from and --to as times"
        )
    inputs = {one.name for name in names for one in known[name].inputs}
    return Manifest(
        run=run,
        arguments=arguments,
        commits={name: _last_commits(source, known[name]) for name in names},
        ends={
            name: [source.end(name, partition) for partition in range(topics[name].partitions)]
            for name in sorted(inputs & topics.keys())
        },
    )


def _last_commits(source: Log, kind: type[Flow]) -> dict[str, int]:
    found = {
        str(shard): last_progress(source, kind, shard) for shard in range(shard_count(source, kind))
    }
    return {shard: last[1].number for shard, last in found.items() if last is not None}


def _refuse_unknown(names: Sequence[str]) -> None:
    unknown = [name for name in names if name not in catalog()]
    if unknown:
        raise FlowError(f"no flow {', '.join(unknown)}; there are {', '.join(catalog())}")


def _refuse_others(manifest: Manifest, arguments: Arguments) -> None:
    there, asked = manifest.arguments.__dict__, arguments.__dict__
    other = [name for name in there if there[name] != asked[name]]
    if other:
        words = {"begin": "--from", "end": "--to", "source": "--from-lake"}
        told = "; ".join(
            f"{words.get(name, '--' + name)} was {there[name]!r}, and is {asked[name]!r} now"
            for name in other
        )
        raise FlowError(
            f"run {manifest.run!r} is there already, of other arguments: {told}. Take another name, repeat its "
            f"arguments to resume it, or drop it: `tapeflow runs drop {manifest.run}`"
        )


def _compute(
    places: Places,
    source: Log,
    kept_in: Log,
    manifest: Manifest,
    usual: Mapping[str, Params],
    pool: Pool,
) -> None:
    kinds = in_order([catalog()[name] for name in manifest.flows])
    topics = source.topics()
    for kind in kinds:
        for topic in outputs_of(kind):
            name = run_topic(manifest.run, topic.name)
            kept_in.create_topic(TopicConfig(name=name, partitions=topics[topic.name].partitions))
    chained = manifest.arguments.params is not None
    for level in _levels(kinds) if chained else [kinds]:
        tasks = []
        for kind in level:
            log = LogAt(
                url=places.source,
                run=manifest.run,
                kept_in=places.log,
                own=_own(kind, kinds, chained=chained),
                begun_ns=manifest.begun_ns,
            )
            for shard, stages in enumerate(_stages(source, manifest, kind, usual.get(kind.name))):
                if stages:
                    tasks.append(
                        ComputeRun(log=log, flow=kind.name, shard=shard, stages=tuple(stages))
                    )
        pool.run(tasks)


def _own(kind: type[Flow], kinds: Sequence[type[Flow]], *, chained: bool) -> frozenset[str]:
    """Topics that a flow of a run finds in the run.

    Those it writes. With other parameters also those that other flows of the run write, unless feeds write them,
    too. Without, what it read live is the same rows, and tells how far it had come when the run began.
    """
    own = {topic.name for topic in outputs_of(kind)}
    own |= {progress_topic(kind.name), snapshots_topic(kind.name)}
    if chained:
        own |= {topic.name for one in kinds for topic in one.outputs if topic.kind is Kind.DERIVED}
    return frozenset(own)


def _levels(kinds: Sequence[type[Flow]]) -> list[list[type[Flow]]]:
    """Flows that do not depend on each other, level by level."""
    level: dict[str, int] = {}
    for kind in kinds:
        inputs = {one.name for one in kind.inputs}
        before = [
            level[one.name]
            for one in kinds
            if one.name in level and inputs & {topic.name for topic in one.outputs}
        ]
        level[kind.name] = max(before, default=-1) + 1
    return [
        [kind for kind in kinds if level[kind.name] == number]
        for number in range(max(level.values(), default=-1) + 1)
    ]


def _stages(
    source: Log, manifest: Manifest, kind: type[Flow], usual: Params | None
) -> list[list[Stage]]:
    """Shard to its stages."""
    arguments = manifest.arguments
    params = usual or kind.params_type()
    if arguments.params is not None and kind.name in arguments.params:
        params = kind.params_type(**arguments.params[kind.name])
    commits = manifest.commits[kind.name]
    if not commits:
        return _stages_of_new(source, manifest, kind, params)
    bounds = bounds_of(source, arguments.begin, arguments.end)
    found: list[list[Stage]] = []
    for shard in range(shard_count(source, kind)):
        commit = commits.get(str(shard))
        stretch = (
            None
            if commit is None
            else stretch_of(source, kind, shard, bounds, commit=commit, from_beginning=True)
        )
        if stretch is None:
            found.append([])
            continue
        if arguments.params is not None:
            if kind.name not in arguments.params:
                # One epoch, as its inputs may be the run's: these do not tell where an epoch ended.
                params = recorded(kind, stretch.compared[-1].epoch.params)
            stretch = stretch.with_params(kind.version, params)
        found.append(stages_of(stretch))
    return found


def _stages_of_new(
    source: Log, manifest: Manifest, kind: type[Flow], params: Params
) -> list[list[Stage]]:
    """For a flow that has never run: all that the log had when the run began."""
    topics = source.topics()
    own = [one.name for one in kind.inputs if not one.broadcast]
    shards = topics[own[0]].partitions
    found = []
    for shard in range(shards):
        begin: Positions = {}
        end: Positions = {}
        for one in kind.inputs:
            places = range(topics[one.name].partitions) if one.broadcast else [shard]
            begin[one.name] = {place: source.start(one.name, place) for place in places}
            end[one.name] = {place: manifest.ends[one.name][place] for place in places}
        stage = Stage(
            params=params.model_dump(mode="json"), version=kind.version, begin=begin, marks=[end]
        )
        found.append([stage])
    return found


def _tally(places: Places, kept_in: Log, run: str, pool: Pool) -> None:
    """Count what the run has, and write that it is complete."""
    tasks = [
        Tally(log=places.alone(run), topic=name, partition=partition)
        for name, config in topics_of_run(kept_in, run).items()
        for partition in range(config.partitions)
    ]
    rows: dict[str, int] = {}
    sums: dict[str, int] = {}
    size = 0
    for task, (count, total, held) in zip(tasks, pool.run(tasks), strict=True):
        size += held
        if not task.topic.startswith("_"):
            rows[task.topic] = rows.get(task.topic, 0) + count
            sums[task.topic] = (sums.get(task.topic, 0) + total) % (1 << 128)
    digests = {name: f"{total:032x}" for name, total in sums.items()}
    end_run(kept_in, run, rows=rows, digests=digests, size_bytes=size)
