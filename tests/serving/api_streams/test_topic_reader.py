"""The reader of the log rests where nothing is new, whatever the log can say of that."""

from collections.abc import Mapping
from pathlib import Path
from threading import Event

import numpy as np

from connectors.log import NewRecord, TopicConfig
from connectors.records import rows_record
from connectors.sqlite_log import SqliteLog
from schemas.market import TRADES
from serving.hub.reader import Arrived, Lost, TopicReader
from tests.conformity.workload import topic_rows

_LONG_S = 60.0
_PARTITIONS = 3


class Vague(SqliteLog):
    """A log that cannot say which partitions have news (Kafka), and tells when somebody waits for some."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.waited = Event()

    def news(self, positions: Mapping[tuple[str, int], int]) -> list[tuple[str, int]]:
        return list(positions)

    def wait(self, positions: Mapping[tuple[str, int], int], timeout_s: float) -> bool:
        self.waited.set()
        return super().wait(positions, timeout_s)


def _trades(seed: int) -> NewRecord:
    return rows_record(TRADES, 1, topic_rows(TRADES, np.random.default_rng(seed), 5, 0))


def test_where_nothing_is_new_nothing_is_handed_over_and_the_reader_sleeps(tmp_path: Path) -> None:
    found: list[Arrived | Lost] = []
    came = Event()

    def deliver(some: list[Arrived | Lost]) -> None:
        found.extend(some)
        came.set()

    with Vague(f"sqlite:///{tmp_path}/log.db") as log:
        log.create_topic(TopicConfig(name=TRADES.name, partitions=_PARTITIONS))
        reader = TopicReader(log, deliver, lambda *_: None)
        reader.follow(TRADES, dict.fromkeys(range(_PARTITIONS), 0), newest=False)
        reader.start()
        try:
            for seed in range(2):
                came.clear()
                log.append([_trades(seed)])
                assert came.wait(_LONG_S)
                log.waited.clear()
                assert log.waited.wait(_LONG_S)
        finally:
            reader.stop()
    assert [
        (one.partition, one.offset, one.batch.num_rows) for one in found if isinstance(one, Arrived)
    ] == [(1, 0, 5), (1, 1, 5)]
    assert len(found) == 2
