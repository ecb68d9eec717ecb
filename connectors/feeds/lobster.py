"""LOBSTER files: every order-book event of one symbol on NASDAQ on one day.

``GOOG_2012-06-21_34200000_57600000_message_10.csv`` (or ``.csv.gz``); symbol and date are taken from the
name. Times are decimal seconds since midnight in New York with up to nine digits and are read exactly.
Where the orderbook file of the same name lies beside it, both are read together
(`connectors.feeds.lobster_pair`).

Source: LOBSTER_SampleFiles_ReadMe.txt (1 September 2013). Type 2 (partial) and 3 (whole) deletions are
both ``cancel`` with the size taken away; 4 is ``execute``, 5 ``hidden_execute``, 7 ``halt`` with the state
in its price (-1 halted, 0 quoting, 1 trading).
"""

import re
from functools import partial
from pathlib import Path

import pyarrow as pa

from connectors.feeds.lobster_rows import COLUMNS, rows_of, understood
from connectors.feeds.source import FeedError, Format, Probe, Rows, Source
from connectors.feeds.text import Layout, TextSource
from connectors.feeds.times import new_york_midnight
from schemas.market import BOOK_EVENTS

_FILE = re.compile(
    r"(?P<symbol>.+)_(?P<date>\d{4}-\d\d-\d\d)_\d+_\d+_(?P<kind>message|orderbook)_(?P<levels>\d+)\.csv(\.gz)?",
    re.IGNORECASE,
)
_LINE = re.compile(rb"[\d.]+,\d,\d+,\d+,-?\d+,-?1")


class Lobster(Format):
    """LOBSTER message files, alone or with their orderbook files."""

    name = "lobster"
    summary = (
        "LOBSTER messages, SYMBOL_YYYY-MM-DD_start_end_message_LEVELS.csv or .csv.gz, with the orderbook "
        "file beside them if there is one"
    )

    def matches(self, probe: Probe) -> bool:
        """Whether name and first line are a message file's."""
        named = _FILE.fullmatch(probe.path.name)
        return (
            named is not None
            and named["kind"].lower() == "message"
            and _LINE.fullmatch(probe.first_line) is not None
        )

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a message file, with the orderbook file beside it if there is one."""
        named = _FILE.fullmatch(probe.path.name)
        if named is None:
            raise FeedError(
                f"{probe}: the name is not a LOBSTER message file's, such as "
                "GOOG_2012-06-21_34200000_57600000_message_10.csv.gz; symbol and date are taken from it"
            )
        symbol, midnight_ns = named["symbol"].upper(), new_york_midnight(named["date"])
        layout = Layout(
            topic=BOOK_EVENTS,
            columns=COLUMNS,
            build=partial(_book_events, symbol=symbol, midnight_ns=midnight_ns),
            required=tuple(COLUMNS),
        )
        orderbook = _orderbook_beside(probe.path)
        if orderbook is None:
            return (TextSource(probe.path, layout, block_bytes),)
        from connectors.feeds.lobster_pair import PairSource  # noqa: PLC0415 - brings numba, which no other file needs

        pair = PairSource(
            probe.path,
            orderbook,
            layout,
            block_bytes,
            levels=int(named["levels"]),
            symbol=symbol,
            midnight_ns=midnight_ns,
        )
        return (pair,)


def is_orderbook(name: str) -> bool:
    """Whether a file name is that of the orderbook file beside a message file."""
    named = _FILE.fullmatch(name)
    return named is not None and named["kind"].lower() == "orderbook"


def _orderbook_beside(path: Path) -> Path | None:
    named = _FILE.fullmatch(path.name)
    if named is None:
        return None
    start, end = named.span("kind")
    stem = path.name.removesuffix(".gz")
    for name in (f"{stem[:start]}orderbook{stem[end:]}{suffix}" for suffix in ("", ".gz")):
        if path.with_name(name).is_file():
            return path.with_name(name)
    return None


def _book_events(columns: pa.RecordBatch, *, symbol: str, midnight_ns: int) -> Rows:
    return rows_of(understood(columns, midnight_ns), symbol)
