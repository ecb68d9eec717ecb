"""Alpaca's streams: authentication, subscription, every kind of message, errors that mend and that do not."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.feeds.source import FeedError
from connectors.live.adapter import Message, VenueRefusalError
from connectors.live.alpaca import FEEDS, AlpacaAdapter
from connectors.live.program import LiveOptions, replay_capture
from connectors.log import Log, open_log
from connectors.receipts import receipt
from connectors.topics import create_topics
from schemas.market import QUOTES, TRADES
from schemas.vendor_bars import VENDOR_BARS
from tests.connectors.live.conftest import events, feeding, rows
from tests.connectors.live.venue import Hear, Say, Step, Venue

KEYS = {"alpaca_key": "the-key", "alpaca_secret": "the-secret"}
WELCOME = '[{"T":"success","msg":"connected"}]'
AUTHENTICATED = '[{"T":"success","msg":"authenticated"}]'
SUBSCRIBED = json.dumps(
    [
        {
            "T": "subscription",
            "trades": ["AAPL"],
            "quotes": ["AAPL"],
            "bars": ["AAPL"],
            "updatedBars": [],
            "corrections": ["AAPL"],
            "cancelErrors": ["AAPL"],
        }
    ]
)
DATA = [
    # The documentation's own examples, in arrays as the wire has them.
    [
        {
            "T": "t",
            "i": 96921,
            "S": "AAPL",
            "x": "D",
            "p": 126.55,
            "s": 1,
            "t": "2021-02-22T15:51:44.208Z",
            "c": ["@", "I"],
            "z": "C",
        },
        {
            "T": "q",
            "S": "AAPL",
            "bx": "U",
            "bp": 87.66,
            "bs": 1,
            "ax": "Q",
            "ap": 87.68,
            "as": 4,
            "t": "2021-02-22T15:51:45.335689322Z",
            "c": ["R"],
            "z": "C",
        },
        {"T": "q", "S": "AAPL", "bp": 0, "bs": 0, "ap": 88, "as": 1, "t": "2021-02-22T15:51:46Z"},
    ],
    [
        {
            "T": "c",
            "S": "AAPL",
            "x": "M",
            "oi": 52983525033527,
            "op": 39.1582,
            "os": 440000,
            "oc": [" ", "7"],
            "ci": 52983525034326,
            "cp": 39.1809,
            "cs": 440000,
            "cc": [" ", "7"],
            "z": "A",
            "t": "2023-04-06T14:25:06.542305024Z",
        }
    ],
    [
        {
            "T": "x",
            "S": "AAPL",
            "i": 465,
            "x": "D",
            "p": 105.31,
            "s": 300,
            "a": "C",
            "z": "C",
            "t": "2023-04-06T13:15:42.83540958Z",
        }
    ],
    [
        {
            "T": "b",
            "S": "AAPL",
            "o": 1,
            "h": 4,
            "l": 0.5,
            "c": 3,
            "v": 100,
            "n": 7,
            "vw": 2,
            "t": "2023-04-06T13:15:00Z",
        }
    ],
]


def adapter(venue: Venue, **changes: Any) -> AlpacaAdapter:
    given = {
        "symbols": ["AAPL"],
        "credentials": KEYS,
        "channels": ("trades", "quotes", "bars"),
        "url": venue.url,
    }
    return AlpacaAdapter(FEEDS["alpaca-sip"], **{**given, **changes})


def script(*said: str) -> list[Step]:
    return [
        Say(WELCOME),
        Hear(),
        Say(AUTHENTICATED),
        Hear(),
        Say(SUBSCRIBED),
        *(Say(one) for one in said),
    ]


def test_every_kind_of_message_becomes_its_row(log: Log, tmp_path: Path) -> None:
    said = [json.dumps(one) for one in DATA]
    capture = tmp_path / "wire.jsonl"
    with (
        Venue([script(*said)]).running() as venue,
        feeding(log, adapter(venue), capture=capture) as running,
    ):
        running.until(lambda: len(rows(log, "vendor_bars")) == 1)
    assert [json.loads(one) for one in venue.heard] == [
        {"action": "auth", "key": "the-key", "secret": "the-secret"},
        {"action": "subscribe", "trades": ["AAPL"], "quotes": ["AAPL"], "bars": ["AAPL"]},
    ]
    trade, correction, cancel = (
        {name: value for name, value in row.items() if value is not None and name != "ts_recv"}
        for row in rows(log, "trades")
    )
    updates = {"updates_high_low": True, "updates_last": True, "updates_volume": True}
    # An odd lot, and a contingent trade.
    volume_only = updates | {"updates_high_low": False, "updates_last": False}
    assert trade == {
        "symbol": "AAPL",
        "venue": "D",
        "ts_event": 1_614_009_104_208_000_000,
        "price": 126.55,
        "size": 1.0,
        "conditions": "@,I",
        "trade_id": "96921",
        "action": "new",
        **volume_only,
    }
    assert correction == {
        "symbol": "AAPL",
        "venue": "M",
        "ts_event": 1_680_791_106_542_305_024,
        "price": 39.1809,
        "size": 440_000.0,
        "conditions": " ,7",
        "trade_id": "52983525034326",
        "action": "correct",
        "ref_trade_id": "52983525033527",
        **volume_only,
    }
    assert cancel == {
        "symbol": "AAPL",
        "venue": "D",
        "ts_event": 1_680_786_942_835_409_580,
        "price": 105.31,
        "size": 300.0,
        "action": "cancel",
        "ref_trade_id": "465",
        **updates,
    }
    first, second = rows(log, "quotes")
    assert (first["venue"], first["bid"], first["bid_size"], first["ask"], first["ask_size"]) == (
        "SIP",
        87.66,
        1.0,
        87.68,
        4.0,
    )
    assert (second["bid"], second["bid_size"], second["ask"]) == (None, 0.0, 88.0)
    (bar,) = rows(log, "vendor_bars")
    assert (bar["interval"], bar["ts_event"] - bar["ts_start"]) == ("1m", 60_000_000_000)
    assert (bar["open"], bar["high"], bar["low"], bar["close"], bar["volume"]) == (
        1,
        4,
        0.5,
        3,
        100,
    )
    (subscribed,) = events(log, "subscribed")
    assert subscribed["detail"] == "trades AAPL, quotes AAPL, bars AAPL"
    assert rows(log, "dead_letter") == []

    # The recording needs no credentials, has none, and gives the same rows.
    assert "the-secret" not in capture.read_text()
    with open_log(f"sqlite:///{tmp_path / 'other.db'}") as other:
        create_topics(other, 2)
        again = AlpacaAdapter(FEEDS["alpaca-sip"], symbols=[], credentials={})
        replay_capture(other, again, capture, LiveOptions())
        topics = [TRADES, QUOTES, VENDOR_BARS]
        assert receipt(other, topics) == receipt(log, topics)


@pytest.mark.parametrize(
    ("codes", "tape", "sets"),
    [
        (["@"], "C", (True, True, True)),
        ([" ", "F"], "A", (True, True, True)),
        # The official close repeats the closing auction, which was printed before.
        (["@", "M"], "C", (False, False, False)),
        (["Q"], "A", (False, False, False)),
        (["@", "I"], "C", (False, False, True)),
        (["W"], "C", (False, False, True)),
        # B is an average-price trade on tapes A and B, a bunched one on C.
        (["B"], "A", (False, False, True)),
        (["B"], "C", (True, True, True)),
        (["@", "4"], "C", (True, False, True)),
        (["@", "T"], "C", (True, True, True)),
        (["@", "T", "I"], "C", (False, False, True)),
        (["@", "U"], "C", (True, False, True)),
        (None, "C", (True, True, True)),
    ],
)
def test_what_a_trade_sets_of_a_bar_is_said_by_its_sale_conditions(
    codes: list[str] | None, tape: str, sets: tuple[bool, bool, bool]
) -> None:
    """All trades set everything: an odd lot the low of the day, the official close its volume again."""
    told = {**DATA[0][0], "c": codes, "z": tape}
    parser = AlpacaAdapter(FEEDS["alpaca-sip"], symbols=["AAPL"], credentials=KEYS)
    said = Message(number=1, recv_ns=1_614_009_105_000_000_000, payload=json.dumps([told]).encode())
    ((_, batch, _),) = parser.parse([said]).groups
    (row,) = batch.to_pylist()
    assert (row["updates_high_low"], row["updates_last"], row["updates_volume"]) == sets


def test_a_wrong_key_ends_the_feed_and_says_why(log: Log) -> None:
    failed = '[{"T":"error","code":402,"msg":"auth failed"}]'
    with (
        Venue([[Say(WELCOME), Hear(), Say(failed)]]).running() as venue,
        pytest.raises(
            VenueRefusalError, match=r"alpaca\.sip refuses: 402 auth failed; see the cred"
        ) as error,
        feeding(log, adapter(venue)) as running,
    ):
        running.until(lambda: False)
    assert "the-secret" not in str(error.value)
    assert [row["detail"] for row in events(log, "venue_error")] == ["402 auth failed"]


def test_an_error_that_passes_makes_it_connect_again(log: Log) -> None:
    full = '[{"T":"error","code":406,"msg":"connection limit exceeded"}]'
    said = json.dumps(DATA[0])
    scripts = [[Say(WELCOME), Hear(), Say(full)], script(said)]
    with Venue(scripts).running() as venue:
        one = adapter(venue)
        with feeding(log, one) as running:
            running.until(lambda: len(rows(log, "trades")) == 1)
    details = [row["detail"] for row in events(log, "disconnected")]
    assert details == ["406 connection limit exceeded", "told to stop"]


def test_what_a_subscription_leaves_out_is_told(log: Log) -> None:
    with (
        Venue([script()]).running() as venue,
        feeding(log, adapter(venue, symbols=["AAPL", "MSFT"])) as running,
    ):
        running.until(lambda: "venue_error" in running.seen)
    (row,) = events(log, "venue_error")
    assert row["detail"] == ("the venue leaves out trades of MSFT, quotes of MSFT, bars of MSFT")


def test_crypto_trades_have_their_taker_side() -> None:
    one = AlpacaAdapter(FEEDS["alpaca-crypto"], symbols=["BTC/USD"], credentials=KEYS)
    part = {
        "T": "t",
        "S": "BTC/USD",
        "p": 1.5,
        "s": 0.25,
        "t": "2024-03-12T10:38:50Z",
        "i": 3,
        "tks": "S",
    }
    parsed = one.parse([Message(number=1, recv_ns=5, payload=json.dumps([part]).encode())])
    ((topic, batch, numbers),) = parsed.groups
    assert topic.name == "trades"
    assert (batch["side"].to_pylist(), batch["venue"].to_pylist()) == (["sell"], ["ALPACA"])
    assert numbers.tolist() == [1]


@pytest.mark.parametrize(
    ("part", "reason"),
    [
        (
            {"T": "t", "S": "A", "p": "dear", "s": 1, "t": "2024-01-01T00:00:00Z"},
            "price: a double was needed, not 'dear'",
        ),
        (
            {"T": "t", "S": "A", "p": 1, "s": 1, "t": "yesterday"},
            "an ISO 8601 time with its zone was needed, not 'yesterday'",
        ),
        ({"T": "d", "S": "A"}, "T 'd': no message that is subscribed to"),
        ({"no": "T"}, "T None"),
        ([1], "T None"),
    ],
)
def test_a_part_that_is_no_row_is_bad_by_itself(part: Any, reason: str) -> None:
    good = {"T": "t", "S": "A", "p": 1, "s": 1, "t": "2024-01-01T00:00:00Z"}
    one = AlpacaAdapter(FEEDS["alpaca"], symbols=["A"], credentials=KEYS)
    parsed = one.parse([Message(number=4, recv_ns=5, payload=json.dumps([part, good]).encode())])
    (bad,) = parsed.bad
    assert reason in bad.reason
    assert (bad.number, json.loads(bad.payload)) == (4, part)
    assert parsed.groups[0][1].num_rows == 1


def test_what_is_missing_is_said_before_anything_is_connected(log: Log) -> None:
    venue = Venue([])
    for changes, message in (
        ({"credentials": {"alpaca_key": "k"}}, "needs the credential alpaca_secret"),
        ({"symbols": []}, "say --symbols"),
    ):
        with pytest.raises(FeedError, match=message), feeding(log, adapter(venue, **changes)):
            pass
    with pytest.raises(FeedError, match="no channel 'news'"):
        adapter(venue, channels=("news",))
    assert events(log) == []


@pytest.mark.parametrize(
    "part",
    [
        {"T": "t", "S": "AAPL", "t": "2021-02-22T15:51:44Z", "p": 1, "s": 1, "tks": ["B"]},
        {"T": "error", "code": [400], "msg": "odd"},
        {"T": "subscription", "trades": 5},
        {"T": ["t"]},
        {"T": "b", "S": "AAPL", "t": 5},
        5,
        None,
    ],
)
def test_values_of_any_type_are_dead_letters_and_no_end(part: Any) -> None:
    adapter = AlpacaAdapter(FEEDS["alpaca"], symbols=["AAPL"], credentials=KEYS)
    payload = json.dumps([part, DATA[0][0]]).encode()
    parsed = adapter.parse([Message(number=1, recv_ns=1, payload=payload)])
    assert [json.loads(bad.payload) for bad in parsed.bad] == [part]
    assert [(topic.name, batch.num_rows) for topic, batch, _ in parsed.groups] == [("trades", 1)]
