"""What corrections cost the bars, and the other bars: event bars, quote bars, bars rolled up from bars.

On the trades of the benchmark `flows`. Processor time, medians of several rounds.
"""

from collections.abc import Callable
from statistics import median
from time import process_time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.bench_flows import QUICK_ROWS, batches, market_trades
from bench.report import Result
from flows.bars import Bars, BarsParams
from flows.bars_rolled import BarsRolled, BarsRolledParams
from flows.event_bars import EventBars, EventBarsParams
from flows.flow import Emit, Flow, Rows
from flows.quote_bars import QuoteBars, QuoteBarsParams
from schemas.bars import BARS
from schemas.market import TRADES
from schemas.nbbo import NBBO

BATCH_ROWS = 1_000
# The tapes correct or cancel fewer than one trade in ten thousand.
CORRECTED_ONE_IN = 10_000


def run(quick: bool) -> list[Result]:
    """All figures."""
    trades, source = market_trades(QUICK_ROWS if quick else None)
    rounds = 3 if quick else 5
    named = _named(trades)
    corrected, count = _corrected(named)
    plain_s, made = _seconds(
        lambda: Bars(BarsParams(), None), list(batches(trades, BATCH_ROWS)), rounds
    )
    named_s, _ = _seconds(
        lambda: Bars(BarsParams(), None), list(batches(named, BATCH_ROWS)), rounds
    )
    corrected_s, _ = _seconds(
        lambda: Bars(BarsParams(), None), list(batches(corrected, BATCH_ROWS)), rounds
    )
    event_s, events = _seconds(
        lambda: EventBars(EventBarsParams(), None), list(batches(trades, BATCH_ROWS)), rounds
    )
    bars = _table(made, BARS)
    rolled_s, _ = _seconds(
        lambda: BarsRolled(BarsRolledParams(), None), list(batches(bars, BATCH_ROWS, BARS)), rounds
    )
    quotes = _quotes(trades)
    quotes_s, _ = _seconds(
        lambda: QuoteBars(QuoteBarsParams(), None), list(batches(quotes, BATCH_ROWS, NBBO)), rounds
    )
    rows = trades.num_rows
    what = f"{rows:,} trades, {source}, {BATCH_ROWS:,} rows a batch, one thread"
    plain = {"baseline": rows / plain_s, "baseline_name": "trades without names"}
    return [
        Result(name="bars, trades without names", value=rows / plain_s, unit="trades/s", note=what),
        Result(
            name="bars, named trades are kept",
            value=rows / named_s,
            unit="trades/s",
            note=what,
            **plain,
        ),
        Result(
            name="bars, one in 10,000 corrected",
            value=rows / corrected_s,
            unit="trades/s",
            note=f"{count:,} corrections: {(corrected_s - named_s) / count * 1e6:,.0f} us each",
            **plain,
        ),
        Result(
            name="event bars, six labels",
            value=rows / event_s,
            unit="trades/s",
            note=f"{what}; {sum(e.batch.num_rows for e in events):,} bars",
        ),
        Result(
            name="bars rolled up from bars",
            value=bars.num_rows / rolled_s,
            unit="bars/s",
            note=f"{bars.num_rows:,} bars of the same trades into five coarser intervals",
        ),
        Result(
            name="quote bars",
            value=rows / quotes_s,
            unit="quotes/s",
            note="best bids and offers made from the trades' prices and times, five intervals",
        ),
    ]


def _seconds(make: Callable[[], Flow], rows: list[Rows], rounds: int) -> tuple[float, list[Emit]]:
    taken = []
    made: list[Emit] = []
    for _ in range(rounds):
        flow = make()
        begun = process_time()
        made = [one for given in rows for one in flow.on_rows(given) if isinstance(one, Emit)]
        taken.append(process_time() - begun)
    return median(taken), made


def _table(made: list[Emit], topic: object) -> pa.RecordBatch:
    parts = [one.batch for one in made if one.topic is topic]
    (batch,) = pa.Table.from_batches(parts).combine_chunks().to_batches()
    return batch


def _named(trades: pa.RecordBatch) -> pa.RecordBatch:
    columns = dict(zip(trades.schema.names, trades.columns, strict=True))
    numbers = 52_983_525_000_000 + np.arange(trades.num_rows)
    return TRADES.batch(columns | {"trade_id": pa.array(numbers).cast(pa.string())})


def _corrected(named: pa.RecordBatch) -> tuple[pa.RecordBatch, int]:
    """Some trades replaced by corrections of one not long before."""
    rng = np.random.default_rng(1)
    rows = named.num_rows
    at = np.flatnonzero(rng.random(rows) < 1 / CORRECTED_ONE_IN)
    at = at[at > 0]
    meant = np.maximum(at - rng.integers(1, 20_000, size=len(at)), 0)
    taken = np.arange(rows)
    taken[at] = meant
    actions = np.zeros(rows, dtype=np.int32)
    actions[at] = 1 + (rng.random(len(at)) < 0.5)
    columns = dict(zip(named.schema.names, named.columns, strict=True))
    is_correction = pa.array(actions > 0)
    columns |= {
        "symbol": named.column("symbol").take(pa.array(taken)),
        "venue": named.column("venue").take(pa.array(taken)),
        "ref_trade_id": pc.if_else(
            is_correction, named.column("trade_id").take(pa.array(taken)), None
        ),
        "action": pa.DictionaryArray.from_arrays(actions, ["new", "correct", "cancel"]),
    }
    return TRADES.batch(columns), len(at)


def _quotes(trades: pa.RecordBatch) -> pa.RecordBatch:
    price = trades.column("price").to_numpy()
    return NBBO.batch(
        {
            "symbol": trades.column("symbol"),
            "ts_event": trades.column("ts_event"),
            "number": np.arange(trades.num_rows) + 1,
            "bid": price - 0.005,
            "ask": price + 0.005,
            "state": pa.DictionaryArray.from_arrays(
                np.zeros(trades.num_rows, dtype=np.int32), ["normal"]
            ),
        }
    )
