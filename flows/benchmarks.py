"""The bars of benchmarks, taken out of all bars into a topic of their own.

A symbol and its benchmark are different keys, so their bars can be in different partitions. What every shard
must see is broadcast, and a broadcast topic should be small: this is it.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.flow import Emit, Emitted, Flow, Input, Order, Params, Rows, Watermarks
from flows.snapshot import pack, unpack
from schemas.bars import BARS
from schemas.relative import BENCHMARK_BARS


class BenchmarksParams(Params):
    """Parameters of `Benchmarks`.

    Parameters
    ----------
    benchmarks : tuple of str
        Symbols whose bars are benchmarks.
    """

    benchmarks: tuple[str, ...] = ("SPY",)


class Benchmarks(Flow):
    """The bars of benchmarks.

    Parameters
    ----------
    params : BenchmarksParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "benchmarks"
    version = 1
    inputs = (Input(topic=BARS),)
    outputs = (BENCHMARK_BARS,)
    order = Order.SINGLE
    params_type = BenchmarksParams

    def __init__(self, params: BenchmarksParams, snapshot: bytes | None) -> None:
        if snapshot:
            unpack(snapshot, self.name, self.version)
        self._names = frozenset(params.benchmarks)
        self._symbols = pa.array(params.benchmarks, pa.string())

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take bars in; give those of benchmarks."""
        batch = rows.only[1].batch
        symbols = batch.column("symbol")
        known = pc.is_in(symbols.dictionary, value_set=self._symbols).to_numpy(zero_copy_only=False)
        used = np.flatnonzero(known[symbols.indices.to_numpy()])
        if len(used) == 0:
            return []
        taken = pa.array(used)
        names = BENCHMARK_BARS.schema.names
        columns = {name: batch.column(name).take(taken) for name in names}
        return [Emit(topic=BENCHMARK_BARS, batch=BENCHMARK_BARS.batch(columns))]

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:  # noqa: ARG002 - the contract
        """Nothing is open that time could close."""
        return []

    def speaks_of(self, key: str) -> bool:
        """Whether the symbol is a benchmark: every shard reads what is passed on, so it should be little."""
        return key in self._names

    def snapshot(self) -> bytes:
        """There is no state."""
        return pack(self.name, self.version, {}, {})
