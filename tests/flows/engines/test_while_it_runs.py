"""An audit and a replay of a flow that goes on meanwhile: they look at what was committed when they began."""

from collections.abc import Callable
from pathlib import Path

import pytest

from connectors.log import NewRecord
from connectors.scan import scan_rows
from connectors.sqlite_log import SqliteLog
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines.compare import compare
from flows.engines.recount import recount
from flows.engines.shard import Shard, ShardOptions, prepare
from schemas.bars import BARS
from tests.conformity.workload import pieces, records


class LiveLog(SqliteLog):
    """A log on which something happens once a topic of a flow's outputs is looked at."""

    then: Callable[[], None] | None = None

    def end(self, topic: str, partition: int) -> int:
        if topic in ("late", "bars") and self.then is not None:
            happens, self.then = self.then, None
            happens()
        return super().end(topic, partition)


@pytest.fixture
def log(tmp_path: Path) -> LiveLog:
    """Half of the rows are worked; the other half follows when the outputs are looked at."""
    log = LiveLog(f"sqlite:///{tmp_path / 'log.db'}")
    create_topics(log, 1)
    made = records(Bars, pieces(Bars, 1, 4_000), 1)
    half = len(made) // 2
    log.append(made[:half])
    prepare(log, Bars)
    shard = Shard(log, Bars, Bars.params_type(), 0, ShardOptions())
    shard.open()
    shard.step()

    def go_on() -> None:
        log.append(made[half:])
        shard.step()
        shard.close()

    log.then = go_on
    return log


def test_an_audit_holds_while_the_flow_goes_on(log: LiveLog) -> None:
    checks = recount(log, Bars)
    assert log.then is None
    assert checks
    assert [check for check in checks if not check.ok] == []


def test_a_replay_is_identical_while_the_flow_goes_on(log: LiveLog) -> None:
    found = compare(log, Bars, 0)
    assert log.then is None
    assert [one.topic for one in found if not one.identical] == []
    assert len(found) > 1


def test_rows_of_a_commit_without_a_progress_record_stay_in_sight(log: LiveLog) -> None:
    log.then = None
    record, _ = next(scan_rows(log, BARS, 0))
    headers = tuple((name, b"99" if name == "commit" else value) for name, value in record.headers)
    log.append([NewRecord("bars", 0, record.value, headers=headers)])
    assert [one.topic for one in compare(log, Bars, 0) if not one.identical] == ["bars"]
