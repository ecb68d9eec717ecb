"""What each symbol's bar says to the universes that it is a member of: the way from symbols to `breadth`.

A shard sees only its own symbols, so what is counted over many symbols is re-keyed through the log: for
each bar one row for each universe of its symbol. Universes are ``ALL``, ``sector:NAME`` for each sector of
``instruments`` as of the bar's end, and the lists of symbols in the parameters. Where a watermark row
passes intervals in which a symbol had no bar, one row says so (``has_bar`` false), so that who waits for
the symbol need not.

The direction is that of the close against the previous session's close, as exchanges count advances and
declines, for intraday intervals too. A symbol without a bar in an interval is not counted in it; with
``bars.fill = "forward"`` a quiet symbol has bars, and counts with its last close.
"""

from typing import Any, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator, model_validator

from flows.calendars import Calendars
from flows.columns import Codes, chosen, floats_or_nan, times_ns
from flows.flow import Emit, Emitted, Flow, Input, Order, Params, Rows, Watermarks
from flows.instruments import InstrumentTable
from flows.intervals import SESSION, interval_ns, known_intervals
from flows.kernels import breadth_parts as kernel
from flows.kernels.breadth_parts import UNSET
from flows.kernels.columns import wanted
from flows.keys import KeySlots
from flows.snapshot import pack, unpack
from schemas.arrays import Int64s
from schemas.bars import BARS
from schemas.breadth import BREADTH_PARTS
from schemas.field import TIMESTAMP
from schemas.instruments import INSTRUMENTS
from schemas.sessions import DEFAULT_CALENDAR

ALL = "ALL"
SECTOR = "sector:"
_KEYS = 16


class BreadthPartsParams(Params):
    """Parameters of `BreadthParts`.

    Parameters
    ----------
    intervals : tuple of str
        Intervals of the bars to count.
    universes : dict of str to tuple of str
        Lists of symbols that are counted apart, by name.
    sessions : int
        Sessions that a new high or low is one over; none is told until so many are known.
    calendar : str
        Calendar (exchange_calendars) of the sessions.
    calendars : dict of str to str
        Calendars of symbols that have another.
    max_keys : int
        Bound of the state; one symbol more is an error.
    """

    intervals: tuple[str, ...] = ("1m", "1d")
    universes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    sessions: int = Field(default=252, ge=1, le=2_520)
    calendar: str = DEFAULT_CALENDAR
    calendars: dict[str, str] = Field(default_factory=dict)
    max_keys: int = Field(default=20_000, ge=1)

    _intervals = field_validator("intervals")(known_intervals)

    @field_validator("universes")
    @classmethod
    def _named(cls, universes: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for name, symbols in universes.items():
            if not name or name == ALL or name.startswith(SECTOR):
                raise ValueError(f"universe {name!r}: {ALL} and {SECTOR}… are made by themselves")
            if len(set(symbols)) < len(symbols):
                raise ValueError(f"universe {name!r} names a symbol twice")
        return universes

    @model_validator(mode="after")
    def _of_one_calendar(self) -> Self:
        """Sessions of several calendars do not end together, and would not be one row of a day."""
        for name, symbols in self.universes.items() if SESSION in self.intervals else ():
            found = sorted({self.calendars.get(symbol, self.calendar) for symbol in symbols})
            if len(found) > 1:
                raise ValueError(
                    f"universe {name!r} has symbols of the calendars {', '.join(found)}, whose sessions "
                    f"({SESSION}) end at different times; make a universe for each, or leave {SESSION} out of "
                    "intervals"
                )
        return self


class BreadthParts(Flow):
    """What each symbol's bar says to its universes.

    Parameters
    ----------
    params : BreadthPartsParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "breadth_parts"
    version = 1
    inputs = (Input(topic=INSTRUMENTS, broadcast=True), Input(topic=BARS))
    outputs = (BREADTH_PARTS,)
    order = Order.ARRIVAL
    params_type = BreadthPartsParams

    def __init__(self, params: BreadthPartsParams, snapshot: bytes | None) -> None:
        self._params = params
        self._intervals = Codes(params.intervals)
        self._interval_names = pa.array(params.intervals, pa.string())
        self._lengths = np.array([interval_ns(one) for one in params.intervals], np.int64)
        self._calendars = Calendars(params.calendar, params.calendars)
        head, arrays = unpack(snapshot, self.name, self.version) if snapshot else ({}, {})
        self._keys = KeySlots(head.get("keys", []), params.max_keys)
        self._instruments = InstrumentTable(head.get("instruments"))
        self._sectors = _Sectors(self._instruments)
        self._lists = _Lists(params.universes)
        self._whole, self._numbers, self._kept = self._fresh(_KEYS)
        if arrays:
            self._make_room()
            for name, state in (("whole", self._whole), ("numbers", self._numbers)):
                state[: len(arrays[name])] = arrays[name]
            self._kept[: len(arrays["kept"])] = arrays["kept"]

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take instruments in; of bars give what each says to the universes of its symbol, in order."""
        at, given = rows.only
        if self.inputs[at].broadcast:
            self._instruments.take(given.batch)
            return []
        batch = given.batch
        used, intervals = wanted(self._intervals.of(batch.column("interval")))
        if len(used) == 0:
            return []
        keys = self._keys.of(batch.column("symbol"), used)
        self._make_room()
        of_key, *sessions = self._calendars.of(self._keys.keys)
        ends = times_ns(batch.column("ts_event"))[used]
        directions, new_highs, new_lows = kernel.add_bars(
            keys * len(self._lengths) + intervals,
            (of_key[keys], *sessions),
            (times_ns(batch.column("ts_start"))[used], ends),
            tuple(floats_or_nan(batch.column(name))[used] for name in ("high", "low", "close")),
            self._whole,
            self._numbers,
            self._kept,
        )
        parts = {
            "has_bar": np.ones(len(used), np.bool_),
            "direction": pa.array(directions, mask=directions == kernel.UNKNOWN),
            "is_new_high": new_highs,
            "is_new_low": new_lows,
            "close": batch.column("close").take(pa.array(used)),
            "volume": batch.column("volume").take(pa.array(used)),
        }
        return self._emitted(keys, intervals, ends, parts)

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Say which intervals symbols have passed without a bar."""
        if self.inputs[watermarks.input].broadcast:
            return []
        slots = np.array([self._keys.slot(key) for key in watermarks.keys], np.int64)
        self._make_room()
        of_key, *sessions = self._calendars.of(self._keys.keys)
        rows, intervals, ends = kernel.pass_time(
            slots, watermarks.times, self._lengths, (of_key[slots], *sessions), self._whole
        )
        count = len(rows)
        nothing = np.zeros(count, np.bool_)
        parts = {
            "has_bar": nothing,
            "direction": pa.nulls(count, pa.int32()),
            "is_new_high": nothing,
            "is_new_low": nothing,
            "close": pa.nulls(count, pa.float64()),
            "volume": np.zeros(count),
        }
        return self._emitted(slots[rows], intervals, ends, parts)

    def snapshot(self) -> bytes:
        """Symbols in order of slot, instruments, and the state of each symbol and interval."""
        used = len(self._keys) * len(self._lengths)
        head = {"keys": self._keys.keys, "instruments": self._instruments.saved()}
        arrays = {"whole": self._whole, "numbers": self._numbers, "kept": self._kept}
        return pack(
            self.name, self.version, head, {name: array[:used] for name, array in arrays.items()}
        )

    def _fresh(self, keys: int) -> tuple[Any, Any, Any]:
        slots = keys * len(self._lengths)
        whole = np.zeros((slots, kernel.WHOLE), np.int64)
        whole[:, [kernel.SESSION, kernel.LAST_END]] = UNSET
        numbers = np.full((slots, kernel.NUMBERS), np.nan)
        return whole, numbers, np.zeros((slots, 2, self._params.sessions))

    def _make_room(self) -> None:
        if len(self._keys) * len(self._lengths) <= len(self._whole):
            return
        whole, numbers, kept = self._fresh(2 * len(self._keys))
        used = len(self._whole)
        whole[:used], numbers[:used], kept[:used] = self._whole, self._numbers, self._kept
        self._whole, self._numbers, self._kept = whole, numbers, kept

    def _emitted(
        self, keys: Int64s, intervals: Int64s, ends: Int64s, parts: dict[str, Any]
    ) -> list[Emitted]:
        """One row for each of the rows given and each universe of its symbol at its end."""
        if len(keys) == 0:
            return []
        at_time = self._instruments.rows_at(self._keys.keys, keys, ends)
        lists = self._lists.of(self._keys.keys)[keys]
        sectors, names = self._sectors.of(at_time)
        offset = 1 + len(self._lists.names)
        universes = np.column_stack(
            [np.zeros(len(keys), np.int64), lists, np.where(sectors < 0, -1, sectors + offset)]
        )
        row, place = np.nonzero(universes >= 0)
        dictionary = pa.array([ALL, *self._lists.names, *(SECTOR + name for name in names)])
        columns = {
            "universe": chosen(dictionary, _codes(universes[row, place])),
            "interval": chosen(self._interval_names, _codes(intervals[row])),
            "ts_event": pa.array(ends[row]).view(TIMESTAMP),
            "symbol": self._keys.column(_codes(keys[row])),
        }
        take = pa.array(row)
        columns |= {name: pa.array(values).take(take) for name, values in parts.items()}
        return [Emit(topic=BREADTH_PARTS, batch=BREADTH_PARTS.batch(columns))]


def _codes(values: Int64s) -> pa.Array:
    return pa.array(values.astype(np.int32))


class _Lists:
    """Which of the named lists each symbol is on."""

    def __init__(self, universes: dict[str, tuple[str, ...]]) -> None:
        self.names = list(universes)
        self._of_symbol: dict[str, list[int]] = {}
        for number, symbols in enumerate(universes.values()):
            for symbol in symbols:
                self._of_symbol.setdefault(symbol, []).append(number + 1)
        self._width = max((len(found) for found in self._of_symbol.values()), default=0)
        self._of_slot = np.empty((0, self._width), np.int64)

    def of(self, symbols: list[str]) -> Int64s:
        """Numbers from 1 of each symbol's lists, in order of slot; -1 where there are no more."""
        if len(self._of_slot) < len(symbols):
            self._of_slot = np.full((len(symbols), self._width), -1, np.int64)
            for slot, symbol in enumerate(symbols):
                found = self._of_symbol.get(symbol, [])
                self._of_slot[slot, : len(found)] = found
        return self._of_slot


class _Sectors:
    """The sectors of a table's rows, numbered anew when the table has changed."""

    def __init__(self, instruments: InstrumentTable) -> None:
        self._instruments = instruments
        self._changes = 0
        self._names: list[str] = []
        self._of_row: Int64s = np.empty(0, np.int64)

    def of(self, rows: Int64s) -> tuple[Int64s, list[str]]:
        """Number of the sector of each row of the table, -1 for none, and the sectors' names."""
        if self._changes != self._instruments.changes:
            self._changes = self._instruments.changes
            sectors = self._instruments.column("sector")
            self._names = sorted({sector for sector in sectors if sector})
            numbers = {name: number for number, name in enumerate(self._names)}
            self._of_row = np.array([numbers.get(sector, -1) for sector in sectors], np.int64)
        return self._of_row[rows], self._names
