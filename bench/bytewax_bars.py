"""The job of `bench_flows` as one would write it with Bytewax: a tuple an event, Python code an event.

`windowed` is the way of Bytewax's guides: a `fold_window` on the event clock for each interval. `by_hand`
gives that up for one stateful step a symbol that keeps all its open bars in its own code, which nobody is
told to write but which is faster. In both, one more stateful step keeps the last bars of a symbol and
interval, and asks TA-Lib for the newest values.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import numpy as np
import talib
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower, fold_window
from bytewax.testing import TestingSink, TestingSource, run_main

from schemas.sessions import session_starts

SECOND = 10**9
INTERVALS = {"1s": SECOND, "1m": 60 * SECOND, "5m": 300 * SECOND, "1h": 3600 * SECOND, "1d": 0}

# Bars that the recursive indicators look back over.
WINDOW = 100

# A midnight in New York's summer time; the trades are of days that have no change of the clocks.
MIDNIGHT = datetime(2013, 10, 7, 4, tzinfo=UTC)


def windowed(events: list[tuple[Any, ...]]) -> dict[str, int]:
    """Counts of bars and of indicator values, by a window operator for each interval."""
    flow = Dataflow("windowed")
    stamped = [(*event, datetime.fromtimestamp(event[1] / SECOND, UTC)) for event in events]
    keyed = op.key_on("symbol", _trades(flow, stamped), lambda event: event[0])
    # Event time is replayed much faster than it passed: the wait only keeps the clock from running ahead.
    clock = EventClock(lambda event: event[-1], wait_for_system_duration=timedelta(seconds=10))
    made = []
    for name, length in INTERVALS.items():
        windower = TumblingWindower(
            align_to=MIDNIGHT, length=timedelta(seconds=length / SECOND or 86_400)
        )
        out = fold_window(f"bars_{name}", keyed, clock, windower, _Open, _folded, _first)
        made.append(op.map_value(f"name_{name}", out.down, lambda pair, name=name: (name, pair[1])))
    return _run(flow, op.merge("all", *made))


def by_hand(events: list[tuple[Any, ...]]) -> dict[str, int]:
    """Counts of bars and of indicator values, by one stateful step a symbol."""
    flow = Dataflow("by_hand")
    stream = _trades(flow, [*events, None])
    ended = op.flat_map("end", stream, _with_end({event[0] for event in events}))
    keyed = op.key_on("symbol", ended, lambda event: event[0])
    return _run(flow, op.stateful_flat_map("bars", keyed, _bars))


def _trades(flow: Dataflow, events: list[Any]) -> Any:
    # A thousand tuples a turn, as a connector that reads ahead gives them.
    return op.input("trades", flow, TestingSource(events, batch_size=1_000))


def _run(flow: Dataflow, made: Any) -> dict[str, int]:
    bars: list[Any] = []
    values: list[Any] = []
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


def _folded(bar: "_Open", event: tuple[Any, ...]) -> "_Open":
    bar.add(event)
    return bar


def _first(bar: "_Open", _: "_Open") -> "_Open":
    # Only windows that sessions join are ever merged.
    return bar


class _Open:
    """An open bar."""

    def __init__(self, start: int = 0, end: int = 0) -> None:
        self.start = start
        self.end = end
        self.open = self.high = self.low = self.close = None
        self.volume = self.turnover = self.buy = self.sell = 0.0
        self.count = 0

    def add(self, event: tuple[Any, ...]) -> None:
        price, size, side, high_low, last, counts = event[2:8]
        self.count += 1
        if last:
            if self.open is None:
                self.open = price
            self.close = price
        if high_low:
            self.high = price if self.high is None else max(self.high, price)
            self.low = price if self.low is None else min(self.low, price)
        if counts:
            self.volume += size
            self.turnover += price * size
            if side == "buy":
                self.buy += size
            elif side == "sell":
                self.sell += size


def _bars(
    state: dict[str, _Open] | None, event: tuple[Any, ...]
) -> tuple[dict[str, _Open], list[Any]]:
    state = {} if state is None else state
    closed = []
    time = event[1]
    if time is None:
        return {}, list(state.items())
    for name, length in INTERVALS.items():
        bar = state.get(name)
        if bar is None or time >= bar.end:
            if bar is not None:
                closed.append((name, bar))
            bar = state[name] = _Open(*_window(time, length))
        bar.add(event)
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
