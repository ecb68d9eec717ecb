"""Topics of a SQLite log: made together, and never made over."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connectors.log import Log, LogError, NewRecord, TopicConfig, open_log
from connectors.sqlite_log import SqliteLog


def test_dozens_of_topics_are_made_in_one_synced_transaction_and_those_there_in_none(
    sqlite_log: SqliteLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, commits = sqlite_log, list[bool]()
    log.create_topic(TopicConfig(name="ticks", partitions=2))
    real = log._file.writing

    @contextmanager
    def counted(**options: Any) -> Iterator[sqlite3.Connection]:
        commits.append(options.get("synced", False))
        with real(**options) as connection:
            yield connection

    monkeypatch.setattr(log._file, "writing", counted)
    configs = [TopicConfig(name="ticks", partitions=2)]
    configs += [TopicConfig(name=f"more-{at}", partitions=3) for at in range(40)]
    for _ in range(2):
        log.create_topics(configs)
        assert commits == [True]
    with open_log(log.url) as other:
        assert {config.name: config for config in configs}.items() <= other.topics().items()
    log.append([NewRecord("more-39", 2, b"0")])
    assert [record.value for record in log.read("more-39", 2, 0).records] == [b"0"]


def test_a_topic_of_other_partitions_is_named(sqlite_log: Log) -> None:
    sqlite_log.create_topic(TopicConfig(name="orders", partitions=1))
    with pytest.raises(
        LogError, match=r"topic orders in .*: 2 partitions were asked for, it has 1"
    ):
        sqlite_log.create_topics(
            [TopicConfig(name="new", partitions=1), TopicConfig(name="orders", partitions=2)]
        )
