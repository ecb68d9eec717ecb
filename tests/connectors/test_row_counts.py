"""Rows are counted once, whatever is asked, and in whatever order."""

import itertools

import pytest

from connectors.log import Log, LogError
from connectors.row_counts import RowCounts
from connectors.scan import scan_rows
from connectors.topics import create_topics
from schemas.market import TRADES
from tests.connectors.landing_rows import append_trades


def test_any_range_in_any_order_has_the_rows_that_a_scan_of_it_finds(sqlite_log: Log) -> None:
    create_topics(sqlite_log, 1)
    append_trades(sqlite_log, 1, 4, rows=7)
    append_trades(sqlite_log, 2, 3, rows=11)
    end = sqlite_log.end("trades", 0)
    assert end >= 7
    ranges = [*itertools.combinations_with_replacement(range(end + 1), 2)]
    counts = RowCounts(sqlite_log)
    for start, upto in [*ranges[::3], *reversed(ranges)]:
        wanted = [
            (record.offset, batch.num_rows)
            for record, batch in scan_rows(sqlite_log, TRADES, 0, start=start, end=upto)
            if batch.num_rows
        ]
        offsets, rows = counts.by_record(TRADES, 0, start=start, end=upto)
        assert [*zip(offsets.tolist(), rows.tolist(), strict=True)] == wanted
        assert counts.total(TRADES, 0, start=start, end=upto) == sum(n for _, n in wanted)


def test_what_is_appended_meanwhile_is_counted_where_it_is_asked_for(sqlite_log: Log) -> None:
    create_topics(sqlite_log, 1)
    append_trades(sqlite_log, 1, 2)
    counts = RowCounts(sqlite_log)
    before = sqlite_log.end("trades", 0)
    first = counts.total(TRADES, 0, end=before)
    append_trades(sqlite_log, 2, 2)
    after = sqlite_log.end("trades", 0)
    assert counts.total(TRADES, 0, end=before) == first
    assert counts.total(TRADES, 0, end=after) == 2 * first > 0


def test_records_that_the_log_has_lost_are_an_error_each_time(sqlite_log: Log) -> None:
    create_topics(sqlite_log, 1)
    append_trades(sqlite_log, 1, 2)
    counts = RowCounts(sqlite_log)
    for _ in range(2):
        with pytest.raises(LogError, match="it has lost some"):
            counts.total(TRADES, 0, end=sqlite_log.end("trades", 0) + 1)
