"""Brings a shard's state back: from a snapshot and what followed it, or from the epoch's beginning.

Nothing is emitted here. What recomputed rows caused is in the log: it was committed together with the
progress record up to which they are computed again.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from connectors.control import progress_topic
from connectors.log import Log
from flows.engines.epochs import Epoch, Runs, epochs_up_to, segments_of
from flows.engines.held_limit import is_full
from flows.engines.kept import cut_away, is_of_this_log
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
    """A shard's state, where it reads on, and how many rows were computed again for it."""

    stepper: Stepper
    reader: Reader
    rows: int = 0


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

    def from_snapshot(self, last: tuple[int, Progress]) -> Recovered:
        """The state at the last progress record, from the newest snapshot that leads up to it."""
        progress = last[1]
        for manifest, state in self._snapshots(progress, epoch=progress.epoch):
            try:
                stepper = Stepper(self.kind, self.params, state)
            except SnapshotError:
                continue  # of an earlier layout of the state; older ones are no better, or are
            reader = self._reader(manifest.read_on)
            runs = Runs(
                log=self.log,
                kind=self.kind,
                shard=self.shard,
                offset=manifest.progress_offset,
                after=manifest.number,
                upto=progress.number,
            )
            rest = Epoch(
                number=manifest.epoch,
                version=self.kind.version,
                params={},
                begin=manifest.read_on,
                end=progress.positions,
                counts={},
                recorded=runs,
            )
            rows = _computed_again(stepper, segments_of(reader, rest, is_full(stepper)))
            return Recovered(stepper=stepper, reader=reader, rows=rows)
        return self._from_epochs(last)

    def for_new_epoch(self, last: tuple[int, Progress]) -> Recovered:
        """Where the last epoch stopped, with a fresh flow."""
        known = epochs_up_to(self.log, self.kind, self.shard, last)
        return self._order_of(known, last[1], last[1].positions, last[1].counts)

    def _from_epochs(self, last: tuple[int, Progress]) -> Recovered:
        """Without a snapshot: from the epoch's beginning; earlier epochs only give order and held rows."""
        *earlier, current = epochs_up_to(self.log, self.kind, self.shard, last)
        begun = self._order_of(earlier, last[1], current.begin, current.counts)
        self._check_kept(current.begin)
        self._check_order_kept(current)
        begun.stepper.begin_epoch(self.params, current.begin)
        stepper = begun.stepper
        rows = _computed_again(stepper, segments_of(begun.reader, current, is_full(stepper)))
        return replace(begun, rows=rows)

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
        stepper.read_inputs([declared.name for declared in self.kind.inputs])
        stepper.counts |= {
            name: replace(one) for name, one in counts.items() if name in stepper.counts
        }
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
        gone = set(earlier[0].begin) - {declared.name for declared in self.kind.inputs}
        if gone:
            raise FlowError(
                f"flow {self.kind.name!r} shard {self.shard} had {', '.join(sorted(gone))} as input, and "
                "which rows waited for it no snapshot tells: start the earlier version once more and "
                "stop it, so that it leaves one"
            )
        self._check_kept(earlier[0].begin)
        return self._reader(earlier[0].begin), earlier

    def _snapshots(
        self, last: Progress, *, epoch: int | None = None
    ) -> Iterator[tuple[Manifest, bytes]]:
        """The snapshots that lead up to a progress record, the newest first."""

        def is_usable(manifest: Manifest) -> bool:
            return (
                manifest.number <= last.number
                and manifest.epoch == (manifest.epoch if epoch is None else epoch)
                and is_of_this_log(self.log, self.kind, self.shard, manifest)
                and not cut_away(self.log, manifest.read_on)
            )

        return newest_first(self.log, self.kind.name, self.shard, is_usable)

    def _check_kept(self, begin: Positions) -> None:
        cut = cut_away(self.log, begin)
        if cut:
            cure = "Restore the log from the lake"
            if self.kind.order is not Order.EVENT:
                cure += ", or start with --new-epoch: a fresh state, behind the last commit"
            raise NoStateError(
                f"flow {self.kind.name!r} shard {self.shard}: it has no whole snapshot to start from, and "
                f"what it read since it began is cut away ({'; '.join(cut)}). {cure}"
            )

    def _check_order_kept(self, epoch: Epoch) -> None:
        topic = progress_topic(self.kind.name)
        start = self.log.start(topic, self.shard)
        if follows_runs(self.kind) and epoch.offset < start:
            raise NoStateError(
                f"flow {self.kind.name!r} shard {self.shard}: it has no whole snapshot to start from, and the "
                f"order in which it read since it began is cut away ({topic}[{self.shard}] is kept from "
                f"{start} on). Start with --new-epoch: a fresh state, behind the last commit"
            )

    def _reader(self, positions: Positions | None = None) -> Reader:
        return Reader(self.log, self.kind, self.shard, positions, max_bytes=self.max_bytes)


def _computed_again(stepper: Stepper, segments: Iterable[Segment]) -> int:
    rows = 0
    for segment in segments:
        stepper.take(segment)
        rows += segment.length
    return rows


def _is_before(positions: Positions, end: Positions) -> bool:
    return all(
        offset <= end.get(topic, {}).get(partition, offset)
        for topic, places in positions.items()
        for partition, offset in places.items()
    )
