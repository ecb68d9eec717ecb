"""A flow that reads every inbox gets one more where a topic is declared: its log goes on, and replays."""

from typing import ClassVar

import numpy as np
import pytest

from connectors.log import Log, NewRecord, TopicConfig
from connectors.records import rows_record
from connectors.topics import create_topics
from flows.engines.recompute import recompute
from flows.engines.recount import recount
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.flow import Flow, FlowError, Input, Params
from flows.intake import Intake
from schemas.market import BOOK_EVENTS, QUOTES, TRADES
from schemas.registry import TOPICS
from tests.conformity.outputs import logged
from tests.conformity.sample_flows import QUOTES_SEEN, QuotesArrivedBeforeTrades
from tests.conformity.workload import topic_rows

TRADE = b'{"symbol":"AIG","venue":"N","ts_event":1381152600000000000,"price":10.5,"size":100.0}'
QUOTE = b'{"symbol":"AIG","venue":"N","ts_event":1381152600000000000,"bid":10.0,"bid_size":5.0}'


class OneInbox(Intake):
    """Intake when trades alone had an inbox."""

    name: ClassVar[str] = "inboxes"
    inputs: ClassVar[tuple[Input, ...]] = (Input(topic=TRADES, inbox=True),)


class TwoInboxes(OneInbox):
    """The same version and parameters, behind a topic that was declared in the middle of the registry."""

    inputs: ClassVar[tuple[Input, ...]] = (
        Input(topic=QUOTES, inbox=True),
        Input(topic=TRADES, inbox=True),
    )


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 1)
    sqlite_log.append([NewRecord("trades.in", 0, TRADE)] * 5)
    return sqlite_log


def create_topics_but(log: Log, left_out: str) -> None:
    for topic in TOPICS.values():
        if topic.name != left_out:
            log.create_topic(TopicConfig(name=topic.name, partitions=1))


def stepped(log: Log, kind: type[Flow]) -> Shard:
    prepare(log, kind)
    shard = Shard(log, kind, Params(), 0, ShardOptions())
    shard.open()
    shard.step()
    shard.commit()
    return shard


@pytest.mark.parametrize("has_snapshot", [True, False])
def test_a_flow_goes_on_with_an_input_more_in_front(log: Log, *, has_snapshot: bool) -> None:
    one = stepped(log, OneInbox)
    if has_snapshot:
        one.close()
    log.append([NewRecord("quotes.in", 0, QUOTE)] * 3 + [NewRecord("trades.in", 0, TRADE)])
    stepped(log, TwoInboxes).close()
    assert logged(log, TRADES).num_rows == 6
    assert logged(log, QUOTES).num_rows == 3
    rows = sum(out.batch.num_rows for _, outs in recompute(log, TwoInboxes, 0) for out in outs)
    assert rows == 9
    assert [check.left for check in recount(log, TwoInboxes) if check.ok] == [3, 6]


def test_an_audit_knows_an_inbox_that_the_flow_has_not_met_yet(log: Log) -> None:
    stepped(log, OneInbox)
    assert [check.left for check in recount(log, TwoInboxes) if check.ok] == [0, 5]


def test_an_input_less_is_named(log: Log) -> None:
    log.append([NewRecord("quotes.in", 0, QUOTE)])
    stepped(log, TwoInboxes)
    with pytest.raises(FlowError, match=r"has read quotes\.in, which is none of its inputs now"):
        stepped(log, OneInbox)


class BroadcastFirst(QuotesArrivedBeforeTrades):
    """Its first input is read whole by every shard, and has more partitions than there are shards."""

    name: ClassVar[str] = "broadcast_first"
    inputs: ClassVar[tuple[Input, ...]] = (
        Input(topic=BOOK_EVENTS, broadcast=True),
        Input(topic=TRADES),
    )


def test_a_broadcast_input_with_more_partitions_than_shards_is_audited(sqlite_log: Log) -> None:
    sqlite_log.create_topic(TopicConfig(name=BOOK_EVENTS.name, partitions=3))
    sqlite_log.create_topic(TopicConfig(name=QUOTES_SEEN.name, partitions=1))
    create_topics_but(sqlite_log, BOOK_EVENTS.name)
    book = topic_rows(BOOK_EVENTS, np.random.default_rng(1), 10, 0)
    sqlite_log.append([rows_record(BOOK_EVENTS, 2, book)])
    sqlite_log.append([rows_record(TRADES, 0, topic_rows(TRADES, np.random.default_rng(1), 7, 0))])
    stepped(sqlite_log, BroadcastFirst)
    checks = recount(sqlite_log, BroadcastFirst)
    assert all(check.ok for check in checks)
    assert {check.left for check in checks} == {10, 7, 0}
