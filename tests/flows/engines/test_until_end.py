"""A run to the log's end comes to it, though another program goes on writing what its own flows write."""

from pathlib import Path

import numpy as np
import pytest

from connectors.records import rows_record
from connectors.sqlite_log import SqliteLog
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines import bytewax
from flows.engines.progress import last_progress
from flows.intake import Intake
from schemas.market import TRADES
from tests.conformity.workload import topic_rows


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
