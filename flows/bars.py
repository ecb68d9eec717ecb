"""Time bars from trades: open, high, low, close, volume, VWAP and count of each interval and symbol.

A key's frontier is the running maximum of (its rows' ts_event - the topic's lateness) and of its
watermark rows. It is taken over all rows read, the current one included, which is the same as excluding
it: a row's own windows end after its time. A window is closed exactly if its end is not after the
frontier, and is written once, when the frontier passes it.

Which trades count: the sale conditions, as the feed read them, say it for each trade (`updates_last`,
`updates_high_low`, `updates_volume`), as the consolidated tapes do. What opens or closes a bar always
lies in its range. Every trade is in `trade_count`, and opens its windows.

A correction or cancellation opens no window and is never late. Like every row of its key it moves the
frontier. No trade is kept that it could change, so it goes to ``corrections_unapplied``.
"""

from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from flows.columns import Codes, chosen, columns, float_columns, times_ns
from flows.flow import Emit, Emitted, Flow, Input, InputRows, Late, Order, Params, Rows, Watermarks
from flows.intervals import interval_ns, known_intervals
from flows.kernels import bars as kernel
from flows.kernels.bar_state import LATE, SNAPSHOT_LAYOUT, BarState, Spec, Written
from flows.kernels.columns import bar_columns
from flows.keys import KeySlots
from flows.snapshot import pack, unpack
from schemas.bars import BARS
from schemas.faults import CORRECTIONS_UNAPPLIED
from schemas.field import INT32, INT64, TIMESTAMP
from schemas.market import TRADES
from schemas.sessions import DEFAULT_CALENDAR

# What one pass of the kernel can write before it is taken away; enough for most batches.
_ROOM = 8192

# Keys that there is room for from the start.
_KEYS = 64

# Columns that are read, found once: looking a name up costs more than taking the column.
_READ = tuple(
    TRADES.schema.get_field_index(name)
    for name in (
        "symbol",
        "ts_event",
        "price",
        "size",
        "side",
        "action",
        "updates_high_low",
        "updates_last",
        "updates_volume",
    )
)

_SIDES = ("buy", "sell")
_ACTIONS = ("new",)
# What the kernel takes for an aggressor that buys, one that sells, and a trade that is new.
_CODES = (_SIDES.index("buy"), _SIDES.index("sell"), _ACTIONS.index("new"))
_UNAPPLIED = "bars do not apply corrections: the trades of a bar are not kept"


class BarsParams(Params):
    """Parameters of `Bars`.

    Parameters
    ----------
    intervals : tuple of str
        A number and s, m or h on the UTC grid, or 1d for the calendar's session.
    calendar : str
        Calendar (exchange_calendars) whose sessions are the 1d bars.
    calendars : dict of str to str
        Calendars of symbols that have another.
    fill : {"none", "forward"}
        Whether empty windows (not of 1d) that follow a bar get a bar too, when the frontier passes their end:
        all prices the last close of the interval in the same session, volume and count 0. So bars go on
        after the last trade, until the session's end or the limit, and none is behind a watermark row.
    fill_limit : int
        Longest run of such bars; of a longer gap, the rest stays empty. Each symbol and interval can have
        as many at once when a session ends.
    max_keys : int
        Bound of the state; one symbol more is an error.
    """

    intervals: tuple[str, ...] = ("1s", "1m", "5m", "1h", "1d")
    calendar: str = DEFAULT_CALENDAR
    calendars: dict[str, str] = Field(default_factory=dict)
    fill: Literal["none", "forward"] = "none"
    fill_limit: int = Field(default=600, ge=1)
    max_keys: int = Field(default=20_000, ge=1)

    _intervals = field_validator("intervals")(known_intervals)


class Bars(Flow):
    """Time bars from trades.

    Parameters
    ----------
    params : BarsParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "bars"
    version = 1
    inputs = (Input(topic=TRADES),)
    outputs = (BARS, CORRECTIONS_UNAPPLIED)
    order = Order.SINGLE
    params_type = BarsParams

    def __init__(self, params: BarsParams, snapshot: bytes | None) -> None:
        self._params = params
        self._calendars = list(dict.fromkeys([params.calendar, *params.calendars.values()]))
        self._spec = Spec(
            [interval_ns(interval) for interval in params.intervals],
            self._calendars,
            lateness_ns=self.inputs[0].topic.lateness_ns,
            fill_limit=params.fill_limit if params.fill == "forward" else 0,
        )
        self._interval_names = pa.array(params.intervals, pa.string())
        self._written = Written(max(_ROOM, len(params.intervals)))
        self._sides = Codes(_SIDES)
        self._actions = Codes(_ACTIONS)
        head, arrays = unpack(snapshot, self.name, SNAPSHOT_LAYOUT) if snapshot else ({}, {})
        self._keys = KeySlots(head.get("keys", []), params.max_keys)
        self._ready = len(self._keys)
        if arrays:
            self._state = BarState.resumed(arrays, self._spec)
        else:
            self._state = BarState(_KEYS, self._spec)

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take trades in; give the bars that they close, late rows and corrections."""
        given = rows.only[1]
        batch = given.batch
        (symbol, ts_event, price, size, side, action, *updates) = map(batch.column, _READ)
        columns_of_trades = (
            self._keys.of(symbol),
            times_ns(ts_event),
            price.to_numpy(),
            size.to_numpy(),
            self._sides.of(side),
            self._actions.of(action),
            *(column.to_numpy(zero_copy_only=False) for column in updates),
        )
        self._make_room()
        arguments = (*columns_of_trades, _CODES, *self._places)
        emitted: list[Emitted] = []
        row = 0
        while row < batch.num_rows:
            row = kernel.add_trades(row, *arguments)
            emitted += self._take_written(given)
        return emitted

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Close the windows that end up to each key's time; give their bars."""
        slots = np.array([self._keys.slot(key) for key in watermarks.keys], dtype=np.int64)
        self._make_room()
        emitted: list[Emitted] = []
        row = 0
        while row < len(slots):
            row = kernel.pass_time(row, slots, watermarks.times, *self._places)
            emitted += self._take_written(None)
        return emitted

    def snapshot(self) -> bytes:
        """Keys in order of slot, and the state arrays of as many."""
        arrays = self._state.snapshot(len(self._keys))
        return pack(self.name, SNAPSHOT_LAYOUT, {"keys": self._keys.keys}, arrays)

    @property
    def _places(self) -> tuple[Any, Any, Any]:
        return (self._spec.arguments, self._state.arguments, self._written.arguments)

    def _make_room(self) -> None:
        known = len(self._keys)
        if known == self._ready:
            return
        if known > self._state.room:
            self._state = self._state.grown(2 * known, self._spec)
        for slot in range(self._ready, known):
            calendar = self._params.calendars.get(self._keys.keys[slot], self._params.calendar)
            self._state.keys[slot]["calendar"] = self._calendars.index(calendar)
        self._ready = known

    def _take_written(self, given: InputRows | None) -> list[Emitted]:
        written = self._written
        bars, late, corrections = written.counts.tolist()
        emitted: list[Emitted] = []
        if bars:
            emitted.append(Emit(topic=BARS, batch=self._bars(bars)))
        if late:
            emitted.append(self._late(late))
        if corrections and given is not None:
            emitted.append(_unapplied(given, written.corrections[:corrections]))
        written.counts[:] = 0
        return emitted

    def _bars(self, count: int) -> pa.RecordBatch:
        # Copies: the kernel writes into the room again.
        codes, integers, numbers, undefined, bitmap = bar_columns(self._written.bars, count)
        keys, intervals = columns((INT32, INT32), codes)
        ends, starts, counts = columns((TIMESTAMP, TIMESTAMP, INT64), integers)
        opening, high, low, close, volume, vwap, buy, sell = float_columns(
            numbers, undefined, bitmap
        )
        return pa.RecordBatch.from_arrays(
            [
                self._keys.column(keys),
                chosen(self._interval_names, intervals),
                ends,
                starts,
                opening,
                high,
                low,
                close,
                volume,
                counts,
                vwap,
                buy,
                sell,
            ],
            schema=BARS.schema,
        )

    def _late(self, count: int) -> Late:
        late = {name: self._written.late[name][:count].copy() for name in LATE.names or ()}
        labels = np.array(self._params.intervals, dtype=object)
        return Late(
            input=0,
            index=late["row"],
            window=labels[late["interval"]].tolist(),
            window_end=late["end"],
            frontier=late["frontier"],
            used=late["used"] > 0,
        )


def _unapplied(given: InputRows, index: np.ndarray) -> Emit:
    count = len(index)
    taken = pa.array(index)
    batch = CORRECTIONS_UNAPPLIED.batch(
        {
            "symbol": given.batch.column("symbol").take(taken),
            "ts_event": given.batch.column("ts_event").take(taken),
            "source_partition": np.full(count, given.partition, dtype=np.int32),
            "source_offset": given.offset[index],
            "source_row": given.row[index],
            "reason": chosen(pa.array([_UNAPPLIED]), pa.array(np.zeros(count, dtype=np.int32))),
        }
    )
    return Emit(topic=CORRECTIONS_UNAPPLIED, batch=batch)
