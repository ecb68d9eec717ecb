"""The best bid and offer of every symbol, kept up to date by rows of ``quotes``: what `nbbo` tells and `marks` go by.

What counts, stands and comes too late is in `flows.nbbo`, the arithmetic in `flows.kernels.nbbo`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from flows.flow import Params, Watermarks
from flows.intervals import LONGEST_NS
from flows.kernels import nbbo as kernel
from flows.kernels.venue_quotes import VENUES_MAX, VenueQuotes
from flows.quote_conditions import NOT_COUNTED, QuoteKinds, checked
from flows.quote_rows import QuoteRows
from schemas.arrays import Int64s
from schemas.sessions import DEFAULT_CALENDAR, session_starts

# What one pass of the kernel can write before it is taken away; enough for most batches.
ROOM = 8192

# Keys and venues that there is room for from the start.
_KEYS, _VENUES = 64, 16


class BestQuotesParams(Params):
    """Parameters of flows that go by the best bid and offer.

    Parameters
    ----------
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

    not_counted: tuple[str, ...] = NOT_COUNTED
    suspicious: bool = False
    stale_after: int = Field(default=0, ge=0, le=LONGEST_NS)
    end_with_session: bool = True
    calendar: str = DEFAULT_CALENDAR
    calendars: dict[str, str] = Field(default_factory=dict)
    max_keys: int = Field(default=20_000, ge=1)
    max_venues: int = Field(default=VENUES_MAX, ge=1, le=VENUES_MAX)

    _not_counted = field_validator("not_counted")(checked)


class BestQuotes:
    """Standing quotes of all venues, and the best of them.

    Parameters
    ----------
    params : BestQuotesParams
        See there.
    known : dict of str to list of str
        Symbols and venues of a snapshot, or nothing to begin.
    arrays : dict of str to numpy.ndarray
        What `snapshot` gave, or nothing to begin.
    size : {"largest", "sum"}
        Size at the best: that of the venue with the largest, or the sum over the venues that make it.

    Attributes
    ----------
    quotes : QuoteRows
        Numbers symbols and venues.
    rows : numpy.ndarray of flows.kernels.nbbo.ROW
        The best as it changed, in order; as many as each step of `take` and `pass_time` says.
    late : numpy.ndarray of int64, shape (ROOM, 3)
        Rows that came too late, as `flows.quote_rows.superseded` takes them; as many as each step says.
    """

    def __init__(
        self,
        params: BestQuotesParams,
        known: dict[str, list[str]],
        arrays: dict[str, Any],
        size: str = "largest",
    ) -> None:
        self._params = params
        self._calendars = list(dict.fromkeys([params.calendar, *params.calendars.values()]))
        starts = [session_starts(name) for name in self._calendars]
        self._spec = (
            params.stale_after,
            size == "sum",
            params.end_with_session,
            np.concatenate(starts),
            np.cumsum([0, *(len(part) for part in starts)], dtype=np.int64),
        )
        self.rows = np.empty(ROOM, kernel.ROW)
        self.late = np.empty((ROOM, 3), dtype=np.int64)
        self._counts = np.zeros(3, dtype=np.int64)
        kinds = QuoteKinds(params.not_counted, suspicious=params.suspicious)
        self.quotes = QuoteRows(known, params.max_keys, params.max_venues, kinds)
        self._ready = len(self.quotes.keys)
        self._state = VenueQuotes.resumed(arrays) if arrays else VenueQuotes(_KEYS, _VENUES)

    def take(self, batch: pa.RecordBatch) -> Iterator[tuple[int, int, int, Int64s, Int64s]]:
        """Take rows of ``quotes`` in.

        Yields
        ------
        tuple
            How many rows of the batch are taken in so far, how many of `rows` and of `late` that step wrote, and
            slot and time of every row of the batch.
        """
        arguments = self.quotes.of(batch)
        self.make_room()
        row = 0
        while row < batch.num_rows:
            row = kernel.add_quotes(row, *arguments, self._spec, self._state.arguments, self._out)
            yield row, *self._written(), arguments[0], arguments[2]

    def pass_time(self, watermarks: Watermarks) -> Iterator[int]:
        """Take out what time takes out up to each key's; how many of `rows` each step wrote."""
        slots = np.array([self.quotes.keys.slot(key) for key in watermarks.keys], dtype=np.int64)
        self.make_room()
        row = 0
        while row < len(slots):
            row = kernel.pass_time(
                row, slots, watermarks.times, self._spec, self._state.arguments, self._out
            )
            yield self._written()[0]

    def make_room(self) -> None:
        """Have room for all symbols and venues that are numbered."""
        keys, venues = self._state.room
        known, told = len(self.quotes.keys), len(self.quotes.venues)
        if known > keys or told > venues:
            self._state = self._state.grown(
                keys if known <= keys else 2 * known, venues if told <= venues else 2 * told
            )
        for slot in range(self._ready, known):
            name = self.quotes.keys.keys[slot]
            calendar = self._params.calendars.get(name, self._params.calendar)
            self._state.keys[slot]["calendar"] = self._calendars.index(calendar)
        self._ready = known

    def snapshot(self) -> dict[str, Any]:
        """The state as arrays; `quotes` knows the symbols and venues."""
        return self._state.snapshot(len(self.quotes.keys), len(self.quotes.venues))

    @property
    def _out(self) -> tuple[Any, ...]:
        return (self.rows, self.late, self._counts)

    def _written(self) -> tuple[int, int]:
        rows, late, _ = self._counts.tolist()
        self._counts[:] = 0
        return rows, late
