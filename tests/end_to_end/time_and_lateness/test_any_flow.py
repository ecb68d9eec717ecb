"""Whatever the arrival, delays, pacing, sources, cuts, engines and restarts: every row accounted for, the same rows."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from flows.engines.recompute import recompute
from flows.engines.recount import recount
from flows.engines.shard import ShardOptions
from flows.engines.stepper import Stepper
from flows.flow import Emit, Flow, Order
from tests.conformity.outputs import by_topic, logged
from tests.conformity.workload import SYMBOLS, Piece, segments
from tests.end_to_end.time_and_lateness.arrivals import (
    PARTITIONS,
    UNIVERSES,
    Arrivals,
    Run,
    arrivals,
    fill,
    given,
    in_any_order,
    new_log,
    only,
    params_of,
    runs,
    shifted,
)

# Two examples a flow and property are some forty in all; shrinking one would take minutes. The draw is printed.
ANY = settings(
    max_examples=2,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
WHOLE = Run(engine="local", options=ShardOptions(idle_commit_s=0.0))
YEAR = 365 * 86_400 * 10**9


@ANY
@drawn(
    arrival=arrivals(),
    pace=st.lists(st.tuples(st.integers(0, 30), runs()), max_size=2),
    cut=st.integers(1, 60),
    other=runs().filter(lambda one: one.engine != "killed"),
)
def test_every_row_is_accounted_for_and_rows_hang_on_the_log_alone(
    kind: type[Flow], arrival: Arrivals, pace: list[tuple[int, Run]], cut: int, other: Run
) -> None:
    made = arrival.pieces(kind)
    with TemporaryDirectory() as folder, new_log(Path(folder) / "live.db") as log:
        fill(log, kind, made, pace)
        WHOLE.over(log, kind)
        checks = recount(log, kind)
        assert checks, "the flow has run"
        assert [one for one in checks if not one.ok] == []
        assert sum(one.terms.get("read", 0) for one in checks) > 0
        again = by_topic(
            out
            for shard in range(PARTITIONS)
            for _, outputs in recompute(log, kind, shard)
            for out in outputs
        )
        for topic in kind.outputs:
            if topic.name in again:
                assert in_any_order(logged(log, topic)) == in_any_order(again[topic.name])
        if kind.order is Order.ARRIVAL:
            return
        with new_log(Path(folder) / "other.db") as same:
            fill(same, kind, arrival.recut(kind, made, cut))
            other.over(same, kind)
            assert given(log, kind) == given(same, kind)


# What is left out of "rows of a key hang on rows of that key alone", and why.
NOT_BY_KEY = {
    "intake": "foreign bytes have no key before they are read",
    "index_levels": "an index is of many symbols",
    "oms": "the firm's limits are on all of its accounts",
    "positions": "market time is one for all accounts: an action takes effect when any fill has reached it",
    "execution": "random rows give one order's identifier to several symbols, which no order system does",
}


@ANY
@drawn(
    arrival=arrivals(),
    mine=st.sets(st.integers(0, len(SYMBOLS) - 1), min_size=1, max_size=3),
    years=st.sampled_from([2, -2]),
    others_are=st.sampled_from(["away", "silent"]),
)
def test_history_beside_live_rows_of_other_keys_and_keys_without_rows_change_nothing(
    kind: type[Flow], arrival: Arrivals, mine: set[int], years: int, others_are: str
) -> None:
    """Other keys are years away, or, where they are silent, they have no rows in the first input and no watermark rows."""
    if kind.name in NOT_BY_KEY:
        pytest.skip(NOT_BY_KEY[kind.name])
    partitioned = [at for at, one in enumerate(kind.inputs) if not one.broadcast]
    key = kind.inputs[partitioned[0]].topic.key
    names = UNIVERSES if key == "universe" else SYMBOLS
    # The benchmark is always one of them: there are flows that speak of no other.
    keys = {names[0] if key == "universe" else "SPY", *(names[at % len(names)] for at in mine)}
    others = set(names) - keys
    both: list[Piece] = []
    alone: list[Piece] = []
    for piece in arrival.pieces(kind):
        if piece.input not in partitioned:
            both.append(piece)
            alone.append(piece)
            continue
        own = only(kind, piece, keys)
        alone += [own] if own else []
        if others_are == "silent" and (piece.is_watermarks or piece.input == partitioned[0]):
            both += [own] if own else []
        else:
            both.append(shifted(kind, piece, others, years * YEAR))
    found = [rows_of_keys(kind, made, key, keys) for made in (both, alone)]
    assert found[0] == found[1]
    assert any(table.num_rows for table in found[0].values())


def rows_of_keys(
    kind: type[Flow], made: list[Piece], key: str, keys: set[str]
) -> dict[str, pa.Table]:
    """What a flow gave that speaks of some keys, in a real log, or in the given order where the order is of arrival."""

    def mine(table: pa.Table) -> pa.Table:
        name = key if key in table.column_names else "key"
        return table.filter(
            pc.is_in(table.column(name), value_set=pa.array(sorted(keys), pa.string()))
        )

    if kind.order is Order.ARRIVAL:
        stepper = Stepper(kind, params_of(kind))
        outputs = [out for one in segments(kind, made) for out in stepper.take(one)]
        tables = by_topic(out for out in outputs if isinstance(out, Emit))
        return {name: in_any_order(mine(table)) for name, table in tables.items() if name != "late"}
    with TemporaryDirectory() as folder, new_log(Path(folder) / "log.db") as log:
        fill(log, kind, made)
        WHOLE.over(log, kind)
        return given(log, kind, mine)
