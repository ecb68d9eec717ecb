"""Order books from Arrow batches, beside a book as it is usually written in Python.

Real order events where the shared market data lies beside the checkout: GOOG on NASDAQ, 21 June 2012 (LOBSTER, with
what its orderbook file adds), and the E-mini S&P 500 on CME, 25 December 2023. Else those of the market
simulator. All batches are encoded and decoded as the log does it, before the clock starts.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import pyarrow as pa

from bench.plain_book import Event, best_rows
from bench.report import Result
from connectors.feeds.archive import probe
from connectors.feeds.dbn import Dbn
from connectors.feeds.lobster import Lobster
from connectors.feeds.simulator import Simulator, SimulatorOptions
from connectors.feeds.source import Format
from flows.book import Book, BookParams
from flows.flow import InputRows, Rows
from schemas.book import BOOK_TOP, LEVELS
from schemas.codec import decode, encode
from schemas.market import BOOK_EVENTS

TICKS = Path(__file__).resolve().parents[2] / "shared/data/ticks"
FILES: dict[str, tuple[Format, str]] = {
    "LOBSTER GOOG": (Lobster(), "lobster/GOOG_2012-06-21_34200000_57600000_message_10.csv.gz"),
    "CME ESH4": (Dbn(), "cme_mbo/esh4-glbx-mdp3-20231225.mbo.dbn.zst"),
}

BATCH_ROWS = (1_000, 10_000)
SIMULATED_ROWS = 300_000
# The plain book is slow: it is given the head of the same events.
PLAIN_ROWS = 30_000


def run(quick: bool) -> list[Result]:
    """All figures."""
    rounds = 3 if quick else 9
    return [
        result
        for source, events in _sources().items()
        for result in _beside_plain(source, events, rounds)
    ]


def _beside_plain(source: str, events: pa.RecordBatch, rounds: int) -> list[Result]:
    given = {size: list(_batches(events, size)) for size in BATCH_ROWS}
    head = events.slice(0, PLAIN_ROWS)
    plain = _plain(head)
    # The kernels are compiled, and checked, before the clock starts.
    expected = _rows_written(list(_batches(head, BATCH_ROWS[0])))
    found = best_rows(plain, LEVELS)
    if abs(found - expected) > 0.001 * expected:
        raise AssertionError(f"{source}: the plain book changed {found} times, ours {expected}")
    taken: dict[int, list[float]] = {size: [] for size in (0, *BATCH_ROWS)}
    rows = 0
    # In turn, so that what else the machine does falls on all.
    for _ in range(rounds):
        begun = process_time()
        best_rows(plain, LEVELS)
        taken[0].append(process_time() - begun)
        for size, batches in given.items():
            begun = process_time()
            rows = _rows_written(batches)
            taken[size].append(process_time() - begun)
    return [
        Result(
            name=f"book, {source}, {size:,} rows a batch",
            value=events.num_rows / median(taken[size]),
            unit="events/s",
            wanted=">= 1.5 M a core",
            baseline=head.num_rows / median(taken[0]),
            baseline_name="plain Python, sortedcontainers",
            note=(
                f"{events.num_rows:,} events to {rows:,} rows of 10 levels a side and 6 measures, "
                f"processor time; plain {head.num_rows:,} events, levels only"
            ),
        )
        for size in BATCH_ROWS
    ]


def _rows_written(batches: list[Rows]) -> int:
    flow = Book(BookParams(), None)
    return sum(
        emitted.batch.num_rows
        for rows in batches
        for emitted in flow.on_rows(rows)
        if emitted.topic is BOOK_TOP
    )


def _sources() -> dict[str, pa.RecordBatch]:
    if not TICKS.is_dir():
        return {"simulated": _one(_simulated())}
    return {
        source: _one(
            block.rows.batch
            for part in format_.open(probe(TICKS / path), 8 << 20)
            if part.topic is BOOK_EVENTS
            for block in part.blocks()
        )
        for source, (format_, path) in FILES.items()
    }


def _simulated() -> Iterator[pa.RecordBatch]:
    """Events of one symbol, as the plain book keeps one book."""
    left = SIMULATED_ROWS
    for part in Simulator(SimulatorOptions(seed=1)):
        for topic, batch, _ in part:
            if topic is BOOK_EVENTS:
                symbols = batch.column("symbol").cast(pa.string()).to_numpy(zero_copy_only=False)
                one = batch.filter(pa.array(symbols == symbols.min()))
                yield one.slice(0, left)
                left -= min(left, one.num_rows)
        if not left:
            return


def _one(batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch:
    return pa.Table.from_batches(list(batches)).combine_chunks().to_batches()[0]


def _batches(events: pa.RecordBatch, size: int) -> Iterator[Rows]:
    for at in range(0, events.num_rows, size):
        batch = decode(encode(events.slice(at, size)), BOOK_EVENTS.schema)
        count = batch.num_rows
        yield Rows(
            inputs=(
                InputRows(
                    batch=batch,
                    partition=0,
                    offset=np.full(count, at, dtype=np.int64),
                    row=np.arange(count, dtype=np.int32),
                ),
            )
        )


def _plain(events: pa.RecordBatch) -> list[Event]:
    names = ("action", "order_id", "side", "price", "size", "is_last")
    return list(zip(*(events.column(name).to_pylist() for name in names), strict=True))
