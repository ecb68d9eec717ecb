"""Rows of ``quotes`` as kernels over the standing quotes of many venues take them, and their late rows."""

import numpy as np
import pyarrow as pa

from flows.columns import floats_or_nan, times_ns
from flows.flow import Late
from flows.kernels.venue_quotes import VENUES_MAX
from flows.keys import KeySlots
from flows.quote_conditions import QuoteKinds
from flows.venue_sets import VenueSets
from schemas.arrays import Floats, Int32s, Int64s
from schemas.market import QUOTES

_MANY_VENUES = (
    "a shard can tell no more venues apart (a set of them is one number): make the log with more partitions, so "
    "that fewer symbols share a shard, or give venues that need not be told apart one name when they are fed"
)

# Columns that are read, found once: looking a name up costs more than taking the column.
_READ = tuple(
    QUOTES.schema.get_field_index(name)
    for name in ("symbol", "venue", "ts_event", "condition", "bid", "bid_size", "ask", "ask_size")
)


class QuoteRows:
    """Numbers symbols and venues, and reads the columns of quotes.

    Parameters
    ----------
    known : dict of str to list of str
        What `known` of an earlier one gave, or nothing to begin.
    max_keys, max_venues : int
        Bounds of the state; one symbol or venue more is an error.
    kinds : QuoteKinds
        Says which rows count.
    """

    def __init__(
        self, known: dict[str, list[str]], max_keys: int, max_venues: int, kinds: QuoteKinds
    ) -> None:
        self.keys = KeySlots(known.get("keys", []), max_keys)
        advice = _MANY_VENUES if max_venues == VENUES_MAX else ""
        self.venues = KeySlots(known.get("venues", []), max_venues, "max_venues", advice)
        self.sets = VenueSets(self.venues)
        self._kinds = kinds

    @property
    def known(self) -> dict[str, list[str]]:
        """Symbols and venues in order of slot, for a snapshot."""
        return {"keys": self.keys.keys, "venues": self.venues.keys}

    def of(
        self, batch: pa.RecordBatch
    ) -> tuple[Int64s, Int64s, Int64s, tuple[Floats, ...], Int32s]:
        """Slots, venues, times, (bid, bid size, ask, ask size) and kinds of the rows."""
        symbol, venue, ts_event, condition, *sides = map(batch.column, _READ)
        return (
            self.keys.of(symbol),
            self.venues.of(venue),
            times_ns(ts_event),
            tuple(map(floats_or_nan, sides)),
            self._kinds.of(condition),
        )


def superseded(rows: Int64s) -> Late:
    """Rows that a newer row of their venue came before, or whose time to stand was over.

    Parameters
    ----------
    rows : numpy.ndarray of int64, shape (m, 3)
        Row of the batch, time of the newer row or when it stood no more, time of the key.
    """
    index, newer, frontier = rows.T.copy()
    return Late(
        input=0,
        index=index,
        window=["standing quote"] * len(index),
        window_end=newer,
        frontier=frontier,
        used=np.zeros(len(index), dtype=np.bool_),
        reason="a newer quote of the venue came before it, or its time to stand was over",
    )
