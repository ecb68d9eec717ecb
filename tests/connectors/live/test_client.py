"""The live client against a venue on loopback that drops, repeats, reorders, cuts, freezes and refuses."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from threading import Event

import pytest

from connectors.feeds.pace import Clock
from connectors.feeds.source import FeedError
from connectors.live.adapter import Limits, Noticed, VenueRefusalError
from connectors.live.generic import GenericAdapter
from connectors.live.mapping import LiveMapping
from connectors.live.program import LiveOptions, run_live
from connectors.live.rates import Rate
from connectors.live.sink import SinkOptions
from connectors.log import FencedError, Log
from schemas.codec import HEADER_LIVE, HEADER_SOURCE
from tests.connectors.live.conftest import IMPATIENT, events, feeding, records, rows
from tests.connectors.live.venue import Close, Cut, Freeze, Hear, Refuse, Reset, Say, Venue, Wait

MAPPING = {
    "name": "market",
    "url": "ws://127.0.0.1:1/none",
    "symbols": ["ACME"],
    "subscribe": ['{"subscribe":{symbols},"key":"${market_key}"}'],
    "messages": [
        {
            "topic": "trades",
            "when": {"type": "match"},
            "sequence": "n",
            "fields": {
                "symbol": "symbol",
                "venue": {"value": "MARKET"},
                "ts_event": {"path": "time", "unit": "iso"},
                "price": "price",
                "size": "size",
                "trade_id": "n",
            },
        }
    ],
    "control": [{"when": {"type": "subscribed"}, "kind": "subscribed"}],
}
SECRET = "very-secret-key"


def adapter(venue: Venue, **changes: object) -> GenericAdapter:
    mapping = LiveMapping(**{**MAPPING, "url": venue.url, **changes})
    return GenericAdapter(mapping, credentials={"market_key": SECRET})


def trade(number: int, symbol: str = "ACME") -> bytes:
    return json.dumps(
        {
            "type": "match",
            "symbol": symbol,
            "n": number,
            "time": f"2026-01-05T15:00:{number % 60:02d}.000000001Z",
            "price": "10.5",
            "size": 2,
        }
    ).encode()


def numbers(log: Log) -> list[int]:
    return [int(row["trade_id"]) for row in rows(log, "trades")]


def test_what_a_venue_says_is_in_the_log_with_source_and_receive_time(log: Log) -> None:
    now = 1_800_000_000_000_000_000
    clock = Clock(now_ns=lambda: now)
    script = [Hear(), Say('{"type":"subscribed"}'), *(Say(trade(n)) for n in range(100))]
    with (
        Venue([script]).running() as venue,
        feeding(
            log,
            adapter(venue),
            replace(IMPATIENT, clock=clock),
            SinkOptions(calendar="24/7", clock=clock),
        ) as running,
    ):
        running.until(lambda: len(rows(log, "trades")) == 100)
    assert venue.heard == ['{"subscribe":["ACME"],"key":"very-secret-key"}']
    found = rows(log, "trades")
    assert [int(row["trade_id"]) for row in found] == list(range(100))
    assert {row["ts_recv"] for row in found} == {now}
    assert found[0]["ts_event"] == 1_767_625_200_000_000_001
    for record in records(log, "trades"):
        assert (record.header(HEADER_LIVE), record.header(HEADER_SOURCE)) == (b"1", b"market")
    assert [row["kind"] for row in events(log)] == ["connected", "subscribed", "disconnected"]
    assert running.counts is not None
    assert (running.counts.messages, running.counts.rejected) == (101, 0)


def test_every_drop_is_a_gap_and_no_duplicate_is_doubled(log: Log) -> None:
    sent = [0, 1, 2, 5, 5, 6, 4, 9, 9, 7, 10]
    with (
        Venue([[Hear(), *(Say(trade(n)) for n in sent)]]).running() as venue,
        feeding(log, adapter(venue)) as running,
    ):
        running.until(lambda: 10 in numbers(log))
    assert numbers(log) == [0, 1, 2, 5, 6, 4, 9, 7, 10]
    told = [
        (row["kind"], row["symbol"], row["expected"], row["found"])
        for row in rows(log, "feed_events")
        if row["symbol"]
    ]
    assert told == [
        ("gap", "ACME", 3, 5),
        ("duplicate", "ACME", 6, 5),
        ("gap_filled", "ACME", 7, 4),
        ("gap", "ACME", 7, 9),
        ("duplicate", "ACME", 10, 9),
        ("gap_filled", "ACME", 10, 7),
    ]


def test_after_a_cut_in_mid_message_it_connects_and_subscribes_again(log: Log) -> None:
    scripts = [
        [Hear(), Say(trade(0)), Cut(trade(1) * 3)],
        Reset(),
        Refuse(503),
        [Hear(), Close(1012, "restart")],
        [Hear(), Say(trade(2))],
    ]
    with Venue(scripts).running() as venue, feeding(log, adapter(venue)) as running:
        running.until(lambda: numbers(log) == [0, 2])
    assert len(venue.heard) == 3
    kinds = Counter(row["kind"] for row in events(log))
    assert kinds == {"connected": 3, "disconnected": 3, "refused": 2, "gap": 1}
    details = " ".join(str(row["detail"]) for row in events(log, "disconnected", "refused"))
    for said in ("1012 restart", "503", "told to stop", "lost: no close frame"):
        assert said in details


def test_no_secret_is_in_the_log(log: Log) -> None:
    scripts = [[Hear(), Say(trade(0)), Cut(trade(1))], [Hear(), Say("no JSON"), Say(trade(1))]]
    with Venue(scripts).running() as venue, feeding(log, adapter(venue)) as running:
        running.until(lambda: numbers(log) == [0, 1])
    assert SECRET in venue.heard[0]
    for topic in log.topics():
        for record in records(log, topic):
            assert SECRET.encode() not in (record.value or b"")


def test_a_silent_venue_is_left_and_a_frozen_one_too(log: Log) -> None:
    limits = Limits(
        connects=Rate(count=100, seconds=1),
        sends=Rate(count=100, seconds=1),
        requests=Rate(count=1, seconds=1),
        heartbeat_s=0.4,
    )
    scripts = [
        [Hear(), Say(trade(0)), Wait(60)],
        [Hear(), Say(trade(1)), Freeze()],
        [Hear(), Say(trade(2))],
    ]
    with Venue(scripts).running() as venue:
        one = adapter(venue)
        # The first is silent and answers pings; the second does not even answer those.
        one.limits = replace(limits, silence_s=0.3, heartbeat_s=20)
        with feeding(log, one) as running:
            running.until(lambda: 1 in numbers(log))
            running.until(lambda: running.seen.count("heartbeat_timeout") >= 2)
            running.until(lambda: 2 in numbers(log))
    silent = [row["detail"] for row in events(log, "heartbeat_timeout")]
    assert silent[0] == "nothing came for 0.3 s"

    with Venue(
        [[Hear(), Freeze()], [Hear(), Say(trade(3)), Wait(0.9), Say(trade(4))]]
    ).running() as venue:
        two = adapter(venue)
        two.limits = limits
        with feeding(log, two) as running:
            running.until(lambda: 4 in numbers(log))
    assert [row["detail"] for row in events(log, "heartbeat_timeout")][len(silent) :] == [
        "no answer to a ping within 0.2 s"
    ]


def test_a_refused_connection_is_tried_again_with_longer_waits(log: Log) -> None:
    with Venue([]).running() as venue:
        url = venue.url
    silent = adapter(venue)
    assert silent.url == url
    options = replace(IMPATIENT, backoff_first_s=0.02, backoff_most_s=0.2)
    with feeding(log, silent, options) as running:
        running.until(lambda: len(running.seen) >= 7)
    refused = events(log, "refused")
    assert all("Connect" in row["detail"] for row in refused)
    waits = [
        (after["ts_event"] - before["ts_event"]) / 1e9
        for before, after in itertools.pairwise(refused)
    ]
    # Half of 0.02, 0.04, 0.08, 0.16, 0.2, 0.2 at least: jitter takes no more.
    for wait, least in zip(waits, (0.01, 0.02, 0.04, 0.08, 0.1, 0.1), strict=False):
        assert wait >= least


def test_a_venue_that_refuses_for_good_ends_the_feed(log: Log) -> None:
    with Venue([Refuse(401)]).running() as venue:
        one = adapter(venue)
        with (
            pytest.raises(
                VenueRefusalError, match=r"market at ws://.* refuses the connection: .*401"
            ),
            feeding(log, one) as running,
        ):
            running.until(lambda: False)
    assert [row["kind"] for row in events(log)] == ["refused"]


def test_what_is_said_keeps_to_the_rate_and_waiting_is_told(log: Log) -> None:
    changes = {
        "subscribe": ['{"subscribe":"{symbol}"}'],
        "symbols": [f"S{n}" for n in range(5)],
        "sends": {"count": 2, "seconds": 1},
    }
    script = [*(Hear() for _ in range(5)), Say(trade(0))]
    with Venue([script]).running() as venue, feeding(log, adapter(venue, **changes)) as running:
        running.until(lambda: numbers(log) == [0])
    assert venue.heard == [f'{{"subscribe":"S{n}"}}' for n in range(5)]
    told = [row["detail"] for row in events(log, "rate_limited")]
    waits = [float(re.search(r"waits (\S+) s", detail)[1]) for detail in told]
    # The third waits for the first, and the fifth for the third; the fourth by what the first two were apart.
    assert len([wait_s for wait_s in waits if wait_s > 0.5]) == 2, told
    assert min(waits) >= 0.001


def test_a_full_buffer_holds_the_venue_back_and_loses_nothing(log: Log) -> None:
    script = [Hear(), *(Say(trade(n)) for n in range(3000))]
    options = replace(IMPATIENT, buffer_messages=16, batch_messages=8, flush_s=0)
    with Venue([script]).running() as venue, feeding(log, adapter(venue), options) as running:
        running.until(lambda: 2999 in numbers(log))
    assert numbers(log) == list(range(3000))
    assert events(log, "back_pressure")


def test_bad_messages_are_dead_letters_with_their_bytes(log: Log) -> None:
    bad = [
        b"not JSON \xff",
        b'{"type":"unheard of"}',
        trade(1).replace(b'"10.5"', b'"ten"'),
        trade(1).replace(b'"10.5"', b'"-1"'),
        trade(2).replace(b"2026-01-05", b"2126-01-05"),
    ]
    script = [
        Hear(),
        Say(trade(0)),
        *(Say(one.decode(errors="replace")) for one in bad),
        Say(trade(3)),
    ]
    with Venue([script]).running() as venue, feeding(log, adapter(venue)) as running:
        running.until(lambda: 3 in numbers(log))
    assert numbers(log) == [0, 3]
    letters = sorted(rows(log, "dead_letter"), key=lambda row: row["source_offset"])
    assert [row["payload"].decode() for row in letters] == [
        one.decode(errors="replace") for one in bad
    ]
    for row, reason in zip(
        letters,
        (
            "no JSON",
            "fits no entry",
            "price: a double was needed, not 'ten'",
            "price must be above 0",
            "5 minutes ahead",
        ),
        strict=True,
    ):
        assert reason in row["reason"]
        assert row["source_topic"] == "market"


def test_a_second_copy_of_a_source_ends_the_first(log: Log) -> None:
    def both(venue: Venue) -> None:
        with feeding(log, adapter(venue)) as first:
            first.until(lambda: numbers(log) == [0])
            with feeding(log, adapter(venue)) as second:
                second.until(lambda: 5 in numbers(log))
                first.until(lambda: False)

    scripts = [[Hear(), Say(trade(0)), Wait(0.5), Say(trade(1)), Wait(60)], [Hear(), Say(trade(5))]]
    with Venue(scripts).running() as venue, pytest.raises(FencedError):
        both(venue)
    assert numbers(log) == [0, 5]


def test_history_in_the_log_beyond_a_live_row_is_told(log: Log) -> None:
    for number in (30, 10):
        script = [Hear(), Say(trade(number))]
        with Venue([script]).running() as venue, feeding(log, adapter(venue)) as running:
            running.until(lambda number=number: number in numbers(log))
    (behind,) = events(log, "behind")
    assert (behind["symbol"], behind["stream"]) == ("ACME", "trades")


@pytest.mark.parametrize("url", ["ws://me:{}@127.0.0.1:1/x?token={}", "ws://me:{}@[bad?token={}"])
def test_a_key_in_the_address_is_in_no_row_and_no_message(log: Log, url: str) -> None:
    mapping = LiveMapping(**{**MAPPING, "url": url.format(SECRET, SECRET)})
    one = GenericAdapter(mapping, credentials={"market_key": SECRET})
    stop = Event()
    told: list[str] = []

    def noticed(events: Sequence[Noticed]) -> None:
        told.extend(event.detail or "" for event in events)
        stop.set()

    try:
        run_live(log, one, LiveOptions(), stop, noticed)
    except FeedError as error:
        told.append(str(error))
    assert told
    assert SECRET not in repr(told)
    assert SECRET not in repr(rows(log, "feed_events"))
