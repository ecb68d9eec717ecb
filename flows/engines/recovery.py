"""Brings a shard's state back: from a snapshot and what followed it, or from the epoch's beginning.

Nothing is emitted here. What recomputed rows caused is in the log: it was committed together with the
progress record up to which they are computed again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from connectors.log import Log
from flows.engines.epochs import Epoch, epochs, segments_of
from flows.engines.progress import Positions, Progress, progress_from
from flows.engines.reading import Reader
from flows.engines.segments import Segment
from flows.engines.snapshots import newest
from flows.engines.stepper import Counts, Stepper
from flows.flow import Flow, Params


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

    def from_snapshot(self, last: Progress) -> Recovered:
        """The state at the last progress record, from the newest snapshot that leads up to it."""
        found = newest(self.log, self.kind.name, self.shard, number=last.number, epoch=last.epoch)
        if found is None:
            return self._from_epochs()
        manifest, state = found
        since = progress_from(self.log, self.kind, self.shard, manifest.progress_offset)
        if not since or since[0][1].number != manifest.number:
            # Of commits that a repair of the log has cut off; others have taken their numbers.
            return self._from_epochs()
        positions = {
            topic: {int(partition): offset for partition, offset in places.items()}
            for topic, places in manifest.positions.items()
        }
        stepper = Stepper(self.kind, self.params, state)
        reader = self._reader(positions)
        runs = [run for _, one in since if one.number > manifest.number for run in one.runs]
        rest = Epoch(
            number=manifest.epoch,
            version=self.kind.version,
            params={},
            begin=positions,
            end=last.positions,
            counts={},
            runs=runs,
        )
        rows = _computed_again(stepper, segments_of(reader, rest))
        return Recovered(stepper=stepper, reader=reader, rows=rows)

    def for_new_epoch(self, last: Progress) -> Recovered:
        """Where the last epoch stopped, with a fresh flow."""
        known = epochs(self.log, self.kind, self.shard)
        return self._order_of(known, last.positions, last.counts)

    def _from_epochs(self) -> Recovered:
        """Without a snapshot: from the epoch's beginning; earlier epochs only give order and held rows."""
        *earlier, current = epochs(self.log, self.kind, self.shard)
        begun = self._order_of(earlier, current.begin, current.counts)
        begun.stepper.begin_epoch(self.params)
        rows = _computed_again(begun.stepper, segments_of(begun.reader, current))
        return replace(begun, rows=rows)

    def _order_of(
        self, earlier: list[Epoch], begin: Positions, counts: dict[str, Counts]
    ) -> Recovered:
        """What does not hang on parameters: counts, frontiers and held rows."""
        stepper = Stepper(self.kind, self.params)
        if stepper.order is None or not earlier:
            reader = self._reader(begin)
        else:
            reader = self._reader(earlier[0].begin)
            # The flow's own results do not matter here, and its version may no longer be installed.
            stepper.skip_flow = True
            for epoch in earlier:
                _computed_again(stepper, segments_of(reader, epoch))
            stepper.skip_flow = False
        stepper.counts |= {name: replace(one) for name, one in counts.items()}
        return Recovered(stepper=stepper, reader=reader)

    def _reader(self, positions: Positions | None = None) -> Reader:
        return Reader(self.log, self.kind, self.shard, positions, max_bytes=self.max_bytes)


def _computed_again(stepper: Stepper, segments: Iterable[Segment]) -> int:
    rows = 0
    for segment in segments:
        stepper.take(segment)
        rows += segment.length
    return rows
