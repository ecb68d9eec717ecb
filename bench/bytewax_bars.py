"""The job of `bench_flows` as one would write it with Bytewax: a tuple an event, Python code an event.

One stateful step keeps the open bars of a symbol, one keeps a window of a symbol's and interval's bars and
asks TA-Lib for the newest values. A step of its own for each interval, or Bytewax's window operators in
place of the step's own code, are slower still.
"""

from collections.abc import Iterable
from typing import Any

import bytewax.operators as op
import numpy as np
import talib
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, TestingSource, run_main

from schemas.sessions import session_starts

SECOND = 10**9
INTERVALS = {"1s": SECOND, "1m": 60 * SECOND, "5m": 300 * SECOND, "1h": 3600 * SECOND, "1d": 0}

# Bars that the recursive indicators look back over.
WINDOW = 100


def bars_and_indicators(events: list[tuple[Any, ...]]) -> dict[str, int]:
    """Counts of bars and of indicator values."""
    bars: list[Any] = []
    values: list[Any] = []
    flow = Dataflow("bars_and_indicators")
    stream = op.input("trades", flow, TestingSource([*events, None], batch_size=1_000))
    flat = op.flat_map("end", stream, _with_end({event[0] for event in events}))
    keyed = op.key_on("symbol", flat, lambda event: event[0])
    made = op.stateful_flat_map("bars", keyed, _bars)
    op.output("bars_out", made, TestingSink(bars))
    longer = op.filter("longer", made, lambda pair: pair[1][0] != "1s")
    slots = op.key_on("slot", longer, lambda pair: f"{pair[0]}/{pair[1][0]}")
    computed = op.stateful_flat_map("indicators", slots, _indicators)
    op.output("values_out", computed, TestingSink(values))
    run_main(flow)
    return {"bars": len(bars), "values": len(values)}


def _with_end(symbols: Iterable[str]) -> Any:
    def expand(event: tuple[Any, ...] | None) -> list[tuple[Any, ...]]:
        return [event] if event else [(symbol, None) for symbol in symbols]

    return expand


class _Open:
    """An open bar."""

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.open = self.high = self.low = self.close = None
        self.volume = self.turnover = self.buy = self.sell = 0.0
        self.count = 0


def _bars(
    state: dict[str, _Open] | None, event: tuple[Any, ...]
) -> tuple[dict[str, _Open], list[Any]]:
    state = {} if state is None else state
    closed = []
    time = event[1]
    if time is None:
        return {}, [(name, bar) for name, bar in state.items()]
    _, _, price, size, side, high_low, last, counts = event
    for name, length in INTERVALS.items():
        bar = state.get(name)
        if bar is None or time >= bar.end:
            if bar is not None:
                closed.append((name, bar))
            bar = state[name] = _Open(*_window(time, length))
        bar.count += 1
        if last:
            if bar.open is None:
                bar.open = price
            bar.close = price
        if high_low:
            bar.high = price if bar.high is None else max(bar.high, price)
            bar.low = price if bar.low is None else min(bar.low, price)
        if counts:
            bar.volume += size
            bar.turnover += price * size
            if side == "buy":
                bar.buy += size
            elif side == "sell":
                bar.sell += size
    return state, closed


def _window(time: int, length: int) -> tuple[int, int]:
    if length:
        return time - time % length, time - time % length + length
    starts = session_starts("XNYS")
    at = int(np.searchsorted(starts, time, side="right"))
    return int(starts[at - 1]), int(starts[at])


def _indicators(
    state: list[Any] | None, pair: tuple[str, tuple[str, _Open]]
) -> tuple[list[Any], list[float]]:
    bar = pair[1][1]
    bars = [] if state is None else state
    if bar.close is None:
        return bars, []
    bars = [*bars[1 - WINDOW :], (bar.high, bar.low, bar.close, bar.volume, bar.turnover)]
    high, low, close, volume, turnover = np.array(bars, dtype=float).T.copy()
    series = [
        talib.SMA(close, 20),
        talib.EMA(close, 20),
        talib.WMA(close, 20),
        talib.RSI(close, 14),
        *talib.MACD(close, 12, 26, 9),
        *talib.BBANDS(close, 20, 2, 2),
        *talib.STOCH(high, low, close, 14, 3, 0, 3, 0),
        talib.ADX(high, low, close, 14),
        talib.ATR(high, low, close, 14),
        talib.CCI(high, low, close, 20),
        talib.OBV(close, volume),
        turnover.cumsum() / volume.cumsum(),
    ]
    return bars, [float(values[-1]) for values in series]
