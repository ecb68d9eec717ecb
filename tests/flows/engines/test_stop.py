"""Being told to stop: shards that have begun are closed, others need not begin."""

from collections.abc import Mapping
from pathlib import Path
from threading import Event

import pytest

from connectors.log import LogError
from connectors.sqlite_log import SqliteLog
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines import bytewax
from flows.engines.shard import Shard
from flows.marks import Marks


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stop_while_flows_come_up_is_heard_before_all_are_up(
    sqlite_log: SqliteLog, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """After a kill, each of a hundred shards may compute a million rows again."""
    create_topics(sqlite_log, 4)
    stop = Event()
    opened: list[str] = []
    closed: list[str] = []
    opens, closes = Shard.open, Shard.close

    def open_and_stop(shard: Shard) -> None:
        opens(shard)
        opened.append(shard.name)
        stop.set()

    def close(shard: Shard) -> None:
        closes(shard)
        closed.append(shard.name)

    monkeypatch.setattr(Shard, "open", open_and_stop)
    monkeypatch.setattr(Shard, "close", close)
    bytewax.run_kinds(sqlite_log, [Bars, Marks], workers=workers, stop=stop)
    assert 1 <= len(opened) <= workers
    assert sorted(closed) == sorted(opened)


class FarLog(SqliteLog):
    """A log whose brokers go away at the moment in which the program is told to stop."""

    stop = Event()

    def news(self, positions: Mapping[tuple[str, int], int]) -> list[tuple[str, int]]:
        if self.stop.is_set():
            raise LogError("no answer from Kafka for 120 s")
        return super().news(positions)


@pytest.mark.parametrize("workers", [1, 2])
def test_who_is_told_to_stop_does_not_ask_the_log_for_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """Each of sixty shards asked brokers that were away, and waited for them for two minutes."""
    steps = Shard.step
    worked: set[str] = set()

    def step_and_stop(shard: Shard) -> int:
        rows = steps(shard)
        worked.add(shard.name)
        if len(worked) == 8:
            log.stop.set()
        return rows

    monkeypatch.setattr(Shard, "step", step_and_stop)
    with FarLog(f"sqlite:///{tmp_path / 'log.db'}") as log:
        log.stop = Event()
        create_topics(log, 4)
        bytewax.run_kinds(log, [Bars, Marks], workers=workers, stop=log.stop)
    assert len(worked) == 8
