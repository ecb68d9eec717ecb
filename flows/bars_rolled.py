"""Bars of coarser intervals, rolled up from the bars of finer ones.

Equal to bars of the same interval made from the ticks: prices and counts exactly, if every trade that sets
the last price may set high and low too (as the tapes' rules have it); volumes exactly as long as sums of sizes
are (whole numbers are up to 2^53), else to the last bits; VWAP to the last bits (about 1e-15), as a finer
bar's turnover is taken to be its VWAP times its volume. A trade that came too late for the finer bar is not in
the coarser one. Bars without trades add nothing.

A bar closes when its last finer bar comes, or any later row or watermark row of its symbol.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from flows.columns import Codes, chosen, columns, float_columns, floats_or_nan, times_ns
from flows.flow import Emit, Emitted, Flow, Input, Late, Order, Params, Rows, Watermarks
from flows.intervals import SESSION, interval_ns
from flows.kernels import rolled as kernel
from flows.kernels.bar_state import BAR, LATE, NEVER, WINDOW
from flows.kernels.columns import bar_columns
from flows.keys import KeySlots
from flows.snapshot import pack, unpack
from schemas.arrays import Int64s
from schemas.bars import BARS, BARS_ROLLED
from schemas.field import INT32, INT64, TIMESTAMP
from schemas.sessions import DAY_NS, DEFAULT_CALENDAR, days_before, days_behind, session_starts

_ROOM = 8192
_KEYS = 64

# Periods of sessions, in the order of the kernel's period arrays.
PERIODS = ("1w", "1mo")
# 1970-01-01 was a Thursday: so many days later the Mondays are whole weeks.
_MONDAY = 3
# From a session's start, midnight where its exchange is, to its date in UTC: midnight in Auckland's summer is eleven
# the day before, and west of Hawaii there is no exchange.
_TO_DATE_NS = 13 * 3_600_000_000_000

_READ = ("symbol", "interval", "ts_event", "trade_count")
_NUMBERS = ("open", "high", "low", "close", "volume", "vwap", "buy_volume", "sell_volume")


class BarsRolledParams(Params):
    """Parameters of `BarsRolled`.

    Parameters
    ----------
    intervals : dict of str to str
        Each interval to make, and the interval of the bars that it is made from: a number and s, m or h, from
        a shorter one that it is a multiple of; or 1w (Monday to Sunday) or 1mo (the month), by the dates of
        the calendar's sessions, from 1d.
    calendar : str
        Calendar (exchange_calendars) of the sessions.
    calendars : dict of str to str
        Calendars of symbols that have another; the same as in the flow bars.
    max_keys : int
        Bound of the state; one symbol more is an error.
    """

    intervals: dict[str, str] = Field(
        default={"15m": "5m", "30m": "5m", "4h": "1h", "1w": "1d", "1mo": "1d"}
    )
    calendar: str = DEFAULT_CALENDAR
    calendars: dict[str, str] = Field(default_factory=dict)
    max_keys: int = Field(default=20_000, ge=1)

    @field_validator("intervals")
    @classmethod
    def _multiples(cls, intervals: dict[str, str]) -> dict[str, str]:
        if not intervals:
            raise ValueError("at least one interval is needed, such as 15m from 5m")
        for target, source in intervals.items():
            if target in PERIODS:
                if source != SESSION:
                    raise ValueError(f"{target} is made from 1d, not from {source}")
                continue
            long, short = interval_ns(target), interval_ns(source)
            if not short or not long or long % short or long == short:
                raise ValueError(f"{target} is no multiple of {source} that can be made from it")
        return intervals


class BarsRolled(Flow):
    """Bars of coarser intervals from finer ones.

    Parameters
    ----------
    params : BarsRolledParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "bars_rolled"
    version = 1
    inputs = (Input(topic=BARS),)
    outputs = (BARS_ROLLED,)
    order = Order.SINGLE
    params_type = BarsRolledParams

    def __init__(self, params: BarsRolledParams, snapshot: bytes | None) -> None:
        self._params = params
        self._calendars = list(dict.fromkeys([params.calendar, *params.calendars.values()]))
        self._targets = pa.array(list(params.intervals), pa.string())
        sources = list(dict.fromkeys(params.intervals.values()))
        self._intervals = Codes(sources)
        self._spec = (
            np.array([_length(target) for target in params.intervals], dtype=np.int64),
            np.array([sources.index(one) for one in params.intervals.values()], dtype=np.int32),
            *_periods(self._calendars),
        )
        self._out = (np.empty(_ROOM, BAR), np.empty(_ROOM, LATE), np.zeros(2, dtype=np.int64))
        head, arrays = unpack(snapshot, self.name, self.version) if snapshot else ({}, {})
        self._keys = KeySlots(head.get("keys", []), params.max_keys)
        self._ready = 0
        self._state = _state(_KEYS, len(self._targets))
        self._make_room()
        for name, own in zip(("keys", "windows", "closed"), self._state, strict=True):
            if arrays:
                own.view(np.int64)[: arrays[name].size] = arrays[name]

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take bars in; give the coarser ones that they close."""
        batch = rows.only[1].batch
        symbol, interval, ts_event, counts = map(batch.column, _READ)
        slots = self._keys.of(symbol)
        self._make_room()
        arguments = (
            slots,
            self._intervals.of(interval),
            times_ns(ts_event),
            counts.to_numpy(),
            tuple(floats_or_nan(batch.column(name)) for name in _NUMBERS),
            self._spec,
            self._state,
            self._out,
        )
        emitted: list[Emitted] = []
        row = 0
        while row < batch.num_rows:
            row = kernel.roll(row, *arguments)
            emitted += self._take_written()
        return emitted

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Close the windows that end up to each key's time; give their bars."""
        slots = np.array([self._keys.slot(key) for key in watermarks.keys], dtype=np.int64)
        self._make_room()
        emitted: list[Emitted] = []
        row = 0
        while row < len(slots):
            row = kernel.pass_rolled(
                row, slots, watermarks.times, self._spec, self._state, self._out
            )
            emitted += self._take_written()
        return emitted

    def snapshot(self) -> bytes:
        """Keys in order of slot, and the state arrays of as many."""
        keys, windows, closed = self._state
        count, pairs = len(self._keys), len(self._keys) * len(self._targets)
        arrays = {
            "keys": keys[:count].view(np.int64),
            "windows": windows[:pairs].view(np.int64),
            "closed": closed[:pairs],
        }
        return pack(self.name, self.version, {"keys": self._keys.keys}, arrays)

    def _make_room(self) -> None:
        known = len(self._keys)
        if known > len(self._state[0]):
            bigger = _state(2 * known, len(self._targets))
            for old, new in zip(self._state, bigger, strict=True):
                new[: len(old)] = old
            self._state = bigger
        for slot in range(self._ready, known):
            calendar = self._params.calendars.get(self._keys.keys[slot], self._params.calendar)
            self._state[0][slot]["calendar"] = self._calendars.index(calendar)
        self._ready = known

    def _take_written(self) -> list[Emitted]:
        _, late, counts = self._out
        emitted: list[Emitted] = []
        if counts[kernel.BARS_AT]:
            emitted.append(Emit(topic=BARS_ROLLED, batch=self._bars(int(counts[kernel.BARS_AT]))))
        if counts[kernel.LATE_AT]:
            told = late[: counts[kernel.LATE_AT]].copy()
            emitted.append(
                Late(
                    input=0,
                    index=told["row"],
                    window=[self._targets[at].as_py() for at in told["interval"].tolist()],
                    window_end=told["end"],
                    frontier=told["frontier"],
                    used=told["used"] > 0,
                )
            )
        counts[:] = 0
        return emitted

    def _bars(self, count: int) -> pa.RecordBatch:
        codes, integers, numbers, undefined, bitmap = bar_columns(self._out[0], count)
        keys, targets = columns((INT32, INT32), codes)
        ends, starts, counts = columns((TIMESTAMP, TIMESTAMP, INT64), integers)
        floats = float_columns(numbers, undefined, bitmap)
        return pa.RecordBatch.from_arrays(
            [
                self._keys.column(keys),
                chosen(self._targets, targets),
                ends,
                starts,
                *floats[:5],
                counts,
                *floats[5:],
            ],
            schema=BARS_ROLLED.schema,
        )


def _state(keys: int, targets: int) -> tuple[Any, Any, Int64s]:
    state = np.zeros(keys, kernel.ROLLED_KEY)
    state["frontier"] = NEVER
    return state, np.zeros(keys * targets, WINDOW), np.full(keys * targets, NEVER, dtype=np.int64)


def _length(target: str) -> int:
    return -PERIODS.index(target) if target in PERIODS else interval_ns(target)


def _periods(calendars: list[str]) -> tuple[Int64s, Int64s]:
    """Starts of the weeks and months of all calendars' sessions, and the bounds of each."""
    parts = []
    for calendar in calendars:
        known = session_starts(calendar)
        # A week or month that is begun where the calendar ends is as long as any other, and so are those behind it.
        starts = np.concatenate([days_before(known), known, days_behind(known)])
        dates = (starts + _TO_DATE_NS) // DAY_NS
        weeks = (dates + _MONDAY) // 7
        months = dates.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        parts += [
            starts[np.flatnonzero(np.diff(period, prepend=period[0] - 1))]
            for period in (weeks, months)
        ]
    bounds = np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)
    return np.concatenate(parts), bounds
