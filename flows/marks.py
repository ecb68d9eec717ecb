"""Marks: the prices that positions are valued at and orders are checked by, for every shard to read.

A mark is a symbol's best bid and offer over its venues (by the rules of `flows.nbbo`), the price of its last trade,
and of these the price to go by: the mid, or the last trade's where there is none, or where bid and ask are further
apart than `MarksParams.max_spread` (as the stub quotes of an early morning are).

At most one row a symbol is told in `MarksParams.interval` of its event time, but at once where the price has moved by
more than `MarksParams.move`; no two have the same time. What changed meanwhile is told with the first event, or
watermark row, that is an interval from the last row, so that every change is told in the end.

The last trade is the newest whose conditions let it set a bar's close; a correction of it changes no mark.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from flows.best_quotes import ROOM, BestQuotes, BestQuotesParams
from flows.columns import Codes, columns, float_columns, floats_or_nan, times_ns
from flows.flow import Emit, Emitted, Flow, Input, Order, Rows, Watermarks
from flows.intervals import LONGEST_NS
from flows.kernels import marks as kernel
from flows.quote_rows import superseded
from flows.snapshot import pack, unpack
from schemas.arrays import Bools
from schemas.field import INT32, TIMESTAMP
from schemas.market import QUOTES, TRADES
from schemas.positions import MARKS

_NEW = 0


class MarksParams(BestQuotesParams):
    """Parameters of `Marks`, and those of `flows.best_quotes.BestQuotesParams`.

    Parameters
    ----------
    interval : int
        Event time between two rows of a symbol, ns; 0 tells every change.
    move : float
        Share of the price by which it must have moved to be told at once: 5 basis points, more than a spread of a
        liquid stock.
    max_spread : float
        Widest spread that has a mid, as a share of it.
    """

    interval: int = Field(default=1_000_000_000, ge=0, le=LONGEST_NS)
    move: float = Field(default=5e-4, ge=0)
    max_spread: float = Field(default=0.2, ge=0)


class Marks(Flow):
    """Best bid and offer, last trade and price of every symbol, conflated.

    Parameters
    ----------
    params : MarksParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "marks"
    version = 1
    inputs = (Input(topic=QUOTES), Input(topic=TRADES))
    outputs = (MARKS,)
    order = Order.ARRIVAL
    params_type = MarksParams

    def __init__(self, params: MarksParams, snapshot: bytes | None) -> None:
        known, arrays = unpack(snapshot, self.name, self.version) if snapshot else ({}, {})
        self._marks = kernel.new_marks(64)
        self._rows = np.empty(2 * ROOM, kernel.ROW)
        if arrays:
            saved = arrays.pop("marks").view(kernel.MARK)
            self._marks = kernel.new_marks(max(len(saved), 1))
            self._marks[: len(saved)] = saved.reshape(-1)
        self._best = BestQuotes(params, known, arrays)
        self._keys = self._best.quotes.keys
        self._spec = (params.interval, params.move, params.max_spread)
        self._actions = Codes(["new"])

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take quotes or trades in; give the marks that are due, and quotes that came too late."""
        at, given = rows.only
        if self.inputs[at].topic is QUOTES:
            return self._take_quotes(given.batch)
        return self._take_trades(given.batch)

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Tell what waits of each key, and what its time takes out."""
        emitted: list[Emitted] = []
        if self.inputs[watermarks.input].topic is QUOTES:
            for changed in self._best.pass_time(watermarks):
                nothing = np.empty(0, np.int64)
                emitted += self._taken(changed, nothing, nothing, 0, 0)
        slots = np.array([self._keys.slot(key) for key in watermarks.keys], dtype=np.int64)
        self._make_room(len(slots))
        written = kernel.pass_time(slots, watermarks.times, self._spec, self._marks, self._rows)
        return emitted + self._told(written)

    def snapshot(self) -> bytes:
        """Symbols, venues and their quotes, and the mark of each symbol."""
        arrays = self._best.snapshot() | {"marks": self._marks[: len(self._keys)].view(np.int64)}
        return pack(self.name, self.version, self._best.quotes.known, arrays)

    def _take_quotes(self, batch: pa.RecordBatch) -> list[Emitted]:
        emitted: list[Emitted] = []
        first = 0
        for end, changed, late, slots, times in self._best.take(batch):
            emitted += self._taken(changed, slots, times, first, end)
            if late:
                emitted.append(superseded(self._best.late[:late]))
            first = end
        return emitted

    def _taken(self, changed: int, slots: Any, times: Any, first: int, end: int) -> list[Emitted]:
        self._make_room(changed + end - first)
        return self._told(
            kernel.add_best(
                self._best.rows,
                changed,
                slots,
                times,
                first,
                end,
                self._spec,
                self._marks,
                self._rows,
            )
        )

    def _take_trades(self, batch: pa.RecordBatch) -> list[Emitted]:
        slots = self._keys.of(batch.column("symbol"))
        self._best.make_room()
        self._make_room(len(slots))
        new = self._actions.of(batch.column("action")) == _NEW
        counts: Bools = new & batch.column("updates_last").to_numpy(zero_copy_only=False)
        return self._told(
            kernel.add_trades(
                slots,
                times_ns(batch.column("ts_event")),
                floats_or_nan(batch.column("price")),
                counts,
                self._spec,
                self._marks,
                self._rows,
            )
        )

    def _make_room(self, events: int) -> None:
        """Have room for all symbols, and for what so many events can write."""
        if len(self._keys) > len(self._marks):
            bigger = kernel.new_marks(2 * len(self._keys))
            bigger[: len(self._marks)] = self._marks
            self._marks = bigger
        if 2 * events > len(self._rows):
            self._rows = np.empty(4 * events, kernel.ROW)

    def _told(self, count: int) -> list[Emitted]:
        if not count:
            return []
        codes, times, floats, undefined, bitmap = kernel.mark_columns(self._rows, count)
        (key,) = columns((INT32,), codes)
        (ts_event,) = columns((TIMESTAMP,), times)
        return [
            Emit(
                topic=MARKS,
                batch=pa.RecordBatch.from_arrays(
                    [
                        self._keys.column(key),
                        ts_event,
                        *float_columns(floats, undefined, bitmap),
                    ],
                    schema=MARKS.schema,
                ),
            )
        ]
