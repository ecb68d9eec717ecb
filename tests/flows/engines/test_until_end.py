"""A run to the log's end comes to it, though another program goes on writing what its own flows write."""

from dataclasses import replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from time import monotonic
from typing import ClassVar, Self

import numpy as np
import pytest

from connectors.log import TopicConfig
from connectors.records import rows_record
from connectors.sqlite_log import SqliteLog
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines import bytewax
from flows.engines.progress import last_progress
from flows.engines.shard import Shard
from flows.execution import Execution
from flows.intake import Intake
from flows.marks import Marks
from flows.oms import Oms
from schemas.market import TRADES
from tests.conformity.workload import topic_rows
from tests.connectors.landing_rows import append_trades

INBOX = TRADES.inbox_name


class FedWithoutEnd(SqliteLog):
    """A log with a feed so quick that there are always more trades than when one last looked."""

    def end(self, topic: str, partition: int) -> int:
        if topic == TRADES.name:
            rows = topic_rows(TRADES, np.random.default_rng(1), 1, 0)
            self.append([rows_record(TRADES, partition, rows)])
        return super().end(topic, partition)


@pytest.mark.timeout(30)
def test_another_writer_of_a_flows_topic_does_not_keep_a_run_from_its_end(tmp_path: Path) -> None:
    with FedWithoutEnd(f"sqlite:///{tmp_path / 'log.db'}") as log:
        create_topics(log, 1)
        bytewax.run_kinds(log, [Intake, Bars], until_end=True)
        found = last_progress(log, Bars, 0)
        assert found is not None
        assert found[1].counts["trades"].read >= 1


@pytest.mark.timeout(60)
def test_another_writer_does_not_keep_flows_that_read_each_other_from_their_end(
    tmp_path: Path,
) -> None:
    """They ended only where all of them, at one moment, had read everything that the feed had written by then."""
    with FedWithoutEnd(f"sqlite:///{tmp_path / 'log.db'}") as log:
        create_topics(log, 1)
        bytewax.run_kinds(log, [Intake, Marks, Oms, Execution], until_end=True)
        found = last_progress(log, Execution, 0)
        assert found is not None
        assert found[1].counts["trades"].read >= 1


class Widened(SqliteLog):
    """A log whose trades' inbox gets a third partition while the flows come up."""

    narrow = False

    def topics(self) -> dict[str, TopicConfig]:
        known = super().topics()
        return known | ({INBOX: replace(known[INBOX], partitions=2)} if self.narrow else {})


@pytest.mark.parametrize("workers", [1, 2])
def test_a_partition_that_comes_while_flows_come_up_does_not_keep_them_from_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """It had no end to be read up to: ``KeyError: ('trades.in', 2)``."""
    opens = Shard.open

    def open_wider(shard: Shard) -> None:
        log.narrow = False
        opens(shard)

    monkeypatch.setattr(Shard, "open", open_wider)
    with Widened(f"sqlite:///{tmp_path / 'log.db'}") as log:
        create_topics(log, 3)
        log.narrow = True
        bytewax.run_kinds(log, [Intake], workers=workers, until_end=True)
        found = last_progress(log, Intake, 2)
        assert found is not None
        assert found[1].positions[INBOX] == {2: 0}


class SetBack(datetime):
    """A wall clock that was some seconds ahead at first."""

    asked: ClassVar[list[None]] = []

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        cls.asked.append(None)
        return super().now(tz) + (len(cls.asked) < 50) * timedelta(seconds=20)


def test_several_workers_go_on_where_the_wall_clock_is_set_back(
    sqlite_log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They looked at nothing, not even whether to stop, until it was where it had been."""
    create_topics(sqlite_log, 4)
    append_trades(sqlite_log, 1, 20)
    monkeypatch.setattr(bytewax, "datetime", SetBack)
    begun = monotonic()
    bytewax.run_kinds(sqlite_log, [Intake, Bars], workers=2, until_end=True)
    assert monotonic() - begun < 15
