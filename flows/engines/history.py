"""What a shard has committed so far, as its progress records tell it, and the next one of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from connectors.log import Log
from flows.engines.progress import (
    CHECKPOINT_RECORDS,
    EpochEntry,
    Newest,
    Positions,
    Progress,
    Run,
    epoch_table,
    last_progress,
    params_hash,
)
from flows.engines.stepper import Counts
from flows.flow import Flow, FlowError, Order, Params


class EpochError(FlowError):
    """A flow was started with another version, parameters or inputs than its last progress record's."""


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How far a shard has come.

    Parameters
    ----------
    positions : dict of topic to dict of partition to offset
        Where it reads on.
    counts : dict of topic to Counts
        Rows by what became of them.
    paused : list of str
        Inputs that are not read on.
    newest : dict of topic to dict of partition to (offset, append time)
        The newest record of each partition that was read since the start.
    """

    positions: Positions
    counts: dict[str, Counts]
    paused: list[str]
    newest: Newest


class History:
    """A shard's progress.

    Parameters
    ----------
    kind, index : type of Flow, int
        Whose.
    params : Params
        Its parameters from now on.
    """

    def __init__(self, kind: type[Flow], index: int, params: Params) -> None:
        self._kind = kind
        self._index = index
        self._params = params
        self._hash = params_hash(params)
        self._epochs: list[EpochEntry] = []
        self._since_checkpoint = 0
        self.last: Progress | None = None
        self.offset = -1
        self.checkpoint = -1

    def load(self, log: Log) -> bool:
        """Read it from a log; whether there is any."""
        found = last_progress(log, self._kind, self._index)
        if found is None:
            return False
        self.offset, self.last = found
        self.checkpoint, self._epochs = epoch_table(log, self._kind, self._index, found)
        # How many records lie between is not known: the next one is a checkpoint.
        self._since_checkpoint = CHECKPOINT_RECORDS
        return True

    def needs_new_epoch(self, writer_number: int) -> bool:
        """Whether the shard cannot go on in the epoch of its last progress record.

        Parameters
        ----------
        writer_number : int
            Number of the writer's last commit.
        """
        last = self.progress
        return not self._is_same() or last.number != writer_number

    def refuse_another_epoch(self, writer_number: int) -> None:
        """Refuse to go on where a new epoch is needed.

        Raises
        ------
        EpochError, FlowError
            Saying why, and what to do.
        """
        last, name = self.progress, f"{self._kind.name}/{self._index}"
        if not self._is_same():
            raise EpochError(
                f"{name}: the last progress record is of version {last.version}, parameters "
                f"{last.params_hash[:12]}, inputs {', '.join(last.positions)}; this is version "
                f"{self._kind.version}, parameters {self._hash[:12]}, inputs "
                f"{', '.join(declared.name for declared in self._kind.inputs)}. Start it with --new-epoch "
                f"to go on with these from here{self._with_state}, or with the earlier ones to go on as before"
            )
        if last.number != writer_number:
            raise FlowError(
                f"{name}: the log's last commit is number {writer_number}, the last "
                f"progress record says {last.number}: the log has lost records, as a "
                "repair of a damaged one does. `tapeflow replay --compare` says which rows are gone; "
                "start with --new-epoch to go on behind the last progress record"
            )

    @property
    def progress(self) -> Progress:
        """The last progress record; there must be one."""
        if self.last is None:
            raise FlowError(f"{self._kind.name}/{self._index} has no progress yet: open it first")
        return self.last

    @property
    def inputs_read(self) -> Positions:
        """The last positions in what are inputs still."""
        names = {declared.name for declared in self._kind.inputs}
        return {name: at for name, at in self.progress.positions.items() if name in names}

    def begun(
        self, reached: Reached, *, number: int, carried: bool = False, base: int | None = None
    ) -> Progress:
        """The record that begins a new epoch, behind commit ``number``; ``carried``, ``base`` as of `EpochEntry`."""
        if self._epochs and self.last is not None:
            ended = replace(self._epochs[-1], end=self.last.positions, last=self.last.number)
            self._epochs = [*self._epochs[:-1], ended]
        entry = EpochEntry(
            number=len(self._epochs) + 1,
            version=self._kind.version,
            params=self._params.model_dump(mode="json"),
            first=number + 1,
            offset=None,
            begin=reached.positions,
            counts=reached.counts,
            carried=carried,
            base=base,
            layout=None if self._kind.carried is None else self._kind.carried.layout,
        )
        self._epochs = [*self._epochs, entry]
        since = None if self._kind.carried is None else entry.number
        if carried and self.last is not None:
            since = self.last.state_since or self.last.epoch
        return Progress(
            flow=self._kind.name,
            version=self._kind.version,
            shard=self._index,
            number=entry.first,
            epoch=entry.number,
            params_hash=self._hash,
            params=entry.params,
            positions=reached.positions,
            counts=reached.counts,
            paused=reached.paused,
            epochs=self._epochs,
            state_since=since,
            newest=self._newest(reached),
        )

    def next(self, reached: Reached, runs: Sequence[Run], *, before_snapshot: bool) -> Progress:
        """The next record of the present epoch; before a snapshot it is a checkpoint."""
        at_checkpoint = before_snapshot or self._since_checkpoint >= CHECKPOINT_RECORDS
        last = self.progress
        return replace(
            last,
            number=last.number + 1,
            params=None,
            positions=reached.positions,
            counts=reached.counts,
            runs=list(runs),
            paused=reached.paused,
            checkpoint=None if at_checkpoint else self.checkpoint,
            epochs=self._epochs if at_checkpoint else None,
            newest=self._newest(reached),
        )

    def committed(self, progress: Progress, offset: int) -> None:
        """Take in that a record is in the log."""
        self.last, self.offset = progress, offset
        self._since_checkpoint += 1
        if progress.epochs is not None:
            self.checkpoint, self._since_checkpoint = offset, 0
        if progress.params is not None:
            self._epochs = [*self._epochs[:-1], replace(self._epochs[-1], offset=offset)]

    def _newest(self, reached: Reached) -> Newest:
        """The newest records that were read, in whichever run that was."""
        before = {} if self.last is None else self.last.newest
        return before | {
            topic: before.get(topic, {}) | places for topic, places in reached.newest.items()
        }

    @property
    def _with_state(self) -> str:
        return "" if self._kind.carried is None else " and the state that it has"

    def _is_same(self) -> bool:
        last = self.progress
        names = {declared.name for declared in self._kind.inputs}
        # Other orders give a new input's rows as they come; held rows hang on what all inputs have.
        same_inputs = self._kind.order is not Order.EVENT or set(last.positions) == names
        same = (last.version, last.params_hash) == (self._kind.version, self._hash)
        return same_inputs and same
