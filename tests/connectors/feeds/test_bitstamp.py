"""Bitstamp: the log against a plain reading, the CSV file against the log, and what deletions take away."""

import csv
import gzip
import json
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.feeds.admission import find_files
from connectors.feeds.archive import probe
from connectors.feeds.bitstamp import BitstampLog
from connectors.feeds.bitstamp_csv import BitstampOrders
from connectors.feeds.options import FeedOptions
from tests.connectors.feeds.parts_read import read_parts

MS = 1_430_438_404_000
COLUMNS = ["ts_event", "action", "order_id", "side", "price", "size", "is_last"]
HEADER = "id,timestamp,exchange.timestamp,price,volume,action,direction"


def order(kind: str, number: int, amount: str, *, side: int = 0, price: str = "236.47") -> str:
    body = {"price": price, "amount": amount, "datetime": "1", "id": number, "order_type": side}
    return f"order_{kind} {json.dumps(body)}"


def plain(events: list[tuple[int, str, int, str, float, float]]) -> list[tuple[Any, ...]]:
    """Rows of order events (ms, kind, order, side, price, left), one by one."""
    rows = []
    known: dict[int, float] = {}
    for ms, kind, number, side, price, left in events:
        size, action = left, {"created": "add", "changed": "modify"}.get(kind)
        if action is None:
            action = "cancel" if left else "execute"
            size = known.pop(number, left)
        else:
            known[number] = left
        rows.append((ms * 1_000_000, action, number, side, price, size, True))
    return rows


@pytest.mark.shared
def test_every_event_of_the_real_log_is_read(shared: Path) -> None:
    path = shared / "ticks/bitstamp_l3/2015-05-01.raw.log.gz"
    read = read_parts(BitstampLog(), path, 1 << 19)
    orders, books, trades = [], [], []
    for line in gzip.decompress(path.read_bytes()).decode().splitlines():
        ms, name, text = line.split(" ", 2)
        data = json.loads(text)
        if name == "trade":
            trades.append((int(ms) * 1_000_000, data["price"], data["amount"], str(data["id"])))
        elif name == "order_book":
            levels = [("buy", *level) for level in data["bids"]]
            levels += [("sell", *level) for level in data["asks"]]
            ts = int(ms) * 1_000_000
            books.append((ts, "clear", None, None, None, None, not levels))
            books += [
                (ts, "level", None, side, float(price), float(size), at == len(levels))
                for at, (side, price, size) in enumerate(levels, start=1)
            ]
        else:
            side = "sell" if data["order_type"] else "buy"
            numbers = (float(data["price"]), float(data["amount"]))
            orders.append((int(ms), name.removeprefix("order_"), data["id"], side, *numbers))
    assert (read.faults, read.skipped) == ([], {})
    got = read.rows["trades"].select("ts_event", "price", "size", "trade_id")
    assert got.rows() == trades
    events = read.rows["book_events"]
    of_orders = events.filter(pl.col("venue") == "BITSTAMP").select(COLUMNS)
    assert of_orders.equals(pl.DataFrame(plain(orders), schema=of_orders.schema, orient="row"))
    of_levels = events.filter(pl.col("venue") == "BITSTAMP_LEVELS").select(COLUMNS)
    assert of_levels.equals(pl.DataFrame(books, schema=of_levels.schema, orient="row"))
    assert len(of_orders) + len(of_levels) == len(events)
    assert read.lines["book_events"] == sorted(read.lines["book_events"])


@pytest.mark.shared
def test_every_row_of_the_real_order_file_is_read(shared: Path) -> None:
    path = shared / "ticks/bitstamp_l3/orders.csv.gz"
    read = read_parts(BitstampOrders(), path, 1 << 18)
    with gzip.open(path, "rt") as file:
        events = [
            (
                int(row["timestamp"]),
                row["action"],
                int(row["id"]),
                "buy" if row["direction"] == "bid" else "sell",
                float(row["price"]),
                int(row["volume"]) / 1e8,
            )
            for row in csv.DictReader(file)
        ]
    got = read.rows["book_events"].select(COLUMNS)
    assert read.faults == []
    assert got.equals(pl.DataFrame(plain(events), schema=got.schema, orient="row"))
    assert read.lines["book_events"] == list(range(2, len(events) + 2))


@pytest.mark.shared
def test_the_order_file_says_what_the_log_says(shared: Path) -> None:
    folder = shared / "ticks/bitstamp_l3"
    log = read_parts(BitstampLog(), folder / "2015-05-01.raw.log.gz", 1 << 19)
    orders = log.rows["book_events"].filter(pl.col("venue") == "BITSTAMP").select(COLUMNS)
    table = read_parts(BitstampOrders(), folder / "orders.csv.gz", 1 << 18)
    found = table.rows["book_events"].select(COLUMNS)
    assert found.drop("size").equals(orders.drop("size"))
    # Whoever made the table cut the last satoshi of some.
    assert (found["size"] - orders["size"]).abs().max() < 1.5e-8


def write(path: Path, events: list[str]) -> Path:
    path.write_text("".join(f"{MS + at} {event}\n" for at, event in enumerate(events)))
    return path


def test_a_deletion_takes_away_what_the_order_had(tmp_path: Path) -> None:
    events = [
        order("created", 1, "2.0"),
        order("created", 2, "5.0", side=1),
        order("changed", 1, "1.5"),
        order("deleted", 1, "0.0"),
        order("deleted", 2, "5.0", side=1),
        order("deleted", 3, "4.0"),
        order("deleted", 4, "0.0"),
    ]
    path = write(tmp_path / "raw.log", events)
    for block_bytes in (1, 1 << 16):
        got = read_parts(BitstampLog(), path, block_bytes).rows["book_events"]
        assert got.select("action", "order_id", "side", "size").rows() == [
            ("add", 1, "buy", 2.0),
            ("add", 2, "sell", 5.0),
            ("modify", 1, "buy", 1.5),
            # Nothing was left of it: it was executed. An order from before the log has what is told.
            ("execute", 1, "buy", 1.5),
            ("cancel", 2, "sell", 5.0),
            ("cancel", 3, "buy", 4.0),
            ("execute", 4, "buy", 0.0),
        ]
    rest = read_parts(BitstampLog(), path, 1 << 16, after_line=3).rows["book_events"]
    assert rest["size"].to_list() == [1.5, 5.0, 4.0, 0.0]


def test_bad_events_cost_themselves_only(tmp_path: Path) -> None:
    events = [
        order("created", 1, "2.0"),
        "order_created {",
        order("created", 2, "two"),
        order("created", 3, "1.0", side=7),
        'trade {"price": 5.0, "amount": 1.0}',
        'order_book {"bids": [["1.0"]], "asks": []}',
        "live {}",
        order("created", 4, "1.0", price="0"),
        'trade {"price": 5.0, "amount": 1.0, "id": 9}',
    ]
    path = write(tmp_path / "raw.log", events)
    read = read_parts(BitstampLog(), path)
    assert read.rows["book_events"]["order_id"].to_list() == [1]
    assert read.rows["trades"]["trade_id"].to_list() == ["9"]
    assert [fault.line for fault in read.faults] == [2, 3, 4, 5, 6, 8]
    assert read.faults[0].text.endswith(b"order_created {")
    assert "'id' is missing" in read.faults[3].reason
    assert read.skipped == {"event of another kind": [7]}


def test_bad_lines_of_an_order_file_are_faults(tmp_path: Path) -> None:
    lines = [
        HEADER,
        "1,1430438404518,1430438404000,236.47,200000000,created,bid",
        "2,1430438404519,1430438404000,236.47,200000000,made,bid",
        "3,1430438404520,1430438404000,236.47,200000000,created,both",
        "4,-1,1430438404000,236.47,200000000,created,bid",
        "5,1430438404522,1430438404000,236.47,200000000,created",
        "6,1430438404523,1430438404000,236.47,100000000,deleted,ask",
    ]
    path = tmp_path / "orders.csv"
    path.write_text("\n".join(lines) + "\n")
    for block_bytes in (1, 1 << 16):
        read = read_parts(BitstampOrders(), path, block_bytes)
        assert read.rows["book_events"]["order_id"].to_list() == [1, 6]
        assert [fault.line for fault in read.faults] == [3, 4, 5, 6]


def test_a_folder_gives_its_order_events_once(tmp_path: Path) -> None:
    log = write(tmp_path / "2015-05-01.raw.log", [order("created", 1, "2.0")])
    table = tmp_path / "orders.csv"
    table.write_text(f"{HEADER}\n1,{MS},{MS},236.47,200000000,created,bid\n")
    found = find_files([tmp_path], FeedOptions())
    assert [seen.path for seen, _ in found.files] == [log]
    [(path, why)] = found.skipped
    assert (path, "the log beside it" in why) == (table, True)
    # Whoever names it gets it.
    assert [seen.path for seen, _ in find_files([table], FeedOptions()).files] == [table]


def test_formats_are_known_by_their_first_lines(tmp_path: Path) -> None:
    log = write(tmp_path / "raw.log", list(islice([order("created", 1, "2.0")], 1)))
    table = tmp_path / "orders.csv"
    table.write_text(f"{HEADER}\n")
    assert BitstampLog().matches(probe(log))
    assert BitstampOrders().matches(probe(table))
    assert not BitstampLog().matches(probe(table))
    assert not BitstampOrders().matches(probe(log))
