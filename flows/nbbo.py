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

import pyarrow as pa

from flows.best_quotes import BestQuotes, BestQuotesParams
from flows.columns import chosen, columns, float_columns
from flows.flow import Emit, Emitted, Flow, Input, Order, Rows, Watermarks
from flows.kernels import nbbo as kernel
from flows.quote_rows import superseded
from flows.snapshot import pack, unpack
from schemas.field import INT32, INT64, TIMESTAMP
from schemas.market import QUOTES
from schemas.nbbo import NBBO, STATES

_STATES = pa.array(STATES, pa.string())


class NbboParams(BestQuotesParams):
    """Parameters of `Nbbo`.

    Parameters
    ----------
    size : {"largest", "sum"}
        Size at the best: that of the venue with the largest, or the sum over the venues that make it.
    """

    size: Literal["largest", "sum"] = "largest"


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
        known, arrays = unpack(snapshot, self.name, self.version) if snapshot else ({}, {})
        self._best = BestQuotes(params, known, arrays, params.size)
        self._quotes = self._best.quotes

    def on_rows(self, rows: Rows) -> list[Emitted]:
        """Take quotes in; give the best bids and offers that they change, and late rows."""
        emitted: list[Emitted] = []
        for _, changed, late, _, _ in self._best.take(rows.only[1].batch):
            emitted += self._told(changed)
            if late:
                emitted.append(superseded(self._best.late[:late]))
        return emitted

    def on_watermark(self, watermarks: Watermarks) -> list[Emitted]:
        """Take out what time takes out up to each key's; give what that changes, and states held back."""
        emitted: list[Emitted] = []
        for changed in self._best.pass_time(watermarks):
            emitted += self._told(changed)
        return emitted

    def snapshot(self) -> bytes:
        """Keys and venues in order of slot, and the state arrays of as many."""
        return pack(self.name, self.version, self._quotes.known, self._best.snapshot())

    def _told(self, count: int) -> list[Emitted]:
        return [Emit(topic=NBBO, batch=self._batch(count))] if count else []

    def _batch(self, count: int) -> pa.RecordBatch:
        codes, integers, venues, floats, undefined, bitmap = kernel.nbbo_columns(
            self._best.rows, count
        )
        key, state = columns((INT32, INT32), codes)
        ts_event, number = columns((TIMESTAMP, INT64), integers)
        bid, bid_size, ask, ask_size = float_columns(floats, undefined, bitmap)
        return pa.RecordBatch.from_arrays(
            [
                self._quotes.keys.column(key),
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
