"""What flows know of instruments, as of an event time: a broadcast input, and a table that it fills.

A flow that asks for sector, calendar or tick size declares ``Input(topic=INSTRUMENTS, broadcast=True)`` as
its *first* input, in order ARRIVAL, and gives what it reads of it to an `InstrumentTable`. Every shard
reads the whole topic, whichever symbols are its own. Nothing waits for it: a broadcast input has no
frontier, and the topic no watermark rows. As it stands first, each step reads it before the rows that ask
it; what was fed before those rows is known to them, at any partition count. What comes later holds from
there on, in the order of arrival that progress records keep, so that a replay sees the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa

from flows.columns import dictionary_codes, times_ns
from flows.flow import FlowError
from flows.kernels.as_of import last_at
from schemas.arrays import Int64s

MAX_VERSIONS = 16
"""Newest rows that are kept of a symbol: bounds the state, and how far back a question reaches."""


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """What a symbol stands for from ``ts_event`` (ns) on; the fields of ``instruments`` but ``ts_recv``."""

    symbol: str
    ts_event: int
    venue: str | None
    type: str
    name: str | None
    currency: str
    tick_size: float | None
    lot_size: float | None
    sector: str | None
    calendar: str
    previous_symbol: str | None
    is_active: bool


@dataclass(frozen=True, kw_only=True)
class Period:
    """When an instrument had a symbol: from ``start_ns`` (None: as far as is known) until ``end_ns``."""

    symbol: str
    start_ns: int | None
    end_ns: int | None


_FIELDS = tuple(field.name for field in fields(Instrument))


class InstrumentTable:
    """All known instruments; a later row of the same symbol and time replaces an earlier.

    Parameters
    ----------
    saved : list or None
        What `saved` of an earlier table gave.
    max_keys : int
        Bound of the state; one symbol more is an error.
    """

    def __init__(self, saved: list[list[Any]] | None = None, *, max_keys: int = 100_000) -> None:
        self._max_keys = max_keys
        self._versions: dict[str, dict[int, Instrument]] = {}
        self.changes = 0
        for values in saved or []:
            self._put(Instrument(**dict(zip(_FIELDS, values, strict=True))))
        self._arrange()

    def take(self, batch: pa.RecordBatch) -> None:
        """Take rows of ``instruments`` in.

        Raises
        ------
        FlowError
            For more symbols than ``max_keys``.
        """
        codes = dictionary_codes(batch.column("symbol")).astype(np.int64)
        rows = batch.take(pa.array(_newest(codes, times_ns(batch.column("ts_event")))))
        at = rows.schema.get_field_index("ts_event")
        plain = rows.set_column(at, "ts_event", rows.column(at).view(pa.int64()))
        for values in plain.select(_FIELDS).to_pylist():
            self._put(Instrument(**values))
        self._arrange()

    def at(self, symbol: str, ts_ns: int) -> Instrument | None:
        """What a symbol stands for at a time; None before it is listed and when that has ended."""
        known = self._versions.get(symbol, {})
        newest = max((time for time in known if time <= ts_ns), default=None)
        found = None if newest is None else known[newest]
        return found if found is not None and found.is_active else None

    def until(self, symbol: str, ts_ns: int) -> int | None:
        """Until when what `at` says of a symbol holds; None where no later row is known."""
        later = (time for time in self._versions.get(symbol, {}) if time > ts_ns)
        return min(later, default=None)

    def history(self, symbol: str, ts_ns: int) -> list[Period]:
        """Under which symbols the instrument that has this symbol at a time traded until then.

        Returns
        -------
        list of Period
            Newest first: the symbol itself, then what it was called before. Another instrument that had
            the same symbol at another time is not in it.
        """
        periods: list[Period] = []
        end: int | None = None
        asked = ts_ns
        while True:
            known = self._versions.get(symbol, {})
            renamed = [time for time, one in known.items() if one.previous_symbol and time <= asked]
            start = max(renamed, default=None)
            periods.append(Period(symbol=symbol, start_ns=start, end_ns=end))
            previous = None if start is None else known[start].previous_symbol
            if start is None or previous is None:
                return periods
            # Strictly back in time, so that a symbol that comes and goes ends the walk too.
            symbol, end, asked = previous, start, start - 1

    def rows_at(self, symbols: Sequence[str], slots: Int64s, times: Int64s) -> Int64s:
        """For many rows at once, the place in `column` of what each row's symbol stands for.

        Parameters
        ----------
        symbols : sequence of str
            Symbol of each slot.
        slots, times : numpy.ndarray of int64, shape (n,)
            Slot and time (ns) of each row.

        Returns
        -------
        numpy.ndarray of int64, shape (n,)
            -1 where `at` is None.
        """
        places = np.array([self._places.get(symbol, -1) for symbol in symbols], np.int64)
        found = last_at(places[slots], times, self._bounds, self._times)
        return np.where((found >= 0) & self._active[found], found, -1)

    def column(self, field: str) -> list[Any]:
        """A field of all rows, by place; one None behind them, for the place -1."""
        return [*(getattr(row, field) for row in self._rows), None]

    def saved(self) -> list[list[Any]]:
        """The table as JSON values, for a snapshot."""
        return [[getattr(row, field) for field in _FIELDS] for row in self._rows]

    def _put(self, row: Instrument) -> None:
        known = self._versions.get(row.symbol)
        if known is None:
            if len(self._versions) >= self._max_keys:
                raise FlowError(
                    f"instrument {row.symbol!r} is one more than max_keys = {self._max_keys}; raise it"
                )
            known = self._versions[row.symbol] = {}
        known[row.ts_event] = row
        if len(known) > MAX_VERSIONS:
            del known[min(known)]

    def _arrange(self) -> None:
        """Rows in order of symbol and time, as `last_at` searches them."""
        self.changes += 1
        symbols = sorted(self._versions)
        self._rows = [
            row for symbol in symbols for _, row in sorted(self._versions[symbol].items())
        ]
        counts = [len(self._versions[symbol]) for symbol in symbols]
        self._places = {symbol: place for place, symbol in enumerate(symbols)}
        self._bounds = np.cumsum([0, *counts], dtype=np.int64)
        self._times = np.array([row.ts_event for row in self._rows], np.int64)
        # The place behind all rows is that of none.
        self._active = np.array([*(row.is_active for row in self._rows), False], np.bool_)


def _newest(codes: Int64s, times: Int64s) -> Int64s:
    """Of each code's distinct times the newest `MAX_VERSIONS`, each the last row that has it; ascending."""
    order = np.lexsort((times, codes))
    code, time = codes[order], times[order]
    last = np.ones(len(order), np.bool_)
    last[:-1] = (code[1:] != code[:-1]) | (time[1:] != time[:-1])
    kept = order[last]
    ends = np.searchsorted(codes[kept], codes[kept], side="right")
    newest: Int64s = kept[ends - np.arange(len(kept)) <= MAX_VERSIONS]
    return newest
