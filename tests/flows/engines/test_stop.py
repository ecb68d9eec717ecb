"""Being told to stop: shards that have begun are closed, others need not begin."""

from threading import Event

import pytest

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
