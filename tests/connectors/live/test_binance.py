"""Binance live, on loopback: recorded captures with drops, duplicates, reordering and cuts, and true books."""

import json
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from connectors.feeds.options import FeedOptions
from connectors.feeds.pace import Clock
from connectors.feeds.program import feed
from connectors.live.adapter import Message, Parsed
from connectors.live.capture import CaptureWriter
from connectors.live.program import LiveOptions, replay_capture
from connectors.live.sink import LiveSink, SinkOptions
from connectors.live.sources import LiveSource, open_adapter
from connectors.log import Log, open_log
from connectors.receipts import receipt
from connectors.topics import create_topics
from schemas.market import BOOK_EVENTS, QUOTES, TRADES
from tests.connectors.live.binance_venue import BinanceVenue, Told, plan, scripts
from tests.connectors.live.conftest import Running, events, feeding, rows
from tests.connectors.live.venue import Hear, Say, Until, Venue, Wait

MARKETS = {"spot": ("binance", "BINANCE", ""), "usdm": ("binance-usdm", "BINANCE_USDM", "-PERP")}


def expected_trades(delivered: list[Told], suffix: str) -> Counter[tuple[Any, ...]]:
    """The trades that went over the wire whole, each once."""
    found = {
        (one.symbol + suffix, one.data["T"] * 1_000_000, one.data["t"]): (
            float(one.data["p"]),
            float(one.data["q"]),
            "sell" if one.data["m"] else "buy",
        )
        for one in delivered
        if one.kind == "trade"
    }
    return Counter((*key, *value) for key, value in found.items())


def expected_quotes(delivered: list[Told], suffix: str) -> list[tuple[Any, ...]]:
    """The best quotes that were newer than the last one of their symbol."""
    last: dict[str, int] = {}
    found = []
    for one in delivered:
        if one.kind == "bookTicker" and one.data["u"] > last.get(one.symbol, 0):
            last[one.symbol] = one.data["u"]
            found.append((one.symbol + suffix, *(float(one.data[name]) for name in "bBaA")))
    return found


def books(log: Log) -> dict[str, dict[tuple[str, float], float]]:
    """Books as the log's rows build them."""
    found: dict[str, dict[tuple[str, float], float]] = {}
    for row in rows(log, "book_events"):
        book = found.setdefault(row["symbol"], {})
        if row["action"] == "clear":
            book.clear()
            continue
        assert row["action"] == "level"
        book[row["side"], row["price"]] = row["size"]
        if row["size"] == 0:
            del book[row["side"], row["price"]]
    return found


def play(log: Log, venue: BinanceVenue, name: str, capture: Path | None = None) -> Running:
    """Feed what the venue plays, to its end and until all books are whole."""
    with venue.venue.running() as running_venue:
        source = LiveSource(
            name=name,
            symbols=tuple(venue.books),
            url=running_venue.url,
            rest_url=running_venue.rest_url,
        )
        with feeding(log, open_adapter(source), capture=capture) as running:
            running.until(lambda: venue.venue.played == len(venue.venue.scripts))
            running.until(lambda: running.seen.count("resynchronised") >= _depth_losses(venue))
            wanted = sum(expected_trades(venue.delivered, "").values())
            running.until(lambda: len(rows(log, "trades")) >= wanted)
    return running


def _depth_losses(venue: BinanceVenue) -> int:
    return sum(one.kind == "depthUpdate" for one in venue.lost)


@pytest.mark.shared
@pytest.mark.parametrize("market", MARKETS)
def test_a_faulty_wire_gives_all_rows_but_the_lost_and_says_what_was_lost(
    log: Log, shared: Path, market: str
) -> None:
    name, code, suffix = MARKETS[market]
    symbols = ["BTCUSDT", "ETHUSDT"] if market == "spot" else ["ETHUSDT"]
    venue = BinanceVenue(market, symbols, 3000, failures=[500, 429])
    venue.venue.scripts = list(scripts(venue, plan(venue.told, seed=7)))
    running = play(log, venue, name)

    assert len(venue.lost) == 8 * len(symbols)
    trades = rows(log, "trades")
    assert {row["venue"] for row in trades} == {code}
    assert Counter(
        (
            row["symbol"],
            row["ts_event"],
            int(row["trade_id"]),
            row["price"],
            row["size"],
            row["side"],
        )
        for row in trades
    ) == expected_trades(venue.delivered, suffix)
    quotes = rows(log, "quotes")
    for symbol in venue.books:
        mine = [
            (row["symbol"], row["bid"], row["bid_size"], row["ask"], row["ask_size"])
            for row in quotes
            if row["symbol"] == symbol + suffix
        ]
        wanted = expected_quotes(venue.delivered, suffix)
        assert mine == [one for one in wanted if one[0] == symbol + suffix]

    names = [symbol + suffix for symbol in venue.books]
    # Each loss is a gap of its own, and each of a book is mended by a whole book.
    lost = Counter((one.kind, one.symbol) for one in venue.lost)
    swaps = Counter({("trade", symbol + suffix): 1 for symbol in venue.books})
    gaps = Counter((row["stream"], row["symbol"]) for row in events(log, "gap"))
    told = {
        ("depth" if kind == "depthUpdate" else kind, symbol + suffix): count
        for (kind, symbol), count in lost.items()
    }
    assert gaps == Counter(told) + swaps
    assert Counter(row["symbol"] for row in events(log, "gap_filled")) == Counter(
        dict.fromkeys(names, 1)
    )
    assert Counter(row["symbol"] for row in events(log, "duplicate")) == Counter(
        dict.fromkeys(names, 3)
    )
    assert Counter(row["symbol"] for row in events(log, "resynchronised")) == Counter(
        {symbol + suffix: lost["depthUpdate", symbol] for symbol in venue.books}
    )
    assert len(events(log, "snapshot_failed")) >= 2
    assert running.seen.count("connected") == len(venue.venue.scripts)
    assert running.counts is not None
    assert running.counts.rejected == 0

    found = books(log)
    for symbol, book in venue.books.items():
        assert found[symbol + suffix] == book.levels()


def test_a_row_too_far_ahead_when_it_came_is_none_of_a_recording_either(
    log: Log, tmp_path: Path
) -> None:
    """A replay took it, and made ten minutes of honest rows behind it late."""
    path = tmp_path / "wire.jsonl"
    first_ms = 1_767_600_000_000
    said = []
    for number in range(1, 11):
        sent_ms = first_ms + 1000 * number
        time_ms = sent_ms + (600_000 if number == 4 else 0)
        text = f'{{"e":"trade","E":{time_ms},"s":"BTCUSDT","t":{number},"p":"9.5","q":"2","T":{time_ms},"m":true,"M":true}}'
        said.append(
            Message(number=number, recv_ns=(sent_ms + 20) * 1_000_000, payload=text.encode())
        )
    capture = CaptureWriter(path)
    capture.write(said)
    capture.close()
    adapter = open_adapter(LiveSource(name="binance", symbols=("BTCUSDT",)))
    clock = Clock(now_ns=lambda: said[-1].recv_ns)
    with closing(LiveSink(log, adapter, SinkOptions(calendar="24/7", clock=clock))) as sink:
        sink.take(said, adapter.parse(said))
    live = receipt(log, [TRADES])
    assert live[0].rows == 9
    letters = [row["payload"] for row in rows(log, "dead_letter")]

    with open_log(f"sqlite:///{tmp_path / 'files.db'}") as other:
        create_topics(other, 2)
        feed(other, [path], FeedOptions(calendar="24/7"))
        assert receipt(other, [TRADES]) == live
    with open_log(f"sqlite:///{tmp_path / 'again.db'}") as other:
        create_topics(other, 2)
        again = open_adapter(LiveSource(name="binance"))
        replay_capture(other, again, path, LiveOptions())
        assert receipt(other, [TRADES]) == live
        assert [row["payload"] for row in rows(other, "dead_letter")] == letters


@pytest.mark.shared
def test_a_capture_of_the_wire_gives_the_same_rows(log: Log, shared: Path, tmp_path: Path) -> None:
    capture = tmp_path / "wire.jsonl.gz"
    venue = BinanceVenue("spot", ["BTCUSDT", "ETHUSDT"], 2000)
    venue.venue.scripts = list(scripts(venue, plan(venue.told, seed=3)))
    running = play(log, venue, "binance", capture)
    assert running.counts is not None
    topics = [TRADES, QUOTES, BOOK_EVENTS]
    live = receipt(log, topics)
    assert all(one.rows > 0 for one in live)

    with open_log(f"sqlite:///{tmp_path / 'files.db'}") as other:
        create_topics(other, 2)
        feed(other, [capture], FeedOptions(calendar="24/7"))
        assert receipt(other, topics) == live
    with open_log(f"sqlite:///{tmp_path / 'again.db'}") as other:
        create_topics(other, 2)
        counts = replay_capture(
            other, open_adapter(LiveSource(name="binance")), capture, LiveOptions()
        )
        assert receipt(other, topics) == live
        assert counts.messages == running.counts.messages
        for kind in ("gap", "gap_filled", "duplicate", "resynchronised"):
            assert counts.events[kind] == running.counts.events[kind]


def test_what_the_venue_says_of_the_connection_is_told_and_done() -> None:
    adapter = open_adapter(LiveSource(name="binance", symbols=("BTCUSDT",), channels=("trade",)))
    (said,) = adapter.opened()
    assert json.loads(said) == {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}

    def parsed(text: str) -> Parsed:
        return adapter.parse([Message(number=1, recv_ns=9, payload=text.encode())])

    (answer,) = (one for one in parsed('{"result":null,"id":1}').noticed if one.kind != "skipped")
    assert (answer.kind, answer.detail) == ("subscribed", "request 1")
    wrong = parsed('{"error":{"code":2,"msg":"Invalid request: unknown stream"},"id":1}')
    assert wrong.refusal == "2 Invalid request: unknown stream; see the symbols"
    assert "venue_error" in [one.kind for one in wrong.noticed]
    assert parsed('{"e":"serverShutdown","E":1}').reconnect == "the venue's server shuts down"
    assert parsed('{"error":"too many","id":1}').refusal == "None too many; see the symbols"
    assert parsed('{"result":null,"id":1,"error":null}').refusal == ""
    assert parsed('{"e":"trade"}').bad[0].payload == b'{"e":"trade"}'


def test_many_streams_are_subscribed_to_a_hundred_at_a_time() -> None:
    symbols = tuple(f"S{number}" for number in range(70))
    adapter = open_adapter(LiveSource(name="binance-usdm", symbols=symbols))
    said = [json.loads(text) for text in adapter.opened()]
    assert [len(one["params"]) for one in said] == [100, 100, 10]
    assert [one["id"] for one in said] == [1, 2, 3]
    names = [name for one in said for name in one["params"]]
    assert names[:3] == ["s0@trade", "s0@bookTicker", "s0@depth@100ms"]
    assert len(set(names)) == 210


def test_while_the_venue_asks_to_wait_no_other_book_is_asked_for(log: Log) -> None:
    """Only the book that was answered so waited; a venue bans who goes on, for up to three days."""
    snapshot = b'{"lastUpdateId":9,"bids":[["1","2"]],"asks":[]}'
    asked: list[tuple[float, str]] = []

    def answer(path: str) -> tuple[int, dict[str, str], bytes]:
        asked.append((time.monotonic(), path))
        return (429, {"Retry-After": "1"}, b"no") if len(asked) == 1 else (200, {}, snapshot)

    def update(symbol: str) -> Say:
        told = {"e": "depthUpdate", "E": 5, "s": symbol, "U": 8, "u": 9, "b": [], "a": []}
        return Say(json.dumps({"stream": f"{symbol.lower()}@depth@100ms", "data": told}))

    script = [Hear(), update("ABC"), Until(lambda: bool(asked)), Wait(0.2), update("XYZ")]
    with Venue([script], answer=answer).running() as venue:
        source = LiveSource(
            name="binance", symbols=("ABC", "XYZ"), url=venue.url, rest_url=venue.rest_url
        )
        with feeding(log, open_adapter(source)) as running:
            running.until(lambda: len(rows(log, "book_events")) == 4)
    (first, _), *others = asked
    assert len(others) == 2
    assert min(moment for moment, _ in others) >= first + 1


def test_snapshots_are_asked_for_through_the_proxy_that_the_system_has(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = b'{"lastUpdateId":9,"bids":[["1","2"]],"asks":[]}'
    update = {"e": "depthUpdate", "E": 5, "s": "ABC", "U": 8, "u": 9, "b": [], "a": []}
    said = json.dumps({"stream": "abc@depth@100ms", "data": update})
    venue = Venue([[Hear(), Say(said)]], answer=lambda _: (200, {}, snapshot))
    with venue.running():
        monkeypatch.setenv("http_proxy", venue.rest_url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        source = LiveSource(
            name="binance", symbols=("ABC",), url=venue.url, rest_url="http://api.example.test"
        )
        with feeding(log, open_adapter(source)) as running:
            running.until(lambda: len(rows(log, "book_events")) == 2)
    assert venue.asked == ["http://api.example.test/api/v3/depth?symbol=ABC&limit=1000"]
    assert [row["action"] for row in rows(log, "book_events")] == ["clear", "level"]
