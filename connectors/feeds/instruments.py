"""Tables of instruments as CSV: one line for each symbol and time from which on it holds.

The first line names the columns, in any order: ``symbol``, ``valid_from`` and ``currency`` must be there,
all other fields of the topic may be. ``valid_from`` is a date (00:00 UTC of that day) or an RFC 3339 time
with its zone. An empty value is undefined, or the field's default where it has one.
"""

import csv
from difflib import get_close_matches
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.feeds.source import FeedError, Format, Probe, Rows, Source
from connectors.feeds.text import Layout, TextSource
from schemas.field import CATEGORY, RECEIVE_TIME, TEXT, TIMESTAMP
from schemas.instruments import INSTRUMENTS

_FROM = "valid_from"
_REQUIRED = ("symbol", _FROM, "currency")
_SYMBOLS = ("symbol", "previous_symbol")
_KINDS = {
    _FROM if field.name == INSTRUMENTS.event_time else field.name: (
        pa.string() if field.type in (CATEGORY, TEXT, TIMESTAMP) else field.type
    )
    for field in INSTRUMENTS.fields
    if field.name != RECEIVE_TIME
}
_DATE = r"\d{4}-\d\d-\d\d"
_TIME = rf"^{_DATE}([T ]\d\d:\d\d(:\d\d(\.\d{{1,9}})?)?(Z|[+-]\d\d:?\d\d))?$"
_REFUSED = (
    f"column {_FROM}: a date or an RFC 3339 time with its zone was needed, such as 2013-10-07"
)


class Instruments(Format):
    """CSV tables of instruments."""

    name = "instruments"
    summary = f"a CSV table of instruments whose first line names {', '.join(_REQUIRED)} and others"

    def matches(self, probe: Probe) -> bool:
        """Whether the first line names the columns that a table of instruments must have."""
        return set(_REQUIRED) <= set(_columns(probe))

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a table.

        Raises
        ------
        FeedError
            Where a column is missing, twice there or not known.
        """
        names = _columns(probe)
        missing = [name for name in _REQUIRED if name not in names]
        if missing:
            raise FeedError(f"{probe}: a table of instruments needs column {', '.join(missing)}")
        for name in names:
            if name not in _KINDS:
                near = get_close_matches(name, _KINDS, n=1)
                meant = f"; is {near[0]} meant?" if near else ""
                raise FeedError(
                    f"{probe}: a table of instruments has no column {name!r}{meant} It has "
                    f"{', '.join(_KINDS)}"
                )
        if len(set(names)) < len(names):
            raise FeedError(f"{probe}: a column is named twice")
        layout = Layout(
            topic=INSTRUMENTS,
            columns={name: _KINDS[name] for name in names},
            build=partial(_rows, names=names),
            required=_REQUIRED,
            header=True,
            quoted=True,
        )
        return (TextSource(probe.path, layout, block_bytes, whole_scan=True),)


def _columns(probe: Probe) -> list[str]:
    line = probe.first_line.decode("utf-8-sig", errors="replace")
    return [name.strip().lower() for name in next(csv.reader([line]), [])]


def _rows(columns: pa.RecordBatch, *, names: list[str]) -> Rows:
    times, refused = _times(columns.column(_FROM))
    values = {INSTRUMENTS.event_time: times, RECEIVE_TIME: times}
    for field in INSTRUMENTS.fields:
        if field.name in values:
            continue
        if field.name in names:
            column = columns.column(field.name)
        else:
            column = pa.nulls(columns.num_rows, _KINDS[field.name])
        if field.name in _SYMBOLS:
            column = pc.utf8_upper(column)
        if field.default is not None:
            column = column.fill_null(field.default)
        values[field.name] = column
    return Rows(batch=INSTRUMENTS.batch(values), refused={_REFUSED: refused})


def _times(texts: pa.StringArray) -> tuple[pa.Array, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """Times, and which texts are none; those are 1970."""
    shaped = pc.match_substring_regex(texts, _TIME)
    whole = pc.if_else(
        pc.equal(pc.utf8_length(texts), 10),
        pc.binary_join_element_wise(texts, "T00:00Z", ""),
        texts,
    )
    epoch = pa.scalar("1970-01-01T00:00Z")
    try:
        return pc.if_else(shaped, whole, epoch).cast(TIMESTAMP), _not(shaped)
    except pa.ArrowInvalid:
        # Some text is shaped like a time and is none, such as 2013-02-30: it is found one by one.
        found = [_time(text) for text in pc.if_else(shaped, whole, "").to_pylist()]
        refused = np.array([time is None for time in found], np.bool_)
        return pa.array([time or 0 for time in found], pa.int64()).view(TIMESTAMP), refused


def _time(text: str) -> int | None:
    try:
        time: int = pa.scalar(text).cast(TIMESTAMP).value
    except pa.ArrowInvalid:
        return None
    return time


def _not(mask: pa.BooleanArray) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    inverted: np.ndarray[tuple[int], np.dtype[np.bool_]] = pc.invert(mask).to_numpy(
        zero_copy_only=False
    )
    return inverted
