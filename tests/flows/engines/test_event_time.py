"""Order EVENT: what a flow is told of time hangs on the log, not on how its reads were cut."""

import numpy as np
import pytest

from connectors.log import Log, TopicConfig
from connectors.records import rows_record, watermarks_batch, watermarks_record
from connectors.topics import create_topics
from flows.engines import bytewax, local
from flows.engines.frontiers import Frontiers
from flows.engines.shard import ShardOptions
from flows.flow import FlowError
from schemas.market import TRADES
from tests.conformity.outputs import logged
from tests.conformity.sample_flows import QUOTES_SEEN, QuotesBeforeTrades
from tests.conformity.workload import START_NS, SYMBOLS, topic_rows

KEY = np.zeros(1, np.int64)


def told(cuts: list[list[int]], watermark: int = 100) -> int:
    """The last time told of a key with a watermark row and a later row in input 0, by reads of input 1."""
    frontiers = Frontiers([0, 0])
    frontiers.on_watermarks(0, KEY, np.array([watermark]))
    frontiers.on_rows(0, KEY, np.array([110]))
    times = []
    for rows in cuts:
        frontiers.on_rows(1, np.zeros(len(rows), np.int64), np.array(rows))
        times += frontiers.newly_passed()[1].tolist()
    assert times == sorted(set(times)), "each time is told once, in order"
    return int(times[-1])


@pytest.mark.parametrize(
    "cuts", [[[95, 105]], [[95], [105]], [[95, 100], [105]], [[95], [100], [105]]]
)
def test_the_time_that_a_key_is_told_hangs_on_no_cut(cuts: list[list[int]]) -> None:
    """Rows pass a watermark row in one read or in two: a restart may cut otherwise than the live run did."""
    assert told(cuts) == 100


def test_time_is_told_no_further_than_every_input_has_come() -> None:
    assert told([[95]]) == 95


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 1)
    sqlite_log.create_topic(TopicConfig(name=QUOTES_SEEN.name, partitions=1))
    rows = topic_rows(TRADES, np.random.default_rng(1), 1_000, 0)
    sqlite_log.append([rows_record(TRADES, 0, rows.slice(at, 100)) for at in range(0, 1_000, 100)])
    return sqlite_log


FEW_HELD = ShardOptions(held_rows=250, read_bytes=1)


def test_a_run_to_the_end_that_held_rows_stop_says_so_in_process(log: Log) -> None:
    with pytest.raises(FlowError, match=r"trades \(300 rows held\) .* in quotes"):
        local.run_until_end(log, [QuotesBeforeTrades], options=FEW_HELD)


def test_a_run_to_the_end_that_held_rows_stop_says_so_on_bytewax(log: Log) -> None:
    with pytest.raises(FlowError, match=r"trades \(300 rows held\) .* in quotes"):
        bytewax.run_kinds(log, [QuotesBeforeTrades], until_end=True, options=FEW_HELD)


def test_held_rows_that_the_other_input_releases_stop_nothing(log: Log) -> None:
    far = np.full(len(SYMBOLS), START_NS + 10**15)
    for name in ("trades", "quotes"):
        log.append([watermarks_record(name, 0, watermarks_batch(SYMBOLS, far))])
    local.run_until_end(log, [QuotesBeforeTrades], options=FEW_HELD)
    assert logged(log, QUOTES_SEEN).num_rows == 1_000
