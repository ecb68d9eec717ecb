"""One shard of a flow on a log: reads, computes, commits, recovers. The same in every engine."""

from collections.abc import Mapping
from dataclasses import replace
from time import monotonic

import structlog

from connectors.control import control_record, progress_topic, snapshots_topic
from connectors.crash_points import crash_point
from connectors.log import Log, TopicConfig
from flows.engines.held_limit import PauseLog, refuse_deadlock, refuse_to_wait
from flows.engines.history import EpochError, History, Reached
from flows.engines.kept import check_not_lost
from flows.engines.lookups import Lookups
from flows.engines.outbox import Outbox
from flows.engines.progress import Positions, Progress, Run
from flows.engines.reading import follows_runs, shards_of
from flows.engines.recovery import NoStateError, Recovered, Recovery
from flows.engines.segments import Segment
from flows.engines.shard_options import ShardOptions
from flows.engines.snapshots import Snapshots, Taken
from flows.flow import Flow, FlowError, Params
from schemas.codec import HEADER_COMMIT, HEADER_FLOW, HEADER_SHARD
from schemas.faults import LATE

__all__ = ["EpochError", "Shard", "ShardOptions", "prepare"]

# A shard that reads so many rows in one step, and has more to read, is behind.
_MANY_ROWS = 50_000
# Until it has caught up, commits take a tenth of its time, and come several times a second all the same.
_PACE = 10
_PACE_MOST_S = 0.25

log_line = structlog.get_logger(__name__)


def prepare(log: Log, kind: type[Flow]) -> int:
    """Make a flow's control topics; the count of its shards.

    Raises
    ------
    FlowError
        Where the log lacks one of its topics, or its partitioned inputs differ in partition count.
    """
    topics = log.topics()
    wanted = [one.name for one in kind.inputs] + [topic.name for topic in (*kind.outputs, LATE)]
    missing = [name for name in wanted if name not in topics]
    if missing:
        raise FlowError(
            f"flow {kind.name!r}: the log {log.url} has no topic {', '.join(missing)}; "
            "`tapeflow topics` lists those there are, any verb that writes makes those of the platform"
        )
    shards = shards_of(topics, kind)
    for name in (progress_topic(kind.name), snapshots_topic(kind.name)):
        log.create_topic(TopicConfig(name=name, partitions=shards))
    return shards


class Shard:
    """One shard of a flow.

    `open` fences earlier copies and brings the state back; `step` reads, computes and commits what
    there is; `close` commits what is left and takes a snapshot.

    Parameters
    ----------
    log : Log
        Inputs, outputs and control topics.
    kind : type of Flow
        The flow.
    params : Params
        Its parameters.
    index : int
        Which shard.
    options : ShardOptions
        How it works.
    """

    def __init__(
        self, log: Log, kind: type[Flow], params: Params, index: int, options: ShardOptions
    ) -> None:
        self.log = log
        self.kind = kind
        self.params = params
        self.index = index
        self.options = options
        self._history = History(kind, index, params)
        self._snapshots = Snapshots(log, kind.name, index)
        # Whether memory is what the log will have: not while a step or a commit is under way, nor ever
        # again once one of them has failed.
        self._sound = False
        self._pauses = PauseLog(self.name)
        self._lookups = Lookups(log, kind, options.look_up.get(kind.name))
        self._runs: list[Run] = []
        self._rows_uncommitted = 0
        self._rows_since_snapshot = 0
        self._committed_at = monotonic()
        self._pace_s = 0.0

    @property
    def name(self) -> str:
        """Flow and shard, such as ``bars/0``."""
        return f"{self.kind.name}/{self.index}"

    def open(self) -> None:
        """Fence earlier copies of the shard, and compute its state again up to its last progress record.

        Nothing is emitted for rows before that record: what they caused is in the log.

        Raises
        ------
        EpochError
            Where version or parameters differ from the last progress record's, unless ``new_epoch``.
        NoStateError
            Where no snapshot is whole and the rows since the epoch began are cut away, unless ``new_epoch`` (and,
            for a flow whose state is carried over epochs, ``forget_state``).
        """
        self._writer = self.log.writer(self.name)
        self._outbox = Outbox.of_shard(self.log.topics(), self.kind, self.index)
        history = self._history
        number = self._writer.number
        if not history.load(self.log):
            by_word = self.kind.carried is None or self.options.forget_state
            if number and not (self.options.new_epoch and by_word):
                how = "--new-epoch" if self.kind.carried is None else "--new-epoch --forget-state"
                raise FlowError(
                    f"{self.name}: the log knows {number} commits of it and has no progress record: the log "
                    f"has lost them. Start it with {how} to begin anew, at the start of its inputs; "
                    "rows that it has emitted are then there twice, unless their topics are made anew, too"
                )
            self._take_over(self._recovery().afresh())
            self._commit(history.begun(self._reached(), number=number))
            return
        check_not_lost(self.log, self.name, history.inputs_read, history.progress.newest)
        last = history.offset, history.progress
        carries = self.kind.carried is not None and not self.options.forget_state
        if not (self.options.new_epoch and history.needs_new_epoch(number)):
            history.refuse_another_epoch(number)
            try:
                self._take_over(self._recovery().up_to(last))
            except NoStateError:
                if not self.options.new_epoch:
                    raise
            else:
                return
        found = self._recovery().for_new_epoch(last, carried=carries)
        self._take_over(found)
        reached = self._reached()
        self._commit(history.begun(reached, number=number, carried=carries, base=found.base))
        # Without it a restart would go through all earlier epochs for what was held.
        self.save_snapshot()

    def step(self) -> int:
        """Read what there is (bounded), compute, commit where it is time; the count of rows read.

        Raises
        ------
        FlowError
            Where every input is paused for the rows of it that are held: none can come on.
        """
        self._enter()
        self._snapshots.check()
        read = 0
        news = frozenset(self.log.news(self.positions()))
        for at, partition in self._reader.sources:
            name = self.kind.inputs[at].name
            if (name, partition) not in news or self._stepper.held(at) >= self.options.held_rows:
                continue
            before = self._reader.positions[name][partition]
            for segment in self._reader.read(at, partition):
                read += self._tell_before(segment) + self._take(segment)
            reached = self._reader.positions[name][partition]
            if reached != before and follows_runs(self.kind):
                self._runs.append((name, partition, reached))
        self._rows_uncommitted += read
        paused = self.waiting()
        self._pauses.tell(self._stepper, paused)
        if self.options.hold_more and len(paused) == len(self.kind.inputs):
            self.options = replace(self.options, held_rows=2 * max(paused.values()))
        else:
            refuse_deadlock(self.name, self._stepper, paused)
        self._sound = True
        if self._is_time(read):
            self.commit()
        return read

    def take_in(self, counts: Mapping[str, int]) -> None:
        """Read on with the partitions that others have added to inboxes; ``counts`` as of `Reader.take_in`.

        Raises
        ------
        FlowError
            Where another input has more partitions than there were.
        """
        for topic, partition in self._reader.take_in(counts):
            log_line.warning("partition_added", shard=self.name, input=topic, partition=partition)

    @property
    def dirty(self) -> bool:
        """Whether something was read or computed that no commit holds yet."""
        return (
            self.has_outputs
            or self._reader.positions != self._history.progress.positions
            or list(self.waiting()) != self._history.progress.paused
        )

    @property
    def has_outputs(self) -> bool:
        """Whether something was computed that no commit holds yet."""
        return bool(self._outbox)

    @property
    def number(self) -> int:
        """Of its last commit."""
        return self._history.progress.number

    def positions(self) -> dict[tuple[str, int], int]:
        """Where the shard has come to, as `Log.wait` takes it."""
        return self._reader.flat()

    def wanted(self) -> dict[tuple[str, int], int]:
        """Where the shard reads on: its positions but those of inputs that are paused."""
        paused = self.waiting()
        return {where: at for where, at in self.positions().items() if where[0] not in paused}

    def at_end(self, ends: dict[tuple[str, int], int]) -> bool:
        """Whether everything before these positions has been read."""
        return all(offset >= ends.get(where, 0) for where, offset in self.positions().items())

    def waiting(self) -> dict[str, int]:
        """Inputs that are not read on, with their held rows: there are too many of these."""
        if self._stepper.order is None:
            return {}
        held = {one.name: self._stepper.held(at) for at, one in enumerate(self.kind.inputs)}
        return {name: rows for name, rows in held.items() if rows >= self.options.held_rows}

    def refuse_to_wait(self) -> None:
        """Refuse to end where rows that are left cannot be read for rows that are held.

        Raises
        ------
        FlowError
            Naming the inputs and what would release them.
        """
        unread = {w[0] for w, at in self.positions().items() if at < self.log.end(*w)}
        refuse_to_wait(self.name, self._stepper, self.waiting(), unread)

    def commit(self) -> None:
        """Append what was computed and the progress, in one atomic commit."""
        if not self.dirty:
            return
        due = self._rows_since_snapshot >= self.options.snapshot_rows and not self._snapshots.busy
        self._commit(self._history.next(self._reached(), self._runs, before_snapshot=due))
        if due:
            self.save_snapshot()

    def save_snapshot(self) -> None:
        """Take a snapshot of the committed state, and append it behind the shard's back."""
        self._enter()
        self._rows_since_snapshot = 0
        self._snapshots.begin(
            Taken(
                parts=self._stepper.snapshot_parts(),
                number=self._history.progress.number,
                epoch=self._history.progress.epoch,
                progress_offset=self._history.offset,
                checkpoint_offset=self._history.checkpoint,
                positions=self._history.progress.positions,
            )
        )
        self._sound = True

    def close(self) -> None:
        """Commit what is left, take a snapshot so that the next start is quick, and let go."""
        self.commit()
        if self._rows_since_snapshot:
            self.save_snapshot()
        self._snapshots.finish()
        self._writer.close()

    def _enter(self) -> None:
        """From here on memory is ahead of the log, until all has gone well.

        Raises
        ------
        FlowError
            Where it did not go well before: what is in memory may be in the log, in part, or not at all.
        """
        if not self._sound:
            raise FlowError(
                f"{self.name}: a step or a commit has failed, or it was not opened; what it holds in memory "
                "is not to be trusted. Open a new shard: it goes on from what is in the log"
            )
        self._sound = False

    def _tell_before(self, segment: Segment) -> int:
        """Let the flow know what it must before it takes a segment in; the count of rows read for it."""
        if not self._lookups.missing(self._stepper, segment):
            return 0
        # Another shard may have asked already.
        read = self._read_answers()
        missing = self._lookups.missing(self._stepper, segment)
        if missing:
            self._lookups.ask(missing)
            read += self._read_answers()
        return read

    def _read_answers(self) -> int:
        read = 0
        for at, partition in self._reader.sources:
            if at not in self._lookups.sources:
                continue
            name = self.kind.inputs[at].name
            before = self._reader.positions[name][partition]
            end = self.log.end(name, partition)
            while self._reader.positions[name][partition] < end:
                for segment in self._reader.read(at, partition):
                    read += self._take(segment)
            reached = self._reader.positions[name][partition]
            if reached != before:
                self._runs.append((name, partition, reached))
        return read

    def _take(self, segment: Segment) -> int:
        self._outbox.put(self._stepper.take(segment))
        self._rows_since_snapshot += segment.length
        return 0 if segment.rows is None else segment.rows.batch.num_rows

    def _is_time(self, read: int) -> bool:
        if not self.dirty:
            return False
        since = monotonic() - self._committed_at
        if self._rows_uncommitted + self._outbox.rows >= self.options.commit_rows:
            return True
        if not self._outbox:
            return not read and since >= self.options.idle_commit_s
        behind = read > _MANY_ROWS and self.log.wait(self.wanted(), 0.0)
        return since >= max(self.options.commit_s, self._pace_s if behind else 0.0)

    def _commit(self, progress: Progress) -> None:
        self._enter()
        headers = (
            (HEADER_FLOW, f"{self.kind.name}/{self.kind.version}".encode()),
            (HEADER_SHARD, str(self.index).encode()),
            (HEADER_COMMIT, str(progress.number).encode()),
        )
        records = self._outbox.records(headers)
        records.append(control_record(progress_topic(self.kind.name), self.index, progress.value()))
        crash_point("shard: outputs prepared")
        begun = monotonic()
        offsets = self._writer.commit(records, progress.number)
        self._pace_s = min(_PACE_MOST_S, _PACE * (monotonic() - begun))
        crash_point("shard: committed")
        self._history.committed(progress, offsets[-1])
        self._runs = []
        self._rows_uncommitted = 0
        self._committed_at = monotonic()
        self._sound = True
        self.log.note_positions(
            f"tapeflow.{self.kind.name}",
            {
                (topic, partition): offset
                for topic, offsets in progress.positions.items()
                for partition, offset in offsets.items()
            },
        )
        if self.options.on_commit is not None:
            self.options.on_commit(progress, records)

    def _reached(self) -> Reached:
        return Reached(
            positions=_copied(self._reader.positions),
            counts={name: replace(counts) for name, counts in self._stepper.counts.items()},
            paused=list(self.waiting()),
            newest={topic: dict(places) for topic, places in self._reader.newest.items()},
        )

    def _recovery(self) -> Recovery:
        return Recovery(
            self.log, self.kind, self.index, self.params, max_bytes=self.options.read_bytes
        )

    def _take_over(self, recovered: Recovered) -> None:
        self._stepper = recovered.stepper
        self._reader = recovered.reader
        self._rows_since_snapshot = recovered.rows
        self._sound = True


def _copied(positions: Positions) -> Positions:
    return {topic: dict(offsets) for topic, offsets in positions.items()}
