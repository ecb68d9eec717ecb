"""Binance captures: every value against a plain reading, the venue's rules for books, and what is left out."""

import gzip
import json
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from connectors.feeds.archive import probe
from connectors.feeds.binance import BinanceCapture, BinanceParser, snapshot_message
from connectors.feeds.binance_clock import BinanceClock
from connectors.feeds.messages import Taken
from tests.connectors.feeds.parts_read import read_parts

T = 1_723_161_255_000
"""A time of the venue, ms."""
Message = dict[str, Any]


def trade(number: int, *, symbol: str = "BTCUSDT", **more: Any) -> Message:
    return {
        "e": "trade",
        "E": T + number,
        "T": T + number,
        "s": symbol,
        "t": number,
        "p": f"{100 + number}.5",
        "q": "2.0",
        "X": "MARKET",
        "m": False,
        **more,
    }


def aggregate(number: int, symbol: str = "BTCUSDT") -> Message:
    message = trade(number, symbol=symbol, e="aggTrade", a=number, f=1, l=2)
    del message["t"], message["X"]
    return message


def diff(last: int, follows: int, bids: list[list[str]], *, symbol: str = "BTCUSDT") -> Message:
    return {
        "e": "depthUpdate",
        "E": T + last,
        "T": T + last,
        "s": symbol,
        "U": follows + 1,
        "u": last,
        "pu": follows,
        "b": bids,
        "a": [],
    }


def snapshot(last: int, bids: list[list[str]]) -> Message:
    return {"lastUpdateId": last, "E": T, "T": T, "bids": bids, "asks": [["200.0", "1.0"]]}


def compact(message: Message) -> bytes:
    """As the venue writes it."""
    return json.dumps(message, separators=(",", ":")).encode()


def take(messages: Sequence[Message | bytes], parser: BinanceParser | None = None) -> Taken:
    wire = [one if isinstance(one, bytes) else compact(one) for one in messages]
    recv_ns = np.arange(len(wire), dtype=np.int64) + (T - 50) * 1_000_000
    return (parser or BinanceParser()).take(wire, recv_ns)


def frame(taken: Taken, topic: str) -> pl.DataFrame:
    found = [group for group in taken.groups if group.topic.name == topic]
    if not found:
        return pl.DataFrame()
    rows = pl.DataFrame(found[0].rows.batch).with_columns(pl.Series("at", found[0].at))
    return rows.with_columns(
        pl.selectors.datetime().to_physical(), pl.col(pl.Categorical).cast(pl.String)
    )


@pytest.fixture
def capture(tmp_path: Path) -> Callable[[Sequence[Message | bytes]], Path]:
    """Writes a capture, a message a millisecond."""

    def write(messages: Sequence[Message | bytes]) -> Path:
        path = tmp_path / "capture.jsonl"
        lines = [one if isinstance(one, bytes) else compact(one) for one in messages]
        path.write_bytes(
            b"".join(b"%d %s\n" % ((T + at) * 1_000_000, line) for at, line in enumerate(lines))
        )
        return path

    return write


def plain_book(lines: list[tuple[int, Message]]) -> list[tuple[Any, ...]]:
    """Book events by the venue's rules, a message at a time; the real files have no gap."""
    rows: list[tuple[Any, ...]] = []
    held: list[Message] = []
    book = None

    def add(line: int, last: int, bids: list[Any], asks: list[Any], *, clear: bool) -> None:
        events = [("clear", None, None, None)] if clear else []
        events += [("level", "buy", float(p), float(q)) for p, q in bids]
        events += [("level", "sell", float(p), float(q)) for p, q in asks]
        rows.extend((line, last, *event, at == len(events) - 1) for at, event in enumerate(events))

    for line, whole in lines:
        data = whole.get("data", whole)
        if "lastUpdateId" in data:
            book = data["lastUpdateId"]
            add(line, book, data["bids"], data["asks"], clear=True)
            for update in held:
                if update["u"] > book:
                    add(line, update["u"], update["b"], update["a"], clear=False)
        elif data.get("e") == "depthUpdate":
            if book is None:
                held.append(data)
            else:
                add(line, data["u"], data["b"], data["a"], clear=False)
    return rows


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "symbol", "venue"),
    [("spot_ethusdt", "ETHUSDT", "BINANCE"), ("usdm_ethusdt", "ETHUSDT-PERP", "BINANCE_USDM")],
)
def test_every_value_of_a_real_capture_is_read(
    shared: Path, tmp_path: Path, name: str, symbol: str, venue: str
) -> None:
    with gzip.open(shared / f"ticks/binance/{name}_20240808.jsonl.gz") as file:
        text = b"".join(islice(file, 8_000))
    path = tmp_path / "capture.jsonl.gz"
    path.write_bytes(gzip.compress(text, 1))
    read = read_parts(BinanceCapture(), path, 1 << 19)
    lines = [
        (number, json.loads(line.split(b" ", 1)[1]))
        for number, line in enumerate(text.splitlines(), start=1)
    ]
    wrapped = [(number, whole["data"]) for number, whole in lines if "data" in whole]
    trades = [(number, data) for number, data in wrapped if data.get("e") == "trade"]
    tickers = [(number, data) for number, data in wrapped if "B" in data]
    assert read.faults == []
    assert set(read.rows) == {"trades", "quotes", "book_events"}
    for rows in read.rows.values():
        assert rows.select("symbol", "venue").unique().rows() == [(symbol, venue)]
    got = read.rows["trades"]
    assert read.lines["trades"] == [number for number, _ in trades]
    assert got.select("ts_event", "price", "size", "side", "trade_id").rows() == [
        (
            data["T"] * 1_000_000,
            float(data["p"]),
            float(data["q"]),
            "sell" if data["m"] else "buy",
            str(data["t"]),
        )
        for _, data in trades
    ]
    got = read.rows["quotes"]
    assert read.lines["quotes"] == [number for number, _ in tickers]
    assert got.select("bid", "bid_size", "ask", "ask_size").rows() == [
        tuple(float(data[field]) for field in "bBaA") for _, data in tickers
    ]
    if "T" in tickers[0][1]:
        assert got["ts_event"].to_list() == [data["T"] * 1_000_000 for _, data in tickers]
    want = plain_book(lines)
    got = read.rows["book_events"].select(
        pl.Series("line", read.lines["book_events"]),
        *("sequence", "action", "side", "price", "size", "is_last"),
    )
    assert got.rows() == want
    held = read.skipped.pop("depth update held until a snapshot")
    assert read.skipped == {}
    assert len(held) == sum(
        "lastUpdateId" not in whole and "U" in whole.get("data", {})
        for _, whole in lines[: held[-1]]
    )


@pytest.mark.shared
@pytest.mark.parametrize("name", ["spot_ethusdt", "usdm_ethusdt"])
def test_the_book_of_the_rows_has_the_venues_best_prices(shared: Path, name: str) -> None:
    """At the end of every event, the best of the book is what the venue's book ticker says for that update."""
    path = shared / f"ticks/binance/{name}_20240808.jsonl.gz"
    with gzip.open(path) as file:
        wire = [json.loads(line[20:])["data"] for line in file if b"@bookTicker" in line[:60]]
    numbers = [ticker["u"] for ticker in wire]
    events = read_parts(BinanceCapture(), path, 1 << 19).rows["book_events"]
    columns = ["sequence", "action", "side", "price", "size", "is_last"]
    book: dict[str, dict[float, float]] = {"buy": {}, "sell": {}}
    checked = 0
    for sequence, action, side, price, size, is_last in events.select(columns).rows():
        if action == "clear":
            book = {"buy": {}, "sell": {}}
        elif size:
            book[side][price] = size
        else:
            book[side].pop(price, None)
        at = bisect_right(numbers, sequence) - 1
        if is_last and at >= 0:
            bid, ask = max(book["buy"]), min(book["sell"])
            best = (bid, book["buy"][bid], ask, book["sell"][ask])
            assert best == tuple(float(wire[at][field]) for field in "bBaA")
            checked += 1
    assert checked > 3_400


@pytest.mark.shared
def test_the_rows_do_not_hang_on_how_messages_are_cut(shared: Path) -> None:
    path = shared / "ticks/binance/spot_ethusdt_20240808.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines()[:1500]
    messages = [line.split(b" ", 1)[1] for line in lines]
    recv_ns = np.array([int(line.split(b" ", 1)[0]) for line in lines])
    results = []
    for size in (1, 7, 1500):
        parser = BinanceParser()
        frames: dict[str, list[pl.DataFrame]] = {}
        for at in range(0, len(messages), size):
            taken = parser.take(messages[at : at + size], recv_ns[at : at + size])
            for group in taken.groups:
                rows = frame(taken, group.topic.name).with_columns(pl.col("at") + at)
                frames.setdefault(group.topic.name, []).append(rows)
        results.append({name: pl.concat(found) for name, found in frames.items()})
    for other in results[1:]:
        assert all(results[0][name].equals(other[name]) for name in results[0])


@pytest.mark.shared
def test_spot_quotes_are_in_the_clock_of_the_trades(shared: Path) -> None:
    """The receiver's clock is 1.27 s behind the venue's: taken as it is, quotes would foretell trades."""
    read = read_parts(
        BinanceCapture(), shared / "ticks/binance/spot_btcusdt_20240808.jsonl.gz", 1 << 19
    )
    trades = read.rows["trades"].select("ts_event", "price").sort("ts_event")
    quotes = read.rows["quotes"].select("ts_event", "bid", "ask").sort("ts_event")

    def met(shift_ms: int) -> int:
        """Trades at the best bid or ask, were the quotes so much later."""
        shifted = quotes.with_columns(pl.col("ts_event") + shift_ms * 1_000_000)
        joined = trades.join_asof(shifted, on="ts_event")
        return len(
            joined.filter((pl.col("price") == pl.col("bid")) | (pl.col("price") == pl.col("ask")))
        )

    best = met(0)
    assert best > 0.45 * len(trades)
    assert all(met(shift_ms) < best for shift_ms in (-1270, -100, -5, 5, 100))


def test_the_clocks_difference_is_that_of_the_shortest_way_lately() -> None:
    minute = 60_000_000_000
    recv = np.array([0, 1, 2, 3, 21, 22, 45], np.int64) * minute + 1_000 * minute
    ways = [None, 9, 5, 7, 8, None, None]
    sent = np.array(
        [0 if way is None else time + 1_000 - way for time, way in zip(recv, ways, strict=True)]
    )
    want = [0, 991, 995, 995, 995, 995, 992]
    for size in (1, 2, 7):
        clock = BinanceClock()
        found = [
            clock.ahead(sent[at : at + size], recv[at : at + size]) for at in range(0, 7, size)
        ]
        assert np.concatenate(found).tolist() == want


def test_a_missing_update_clears_the_book_until_the_next_snapshot() -> None:
    parser = BinanceParser()
    taken = take(
        [
            diff(5, 4, [["90.0", "1.0"]]),
            snapshot(5, [["91.0", "1.0"]]),
            diff(7, 5, [["92.0", "1.0"]]),
            diff(6, 5, [["93.0", "1.0"]]),
            diff(10, 9, [["94.0", "1.0"]]),
            diff(11, 10, [["95.0", "1.0"]]),
            snapshot(10, [["96.0", "1.0"]]),
            diff(12, 11, [["97.0", "1.0"]]),
        ],
        parser,
    )
    rows = frame(taken, "book_events")
    assert rows.select("at", "action", "price", "sequence", "is_last").rows() == [
        (1, "clear", None, 5, False),
        (1, "level", 91.0, 5, False),
        (1, "level", 200.0, 5, True),
        (2, "level", 92.0, 7, True),
        (4, "clear", None, 10, True),
        (6, "clear", None, 10, False),
        (6, "level", 96.0, 10, False),
        (6, "level", 200.0, 10, True),
        (6, "level", 95.0, 11, True),
        (7, "level", 97.0, 12, True),
    ]
    assert {why: at.tolist() for why, at in taken.skipped.items()} == {
        "depth update held until a snapshot": [0, 4, 5],
        "depth update older than the book": [3],
    }
    assert [(n.at, n.kind, n.symbol, n.expected, n.found) for n in taken.notices] == [
        (4, "gap", "BTCUSDT-PERP", 8, 10),
        (6, "resynchronised", "BTCUSDT-PERP", None, 10),
    ]
    assert parser.books.waiting == ()
    parser.books.forget()
    assert parser.books.waiting == ("BTCUSDT",)


def test_a_snapshot_older_than_the_updates_that_wait_is_not_taken() -> None:
    taken = take([diff(9, 8, [["90.0", "1.0"]]), snapshot(5, [["91.0", "1.0"]])])
    assert taken.groups == ()
    assert [(notice.kind, notice.expected, notice.found) for notice in taken.notices] == [
        ("snapshot_failed", 8, 5)
    ]


def test_aggregates_count_only_where_the_symbols_trades_are_not_there(
    capture: Callable[[Sequence[Message | bytes]], Path],
) -> None:
    path = capture([aggregate(1), aggregate(2, "ETHUSDT"), trade(3), aggregate(4)])
    read = read_parts(BinanceCapture(), path)
    # The first aggregate comes before the first trade: it is left out all the same.
    assert read.rows["trades"].select("symbol", "trade_id").rows() == [
        ("ETHUSDT-PERP", "2"),
        ("BTCUSDT-PERP", "3"),
    ]
    assert read.skipped == {"aggTrade: the symbol's trades are there": [1, 4]}


def test_markets_have_their_own_venues_and_names() -> None:
    spot = trade(1, M=True)
    del spot["X"]
    cases = [
        (spot, "BINANCE", "BTCUSDT"),
        (trade(1), "BINANCE_USDM", "BTCUSDT-PERP"),
        (trade(1, symbol="BTCUSDT_240927"), "BINANCE_USDM", "BTCUSDT_240927"),
        (trade(1, symbol="BTCUSD_PERP"), "BINANCE_COINM", "BTCUSD_PERP"),
    ]
    for message, venue, symbol in cases:
        rows = frame(take([message]), "trades")
        assert rows.select("venue", "symbol").rows() == [(venue, symbol)]


def test_trades_outside_the_market_set_no_bar() -> None:
    rows = frame(take([trade(1), trade(2, X="INSURANCE_FUND")]), "trades")
    fields = ["conditions", "updates_high_low", "updates_last", "updates_volume"]
    assert rows.select(fields).rows() == [
        (None, True, True, True),
        ("INSURANCE_FUND", False, False, False),
    ]


def test_a_snapshot_names_its_symbol_by_its_stream_or_is_that_of_the_only_one() -> None:
    body = json.dumps(snapshot(5, [["91.0", "1.0"]])).encode()
    named = frame(
        take([snapshot_message("ETHUSDT", body)], BinanceParser("BINANCE")), "book_events"
    )
    assert set(named["symbol"]) == {"ETHUSDT"}
    messages = [diff(4, 3, []), diff(4, 3, [], symbol="ETHUSDT"), body]
    [(at, reason)] = take(messages).faults
    assert (at, "does not name its symbol, where 2 were seen" in reason) == (2, True)


def test_a_capture_that_begins_with_an_answer_is_known(
    capture: Callable[[Sequence[Message | bytes]], Path],
) -> None:
    path = capture([b'{"result":null,"id":1}', trade(1)])
    assert BinanceCapture().matches(probe(path))
    path.write_text('1723161255000000000 {"some":"json"}\n')
    assert not BinanceCapture().matches(probe(path))
