"""Scanner: a screener over the latest values of every symbol; saved expressions that tell who matches.

An expression such as ``rsi_14 < 30 and change_1d > 2% and close crosses above sma_50`` is asked after each
bar of its interval. A row says that a symbol has entered, or left. Its criteria are in ``docs/scanner.md``, its
language in `flows.scans.expression`. What is undefined (an indicator that warms up, a symbol without a book)
never matches.

Indicators are computed here, from the same bars by the same kernels as in ``indicators``, and equal its
rows bit for bit. Reading that topic beside ``bars`` would set an evaluation waiting for a row that may never
come, or have it see one stream ahead of the other; so an expression may also name any indicator with any
parameters, whatever is computed for the topic.

Book, breadth and instruments are read as they arrive, and asked as of the bar's end: of what has come by then,
the newest that is not after it. In live trading that is what was known. Where history is fed at full speed,
books may not have come yet, or be gone, and are undefined then; breadth is kept for 1,024 intervals. A replay
follows the same order of arrival.
"""

from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from pydantic import Field, field_validator

from flows.calendars import Calendars
from flows.columns import Codes, chosen, floats_or_nan, times_ns
from flows.flow import Emit, Emitted, Flow, Input, InputRows, Order, Params, Rows, Watermarks
from flows.intervals import interval_ns
from flows.kernels.columns import bars_with_sessions
from flows.kernels.indicators.declaration import BAR_COLUMNS
from flows.keys import KeySlots
from flows.scans.board import Board
from flows.scans.criteria import Origin
from flows.scans.evaluate import compiled, needs
from flows.scans.streams import Streams
from flows.snapshot import pack, unpack
from schemas.arrays import Int64s
from schemas.bars import BARS
from schemas.book import BOOK_TOP
from schemas.breadth import BREADTH
from schemas.instruments import INSTRUMENTS
from schemas.scans import SCANS
from schemas.sessions import DEFAULT_CALENDAR

_STATES = ("entered", "left")


class SavedScan(Params):
    """A saved expression.

    Parameters
    ----------
    expression : str
        See ``docs/scanner.md``.
    interval : str
        Interval of the bars that it is asked of.
    """

    expression: str
    interval: str = "1d"

    @field_validator("interval")
    @classmethod
    def _known(cls, interval: str) -> str:
        interval_ns(interval)
        return interval

    @field_validator("expression")
    @classmethod
    def _usable(cls, expression: str) -> str:
        compiled("", expression)
        return expression


DEFAULT_SCANS = {
    "golden_cross": SavedScan(expression="sma_50 crosses above sma_200"),
    "oversold_in_uptrend": SavedScan(expression="rsi_14 < 30 and close > sma_200"),
    "gap_up_on_volume": SavedScan(expression="gap > 2% and relative_volume_20d > 1.5"),
    "new_year_high": SavedScan(expression="close > high_252d"),
    "burst": SavedScan(expression="relative_volume_20 > 5 and change_5 > 0.5%", interval="1m"),
}


class ScannerParams(Params):
    """Parameters of `Scanner`.

    Parameters
    ----------
    scans : dict of str to SavedScan
        Name to expression.
    calendar : str
        Calendar (exchange_calendars) of the sessions.
    calendars : dict of str to str
        Calendars of symbols that have another.
    book_age_s, breadth_age_s : int
        Seconds after which a book, and breadth, that have not changed count as undefined.
    max_keys, max_universes : int
        Bounds of the state; one symbol or universe (of breadth, at an interval) more is an error.
    """

    scans: dict[str, SavedScan] = Field(default=DEFAULT_SCANS)
    calendar: str = DEFAULT_CALENDAR
    calendars: dict[str, str] = Field(default_factory=dict)
    book_age_s: int = Field(default=300, ge=1)
    breadth_age_s: int = Field(default=345_600, ge=1)
    max_keys: int = Field(default=20_000, ge=1)
    max_universes: int = Field(default=2_048, ge=1)


class Scanner(Flow):
    """Saved expressions over the latest values of every symbol.

    Parameters
    ----------
    params : ScannerParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "scanner"
    version = 1
    inputs = (
        Input(topic=INSTRUMENTS, broadcast=True),
        Input(topic=BREADTH, broadcast=True),
        Input(topic=BOOK_TOP),
        Input(topic=BARS),
    )
    outputs = (SCANS,)
    order = Order.ARRIVAL
    params_type = ScannerParams

    def __init__(self, params: ScannerParams, snapshot: bytes | None) -> None:
        self._params = params
        scans = {name: compiled(name, one.expression) for name, one in params.scans.items()}
        intervals = list(dict.fromkeys(one.interval for one in params.scans.values()))
        self._intervals = Codes(intervals)
        self._boards = {
            interval: Board(
                [scans[n] for n, one in params.scans.items() if one.interval == interval]
            )
            for interval in intervals
        }
        asked = list(scans.values())
        self._asks_book = any(needs(one, Origin.BOOK) for one in asked)
        self._asks_breadth = any(needs(one, Origin.MARKET, Origin.SECTOR) for one in asked)
        self._places = {name: place for place, name in enumerate(scans)}
        self._names = pa.array(list(scans), pa.string())
        self._texts = pa.array([one.text for one in asked], pa.string())
        self._interval_names = pa.array(
            [one.interval for one in params.scans.values()], pa.string()
        )
        self._calendars = Calendars(params.calendar, params.calendars)
        head, arrays = unpack(snapshot, self.name, self.version) if snapshot else ({}, {})
        self._keys = KeySlots(head.get("keys", []), params.max_keys)
        self._streams = Streams(
            self._keys,
            book_age_s=params.book_age_s,
            breadth_age_s=params.breadth_age_s,
            max_universes=params.max_universes,
        )
        if head:
            self._restore(head, arrays)

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Of bars, give who enters and leaves which scan; of other inputs, keep what they say."""
        at, given = rows.only
        topic = self.inputs[at].topic
        if topic is BARS:
            return self._scanned(given)
        if topic is INSTRUMENTS:
            self._streams.take_instruments(given.batch)
        elif topic is BOOK_TOP and self._asks_book:
            self._streams.take_book(given.batch)
        elif topic is BREADTH and self._asks_breadth:
            self._streams.take_breadth(given.batch)
        return []

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:  # noqa: ARG002 - the contract
        """Nothing is open that time could close."""
        return []

    def snapshot(self) -> bytes:
        """Symbols, the streams beside the bars, and the state of every board."""
        head, arrays = self._streams.saved()
        for interval, board in self._boards.items():
            saved = board.saved(len(self._keys))
            arrays |= {f"{interval}.{name}": state for name, state in saved.items()}
        return pack(self.name, self.version, {"keys": self._keys.keys, **head}, arrays)

    def _restore(self, head: dict[str, Any], arrays: dict[str, Any]) -> None:
        self._streams.restore(head, arrays)
        for interval, board in self._boards.items():
            start = f"{interval}."
            own = {
                name.removeprefix(start): state
                for name, state in arrays.items()
                if name.startswith(start)
            }
            board.restore(len(self._keys), own)

    def _scanned(self, given: InputRows) -> list[Emitted]:
        batch = given.batch
        codes = self._intervals.of(batch.column("interval"))
        events: list[tuple[int, int, str, bytes]] = []
        for number, interval in enumerate(self._boards):
            used = np.flatnonzero(codes == number)
            if len(used):
                events += self._events(interval, batch, used)
        if not events:
            return []
        # In order of the bars, then of the scans: boards are asked one after the other, bars are not.
        events.sort(key=lambda event: event[:2])
        rows, scans, states, terms = zip(*events, strict=True)
        place = pa.array(scans, pa.int32())
        row = pa.array(rows, pa.int64())
        columns = {
            "symbol": batch.column("symbol").take(row),
            "scan": chosen(self._names, place),
            "interval": self._interval_names.take(place).dictionary_encode(),
            "ts_event": batch.column("ts_event").take(row),
            "state": pa.array(states).dictionary_encode(),
            "expression": chosen(self._texts, place),
            "terms": pa.array(terms, pa.binary()).cast(pa.string()),
        }
        return [Emit(topic=SCANS, batch=SCANS.batch(columns))]

    def _events(
        self, interval: str, batch: pa.RecordBatch, used: Int64s
    ) -> list[tuple[int, int, str, bytes]]:
        """Row, scan, state and terms of each change, of the bars of one interval."""
        board = self._boards[interval]
        slots = self._keys.of(batch.column("symbol"), used)
        names = BAR_COLUMNS[:-1]
        bars = bars_with_sessions(
            used,
            slots,
            tuple(floats_or_nan(batch.column(name)) for name in names),
            times_ns(batch.column("ts_start")),
            *self._calendars.of(self._keys.keys),
        )
        read = self._streams.reader(batch, used, slots, interval)
        found = board.matches(slots, len(self._keys), bars, read)
        return [
            (row, self._places[scan.name], _STATES[not begins], orjson.dumps(term))
            for scan, (rows, begun, terms) in zip(board.scans, found, strict=True)
            for row, begins, term in zip(used[rows].tolist(), begun.tolist(), terms, strict=True)
        ]
