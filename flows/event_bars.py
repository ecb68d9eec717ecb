"""Event bars from trades: tick, volume, dollar bars, and the imbalance bars of each.

Definitions after M. López de Prado, Advances in Financial Machine Learning (Wiley, 2018), chapter 2. A trade's
*quantity* is 1 for tick bars, its size for volume bars, price times size for dollar bars, where its conditions
let it count in volume, else none. Its *sign* is 1 for a buy, -1 for a sell: the aggressor's side, where the
source tells it and `signs` is side; else by the tick rule, the sign of the last change of price among trades
that set the last price (0 until there is one).

- ``tick_N``, ``volume_N``, ``dollar_N`` end with the trade at which the sum of quantities reaches N. No trade
  is split, and what is beyond N is not carried over.
- ``tick_imbalance_N`` and so on end with the trade at which the absolute sum of signed quantities reaches the
  threshold, E[ticks] * abs(E[signed quantity]), both as they were when the bar began. E[ticks] is an
  exponential mean of the lengths of complete bars, N at first (`span_bars`), kept within N / `bound` and
  N * `bound`; E[signed quantity] one over trades from the symbol's first on (`span_ticks`). The first bar has
  N ticks. A mean's weight of the newest is 2 / (span + 1).

Prices, range, count and VWAP are those of the flow `bars`. A bar that is open when its symbol's session ends
is written as it is, not complete; `across_sessions` lets bars go on. A trade of an ended session is late. A
correction or cancellation moves the frontier only, and is told in ``corrections_unapplied``.
"""

import re
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from flows.bars_corrected import unapplied
from flows.calendars import Calendars
from flows.columns import Codes, chosen, times_ns
from flows.flow import Emit, Emitted, Flow, Input, Late, Order, Params, Rows, Watermarks
from flows.kernels import event_bars as kernel
from flows.kernels.bar_state import LATE, NEVER
from flows.keys import KeySlots
from flows.snapshot import pack, unpack
from schemas.event_bars import EVENT_BARS
from schemas.faults import CORRECTIONS_UNAPPLIED
from schemas.field import TIMESTAMP
from schemas.market import TRADES
from schemas.sessions import DEFAULT_CALENDAR

_ROOM = 4096
_KEYS = 64
_KINDS = ("tick", "volume", "dollar")
_LABEL = re.compile(r"(tick|volume|dollar)(_imbalance)?_([0-9]{1,15}(?:\.[0-9]{1,9})?)")
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
_REASONS = ("event bars are not computed again",)


class EventBarsParams(Params):
    """Parameters of `EventBars`.

    Parameters
    ----------
    bars : tuple of str
        Which bars: see the module.
    signs : {"side", "tick_rule"}
        Whether the aggressor's side is used where the source tells it, or the tick rule always.
    span_bars, span_ticks : int
        Of the exponential means that imbalance bars expect by.
    bound : float
        How many times more or fewer ticks than at first an imbalance bar may be expected to have.
    across_sessions : bool
        Whether bars go on when a session ends.
    calendar : str
        Calendar (exchange_calendars) of the sessions.
    calendars : dict of str to str
        Calendars of symbols that have another.
    max_keys : int
        Bound of the state; one symbol more is an error.
    """

    bars: tuple[str, ...] = (
        "tick_1000",
        "volume_100000",
        "dollar_1000000",
        "tick_imbalance_1000",
        "volume_imbalance_1000",
        "dollar_imbalance_1000",
    )
    signs: Literal["side", "tick_rule"] = "side"
    span_bars: int = Field(default=20, ge=1)
    span_ticks: int = Field(default=1_000, ge=1)
    bound: float = Field(default=10.0, ge=1, allow_inf_nan=False)
    across_sessions: bool = False
    calendar: str = DEFAULT_CALENDAR
    calendars: dict[str, str] = Field(default_factory=dict)
    max_keys: int = Field(default=20_000, ge=1)

    @field_validator("bars")
    @classmethod
    def _known(cls, bars: tuple[str, ...]) -> tuple[str, ...]:
        if not bars or len(set(bars)) < len(bars):
            raise ValueError("each bar once, and at least one, such as tick_1000")
        for bar in bars:
            found = _LABEL.fullmatch(bar)
            if found is None or not float(found[3]):
                raise ValueError(
                    f"bar {bar!r} is not known; write tick, volume or dollar, _imbalance or not, and a number "
                    "above 0 (as in volume_10000, tick_imbalance_100)"
                )
        return bars


class EventBars(Flow):
    """Bars that end when enough has been traded.

    Parameters
    ----------
    params : EventBarsParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "event_bars"
    version = 1
    inputs = (Input(topic=TRADES),)
    outputs = (EVENT_BARS, CORRECTIONS_UNAPPLIED)
    order = Order.SINGLE
    params_type = EventBarsParams

    def __init__(self, params: EventBarsParams, snapshot: bytes | None) -> None:
        self._params = params
        self._labels = pa.array(params.bars, pa.string())
        parts = [_LABEL.fullmatch(bar) for bar in params.bars]
        found = [part for part in parts if part is not None]
        self._spec = (
            np.array([_KINDS.index(part[1]) for part in found], dtype=np.int64),
            np.array([part[2] is not None for part in found]),
            np.array([float(part[3]) for part in found]),
            (2 / (params.span_bars + 1), 2 / (params.span_ticks + 1), params.bound),
            params.signs == "side",
            not params.across_sessions,
        )
        self._calendars = Calendars(params.calendar, params.calendars)
        self._sides = Codes(("buy", "sell"))
        self._actions = Codes(("new", "correct", "cancel"))
        self._out = (
            np.empty(max(_ROOM, 2 * len(found)), kernel.EVENT_BAR),
            np.empty(max(_ROOM, 2 * len(found)), kernel.EVENT_STATE),
            np.empty(_ROOM, LATE),
            np.zeros(2, dtype=np.int64),
        )
        head, arrays = unpack(snapshot, self.name, self.version) if snapshot else ({}, {})
        self._keys = KeySlots(head.get("keys", []), params.max_keys)
        self._state = _state(_KEYS, len(found))
        self._ready = 0
        self._arguments: tuple[Any, ...] = ()
        self._make_room()
        for name, own in zip(("keys", "states"), self._state, strict=True):
            if arrays:
                own.view(np.int64)[: arrays[name].size] = arrays[name]

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take trades in; give the bars that end, late rows and corrections."""
        given = rows.only[1]
        (symbol, ts_event, price, size, side, action, *updates) = map(given.batch.column, _READ)
        actions = self._actions.of(action)
        columns_of_trades: tuple[Any, ...] = (
            self._keys.of(symbol),
            times_ns(ts_event),
            price.to_numpy(),
            size.to_numpy(),
            self._sides.of(side),
            actions,
            *(column.to_numpy(zero_copy_only=False) for column in updates),
        )
        self._make_room()
        emitted: list[Emitted] = []
        row = 0
        while row < given.batch.num_rows:
            row = kernel.add_to_event_bars(row, *columns_of_trades, *self._arguments)
            emitted += self._take_written()
        corrections = np.flatnonzero(actions)
        if len(corrections):
            numbers = np.zeros(len(corrections), dtype=np.int32)
            emitted.append(unapplied(self.name, given, corrections, _REASONS, numbers))
        return emitted

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Cut the bars of the sessions that end up to each key's time."""
        slots = np.array([self._keys.slot(key) for key in watermarks.keys], dtype=np.int64)
        self._make_room()
        emitted: list[Emitted] = []
        row = 0
        while row < len(slots):
            row = kernel.pass_event_time(row, slots, watermarks.times, *self._arguments)
            emitted += self._take_written()
        return emitted

    def snapshot(self) -> bytes:
        """Keys in order of slot, and the state arrays of as many."""
        keys, states = self._state
        arrays = {
            "keys": keys[: len(self._keys)].view(np.int64),
            "states": states[: len(self._keys) * len(self._labels)].view(np.int64),
        }
        return pack(self.name, self.version, {"keys": self._keys.keys}, arrays)

    def _make_room(self) -> None:
        known = len(self._keys)
        if known == self._ready and self._arguments:
            return
        if known > len(self._state[0]):
            bigger = _state(2 * known, len(self._labels))
            for old, new in zip(self._state, bigger, strict=True):
                new[: len(old)] = old
            self._state = bigger
        calendars, starts, bounds = self._calendars.of(self._keys.keys)
        self._state[0]["calendar"][:known] = calendars[:known]
        self._ready = known
        self._arguments = ((*self._spec, starts, bounds), self._state, self._out)

    def _take_written(self) -> list[Emitted]:
        bars, ended, late, counts = self._out
        count, missed = counts.tolist()
        emitted: list[Emitted] = []
        if count:
            emitted.append(Emit(topic=EVENT_BARS, batch=self._bars(bars[:count], ended[:count])))
        if missed:
            told = late[:missed].copy()
            emitted.append(
                Late(
                    input=0,
                    index=told["row"],
                    window=["session"] * missed,
                    window_end=told["end"],
                    frontier=told["frontier"],
                    used=np.zeros(missed, dtype=np.bool_),
                )
            )
        counts[:] = 0
        return emitted

    def _bars(self, bars: Any, ended: Any) -> pa.RecordBatch:
        def floats(name: str) -> pa.Array:
            return pa.array(ended[name].copy(), from_pandas=True)

        def times(values: Any) -> pa.Array:
            return pa.array(values.copy()).cast(TIMESTAMP)

        volume = ended["volume"]
        with np.errstate(divide="ignore", invalid="ignore"):
            vwap = np.where(volume > 0, ended["turnover"] / volume, np.nan)
        return pa.RecordBatch.from_arrays(
            [
                self._keys.column(pa.array(bars["key"].astype(np.int32))),
                chosen(self._labels, pa.array(bars["label"].astype(np.int32))),
                pa.array(ended["number"].copy()),
                times(bars["event"]),
                times(ended["start"]),
                times(ended["end"]),
                *map(floats, ("open", "high", "low", "close", "volume")),
                pa.array(ended["count"].copy()),
                pa.array(vwap, from_pandas=True),
                *map(floats, ("buy", "sell", "turnover", "imbalance", "threshold")),
                pa.array(bars["complete"] > 0),
            ],
            schema=EVENT_BARS.schema,
        )


def _state(keys: int, labels: int) -> tuple[Any, Any]:
    found = np.zeros(keys, kernel.EVENT_KEY)
    found["newest"] = NEVER
    found["session_end"] = NEVER
    found["price"] = np.nan
    states = np.zeros(keys * labels, kernel.EVENT_STATE)
    states["expected_signed"] = np.nan
    return found, states
