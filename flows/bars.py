"""Time bars from trades: open, high, low, close, volume, VWAP and count of each interval and symbol.

A key's frontier is the running maximum of (its rows' ts_event - the topic's lateness) and of its
watermark rows. It is taken over all rows read, the current one included, which is the same as excluding
it: a row's own windows end after its time. A window is closed exactly if its end is not after the
frontier, and is written once, when the frontier passes it.

Which trades count: the sale conditions, as the feed read them, say it for each trade (`updates_last`,
`updates_high_low`, `updates_volume`), as the consolidated tapes do. What opens or closes a bar always
lies in its range. Every trade is in `trade_count`, and opens its windows.

A correction or cancellation is no trade: it opens no window and is never late. Like every row of its key it
moves the frontier.

- **Which trade it means**: of its symbol and venue, the newest kept one whose ``trade_id`` is its
  ``ref_trade_id`` (and whose time is its ``ts_ref``, where it gives one). The ``trade_id`` of a correction is a
  further name of the trade, so that a correction can be corrected by either name. Without a ``ref_trade_id``
  it is the only kept trade at its ``ts_ref`` (for a cancellation: of its price and size too).
- **What it does**: a correction gives the trade another price, size, side and ``updates_*``; its time and its
  place in the log stay. A cancelled trade counts nowhere. Cancelling a corrected trade cancels the trade.
  What is cancelled stays so.
- **Its bars** are computed again from kept trades, in log order. A bar that is open is simply right when it
  closes. Of one written already a row of ``bars_revised`` tells the new and the old values, if they differ.
  A late trade is corrected only in the windows that it entered.
- **A bar whose trades are all cancelled** is written, or revised to, count 0 and null prices, whether it was
  open or not. The 1d bar is like any other: within its session it is still open.
- **Filled bars are not revised**: they hold the close that was known. Those written after a correction take
  the corrected close (null where the session has none any more); where that is one of a trade not kept, the
  correction cannot be applied.
- **Where it cannot be applied**, wholly, nothing is: a row of ``corrections_unapplied`` tells why. A replay
  with a longer horizon, more memory or more trades kept (`BarsParams`) applies it.
"""

from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from flows.bars_corrected import REASONS, revised_bars, unapplied
from flows.columns import Codes, chosen, columns, float_columns, text_column, times_ns
from flows.flow import Emit, Emitted, Flow, Input, InputRows, Late, Order, Params, Rows, Watermarks
from flows.intervals import SESSION, interval_ns, known_intervals
from flows.kernels import bars as kernel
from flows.kernels.bar_state import LATE, SNAPSHOT_LAYOUT, BarState, Spec, Written
from flows.kernels.columns import bar_columns
from flows.kernels.kept_trades import BLOCK, KeptTrades
from flows.keys import KeySlots
from flows.snapshot import pack, unpack
from schemas.bars import BARS, BARS_REVISED
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
        "trade_id",
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
_NAMED = ("venue", "trade_id", "ref_trade_id", "ts_ref")

# In the order of the codes of `flows.kernels.bar_windows`.
_SIDES = ("buy", "sell")
_ACTIONS = ("new", "correct", "cancel")


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
    keep_trades : {"named", "all", "none"}
        Which trades are kept so that they can be corrected: those with a trade_id; all, so that a correction
        can also refer by ts_ref alone; none. A trade that is not kept costs nothing, and the bars that it
        is in cannot be computed again.
    correction_horizon : str
        How long after a trade, in its symbol's time, it can be corrected: 1d is until its session ends.
    max_kept_trades : int
        Most trades that are kept of a symbol (64 bytes each); beyond, the oldest leave.
    max_keys : int
        Bound of the state; one symbol (or venue) more is an error.
    """

    intervals: tuple[str, ...] = ("1s", "1m", "5m", "1h", "1d")
    calendar: str = DEFAULT_CALENDAR
    calendars: dict[str, str] = Field(default_factory=dict)
    fill: Literal["none", "forward"] = "none"
    fill_limit: int = Field(default=600, ge=1)
    keep_trades: Literal["named", "all", "none"] = "named"
    correction_horizon: str = SESSION
    # A day of the most traded US stocks.
    max_kept_trades: int = Field(default=1_000_000, ge=1)
    max_keys: int = Field(default=20_000, ge=1)

    _intervals = field_validator("intervals")(known_intervals)

    @field_validator("correction_horizon")
    @classmethod
    def _known_horizon(cls, horizon: str) -> str:
        interval_ns(horizon)
        return horizon


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
    outputs = (BARS, BARS_REVISED, CORRECTIONS_UNAPPLIED)
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
        self._limits = (
            params.max_kept_trades,
            interval_ns(params.correction_horizon),
            params.keep_trades == "all",
            params.keep_trades == "none",
        )
        self._sides = Codes(_SIDES)
        self._actions = Codes(_ACTIONS)
        head, arrays = unpack(snapshot, self.name, SNAPSHOT_LAYOUT) if snapshot else ({}, {})
        self._keys = KeySlots(head.get("keys", []), params.max_keys)
        self._venues = KeySlots(head.get("venues", []), params.max_keys)
        self._ready = len(self._keys)
        if arrays:
            self._state = BarState.resumed(arrays, self._spec)
            self._kept = KeptTrades.resumed(self._state.room, arrays)
        else:
            self._state = BarState(_KEYS, self._spec)
            self._kept = KeptTrades(_KEYS)

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take trades and corrections in; give the bars that they close or revise, and late rows."""
        given = rows.only[1]
        batch = given.batch
        (trade_id, symbol, ts_event, price, size, side, action, *updates) = map(batch.column, _READ)
        actions = self._actions.of(action)
        columns_of_trades: tuple[Any, ...] = (
            self._keys.of(symbol),
            times_ns(ts_event),
            price.to_numpy(),
            size.to_numpy(),
            self._sides.of(side),
            actions,
            *(column.to_numpy(zero_copy_only=False) for column in updates),
            self._limits,
            self._spec.arguments,
            self._written.arguments,
        )
        self._make_room()
        named = self._named(batch) if self._keeps(trade_id) else None
        emitted: list[Emitted] = []
        row = 0
        while row < batch.num_rows:
            state = self._state.arguments
            keeping = (None, None, None) if named is None else (named, *self._keeping())
            row = kernel.add_trades(row, *columns_of_trades, *(state, *keeping))
            emitted += self._take_written(given)
            if row < batch.num_rows and named is None and actions[row] and not self._limits[3]:
                named = self._named(batch)
        return emitted

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Close the windows that end up to each key's time; give their bars."""
        slots = np.array([self._keys.slot(key) for key in watermarks.keys], dtype=np.int64)
        self._make_room()
        emitted: list[Emitted] = []
        row = 0
        horizon = self._limits[1]
        kept = self._kept.arguments if self._kept.used else None
        places = (self._spec.arguments, self._state.arguments, kept, self._written.arguments)
        while row < len(slots):
            row = kernel.pass_time(row, slots, watermarks.times, horizon, *places)
            emitted += self._take_written(None)
        return emitted

    def snapshot(self) -> bytes:
        """Keys and venues in order of slot, the state arrays of as many, and the kept trades."""
        head = {"keys": self._keys.keys, "venues": self._venues.keys}
        arrays = self._state.snapshot(len(self._keys)) | self._kept.snapshot(len(self._keys))
        return pack(self.name, SNAPSHOT_LAYOUT, head, arrays)

    def _keeps(self, trade_id: pa.Array) -> bool:
        # Until the first trade with a name, and the first correction, nothing need be kept or computed again.
        if self._params.keep_trades == "named":
            return self._kept.used or bool(trade_id.null_count < len(trade_id))
        return self._params.keep_trades == "all"

    def _named(self, batch: pa.RecordBatch) -> tuple[Any, ...]:
        # What the kernel needs to keep trades and to find them again.
        venue, trade_id, ref_trade_id, ts_ref = map(batch.column, _NAMED)
        if ts_ref.null_count == len(ts_ref):
            told = np.zeros(len(ts_ref), dtype=np.bool_)
        else:
            told = ts_ref.is_valid().to_numpy(zero_copy_only=False)
        return (
            self._venues.of(venue),
            *text_column(trade_id),
            *text_column(ref_trade_id),
            times_ns(ts_ref),
            told,
        )

    def _keeping(self) -> tuple[Any, Any]:
        # A correction needs a block more at most, and one trade no more than one.
        self._kept.make_room(self._state.room, 2 + len(self._params.intervals) // BLOCK)
        return (self._kept.arguments, self._written.revised)

    def _make_room(self) -> None:
        known = len(self._keys)
        if known == self._ready:
            return
        if known > self._state.room:
            self._state = self._state.grown(2 * known, self._spec)
            self._kept.make_room(self._state.room, 0)
        for slot in range(self._ready, known):
            calendar = self._params.calendars.get(self._keys.keys[slot], self._params.calendar)
            self._state.keys[slot]["calendar"] = self._calendars.index(calendar)
        self._ready = known

    def _take_written(self, given: InputRows | None) -> list[Emitted]:
        written = self._written
        bars, late, corrections, revised = written.counts.tolist()
        emitted: list[Emitted] = []
        if bars:
            emitted.append(Emit(topic=BARS, batch=self._bars(bars)))
        if late:
            emitted.append(self._late(late))
        if revised and given is not None:
            emitted.append(revised_bars(written, revised, given, self._keys, self._interval_names))
        if corrections and given is not None:
            told = written.corrections[:corrections]
            numbers = told["reason"].astype(np.int32)
            emitted.append(unapplied(self.name, given, told["row"].copy(), REASONS, numbers))
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
