"""Quotes and trades into marks, fills into positions: how many rows a second, one thread.

Real quotes and trades where the shared market data lies beside the checkout (AIG, BAC, IBM, 7 to 9 October 2013), and
quotes of eleven exchanges made with a seed, the harder work. Fills are made with a seed: many accounts that
trade a few symbols each, long and short, with marks between them. All batches are encoded and decoded as the log
does it, before the clock starts. Processor time.
"""

from collections.abc import Callable, Iterable, Iterator
from statistics import median
from time import process_time

import numpy as np
import pyarrow as pa

from bench.bench_flows import market_trades
from bench.bench_nbbo import MADE_ROWS, made_quotes, market_quotes
from bench.report import Result
from flows.flow import Emit, Flow, InputRows, Rows
from flows.marks import Marks, MarksParams
from flows.orders.money import ONE, decimal_column
from flows.positions import Positions, PositionsParams
from schemas.codec import decode, encode
from schemas.orders import EXECUTIONS
from schemas.positions import MARKS
from schemas.topic import Topic

BATCH_ROWS = 10_000
FILLS = 300_000
QUICK_ROWS = 100_000
ACCOUNTS = 1_000
SYMBOLS = ["AIG", "BAC", "IBM", "SPY", "GOOG", "AAPL", "MSFT"]
START_NS = 1_381_152_600_000_000_000


def run(quick: bool) -> list[Result]:
    """All figures."""
    quotes, source = market_quotes(QUICK_ROWS if quick else None)
    trades, _ = market_trades(QUICK_ROWS if quick else None)
    many = made_quotes(QUICK_ROWS if quick else MADE_ROWS)
    fills = made_fills(QUICK_ROWS // 5 if quick else FILLS)
    marks = made_marks(int(fills.column("ts_event").cast(pa.int64())[-1].as_py()))
    market = _in_turn(Marks, [(0, quotes), (1, trades)])
    return [
        _marks(f"marks, quotes and trades, {source}", market, quotes.num_rows + trades.num_rows),
        _marks(
            "marks, quotes of 11 exchanges, made up", _in_turn(Marks, [(0, many)]), many.num_rows
        ),
        _positions("positions, fills alone", _in_turn(Positions, [(4, fills)]), fills.num_rows),
        _positions(
            "positions, fills between marks",
            _in_turn(Positions, [(2, marks), (4, fills)]),
            fills.num_rows,
            f" and {marks.num_rows:,} marks",
        ),
    ]


def _marks(name: str, rows: list[Rows], count: int) -> Result:
    taken, made = _measured(lambda: Marks(MarksParams(), None), rows)
    return Result(
        name=name,
        value=count / taken,
        unit="rows/s",
        wanted=">= 1.5 M",
        note=f"{count:,} rows, {made:,} marks given, {BATCH_ROWS:,} rows a batch",
    )


def _positions(name: str, rows: list[Rows], count: int, beside: str = "") -> Result:
    taken, made = _measured(lambda: Positions(PositionsParams(), None), rows)
    return Result(
        name=name,
        value=count / taken,
        unit="fills/s",
        note=f"{count:,} fills of {ACCOUNTS:,} accounts{beside}, {made:,} rows given",
    )


def _measured(flow: Callable[[], Flow], rows: list[Rows]) -> tuple[float, int]:
    times = []
    for _ in range(3):
        begun = process_time()
        made = sum(batch.num_rows for batch in _given_by(flow(), rows))
        times.append(process_time() - begun)
    return median(times), made


def _given_by(flow: Flow, rows: Iterable[Rows]) -> Iterator[pa.RecordBatch]:
    for given in rows:
        for one in flow.on_rows(given):
            if isinstance(one, Emit):
                yield one.batch


def _in_turn(kind: type[Flow], inputs: list[tuple[int, pa.RecordBatch]]) -> list[Rows]:
    """The inputs' rows in batches, by turns in order of time."""
    batches: list[tuple[int, int, Rows]] = []
    for at, rows in inputs:
        topic = kind.inputs[at].topic
        for batch in _batches(topic, rows):
            time = batch.column(topic.event_time).cast(pa.int64())[0].as_py()
            placed = tuple(
                _given(batch) if place == at else None for place in range(len(kind.inputs))
            )
            batches.append((time, at, Rows(inputs=placed)))
    return [rows for _, _, rows in sorted(batches, key=lambda one: one[:2])]


def _batches(topic: Topic, rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for begin in range(0, rows.num_rows, BATCH_ROWS):
        yield decode(encode(rows.slice(begin, BATCH_ROWS)), topic.schema)


def _given(batch: pa.RecordBatch) -> InputRows:
    offset = np.zeros(batch.num_rows, dtype=np.int64)
    row = np.arange(batch.num_rows, dtype=np.int32)
    return InputRows(batch=batch, partition=0, offset=offset, row=row)


def made_fills(rows: int) -> pa.RecordBatch:
    """Fills of many accounts around walking prices."""
    rng = np.random.default_rng(1)
    cents = 10_000 + np.cumsum(rng.integers(-1, 2, rows))
    times = START_NS + np.cumsum(rng.integers(0, 10_000_000, rows))
    names = [f"account-{number:04d}" for number in range(ACCOUNTS)]

    def words(known: list[str]) -> pa.Array:
        codes = rng.integers(0, len(known), rows).astype(np.int32)
        return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(known))

    identifiers = pa.array([f"execution-{number:012d}" for number in range(rows)])
    return EXECUTIONS.batch(
        {
            "account": words(names),
            "ts_event": times,
            "execution_id": identifiers,
            "order_id": identifiers,
            "client_order_id": identifiers,
            "symbol": words(SYMBOLS),
            "side": words(["buy", "sell"]),
            "quantity": decimal_column((rng.integers(1, 10, rows) * 100 * ONE).tolist()),
            "price": decimal_column((cents * (ONE // 100)).tolist()),
            "currency": words(["USD"]),
            "fees": decimal_column((rng.integers(0, 100, rows) * (ONE // 100)).tolist()),
            "liquidity": words(["removed"]),
            "venue": words(["XNYS"]),
            "strategy": words([""]),
        }
    )


def made_marks(end_ns: int) -> pa.RecordBatch:
    """A mark a symbol and second."""
    seconds = np.arange(START_NS, end_ns, 1_000_000_000)
    times = np.repeat(seconds, len(SYMBOLS))
    codes = np.tile(np.arange(len(SYMBOLS), dtype=np.int32), len(seconds))
    rng = np.random.default_rng(2)
    price = 100 + np.cumsum(rng.integers(-1, 2, len(times))) * 0.005
    return MARKS.batch(
        {
            "symbol": pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(SYMBOLS)),
            "ts_event": times,
            "bid": price,
            "ask": price,
            "last": price,
            "price": price,
        }
    )
