"""Beta and correlation of each symbol to its benchmark, after each of its bars.

A bar of a symbol is compared with its benchmark's bar of the same interval and end. It waits until the
benchmark has got as far, by a bar or by a watermark row; what the values are hangs on no order of arrival, as long
as neither runs ahead of the other by more than what is kept (`held`, `history`). One row comes for each bar of a
symbol; its values are null where there is no bar of the benchmark to compare with.

Beta equals TA-Lib's BETA (returns of the symbol on those of the benchmark), correlation its CORREL (of closes).
"""

from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from flows.columns import Codes, chosen, floats_or_nan, times_ns
from flows.flow import Emit, Emitted, Flow, Input, Order, Params, Rows, Watermarks
from flows.intervals import known_intervals
from flows.kernels import relative as kernel
from flows.kernels.columns import wanted
from flows.keys import KeySlots
from flows.snapshot import pack, unpack
from schemas.arrays import Int64s
from schemas.bars import BARS
from schemas.field import TIMESTAMP
from schemas.relative import BENCHMARK_BARS, RELATIVE

_KEYS = 16


class RelativeParams(Params):
    """Parameters of `Relative`.

    Parameters
    ----------
    intervals : tuple of str
        Intervals of the bars to compare.
    benchmark : str
        What symbols are compared with; the flow `benchmarks` must be told of it too.
    benchmarks : dict of str to str
        Benchmarks of symbols that have another.
    beta_period : int
        Returns that beta is over.
    correlation_period : int
        Bars that correlation is over.
    held : int
        Bars of a symbol and interval that can wait for the benchmark; of more, the oldest gives nulls.
    history : int
        Bars of a benchmark and interval that are kept for symbols that come later: more, where history is fed symbol
        by symbol.
    max_keys : int
        Bound of the state; one symbol more is an error.
    """

    intervals: tuple[str, ...] = ("1m", "5m", "1h", "1d")
    benchmark: str = "SPY"
    benchmarks: dict[str, str] = Field(default_factory=dict)
    beta_period: int = Field(default=50, ge=2)
    correlation_period: int = Field(default=20, ge=2)
    held: int = Field(default=64, ge=1)
    history: int = Field(default=4_096, ge=1)
    max_keys: int = Field(default=20_000, ge=1)

    _intervals = field_validator("intervals")(known_intervals)


class Relative(Flow):
    """Beta and correlation to a benchmark.

    Parameters
    ----------
    params : RelativeParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "relative"
    version = 1
    inputs = (Input(topic=BARS), Input(topic=BENCHMARK_BARS, broadcast=True))
    outputs = (RELATIVE,)
    order = Order.ARRIVAL
    params_type = RelativeParams

    def __init__(self, params: RelativeParams, snapshot: bytes | None) -> None:
        self._params = params
        self._intervals = Codes(params.intervals)
        self._interval_names = pa.array(params.intervals, pa.string())
        names = list(dict.fromkeys([params.benchmark, *params.benchmarks.values()]))
        self._benchmarks = Codes(names)
        self._benchmark_names = names
        head, arrays = unpack(snapshot, self.name, self.version) if snapshot else ({}, {})
        self._keys = KeySlots(head.get("keys", []), params.max_keys)
        self._pairs = Pairs(params, len(names) * len(params.intervals))
        self._lanes: Int64s = np.empty(0, dtype=np.int64)
        self._make_room()
        if arrays:
            self._pairs.resume(arrays)

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take bars of symbols or of benchmarks in; give what has both."""
        at, given = rows.only
        batch = given.batch
        used, intervals = wanted(self._intervals.of(batch.column("interval")))
        if len(used) == 0:
            return []
        ends = times_ns(batch.column("ts_event"))[used]
        closes = floats_or_nan(batch.column("close"))[used]
        count = len(self._params.intervals)
        if at == 0:
            keys = self._keys.of(batch.column("symbol"), used)
            self._make_room()
            slots = keys * count + intervals
            written = kernel.take_bars(slots, ends, closes, self._lanes, self._pairs.arguments)
            return self._emitted(*written)
        codes = self._benchmarks.of(batch.column("symbol"))[used]
        known = codes >= 0
        told = codes[known].astype(np.int64) * count + intervals[known]
        return self._passed(told, ends[known], closes[known])

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Let go what waits for a benchmark that has no more bars up to here."""
        if watermarks.input != 1:
            return []
        count = len(self._params.intervals)
        found = [
            (self._benchmark_names.index(key), time)
            for key, time in zip(watermarks.keys, watermarks.times.tolist(), strict=True)
            if key in self._benchmark_names
        ]
        told = [code * count + interval for code, _ in found for interval in range(count)]
        ends = np.repeat(np.array([time for _, time in found], dtype=np.int64), count)
        return self._passed(np.array(told, dtype=np.int64), ends, np.full(len(told), np.nan))

    def snapshot(self) -> bytes:
        """Keys in order of slot; what waits, the last pairs, and the bars of benchmarks."""
        used = len(self._keys) * len(self._params.intervals)
        return pack(self.name, self.version, {"keys": self._keys.keys}, self._pairs.used(used))

    def _passed(self, told: Int64s, ends: Int64s, closes: Any) -> list[Emitted]:
        if len(told) == 0:
            return []
        written = kernel.pass_time(told, ends, closes, self._lanes, self._pairs.arguments)
        return self._emitted(*written)

    def _make_room(self) -> None:
        count = len(self._params.intervals)
        known = len(self._lanes) // count
        if known == len(self._keys):
            return
        lanes = []
        for key in self._keys.keys[known:]:
            name = self._params.benchmarks.get(key, self._params.benchmark)
            first = self._benchmark_names.index(name) * count
            lanes += list(range(first, first + count))
        self._lanes = np.concatenate([self._lanes, np.array(lanes, dtype=np.int64)])
        self._pairs.make_room(len(self._lanes))

    def _emitted(self, slots: Int64s, ends: Int64s, values: Any) -> list[Emitted]:
        if len(slots) == 0:
            return []
        count = len(self._params.intervals)
        undefined = np.isnan(values)
        batch = RELATIVE.batch(
            {
                "symbol": self._keys.column(pa.array((slots // count).astype(np.int32))),
                "benchmark": chosen(
                    pa.array(self._benchmark_names, pa.string()),
                    pa.array((self._lanes[slots] // count).astype(np.int32)),
                ),
                "interval": chosen(
                    self._interval_names, pa.array((slots % count).astype(np.int32))
                ),
                "ts_event": pa.array(ends).cast(TIMESTAMP),
                "beta": pa.array(values[0], mask=undefined[0]),
                "correlation": pa.array(values[1], mask=undefined[1]),
            }
        )
        return [Emit(topic=RELATIVE, batch=batch)]


class Pairs:
    """The state, as the kernel takes it.

    Parameters
    ----------
    params : RelativeParams
        What is kept of what.
    lanes : int
        Benchmarks times intervals.
    """

    def __init__(self, params: RelativeParams, lanes: int) -> None:
        pairs = max(params.beta_period + 1, params.correlation_period)
        # Of each slot: place of the first waiting, number waiting, pairs so far.
        self._counts = np.zeros((_KEYS, 3), dtype=np.int64)
        self._queue_ends = np.zeros((_KEYS, params.held), dtype=np.int64)
        self._queue_closes = np.zeros((_KEYS, params.held))
        self._pairs = np.zeros((_KEYS, 2, pairs))
        self._frontiers = np.full(lanes, kernel.NEVER, dtype=np.int64)
        self._lane_counts = np.zeros(lanes, dtype=np.int64)
        self._lane_ends = np.zeros((lanes, params.history), dtype=np.int64)
        self._lane_closes = np.zeros((lanes, params.history))
        self._periods = np.array([params.beta_period, params.correlation_period], dtype=np.int64)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Arrays in the kernel's order."""
        return (
            self._counts,
            self._queue_ends,
            self._queue_closes,
            self._pairs,
            self._frontiers,
            self._lane_counts,
            self._lane_ends,
            self._lane_closes,
            self._periods,
        )

    def make_room(self, slots: int) -> None:
        """Have room for as many slots."""
        if slots > len(self._counts):
            self._counts = _grown(self._counts, 2 * slots)
            self._queue_ends = _grown(self._queue_ends, 2 * slots)
            self._queue_closes = _grown(self._queue_closes, 2 * slots)
            self._pairs = _grown(self._pairs, 2 * slots)

    def used(self, slots: int) -> dict[str, Any]:
        """The arrays, those of slots cut to what is used."""
        return {
            "counts": self._counts[:slots],
            "queue_ends": self._queue_ends[:slots],
            "queue_closes": self._queue_closes[:slots],
            "pairs": self._pairs[:slots],
            "frontiers": self._frontiers,
            "lane_counts": self._lane_counts,
            "lane_ends": self._lane_ends,
            "lane_closes": self._lane_closes,
        }

    def resume(self, arrays: dict[str, Any]) -> None:
        """Take over what `used` gave."""
        slots = len(arrays["counts"])
        self.make_room(slots)
        self._counts[:slots] = arrays["counts"]
        self._queue_ends[:slots] = arrays["queue_ends"]
        self._queue_closes[:slots] = arrays["queue_closes"]
        self._pairs[:slots] = arrays["pairs"]
        self._frontiers[:] = arrays["frontiers"]
        self._lane_counts[:] = arrays["lane_counts"]
        self._lane_ends[:] = arrays["lane_ends"]
        self._lane_closes[:] = arrays["lane_closes"]


def _grown(array: Any, room: int) -> Any:
    grown = np.zeros((room, *array.shape[1:]), dtype=array.dtype)
    grown[: len(array)] = array
    return grown
