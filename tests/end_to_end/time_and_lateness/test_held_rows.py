"""Held rows are bounded: an input far ahead of the others is not read on, and nothing is lost by that."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from connectors.log import Log
from flows.engines.recount import recount
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.flow import Flow, FlowError
from tests.conformity.workload import interleaved, records
from tests.end_to_end.time_and_lateness.arrivals import (
    PARTITIONS,
    Arrivals,
    Run,
    arrivals,
    fill,
    given,
    new_log,
)

# More than `arrivals` puts into a record.
_RECORD_ROWS = 61

SKEWED = settings(
    max_examples=3,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@SKEWED
@drawn(
    arrival=arrivals(),
    held_rows=st.integers(5, 30),
    ahead=st.integers(0, 1),
    skew=st.integers(20, 60),
    every=st.integers(1, 6),
)
def test_an_input_ahead_of_the_others_is_held_to_the_bound_and_nothing_is_lost(
    event_kind: type[Flow], arrival: Arrivals, held_rows: int, ahead: int, skew: int, every: int
) -> None:
    """One input comes so many records ahead of the other, in random order; shards read a record at a time."""
    kind = event_kind
    made = arrival.pieces(kind)
    streams = [[piece for piece in made if piece.input == at] for at in range(len(kind.inputs))]
    first = streams[ahead][:skew]
    streams[ahead] = streams[ahead][skew:]
    made = [*first, *interleaved(streams, np.random.default_rng(arrival.seed))]
    with TemporaryDirectory() as folder, new_log(Path(folder) / "held.db") as log:
        shards = [Held(log, kind, index, held_rows) for index in range(prepare(log, kind))]
        for number, piece in enumerate(made):
            log.append(records(kind, [piece], PARTITIONS))
            if number % every == 0:
                for shard in shards:
                    shard.step()
        for shard in shards:
            shard.to_the_end()
        assert [one for one in recount(log, kind) if not one.ok] == []
        assert any(shard.paused for shard in shards)
        with new_log(Path(folder) / "free.db") as free:
            fill(free, kind, made)
            Run(engine="local", options=ShardOptions()).over(free, kind)
            assert given(log, kind) == given(free, kind)


class Held:
    """A shard that may hold so many rows of an input, and is started again with more where that is too little."""

    def __init__(self, log: Log, kind: type[Flow], index: int, held_rows: int) -> None:
        self._log, self._kind, self._index = log, kind, index
        self._held_rows = held_rows
        self.paused = 0
        self._start()

    def step(self) -> bool:
        """Read on; whether there was something."""
        before, full = self._shard.positions(), self._shard.waiting()
        self.paused += bool(full)
        try:
            self._shard.step()
        except FlowError as error:
            # The inputs have their keys in other orders by more than may be held: an operator does as it says.
            if "every input is paused" not in str(error) or "raise the setting" not in str(error):
                raise
            self._held_rows *= 4
            self._start()
            return True
        self.paused += bool(self._shard.waiting())
        after = self._shard.positions()
        moved = {where[0] for where, offset in after.items() if offset != before[where]}
        assert not moved or moved - full.keys(), "a paused input is read when others have moved on"
        for rows in self._shard.waiting().values():
            # One record more than the bound leaves room for, of one row or of many.
            assert self._held_rows <= rows < self._held_rows + _RECORD_ROWS
        return after != before

    def to_the_end(self) -> None:
        """Read all that there is."""
        while self.step():
            pass
        ends = {where: self._log.end(*where) for where in self._shard.positions()}
        assert self._shard.at_end(ends), "what was paused is read on when the others have caught up"
        self._shard.close()

    def _start(self) -> None:
        options = ShardOptions(
            held_rows=self._held_rows, read_bytes=1, commit_rows=1, idle_commit_s=0.0
        )
        kind = self._kind
        self._shard = Shard(self._log, kind, kind.params_type(), self._index, options)
        self._shard.open()
