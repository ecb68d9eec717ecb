"""LOBSTER pairs: the book made of what is fed is the vendor's, whatever happened out of view."""

import random
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from connectors.feeds.archive import probe
from connectors.feeds.lobster import Lobster
from connectors.feeds.reading import Window, batches
from connectors.feeds.source import BrokenFileError, Fault, FeedBatch, Source
from flows.book import Book, BookParams
from flows.flow import Emit
from tests.flows.trades import rows_of

NOW_NS = 1_767_268_800_000_000_000
NAME = "GOOG_2012-06-21_34200000_57600000_{}_{}.csv"
NOTHING = 9_999_999_999


def opened(path: Path, block_bytes: int = 1 << 20) -> Source:
    [source] = Lobster().open(probe(path), block_bytes)
    return source


def read(source: Source, after_line: int = 0) -> list[FeedBatch]:
    return list(batches(source, after_line=after_line, window=Window(), latest_ns=NOW_NS))


def rows(found: list[FeedBatch]) -> pl.DataFrame:
    return pl.concat(
        [
            pl.DataFrame(batch.batch).with_columns(line=pl.Series(batch.lines, dtype=pl.Int64))
            for batch in found
        ]
    )


def faults(found: list[FeedBatch]) -> list[Fault]:
    return [fault for batch in found for fault in batch.faults]


class Exchange:
    """A whole book of orders, of which a vendor tells what touches the best levels."""

    def __init__(self, seed: int, levels: int) -> None:
        self.random = random.Random(seed)
        self.levels = levels
        self.orders: dict[int, list[int]] = {}
        self.next_id = 1

    def best(self, side: int) -> list[tuple[int, int]]:
        sizes: dict[int, int] = {}
        for of, price, size in self.orders.values():
            if of == side:
                sizes[price] = sizes.get(price, 0) + size
        return sorted(sizes.items(), reverse=side == 1)[: self.levels]

    def shown(self) -> str:
        asks, bids = (
            (self.best(side) + [(nothing, 0)] * self.levels)[: self.levels]
            for side, nothing in ((-1, NOTHING), (1, -NOTHING))
        )
        both = [*zip(asks, bids, strict=True)]
        return ",".join(f"{ask[0]},{ask[1]},{bid[0]},{bid[1]}" for ask, bid in both)

    def event(self) -> tuple[int, int, int, int, int]:
        """Type, order id, size, price, side of something that happens."""
        if len(self.orders) < 4 or self.random.random() < 0.5:
            side = self.random.choice((1, -1))
            price = 100_000 - side * 100 * self.random.randint(1, 9)
            size = self.random.choice((1, 2, 5))
            self.orders[self.next_id] = [side, price, size]
            self.next_id += 1
            return 1, self.next_id - 1, size, price, side
        name = self.random.choice(list(self.orders))
        side, price, left = self.orders[name]
        size = self.random.randint(1, left)
        kind = self.random.choice((2, 4)) if size < left else self.random.choice((3, 4))
        self.orders[name][2] -= size
        if size == left:
            del self.orders[name]
        return kind, name, size, price, side

    def day(self, events: int) -> tuple[list[str], list[str]]:
        """Lines of the message file and of the orderbook file."""
        for _ in range(20):
            self.event()
        messages, shown = [], []
        while len(messages) < events:
            before = {side: [price for price, _ in self.best(side)] for side in (1, -1)}
            kind, name, size, price, side = self.event()
            after = [at for at, _ in self.best(side)]
            if price in before[side] or price in after:
                time = f"34200.{len(messages):09d}"
                messages.append(f"{time},{kind},{name},{size},{price},{side}")
                shown.append(self.shown())
        return messages, shown


def pair(folder: Path, messages: list[str], shown: list[str], levels: int) -> Path:
    (folder / NAME.format("orderbook", levels)).write_text("".join(f"{at}\n" for at in shown))
    path = folder / NAME.format("message", levels)
    path.write_text("".join(f"{at}\n" for at in messages))
    return path


def expected(line: str) -> list[float]:
    numbers = [int(at) for at in line.split(",")]
    return [
        0.0 if abs(at) == 9_999_999_999 else at / (1.0 if place % 2 else 10_000)
        for place, at in enumerate(numbers)
    ]


def tops(batch: pa.RecordBatch, levels: int) -> tuple[list[list[float]], int]:
    """The rows of `book_top`, in the order of an orderbook file's columns, and how many faults."""
    names = [
        name
        for at in range(1, levels + 1)
        for name in (f"ask_{at}", f"ask_size_{at}", f"bid_{at}", f"bid_size_{at}")
    ]
    emitted = [
        emit
        for emit in Book(BookParams(depth=levels), None).on_rows(rows_of(batch))
        if isinstance(emit, Emit)
    ]
    found: list[list[float]] = []
    for emit in emitted:
        if emit.topic.name == "book_top":
            found += pl.DataFrame(emit.batch).select(names).fill_null(0).to_numpy().tolist()
    return found, sum(e.batch.num_rows for e in emitted if e.topic.name == "book_faults")


def whole(found: list[FeedBatch]) -> pa.RecordBatch:
    table = pa.Table.from_batches([batch.batch for batch in found])
    return table.combine_chunks().to_batches()[0]


def changes(shown: list[list[float]]) -> list[list[float]]:
    return [at for before, at in zip([None, *shown], shown, strict=False) if at != before]


@pytest.mark.shared
@pytest.mark.parametrize(("symbol", "levels"), [("GOOG", 10), ("AAPL", 1)])
def test_the_book_flow_makes_the_vendors_orderbook_row_by_row_of_a_real_pair(
    shared: Path, symbol: str, levels: int
) -> None:
    name = f"{symbol}_2012-06-21_34200000_57600000_{{}}_{levels}.csv.gz"
    folder = shared / "ticks/lobster"
    found = read(opened(folder / name.format("message")))
    assert faults(found) == []
    got, faulty = tops(whole(found), levels)
    vendor = np.loadtxt(folder / name.format("orderbook"), delimiter=",")
    vendor[:, 0::2] = np.where(abs(vendor[:, 0::2]) == 9_999_999_999, 0, vendor[:, 0::2] / 10_000)
    # The first row is the book before the first message.
    assert got[1:] == changes(vendor.tolist())
    assert faulty == 0
    # Every message is there as it is without the orderbook file.
    messages = rows(found).filter(~pl.col("action").is_in(["level", "clear"]))
    assert messages["line"].to_list() == list(range(1, len(vendor) + 1))


@pytest.mark.parametrize("levels", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_the_book_is_the_vendors_whatever_happens_out_of_view(
    tmp_path: Path, seed: int, levels: int
) -> None:
    messages, shown = Exchange(seed, levels).day(400)
    found = read(opened(pair(tmp_path, messages, shown, levels)))
    got, faulty = tops(whole(found), levels)
    # The first row is the book before the first message.
    assert got[1:] == changes([expected(line) for line in shown])
    assert faulty == 0
    # An event ends with the last row of its message, and what comes before the first one is an event too.
    ends = rows(found).group_by("line", maintain_order=True).agg("is_last")["is_last"].to_list()
    assert sum(ends[0]) == 2
    assert ends[0][-1]
    assert all(end == [False] * (len(end) - 1) + [True] for end in ends[1:])


@pytest.mark.parametrize("after_line", [1, 57, 399, 400])
def test_reading_goes_on_behind_any_line_as_if_it_had_never_stopped(
    tmp_path: Path, after_line: int
) -> None:
    path = pair(tmp_path, *Exchange(3, 2).day(400), 2)
    all_rows = rows(read(opened(path)))
    rest = read(opened(path, block_bytes=2000), after_line)
    assert rest == [] or rows(rest).equals(all_rows.filter(pl.col("line") > after_line))
    assert (after_line == 400) == (rest == [])


def test_a_bad_line_of_either_file_costs_that_line_only(tmp_path: Path) -> None:
    messages, shown = Exchange(5, 2).day(60)
    messages[9] = messages[9].replace("34200.", "34x00.")
    kinds = messages[19].split(",")
    messages[19] = ",".join([kinds[0], "6", *kinds[2:]])
    shown[29] += ",7"
    found = read(opened(pair(tmp_path, messages, shown, 2)))
    assert [(fault.line, fault.text) for fault in faults(found)] == [
        (10, messages[9].encode()),
        (20, messages[19].encode()),
        (30, messages[29].encode()),
    ]
    reasons = [fault.reason for fault in faults(found)]
    assert "column time" in reasons[0]
    assert "column type" in reasons[1]
    assert "orderbook file's line" in reasons[2]
    # The book is right again at the next good line.
    got, _ = tops(whole(found), 2)
    assert got[-1] == expected(shown[-1])


def test_an_orderbook_file_with_more_lines_is_no_pair(tmp_path: Path) -> None:
    messages, shown = Exchange(7, 2).day(50)
    path = pair(tmp_path, messages[:30], shown, 2)
    with pytest.raises(BrokenFileError, match="more lines"):
        read(opened(path))


def test_the_rows_before_a_broken_orderbook_are_given(tmp_path: Path) -> None:
    messages, shown = Exchange(7, 2).day(50)
    source = opened(pair(tmp_path, messages, shown[:30], 2))
    given: list[FeedBatch] = []
    read_on = batches(source, after_line=0, window=Window(), latest_ns=NOW_NS)
    with pytest.raises(BrokenFileError, match="ends, or breaks off, behind line 30"):
        given.extend(read_on)
    assert given[-1].last_line == 30
    assert rows(given)["line"].max() == 30
