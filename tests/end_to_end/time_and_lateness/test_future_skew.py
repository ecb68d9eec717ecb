"""One wrong clock makes no honest row late: what is more than 5 minutes ahead of its own append is a dead letter."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from connectors.feeds.mapping import parse_mapping
from connectors.feeds.options import FeedOptions
from connectors.feeds.pace import Clock
from connectors.feeds.program import feed
from connectors.live.adapter import Message
from connectors.live.generic import GenericAdapter
from connectors.live.mapping import LiveMapping
from connectors.live.sink import LiveSink, SinkOptions
from connectors.log import Log, NewRecord
from connectors.topics import create_topics
from flows.bars import Bars
from flows.engines import local
from flows.intake import Intake
from schemas.faults import DEAD_LETTER, LATE
from schemas.market import TRADES
from schemas.validation import MAX_SKEW_NS
from tests.conformity.outputs import logged

# Monday 2026-01-05, noon in New York.
NOON = 1_767_632_400_000_000_000
AHEAD = NOON + MAX_SKEW_NS
AT = {"symbol": "symbol", "venue": {"value": "X"}, "price": "price", "size": "size"}
MARKET = {
    "name": "market",
    "url": "ws://127.0.0.1:1/none",
    "symbols": ["A"],
    "messages": [{"topic": "trades", "fields": {**AT, "ts_event": {"path": "time", "unit": "ns"}}}],
}
STILL = Clock(now_ns=lambda: NOON, sleep=lambda _: None)


@pytest.fixture
def log(sqlite_log: Log) -> Log:
    create_topics(sqlite_log, 1)
    return sqlite_log


def trade(time_ns: int) -> dict[str, object]:
    return {"symbol": "A", "venue": "X", "price": 10.0, "size": 1.0, "time": time_ns}


def by_feed(log: Log, folder: Path, times: list[int]) -> None:
    path = folder / "trades.csv"
    path.write_text("time,price\n" + "".join(f"{one},10.0\n" for one in times))
    mapping = "topic=trades,symbol=const:A,venue=const:X,ts_event=time:ns,price=price,size=const:1"
    feed(log, [path], FeedOptions(mapping=parse_mapping(mapping), clock=STILL))


def by_live(log: Log, folder: Path, times: list[int]) -> None:
    del folder
    adapter = GenericAdapter(LiveMapping(**MARKET), credentials={})
    sink = LiveSink(log, adapter, SinkOptions(clock=STILL))
    messages = [
        Message(number=at + 1, recv_ns=NOON, payload=json.dumps(trade(one)).encode())
        for at, one in enumerate(times)
    ]
    sink.take(messages, adapter.parse(messages))
    sink.close()


def by_inbox(log: Log, folder: Path, times: list[int]) -> None:
    del folder
    for one in times:
        event = trade(one)
        event["ts_event"] = event.pop("time")
        log.append([NewRecord("trades.in", 0, json.dumps(event).encode())])
    local.run_until_end(log, [Intake])


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log's own clock, the other door to the wall clock, stands still."""
    monkeypatch.setattr(time, "time_ns", lambda: NOON)


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("way", [by_feed, by_live, by_inbox])
def test_five_minutes_ahead_are_taken_and_a_nanosecond_more_is_not(
    log: Log, tmp_path: Path, way: object
) -> None:
    way(log, tmp_path, [NOON - 1, AHEAD, AHEAD + 1, NOON, AHEAD + 10**18])
    taken = logged(log, TRADES).column("ts_event").cast("int64").to_pylist()
    assert sorted(taken) == [NOON - 1, NOON, AHEAD]
    dead = logged(log, DEAD_LETTER)
    assert dead.num_rows == 2
    for reason in dead.column("reason").to_pylist():
        assert "ts_event must be at most 5 minutes ahead of the append" in reason


@pytest.mark.usefixtures("frozen")
@pytest.mark.parametrize("way", [by_live, by_inbox])
def test_a_wrong_clock_makes_no_honest_row_late(log: Log, tmp_path: Path, way: object) -> None:
    honest = np.arange(NOON - 600 * 10**9, NOON, 10**9)
    wrong = [NOON + 3_600 * 10**9] * 5
    way(log, tmp_path, [int(one) for one in np.insert(honest, [100, 200, 300, 400, 500], wrong)])
    local.run_until_end(log, [Bars])
    assert logged(log, DEAD_LETTER).num_rows == 5
    assert logged(log, TRADES).num_rows == 600
    assert logged(log, LATE).num_rows == 0
