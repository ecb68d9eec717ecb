"""Binance captures: messages of other kinds, broken ones, and odd times."""

from pathlib import Path

import pytest

from connectors.feeds.binance import BinanceCapture
from tests.connectors.feeds.parts_read import read_parts
from tests.connectors.feeds.test_binance import Message, T, compact, diff, frame, take, trade


def test_messages_of_other_kinds_are_left_out_and_counted() -> None:
    messages: list[Message | bytes] = [
        {"result": None, "id": 1},
        {"e": "kline", "E": T, "s": "BTCUSDT", "k": {}},
        {"stream": "btcusdt@depth20@100ms", "data": {"lastUpdateId": 1, "bids": [], "asks": []}},
        {"stream": "btcusdt@depth5", "data": diff(2, 1, [])},
        {"stream": "btcusdt@trade", "data": trade(1)},
    ]
    taken = take(messages)
    assert {why: at.tolist() for why, at in taken.skipped.items()} == {
        "answer to a request": [0],
        "event of another kind": [1],
        "partial book depth: the diffs say more": [2, 3],
    }
    assert len(frame(taken, "trades")) == 1


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        (b'{"e":"trade","E":1', "unexpected end"),
        (b"[1,2]", "not as it should be"),
        ({**trade(1), "p": 5.5}, "not as it should be"),
        ({**trade(1), "p": "five"}, "five"),
        ({**trade(1), "T": "now"}, "not as it should be"),
        ({**trade(1), "T": -1}, "neither in ms"),
        ({**trade(1), "s": None}, "symbol"),
        ({key: value for key, value in trade(1).items() if key != "q"}, "'q' is missing"),
        (diff(2, 1, [["1.0"]]), "not as it should be"),
        (diff(2, 1, [["1.0", "x"]]), "x"),
        ({**diff(2, 1, []), "u": "2"}, "whole number"),
        ({**diff(2, 1, []), "b": None}, "not as it should be"),
        ({"u": 2, "s": "BTCUSDT", "B": "1", "A": "1", "b": "1"}, "'a' is missing"),
    ],
)
def test_a_message_that_cannot_be_read_costs_that_message_only(
    bad: Message | bytes, word: str
) -> None:
    ticker = {"e": "bookTicker", "u": 1, "s": "BTCUSDT", "T": T}
    ticker |= {"b": "1", "B": "2", "a": "3", "A": "4"}
    taken = take([trade(7), ticker, bad, trade(8)])
    [(at, reason)] = taken.faults
    assert (at, word in reason) == (2, True), reason
    assert frame(taken, "trades")["trade_id"].to_list() == ["7", "8"]
    assert frame(taken, "quotes").select("bid", "ask_size").rows() == [(1.0, 4.0)]


def test_bad_messages_among_many_are_found() -> None:
    messages: list[Message | bytes] = [trade(at) for at in range(300)]
    for at in (0, 7, 8, 299):
        messages[at] = {**trade(at), "p": "?"}
    taken = take(messages)
    assert [at for at, _ in taken.faults] == [0, 7, 8, 299]
    [group] = taken.groups
    assert group.at.tolist() == [at for at in range(300) if at not in (0, 7, 8, 299)]


def test_times_in_microseconds_are_read_as_such() -> None:
    rows = frame(take([trade(1, T=T * 1000 + 7)]), "trades")
    assert rows["ts_event"].to_list() == [(T * 1000 + 7) * 1000]


def test_lines_without_a_receive_time_are_faults_with_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "capture.jsonl"
    good, other = compact(trade(1)), compact(trade(2))
    lines = [
        b"1723161255000000000 " + good,
        good,
        b"",
        b"17231612550 " + good,
        b"1723161255000 " + other,
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")
    read = read_parts(BinanceCapture(), path)
    assert read.lines["trades"] == [1, 5]
    assert [(fault.line, fault.text) for fault in read.faults] == [
        (2, lines[1]),
        (3, b""),
        (4, lines[3]),
    ]
    assert all("receive time" in fault.reason for fault in read.faults)


def test_a_time_that_nanoseconds_cannot_say_is_a_fault() -> None:
    # As ms, 2**64 ns more would be a time of today.
    beyond = T + 2**64 // 10**6
    taken = take([trade(1), trade(2, T=beyond, E=beyond), trade(3)])
    assert [at for at, _ in taken.faults] == [1]
    assert frame(taken, "trades")["at"].to_list() == [0, 2]


def test_a_wrong_event_time_does_not_move_the_times_of_quotes() -> None:
    tickers = [
        {"u": number, "s": "BTCUSDT", "b": "1.0", "B": "1.0", "a": "2.0", "A": "1.0"}
        for number in (1, 2)
    ]
    wrong = trade(2, E=T + 3_600_000, M=True)
    one = take([trade(1, M=True), tickers[0], tickers[1]])
    other = take([trade(1, M=True), wrong, tickers[1]])
    assert frame(one, "quotes")["ts_event"][1] == frame(other, "quotes")["ts_event"][0]
