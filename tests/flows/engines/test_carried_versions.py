"""State that another version of a flow goes on with, or cannot go on with."""

from typing import ClassVar, cast

import pytest

from connectors.control import snapshots_topic
from connectors.log import Log
from flows.engines.compare import compare
from flows.engines.epochs import epochs
from flows.engines.recount import recount
from flows.engines.recovery import NoStateError
from flows.engines.shard import EpochError
from flows.engines.snapshots import Snapshots, manifests
from flows.engines.stepper import Stepper
from flows.flow import Carried, FlowError, Params
from flows.snapshot import SnapshotError
from tests.flows.engines.carrying import (
    Counting,
    Deaf,
    Second,
    made,
    numbers,
    of,
    opened,
    stepped,
    trades,
)
from tests.flows.engines.test_shard import Every, StepParams


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
    assert numbers(log) == sorted([*of(1, 1, 10), *of(2, 11, 30)])
    entry = epochs(log, Second, 0)[1]
    assert (entry.carried, entry.base, entry.layout) == (True, 2, 2)
    # The first epoch can be computed by its own version only; the second from its first snapshot.
    [found] = compare(log, Second, 0)
    assert found.identical
    assert found.since.startswith("compared from commit 4 on: epoch 1 was computed by version 1")
    assert found.computed.rows == len(of(2, 11, 30))
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
    assert numbers(log) == sorted([*of(1, 1, 20), *of(5, 21, 30)])


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
    plain = Second.upgraded.__func__  # type: ignore[attr-defined]

    def noted(cls: type[Second], snapshot: bytes, layout: int) -> bytes:
        used.append(int(snapshot))
        return cast(bytes, plain(cls, snapshot, layout))

    monkeypatch.setattr(Second, "upgraded", classmethod(noted))
    with monkeypatch.context() as patched:
        patched.setattr(Snapshots, "begin", lambda self, taken: None)
        stepped(log, Second, new_epoch=True)
    older.save_snapshot()
    older._snapshots.finish()
    assert [one.epoch for one in manifests(log, "counting", 0)] == [1, 1]
    stepped(log, Second)
    assert used == [10, 10]


def test_a_version_that_cannot_read_the_state_says_what_to_do_and_forgets_only_when_told(
    log: Log,
) -> None:
    log.append([trades(10)])
    stepped(log).close()
    log.append([trades(10, 2)])
    told = (
        r"state of version 1 cannot be carried over to version 2: it is of layout 1, .* reads 2\."
    )
    with pytest.raises(FlowError, match=told) as error:
        opened(log, Deaf, new_epoch=True)
    assert "Go on with version 1" in str(error.value)
    assert "--forget-state" in str(error.value)
    assert [one.version for one in epochs(log, Counting, 0)] == [1], "nothing was begun"
    stepped(log, Deaf, new_epoch=True, forget_state=True).close()
    assert numbers(log) == sorted([*of(1, 1, 10), *of(1, 1, 10)])
    assert not epochs(log, Deaf, 0)[1].carried


def test_an_unreadable_snapshot_of_a_log_without_layouts_is_told_likewise(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Undeclared(Every):
        name = "counting"

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
    assert numbers(log) == of(1, 1, 20)
