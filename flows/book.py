"""Order books from book events: the best levels of each symbol and venue whenever they change.

Events are applied in log order, which is the venue's: a book has no other time. The best `depth` levels are looked
at where the venue's event ends (``is_last``), and a row is written if any of them, or the trading state, is not as
it was in the row before. Its ``ts_event`` is the event's own, also where that goes back.

What an event does:

- ``add``: the order rests at its price. Without ``order_id`` its size belongs to the *rest* of the level, which no
  known order explains.
- ``modify``: the order has the price and size given; size 0 takes it out.
- ``cancel``, ``execute``: so much less of the order.
- ``level``: sets the size of a price; what its known orders do not explain of it is its rest. Where it is less
  than its orders have, nobody knows which of them are left: all are unknown from then on, and the size is the rest.
  0 takes the level out with its orders.
- ``clear`` empties the book. ``halt`` tells the trading state. ``fill`` and ``hidden_execute`` change nothing.

What does not fit gives a row in ``book_faults`` and is resolved there and then:

- ``incomplete`` (side, price, size or order id missing where the action needs it; an add of size 0): ignored.
- ``unknown_order``: a cancel or execution is ignored; where the level has a rest it takes from that, which is no
  fault. A modification is an add, as it tells all.
- ``duplicate_order`` (an add of an order that rests): the newer word counts, the order is replaced.
- ``oversized`` (a cancel or execution of more than is left): the order is gone.
- ``other_price``, ``other_side`` (a cancel or execution elsewhere than where the order rests): taken from where it rests; a
  modification moves the order to the other side.
- ``negative`` (a cancel or execution of more than a level's rest): the rest is 0.
- ``sequence_gap``, ``sequence_back``: the book is kept; the next number is expected from there on.
- ``locked``, ``crossed``: told when it begins, where the venue's event ends. Not while the trading state is told to
  be other than trading; and at `call_venues` only at the end of an event that executed and left the book
  so. The book is kept.

Conflation: intervals on the UTC grid; where a book is not as in its row before (before its first, it is empty), one row
when the symbol's frontier passes the interval's end, which is its ``ts_event``: the state after the interval's last
event. Books of one symbol follow in order of their first event. An event of an interval that is over is late for it; it is applied all the
same, and shows in the row of the interval in which it came.

Order-flow imbalance: the sum of e_n (`flows.kernels.book_rows.best_flow`) over the ends of events since the row
before; a rebuilding (the first event, and one with a clear) is no flow.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field

from flows.book_columns import level_columns, whole_numbers
from flows.columns import Codes, chosen, columns, floats_or_nan, times_ns
from flows.flow import (
    Carried,
    Emit,
    Emitted,
    Flow,
    FlowError,
    Input,
    InputRows,
    Late,
    Order,
    Params,
    Rows,
    Watermarks,
)
from flows.kernels import book as kernel
from flows.kernels.book_arrays import BookState
from flows.kernels.book_rows import row_columns
from flows.kernels.book_state import (
    ACTIONS,
    BOOKS_AT,
    CALLS,
    COUNTS_EVERY,
    FAULTS_AT,
    LATE,
    LATE_AT,
    LEVELS_AT,
    MORE_BOOKS,
    MORE_LEVELS,
    MORE_ORDERS,
    NEED_AT,
    NO_NEED,
    ORDERS_AT,
    ROWS_AT,
    SEQUENCE_BACK,
    SEQUENCE_GAP,
    SIDES,
    SNAPSHOT_LAYOUT,
    STATES,
    Written,
)
from flows.keys import KeySlots
from flows.snapshot import pack, unpack
from schemas.arrays import Int64s
from schemas.book import BOOK_FAULTS, BOOK_TOP, FAULT_KINDS, LEVELS, RESOLUTIONS
from schemas.field import INT32, INT64, TIMESTAMP, UINT64
from schemas.market import BOOK_EVENTS

# What one pass of the kernel can write before it is taken away. No power of two rows: columns would lie at
# addresses that share their places in the processor's cache.
_ROOM = 4_088

_SYMBOLS = 64
_MS = 1_000_000

_READ = tuple(
    BOOK_EVENTS.schema.get_field_index(name)
    for name in (
        "symbol",
        "venue",
        "ts_event",
        "action",
        "side",
        "state",
        "order_id",
        "price",
        "size",
        "sequence",
        "is_last",
    )
)
_COPIED = ("symbol", "venue", "ts_event", "action", "order_id", "side", "price", "size", "sequence")


class BookParams(Params):
    """Parameters of `Book`.

    Parameters
    ----------
    depth : int
        Levels of a side that are looked at and written, at most 10.
    conflation_ms : int
        At most one row for each symbol, venue and interval of so many ms of event time; 0 for every change.
    channel_venues : tuple of str
        Venues whose sequence numbers count more than a symbol's messages, so that holes in them say nothing:
        those of a whole channel, and numbers of a book's changes.
    call_venues : tuple of str
        Venues whose books cross before an opening or auction, while orders are only collected, without that a
        trading state is told: such a book is not at fault until something is executed on it.
    max_keys : int
        Bound of the state: symbols, and venues; one more is an error.
    max_books, max_orders, max_levels : int
        Bounds of the state of a shard: books, resting orders and price levels of all of them; more is an error.
    """

    depth: int = Field(default=LEVELS, ge=1, le=LEVELS)
    conflation_ms: int = Field(default=0, ge=0, le=86_400_000)
    channel_venues: tuple[str, ...] = (
        "BINANCE",
        "BINANCE_COINM",
        "BINANCE_USDM",
        "GLBX",
        "IEX",
    )
    call_venues: tuple[str, ...] = ("GLBX",)
    max_keys: int = Field(default=20_000, ge=1)
    max_books: int = Field(default=50_000, ge=1)
    max_orders: int = Field(default=5_000_000, ge=1)
    max_levels: int = Field(default=5_000_000, ge=1)


class Book(Flow):
    """Order books from book events.

    Parameters
    ----------
    params : BookParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "book"
    version = 1
    inputs = (Input(topic=BOOK_EVENTS),)
    outputs = (BOOK_TOP, BOOK_FAULTS)
    order = Order.SINGLE
    params_type = BookParams
    carried = Carried(layout=SNAPSHOT_LAYOUT)

    def __init__(self, params: BookParams, snapshot: bytes | None) -> None:
        self._params = params
        head, arrays = unpack(snapshot, self.name, SNAPSHOT_LAYOUT) if snapshot else ({}, {})
        self._symbols = KeySlots(head.get("symbols", []), params.max_keys)
        self._venues = KeySlots(head.get("venues", []), params.max_keys)
        self._state = BookState.resumed(arrays) if arrays else BookState(_SYMBOLS)
        self._written = Written(_ROOM)
        self._known: Int64s = np.empty(0, dtype=np.int64)
        self._actions = Codes(ACTIONS)
        self._sides = Codes(SIDES)
        self._states = Codes(STATES)
        self._state_names = pa.array(STATES)
        self._kind_names = pa.array(FAULT_KINDS)
        self._resolution_names = pa.array(RESOLUTIONS)

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Apply book events; give the best levels that changed, and faults."""
        given = rows.only[1]
        batch = given.batch
        symbol, venue, ts_event, action, side, state, order_id, price, size, sequence, is_last = (
            map(batch.column, _READ)
        )
        events = (
            self._symbols.of(symbol),
            self._venues.of(venue),
            times_ns(ts_event),
            self._actions.of(action),
            self._sides.of(side),
            self._states.of(state),
            *whole_numbers(order_id),
            floats_or_nan(price),
            floats_or_nan(size),
            *whole_numbers(sequence),
            is_last.to_numpy(zero_copy_only=False),
        )
        emitted: list[Emitted] = []
        row = 0
        while row < batch.num_rows:
            row = kernel.apply_events(row, events, *self._places())
            emitted += self._take_written(given)
            self._make_room()
        return emitted

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Give the rows of intervals that end up to each symbol's time; without conflation there are none."""
        emitted: list[Emitted] = []
        if not self._params.conflation_ms:
            return emitted
        slots = np.array([self._symbols.slot(key) for key in watermarks.keys], dtype=np.int64)
        row = 0
        while row < len(slots):
            row = kernel.pass_time(row, slots, watermarks.times, *self._places())
            emitted += self._take_written(None)
        return emitted

    def snapshot(self) -> bytes:
        """Symbols and venues in order of slot, and the state's arrays."""
        self._state.make_room_for_symbols(len(self._symbols))
        head = {"symbols": self._symbols.keys, "venues": self._venues.keys}
        return pack(self.name, SNAPSHOT_LAYOUT, head, self._state.snapshot(len(self._symbols)))

    def _places(self) -> tuple[Any, Any, Any]:
        params = self._params
        self._state.make_room_for_symbols(len(self._symbols))
        if len(self._known) != len(self._venues):
            self._known = np.array(
                [
                    (venue not in params.channel_venues) * COUNTS_EVERY
                    + (venue in params.call_venues) * CALLS
                    for venue in self._venues.keys
                ],
                dtype=np.int64,
            )
        spec = (
            params.depth,
            params.conflation_ms * _MS,
            self._known,
            params.max_orders,
            params.max_levels,
            params.max_books,
        )
        return spec, self._state.arguments, self._written.arguments

    def _make_room(self) -> None:
        counts = self._state.counts
        need = int(counts[NEED_AT])
        if need == NO_NEED:
            return
        counts[NEED_AT] = NO_NEED
        if need == MORE_ORDERS:
            self._bounded("orders", int(counts[ORDERS_AT]))
            self._state.more_orders()
        elif need == MORE_LEVELS:
            self._bounded("levels", int(counts[LEVELS_AT]))
            self._state.more_levels()
        elif need == MORE_BOOKS:
            self._bounded("books", int(counts[BOOKS_AT]) + 1)
            self._state.more_books()

    def _bounded(self, what: str, count: int) -> None:
        most = getattr(self._params, f"max_{what}")
        if count > most:
            raise FlowError(
                f"flow {self.name}: {count} {what} are more than max_{what} = {most}; raise the flow's "
                f"max_{what}, or see that the feed empties the books at the end of a session (clear)"
            )

    def _take_written(self, given: InputRows | None) -> list[Emitted]:
        counts = self._state.counts
        emitted: list[Emitted] = []
        if counts[ROWS_AT]:
            emitted.append(Emit(topic=BOOK_TOP, batch=self._rows(int(counts[ROWS_AT]))))
        if counts[FAULTS_AT] and given is not None:
            emitted.append(
                Emit(topic=BOOK_FAULTS, batch=self._faults(int(counts[FAULTS_AT]), given))
            )
        if counts[LATE_AT]:
            emitted.append(self._late(int(counts[LATE_AT])))
        counts[[ROWS_AT, FAULTS_AT, LATE_AT]] = 0
        return emitted

    def _rows(self, count: int) -> pa.RecordBatch:
        # Copies: the kernel writes into the room again.
        codes, integers, numbers, undefined, bitmap = row_columns(
            self._written.rows, self._written.values, self._state.books, count
        )
        symbols, venues = columns((INT32, INT32), codes[:2])
        times, ordinals = columns((TIMESTAMP, INT64), integers)
        states = pa.array(codes[2], mask=codes[2] < 0)
        return pa.RecordBatch.from_arrays(
            [
                self._symbols.column(symbols),
                self._venues.column(venues),
                times,
                ordinals,
                chosen(self._state_names, states),
                *level_columns(numbers, undefined, bitmap, count),
            ],
            schema=BOOK_TOP.schema,
        )

    def _faults(self, count: int, given: InputRows) -> pa.RecordBatch:
        faults = self._written.faults[:count]
        index = faults["row"]
        kinds = faults["kind"].astype(np.int32)
        known = faults["known"].copy()
        no_number = (kinds != SEQUENCE_GAP) & (kinds != SEQUENCE_BACK)
        number, partition = faults["number"].copy(), np.full(count, given.partition, np.int32)
        copied = given.batch.select(_COPIED).take(pa.array(index)).columns
        symbol, venue, ts_event, *event, sequence = copied
        return pa.RecordBatch.from_arrays(
            [
                symbol,
                venue,
                ts_event,
                pa.array(number),
                chosen(self._kind_names, pa.array(kinds)),
                chosen(self._resolution_names, pa.array(faults["resolution"].astype(np.int32))),
                *event,
                pa.array(known, mask=np.isnan(known)),
                sequence,
                pa.array(faults["expected"].copy(), UINT64, mask=no_number),
                pa.array(partition),
                pa.array(given.offset[index]),
                pa.array(given.row[index]),
            ],
            schema=BOOK_FAULTS.schema,
        )

    def _late(self, count: int) -> Late:
        late = {name: self._written.late[name][:count].copy() for name in LATE.names or ()}
        return Late(
            input=0,
            index=late["row"],
            window=[f"{self._params.conflation_ms}ms"] * count,
            window_end=late["end"],
            frontier=late["frontier"],
            used=np.ones(count, dtype=np.bool_),
        )
