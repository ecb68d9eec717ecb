"""Quotes of one instrument from several sources, such as dealers: what they say together, and how each lags.

Sources are the venues of ``quotes``, kept apart there. Together they have the best bid and ask over the sources
whose quotes are fresh, and the median of the mids of those with both sides: one source that is off does not
move the median of three. A quote that was not renewed for `CompositeParams.stale_after` is not fresh; one
that comes when it is that old already is an update of its source only. Rows that a tape's processor names best
are no source's own, and are left out.

``source_lags`` measures each source once an interval. Its age is the time since its last row at the end. It *moves*
when its mid is away from where it was at its last move by `CompositeParams.min_move`; levels of sources may
differ for ever, so moves are compared by direction. A move *follows* if, within `CompositeParams.max_lag`, another
source's move in the same direction came before it that this source has not followed yet, and its lag is
the time between the two; all others *lead*. This is no estimate of a lag in calendar time as that of Hoffmann,
Rosenbaum and Yoshida (2013), "Estimation of the lead-lag parameter from non-synchronous data", Bernoulli 19,
426-461, but a count of who moved first, in one pass and in bounded memory; two sources that move at random and often
follow one another too, so compare a source's leads with its follows.

Intervals end on the UTC grid, and are told for a source until it has been silent for
`CompositeParams.silent_after`. A row older than its source's newest came too late, and is in ``late``.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import Field, field_validator

from flows.columns import columns, float_columns
from flows.flow import Emit, Emitted, Flow, Input, Order, Params, Rows, Watermarks
from flows.intervals import LONGEST_NS, SESSION, interval_ns
from flows.kernels import composite as kernel
from flows.kernels import composite_rows
from flows.kernels.venue_quotes import VENUES_MAX, VenueQuotes
from flows.quote_conditions import NOT_COUNTED, QuoteKinds, checked
from flows.quote_rows import QuoteRows, superseded
from flows.snapshot import pack, unpack
from schemas.composite import COMPOSITE_QUOTES, SOURCE_LAGS
from schemas.field import INT32, INT64, TIMESTAMP
from schemas.market import QUOTES

_SECOND_NS = 1_000_000_000

# What one pass of the kernel can write before it is taken away; more than a key has venues.
_ROOM = 8192

# Keys and venues that there is room for from the start.
_KEYS, _VENUES = 64, 4


class CompositeParams(Params):
    """Parameters of `Composite`.

    Parameters
    ----------
    stale_after : int
        How long a quote is fresh that is not renewed, ns.
    min_move : float
        Share of the mid by which it must be away from its last move to move: 0.5 basis points, which is more
        than a dealer's spread flickers by.
    max_lag : int
        How old a move of another source may be to be followed, ns.
    interval : str
        A number and s, m or h: how often sources are measured.
    silent_after : int
        For how long a source without rows is still told of, ns.
    not_counted : tuple of str
        Conditions that keep a quote from counting; see `flows.quote_conditions`.
    suspicious : bool
        Whether rows that the source doubts count like others; if not, they say nothing.
    max_keys : int
        Bound of the state; one symbol more is an error.
    max_venues : int
        Bound of the state, of all symbols together; one source more is an error.
    """

    stale_after: int = Field(default=30 * _SECOND_NS, ge=1, le=LONGEST_NS)
    min_move: float = Field(default=0.5e-4, ge=0)
    max_lag: int = Field(default=10 * _SECOND_NS, ge=0, le=LONGEST_NS)
    interval: str = "1m"
    silent_after: int = Field(default=3_600 * _SECOND_NS, ge=0, le=LONGEST_NS)
    not_counted: tuple[str, ...] = NOT_COUNTED
    suspicious: bool = False
    max_keys: int = Field(default=20_000, ge=1)
    max_venues: int = Field(default=VENUES_MAX, ge=1, le=VENUES_MAX)

    _not_counted = field_validator("not_counted")(checked)

    @field_validator("interval")
    @classmethod
    def _known(cls, interval: str) -> str:
        if interval_ns(interval) == 0:
            raise ValueError(f"interval {SESSION!r} is none here; write a number and s, m or h")
        return interval


class Composite(Flow):
    """Composite quotes and lags of the sources of an instrument.

    Parameters
    ----------
    params : CompositeParams
        See there.
    snapshot : bytes or None
        What `snapshot` gave, or None to begin.
    """

    name = "composite"
    version = 1
    inputs = (Input(topic=QUOTES),)
    outputs = (COMPOSITE_QUOTES, SOURCE_LAGS)
    order = Order.SINGLE
    params_type = CompositeParams

    def __init__(self, params: CompositeParams, snapshot: bytes | None) -> None:
        nothing = np.empty(0, dtype=np.int64)
        self._spec = (
            params.stale_after,
            interval_ns(params.interval),
            params.silent_after,
            params.max_lag,
            params.min_move,
            nothing,
            nothing,
        )
        self._interval = pa.array([params.interval], pa.string())
        self._written: tuple[Any, ...] = (
            np.empty(_ROOM, composite_rows.QUOTE_ROW),
            np.empty(_ROOM, composite_rows.LAG_ROW),
            np.empty((_ROOM, 3), dtype=np.int64),
            np.zeros(3, dtype=np.int64),
        )
        head, arrays = unpack(snapshot, self.name, self.version) if snapshot else ({}, {})
        kinds = QuoteKinds(params.not_counted, suspicious=params.suspicious)
        self._quotes = QuoteRows(head, params.max_keys, params.max_venues, kinds)
        self._standing = VenueQuotes(_KEYS, _VENUES)
        self._together = kernel.new_together(_KEYS)
        self._sources = kernel.new_sources(_KEYS, _VENUES)
        if arrays:
            self._resume(arrays)

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take quotes in; give what changes together, intervals that end, and late rows."""
        batch = rows.only[1].batch
        arguments = self._quotes.of(batch)
        self._make_room()
        emitted: list[Emitted] = []
        row = 0
        while row < batch.num_rows:
            row = kernel.add_quotes(row, *arguments, self._spec, self._state, self._written)
            emitted += self._take_written()
        return emitted

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Take out what is stale by each key's time, and end its intervals."""
        keys = self._quotes.keys
        slots = np.array([keys.slot(key) for key in watermarks.keys], dtype=np.int64)
        self._make_room()
        emitted: list[Emitted] = []
        row = 0
        while row < len(slots):
            row = kernel.pass_time(
                row, slots, watermarks.times, self._spec, self._state, self._written
            )
            emitted += self._take_written()
        return emitted

    def snapshot(self) -> bytes:
        """Symbols and sources in order of slot, and the state arrays of as many."""
        keys, venues = len(self._quotes.keys), len(self._quotes.venues)
        sources = np.ascontiguousarray(self._sources[:keys, :venues])
        arrays = self._standing.snapshot(keys, venues) | {
            "together": self._together[:keys].view(np.int64),
            "sources": sources.view(np.int64),
        }
        return pack(self.name, self.version, self._quotes.known, arrays)

    def _resume(self, arrays: dict[str, Any]) -> None:
        keys, venues = arrays["newest"].shape
        self._standing = VenueQuotes.resumed(arrays)
        self._together = kernel.new_together(max(keys, 1))
        self._together[:keys] = arrays["together"].view(kernel.TOGETHER)
        self._sources = kernel.new_sources(max(keys, 1), max(venues, 1))
        sources = arrays["sources"].view(kernel.SOURCE)
        self._sources[:keys, :venues] = sources.reshape(keys, venues)

    @property
    def _state(self) -> tuple[Any, ...]:
        return (*self._standing.arguments, self._together, self._sources.reshape(-1))

    def _make_room(self) -> None:
        keys, venues = self._standing.room
        known, sources = len(self._quotes.keys), len(self._quotes.venues)
        if known <= keys and sources <= venues:
            return
        more_keys = keys if known <= keys else 2 * known
        more_venues = venues if sources <= venues else 2 * sources
        self._standing = self._standing.grown(more_keys, more_venues)
        together = kernel.new_together(more_keys)
        together[:keys] = self._together
        self._together = together
        bigger = kernel.new_sources(more_keys, more_venues)
        bigger[:keys, :venues] = self._sources
        self._sources = bigger

    def _take_written(self) -> list[Emitted]:
        counts = self._written[-1]
        quotes, lags, late = counts.tolist()
        emitted: list[Emitted] = []
        if quotes:
            emitted.append(Emit(topic=COMPOSITE_QUOTES, batch=self._quotes_batch(quotes)))
        if lags:
            emitted.append(Emit(topic=SOURCE_LAGS, batch=self._lags_batch(lags)))
        if late:
            emitted.append(superseded(self._written[2][:late]))
        counts[:] = 0
        return emitted

    def _quotes_batch(self, count: int) -> pa.RecordBatch:
        codes, integers, venues, floats, undefined, bitmap = composite_rows.quote_columns(
            self._written[0], count
        )
        (key,) = columns((INT32,), codes)
        ts_event, number, sources = columns((TIMESTAMP, INT64, INT64), integers)
        bid, ask, median = float_columns(floats, undefined, bitmap)
        sets = self._quotes.sets
        return pa.RecordBatch.from_arrays(
            [
                self._quotes.keys.column(key),
                ts_event,
                number,
                bid,
                sets.column(venues[0]),
                ask,
                sets.column(venues[1]),
                median,
                sources,
            ],
            schema=COMPOSITE_QUOTES.schema,
        )

    def _lags_batch(self, count: int) -> pa.RecordBatch:
        codes, integers, floats, undefined, bitmap = composite_rows.lag_columns(
            self._written[1], count
        )
        key, venue = columns((INT32, INT32), codes)
        ts_event, updates, moves, leads, follows = columns((TIMESTAMP, *(INT64,) * 4), integers)
        age, lag_mean, lag_max = float_columns(floats, undefined, bitmap)
        same = pa.array(np.zeros(count, dtype=np.int32))
        return pa.RecordBatch.from_arrays(
            [
                self._quotes.keys.column(key),
                self._quotes.venues.column(venue),
                pa.DictionaryArray.from_arrays(same, self._interval),
                ts_event,
                updates,
                age,
                moves,
                leads,
                follows,
                lag_mean,
                lag_max,
            ],
            schema=SOURCE_LAGS.schema,
        )
