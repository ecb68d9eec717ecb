"""What every flow must do, whatever it computes. A new flow is under test by existing."""

import hashlib
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from flows.catalog import catalog
from flows.engines.segments import Segment
from flows.engines.stepper import Stepper
from flows.flow import Emit, Flow
from tests.conformity import workload
from tests.conformity.outputs import by_topic, same_bytes
from tests.conformity.workload import Piece, interleaved, pieces, segments

ROWS = 3_000
# More than any part of a state has room for at first.
MANY_SYMBOLS = [f"S{number}" for number in range(80)]


def carried(kind: type[Flow], made: list[Piece], cut: int | None = None) -> dict[str, pa.Table]:
    stepper = Stepper(kind, kind.params_type())
    return by_topic(out for one in segments(kind, made, cut) for out in stepper.take(one))


@cache
def _uncut(kind: type[Flow], seed: int, rows: int) -> dict[str, pa.Table]:
    """What a flow gives for a workload as it is, made once for all cuts of it."""
    return carried(kind, pieces(kind, seed, rows))


def test_rows_have_exactly_the_declared_schema(kind: type[Flow]) -> None:
    stepper = Stepper(kind, kind.params_type())
    declared = {topic.name for topic in kind.outputs} | {"late"}
    seen = 0
    for one in segments(kind, pieces(kind, 1, ROWS)):
        for out in stepper.take(one):
            assert out.topic.name in declared
            if isinstance(out, Emit):
                out.batch.validate(full=True)
                assert out.batch.schema.equals(out.topic.schema)
                for field in out.topic.fields:
                    assert field.nullable or out.batch.column(field.name).null_count == 0, (
                        field.name
                    )
                seen += out.batch.num_rows
    assert seen, "the workload must make the flow emit something"


def test_inputs_are_left_untouched(kind: type[Flow]) -> None:
    made = pieces(kind, 2, ROWS)

    def digest() -> str:
        sum_ = hashlib.sha256()
        for piece in made:
            for buffer in (b for column in piece.batch.columns for b in column.buffers() if b):
                sum_.update(buffer)
        return sum_.hexdigest()

    before = digest()
    carried(kind, made)
    assert digest() == before


def test_an_empty_batch_changes_nothing(kind: type[Flow]) -> None:
    made = pieces(kind, 3, 500)
    stepper = Stepper(kind, kind.params_type())
    outputs = []
    for one in segments(kind, made):
        outputs += stepper.take(one)
        if one.rows is not None:
            empty = one.rows.__class__(
                batch=one.rows.batch.slice(0, 0),
                partition=0,
                offset=one.rows.offset[:0],
                row=one.rows.row[:0],
            )
            outputs += stepper.take(one.__class__(input=one.input, rows=empty))
    same_bytes(by_topic(outputs), carried(kind, made))


@pytest.mark.parametrize("cut", [1, 7, 61, 997])
def test_any_cut_into_batches_gives_the_same_bytes(kind: type[Flow], cut: int) -> None:
    rows = ROWS if cut > 1 else 700
    same_bytes(carried(kind, pieces(kind, 4, rows), cut), _uncut(kind, 4, rows))


@pytest.mark.parametrize("cut", [4_099])
def test_many_rows_over_six_decades_in_any_cut_give_the_same_bytes(
    kind: type[Flow], cut: int
) -> None:
    """Sums that were not taken strictly from left to right would differ in their last bits."""
    # Foreign JSON, orders (exact, one after the other) and the samples' Python loops take a hundred times as
    # long a row.
    by_row = any(one.inbox or one.topic.synced for one in kind.inputs)
    columnar = kind.name in catalog() and not by_row
    made = pieces(kind, 8, 200_000 if columnar else 10_000)
    same_bytes(carried(kind, made, cut), carried(kind, made))


def test_twice_the_same_input_gives_the_same_bytes(kind: type[Flow]) -> None:
    same_bytes(carried(kind, pieces(kind, 5, ROWS)), carried(kind, pieces(kind, 5, ROWS)))


@pytest.mark.parametrize("seed", range(4))
def test_snapshot_and_resume_at_any_point_give_the_same_bytes(kind: type[Flow], seed: int) -> None:
    made = pieces(kind, seed, ROWS)
    steps = segments(kind, made, 211)
    stepper = Stepper(kind, kind.params_type())
    outputs = []
    for at, one in enumerate(steps):
        if at % 3 == seed % 3:
            state = stepper.snapshot()
            assert state == stepper.snapshot(), "the same state must give the same bytes"
            stepper = Stepper(kind, kind.params_type(), state)
            assert stepper.snapshot() == state, "what was restored must be what was saved"
        outputs += stepper.take(one)
    same_bytes(by_topic(outputs), carried(kind, made))


def test_a_snapshot_behind_any_row_of_many_keys_is_restored(
    kind: type[Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """State grows with the keys: a part of it that has not met the newest of them is saved and restored as well."""
    monkeypatch.setattr(workload, "SYMBOLS", MANY_SYMBOLS)
    monkeypatch.setitem(workload.KNOWN_VALUES, "symbol", MANY_SYMBOLS)
    made = pieces(kind, 9, 150)
    stepper = Stepper(kind, kind.params_type())
    outputs = []
    for one in segments(kind, made, 1):
        outputs += stepper.take(one)
        state = stepper.snapshot()
        stepper = Stepper(kind, kind.params_type(), state)
        assert stepper.snapshot() == state, "what was restored must be what was saved"
    same_bytes(by_topic(outputs), carried(kind, made))


def test_every_row_is_counted_once(kind: type[Flow]) -> None:
    stepper = Stepper(kind, kind.params_type())
    for one in segments(kind, pieces(kind, 6, ROWS), 100):
        stepper.take(one)
        for counts in stepper.counts.values():
            assert counts.read == counts.used + counts.late + counts.held


def test_inputs_in_any_interleaving_give_the_same_bytes(event_kind: type[Flow]) -> None:
    kind = event_kind
    made = pieces(kind, 7, ROWS)
    streams = [[piece for piece in made if piece.input == at] for at in range(len(kind.inputs))]
    whole = carried(kind, made)
    # Late rows of two inputs have no order between them; each input's own are in order.
    late = _sorted(whole.pop("late"))
    for seed in range(5):
        other = carried(kind, list(interleaved(streams, np.random.default_rng(seed))), 97 + seed)
        assert _sorted(other.pop("late")).equals(late)
        same_bytes(other, whole)


def _sorted(table: pa.Table) -> pa.Table:
    return table.sort_by([(name, "ascending") for name in table.column_names])


def test_state_is_bounded_by_keys_not_by_rows(kind: type[Flow]) -> None:
    stepper = Stepper(kind, kind.params_type())
    sizes = []
    for seed in range(6):
        for one in segments(kind, pieces(kind, 20, 2_000)) if seed == 0 else _later(kind, seed):
            stepper.take(one)
        sizes.append(len(stepper.snapshot()))
    # Counters grow by a digit now and then; state must not. Of open orders random commands leave now few, now
    # many; their bound is a parameter, which the flow's own tests reach.
    swings = sizes[1] if "max_orders" in kind.params_type.model_fields else 256
    assert max(sizes[2:]) <= sizes[1] + swings, sizes


def _later(kind: type[Flow], seed: int) -> list[Segment]:
    """A later month: the same keys, times further on, so that nothing of it is late."""
    start = workload.START_NS
    workload.START_NS = start + seed * 30 * 86_400_000_000_000
    try:
        return segments(kind, pieces(kind, 20 + seed, 2_000))
    finally:
        workload.START_NS = start
