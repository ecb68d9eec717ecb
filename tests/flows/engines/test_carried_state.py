"""State that is carried over epochs: other parameters, kills in between, replays of it."""

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.control import progress_topic, snapshots_topic
from connectors.log import Log, open_log
from flows.engines.bounds import Bounds
from flows.engines.compare import compare
from flows.engines.epochs import epochs
from flows.engines.progress import last_progress
from flows.engines.recompute import computed, recompute
from flows.engines.recovery import NoStateError
from flows.engines.snapshots import Snapshots, manifests
from flows.engines.stretches import stretch_of, warmed
from flows.flow import Emit, Flow, FlowError, Params
from tests.flows.engines.carrying import (
    NEVER,
    Counting,
    InTurns,
    holds,
    made,
    numbers,
    opened,
    quotes,
    stepped,
    told,
    trades,
)
from tests.flows.engines.test_shard import Every


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    return made(sqlite_log)


@pytest.mark.parametrize("kind", [Counting, InTurns])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("snapshot_rows", [1, NEVER])
def test_a_new_epoch_begins_with_the_state_of_the_old_one(
    log: Log, kind: type[Flow], *, closed: bool, snapshot_rows: int
) -> None:
    for at, every in enumerate((1, 3, 3, 2)):
        log.append([trades(10, at), quotes(3)])
        new_epoch = at in {1, 3}
        shard = stepped(log, kind, every, new_epoch=new_epoch, snapshot_rows=snapshot_rows)
        if closed:
            shard.close()
    assert numbers(log) == told((1, 10), (3, 30), (2, 40))
    last = last_progress(log, kind, 0)
    assert last is not None
    assert (last[1].epoch, last[1].state_since) == (3, 1)
    assert [one.carried for one in epochs(log, kind, 0)] == [False, True, True]
    holds(log, kind)


def test_a_flow_that_declares_nothing_begins_empty(log: Log) -> None:
    log.append([trades(10)])
    stepped(log, Every).close()
    log.append([trades(10)])
    stepped(log, Every, 2, new_epoch=True).close()
    assert numbers(log) == sorted(
        [*((1, one) for one in range(1, 11)), *((2, one) for one in range(2, 11, 2))]
    )
    holds(log, Every)


@pytest.mark.parametrize("kind", [Counting, InTurns])
@pytest.mark.parametrize("snapshot_rows", [1, NEVER])
def test_a_kill_between_the_new_epoch_and_its_snapshot_forgets_nothing(
    log: Log, kind: type[Flow], snapshot_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([trades(10)])
    stepped(log, kind, snapshot_rows=snapshot_rows)
    with monkeypatch.context() as patched:
        patched.setattr(Snapshots, "begin", lambda self, taken: None)
        for every in (3, 4):  # the second change comes before the first has left a snapshot
            log.append([trades(10, every)])
            stepped(log, kind, every, new_epoch=True)
    log.append([trades(10, 9)])
    stepped(log, kind, 4)
    assert numbers(log) == told((1, 10), (3, 20), (4, 40))
    holds(log, kind)


@dataclass(frozen=True)
class Turn:
    """What happens to a shard once: rows come, it is started with parameters, and ends."""

    rows: int
    every: int
    snapshot_rows: int
    ends: str


TURNS = st.builds(
    Turn,
    rows=st.integers(0, 7),
    every=st.integers(1, 3),
    snapshot_rows=st.sampled_from([1, 5, NEVER]),
    ends=st.sampled_from(["closed", "killed", "killed before its snapshot"]),
)


@settings(max_examples=40)
@given(turns=st.lists(TURNS, min_size=2, max_size=7), in_turns=st.booleans())
def test_whatever_happens_a_trade_has_its_number_and_the_parameters_of_its_epoch(
    tmp_path_factory: pytest.TempPathFactory, turns: list[Turn], *, in_turns: bool
) -> None:
    kind = InTurns if in_turns else Counting
    with open_log(f"sqlite:///{tmp_path_factory.mktemp('turns') / 'log.db'}") as log:
        made(log)
        seen, lived = 0, []
        for at, turn in enumerate(turns):
            if turn.rows:
                log.append([trades(turn.rows, at), quotes(1)])
            seen += turn.rows
            lived.append((turn.every, seen))
            with pytest.MonkeyPatch.context() as patched:
                if turn.ends == "killed before its snapshot":
                    patched.setattr(Snapshots, "begin", lambda self, taken: None)
                how = {"new_epoch": True, "snapshot_rows": turn.snapshot_rows}
                shard = stepped(log, kind, turn.every, **how)
                if turn.ends == "closed":
                    shard.close()
        expected = told(*lived)
        assert numbers(log) == expected
        again = [one for _, outs in recompute(log, kind, 0) for one in outs]
        rows = sum(one.batch.num_rows for one in again if isinstance(one, Emit))
        assert rows == len(expected)
        if expected:
            holds(log, kind)


def test_a_log_from_before_state_was_carried_goes_on_and_is_replayed_as_it_was(log: Log) -> None:
    class Once(Counting):
        carried = None

    log.append([trades(10)])
    stepped(log, Once).close()
    log.append([trades(10, 2)])
    stepped(log, Once, 2, new_epoch=True).close()
    # From here on the flow declares it.
    log.append([trades(10, 3)])
    stepped(log, Counting, 5, new_epoch=True).close()
    assert numbers(log) == sorted([*told((1, 10)), *told((2, 10), (5, 20))])
    holds(log)


def test_where_the_state_is_lost_nothing_begins_empty_but_by_word(log: Log) -> None:
    log.append([trades(10)])
    stepped(log)
    log.append([trades(10, 2)])
    stepped(log)
    log.trim("trades", 0, 1)
    for new_epoch in (False, True):
        for every in (1, 2) if new_epoch else (1,):
            with pytest.raises(NoStateError, match=r"no whole snapshot .* --forget-state"):
                opened(log, every=every, new_epoch=new_epoch)
    log.append([trades(10, 3)])
    stepped(log, new_epoch=True, forget_state=True)
    assert numbers(log) == sorted([*told((1, 20)), *told((1, 10))])


def test_where_all_progress_is_lost_orders_are_not_done_again_but_by_word(log: Log) -> None:
    log.append([trades(10)])
    stepped(log)
    config = log.topics()[progress_topic(Counting.name)]
    log.delete_topic(config.name)
    log.create_topic(config)
    for every in (1, 2):
        with pytest.raises(FlowError, match=r"no progress record.* --new-epoch --forget-state to"):
            opened(log, every=every, new_epoch=True)
    assert numbers(log) == told((1, 10))
    stepped(log, new_epoch=True, forget_state=True)
    assert numbers(log) == sorted(told((1, 10)) * 2)


def test_a_replay_may_begin_in_a_later_epoch_at_its_snapshot(log: Log) -> None:
    for at, every in enumerate((1, 3, 2)):
        log.append([trades(10, at), quotes(2)])
        stepped(log, InTurns, every, new_epoch=bool(at)).close()
        log.append([trades(4, 10 + at)])
        stepped(log, InTurns, every).close()
    for begin in (3, 4, 5):
        bounds = Bounds(from_offsets={("trades", 0): begin})
        assert all(one.identical for one in compare(log, InTurns, 0, bounds=bounds))
        stretch = stretch_of(log, InTurns, 0, bounds)
        assert stretch is not None
        near = warmed(log, InTurns, stretch)
        parts = [part.on(log, InTurns, 0) for part in near.parts]
        found = [
            row
            for step in computed(log, InTurns, 0, parts, near.start)
            if step.place >= len(near.warm)
            for one in step.outputs
            if isinstance(one, Emit)
            for row in one.batch.column("trade").to_pylist()
        ]
        assert (
            found
            == {
                3: [27, *range(30, 43, 2)],
                4: [*range(30, 43, 2)],
                5: [40, 42],
            }[begin]
        )


def test_parameters_that_the_state_does_not_fit_are_refused_before_anything_is_begun(
    log: Log,
) -> None:
    class Bounded(Counting):
        def __init__(self, params: Params, snapshot: bytes | None) -> None:
            super().__init__(params, snapshot)
            if self.seen > 10 * self.every:
                raise FlowError("more trades than every allows; raise it")

    log.append([trades(25)])
    stepped(log, Bounded, 3).close()
    with pytest.raises(FlowError, match="more trades than every allows; raise it"):
        opened(log, Bounded, 2, new_epoch=True)
    last = last_progress(log, Bounded, 0)
    assert last is not None
    assert last[1].epoch == 1


def test_what_is_to_be_computed_without_the_state_before_it_is_refused(log: Log) -> None:
    for every in (1, 2):
        log.append([trades(10, every)])
        stepped(log, every=every, new_epoch=every > 1).close()
    with pytest.raises(FlowError, match="epoch 2 began with the state of the one before"):
        list(recompute(log, Counting, 0, epochs(log, Counting, 0)[1:]))


def test_where_a_log_is_cut_behind_an_epoch_the_replay_begins_at_a_snapshot(log: Log) -> None:
    for at, every in enumerate((1, 2, 3)):
        log.append([trades(10, at)])
        stepped(log, every=every, new_epoch=bool(at)).close()
    oldest = manifests(log, "counting", 0)[0]
    log.trim("trades", 0, oldest.read_on["trades"][0])
    log.trim(progress_topic("counting"), 0, oldest.checkpoint_offset)
    log.append([trades(10, 9)])
    stepped(log, every=3)
    [found] = compare(log, Counting, 0)
    assert found.identical
    assert found.since.startswith(f"compared from commit {oldest.number + 1} on")
    assert found.computed.rows
    assert numbers(log) == told((1, 10), (2, 20), (3, 40))


def test_where_no_snapshot_leads_to_what_a_cut_log_has_nothing_is_computed_from_empty_state(
    log: Log,
) -> None:
    for every in (1, 2):
        log.append([trades(10, every)])
        stepped(log, every=every, new_epoch=every > 1).close()
    log.trim("trades", 0, 1)
    topic = snapshots_topic("counting")
    log.trim(topic, 0, log.end(topic, 0))
    [found] = compare(log, Counting, 0)
    assert found.identical
    assert found.computed.rows == 0
    assert found.since.endswith("the lake has all of it")
