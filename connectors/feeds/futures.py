"""Futures trades in QuantConnect/LEAN's tick zips: ``20131007_trade.zip``, one member for each expiry.

A member is ``20131007_gc_tick_trade_201312.csv``; it is a part of the file of its own, with the symbol GC201312 (root and
month of delivery). The venue is that of the root. Lines are milliseconds since midnight UTC (the day's pause in the gold
files is 21:15 to 22:00, which is 17:15 to 18:00 in New York), price, contracts, the vendor's exchange code (not
used: it is ``usa``), condition and a suspicious flag.

A line of no contracts is a price at which nothing changed hands (247 of the 92,514 lines of 7 and 8 October 2013): it is
a row, but sets nothing of a bar, and so does a suspicious one.
"""

import re
from datetime import UTC
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from connectors.feeds.categories import constant
from connectors.feeds.source import FeedError, Format, Probe, Rows, Source
from connectors.feeds.text import Layout, TextSource
from connectors.feeds.times import midnight, milliseconds
from schemas.arrays import Bools
from schemas.field import CATEGORY, FLOAT
from schemas.market import TRADES

_MEMBER = re.compile(
    r"(?P<date>\d{8})_(?P<root>[a-z0-9]+)_tick_trade_(?P<expiry>\d{6})\.csv", re.IGNORECASE
)
_LINE = re.compile(rb"\d+,[\d.]+,\d+,[A-Za-z]*,[0-9A-Za-z]*,[01]")
# COMEX's roots; the venue of others is not known from the files.
_VENUES = {"GC": "COMEX", "SI": "COMEX", "HG": "COMEX"}
_COLUMNS = {
    "ms": pa.int64(),
    "price": FLOAT,
    "size": FLOAT,
    "exchange": pa.null(),
    "condition": CATEGORY,
    "suspicious": pa.int64(),
}
_REQUIRED = ("ms", "price", "size", "suspicious")


class Futures(Format):
    """LEAN's futures tick files."""

    name = "futures"
    summary = "LEAN futures tick zip, YYYYMMDD_trade.zip with one member for each expiry"

    def matches(self, probe: Probe) -> bool:
        """Whether all members are expiries and the first line is a trade."""
        named = bool(probe.members) and all(_MEMBER.fullmatch(name) for name in probe.members)
        return named and _LINE.fullmatch(probe.first_line) is not None

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a day's file: a part for each expiry."""
        return tuple(_member(probe, name, block_bytes) for name in probe.members)


def _member(probe: Probe, name: str, block_bytes: int) -> Source:
    named = _MEMBER.fullmatch(name)
    if named is None:
        raise FeedError(
            f"{probe}: member {name} is not named as futures trades are, such as "
            "20131007_gc_tick_trade_201312.csv; root, expiry and date are taken from it"
        )
    root = named["root"].upper()
    if root not in _VENUES:
        raise FeedError(
            f"{probe}: the venue of root {root} is not known; known are {', '.join(_VENUES)}. Feed it as CSV "
            "with a column mapping (--mapping) that names the venue"
        )
    build = partial(
        _trades,
        symbol=root + named["expiry"],
        venue=_VENUES[root],
        midnight_ns=midnight(named["date"], UTC),
    )
    layout = Layout(topic=TRADES, columns=_COLUMNS, build=build, required=_REQUIRED)
    return TextSource(probe.path, layout, block_bytes, member=name)


def _trades(columns: pa.RecordBatch, *, symbol: str, venue: str, midnight_ns: int) -> Rows:
    ts_event, refused = milliseconds(columns, midnight_ns)
    flags = columns.column("suspicious").to_numpy(zero_copy_only=False)
    refused["column suspicious: 0 or 1 was needed"] = (flags != 0) & (flags != 1)
    size = columns.column("size").to_numpy(zero_copy_only=False)
    sets = pa.array((flags == 0) & (size > 0))
    batch = TRADES.batch(
        {
            "symbol": constant(symbol, columns.num_rows),
            "venue": constant(venue, columns.num_rows),
            "ts_event": ts_event,
            "ts_recv": ts_event,
            "price": columns.column("price"),
            "size": columns.column("size"),
            "conditions": _conditions(columns, flags == 1),
            "updates_high_low": sets,
            "updates_last": sets,
            "updates_volume": sets,
            "action": constant("new", columns.num_rows),
        }
    )
    return Rows(batch=batch, refused=refused)


def _conditions(columns: pa.RecordBatch, suspicious: Bools) -> pa.Array:
    given = columns.column("condition").cast(pa.string())
    if not suspicious.any():
        return given
    marked = pc.binary_join_element_wise(pc.fill_null(given, ""), "suspicious", ";")
    return pc.if_else(pa.array(suspicious), marked, given)
