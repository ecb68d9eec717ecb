"""The samples of the system panel: rates, lags and delays of a log whose content is known."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.log import Log
from connectors.records import rows_record, watermarks_batch, watermarks_record
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines.local import run_until_end
from schemas.field import TIMESTAMP
from schemas.market import QUOTES, TRADES
from schemas.topic import Topic
from serving.dashboard.samples import SystemView
from tests.conformity.workload import topic_rows

S_NS = 10**9


class _Clock:
    now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


def _rows(topic: Topic, count: int, end_ns: int) -> pa.RecordBatch:
    """Rows of the topic whose newest event time is ``end_ns``."""
    batch = topic_rows(topic, np.random.default_rng(3), count, 0)
    at = topic.schema.get_field_index(topic.event_time)
    times = pc.cast(batch.column(at), pa.int64())
    moved = pc.add(times, end_ns - pc.max(times).as_py())
    return batch.set_column(at, topic.schema.field(at), moved.cast(TIMESTAMP))


def _topic(value: dict[str, list[dict[str, object]]], name: str) -> dict[str, object]:
    return next(one for one in value["topics"] if one["topic"] == name)


def test_a_rate_is_rows_read_between_two_samples_over_their_time(sqlite_log: Log) -> None:
    create_topics(sqlite_log, 1)
    clock = _Clock()
    view = SystemView(sqlite_log, clock)
    sqlite_log.append([rows_record(TRADES, 0, _rows(TRADES, 100, 10**18))])
    run_until_end(sqlite_log, [Bars])
    assert _topic(view.value(), "trades")["rows_per_second"] is None
    sqlite_log.append([rows_record(TRADES, 0, _rows(TRADES, 300, 10**18 + 60 * S_NS))])
    run_until_end(sqlite_log, [Bars])
    clock.now_ns = 4 * S_NS
    assert _topic(view.value(), "trades")["rows_per_second"] == 75.0


def test_within_a_second_it_is_the_same_sample(sqlite_log: Log) -> None:
    create_topics(sqlite_log, 1)
    clock = _Clock()
    view = SystemView(sqlite_log, clock)
    first = view.value()
    clock.now_ns = S_NS - 1
    assert view.value() is first
    clock.now_ns = S_NS
    assert view.value() is not first


def test_a_topic_is_behind_the_newest_of_the_market_in_market_time(sqlite_log: Log) -> None:
    create_topics(sqlite_log, 1)
    sqlite_log.append([rows_record(TRADES, 0, _rows(TRADES, 10, 10**18))])
    sqlite_log.append([rows_record(QUOTES, 0, _rows(QUOTES, 10, 10**18 + 90 * S_NS))])
    value = SystemView(sqlite_log, _Clock()).value()
    assert _topic(value, "trades")["behind_s"] == 90.0
    assert _topic(value, "quotes")["behind_s"] == 0.0
    assert _topic(value, "trades")["watermark_delay_s"] is None


def test_the_watermark_delay_is_that_of_the_least_key_and_rows_are_found_behind_watermarks(
    sqlite_log: Log,
) -> None:
    create_topics(sqlite_log, 1)
    marks = watermarks_batch(["AIG", "IBM"], np.array([10**18 - 5 * S_NS, 10**18 - 2 * S_NS]))
    sqlite_log.append([rows_record(TRADES, 0, _rows(TRADES, 10, 10**18))])
    sqlite_log.append([watermarks_record("trades", 0, marks)])
    sample = _topic(SystemView(sqlite_log, _Clock()).value(), "trades")
    assert sample["ts_event_ns"] == 10**18
    assert sample["watermark_delay_s"] == 5.0


def test_lags_of_readers_are_told(sqlite_log: Log) -> None:
    create_topics(sqlite_log, 1)
    sqlite_log.append([rows_record(TRADES, 0, _rows(TRADES, 10, 10**18))])
    run_until_end(sqlite_log, [Bars])
    sqlite_log.append([rows_record(TRADES, 0, _rows(TRADES, 10, 10**18 + S_NS))])
    readers = SystemView(sqlite_log, _Clock()).value()["readers"]
    assert [(one["flow"], one["topic"], one["lag"]) for one in readers] == [("bars", "trades", 1)]


def test_the_process_itself_is_among_the_programs_with_its_memory(sqlite_log: Log) -> None:
    create_topics(sqlite_log, 1)
    programs = SystemView(sqlite_log, _Clock()).value()["programs"]
    assert any(one["memory_bytes"] > 10_000_000 for one in programs)
