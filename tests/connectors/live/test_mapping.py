"""The declared mapping: what it may say, what it gives, and what is said where it cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest

from connectors.feeds.source import FeedError
from connectors.live.adapter import Message, Parsed
from connectors.live.generic import GenericAdapter
from connectors.live.mapping import read_live_mapping
from connectors.live.sources import NAMES
from schemas.feed_events import FEED_EVENT_KINDS

BOOK = """
name = "exchange"
url = "wss://example.test/ws"
symbols = ["XBT/USD"]
subscribe = ['{"op":"subscribe","channel":"book","symbol":"{symbol}"}']
on_gap = "reconnect"
sequence_restarts = true

[[messages]]
topic = "book_events"
when = { channel = "book*", type = "snapshot" }
fields.symbol = "symbol"
fields.venue = { value = "EXCHANGE" }
fields.ts_event = { unit = "received" }
fields.action = { value = "clear" }

[[messages]]
topic = "book_events"
when = { channel = "book*" }
each = "bids"
sequence = "seq"
[messages.fields]
symbol = "$.symbol"
venue = { value = "EXCHANGE" }
ts_event = { path = "$.ts", unit = "s" }
action = { value = "level" }
side = { value = "buy" }
price = "0"
size = "1"
sequence = "$.seq"

[[messages]]
topic = "quotes"
when = { channel = "ticker", live = true }
[messages.fields]
symbol = { path = "pair", upper = true }
venue = { value = "EXCHANGE" }
ts_event = { path = "t", unit = "us" }
bid = "best.bid"
ask = "best.ask"

[[control]]
when = { event = "ping" }
reply = '{"event":"pong"}'

[[control]]
when = { event = "error" }
kind = "venue_error"
detail = "message"
fatal = true
"""


@pytest.fixture
def book(tmp_path: Path) -> GenericAdapter:
    path = tmp_path / "exchange.toml"
    path.write_text(BOOK)
    return GenericAdapter(read_live_mapping(path), credentials={})


def parsed(adapter: GenericAdapter, *messages: Any) -> Parsed:
    return adapter.parse(
        [
            Message(number=at, recv_ns=at * 1000, payload=json.dumps(one).encode())
            for at, one in enumerate(messages, 1)
        ]
    )


def update(seq: int, *bids: list[str], kind: str = "update") -> dict[str, Any]:
    return {
        "channel": "book-10",
        "type": kind,
        "symbol": "XBT/USD",
        "seq": seq,
        "ts": 1.5,
        "bids": bids,
    }


def test_a_message_that_fits_several_entries_gives_rows_of_each_and_ends_with_the_last(
    book: GenericAdapter,
) -> None:
    found = parsed(
        book, update(1, ["10.5", "2"], ["10.4", "3"], kind="snapshot"), update(2, ["10.5", "0"])
    )
    ((topic, batch, numbers),) = found.groups
    assert topic.name == "book_events"
    table = batch.to_pylist()
    assert [(row["action"], row["price"], row["size"], row["is_last"]) for row in table] == [
        ("clear", None, None, False),
        ("level", 10.5, 2.0, False),
        ("level", 10.4, 3.0, True),
        ("level", 10.5, 0.0, True),
    ]
    assert numbers.tolist() == [1, 1, 1, 2]
    assert [row["ts_event"].value for row in table] == [1000, *[1_500_000_000] * 3]
    assert [row["sequence"] for row in table] == [None, 1, 1, 2]
    assert not found.bad


def test_each_book_of_a_message_is_whole_where_the_message_ends(tmp_path: Path) -> None:
    """Only the last row of all was the end of an event: the other symbols' books were never looked at."""
    path = tmp_path / "exchange.toml"
    of_each = BOOK.replace('symbol = "$.symbol"', 'symbol = "2"').replace('sequence = "seq"', "")
    path.write_text(of_each)
    book = GenericAdapter(read_live_mapping(path), credentials={})
    levels = [
        ["10", "1", "A"],
        ["20", "1", "B"],
        ["11", "1", "A"],
        ["21", "0", "B"],
        ["5", "1", "C"],
    ]
    ((_, batch, _),) = parsed(book, update(1, *levels)).groups
    found = list(zip(batch["symbol"].to_pylist(), batch["is_last"].to_pylist(), strict=True))
    assert found == [("A", False), ("B", False), ("A", True), ("B", True), ("C", True)]


def test_a_gap_asks_for_a_new_connection_where_that_brings_a_whole_book(
    book: GenericAdapter,
) -> None:
    assert parsed(book, update(1, ["1", "1"])).reconnect == ""
    gap = parsed(book, update(3, ["1", "2"]))
    assert gap.reconnect == "gap of XBT/USD: 2 was to come, 3 came"
    assert book.opened() == ['{"op":"subscribe","channel":"book","symbol":"XBT/USD"}']
    # On a new connection numbers begin anew, as the mapping says.
    assert parsed(book, update(1, ["1", "1"])).noticed == []


def test_what_was_lost_between_two_connections_asks_for_no_third(tmp_path: Path) -> None:
    """Where numbers go on over connections, each new one began with a gap, and was left for it."""
    path = tmp_path / "exchange.toml"
    path.write_text(BOOK.replace("sequence_restarts = true", "sequence_restarts = false"))
    book = GenericAdapter(read_live_mapping(path), credentials={})
    assert parsed(book, update(1, ["1", "1"])).reconnect == ""
    assert parsed(book, update(3, ["1", "2"])).reconnect != ""
    book.opened()
    joined = parsed(book, update(9, ["1", "1"], kind="snapshot"), update(10, ["1", "2"]))
    assert [(one.kind, one.expected, one.found) for one in joined.noticed] == [("gap", 4, 9)]
    assert joined.reconnect == ""
    assert (
        parsed(book, update(12, ["1", "1"])).reconnect == "gap of XBT/USD: 11 was to come, 12 came"
    )


def test_the_whole_book_of_a_new_connection_counts_though_its_number_came_before(
    tmp_path: Path,
) -> None:
    """After a gap in a quiet market the book stayed as it was without the lost change, for good."""
    path = tmp_path / "exchange.toml"
    path.write_text(BOOK.replace("sequence_restarts = true", "sequence_restarts = false"))
    book = GenericAdapter(read_live_mapping(path), credentials={})
    assert parsed(book, update(1, ["1", "1"]), update(3, ["2", "1"])).reconnect != ""
    assert book.is_anew
    book.forget()
    whole = update(3, ["2", "1"], ["1.5", "7"], kind="snapshot")
    ((_, batch, _),) = parsed(book, whole, update(3, ["2", "1"]), update(4, ["2", "5"])).groups
    assert batch["action"].to_pylist() == ["clear", "level", "level", "level"]
    assert batch["price"].to_pylist() == [None, 2.0, 1.5, 2.0]


def test_a_message_without_rows_has_its_number_all_the_same(book: GenericAdapter) -> None:
    """A change of the other side only was a gap: a venue of two-sided books was left again and again."""
    found = parsed(book, update(1, ["1", "1"]), update(2), update(3, ["1", "2"]), update(2))
    assert [(one.kind, one.expected, one.found) for one in found.noticed] == [("duplicate", 4, 2)]
    assert found.reconnect == ""
    lost = parsed(book, update(5))
    assert lost.reconnect == "gap of XBT/USD: 4 was to come, 5 came"
    # Where nothing says whose it is, or that it has a number, there is none to follow.
    unsaid = [{"channel": "book", "bids": [], "seq": 9}, {"channel": "book", "bids": []}]
    silent = parsed(book, *unsaid, update(6, ["1", "2"]))
    assert (silent.noticed, silent.bad) == ([], [])


def test_a_whole_book_that_comes_twice_leaves_the_book_as_it_is(book: GenericAdapter) -> None:
    """Its levels were left out as duplicates, and the row that clears the book before them was not."""
    whole = update(1, ["10.5", "2"], kind="snapshot")
    ((_, batch, numbers),) = parsed(book, whole, whole, update(2, ["10.4", "1"])).groups
    assert batch["action"].to_pylist() == ["clear", "level", "level"]
    assert numbers.tolist() == [1, 1, 3]


def test_values_must_be_as_asked_true_is_not_one(book: GenericAdapter) -> None:
    quote = {
        "channel": "ticker",
        "pair": "xbt/usd",
        "t": 1_700_000_000_000_001,
        "best": {"bid": 1, "ask": "2"},
    }
    found = parsed(
        book, {**quote, "live": True}, {**quote, "live": 1}, {**quote, "live": True, "best": {}}
    )
    ((topic, batch, numbers),) = found.groups
    assert topic.name == "quotes"
    assert numbers.tolist() == [1, 3]
    assert batch["symbol"].to_pylist() == ["XBT/USD"] * 2
    assert (batch["bid"].to_pylist(), batch["ask"].to_pylist()) == ([1.0, None], [2.0, None])
    assert batch["ts_event"].cast("int64").to_pylist()[0] == 1_700_000_000_000_001_000
    assert [(bad.number, bad.reason) for bad in found.bad] == [
        (2, "the message fits no entry of the mapping")
    ]


def test_messages_of_control_are_answered_and_told(book: GenericAdapter) -> None:
    found = parsed(book, {"event": "ping"}, {"event": "error", "message": "no such pair"})
    assert found.sends == ['{"event":"pong"}']
    assert found.refusal == "no such pair"
    assert [(one.kind, one.detail) for one in found.noticed] == [("venue_error", "no such pair")]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (update(2, ["ten", "1"]), "price: a double was needed, not 'ten'"),
        ({**update(2), "bids": 7}, "bids: a list was needed"),
        ({**update(2, ["1", "1"]), "seq": -1}, "sequence: a uint64 was needed, not '-1'"),
        ({**update(2, ["1", "1"]), "ts": "soon"}, "a time in s was needed, not 'soon'"),
        ({**update(2, ["1", "1"]), "ts": 1e300}, "a time that nanoseconds since 1970 can say"),
        (
            {"channel": "book", "bids": [["1", "2"]], "seq": 1, "ts": 1},
            r"symbol: nothing at $.symbol",
        ),
    ],
)
def test_a_message_that_cannot_be_read_gives_no_row_and_its_reason(
    book: GenericAdapter, message: dict[str, Any], reason: str
) -> None:
    found = parsed(book, message)
    assert found.groups == []
    assert reason in found.bad[0].reason


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (('topic = "quotes"', 'topic = "bars"'), "messages.2: topic 'bars' is not one of"),
        (
            ('bid = "best.bid"', 'bids = "best.bid"'),
            "messages.2: quotes has no field 'bids' to be mapped",
        ),
        (('unit = "us"', 'unit = "days"'), "messages.2.fields.ts_event.unit: Input should be 's'"),
        (
            (', unit = "us" }', " }"),
            "messages.2: field 'ts_event': a unit is for times, and needed",
        ),
        (
            ('symbol = { path = "pair", upper = true }', ""),
            "field 'symbol' of quotes is not mapped",
        ),
        (
            ('{ value = "buy" }', '{ value = "buy", path = "side" }'),
            "say one of path, value, and unit",
        ),
        (("wss://", "https://"), "url: String should match pattern"),
        (('on_gap = "reconnect"', 'on_gaps = "x"'), "on_gaps: Extra inputs are not permitted"),
        (('name = "exchange"', "name ="), "not TOML"),
    ],
)
def test_a_mapping_that_cannot_be_is_an_error_that_names_file_and_place(
    tmp_path: Path, changed: tuple[str, str], message: str
) -> None:
    assert changed[0] in BOOK
    path = tmp_path / "broken.toml"
    path.write_text(BOOK.replace(*changed))
    with pytest.raises(FeedError) as error:
        read_live_mapping(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_a_credential_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "secret.toml"
    path.write_text(BOOK.replace('"channel":"book"', '"token":"${exchange_token}"'))
    one = GenericAdapter(read_live_mapping(path), credentials={})
    with pytest.raises(FeedError, match="there is no credential 'exchange_token'"):
        one.opened()
    two = GenericAdapter(read_live_mapping(path), credentials={"exchange_token": "abc"})
    assert two.opened() == ['{"op":"subscribe","token":"abc","symbol":"XBT/USD"}']


def test_the_example_of_the_documentation_is_a_mapping(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "live.md").read_text(encoding="utf-8")
    path = tmp_path / "coinbase.toml"
    path.write_text(text.split("```toml\n")[1].split("```")[0])
    one = GenericAdapter(read_live_mapping(path), credentials={})
    match = {
        "type": "match",
        "trade_id": 10,
        "size": "5.23512",
        "price": "400.23",
        "side": "sell",
        "product_id": "BTC-USD",
        "time": "2014-11-07T08:19:27.028459Z",
    }
    found = parsed(one, {"type": "subscriptions"}, match)
    (row,) = found.groups[0][1].to_pylist()
    assert (row["symbol"], row["price"], row["side"], row["trade_id"]) == (
        "BTC-USD",
        400.23,
        "buy",
        "10",
    )
    assert found.noticed[0].kind == "subscribed"


def test_the_documentation_names_every_source_and_every_kind_of_event() -> None:
    text = (Path(__file__).parents[3] / "docs" / "live.md").read_text(encoding="utf-8")
    assert [name for name in (*NAMES, *FEED_EVENT_KINDS) if f"`{name}`" not in text] == []
