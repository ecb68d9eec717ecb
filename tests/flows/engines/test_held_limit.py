"""Too many held rows: an input is paused, which is said and seen; where all are, the flow ends with advice."""

from dataclasses import replace
from threading import Event, Thread

import numpy as np
import pytest
import structlog

from connectors.log import Log, NewRecord, TopicConfig
from connectors.records import Partitioner, rows_record, watermarks_batch, watermarks_record
from connectors.topics import create_topics
from flows.engines import bytewax, held_limit, stepper
from flows.engines.reading import Reader
from flows.engines.shard import Shard, ShardOptions, prepare
from flows.flow import FlowError, Params
from schemas.arrays import Int64s
from schemas.market import QUOTES, TRADES
from schemas.topic import Topic
from serving.topics import reader_states
from tests.conformity.outputs import logged
from tests.conformity.sample_flows import (
    QUOTES_SEEN,
    QuotesArrivedBeforeTrades,
    QuotesBeforeTrades,
)
from tests.conformity.workload import START_NS, SYMBOLS, topic_rows

FEW_HELD = ShardOptions(held_rows=250, read_bytes=1, idle_commit_s=0.0)


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 1)
    sqlite_log.create_topic(TopicConfig(name=QUOTES_SEEN.name, partitions=1))
    return sqlite_log


def rows(topic: Topic, *symbols: str) -> list[NewRecord]:
    """Ten records of a hundred rows of some symbols."""
    made = topic_rows(topic, np.random.default_rng(1), 20_000, 0)
    names = made.column("symbol").to_pylist()
    picked = made.take([at for at, name in enumerate(names) if name in symbols][:1_000])
    return [rows_record(topic, 0, picked.slice(at, 100)) for at in range(0, 1_000, 100)]


def far_ns(count: int) -> Int64s:
    return np.full(count, START_NS + 10**15)


def far() -> list[NewRecord]:
    end = far_ns(len(SYMBOLS))
    return [
        watermarks_record(name, 0, watermarks_batch(SYMBOLS, end)) for name in ("trades", "quotes")
    ]


def opened(log: Log) -> Shard:
    prepare(log, QuotesBeforeTrades)
    shard = Shard(log, QuotesBeforeTrades, Params(), 0, FEW_HELD)
    shard.open()
    return shard


def stepped(shard: Shard, times: int) -> None:
    for _ in range(times):
        shard.step()


def test_a_paused_input_is_said_once_and_seen_in_the_topics_and_read_on_later(log: Log) -> None:
    log.append(rows(TRADES, "AIG"))
    with structlog.testing.capture_logs() as said:
        shard = opened(log)
        stepped(shard, 6)
        assert shard.wanted().keys() == {("quotes", 0)}, "nothing wakes it for what is paused"
        seen = {one.topic: (one.paused, one.held) for one in reader_states(log)}
        assert seen == {"trades": (True, 300), "quotes": (False, 0)}
        log.append(far()[1:])
        while shard.step() or shard.dirty:
            shard.commit()
    events = [(line["event"], line["input"]) for line in said]
    assert events == [("input_paused", "trades"), ("input_resumed", "trades")]
    assert said[0]["waits_for"] == "300 of 'AIG' for quotes"
    assert {one.paused for one in reader_states(log)} == {False}
    assert shard.positions()["trades", 0] == 10
    assert logged(log, QUOTES_SEEN).num_rows > 900


def test_where_every_input_is_paused_the_flow_ends_and_says_what_to_do(log: Log) -> None:
    log.append(rows(TRADES, "AIG") + rows(QUOTES, "BAC"))
    shard = opened(log)
    with pytest.raises(FlowError) as told:
        stepped(shard, 10)
    assert "every input is paused" in str(told.value)
    assert "trades holds 300 of 'AIG' for quotes" in str(told.value)
    assert "quotes holds 300 of 'BAC' for trades" in str(told.value)
    assert "raise the setting held_rows" in str(told.value)
    # Done so, it goes on from its last commit.
    log.append(far())
    more = Shard(log, QuotesBeforeTrades, Params(), 0, ShardOptions())
    more.open()
    while more.step():
        pass
    more.close()
    assert logged(log, QUOTES_SEEN).num_rows == 1_000


@pytest.mark.timeout(60)
def test_a_live_run_that_cannot_go_on_ends_too(log: Log) -> None:
    log.append(rows(TRADES, "AIG") + rows(QUOTES, "BAC"))
    stop = Event()
    ended: list[Exception] = []

    def live() -> None:
        try:
            bytewax.run_kinds(log, [QuotesBeforeTrades], options=FEW_HELD, stop=stop)
        except FlowError as error:
            ended.append(error)

    thread = Thread(target=live)
    thread.start()
    thread.join(50)
    stop.set()
    thread.join()
    assert "every input is paused" in str(ended[0])


@pytest.mark.timeout(60)
def test_a_run_until_the_end_that_pauses_as_it_commits_does_not_wait_for_ever(log: Log) -> None:
    # Each record has rows that come out at once, and rows that wait: the pause and the commit are one step.
    log.append([watermarks_record("quotes", 0, watermarks_batch(["BAC"], far_ns(1)))])
    log.append(rows(TRADES, "AIG", "BAC"))
    few = replace(FEW_HELD, idle_commit_s=0.1)
    with pytest.raises(FlowError, match=r"trades \(\d+ rows held\) cannot be read on"):
        bytewax.run_kinds(log, [QuotesBeforeTrades], options=few, until_end=True)


def test_watermarks_of_more_keys_than_there_may_be_are_an_error(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepper, "_MAX_KEYS", 5)
    log.append(far())
    prepare(log, QuotesArrivedBeforeTrades)
    shard = Shard(log, QuotesArrivedBeforeTrades, Params(), 0, ShardOptions())
    shard.open()
    with pytest.raises(FlowError, match=r"watermark rows of quotes name more than 5 keys, '\w+'"):
        shard.step()


def test_what_a_partitioner_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.records._KNOWN_MAX", 3)
    one, fresh = Partitioner(7), [Partitioner(7) for _ in range(50)]
    assert [one.of(f"K{at}") for at in range(50)] == [
        part.of(f"K{at}") for at, part in enumerate(fresh)
    ]
    assert len(one._known) <= 3


def test_a_replay_holds_more_where_every_input_is_paused(log: Log) -> None:
    """Live came so far, with whatever bound its setting was: the replay must, too."""
    log.append(rows(TRADES, "AIG") + rows(QUOTES, "BAC") + far())
    prepare(log, QuotesBeforeTrades)
    more = replace(FEW_HELD, hold_more=True)
    shard = Shard(log, QuotesBeforeTrades, Params(), 0, more)
    shard.open()
    stepped(shard, 40)
    assert shard.at_end({("trades", 0): 11, ("quotes", 0): 11})
    assert logged(log, QUOTES_SEEN).num_rows == 1_000


@pytest.mark.parametrize(("limit", "most"), [(1_000_000, 1_000), (250, 300)])
def test_what_is_computed_again_reads_no_further_ahead_than_rows_may_be_held(
    log: Log, monkeypatch: pytest.MonkeyPatch, limit: int, most: int
) -> None:
    monkeypatch.setattr(held_limit, "HELD_ROWS", limit)
    passed = watermarks_batch(["BAC"], np.array([START_NS + 10**15]))
    log.append([watermarks_record("trades", 0, passed), *rows(TRADES, "AIG")])
    log.append([*rows(QUOTES, "BAC"), *rows(QUOTES, "BAC"), *far()])
    again = stepper.Stepper(QuotesBeforeTrades, Params())
    reader = Reader(log, QuotesBeforeTrades, 0, max_bytes=1)
    held = []
    for segment in reader.read_to(reader.ends(), held_limit.is_full(again)):
        again.take(segment)
        held.append(again.held(1))
    assert max(held) == most
    assert reader.positions == reader.ends()
    assert again.counts["trades"].used == 1_000
