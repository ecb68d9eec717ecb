"""Bars and indicators from Arrow batches, beside idiomatic Bytewax and one Polars query.

Real trades where the shared market data lies beside the checkout: AIG, BAC, IBM and SPY, 7 to 9 October
2013, merged by time. Else trades of the market simulator. All batches are encoded and decoded as the log
does it, before the clock starts.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import polars as pl
import pyarrow as pa

from bench.bytewax_bars import by_hand, windowed
from bench.report import Result
from connectors.feeds.archive import probe
from connectors.feeds.conditions import VENDOR
from connectors.feeds.simulator import Simulator, SimulatorOptions
from connectors.feeds.taq import Taq
from flows.bars import Bars, BarsParams
from flows.flow import Emit, InputRows, Rows, Watermarks
from flows.indicators import Indicators, IndicatorsParams
from schemas.bars import BARS
from schemas.codec import decode, encode
from schemas.market import TRADES
from schemas.topic import Topic

TICKS = Path(__file__).resolve().parents[2] / "shared/data/ticks/us_equity_taq"

BATCH_ROWS = (1_000, 10_000)
QUICK_ROWS = 200_000
SIMULATED_ROWS = 1_500_000
# Bytewax by the event is slow: it is given the head of the same trades.
PER_EVENT_ROWS = 60_000


def run(quick: bool) -> list[Result]:
    """All figures."""
    trades, source = market_trades(QUICK_ROWS if quick else None)
    rounds = 3 if quick else 5
    return [*_beside_bytewax(trades, source, rounds), _beside_polars(trades, rounds)]


def _beside_bytewax(trades: pa.RecordBatch, source: str, rounds: int) -> list[Result]:
    given = {size: list(batches(trades, size)) for size in BATCH_ROWS}
    head = trades.slice(0, PER_EVENT_ROWS)
    events = _events(head)
    expected, _ = _flows(list(batches(head, BATCH_ROWS[0])))
    work = {
        "windowed": lambda: _checked(windowed(events)["bars"], expected),
        "by hand": lambda: _checked(by_hand(events)["bars"], expected),
        **{size: lambda rows=rows: _flows(rows) for size, rows in given.items()},
    }
    taken = {name: [] for name in work}
    # In turn, so that what else the machine does falls on all.
    for _ in range(rounds):
        for name, one in work.items():
            begun = perf_counter()
            one()
            taken[name].append(perf_counter() - begun)
    by_hand_rate = head.num_rows / median(taken["by hand"])
    return [
        Result(
            name=f"bars + indicators, local, {size:,} rows a batch",
            value=trades.num_rows / median(taken[size]),
            unit="trades/s",
            wanted=">= 5 M; >= 50 x",
            baseline=head.num_rows / median(taken["windowed"]),
            baseline_name="Bytewax by the event, its window operators",
            note=(
                f"{trades.num_rows:,} trades, {source}, one thread; Bytewax {head.num_rows:,}; "
                f"its stateful step with hand-written windows {by_hand_rate:,.0f}/s"
            ),
        )
        for size in BATCH_ROWS
    ]


def _checked(found: int, expected: int) -> None:
    if found != expected:
        raise AssertionError(f"Bytewax made {found} bars where ours are {expected}")


def _beside_polars(trades: pa.RecordBatch, rounds: int) -> Result:
    rows = list(batches(trades, BATCH_ROWS[1]))
    frame = pl.DataFrame(pl.from_arrow(pa.Table.from_batches([trades])))
    ours, theirs = [], []
    # In turn, so that what else the machine does falls on both.
    for _ in range(rounds):
        begun = perf_counter()
        bars = _bars(rows)
        ours.append(perf_counter() - begun)
        begun = perf_counter()
        frames = _polars_bars(frame)
        theirs.append(perf_counter() - begun)
    made = sum(part.height for part in frames)
    if bars != made:
        raise AssertionError(f"Polars made {made} bars where ours are {bars}")
    return Result(
        name="bars beside one Polars query",
        value=trades.num_rows / median(ours),
        unit="trades/s",
        wanted=">= 1 x",
        baseline=trades.num_rows / median(theirs),
        baseline_name=f"Polars, {pl.thread_pool_size()} threads",
        note=f"ours in {BATCH_ROWS[1]:,}-row batches, one thread; {bars:,} bars",
    )


def _flows(rows: list[Rows]) -> tuple[int, int]:
    # Rows of bars and of indicators.
    bars = Bars(BarsParams(), None)
    indicators = Indicators(IndicatorsParams(), None)
    made = values = 0
    for given in rows:
        for emitted in bars.on_rows(given):
            if isinstance(emitted, Emit) and emitted.topic is BARS:
                made += emitted.batch.num_rows
                for derived in indicators.on_rows(_rows(emitted.batch)):
                    values += derived.batch.num_rows
    for emitted in bars.on_watermark(_end(bars)):
        made += emitted.batch.num_rows
        for derived in indicators.on_rows(_rows(emitted.batch)):
            values += derived.batch.num_rows
    return made, values


def _bars(rows: list[Rows]) -> int:
    bars = Bars(BarsParams(), None)
    made = 0
    for given in rows:
        made += sum(e.batch.num_rows for e in bars.on_rows(given) if isinstance(e, Emit))
    return made + sum(e.batch.num_rows for e in bars.on_watermark(_end(bars)))


def _end(bars: Bars) -> Watermarks:
    keys = list(bars._keys.keys)  # noqa: SLF001 - the flow's own list saves decoding all rows again
    end = np.datetime64("2040-01-01", "ns").astype(np.int64)
    return Watermarks(keys=keys, times=np.full(len(keys), end), input=0)


def _polars_bars(frame: pl.DataFrame) -> list[pl.DataFrame]:
    price, size = pl.col("price"), pl.col("size")
    last, ranged, counts = map(pl.col, ("updates_last", "updates_high_low", "updates_volume"))
    new = frame.lazy().filter(pl.col("action") == "new")
    time = pl.col("ts_event")
    starts = [time.dt.truncate(interval) for interval in ("1s", "1m", "5m", "1h")]
    starts.append(time.dt.convert_time_zone("America/New_York").dt.truncate("1d"))
    queries = [
        new.group_by("symbol", ts_start=start).agg(
            open=price.filter(last).first(),
            high=price.filter(ranged).max(),
            low=price.filter(ranged).min(),
            close=price.filter(last).last(),
            volume=size.filter(counts).sum(),
            trade_count=pl.len(),
            turnover=(price * size).filter(counts).sum(),
            buy_volume=size.filter(counts & (pl.col("side") == "buy")).sum(),
            sell_volume=size.filter(counts & (pl.col("side") == "sell")).sum(),
        )
        for start in starts
    ]
    return pl.collect_all(queries)


def market_trades(limit: int | None) -> tuple[pa.RecordBatch, str]:
    real = sorted(TICKS.glob("*/*_trade.zip"))
    parts = list(_real(real)) if real else list(_simulated(limit or SIMULATED_ROWS))
    table = pa.Table.from_batches(parts).combine_chunks()
    (batch,) = table.to_batches()
    order = np.argsort(batch.column("ts_event").to_numpy(), kind="stable")[:limit]
    return batch.take(pa.array(order)), "real" if real else "simulated"


def _real(paths: list[Path]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        [source] = Taq(VENDOR).open(probe(path), 8 << 20)
        for block in source.blocks():
            yield block.rows.batch


def _simulated(rows: int) -> Iterator[pa.RecordBatch]:
    market = (
        batch
        for part in Simulator(SimulatorOptions(seed=1))
        for topic, batch, _ in part
        if topic is TRADES
    )
    while rows > 0:
        batch = next(market)
        yield batch
        rows -= batch.num_rows


def batches(rows: pa.RecordBatch, size: int, topic: Topic = TRADES) -> Iterator[Rows]:
    for at in range(0, rows.num_rows, size):
        yield _rows(decode(encode(rows.slice(at, size)), topic.schema))


def _rows(batch: pa.RecordBatch) -> Rows:
    offset = np.zeros(batch.num_rows, dtype=np.int64)
    row = np.arange(batch.num_rows, dtype=np.int32)
    return Rows(inputs=(InputRows(batch=batch, partition=0, offset=offset, row=row),))


def _events(batch: pa.RecordBatch) -> list[tuple[object, ...]]:
    names = (
        "symbol",
        "price",
        "size",
        "side",
        "updates_high_low",
        "updates_last",
        "updates_volume",
    )
    times = batch.column("ts_event").cast(pa.int64()).to_pylist()
    columns = [batch.column(name).to_pylist() for name in names]
    return list(islice(zip(columns[0], times, *columns[1:], strict=True), None))
