"""Runs of a replay (`--into`) over epochs whose state was carried, or was not, or that lost records had begun."""

import pytest

from connectors.control import progress_topic, snapshots_topic
from connectors.log import Log, TopicConfig
from connectors.run_log import RunLog
from flows.engines.run_stages import Stage, run_stages, stages_of
from flows.engines.shard import Shard
from flows.engines.snapshots import Snapshots
from flows.engines.stretches import stretch_of
from schemas.faults import LATE
from tests.conformity.sample_flows import QUOTES_SEEN
from tests.flows.engines.carrying import (
    Counting,
    InTurns,
    made,
    numbers,
    quotes,
    stepped,
    told,
    trades,
)
from tests.flows.engines.test_shard import Every


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    return made(sqlite_log)


def run_log(log: Log, kind: type[Every]) -> RunLog:
    """A run beside the log, in the same file."""
    names = [QUOTES_SEEN.name, LATE.name]
    own = {*names, progress_topic(kind.name), snapshots_topic(kind.name)}
    found = RunLog("again", log, log, own, begun_ns=1)
    for name in names:
        found.create_topic(TopicConfig(name=name, partitions=1))
    return found


def stages(log: Log, kind: type[Every]) -> list[Stage]:
    stretch = stretch_of(log, kind, 0, from_beginning=True)
    assert stretch is not None
    return stages_of(stretch)


def run_again(log: Log, kind: type[Every]) -> list[tuple[int, int]]:
    """What a run of all that the live shard has done gives."""
    run = run_log(log, kind)
    run_stages(run, kind, 0, stages(log, kind))
    return numbers(run)


@pytest.mark.parametrize("kind", [Counting, InTurns])
def test_a_run_carries_the_state_over_the_same_commits(log: Log, kind: type[Every]) -> None:
    for at, every in enumerate((1, 3, 2)):
        log.append([trades(10, at), quotes(2)])
        stepped(log, kind, every, new_epoch=bool(at))
    assert run_again(log, kind) == numbers(log) == told((1, 10), (3, 20), (2, 30))


def test_a_run_forgets_where_live_had_forgotten(log: Log) -> None:
    for every, forget in ((1, False), (3, True), (2, False)):
        log.append([trades(10, every)])
        stepped(log, every=every, new_epoch=every > 1, forget_state=forget)
    expected = sorted([*told((1, 10)), *told((3, 10), (2, 20))])
    assert run_again(log, Counting) == numbers(log) == expected


def test_an_epoch_that_lost_records_had_begun_is_one_with_the_one_before(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append([trades(10)])
    stepped(log, every=2)
    log.append([trades(10, 2)])
    with monkeypatch.context() as patched:
        # As a log that has lost its last records says: the writer has made more commits than are told of.
        patched.setattr("flows.engines.history.History.needs_new_epoch", lambda *_: True)
        stepped(log, every=2, new_epoch=True)
    assert [one.carried for one in stages(log, Counting)] == [False]
    assert run_again(log, Counting) == numbers(log) == told((2, 20))


@pytest.mark.parametrize("kind", [Counting, InTurns])
def test_a_run_that_is_killed_in_the_change_goes_on(
    log: Log, kind: type[Every], monkeypatch: pytest.MonkeyPatch
) -> None:
    for at, every in enumerate((1, 3)):
        log.append([trades(10, at), quotes(2)])
        stepped(log, kind, every, new_epoch=bool(at))
    run = run_log(log, kind)
    with monkeypatch.context() as patched:
        # Nothing of it is in a snapshot, and behind its second stage's first commit it is killed.
        patched.setattr(Snapshots, "begin", lambda self, taken: None)
        plain = Shard.step

        def step(self: Shard) -> int:
            if self._history.progress.epoch == 2:
                raise KeyboardInterrupt
            return plain(self)

        patched.setattr(Shard, "step", step)
        with pytest.raises(KeyboardInterrupt):
            run_stages(run, kind, 0, stages(log, kind))
    run_stages(run, kind, 0, stages(log, kind))
    assert numbers(run) == numbers(log) == told((1, 10), (3, 20))
