"""Brings a shard's state back: from a snapshot and what followed it, or from where it began empty.

State that is carried over epochs (`flows.flow.Carried`) began in the first of them, and is computed again through
each with its own parameters.

Nothing is emitted here. What recomputed rows caused is in the log: it was committed together with the
progress record up to which they are computed again.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from connectors.control import progress_topic
from connectors.log import Log
from flows.engines.epochs import Epoch, Runs, epochs_up_to, segments_of, with_one_state
from flows.engines.held_limit import is_full
from flows.engines.kept import cut_away, is_of_this_log
from flows.engines.parameters import recorded
from flows.engines.progress import Positions, Progress
from flows.engines.reading import Reader, follows_runs
from flows.engines.segments import Segment
from flows.engines.snapshots import Manifest, newest_first
from flows.engines.stepper import Counts, Stepper
from flows.flow import Flow, FlowError, Order, Params
from flows.snapshot import SnapshotError


class NoStateError(FlowError):
    """The log has neither a snapshot to start from nor all that was read since the beginning."""


@dataclass(frozen=True, kw_only=True)
class Recovered:
    """A shard's state, where it reads on, and how many rows were computed again for it.

    ``carried``, ``base``: as of `flows.engines.progress.EpochEntry`, for the epoch that begins with it.
    """

    stepper: Stepper
    reader: Reader
    rows: int = 0
    carried: bool = False
    base: int | None = None


class Recovery:
    """The ways back to a shard's state.

    Parameters
    ----------
    log : Log
        Inputs, progress records and snapshots; only read.
    kind : type of Flow
        The flow.
    shard : int
        Which shard.
    params : Params
        Its parameters from now on.
    max_bytes : int
        Bound of one read.
    """

    def __init__(
        self, log: Log, kind: type[Flow], shard: int, params: Params, *, max_bytes: int
    ) -> None:
        self.log = log
        self.kind = kind
        self.shard = shard
        self.params = params
        self.max_bytes = max_bytes

    def afresh(self) -> Recovered:
        """The state before anything was read."""
        return Recovered(stepper=Stepper(self.kind, self.params), reader=self._reader())

    def up_to(self, last: tuple[int, Progress]) -> Recovered:
        """The state at the last progress record, which is of the installed version."""
        return self._state_at(last, epochs_up_to(self.log, self.kind, self.shard, last))

    def for_new_epoch(self, last: tuple[int, Progress], *, carried: bool) -> Recovered:
        """Where the last epoch stopped: with its state, or with a fresh flow.

        Raises
        ------
        FlowError
            Where the state is to be carried, and cannot be had, or not under the parameters of now.
        """
        known = epochs_up_to(self.log, self.kind, self.shard, last)
        if not carried:
            return self._order_of(known, last[1], last[1].positions, last[1].counts)
        self._check_layout(known[-1])
        found = self._state_at(last, known)
        self._carry(found.stepper, self.params, self._inputs, last[1].counts)
        return replace(found, carried=True)

    def _state_at(self, last: tuple[int, Progress], known: Sequence[Epoch]) -> Recovered:
        """The state at a progress record: from the newest snapshot, or from where it began empty.

        Epochs of the installed version are computed again by what computed them. Others can only be by the
        installed version, from a snapshot that it reads; which one must be the same at every start, and so
        the epoch that begins behind them has it recorded (``base``).
        """
        chain = with_one_state(known)
        own = _of_version(self.kind.version, chain)
        for manifest, state in self._snapshots(last[1], own):
            try:
                return self._from_snapshot(manifest, state, chain)
            except SnapshotError:
                continue  # of an earlier layout of the state; older ones are no better, or are
        if own == chain:
            return self._from_beginning(last[1], known)
        return self._from_another_version(last[1], known, own[0] if own else None)

    def _from_another_version(
        self, last: Progress, known: Sequence[Epoch], heir: Epoch | None
    ) -> Recovered:
        """From the snapshot that ``heir``, the first epoch of the installed version, began with; or will."""
        chain = with_one_state(known)
        base = None if heir is None else heir.base
        others = [one for one in chain if heir is None or one.number < heir.number]
        for manifest, state in self._snapshots(last, others):
            if base not in {None, manifest.number}:
                continue
            try:
                found = self._from_snapshot(manifest, state, chain)
            except SnapshotError as error:
                raise self._unreadable(chain[-1], str(error)) from error
            return replace(found, base=manifest.number)
        if base:
            raise NoStateError(
                f"flow {self.kind.name!r} shard {self.shard}: its state was carried over from the snapshot of "
                f"commit {base}, of another version, and neither that one nor a later one is whole. {self._cure}"
            )
        return replace(self._from_beginning(last, known), base=0)

    def _from_snapshot(self, manifest: Manifest, state: bytes, chain: Sequence[Epoch]) -> Recovered:
        first, *later = [epoch for epoch in chain if epoch.number >= manifest.epoch]
        behind = Runs(
            log=self.log,
            kind=self.kind,
            shard=self.shard,
            offset=manifest.progress_offset,
            after=manifest.number,
            upto=first.commit,
        )
        stepper = Stepper(self.kind, self._params_of(first, chain), state)
        reader = self._reader(manifest.read_on)
        rest = [replace(first, begin=manifest.read_on, recorded=behind), *later]
        return self._through(stepper, reader, rest)

    def _from_beginning(self, last: Progress, known: Sequence[Epoch]) -> Recovered:
        """Without a snapshot, from where the state began empty; epochs before only give order and held rows."""
        chain = with_one_state(known)
        begin = chain[0].begin
        begun = self._order_of(known[: -len(chain)], last, begin, chain[0].counts)
        self._check_kept(begin)
        self._check_order_kept(chain[0])
        begun.stepper.begin_epoch(self._params_of(chain[0], chain), begin)
        return self._through(begun.stepper, begun.reader, chain)

    def _through(self, stepper: Stepper, reader: Reader, epochs: Sequence[Epoch]) -> Recovered:
        """Compute epochs again, one behind the other, the first of which the stepper has begun."""
        rows = 0
        for at, epoch in enumerate(epochs):
            if at:
                params = self._params_of(epoch, epochs)
                self._carry(stepper, params, epoch.begin, epoch.counts)
            segments = segments_of(reader, self._as_read_now(epoch), is_full(stepper))
            rows += _computed_again(stepper, segments)
        return Recovered(stepper=stepper, reader=reader, rows=rows)

    def _carry(
        self,
        stepper: Stepper,
        params: Params,
        inputs: Collection[str],
        counts: Mapping[str, Counts],
    ) -> None:
        stepper.begin_epoch(params, inputs, carried=True)
        # Rows that another version was told of are counted by what it made of them.
        _count(stepper, counts)

    def _params_of(self, epoch: Epoch, chain: Sequence[Epoch]) -> Params:
        """An epoch's own parameters, or where they were another version's, and are unknown now, its heir's."""
        try:
            return recorded(self.kind, epoch.params)
        except FlowError:
            if epoch.version == self.kind.version:
                raise
            own = _of_version(self.kind.version, chain)
            return recorded(self.kind, own[0].params) if own else self.params

    def _as_read_now(self, epoch: Epoch) -> Epoch:
        """An epoch without inputs that its version read and the installed one does not."""
        if epoch.version == self.kind.version or epoch.recorded is None:
            return epoch
        names = self._inputs
        return replace(epoch, recorded=(run for run in epoch.recorded if run[0] in names))

    def _order_of(
        self, earlier: Sequence[Epoch], last: Progress, begin: Positions, counts: dict[str, Counts]
    ) -> Recovered:
        """What does not hang on parameters, at the end of earlier epochs: counts, frontiers, held rows."""
        stepper = Stepper(self.kind, self.params)
        if stepper.order is None or not earlier:
            reader = self._reader(begin)
        else:
            # The flow's own results do not matter here, and its version may no longer be installed.
            stepper.skip_flow = True
            reader, rest = self._order_begun(stepper, earlier, last)
            for epoch in rest:
                stepper.read_inputs(epoch.begin)
                _computed_again(stepper, segments_of(reader, epoch, is_full(stepper)))
            stepper.skip_flow = False
        stepper.read_inputs(self._inputs)
        _count(stepper, counts)
        return Recovered(stepper=stepper, reader=reader)

    def _order_begun(
        self, stepper: Stepper, earlier: Sequence[Epoch], last: Progress
    ) -> tuple[Reader, Sequence[Epoch]]:
        """The order at the newest snapshot of these epochs, and what is to be read behind it."""
        for manifest, state in self._snapshots(last):
            rest = [epoch for epoch in earlier if epoch.number >= manifest.epoch]
            if rest and _is_before(manifest.read_on, earlier[-1].end):
                try:
                    stepper.restore_order(state)
                except SnapshotError:
                    continue
                return self._reader(manifest.read_on), rest
        gone = set(earlier[0].begin) - set(self._inputs)
        if gone:
            raise FlowError(
                f"flow {self.kind.name!r} shard {self.shard} had {', '.join(sorted(gone))} as input, and "
                "which rows waited for it no snapshot tells: start the earlier version once more and "
                "stop it, so that it leaves one"
            )
        self._check_kept(earlier[0].begin)
        return self._reader(earlier[0].begin), earlier

    def _snapshots(
        self, last: Progress, epochs: Sequence[Epoch] | None = None
    ) -> Iterator[tuple[Manifest, bytes]]:
        """The snapshots that lead up to a progress record, the newest first; of some epochs, or of any."""
        numbers = None if epochs is None else {epoch.number for epoch in epochs}

        def is_usable(manifest: Manifest) -> bool:
            return (
                manifest.number <= last.number
                and (numbers is None or manifest.epoch in numbers)
                and is_of_this_log(self.log, self.kind, self.shard, manifest)
                and not cut_away(self.log, manifest.read_on)
            )

        return newest_first(self.log, self.kind.name, self.shard, is_usable)

    def _check_kept(self, begin: Positions) -> None:
        cut = cut_away(self.log, begin)
        if cut:
            raise NoStateError(
                f"flow {self.kind.name!r} shard {self.shard}: it has no whole snapshot to start from, and "
                f"what it read since it began is cut away ({'; '.join(cut)}). {self._cure}"
            )

    def _check_order_kept(self, epoch: Epoch) -> None:
        topic = progress_topic(self.kind.name)
        start = self.log.start(topic, self.shard)
        if follows_runs(self.kind) and epoch.offset < start:
            raise NoStateError(
                f"flow {self.kind.name!r} shard {self.shard}: it has no whole snapshot to start from, and the "
                f"order in which it read since it began is cut away ({topic}[{self.shard}] is kept from "
                f"{start} on). {self._cure}"
            )

    def _check_layout(self, epoch: Epoch) -> None:
        """Refuse an epoch whose state the installed version does not read."""
        carried = self.kind.carried
        if carried is None or epoch.version == self.kind.version:
            return
        if epoch.layout not in {None, carried.layout, *carried.reads}:
            readable = ", ".join(map(str, (carried.layout, *carried.reads)))
            raise self._unreadable(
                epoch, f"it is of layout {epoch.layout}, and this version reads {readable}"
            )

    def _unreadable(self, epoch: Epoch, why: str) -> FlowError:
        return FlowError(
            f"flow {self.kind.name!r} shard {self.shard}: the state of version {epoch.version} cannot be carried "
            f"over to version {self.kind.version}: {why}. Go on with version {epoch.version}, or install one "
            "that reads it; --new-epoch --forget-state begins with an empty state"
        )

    @property
    def _cure(self) -> str:
        """What to do where the state cannot be had."""
        cure = "Restore the log from the lake"
        if self.kind.carried is not None:
            return f"{cure}, or start with --new-epoch --forget-state: an empty state, behind the last commit"
        if self.kind.order is Order.EVENT:
            return cure
        return f"{cure}, or start with --new-epoch: a fresh state, behind the last commit"

    @property
    def _inputs(self) -> list[str]:
        return [declared.name for declared in self.kind.inputs]

    def _reader(self, positions: Positions | None = None) -> Reader:
        return Reader(self.log, self.kind, self.shard, positions, max_bytes=self.max_bytes)


def _computed_again(stepper: Stepper, segments: Iterable[Segment]) -> int:
    rows = 0
    for segment in segments:
        stepper.take(segment)
        rows += segment.length
    return rows


def _of_version(version: int, epochs: Sequence[Epoch]) -> list[Epoch]:
    """The last epochs, behind the last one of another version."""
    found: list[Epoch] = []
    for epoch in epochs:
        found = [*found, epoch] if epoch.version == version else []
    return found


def _count(stepper: Stepper, counts: Mapping[str, Counts]) -> None:
    stepper.counts |= {name: replace(one) for name, one in counts.items() if name in stepper.counts}


def _is_before(positions: Positions, end: Positions) -> bool:
    return all(
        offset <= end.get(topic, {}).get(partition, offset)
        for topic, places in positions.items()
        for partition, offset in places.items()
    )
