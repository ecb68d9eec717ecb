"""The clock: passes time on for live sources, and for nothing else."""

from pathlib import Path
from time import time_ns

import numpy as np
import pytest

from connectors.clock import CLOCK_TOPIC, Clock
from connectors.log import Headers, Log, open_log
from connectors.records import decode_watermarks, is_watermarks, rows_record
from connectors.scan import scan_records
from connectors.topics import create_topics
from schemas.codec import HEADER_LIVE, HEADER_SOURCE
from schemas.market import QUOTES, TRADES
from schemas.partition import partition_of
from schemas.registry import market_topics

SECOND = 1_000_000_000
LIVE: Headers = ((HEADER_LIVE, b"1"),)


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 2)
    return sqlite_log


def _trade(log: Log, symbol: str, time_ns: int, headers: Headers = LIVE) -> int:
    """Append one trade; the time at which the log took it."""
    times = np.array([time_ns], dtype="datetime64[ns]")
    batch = TRADES.batch(
        {
            "symbol": [symbol],
            "venue": ["X"],
            "ts_event": times,
            "ts_recv": times,
            "price": [10.0],
            "size": [1.0],
            "updates_high_low": [True],
            "updates_last": [True],
            "updates_volume": [True],
            "action": ["new"],
        }
    )
    partition = partition_of(symbol, 2)
    log.append([rows_record(TRADES, partition, batch, headers=headers)])
    last = log.last("trades", partition)
    assert last is not None
    return last.append_time_ns


def _watermarks(log: Log, topic: str = "trades") -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for partition in range(2):
        for record in scan_records(log, topic, partition):
            if is_watermarks(record):
                batch = decode_watermarks(record)
                times = batch.column("ts_event").cast("int64").to_pylist()
                found += zip(batch.column("key").to_pylist(), times, strict=True)
    return sorted(found)


def test_a_quiet_symbol_is_told_its_sources_time_in_every_raw_topic(log: Log) -> None:
    clock = Clock(log, lateness_ns=SECOND)
    _trade(log, "QUIET", 1000 * SECOND)
    appended = _trade(log, "BUSY", 1007 * SECOND)
    assert clock.read() == 2
    clock.tick(appended + 5 * SECOND)
    # The source's newest row, 5 s of wall time since, 1 s of lateness.
    told = 1011 * SECOND
    for topic in market_topics():
        assert _watermarks(log, topic.name) == [("BUSY", told), ("QUIET", told)]


def test_a_symbol_that_is_further_by_its_own_rows_is_not_told(log: Log) -> None:
    clock = Clock(log, lateness_ns=SECOND)
    _trade(log, "QUIET", 1000 * SECOND)
    appended = _trade(log, "BUSY", 1007 * SECOND)
    clock.read()
    clock.tick(appended)
    assert _watermarks(log) == [("QUIET", 1006 * SECOND)]
    assert _watermarks(log, "quotes") == [("BUSY", 1006 * SECOND), ("QUIET", 1006 * SECOND)]


def test_history_is_never_closed(log: Log) -> None:
    clock = Clock(log)
    appended = _trade(log, "OLD", 1000 * SECOND, headers=())
    assert clock.read() == 0
    assert clock.tick(appended + 3600 * SECOND) == 0
    assert _watermarks(log) == []


def test_it_speaks_at_most_once_a_second_and_less_often_the_longer_it_is_quiet(log: Log) -> None:
    clock = Clock(log, lateness_ns=0)
    appended = _trade(log, "QUIET", 1000 * SECOND)
    clock.read()
    assert clock.tick(appended + SECOND) == len(market_topics())
    assert clock.tick(appended + SECOND + SECOND // 2) == 0
    assert clock.tick(appended + 2 * SECOND) == len(market_topics())
    hour = 3600 * SECOND
    assert clock.tick(appended + hour) == len(market_topics())
    assert clock.tick(appended + hour + 30 * SECOND) == 0
    assert clock.tick(appended + hour + 62 * SECOND) == len(market_topics())


def test_time_does_not_go_back_where_the_wall_clock_does(log: Log) -> None:
    clock = Clock(log, lateness_ns=0)
    appended = _trade(log, "QUIET", 1000 * SECOND)
    clock.read()
    clock.tick(appended + 10 * SECOND)
    assert clock.tick(appended + 5 * SECOND) == 0
    assert _watermarks(log) == [("QUIET", 1010 * SECOND)]


def test_a_row_ahead_of_its_append_makes_no_other_symbols_rows_late(log: Log) -> None:
    """One wrong time of four minutes ahead closed four minutes of every symbol of the source."""
    clock = Clock(log, lateness_ns=SECOND)
    honest = _trade(log, "HONEST", time_ns())
    _trade(log, "WRONG", honest + 240 * SECOND)
    clock.read()
    clock.tick(honest + 2 * SECOND)
    (told,) = [time for key, time in _watermarks(log) if key == "HONEST"]
    assert told <= honest + SECOND


def test_quiet_symbols_go_on_closing_where_the_wall_clock_was_set_back(log: Log) -> None:
    """They waited, and the clock's state was not kept, until the wall clock was where it had been."""
    clock = Clock(log, lateness_ns=0)
    _trade(log, "QUIET", 1000 * SECOND)
    appended = _trade(log, "BUSY", 1000 * SECOND)
    clock.read()
    clock.tick(appended + 10 * SECOND)
    kept = log.end(CLOCK_TOPIC, 0)
    back = appended - 3600 * SECOND
    for after in range(1, 62):
        _trade(log, "BUSY", (1010 + after) * SECOND)
        clock.read()
        clock.tick(back + after * SECOND)
        assert _watermarks(log)[-1] == ("QUIET", (1010 + after) * SECOND)
    assert log.end(CLOCK_TOPIC, 0) > kept + 1


def test_a_symbol_of_two_sources_has_the_time_of_the_one_behind(log: Log) -> None:
    clock = Clock(log, lateness_ns=0)
    ahead = _trade(log, "BOTH", 1100 * SECOND, headers=(*LIVE, (HEADER_SOURCE, b"ahead")))
    behind = _trade(log, "BOTH", 1000 * SECOND, headers=(*LIVE, (HEADER_SOURCE, b"behind")))
    clock.read()
    clock.tick(behind + 2 * SECOND)
    assert ahead <= behind
    # In trades its own row at 1100 s is further; in quotes it is told.
    assert _watermarks(log, "quotes") == [("BOTH", 1002 * SECOND)]
    assert _watermarks(log) == []


def test_it_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    with open_log(url) as log:
        create_topics(log, 2)
        first = Clock(log, lateness_ns=0)
        appended = _trade(log, "QUIET", 1000 * SECOND)
        first.read()
        first.tick(appended + SECOND)
        # Not closed: it was killed. What it kept at its first tick is what it knows.
    with open_log(url) as log:
        second = Clock(log, lateness_ns=0)
        assert second.read() == 0
        second.tick(appended + 20 * SECOND)
        assert _watermarks(log)[-1] == ("QUIET", 1020 * SECOND)
        assert log.end(CLOCK_TOPIC, 0) - log.start(CLOCK_TOPIC, 0) == 1


def test_a_topics_own_lateness_counts_too(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUOTES.__dict__, "lateness_ns", 3 * SECOND)
    clock = Clock(log, lateness_ns=SECOND)
    appended = _trade(log, "QUIET", 1000 * SECOND)
    clock.read()
    clock.tick(appended + 10 * SECOND)
    assert _watermarks(log, "quotes") == [("QUIET", 1006 * SECOND)]
    assert _watermarks(log, "trades") == [("QUIET", 1009 * SECOND)]
