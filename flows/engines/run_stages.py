"""Computes a run of a shard with the ordinary engine: exactly once, and resumable after a kill.

A run goes through the stages of its plan: an epoch of the live shard each, or one of other parameters. The engine's
own progress records, kept in the run's topics, say how far it has come.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from connectors.log import LogError, TruncatedError
from connectors.run_log import RunLog
from flows.engines.epochs import Epoch
from flows.engines.parameters import recorded
from flows.engines.progress import Positions, last_progress
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.engines.stretches import Reads, Stretch, runs_of
from flows.flow import Flow, FlowError

# A run ends where the live shard stood, so that what is held then was held there, too.
_MORE_HELD = 2


@dataclass(kw_only=True)
class Stage:
    """One epoch of a run.

    Parameters
    ----------
    params : dict
        Its parameters.
    version : int
        Version of the flow that it was, live.
    begin : dict of topic to dict of partition to offset
        Where its inputs begin.
    marks : list of such positions
        Where a commit must end, in order; the last is where the stage does.
    reads : list of Reads
        In ARRIVAL order: where the live log holds the order in which the live shard read.
    carried : bool
        Whether it begins with the state of the stage before.
    """

    params: dict[str, object]
    version: int
    begin: Positions
    marks: list[Positions]
    reads: list[Reads] = field(default_factory=list)
    carried: bool = False

    def goes_on(self, epoch: Epoch) -> bool:
        """Whether an epoch is this stage once more: what lost records begin, with parameters and state as before."""
        return epoch.carried and (epoch.version, epoch.params) == (self.version, self.params)


def stages_of(stretch: Stretch) -> list[Stage]:
    """The stages of a stretch; where its compared part begins, a commit ends."""
    found: list[tuple[int, Stage]] = []
    for part in stretch.parts:
        epoch = part.epoch
        if found and (found[-1][0] == epoch.number or found[-1][1].goes_on(epoch)):
            found[-1][1].marks.append(epoch.end)
            found[-1][1].reads += part.reads
            continue
        stage = Stage(
            params=epoch.params,
            version=epoch.version,
            begin=epoch.begin,
            marks=[epoch.end],
            reads=list(part.reads),
            carried=epoch.carried,
        )
        found.append((epoch.number, stage))
    return [stage for _, stage in found]


def run_stages(
    log: RunLog,
    kind: type[Flow],
    shard: int,
    stages: Sequence[Stage],
    tell: Callable[[int, int], None] = lambda _rows, _records: None,
) -> int:
    """Compute a shard's stages, from where an earlier attempt of the same run stopped.

    Parameters
    ----------
    log : RunLog
        The run's.
    kind, shard : type of Flow, int
        Which.
    stages : sequence of Stage
        All of them, those that are done already included.
    tell : callable
        Told rows read and input records passed since it was told last.

    Returns
    -------
    int
        Rows read.

    Raises
    ------
    FlowError
        Where a stage is of another version than is installed, or cannot be told from the one before it.
    TruncatedError
        Where the log no longer has the beginning.
    """
    prepare(log, kind)
    rows = 0
    before: Stage | None = None
    begin: Positions = {}
    for number, stage in enumerate(stages, 1):
        _check(kind, shard, number, stage, before)
        before = stage
        # State that is carried may have to be computed from where it began.
        begin = begin if stage.carried else stage.begin
        last = last_progress(log, kind, shard)
        reached = 0 if last is None else last[1].epoch
        if reached > number:
            continue
        _begin_at(log, begin)
        log.ends.clear()
        if number == 1:
            _check_begin(log)
        options = ShardOptions(
            new_epoch=0 < reached < number, forget_state=not stage.carried, hold_more=True
        )
        params = recorded(kind, stage.params)
        rows += _Driver(log, Shard(log, kind, params, shard, options), stage, tell).run()
    return rows


class _Driver:
    """Lets a shard read up to a stage's marks, in the order of its runs."""

    def __init__(
        self, log: RunLog, shard: Shard, stage: Stage, tell: Callable[[int, int], None]
    ) -> None:
        self._log = log
        self._shard = shard
        self._stage = stage
        self._tell = tell
        self._rows = 0

    def run(self) -> int:
        """Go to the stage's end; the rows read."""
        self._shard.open()
        self._log.ends.update(self._live(self._shard.positions()))
        live, kind = self._log.live, self._shard.kind
        reads = self._stage.reads if live is not None else []
        runs = runs_of(reads, live or self._log, kind, self._shard.index)
        for topic, partition, upto in runs or ():
            where = (topic, partition)
            if upto > self._log.ends.get(where, upto):
                self._log.ends[where] = upto
                self._read()
        for mark in self._stage.marks:
            flat = {(t, p): offset for t, places in mark.items() for p, offset in places.items()}
            ends = self._log.ends
            self._log.ends.update(
                {where: max(end, ends.get(where, end)) for where, end in self._live(flat).items()}
            )
            self._read()
            self._shard.commit()
        self._shard.close()
        return self._rows

    def _live(self, positions: dict[tuple[str, int], int]) -> dict[tuple[str, int], int]:
        """Of positions those in live topics: the run's own are read to their end."""
        return {where: at for where, at in positions.items() if not self._log.is_own(where[0])}

    def _read(self) -> None:
        """Read all that can be seen."""
        while True:
            before = self._shard.positions()
            rows = self._shard.step()
            after = self._shard.positions()
            self._rows += rows
            self._tell(rows, sum(after.values()) - sum(before.values()))
            if after != before:
                continue
            ends = {where: self._log.end(*where) for where in after}
            if self._shard.at_end(ends):
                return
            if not self._shard.waiting():
                raise LogError(
                    f"{self._shard.name} of run {self._log.run}: the inputs end at {after}, and the live "
                    f"shard has read up to {ends}: the log has lost records; replay from the lake"
                )
            held = self._shard.options.held_rows
            self._shard.options = replace(self._shard.options, held_rows=held * _MORE_HELD)


def _begin_at(log: RunLog, positions: Positions) -> None:
    log.begins.clear()
    for topic, places in positions.items():
        if not log.is_own(topic):
            log.begins.update({(topic, partition): at for partition, at in places.items()})


def _check(kind: type[Flow], shard: int, number: int, stage: Stage, before: Stage | None) -> None:
    where = f"flow {kind.name!r} shard {shard}: epoch {number}"
    if stage.version != kind.version:
        raise FlowError(
            f"{where} was computed by version {stage.version}, and version {kind.version} is installed; "
            "install that version to replay it, or say with --params what it is to be computed with"
        )
    if before is not None and before.params == stage.params:
        raise FlowError(
            f"{where} has the parameters of the one before: it was begun because the log had lost records, "
            "and a run cannot lose them again; compare without --into, or give --params"
        )


def _check_begin(log: RunLog) -> None:
    for (topic, partition), begin in log.begins.items():
        if log.start(topic, partition) > begin:
            raise TruncatedError(
                f"{topic}[{partition}]: the live flow began at offset {begin}, and the log begins at "
                f"{log.start(topic, partition)} now: older records were trimmed; replay from the lake"
            )
