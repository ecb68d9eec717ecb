"""Technical indicators on bars: one row an indicator value, for each bar of the chosen intervals.

Which indicators there are, their definitions and sources: `flows.kernels.indicators.registry`. Values
equal TA-Lib's. A value is null while the indicator warms up. A bar that lacks what an indicator needs (a
bar without a close, say) leaves that indicator as it is, and its value is null. Bars of other intervals are
read and give nothing.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from flows.columns import Codes, chosen, columns, float_columns, floats_or_nan, times_ns
from flows.flow import Emit, Emitted, Flow, Input, Order, Params, Rows, Watermarks
from flows.intervals import known_intervals
from flows.kernels.columns import bars_with_sessions, repeated, wanted
from flows.kernels.indicators.declaration import BAR_COLUMNS, Chosen
from flows.kernels.indicators.registry import DEFAULT_INDICATORS, choose, chosen_names
from flows.keys import KeySlots
from flows.snapshot import pack, unpack
from schemas.arrays import Bytes, Floats, Int32s, Int64s
from schemas.bars import BARS
from schemas.field import INT32, TIMESTAMP
from schemas.indicators import INDICATORS
from schemas.sessions import DEFAULT_CALENDAR, session_starts

# Of snapshots; from one of another layout the state is not taken, but computed again from the log. 2: windows of highs
# and lows as `flows.kernels.indicators.windows.range_step` has them.
_LAYOUT = 2
# Keys that there is room for from the start.
_KEYS = 16

# Columns that are read, found once: looking a name up costs more than taking the column.
_INTERVAL = BARS.schema.get_field_index("interval")
_READ = tuple(
    BARS.schema.get_field_index(name)
    for name in ("symbol", "ts_event", "ts_start", *BAR_COLUMNS[:-1])
)


class IndicatorsParams(Params):
    """Parameters of `Indicators`.

    Parameters
    ----------
    indicators : tuple of str
        Names with parameters, such as rsi_14 (`flows.kernels.indicators.registry.choose`); ``all`` is every
        indicator with its default parameters. docs/indicators.md lists them.
    intervals : tuple of str
        Intervals of the bars to compute on.
    calendar : str
        Calendar (exchange_calendars) of the sessions that vwap_session runs over.
    calendars : dict of str to str
        Calendars of symbols that have another.
    max_keys : int
        Bound of the state; one symbol more is an error.
    """

    indicators: tuple[str, ...] = DEFAULT_INDICATORS
    intervals: tuple[str, ...] = ("1m", "5m", "1h", "1d")
    calendar: str = DEFAULT_CALENDAR
    calendars: dict[str, str] = Field(default_factory=dict)
    max_keys: int = Field(default=20_000, ge=1)

    _intervals = field_validator("intervals")(known_intervals)

    @field_validator("indicators", mode="before")
    @classmethod
    def _named(cls, names: str | Sequence[str]) -> tuple[str, ...]:
        return chosen_names(names)

    @field_validator("indicators")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice or not names:
            raise ValueError(f"each indicator once, and at least one; twice there: {twice}")
        for name in names:
            choose(name)
        return names


class Indicators(Flow):
    """Technical indicators on bars.

    Parameters
    ----------
    params : IndicatorsParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "indicators"
    version = 1
    inputs = (Input(topic=BARS),)
    outputs = (INDICATORS,)
    order = Order.SINGLE
    params_type = IndicatorsParams

    def __init__(self, params: IndicatorsParams, snapshot: bytes | None) -> None:
        self._params = params
        self._intervals = Codes(params.intervals)
        self._interval_names = pa.array(params.intervals, pa.string())
        self._calendars = _Calendars(params)
        chosen_ones = [choose(name) for name in params.indicators]
        self._names = pa.array([name for one in chosen_ones for name in one.outputs], pa.string())
        # What is computed: each indicator and its parameters once, however many of its outputs are chosen.
        self._computed = list(
            {(one.indicator.name, one.parameters): one for one in chosen_ones}.values()
        )
        self._parameters = [np.array(one.parameters, dtype=np.float64) for one in self._computed]
        self._kept = _kept(self._computed, chosen_ones)
        head, arrays = unpack(snapshot, self.name, _LAYOUT) if snapshot else ({}, {})
        self._keys = KeySlots(head.get("keys", []), params.max_keys)
        self._state: list[Floats] = [
            np.zeros((_KEYS * len(params.intervals), one.width)) for one in self._computed
        ]
        if arrays:
            self._make_room()
            self._resume(arrays)

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take bars in; give the values after each bar of the chosen intervals, in order of the bars."""
        batch = rows.only[1].batch
        used, intervals = wanted(self._intervals.of(batch.column(_INTERVAL)))
        if len(used) == 0:
            return []
        symbol, ts_event, ts_start, *prices = map(batch.column, _READ)
        keys = self._keys.of(symbol, used)
        self._make_room()
        bars = bars_with_sessions(
            used,
            keys,
            tuple(map(floats_or_nan, prices)),
            times_ns(ts_start),
            *self._calendars.of(self._keys.keys),
        )
        values = self._values(bars, keys * len(self._params.intervals) + intervals)
        repeats = repeated(used, keys, intervals, times_ns(ts_event), values)
        return [Emit(topic=INDICATORS, batch=self._batch(*repeats))]

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:  # noqa: ARG002 - the contract
        """Nothing is open that time could close."""
        return []

    def snapshot(self) -> bytes:
        """Keys in order of slot, and the indicators' state of each key and interval."""
        used = len(self._keys) * len(self._params.intervals)
        # Each as it lies in memory: to put them side by side would be a second copy, in a flow that waits.
        arrays = {_array(place): own[:used] for place, own in enumerate(self._state)}
        return pack(self.name, _LAYOUT, {"keys": self._keys.keys}, arrays)

    def _resume(self, arrays: dict[str, Floats]) -> None:
        for place, own in enumerate(self._state):
            kept = arrays[_array(place)]
            own[: len(kept)] = kept

    def _make_room(self) -> None:
        needed = len(self._keys) * len(self._params.intervals)
        room = len(self._state[0])
        if needed > room:
            for place, own in enumerate(self._state):
                grown = np.zeros((2 * needed, own.shape[1]))
                grown[:room] = own
                self._state[place] = grown

    def _values(self, bars: Floats, slots: Int64s) -> Floats:
        count = sum(len(one.indicator.outputs) for one in self._computed)
        values: Floats = np.empty((count, len(slots)))
        at = 0
        for one, parameters, state in zip(
            self._computed, self._parameters, self._state, strict=True
        ):
            count = len(one.indicator.outputs)
            one.indicator.kernel(bars, slots, state, parameters, values[at : at + count])
            at += count
        return values if self._kept is None else values[self._kept]

    def _batch(
        self, codes: Int32s, ends: Int64s, values: Floats, undefined: Int64s, bitmap: Bytes
    ) -> pa.RecordBatch:
        key, interval, name = columns((INT32, INT32, INT32), codes)
        return pa.RecordBatch.from_arrays(
            [
                self._keys.column(key),
                chosen(self._interval_names, interval),
                *columns((TIMESTAMP,), ends),
                chosen(self._names, name),
                *float_columns(values, undefined, bitmap),
            ],
            schema=INDICATORS.schema,
        )


def _array(place: int) -> str:
    # Of one length, so that their order by name is that of their places.
    return f"state_{place:05}"


def _kept(computed: Sequence[Chosen], chosen_ones: Sequence[Chosen]) -> Int64s | None:
    # Rows of the values that were chosen, in order of the choice; None for all of them.
    begins = {}
    count = 0
    for one in computed:
        begins[one.indicator.name, one.parameters] = count
        count += len(one.indicator.outputs)
    kept = [
        begins[one.indicator.name, one.parameters] + at for one in chosen_ones for at in one.kept
    ]
    return None if kept == list(range(count)) else np.array(kept, dtype=np.int64)


class _Calendars:
    """Which calendar a key has, and the sessions of all calendars, as the kernel takes them."""

    def __init__(self, params: IndicatorsParams) -> None:
        self._params = params
        self._names = list(dict.fromkeys([params.calendar, *params.calendars.values()]))
        starts = [session_starts(name) for name in self._names]
        self._starts = np.concatenate(starts)
        self._bounds = np.cumsum([0, *(len(part) for part in starts)], dtype=np.int64)
        self._of_key: Int64s = np.empty(0, dtype=np.int64)

    def of(self, names: list[str]) -> tuple[Int64s, Int64s, Int64s]:
        """Calendar of each key, keys being in order of slot; and all calendars' sessions."""
        if len(self._of_key) < len(names):
            calendars = [self._params.calendars.get(name, self._params.calendar) for name in names]
            self._of_key = np.array([self._names.index(name) for name in calendars], np.int64)
        return self._of_key, self._starts, self._bounds
