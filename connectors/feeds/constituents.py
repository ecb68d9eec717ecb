"""Lists of an index's members as CSV, into `instruments`: ``sp500_constituents_2021-06-05.csv``.

The name says the day from which on the list holds (00:00 UTC). The first line names the columns ``Symbol``, ``Name`` or
``Security``, and ``Sector`` or ``GICS Sector``; others are not read. Members are US stocks: prices in USD.

Source: https://github.com/datasets/s-and-p-500-companies.
"""

import csv
import re
from datetime import UTC
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.feeds.categories import constant
from connectors.feeds.source import FeedError, Format, Probe, Rows, Source
from connectors.feeds.text import Layout, TextSource
from connectors.feeds.times import midnight
from schemas.field import TIMESTAMP
from schemas.instruments import INSTRUMENTS

_FILE = re.compile(r".+_constituents_(?P<date>\d{4}-\d\d-\d\d)\.csv(\.gz)?", re.IGNORECASE)
_FIELDS = {
    "symbol": "symbol",
    "name": "name",
    "security": "name",
    "sector": "sector",
    "gics sector": "sector",
}
_WANTED = ("name", "sector", "symbol")


class Constituents(Format):
    """Lists of an index's members."""

    name = "constituents"
    summary = "members of an index, INDEX_constituents_YYYY-MM-DD.csv with Symbol, Name, Sector"

    def matches(self, probe: Probe) -> bool:
        """Whether the name says the day, and the first line the columns."""
        return _FILE.fullmatch(probe.path.name) is not None and _is_list(_columns(probe))

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a list."""
        named, names = _FILE.fullmatch(probe.path.name), _columns(probe)
        if named is None or not _is_list(names):
            raise FeedError(
                f"{probe}: a name such as sp500_constituents_2021-06-05.csv and the columns Symbol, Name and "
                "Sector were needed"
            )
        fields = [_FIELDS.get(name, "") for name in names]
        layout = Layout(
            topic=INSTRUMENTS,
            # Columns that are not read need names of their own.
            columns={
                field or f"{at}": pa.string() if field else pa.null()
                for at, field in enumerate(fields)
            },
            build=partial(_rows, from_ns=midnight(named["date"], UTC)),
            required=("symbol",),
            header=True,
            quoted=True,
        )
        return (TextSource(probe.path, layout, block_bytes, whole_scan=True),)


def _columns(probe: Probe) -> list[str]:
    line = probe.first_line.decode("utf-8-sig", errors="replace")
    return [name.strip().lower() for name in next(csv.reader([line]), [])]


def _is_list(names: list[str]) -> bool:
    return tuple(sorted(_FIELDS[name] for name in names if name in _FIELDS)) == _WANTED


def _rows(columns: pa.RecordBatch, *, from_ns: int) -> Rows:
    rows = columns.num_rows
    times = pa.array(np.full(rows, from_ns, np.int64)).view(TIMESTAMP)
    batch = INSTRUMENTS.batch(
        {
            "symbol": pc.utf8_upper(columns.column("symbol")),
            "ts_event": times,
            "ts_recv": times,
            "type": constant("stock", rows),
            "name": columns.column("name"),
            "currency": constant("USD", rows),
            "sector": columns.column("sector"),
            "calendar": constant("XNYS", rows),
            "is_active": np.ones(rows, np.bool_),
        }
    )
    return Rows(batch=batch)
