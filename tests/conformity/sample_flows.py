"""Two small flows that stand for the orders EVENT and ARRIVAL; parameters for flows that need some."""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from pydantic import Field as Setting

from flows.flow import Emit, Emitted, Flow, Input, Order, Params, Rows, Watermarks
from flows.index_levels import Index, IndexLevels, IndexLevelsParams
from schemas.field import INT64, TIMESTAMP, Field
from schemas.market import BOOK_EVENTS, QUOTES, SYMBOL, TRADES, TS_EVENT
from schemas.topic import Kind, Landing, Partition, Topic


def _count(name: str, meaning: str) -> Field:
    return Field(name=name, type=INT64, unit="rows", nullable=False, meaning=meaning)


QUOTES_SEEN = Topic(
    name="quotes_seen",
    version=1,
    kind=Kind.DERIVED,
    meaning="How many quotes came before a trade.",
    fields=(
        SYMBOL,
        TS_EVENT,
        _count("trade", "Number of the trade."),
        _count("quotes", "Quotes before it."),
    ),
    key="symbol",
    event_time="ts_event",
    identity=("symbol", "trade"),
    landing=Landing(order_by=("symbol", "ts_event"), partition_by=Partition.DAY),
)


class _Counting(Flow):
    """Counts, per symbol, the quotes that came before each trade, in the order that it is told."""

    def __init__(self, params: Params, snapshot: bytes | None) -> None:
        del params
        self.state: dict[str, list[int]] = orjson.loads(snapshot) if snapshot else {}

    def snapshot(self) -> bytes:
        return orjson.dumps(self.state, option=orjson.OPT_SORT_KEYS)

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        return []

    def on_rows(self, rows: Rows) -> list[Emitted]:
        found: list[tuple[str, int, int, int]] = []
        columns: list[Any] = [
            None
            if one is None
            else (
                one.batch.column("symbol").to_pylist(),
                one.batch.column("ts_event").cast(pa.int64()).to_pylist(),
            )
            for one in rows.inputs
        ]
        for at, row in self._steps(rows):
            symbol, time = columns[at][0][row], columns[at][1][row]
            state = self.state.setdefault(symbol, [0, 0])
            if self.inputs[at].topic is TRADES:
                state[1] += 1
                found.append((symbol, time, state[1], state[0]))
            else:
                state[0] += 1
        if not found:
            return []
        symbols, times, trades, quotes = zip(*found, strict=True)
        return [
            Emit(
                topic=QUOTES_SEEN,
                batch=QUOTES_SEEN.batch(
                    {
                        "symbol": pa.array(symbols),
                        "ts_event": pa.array(times, pa.int64()).cast(TIMESTAMP),
                        "trade": np.array(trades),
                        "quotes": np.array(quotes),
                    }
                ),
            )
        ]

    def _steps(self, rows: Rows) -> list[tuple[int, int]]:
        if rows.input_index is None or rows.row_index is None:
            at, one = rows.only
            return [(at, row) for row in range(one.batch.num_rows)]
        return list(zip(rows.input_index.tolist(), rows.row_index.tolist(), strict=True))


class QuotesBeforeTrades(_Counting):
    """By event time: the answer hangs on the log alone."""

    name = "quotes_before_trades"
    version = 1
    inputs = (Input(topic=QUOTES), Input(topic=TRADES))
    outputs = (QUOTES_SEEN,)
    order = Order.EVENT


class QuotesArrivedBeforeTrades(_Counting):
    """By arrival: the answer hangs on the order of reads, which progress records hold."""

    name = "quotes_arrived_before_trades"
    version = 1
    inputs = (Input(topic=QUOTES), Input(topic=TRADES), Input(topic=BOOK_EVENTS, broadcast=True))
    outputs = (QUOTES_SEEN,)
    order = Order.ARRIVAL


class _SomeIndices(IndexLevelsParams):
    indices: dict[str, Index] = Setting(
        default={
            "EVEN": Index(weights={"AIG": 1.0, "BAC": 1.0, "IBM": 1.0}),
            "UNEVEN": Index(weights={"SPY": 0.5, "AIG": 3.0}, divisor=7.0),
        }
    )
    horizon: int = 64


class IndexLevelsOfSome(IndexLevels):
    """The flow has no index unless its parameters name one."""

    params_type = _SomeIndices


GIVES_NOTHING_BY_DEFAULT: dict[str, type[Flow]] = {IndexLevels.name: IndexLevelsOfSome}
