"""Breadth of universes: advances, declines, new highs and lows, up and down volume of each interval.

Counted from ``breadth_parts``. Symbols have no time in common: each one's own frontier says how far it is. A
row of a universe and interval is written when every fresh member has passed the interval's end, by a bar
or by a watermark row. A member is known from its first bar (of any interval) on, and fresh unless it is more
than the patience behind the newest one: who has ended, or is fed later, holds nobody up for longer. A bar
that comes behind the row counts all the same and gives a further row, one ``revision`` higher, up to
``horizon`` intervals behind the newest; what comes later still is in ``late``. So each row says how many
symbols it counts (``members``), and the highest revision of an interval is the same whatever the order in
which symbols were fed and however many partitions there are: its counts and sums do not hang on order.

A universe that is named must hold symbols of one calendar (`breadth_parts` refuses another). In ``ALL`` and in
sectors, sessions that end on one UTC day are counted as one, at the latest end that has come by then, so that with
several calendars the time of a revision hangs on the order of feeding.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from flows.columns import Codes, chosen, times_ns
from flows.flow import Emit, Emitted, Flow, Input, Late, Order, Params, Rows, Watermarks
from flows.intervals import SESSION, interval_ns, known_intervals
from flows.kernels import breadth_windows as kernel
from flows.kernels.breadth_parts import UNKNOWN, UNSET
from flows.kernels.columns import wanted
from flows.keys import KeySlots
from flows.snapshot import pack, unpack
from schemas.arrays import Floats, Int64s
from schemas.breadth import BREADTH, BREADTH_PARTS
from schemas.field import TIMESTAMP
from schemas.sessions import DAY_NS

_LATE = "the interval lies more than the horizon behind the universe's newest"
_UNIVERSES = 4
_SYMBOLS = 16
_COUNTS = {
    "revision": kernel.REVISION,
    "members": kernel.MEMBERS,
    "advances": kernel.ADVANCES,
    "declines": kernel.DECLINES,
    "unchanged": kernel.UNCHANGED,
    "new_highs": kernel.NEW_HIGHS,
    "new_lows": kernel.NEW_LOWS,
}


class BreadthParams(Params):
    """Parameters of `Breadth`.

    Parameters
    ----------
    intervals : tuple of str
        Intervals to count.
    patience, patience_days : int
        For how many intervals a member that says nothing holds the others up; for how many days, for 1d.
    horizon : int
        How many intervals (days, for 1d) behind the newest a bar still counts.
    max_universes, max_keys : int
        Bounds of the state; one universe or symbol more is an error.
    """

    intervals: tuple[str, ...] = ("1m", "1d")
    patience: int = Field(default=15, ge=1)
    patience_days: int = Field(default=4, ge=1)
    horizon: int = Field(default=1_024, ge=2)
    max_universes: int = Field(default=256, ge=1)
    max_keys: int = Field(default=20_000, ge=1)

    _intervals = field_validator("intervals")(known_intervals)

    @field_validator("horizon")
    @classmethod
    def _beyond_patience(cls, horizon: int, info: Any) -> int:
        if horizon <= max(info.data.get(name, 0) for name in ("patience", "patience_days")):
            raise ValueError("horizon must be more than patience: what waits must be kept")
        return horizon


class Breadth(Flow):
    """Breadth of universes.

    Parameters
    ----------
    params : BreadthParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "breadth"
    version = 1
    inputs = (Input(topic=BREADTH_PARTS),)
    outputs = (BREADTH,)
    order = Order.SINGLE
    params_type = BreadthParams

    def __init__(self, params: BreadthParams, snapshot: bytes | None) -> None:
        self._params = params
        self._intervals = Codes(params.intervals)
        self._interval_names = pa.array(params.intervals, pa.string())
        self._cells = np.array([interval_ns(one) or DAY_NS for one in params.intervals], np.int64)
        head, arrays = unpack(snapshot, self.name, self.version) if snapshot else ({}, {})
        self._universes = KeySlots(head.get("universes", []), params.max_universes, "max_universes")
        self._symbols = KeySlots(head.get("symbols", []), params.max_keys)
        self._allot(max(_UNIVERSES, len(self._universes)), max(_SYMBOLS, len(self._symbols)))
        if arrays:
            self._fill(arrays["state"], arrays["reached"], arrays["windows"])

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take parts in; give the rows of the intervals that are complete, and revisions."""
        batch = rows.only[1].batch
        used, intervals = wanted(self._intervals.of(batch.column("interval")))
        if len(used) == 0:
            return []
        universes = self._universes.of(batch.column("universe"), used)
        members = self._symbols.of(batch.column("symbol"), used)
        self._make_room()
        times = times_ns(batch.column("ts_event"))[used]
        slots = universes * len(self._cells) + intervals
        written_slots, written, late, frontiers = kernel.add_parts(
            (slots, members, times),
            _parts(batch, used),
            self._grid,
            self._state,
            self._reached,
            self._windows,
        )
        emitted: list[Emitted] = []
        if len(written):
            emitted.append(Emit(topic=BREADTH, batch=self._batch(written_slots, written)))
        if len(late):
            emitted.append(self._late(used[late], slots[late], times[late], frontiers))
        return emitted

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:  # noqa: ARG002 - the contract
        """Time is told by the members' rows: a universe has no frontier of its own."""
        return []

    def snapshot(self) -> bytes:
        """Universes and symbols in order of slot, and the state of each universe and interval."""
        used = len(self._universes) * len(self._cells)
        head = {"universes": self._universes.keys, "symbols": self._symbols.keys}
        arrays = {
            "state": self._state[:used],
            "reached": self._reached[:used, : len(self._symbols)],
            "windows": self._windows[:used],
        }
        return pack(self.name, self.version, head, arrays)

    def _allot(self, universes: int, symbols: int) -> None:
        slots = universes * len(self._cells)
        patience = [
            self._params.patience_days if one == SESSION else self._params.patience
            for one in self._params.intervals
        ]
        self._grid = (self._cells, self._cells * np.array(patience))
        self._state: Int64s = np.full((slots, kernel.STATE), UNSET)
        self._state[:, [kernel.OPEN, kernel.LEAST_MEMBER]] = 0
        self._reached: Int64s = np.full((slots, symbols), UNSET)
        self._windows: Int64s = np.full((slots, self._params.horizon, kernel.WINDOW), UNSET)

    def _fill(self, state: Int64s, reached: Int64s, windows: Int64s) -> None:
        self._state[: len(state)] = state
        self._reached[: len(reached), : reached.shape[1]] = reached
        self._windows[: len(windows)] = windows

    def _make_room(self) -> None:
        universes = len(self._state) // len(self._cells)
        symbols = self._reached.shape[1]
        if len(self._universes) > universes or len(self._symbols) > symbols:
            kept = self._state, self._reached, self._windows
            universes = max(universes, 2 * len(self._universes))
            self._allot(universes, max(symbols, 2 * len(self._symbols)))
            self._fill(*kept)

    def _late(self, index: Int64s, slots: Int64s, times: Int64s, frontiers: Int64s) -> Late:
        universes, intervals = (part.tolist() for part in np.divmod(slots, len(self._cells)))
        return Late(
            input=0,
            index=index,
            window=[
                f"{self._universes.keys[universe]} {self._params.intervals[interval]}"
                for universe, interval in zip(universes, intervals, strict=True)
            ],
            window_end=times,
            frontier=frontiers,
            used=np.zeros(len(index), np.bool_),
            reason=_LATE,
        )

    def _batch(self, slots: Int64s, windows: Int64s) -> pa.RecordBatch:
        universe, interval = np.divmod(slots, len(self._cells))
        counts = {name: windows[:, column] for name, column in _COUNTS.items()}
        up, down = _volume(windows, kernel.UP), _volume(windows, kernel.DOWN)
        with np.errstate(divide="ignore", invalid="ignore"):
            trin = (counts["advances"] / counts["declines"]) / (up / down)
        return BREADTH.batch(
            {
                "universe": self._universes.column(pa.array(universe.astype(np.int32))),
                "interval": chosen(self._interval_names, pa.array(interval.astype(np.int32))),
                "ts_event": pa.array(windows[:, kernel.TIME]).view(TIMESTAMP),
                **counts,
                "net_advances": counts["advances"] - counts["declines"],
                "up_volume": up,
                "down_volume": down,
                "volume": _volume(windows, kernel.VOLUME),
                "trin": pa.array(trin, mask=~np.isfinite(trin)),
            }
        )


def _parts(batch: pa.RecordBatch, used: Int64s) -> tuple[Any, ...]:
    flags = ("has_bar", "is_new_high", "is_new_low")
    has_bar, new_high, new_low = (
        batch.column(name).to_numpy(zero_copy_only=False)[used] for name in flags
    )
    direction = batch.column("direction").fill_null(UNKNOWN).to_numpy()[used]
    return has_bar, direction, new_high, new_low, batch.column("volume").to_numpy()[used]


def _volume(windows: Int64s, column: int) -> Floats:
    found: Floats = windows[:, column] + windows[:, column + 1] / kernel.PARTS
    return found
