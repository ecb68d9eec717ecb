"""State that another version of a flow goes on with, or cannot go on with."""

from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest
from pydantic import Field

from connectors.control import snapshots_topic
from connectors.log import Log
from connectors.records import watermarks_batch
from flows.engines.compare import compare
from flows.engines.epochs import epochs
from flows.engines.progress import last_progress
from flows.engines.recount import recount
from flows.engines.recovery import NoStateError
from flows.engines.segments import Segment
from flows.engines.shard import EpochError
from flows.engines.snapshots import Snapshots, manifests
from flows.engines.stepper import Passed, Stepper
from flows.flow import Carried, Emitted, FlowError, Input, Late, Params, Rows
from flows.snapshot import SnapshotError
from schemas.market import TRADES
from tests.flows.engines.carrying import (
    Counting,
    Deaf,
    InTurns,
    Second,
    made,
    numbers,
    opened,
    quotes,
    stepped,
    told,
    trades,
)
from tests.flows.engines.test_shard import StepParams


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    return made(sqlite_log)


def test_another_version_goes_on_with_the_state_of_the_one_before(log: Log) -> None:
    log.append([trades(10)])
    stepped(log).close()
    log.append([trades(10, 2)])
    with pytest.raises(EpochError, match="--new-epoch to go on with these from here and the state"):
        opened(log, Second)
    stepped(log, Second, 2, new_epoch=True).close()
    log.append([trades(10, 3)])
    stepped(log, Second, 2)
    assert numbers(log) == told((1, 10), (2, 30))
    entry = epochs(log, Second, 0)[1]
    assert (entry.carried, entry.base, entry.layout) == (True, 2, 2)
    # The first epoch can be computed by its own version only; the second from its first snapshot.
    [found] = compare(log, Second, 0)
    assert found.identical
    assert found.since.startswith("compared from commit 4 on: epoch 1 was computed by version 1")
    assert found.computed.rows == len(range(12, 31, 2))
    assert not [check for check in recount(log, Second) if not check.ok]


@pytest.mark.parametrize("has_snapshot", [True, False])
def test_what_a_killed_version_left_behind_its_snapshot_is_read_again_by_its_heir(
    log: Log, monkeypatch: pytest.MonkeyPatch, *, has_snapshot: bool
) -> None:
    log.append([trades(10)])
    shard = stepped(log)
    if has_snapshot:
        shard.save_snapshot()
        shard._snapshots.finish()
    log.append([trades(10, 2)])
    shard.step()
    shard.commit()  # and is killed
    with monkeypatch.context() as patched:
        patched.setattr(Snapshots, "begin", lambda self, taken: None)
        stepped(log, Second, 5, new_epoch=True)  # so is the heir, before it has a snapshot
    base = epochs(log, Second, 0)[1].base
    assert base == (2 if has_snapshot else 0)
    log.append([trades(10, 3)])
    stepped(log, Second, 5).close()
    assert numbers(log) == told((1, 20), (5, 30))


def test_an_heir_goes_on_from_the_snapshot_that_it_has_said_not_from_a_later_one(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that was replaced may still be appending its last snapshot."""
    log.append([trades(10)])
    older = stepped(log)
    older.save_snapshot()
    older._snapshots.finish()
    log.append([trades(10, 2)])
    older.step()
    older.commit()
    used: list[int] = []

    class Noting(Second):
        @classmethod
        def upgraded(cls, snapshot: bytes, layout: int) -> bytes:
            used.append(int(snapshot.split()[0]))
            return super().upgraded(snapshot, layout)

    with monkeypatch.context() as patched:
        patched.setattr(Snapshots, "begin", lambda self, taken: None)
        stepped(log, Noting, new_epoch=True)
    older.save_snapshot()
    older._snapshots.finish()
    assert [one.epoch for one in manifests(log, "counting", 0)] == [1, 1]
    stepped(log, Noting)
    assert used == [10, 10]


def test_a_version_that_cannot_read_the_state_says_what_to_do_and_forgets_only_when_told(
    log: Log,
) -> None:
    log.append([trades(10)])
    stepped(log).close()
    log.append([trades(10, 2)])
    cannot = (
        r"state of version 1 cannot be carried over to version 2: it is of layout 1, .* reads 2\."
    )
    with pytest.raises(FlowError, match=cannot) as error:
        opened(log, Deaf, new_epoch=True)
    assert "Go on with version 1" in str(error.value)
    assert "--forget-state" in str(error.value)
    assert [one.version for one in epochs(log, Counting, 0)] == [1], "nothing was begun"
    stepped(log, Deaf, new_epoch=True, forget_state=True).close()
    assert numbers(log) == sorted([*told((1, 10)), *told((1, 10))])
    assert not epochs(log, Deaf, 0)[1].carried


def test_an_unreadable_snapshot_of_a_log_without_layouts_is_told_likewise(log: Log) -> None:
    class Undeclared(Counting):
        carried = None

    log.append([trades(10)])
    stepped(log, Undeclared).close()
    assert epochs(log, Undeclared, 0)[0].layout is None

    class Strict(Second):
        def __init__(self, params: Params, snapshot: bytes | None) -> None:
            if snapshot is not None and not snapshot.startswith(b"seen "):
                raise SnapshotError("not one of mine")
            super().__init__(params, snapshot)

    with pytest.raises(FlowError, match="cannot be carried over to version 2: not one of mine"):
        opened(log, Strict, new_epoch=True)


def test_where_the_snapshot_that_another_version_left_is_lost_it_is_said(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([trades(10)])
    stepped(log).close()
    with monkeypatch.context() as patched:
        patched.setattr(Snapshots, "begin", lambda self, taken: None)
        stepped(log, Second, new_epoch=True)
    topic = snapshots_topic("counting")
    log.trim(topic, 0, log.end(topic, 0))
    with pytest.raises(NoStateError, match="carried over from the snapshot of commit 2"):
        opened(log, Second)


@pytest.mark.parametrize(
    ("carried", "told"),
    [
        (Carried(layout=2, reads=(2,)), "its layout is among the earlier ones"),
        (Carried(layout=2, reads=(1,)), "has no method `upgraded`"),
    ],
)
def test_a_declaration_that_cannot_be_kept_is_refused(carried: Carried, told: str) -> None:
    kind = type("Odd", (Counting,), {"carried": carried})
    with pytest.raises(FlowError, match=told):
        Stepper(kind, StepParams())


def test_the_same_version_in_another_layout_reads_its_own_earlier_snapshots(log: Log) -> None:
    class Same(Second):
        version: ClassVar[int] = 1

    log.append([trades(10)])
    stepped(log).close()
    log.trim("trades", 0, 1)
    log.append([trades(10, 2)])
    stepped(log, Same).close()
    assert numbers(log) == told((1, 20))


def test_an_heir_that_reads_one_input_less_goes_on_without_it(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Alone(InTurns):
        version: ClassVar[int] = 2
        inputs: ClassVar[tuple[Input, ...]] = (Input(topic=TRADES),)

    log.append([trades(10), quotes(3)])
    stepped(log, InTurns).close()
    log.append([trades(10, 2), quotes(3)])
    stepped(log, InTurns)  # killed: behind its snapshot it has read both
    with monkeypatch.context() as patched:
        patched.setattr(Snapshots, "begin", lambda self, taken: None)
        stepped(log, Alone, 3, new_epoch=True)
    log.append([trades(10, 3), quotes(3)])
    stepped(log, Alone, 3)
    assert numbers(log) == told((1, 20), (3, 30))


def test_an_heir_that_does_not_know_the_old_parameters_uses_its_own(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    class AtLeastFive(StepParams):
        every: int = Field(default=5, ge=5)

    class Stricter(Second):
        params_type: ClassVar[type[StepParams]] = AtLeastFive

    log.append([trades(10)])
    stepped(log).close()
    log.append([trades(10, 2)])
    stepped(log)
    with monkeypatch.context() as patched:
        patched.setattr(Snapshots, "begin", lambda self, taken: None)
        stepped(log, Stricter, 5, new_epoch=True)
        stepped(log, Stricter, 6, new_epoch=True)
    log.append([trades(10, 3)])
    stepped(log, Stricter, 6)
    # Ten by the snapshot, ten again with the heir's first parameter.
    rows = numbers(log)
    assert rows[:20] == told((1, 20))
    assert rows[20:] == [(10 + 10 * 5 + 6 * (one - 20), one) for one in (24, 30)]


def test_what_the_old_version_called_late_stays_counted_as_late(log: Log) -> None:
    class Choosy(InTurns):
        def on_rows(self, rows: Rows) -> list[Emitted]:
            at, given = rows.only
            if at == 0:
                return super().on_rows(rows)
            count = given.batch.num_rows
            times = given.batch.column("ts_event").cast(pa.int64()).to_numpy()
            late = Late(
                input=at,
                index=np.arange(count),
                window=["none"] * count,
                window_end=times,
                frontier=times,
                used=np.zeros(count, dtype=np.bool_),
            )
            return [late]

    class Lenient(InTurns):
        version: ClassVar[int] = 2

    log.append([trades(10), quotes(3)])
    stepped(log, Choosy)
    log.append([quotes(4)])
    stepped(log, Lenient, new_epoch=True)
    last = last_progress(log, Lenient, 0)
    assert last is not None
    counts = last[1].counts["quotes"]
    assert (counts.read, counts.used, counts.late) == (7, 4, 3)


def test_time_that_an_input_has_passed_is_carried_too() -> None:
    stepper = Stepper(InTurns, StepParams())

    def passed(at: int) -> Segment:
        return Segment(input=at, watermarks=watermarks_batch(["AIG"], np.array([10**18])))

    assert stepper.take(passed(0)) == []
    stepper.begin_epoch(StepParams(every=2), ["trades", "quotes"], carried=True)
    (told_on,) = stepper.take(passed(1))
    assert isinstance(told_on, Passed)
    assert told_on.keys == ["AIG"]
