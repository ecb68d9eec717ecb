"""What scans ask beside series of bars: the bar itself, the book, breadth and instruments as of its end."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.breadth_parts import ALL, SECTOR
from flows.columns import times_ns
from flows.instruments import InstrumentTable
from flows.keys import KeySlots
from flows.scans.criteria import BOOK_FIELDS, BREADTH_FIELDS, Origin
from flows.scans.latest import Latest
from flows.scans.resolution import Resolved
from schemas.arrays import Floats, Int64s

# Books are kept by the second, for longer than a bar takes to come; breadth by its intervals, so that
# history can be scanned behind it: four years of sessions, a day of minutes.
_SECOND_NS = 1_000_000_000
_BOOK_CELLS = 128
_BREADTH_CELLS = 1_024


class Streams:
    """Last values of the streams beside the bars.

    Parameters
    ----------
    symbols : KeySlots
        The symbols of bars and books.
    book_age_s, breadth_age_s : int
        Seconds for which values hold.
    max_universes : int
        Bound of the state; one universe (at an interval) more is an error.
    """

    def __init__(
        self, symbols: KeySlots, *, book_age_s: int, breadth_age_s: int, max_universes: int
    ) -> None:
        self._symbols = symbols
        self._book_age_s = book_age_s
        self._breadth_age_ns = breadth_age_s * _SECOND_NS
        self._instruments = InstrumentTable()
        self._book = Latest(len(BOOK_FIELDS), _BOOK_CELLS)
        self._universes = KeySlots([], max_universes, "max_universes")
        self._breadth = Latest(len(BREADTH_FIELDS), _BREADTH_CELLS)

    def take_instruments(self, batch: pa.RecordBatch) -> None:
        """Rows of ``instruments``."""
        self._instruments.take(batch)

    def take_book(self, batch: pa.RecordBatch) -> None:
        """Rows of ``book_top``; of a symbol with books of several venues, whichever spoke last."""
        slots = self._symbols.of(batch.column("symbol"))
        # A bar's interval ends before its end: what a book says at that very time comes after it.
        cells = times_ns(batch.column("ts_event")) // _SECOND_NS + 1
        values = [_floats(batch, field) for field in BOOK_FIELDS.values()]
        self._book.keep(slots, len(self._symbols), cells, np.array(values))

    def take_breadth(self, batch: pa.RecordBatch) -> None:
        """Rows of ``breadth``."""
        keys = pc.binary_join_element_wise(
            batch.column("universe").cast(pa.string()),
            batch.column("interval").cast(pa.string()),
            "/",
        )
        slots = self._universes.of(keys.dictionary_encode())
        values = [_floats(batch, field) for field in BREADTH_FIELDS]
        times = times_ns(batch.column("ts_event"))
        self._breadth.keep(slots, len(self._universes), times, np.array(values))

    def reader(
        self, batch: pa.RecordBatch, used: Int64s, slots: Int64s, interval: str
    ) -> Callable[[str, Resolved], Any]:
        """What gives the values of a criterion for some bars of a batch.

        Parameters
        ----------
        batch : pyarrow.RecordBatch
            Bars.
        used, slots : numpy.ndarray of int64, shape (n,)
            Which of them, and the slot of each one's symbol.
        interval : str
            Their interval.
        """
        times = times_ns(batch.column("ts_event"))[used]
        places = self._instruments.rows_at(self._symbols.keys, slots, times)

        def of_breadth(universes: Int64s, field: str) -> Floats:
            values = self._breadth.at(universes, len(self._universes), times, self._breadth_age_ns)
            found: Floats = values[list(BREADTH_FIELDS).index(field)]
            return found

        def read(name: str, resolved: Resolved) -> Any:
            criterion = resolved.criterion
            if criterion.origin is Origin.BAR:
                return _floats(batch, criterion.source)[used]
            if criterion.origin is Origin.INSTRUMENT:
                kind = object if criterion.is_text else np.float64
                return np.array(self._instruments.column(criterion.source), kind)[places]
            if criterion.origin is Origin.MARKET:
                market = np.full(len(used), self._universe(ALL, interval))
                return of_breadth(market, criterion.source)
            if criterion.origin is Origin.SECTOR:
                sectors = self._instruments.column("sector")
                of_place = [self._universe(f"{SECTOR}{one}", interval) for one in sectors]
                return of_breadth(np.array(of_place, np.int64)[places], criterion.source)
            if criterion.origin is Origin.BOOK:
                books = self._book.at(
                    slots, len(self._symbols), times // _SECOND_NS, self._book_age_s
                )
                return books[list(BOOK_FIELDS).index(name)]
            raise AssertionError(criterion)

        return read

    def saved(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The state as a JSON head and arrays, for a snapshot."""
        arrays = {
            f"{prefix}.{name}": state
            for prefix, latest, known in (
                ("book", self._book, len(self._symbols)),
                ("breadth", self._breadth, len(self._universes)),
            )
            for name, state in latest.saved(known).items()
        }
        return {
            "instruments": self._instruments.saved(),
            "universes": self._universes.keys,
        }, arrays

    def restore(self, head: dict[str, Any], arrays: dict[str, Any]) -> None:
        """Take over what `saved` gave."""
        self._instruments = InstrumentTable(head["instruments"])
        self._universes = KeySlots(head["universes"], self._universes.maximum, "max_universes")
        for prefix, latest in (("book", self._book), ("breadth", self._breadth)):
            latest.restore(
                {name: arrays[f"{prefix}.{name}"] for name in ("newest", "cells", "kept")}
            )

    def _universe(self, name: str, interval: str) -> int:
        key = f"{name}/{interval}"
        return self._universes.keys.index(key) if key in self._universes.keys else -1


def _floats(batch: pa.RecordBatch, field: str) -> Floats:
    found: Floats = batch.column(field).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return found
