"""Levels of indices from weights: the weighted sum of the members' closes over a divisor.

``level = sum over members of (weight * last close) / divisor``, members in order of their names. A weight is a
number of shares (or 1, for an index of prices). The divisor is given, or it is set once, so that the
level of the first interval that ends at or after ``base_ts`` is ``base_level``. Read from the rows of
universe ``ALL`` in ``breadth_parts``.

A level is written when every member has passed the interval's end, by a bar or by a watermark row; one
without a close in it counts with its last close. Where a member is left behind by ``horizon`` intervals,
the level is written without it, which ``stale`` says, and its closes of that time are in ``late``: for a
long history that is fed symbol by symbol, or read by several shards one after another, raise the horizon.
"""

from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import AwareDatetime, Field, field_validator

from flows.breadth_parts import ALL
from flows.columns import Codes, chosen, floats_or_nan, times_ns
from flows.flow import Emit, Emitted, Flow, Input, Late, Order, Params, Rows, Watermarks
from flows.intervals import interval_ns, known_intervals
from flows.kernels import index_levels as kernel
from flows.kernels.breadth_parts import UNSET
from flows.snapshot import pack, unpack
from schemas.arrays import Bools, Floats, Int64s
from schemas.breadth import BREADTH_PARTS, INDEX_LEVELS
from schemas.field import TIMESTAMP
from schemas.sessions import DAY_NS

_LATE = "the level of the interval is written"


class Index(Params):
    """An index.

    Parameters
    ----------
    weights : dict of str to float
        Symbol to weight: a number of shares, or 1 for an index of prices.
    base_level : float
        Level at the base time.
    base_ts : datetime or None
        Base time, with its zone; None for the first interval with a close of every member.
    divisor : float or None
        Divisor, where it is not to be set by base level and base time.
    """

    weights: dict[str, float] = Field(min_length=1)
    base_level: float = Field(default=100.0, gt=0)
    base_ts: AwareDatetime | None = None
    divisor: float | None = Field(default=None, gt=0)

    @field_validator("weights")
    @classmethod
    def _positive(cls, weights: dict[str, float]) -> dict[str, float]:
        wrong = [symbol for symbol, weight in weights.items() if not 0 < weight < float("inf")]
        if wrong:
            raise ValueError(f"weights must be above 0: {', '.join(wrong)}")
        return weights


class IndexLevelsParams(Params):
    """Parameters of `IndexLevels`.

    Parameters
    ----------
    indices : dict of str to Index
        Name to index; without any, the flow gives nothing.
    intervals : tuple of str
        Intervals to compute levels of; ``breadth_parts`` must have them.
    horizon : int
        For how many intervals (days, for 1d) a member that says nothing holds the others up.
    """

    indices: dict[str, Index] = Field(default_factory=dict)
    intervals: tuple[str, ...] = ("1m", "1d")
    horizon: int = Field(default=8_192, ge=1)

    _intervals = field_validator("intervals")(known_intervals)


class IndexLevels(Flow):
    """Levels of indices.

    Parameters
    ----------
    params : IndexLevelsParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "index_levels"
    version = 1
    inputs = (Input(topic=BREADTH_PARTS),)
    outputs = (INDEX_LEVELS,)
    order = Order.SINGLE
    params_type: ClassVar[type[Params]] = IndexLevelsParams

    def __init__(self, params: IndexLevelsParams, snapshot: bytes | None) -> None:
        self._params = params
        self._intervals = Codes(params.intervals)
        self._interval_names = pa.array(params.intervals, pa.string())
        self._names = pa.array(list(params.indices), pa.string())
        self._universe = Codes((ALL,))
        indices = list(params.indices.values())
        symbols = list(dict.fromkeys(symbol for index in indices for symbol in index.weights))
        self._symbols = Codes(symbols)
        self._of_symbol = _memberships(indices, symbols)
        self._indices = _declared(indices, params.intervals)
        slots, members = len(indices) * len(params.intervals), self._indices[1].shape[1]
        own = np.zeros((slots, kernel.STATE), np.int64)
        own[:, kernel.DONE] = UNSET
        divisors = [index.divisor or np.nan for index in indices for _ in params.intervals]
        self._state = (
            own,
            np.full((slots, members), UNSET),
            np.full((slots, members), np.nan),
            np.array(divisors, np.float64),
        )
        self._windows = (
            np.full((slots, params.horizon), UNSET),
            np.full((slots, params.horizon, members), np.nan),
        )
        if snapshot:
            self._restore(unpack(snapshot, self.name, self.version)[1])

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take closes of members in; give the levels that they complete, in order of time."""
        batch = rows.only[1].batch
        symbols = self._symbols.of(batch.column("symbol"))
        intervals = self._intervals.of(batch.column("interval"))
        in_all = self._universe.of(batch.column("universe")) == 0
        used = np.flatnonzero(in_all & (symbols >= 0) & (intervals >= 0))
        if len(used) == 0:
            return []
        times = times_ns(batch.column("ts_event"))[used]
        slots, ends, levels, late, done, entered = kernel.add_closes(
            (
                symbols[used].astype(np.int64),
                intervals[used].astype(np.int64),
                times,
                floats_or_nan(batch.column("close"))[used],
            ),
            self._of_symbol,
            self._indices,
            self._state,
            self._windows,
        )
        emitted: list[Emitted] = []
        if len(levels):
            emitted.append(Emit(topic=INDEX_LEVELS, batch=self._batch(slots, ends, levels)))
        if len(late):
            emitted.append(_late(used[late], times[late], done, entered))
        return emitted

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:  # noqa: ARG002 - the contract
        """Time is told by the members' rows."""
        return []

    def snapshot(self) -> bytes:
        """State of each index and interval, and the windows that wait."""
        ends, closes = self._windows
        slot, place = np.nonzero(ends != UNSET)
        own, reached, last, divisors = self._state
        arrays = {
            "own": own,
            "reached": reached,
            "last": last,
            "divisors": divisors,
            "waiting": np.column_stack([slot, place, ends[slot, place]]),
            "closes": closes[slot, place],
        }
        return pack(self.name, self.version, {}, arrays)

    def _restore(self, arrays: dict[str, Any]) -> None:
        self._state = (arrays["own"], arrays["reached"], arrays["last"], arrays["divisors"])
        slot, place, end = arrays["waiting"].T
        self._windows[0][slot, place] = end
        self._windows[1][slot, place] = arrays["closes"]

    def _batch(self, slots: Int64s, ends: Int64s, levels: Floats) -> pa.RecordBatch:
        index, interval = np.divmod(slots.astype(np.int32), len(self._params.intervals))
        return INDEX_LEVELS.batch(
            {
                "symbol": chosen(self._names, pa.array(index)),
                "interval": chosen(self._interval_names, pa.array(interval)),
                "ts_event": pa.array(ends).view(TIMESTAMP),
                "level": levels[:, kernel.LEVEL],
                "divisor": levels[:, kernel.DIVISOR],
                "members": levels[:, kernel.MEMBERS].astype(np.int64),
                "stale": levels[:, kernel.STALE].astype(np.int64),
            }
        )


def _memberships(indices: list[Index], symbols: list[str]) -> tuple[Int64s, Int64s, Int64s]:
    """Of each symbol, which member of which indices it is."""
    found = [
        [
            (place, list(index.weights).index(symbol))
            for place, index in enumerate(indices)
            if symbol in index.weights
        ]
        for symbol in symbols
    ]
    flat = np.array([pair for pairs in found for pair in pairs], np.int64).reshape(-1, 2)
    bounds = np.cumsum([0, *map(len, found)], dtype=np.int64)
    return bounds, flat[:, 0].copy(), flat[:, 1].copy()


def _declared(
    indices: list[Index], intervals: tuple[str, ...]
) -> tuple[Int64s, Floats, Floats, Int64s]:
    cells = np.array([interval_ns(one) or DAY_NS for one in intervals], np.int64)
    weights = np.full((len(indices), max((len(one.weights) for one in indices), default=0)), np.nan)
    for place, index in enumerate(indices):
        weights[place, : len(index.weights)] = list(index.weights.values())
    levels = np.array([index.base_level for index in indices], np.float64)
    starts = [
        UNSET if one.base_ts is None else pa.scalar(one.base_ts).cast(TIMESTAMP).value
        for one in indices
    ]
    return cells, weights, levels, np.array(starts, np.int64)


def _late(index: Int64s, times: Int64s, done: Int64s, entered: Bools) -> Late:
    return Late(
        input=0,
        index=index,
        window=["index level"] * len(index),
        window_end=times,
        frontier=done,
        used=entered,
        reason=_LATE,
    )
