"""One-sided quotes into the best bid and offer, trades into signs, dealers into composites; beside Polars.

Real quotes where the shared market data lies beside the checkout: AIG, BAC and IBM, 7 to 9 October 2013, merged
by time, which are rows of the tape's best; and quotes made with a seed, of eleven exchanges around one price, the
harder work: the best is to be found among them. All batches are encoded and decoded as the log does it, before
the clock starts. Processor time, one thread, Polars' of all its threads; in turn, so that what else the
machine does falls on all.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np
import polars as pl
import pyarrow as pa

from bench.bench_flows import market_trades
from bench.report import Result
from connectors.feeds.archive import probe
from connectors.feeds.conditions import VENDOR
from connectors.feeds.taq import Taq
from flows.composite import Composite, CompositeParams
from flows.flow import Emit, Flow, InputRows, Params, Rows
from flows.nbbo import Nbbo, NbboParams
from flows.trade_signs import TradeSigns, TradeSignsParams
from schemas.codec import decode, encode
from schemas.market import QUOTES, TRADES
from schemas.nbbo import NBBO
from schemas.topic import Topic

TICKS = Path(__file__).resolve().parents[2] / "shared/data/ticks/us_equity_taq"

BATCH_ROWS = (1_000, 10_000)
MADE_ROWS = 1_500_000
QUICK_ROWS = 300_000
VENUES = list("BCJKNPQWXYZ")


def run(quick: bool) -> list[Result]:
    """All figures."""
    rounds = 3
    limit = QUICK_ROWS if quick else None
    named, source = market_quotes(limit)
    many = made_quotes(limit or MADE_ROWS)
    notes = [f"{one.num_rows:,} quotes, {of}" for one, of in ((named, source), (many, "made up"))]
    return [
        *_nbbo("nbbo, rows that the tape names best", named, rounds, notes[0]),
        *_nbbo("nbbo, quotes of 11 exchanges", many, rounds, notes[1]),
        _composite(many, rounds, notes[1]),
        _signs(named, rounds, source),
    ]


def _nbbo(name: str, quotes: pa.RecordBatch, rounds: int, note: str) -> list[Result]:
    work: dict[object, Callable[[], int]] = {
        size: partial(_carried, Nbbo, NbboParams(), list(batches(QUOTES, quotes, size)))
        for size in BATCH_ROWS
    }
    frame = pl.DataFrame(quotes)
    work["polars"] = lambda: polars_best(frame)
    taken, made = _in_turn(work, rounds)
    return [
        Result(
            name=f"{name}, {size:,} rows a batch",
            value=quotes.num_rows / taken[size],
            unit="quotes/s",
            wanted=">= 2 M",
            baseline=quotes.num_rows / taken["polars"],
            baseline_name="Polars: a column a venue, filled forward, best across",
            note=f"{note}, {made[size]:,} rows given",
        )
        for size in BATCH_ROWS
    ]


def _composite(quotes: pa.RecordBatch, rounds: int, note: str) -> Result:
    given = list(batches(QUOTES, quotes, BATCH_ROWS[1]))
    frame = pl.DataFrame(quotes)
    work: dict[object, Callable[[], int]] = {
        "ours": partial(_carried, Composite, CompositeParams(), given),
        "polars": lambda: polars_best(frame),
    }
    taken, made = _in_turn(work, rounds)
    return Result(
        name="composite with lags, 11 sources, 10,000 rows a batch",
        value=quotes.num_rows / taken["ours"],
        unit="quotes/s",
        baseline=quotes.num_rows / taken["polars"],
        baseline_name="Polars: best only, without median and lags",
        note=f"{note}, {made['ours']:,} rows given",
    )


def _signs(quotes: pa.RecordBatch, rounds: int, source: str) -> Result:
    rows = list(_given_by(Nbbo(NbboParams(), None), batches(QUOTES, quotes, 50_000)))
    best = pa.Table.from_batches(rows).combine_chunks().to_batches()[0]
    trades, _ = market_trades(None)
    span = best.column("ts_event").to_numpy()[[0, -1]]
    times = trades.column("ts_event").to_numpy()
    trades = trades.filter(pa.array((times >= span[0]) & (times <= span[1])))
    given = list(merged(trades, best, BATCH_ROWS[1]))
    frames = pl.DataFrame(trades), pl.DataFrame(best)
    work: dict[object, Callable[[], int]] = {
        "ours": partial(_carried, TradeSigns, TradeSignsParams(), given),
        "polars": lambda: polars_signs(*frames),
    }
    taken, _ = _in_turn(work, rounds)
    both = trades.num_rows + best.num_rows
    return Result(
        name="trade_signs, trades and best quotes merged, 10,000 rows a batch",
        value=both / taken["ours"],
        unit="rows/s",
        baseline=both / taken["polars"],
        baseline_name="Polars: two as-of joins",
        note=f"{trades.num_rows:,} trades, {best.num_rows:,} best quotes, {source}",
    )


def _in_turn(
    work: dict[object, Callable[[], int]], rounds: int
) -> tuple[dict[object, float], dict[object, int]]:
    taken: dict[object, list[float]] = {name: [] for name in work}
    made: dict[object, int] = {}
    for _ in range(rounds):
        for name, one in work.items():
            begun = process_time()
            made[name] = one()
            taken[name].append(process_time() - begun)
    return {name: median(times) for name, times in taken.items()}, made


def _carried(kind: type[Flow], params: Params, rows: list[Rows]) -> int:
    return sum(batch.num_rows for batch in _given_by(kind(params, None), rows))


def _given_by(flow: Flow, rows: Iterable[Rows]) -> Iterator[pa.RecordBatch]:
    for given in rows:
        for one in flow.on_rows(given):
            if isinstance(one, Emit):
                yield one.batch


def polars_best(frame: pl.DataFrame) -> int:
    """Rows of the best bid and ask of each symbol, one for each row of quotes."""
    sides = [
        pl.when(pl.col("venue") == venue)
        .then(side)
        .forward_fill()
        .over("symbol")
        .alias(f"{side}_{venue}")
        for venue in VENUES
        for side in ("bid", "ask")
    ]
    wide = frame.lazy().select("symbol", "ts_event", *sides)
    best = wide.select(
        "symbol",
        "ts_event",
        bid=pl.max_horizontal(f"bid_{venue}" for venue in VENUES),
        ask=pl.min_horizontal(f"ask_{venue}" for venue in VENUES),
    )
    return best.collect().height


def polars_signs(trades: pl.DataFrame, best: pl.DataFrame) -> int:
    """Trades with the best before them and five minutes later."""
    mids = best.lazy().select("symbol", "ts_event", mid=(pl.col("bid") + pl.col("ask")) / 2)
    end = pl.col("ts_event") + pl.duration(minutes=5, time_unit="ns")
    joined = (
        trades.lazy()
        .join_asof(
            mids, on="ts_event", by="symbol", allow_exact_matches=False, check_sortedness=False
        )
        .with_columns(end=end)
        .join_asof(
            mids,
            left_on="end",
            right_on="ts_event",
            by="symbol",
            suffix="_after",
            check_sortedness=False,
        )
        .with_columns(effective=2 * (pl.col("price") - pl.col("mid")).abs())
    )
    return joined.collect().height


def market_quotes(limit: int | None) -> tuple[pa.RecordBatch, str]:
    """Quotes of several symbols in order of time, and where they are from."""
    real = sorted(TICKS.glob("*/*_quote.zip"))
    parts = list(_real(real)) if real else [_named(made_quotes(limit or MADE_ROWS))]
    table = pa.Table.from_batches(parts).combine_chunks()
    (batch,) = table.to_batches()
    order = np.argsort(batch.column("ts_event").to_numpy(), kind="stable")[:limit]
    return batch.take(pa.array(order)), "real" if real else "made up"


def _real(paths: list[Path]) -> Iterator[pa.RecordBatch]:
    for path in paths:
        for source in Taq(VENDOR).open(probe(path), 8 << 20):
            for block in source.blocks():
                yield block.rows.batch


def made_quotes(rows: int) -> pa.RecordBatch:
    """One-sided quotes of eleven exchanges around the walking prices of three symbols."""
    rng = np.random.default_rng(1)
    is_bid = rng.random(rows) < 0.5
    price = 100 + np.cumsum(rng.choice([-0.0005, 0.0005], size=rows))
    away = 0.01 * rng.geometric(0.5, rows)
    size = rng.integers(1, 50, rows) * 100.0
    times = 1_381_152_600_000_000_000 + np.cumsum(rng.integers(0, 20_000_000, rows))
    symbol = pa.array(rng.integers(0, 3, rows).astype(np.int32))
    venue = pa.array(rng.integers(0, len(VENUES), rows).astype(np.int32))
    return QUOTES.batch(
        {
            "symbol": pa.DictionaryArray.from_arrays(symbol, pa.array(["AIG", "BAC", "IBM"])),
            "venue": pa.DictionaryArray.from_arrays(venue, pa.array(VENUES)),
            "ts_event": times,
            "ts_recv": times,
            "bid": pa.array(np.round(price - away, 2), mask=~is_bid),
            "bid_size": pa.array(size, mask=~is_bid),
            "ask": pa.array(np.round(price + away, 2), mask=is_bid),
            "ask_size": pa.array(size, mask=is_bid),
        }
    )


def _named(quotes: pa.RecordBatch) -> pa.RecordBatch:
    at = quotes.schema.get_field_index("condition")
    best = pa.array(["1;best"] * quotes.num_rows).dictionary_encode()
    return quotes.set_column(at, quotes.schema.field(at), best)


def batches(topic: Topic, rows: pa.RecordBatch, size: int) -> Iterator[Rows]:
    """The rows as a flow gets them from the log."""
    for at in range(0, rows.num_rows, size):
        yield Rows(inputs=(_given(decode(encode(rows.slice(at, size)), topic.schema)),))


def merged(trades: pa.RecordBatch, best: pa.RecordBatch, size: int) -> Iterator[Rows]:
    """Trades and best quotes in order of event time, trades first at equal times."""
    times = [one.column("ts_event").cast(pa.int64()).to_numpy() for one in (trades, best)]
    which = np.repeat(np.array([0, 1], dtype=np.int32), [len(one) for one in times])
    order = np.lexsort((which, np.concatenate(times)))
    for begin in range(0, len(order), size):
        steps = which[order[begin : begin + size]]
        counts = [int(np.count_nonzero(which[order[:begin]] == at)) for at in (0, 1)]
        inputs = []
        index = np.empty(len(steps), dtype=np.int64)
        for at, (topic, rows) in enumerate(((TRADES, trades), (NBBO, best))):
            own = int(np.count_nonzero(steps == at))
            index[steps == at] = np.arange(own)
            part = rows.slice(counts[at], own)
            inputs.append(_given(decode(encode(part), topic.schema)) if own else None)
        yield Rows(inputs=tuple(inputs), input_index=steps, row_index=index)


def _given(batch: pa.RecordBatch) -> InputRows:
    offset = np.zeros(batch.num_rows, dtype=np.int64)
    row = np.arange(batch.num_rows, dtype=np.int32)
    return InputRows(batch=batch, partition=0, offset=offset, row=row)
