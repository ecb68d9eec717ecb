"""Quote bars: mid prices and spreads of the best bid and offer, by interval.

A *mid*, (bid + ask) / 2, stands from a row of ``nbbo`` to the next one of its symbol, where both sides are there
and the state is normal or locked; while the market is crossed, one-sided or empty, none does. A bar holds
what stood in its interval, what stood at its start included; means are weighted by time. An interval in which
no row came has no bar. A bar closes when its symbol's time, by rows and watermark rows, has come to its end.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from flows.calendars import Calendars
from flows.columns import Codes, chosen, floats_or_nan, times_ns
from flows.flow import Emit, Emitted, Flow, Input, Late, Order, Params, Rows, Watermarks
from flows.intervals import interval_ns, known_intervals
from flows.kernels import quote_bars as kernel
from flows.kernels.bar_state import LATE, NEVER
from flows.keys import KeySlots
from flows.snapshot import pack, unpack
from schemas.field import TIMESTAMP
from schemas.nbbo import NBBO
from schemas.quote_bars import QUOTE_BARS
from schemas.sessions import DEFAULT_CALENDAR

_ROOM = 8192
_KEYS = 64

# States with a mid, numbered before all others.
_STATES = ("normal", "locked")


class QuoteBarsParams(Params):
    """Parameters of `QuoteBars`.

    Parameters
    ----------
    intervals : tuple of str
        A number and s, m or h on the UTC grid, or 1d for the calendar's session.
    calendar : str
        Calendar (exchange_calendars) whose sessions are the 1d bars.
    calendars : dict of str to str
        Calendars of symbols that have another.
    max_keys : int
        Bound of the state; one symbol more is an error.
    """

    intervals: tuple[str, ...] = ("1s", "1m", "5m", "1h", "1d")
    calendar: str = DEFAULT_CALENDAR
    calendars: dict[str, str] = Field(default_factory=dict)
    max_keys: int = Field(default=20_000, ge=1)

    _intervals = field_validator("intervals")(known_intervals)


class QuoteBars(Flow):
    """Mid prices and spreads by interval.

    Parameters
    ----------
    params : QuoteBarsParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "quote_bars"
    version = 1
    inputs = (Input(topic=NBBO),)
    outputs = (QUOTE_BARS,)
    order = Order.SINGLE
    params_type = QuoteBarsParams

    def __init__(self, params: QuoteBarsParams, snapshot: bytes | None) -> None:
        self._intervals = pa.array(params.intervals, pa.string())
        self._lengths = np.array([interval_ns(one) for one in params.intervals], dtype=np.int64)
        self._calendars = Calendars(params.calendar, params.calendars)
        self._states = Codes(_STATES)
        room = max(_ROOM, len(params.intervals))
        self._out = (
            np.empty(room, kernel.QUOTE_WINDOW),
            np.empty(room, LATE),
            np.zeros(2, dtype=np.int64),
        )
        head, arrays = unpack(snapshot, self.name, self.version) if snapshot else ({}, {})
        self._keys = KeySlots(head.get("keys", []), params.max_keys)
        self._state = _state(_KEYS, len(self._lengths))
        self._ready = -1
        self._arguments: tuple[Any, ...] = ()
        self._make_room()
        for name, own in zip(("keys", "windows"), self._state, strict=True):
            if arrays:
                own.view(np.int64)[: arrays[name].size] = arrays[name]

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take best bids and offers in; give the bars that they close, and late rows."""
        batch = rows.only[1].batch
        bids, asks = floats_or_nan(batch.column("bid")), floats_or_nan(batch.column("ask"))
        stands = self._states.of(batch.column("state")) >= 0
        columns_of_quotes = (
            self._keys.of(batch.column("symbol")),
            times_ns(batch.column("ts_event")),
            bids,
            asks,
            stands & np.isfinite(bids) & np.isfinite(asks),
        )
        self._make_room()
        emitted: list[Emitted] = []
        row = 0
        while row < batch.num_rows:
            row = kernel.add_quotes(row, *columns_of_quotes, *self._arguments)
            emitted += self._take_written()
        return emitted

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Close the windows that end up to each key's time; give their bars."""
        slots = np.array([self._keys.slot(key) for key in watermarks.keys], dtype=np.int64)
        self._make_room()
        emitted: list[Emitted] = []
        row = 0
        while row < len(slots):
            row = kernel.pass_quote_time(row, slots, watermarks.times, *self._arguments)
            emitted += self._take_written()
        return emitted

    def snapshot(self) -> bytes:
        """Keys in order of slot, and the state arrays of as many."""
        keys, windows = self._state
        arrays = {
            "keys": keys[: len(self._keys)].view(np.int64),
            "windows": windows[: len(self._keys) * len(self._lengths)].view(np.int64),
        }
        return pack(self.name, self.version, {"keys": self._keys.keys}, arrays)

    def _make_room(self) -> None:
        known = len(self._keys)
        if known == self._ready:
            return
        if known > len(self._state[0]):
            bigger = _state(2 * known, len(self._lengths))
            for old, new in zip(self._state, bigger, strict=True):
                new[: len(old)] = old
            self._state = bigger
        calendars, starts, bounds = self._calendars.of(self._keys.keys)
        self._state[0]["calendar"][:known] = calendars[:known]
        self._ready = known
        self._arguments = ((self._lengths, starts, bounds), self._state, self._out)

    def _take_written(self) -> list[Emitted]:
        bars, late, counts = self._out
        count, missed = counts.tolist()
        emitted: list[Emitted] = []
        if count:
            emitted.append(Emit(topic=QUOTE_BARS, batch=self._bars(bars[:count])))
        if missed:
            told = late[:missed].copy()
            emitted.append(
                Late(
                    input=0,
                    index=told["row"],
                    window=[self._intervals[at].as_py() for at in told["interval"].tolist()],
                    window_end=told["end"],
                    frontier=told["frontier"],
                    used=told["used"] > 0,
                )
            )
        counts[:] = 0
        return emitted

    def _bars(self, bars: Any) -> pa.RecordBatch:
        quoted = np.where(bars["quoted"] > 0, bars["quoted"], np.nan)
        means = [bars[name] / quoted for name in ("mid", "spread")]
        prices = [bars[name].copy() for name in ("open", "high", "low", "close")]
        return pa.RecordBatch.from_arrays(
            [
                self._keys.column(pa.array(bars["key"].astype(np.int32))),
                chosen(self._intervals, pa.array(bars["interval"].astype(np.int32))),
                pa.array(bars["end"].copy()).cast(TIMESTAMP),
                pa.array(bars["start"].copy()).cast(TIMESTAMP),
                *(pa.array(values, from_pandas=True) for values in (*prices, *means)),
                pa.array(bars["quoted"].copy()),
                pa.array(bars["count"].copy()),
            ],
            schema=QUOTE_BARS.schema,
        )


def _state(keys: int, intervals: int) -> tuple[Any, Any]:
    found = np.zeros(keys, kernel.QUOTE_KEY)
    found["time"] = NEVER
    found["mid"] = np.nan
    return found, np.zeros(keys * intervals, kernel.QUOTE_WINDOW)
