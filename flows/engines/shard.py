"""One shard of a flow on a log: reads, computes, commits, recovers. The same in every engine."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import monotonic

from connectors.control import control_record, progress_topic, snapshots_topic
from connectors.crash_points import crash_point
from connectors.log import Log, NewRecord, TopicConfig
from flows.engines.outbox import Outbox
from flows.engines.progress import Progress, last_progress, params_hash
from flows.engines.reading import Run, follows_runs
from flows.engines.recovery import Recovered, Recovery
from flows.engines.segments import Segment
from flows.engines.snapshots import save
from flows.flow import Flow, FlowError, Params
from schemas.codec import HEADER_COMMIT, HEADER_FLOW, HEADER_SHARD
from schemas.faults import LATE


class EpochError(FlowError):
    """A flow was started with another version or other parameters than its last progress record's."""


@dataclass(frozen=True, kw_only=True)
class ShardOptions:
    """How a shard works; none of it changes what it emits.

    Parameters
    ----------
    read_bytes : int
        Bound of one read of one input.
    commit_s : float
        Least time between two commits while rows keep coming.
    idle_commit_s : float
        After so long without outputs, progress is committed all the same.
    commit_rows : int
        With so many rows read since the last commit, commit at once.
    snapshot_rows : int
        After so many rows read, watermark rows among them, a snapshot is taken: a restart computes again
        no more than that.
    held_rows : int
        With so many rows of an input held (EVENT order), it is not read until others have caught up.
    new_epoch : bool
        Whether another version or other parameters may begin a new epoch.
    on_commit : callable or None
        Told of each commit, once the log has it: its progress and its records, for metrics.
    """

    read_bytes: int = 4 << 20
    commit_s: float = 0.0
    idle_commit_s: float = 0.1
    commit_rows: int = 250_000
    snapshot_rows: int = 2_000_000
    held_rows: int = 1_000_000
    new_epoch: bool = False
    on_commit: Callable[[Progress, Sequence[NewRecord]], None] | None = None


def prepare(log: Log, kind: type[Flow]) -> int:
    """Make a flow's control topics; the count of its shards.

    Raises
    ------
    FlowError
        Where the log lacks one of its topics, or its partitioned inputs differ in partition count.
    """
    topics = log.topics()
    wanted = [one.name for one in kind.inputs] + [topic.name for topic in kind.outputs]
    missing = [name for name in wanted if name not in topics]
    if missing:
        raise FlowError(
            f"flow {kind.name!r}: the log {log.url} has no topic {', '.join(missing)}; "
            "`tapeflow topics` lists those there are, any verb that writes makes those of the platform"
        )
    counts = {one.name: topics[one.name].partitions for one in kind.inputs if not one.broadcast}
    if len(set(counts.values())) != 1:
        raise FlowError(
            f"flow {kind.name!r}: its partitioned inputs must have the same partition count, "
            f"they have {counts}; re-key one of them through the log"
        )
    shards = next(iter(counts.values()))
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
        self._hash = params_hash(params)
        self._runs: list[Run] = []
        self._rows_uncommitted = 0
        self._rows_since_snapshot = 0
        self._committed_at = monotonic()

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
        """
        self._writer = self.log.writer(self.name)
        self._outbox = self._new_outbox()
        last = last_progress(self.log, self.kind, self.index)
        if last is None:
            self._take_over(self._recovery().afresh())
            self._begin_epoch(number=0, epoch=0)
            return
        self._progress_offset, self._progress = last
        lost = self._writer.number != self._progress.number
        same = (self._progress.version, self._progress.params_hash) == (
            self.kind.version,
            self._hash,
        )
        if same and not lost:
            self._take_over(self._recovery().from_snapshot(self._progress))
        elif self.options.new_epoch:
            self._take_over(self._recovery().for_new_epoch(self._progress))
            self._begin_epoch(number=self._writer.number, epoch=self._progress.epoch)
        elif lost:
            raise FlowError(
                f"{self.name}: the log's last commit is number {self._writer.number}, the last "
                f"progress record says {self._progress.number}: the log has lost records, as a "
                "repair of a damaged one does. `tapeflow replay --compare` says which rows are gone; "
                "start with --new-epoch to go on behind the last progress record"
            )
        else:
            raise EpochError(
                f"{self.name}: the last progress record is of version {self._progress.version}, parameters "
                f"{self._progress.params_hash[:12]}; this is version {self.kind.version}, parameters "
                f"{self._hash[:12]}. Start it with --new-epoch to go on with these from here"
            )

    def step(self) -> int:
        """Read what there is (bounded), compute, commit where it is time; the count of rows read."""
        read = 0
        for at, partition in self._reader.sources:
            if self._stepper.held(at) >= self.options.held_rows:
                continue
            name = self.kind.inputs[at].name
            before = self._reader.positions[name][partition]
            for segment in self._reader.read(at, partition):
                read += self._take(segment)
            reached = self._reader.positions[name][partition]
            if reached != before and follows_runs(self.kind):
                self._runs.append((name, partition, reached))
        self._rows_uncommitted += read
        if self._is_time(read):
            self.commit()
        return read

    @property
    def dirty(self) -> bool:
        """Whether something was read or computed that no commit holds yet."""
        return bool(self._outbox) or self._reader.positions != self._progress.positions

    def positions(self) -> dict[tuple[str, int], int]:
        """Where the shard reads on, as `Log.wait` takes it."""
        return self._reader.flat()

    def at_end(self, ends: dict[tuple[str, int], int]) -> bool:
        """Whether everything before these positions has been read."""
        return all(offset >= ends.get(where, 0) for where, offset in self.positions().items())

    def waiting(self) -> dict[str, int]:
        """Inputs that are not read on, with their held rows: there are too many of these."""
        held = {one.name: self._stepper.held(at) for at, one in enumerate(self.kind.inputs)}
        return {name: rows for name, rows in held.items() if rows >= self.options.held_rows}

    def commit(self) -> None:
        """Append what was computed and the progress, in one atomic commit."""
        if not self.dirty:
            return
        self._commit(
            replace(
                self._progress,
                number=self._progress.number + 1,
                epoch_offset=self._epoch_offset(),
                params=None,
                positions=_copied(self._reader.positions),
                counts={name: replace(counts) for name, counts in self._stepper.counts.items()},
                runs=self._runs,
            )
        )
        if self._rows_since_snapshot >= self.options.snapshot_rows:
            self.save_snapshot()

    def save_snapshot(self) -> None:
        """Append a snapshot of the committed state."""
        self._rows_since_snapshot = 0
        save(
            self.log,
            self.kind.name,
            self.index,
            self._stepper.snapshot(),
            number=self._progress.number,
            epoch=self._progress.epoch,
            progress_offset=self._progress_offset,
            positions=self._progress.positions,
        )

    def close(self) -> None:
        """Commit what is left, take a snapshot so that the next start is quick, and let go."""
        self.commit()
        if self._rows_since_snapshot:
            self.save_snapshot()
        self._writer.close()

    def _take(self, segment: Segment) -> int:
        self._outbox.put(self._stepper.take(segment))
        self._rows_since_snapshot += segment.length
        return 0 if segment.rows is None else segment.rows.batch.num_rows

    def _is_time(self, read: int) -> bool:
        if not self.dirty:
            return False
        since = monotonic() - self._committed_at
        if self._rows_uncommitted >= self.options.commit_rows:
            return True
        if self._outbox:
            return since >= self.options.commit_s
        return not read and since >= self.options.idle_commit_s

    def _commit(self, progress: Progress) -> None:
        headers = (
            (HEADER_FLOW, f"{self.kind.name}/{self.kind.version}".encode()),
            (HEADER_SHARD, str(self.index).encode()),
            (HEADER_COMMIT, str(progress.number).encode()),
        )
        records = self._outbox.records(headers)
        records.append(control_record(progress_topic(self.kind.name), self.index, progress.value()))
        crash_point("shard: outputs prepared")
        offsets = self._writer.commit(records, progress.number)
        crash_point("shard: committed")
        self._progress = progress
        self._progress_offset = offsets[-1]
        self._runs = []
        self._rows_uncommitted = 0
        self._committed_at = monotonic()
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

    def _epoch_offset(self) -> int:
        begun = self._progress.epoch_offset
        return self._progress_offset if begun is None else begun

    def _begin_epoch(self, *, number: int, epoch: int) -> None:
        self._commit(
            Progress(
                flow=self.kind.name,
                version=self.kind.version,
                shard=self.index,
                number=number + 1,
                epoch=epoch + 1,
                epoch_offset=None,
                params_hash=self._hash,
                params=self.params.model_dump(mode="json"),
                positions=_copied(self._reader.positions),
                counts={name: replace(counts) for name, counts in self._stepper.counts.items()},
            )
        )

    def _recovery(self) -> Recovery:
        return Recovery(
            self.log, self.kind, self.index, self.params, max_bytes=self.options.read_bytes
        )

    def _take_over(self, recovered: Recovered) -> None:
        self._stepper = recovered.stepper
        self._reader = recovered.reader
        self._rows_since_snapshot = recovered.rows

    def _new_outbox(self) -> Outbox:
        topics = self.log.topics()
        outputs = {topic.name: topic for topic in (*self.kind.outputs, LATE)}
        counts = {name: topics[name].partitions for name in outputs}
        first = self.kind.inputs[0]
        home = {}
        if not first.inbox and not first.broadcast:
            same = topics[first.name].partitions
            home = {
                name: self.index
                for name, topic in outputs.items()
                if topic.key == first.topic.key and counts[name] == same
            }
        return Outbox(counts, home)


def _copied(positions: dict[str, dict[int, int]]) -> dict[str, dict[int, int]]:
    return {topic: dict(offsets) for topic, offsets in positions.items()}
