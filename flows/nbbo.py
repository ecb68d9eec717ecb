"""The national best bid and offer: the best prices over all venues of a symbol, on each change.

Each venue's standing quotes are kept, side by side; a row of ``quotes`` replaces its venue's quotes of the
sides that it speaks of, and size 0 takes them out. A row that the tape's processor names the national best of
its side (``best`` in its condition) replaces every venue's: what else stood is then no longer the best.

The size at the best is by default that of the venue that comes first, the largest: "determined by ranking all
such identical bids or offers first by size, and then by time" (17 CFR 242.600(b), national best bid and
national best offer). ``size = "sum"`` gives the sum over the venues.

A quote whose condition keeps it from counting takes its venue's side out. A quote ends with its session, or
before that where it was not renewed for as long as `NbboParams.stale_after` says. A row older than its
venue's newest (for a row named best: than the newest such), or one that would stand no more by its symbol's time,
came too late, and is in ``late``.

Rows are in order of time: a quote behind its symbol's time changes the best from that time on. A locked or
crossed state is told when time moves on from it: one that stands for no time is a feed's two rows of one moment.
"""

from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from flows.columns import chosen, columns, float_columns
from flows.flow import Emit, Emitted, Flow, Input, Order, Params, Rows, Watermarks
from flows.intervals import LONGEST_NS
from flows.kernels import nbbo as kernel
from flows.kernels.venue_quotes import VENUES_MAX, VenueQuotes
from flows.quote_conditions import NOT_COUNTED, QuoteKinds, checked
from flows.quote_rows import QuoteRows, superseded
from flows.snapshot import pack, unpack
from schemas.field import INT32, INT64, TIMESTAMP
from schemas.market import QUOTES
from schemas.nbbo import NBBO, STATES
from schemas.sessions import DEFAULT_CALENDAR, session_starts

# What one pass of the kernel can write before it is taken away; enough for most batches.
_ROOM = 8192

# Keys and venues that there is room for from the start.
_KEYS, _VENUES = 64, 16

_STATES = pa.array(STATES, pa.string())


class NbboParams(Params):
    """Parameters of `Nbbo`.

    Parameters
    ----------
    size : {"largest", "sum"}
        Size at the best: that of the venue with the largest, or the sum over the venues that make it.
    not_counted : tuple of str
        Conditions that keep a quote from counting; see `flows.quote_conditions`.
    suspicious : bool
        Whether rows that the vendor doubts count like others; if not, they say nothing.
    stale_after : int
        How long a quote stands that is not renewed, ns; 0 for as long as the session.
    end_with_session : bool
        Whether quotes end with the calendar's session.
    calendar : str
        Calendar (exchange_calendars) of the sessions.
    calendars : dict of str to str
        Calendars of symbols that have another.
    max_keys : int
        Bound of the state; one symbol more is an error.
    max_venues : int
        Bound of the state, of all symbols together; one venue more is an error.
    """

    size: Literal["largest", "sum"] = "largest"
    not_counted: tuple[str, ...] = NOT_COUNTED
    suspicious: bool = False
    stale_after: int = Field(default=0, ge=0, le=LONGEST_NS)
    end_with_session: bool = True
    calendar: str = DEFAULT_CALENDAR
    calendars: dict[str, str] = Field(default_factory=dict)
    max_keys: int = Field(default=20_000, ge=1)
    max_venues: int = Field(default=VENUES_MAX, ge=1, le=VENUES_MAX)

    _not_counted = field_validator("not_counted")(checked)


class Nbbo(Flow):
    """The national best bid and offer from the quotes of many venues.

    Parameters
    ----------
    params : NbboParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "nbbo"
    version = 1
    inputs = (Input(topic=QUOTES),)
    outputs = (NBBO,)
    order = Order.SINGLE
    params_type = NbboParams

    def __init__(self, params: NbboParams, snapshot: bytes | None) -> None:
        self._params = params
        self._calendars = list(dict.fromkeys([params.calendar, *params.calendars.values()]))
        starts = [session_starts(name) for name in self._calendars]
        self._spec = (
            params.stale_after,
            params.size == "sum",
            params.end_with_session,
            np.concatenate(starts),
            np.cumsum([0, *(len(part) for part in starts)], dtype=np.int64),
        )
        self._rows = np.empty(_ROOM, kernel.ROW)
        self._late = np.empty((_ROOM, 3), dtype=np.int64)
        self._counts = np.zeros(2, dtype=np.int64)
        head, arrays = unpack(snapshot, self.name, self.version) if snapshot else ({}, {})
        kinds = QuoteKinds(params.not_counted, suspicious=params.suspicious)
        self._quotes = QuoteRows(head, params.max_keys, params.max_venues, kinds)
        self._keys, self._venues = self._quotes.keys, self._quotes.venues
        self._ready = len(self._keys)
        self._state = VenueQuotes.resumed(arrays) if arrays else VenueQuotes(_KEYS, _VENUES)

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take quotes in; give the best bids and offers that they change, and late rows."""
        batch = rows.only[1].batch
        arguments = self._quotes.of(batch)
        self._make_room()
        emitted: list[Emitted] = []
        row = 0
        while row < batch.num_rows:
            row = kernel.add_quotes(
                row, *arguments, self._spec, self._state.arguments, self._written
            )
            emitted += self._take_written()
        return emitted

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Take out what time takes out up to each key's; give what that changes, and states held back."""
        slots = np.array([self._keys.slot(key) for key in watermarks.keys], dtype=np.int64)
        self._make_room()
        emitted: list[Emitted] = []
        row = 0
        while row < len(slots):
            row = kernel.pass_time(
                row, slots, watermarks.times, self._spec, self._state.arguments, self._written
            )
            emitted += self._take_written()
        return emitted

    def snapshot(self) -> bytes:
        """Keys and venues in order of slot, and the state arrays of as many."""
        return pack(
            self.name,
            self.version,
            self._quotes.known,
            self._state.snapshot(len(self._keys), len(self._venues)),
        )

    @property
    def _written(self) -> tuple[np.ndarray, ...]:
        return (self._rows, self._late, self._counts)

    def _make_room(self) -> None:
        keys, venues = self._state.room
        if len(self._keys) > keys or len(self._venues) > venues:
            self._state = self._state.grown(
                keys if len(self._keys) <= keys else 2 * len(self._keys),
                venues if len(self._venues) <= venues else 2 * len(self._venues),
            )
        for slot in range(self._ready, len(self._keys)):
            calendar = self._params.calendars.get(self._keys.keys[slot], self._params.calendar)
            self._state.keys[slot]["calendar"] = self._calendars.index(calendar)
        self._ready = len(self._keys)

    def _take_written(self) -> list[Emitted]:
        rows, late = self._counts.tolist()
        emitted: list[Emitted] = []
        if rows:
            emitted.append(Emit(topic=NBBO, batch=self._batch(rows)))
        if late:
            emitted.append(superseded(self._late[:late]))
        self._counts[:] = 0
        return emitted

    def _batch(self, count: int) -> pa.RecordBatch:
        codes, integers, venues, floats, undefined, bitmap = kernel.nbbo_columns(self._rows, count)
        key, state = columns((INT32, INT32), codes)
        ts_event, number = columns((TIMESTAMP, INT64), integers)
        bid, bid_size, ask, ask_size = float_columns(floats, undefined, bitmap)
        return pa.RecordBatch.from_arrays(
            [
                self._keys.column(key),
                ts_event,
                number,
                bid,
                bid_size,
                self._quotes.sets.column(venues[0]),
                ask,
                ask_size,
                self._quotes.sets.column(venues[1]),
                chosen(_STATES, state),
            ],
            schema=NBBO.schema,
        )
