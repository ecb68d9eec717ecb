"""Books of real venues against what the vendor shows, and against plain computations on the same files."""

from collections.abc import Iterator
from pathlib import Path

import databento_dbn
import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import zstandard

from connectors.feeds.archive import probe
from connectors.feeds.dbn import Dbn
from connectors.feeds.lobster import Lobster
from connectors.feeds.source import Format
from flows.book import Book, BookParams
from flows.flow import Emit
from schemas.market import BOOK_EVENTS
from tests.flows.trades import cuts, rows_of

LEVELS = 10
BEST = ["bid_1", "bid_size_1", "ask_1", "ask_size_1"]
LAST, SNAPSHOT = 0x80, 0x20
SECOND = 10**9


def book_events(format_: Format, path: Path) -> pa.RecordBatch:
    parts = [
        block.rows.batch
        for source in format_.open(probe(path), 8 << 20)
        if source.topic is BOOK_EVENTS
        for block in source.blocks()
    ]
    return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]


def books(events: pa.RecordBatch, params: BookParams | None = None) -> tuple[pl.DataFrame, int]:
    """Rows of book_top, and how many faults there were."""
    flow = Book(params or BookParams(), None)
    tops, faults = [], 0
    for batch in cuts(events, range(0, events.num_rows, 7_919)):
        for emitted in flow.on_rows(rows_of(batch)):
            assert isinstance(emitted, Emit)
            if emitted.topic.name == "book_top":
                tops.append(emitted.batch)
            else:
                faults += emitted.batch.num_rows
    return pl.DataFrame(pl.from_arrow(pa.Table.from_batches(tops))), faults


@pytest.fixture(scope="module")
def goog(shared: Path) -> pa.RecordBatch:
    return book_events(Lobster(), _lobster(shared, "GOOG", "message_10"))


@pytest.fixture(scope="module")
def christmas(shared: Path) -> pa.RecordBatch:
    return book_events(Dbn(), _cme(shared, "20231225"))


@pytest.mark.parametrize(("symbol", "depth"), [("GOOG", 10), ("AAPL", 1)])
def test_the_book_of_lobster_files_is_the_vendors_at_every_message(
    shared: Path, symbol: str, depth: int
) -> None:
    """The rows are the vendor's lines, one after the other, without those that repeat the line before."""
    events = book_events(Lobster(), _lobster(shared, symbol, f"message_{depth}"))
    tops, faults = books(events, BookParams(depth=depth))
    lines = pl.read_csv(_lobster(shared, symbol, f"orderbook_{depth}"), has_header=False).to_numpy()
    changed = np.r_[True, (lines[1:] != lines[:-1]).any(axis=1)]
    names = [
        name
        for level in range(1, depth + 1)
        for name in (f"ask_{level}", f"ask_size_{level}", f"bid_{level}", f"bid_size_{level}")
    ]
    ours = tops.select(names).fill_null(0).to_numpy()
    vendors = lines[changed].astype(np.float64)
    vendors[:, 0::2] = np.where(vendors[:, 1::2] > 0, vendors[:, 0::2] / 10_000, 0)
    # The first row is the book before the first message.
    assert len(vendors) > 100_000
    assert np.array_equal(ours[1:], vendors)
    assert faults == 0


@pytest.mark.parametrize("date", ["20231224", "20231225"])
def test_the_book_of_cme_orders_has_no_fault_and_is_that_of_a_plain_book(
    shared: Path, date: str
) -> None:
    tops, faults = books(book_events(Dbn(), _cme(shared, date)))
    assert faults == 0
    found = list(tops.select(BEST).rows())
    ours = [row for at, row in enumerate(found) if at == 0 or row != found[at - 1]]
    assert ours == list(_plain_cme(_cme(shared, date)))


def test_measures_are_those_of_the_levels(goog: pa.RecordBatch) -> None:
    tops, _ = books(goog)
    bid, bid_size, ask, ask_size = (pl.col(name) for name in BEST)
    deep_bid, deep_ask = (
        pl.sum_horizontal(f"{side}_size_{level}" for level in range(1, LEVELS + 1))
        for side in ("bid", "ask")
    )
    before = {name: pl.col(name).shift() for name in BEST}
    flow = (
        pl.when(bid >= before["bid_1"]).then(bid_size).otherwise(0)
        - pl.when(bid <= before["bid_1"]).then(before["bid_size_1"]).otherwise(0)
        - pl.when(ask <= before["ask_1"]).then(ask_size).otherwise(0)
        + pl.when(ask >= before["ask_1"]).then(before["ask_size_1"]).otherwise(0)
    )
    expected = tops.select(
        number=pl.int_range(1, pl.len() + 1),
        spread=ask - bid,
        mid=(bid + ask) / 2,
        microprice=(bid * ask_size + ask * bid_size) / (bid_size + ask_size),
        imbalance=(bid_size - ask_size) / (bid_size + ask_size),
        imbalance_depth=(deep_bid - deep_ask) / (deep_bid + deep_ask),
        ofi=pl.when(pl.int_range(pl.len()) == 0).then(0.0).otherwise(flow),
    )
    assert tops.select(expected.columns).equals(expected)


def test_conflated_rows_are_the_last_of_each_interval(christmas: pa.RecordBatch) -> None:
    every, _ = books(christmas)
    conflated, faults = books(christmas, BookParams(conflation_ms=1000))
    levels = every.columns[4:-6]
    end = (pl.col("ts_event").to_physical() // SECOND + 1) * SECOND
    last = every.group_by(end=end, maintain_order=True).agg(pl.col(levels).last())
    before = [pl.col(name).shift().eq_missing(pl.col(name)) for name in levels]
    expected = last.filter(~pl.all_horizontal(before))
    # No frontier passes the end of the last interval here.
    expected = expected.filter(pl.col("end") <= every["ts_event"].to_physical().max())
    assert conflated["ts_event"].to_physical().to_list() == expected["end"].to_list()
    assert conflated.select(levels).equals(expected.select(levels))
    upto = every.filter(end <= conflated["ts_event"].to_physical().max())
    assert conflated["ofi"].sum() == upto["ofi"].sum()
    assert faults == 0


def _lobster(shared: Path, symbol: str, kind: str) -> Path:
    return shared / f"ticks/lobster/{symbol}_2012-06-21_34200000_57600000_{kind}.csv.gz"


def _cme(shared: Path, date: str) -> Path:
    return shared / f"ticks/cme_mbo/esh4-glbx-mdp3-{date}.mbo.dbn.zst"


def _plain_cme(path: Path) -> Iterator[tuple[float | None, ...]]:
    """Best levels after each event of a file, read record by record, where they are not as before."""
    decoder = databento_dbn.DBNDecoder()
    with path.open("rb") as file:
        decoder.write(zstandard.ZstdDecompressor().stream_reader(file).read())
    orders: dict[int, tuple[str, int, int]] = {}
    levels: dict[str, dict[int, int]] = {"B": {}, "A": {}}

    def rest(side: str, price: int, size: int) -> None:
        levels[side][price] = levels[side].get(price, 0) + size
        if not levels[side][price]:
            del levels[side][price]

    records = [one for one in decoder.decode() if isinstance(one, databento_dbn.MBOMsg)]
    shown: tuple[float | None, ...] | None = None
    for at, one in enumerate(records):
        action = str(one.action)
        if action in ("M", "C"):
            side, price, size = orders.pop(one.order_id)
            rest(side, price, -size)
            if action == "C" and one.size < size:
                orders[one.order_id] = (side, price, size - one.size)
                rest(*orders[one.order_id])
        if action in ("A", "M"):
            orders[one.order_id] = (str(one.side), one.price, one.size)
            rest(*orders[one.order_id])
        over = at + 1 == len(records) or not int(records[at + 1].flags) & SNAPSHOT
        if int(one.flags) & LAST or (int(one.flags) & SNAPSHOT and over):
            best: list[float | None] = []
            for side, choose in (("B", max), ("A", min)):
                price = choose(levels[side], default=None)
                best += [None, None] if price is None else [price / 1e9, levels[side][price]]
            if tuple(best) != shown:
                shown = tuple(best)
                yield shown
