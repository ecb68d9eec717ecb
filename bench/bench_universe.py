"""Breadth, index levels and scans over one-minute bars of 500 symbols, from Arrow batches, on one core."""

from statistics import median
from time import process_time
from typing import Any

import numpy as np
import pyarrow as pa

from bench.report import Result
from flows.breadth import Breadth, BreadthParams
from flows.breadth_parts import BreadthParts, BreadthPartsParams
from flows.flow import Emit, Flow, InputRows, Rows
from flows.index_levels import Index, IndexLevels, IndexLevelsParams
from flows.scanner import SavedScan, Scanner, ScannerParams
from schemas.bars import BARS
from schemas.instruments import INSTRUMENTS
from schemas.topic import Topic

SYMBOLS = 500
MINUTES = 2_000
QUICK_MINUTES = 200
# Rows of a batch: some minutes of all symbols.
BATCH = 4_096
# 7 October 2013, 13:30 UTC.
_START = 1_381_152_600_000_000_000
_MINUTE = 60_000_000_000
_SECTORS = 11

SCANS = {
    "pullback": "rsi_14 < 30 and change_1d > 2% and close crosses above sma_50",
    "burst": "relative_volume_20 > 5 and change_5 > 0.5%",
    "squeeze": "bollinger_width_20 < 0.5% and close > high_20 - 0.1 * atr_14",
    "gap": "gap > 2% and session_position > 0.8 and session_volume > 100K",
    "trend": "adx_14 > 25 and macd_12_26_9 crosses above macd_12_26_9_signal",
}


def run(quick: bool) -> list[Result]:
    """All figures."""
    bars, instruments = market(QUICK_MINUTES if quick else MINUTES)
    rounds = 3
    names = [f"S{at:03d}" for at in range(SYMBOLS)]
    index = Index(weights=dict.fromkeys(names, 1.0))
    parts: list[pa.RecordBatch] = []

    def of_parts() -> None:
        flow = BreadthParts(BreadthPartsParams(intervals=("1m",)), None)
        flow.on_rows(_rows(flow, INSTRUMENTS, instruments))
        parts[:] = _carried(flow, BARS, bars)

    def of_breadth() -> None:
        flow = Breadth(BreadthParams(intervals=("1m",)), None)
        _carried(flow, Breadth.inputs[0].topic, parts)

    def of_index() -> None:
        params = IndexLevelsParams(indices={"ALL": index}, intervals=("1m",), horizon=64)
        _carried(IndexLevels(params, None), IndexLevels.inputs[0].topic, parts)

    def of_scans() -> None:
        scans = {name: SavedScan(expression=one, interval="1m") for name, one in SCANS.items()}
        _carried(Scanner(ScannerParams(scans=scans), None), BARS, bars)

    count = sum(batch.num_rows for batch in bars)
    return [
        _result("breadth_parts, bars in", of_parts, count, rounds),
        _result("breadth, bars in (two universes a symbol)", of_breadth, count, rounds),
        _result("index_levels, bars in (500 members)", of_index, count, rounds),
        _result(f"scanner, bars in ({len(SCANS)} scans)", of_scans, count, rounds),
    ]


def market(minutes: int) -> tuple[list[pa.RecordBatch], pa.RecordBatch]:
    """Bars of all symbols minute by minute, and their instruments."""
    rng = np.random.default_rng(7)
    rows = SYMBOLS * minutes
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.001, (minutes, SYMBOLS)), axis=0)).reshape(-1)
    opening = np.concatenate([close[:SYMBOLS], close[:-SYMBOLS]])
    ends = np.repeat(_START + _MINUTE * np.arange(1, minutes + 1), SYMBOLS)
    volume = rng.integers(1, 10_000, rows).astype(float)
    names = pa.array([f"S{at:03d}" for at in range(SYMBOLS)])
    columns: dict[str, Any] = {
        "symbol": _coded(np.tile(np.arange(SYMBOLS), minutes), names),
        "interval": _coded(np.zeros(rows), pa.array(["1m"])),
        "ts_event": ends,
        "ts_start": ends - _MINUTE,
        "open": opening,
        "high": np.maximum(opening, close) * 1.0005,
        "low": np.minimum(opening, close) * 0.9995,
        "close": close,
        "vwap": close,
        "volume": volume,
        "buy_volume": volume / 2,
        "sell_volume": volume / 2,
        "trade_count": np.full(rows, 10),
    }
    batch = BARS.batch(columns)
    instruments = INSTRUMENTS.batch(
        {
            "symbol": names.to_pylist(),
            "ts_event": [0] * SYMBOLS,
            "ts_recv": [0] * SYMBOLS,
            "type": ["stock"] * SYMBOLS,
            "currency": ["USD"] * SYMBOLS,
            "sector": [f"Sector {at % _SECTORS}" for at in range(SYMBOLS)],
            "calendar": ["XNYS"] * SYMBOLS,
            "is_active": [True] * SYMBOLS,
        }
    )
    return [batch.slice(at, BATCH) for at in range(0, rows, BATCH)], instruments


def _coded(codes: Any, values: pa.Array) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), values)


def _rows(flow: Flow, topic: Topic, batch: pa.RecordBatch) -> Rows:
    count = batch.num_rows
    given = InputRows(
        batch=batch,
        partition=0,
        offset=np.zeros(count, np.int64),
        row=np.arange(count, dtype=np.int32),
    )
    return Rows(inputs=tuple(given if one.topic is topic else None for one in flow.inputs))


def _carried(flow: Flow, topic: Topic, batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    return [
        one.batch
        for batch in batches
        for one in flow.on_rows(_rows(flow, topic, batch))
        if isinstance(one, Emit)
    ]


def _result(name: str, work: Any, count: int, rounds: int) -> Result:
    # The first round compiles.
    work()
    taken = []
    for _ in range(rounds):
        begun = process_time()
        work()
        taken.append(process_time() - begun)
    return Result(
        name=name,
        value=count / median(taken),
        unit="bars/s",
        note=f"{count:,} one-minute bars of {SYMBOLS} symbols, processor time of one thread",
    )
