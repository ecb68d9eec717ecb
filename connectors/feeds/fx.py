"""Dealers' FX quotes in QuantConnect/LEAN's tick zips: ``fxcm_eurusd/20140501_quote.zip``.

A file is one pair, one day, one dealer; the member is ``20140501_eurusd_tick_quote.csv``. Symbol and date
are taken from the member's name, the dealer (the venue) from a folder's: ``fxcm_eurusd``, or ``fxcm`` as LEAN has it. Lines
are milliseconds since midnight, bid and ask; neither size nor condition is told.

Midnight is UTC for Oanda, and five hours later, all the year, for FXCM (UTC-5, without daylight saving time): the
mid prices of the two dealers on 1 to 7 May 2014 correlate by 0.85 to 0.99 at that shift, and at no other, and
FXCM's week begins and ends five hours later than Oanda's if both are read as UTC.
"""

import re
from datetime import UTC, timedelta, timezone, tzinfo
from functools import partial
from pathlib import Path

import pyarrow as pa

from connectors.feeds.categories import constant
from connectors.feeds.source import FeedError, Format, Probe, Rows, Source
from connectors.feeds.text import Layout, TextSource
from connectors.feeds.times import midnight, milliseconds
from schemas.field import FLOAT
from schemas.market import QUOTES

_MEMBER = re.compile(r"(?P<date>\d{8})_(?P<symbol>[a-z]+)_tick_quote\.csv", re.IGNORECASE)
_LINE = re.compile(rb"\d+,\d*\.\d+,\d*\.\d+")
_ZONES: dict[str, tzinfo] = {"FXCM": timezone(timedelta(hours=-5)), "OANDA": UTC}
_COLUMNS = {"ms": pa.int64(), "bid": FLOAT, "ask": FLOAT}


class Fx(Format):
    """LEAN's FX tick files."""

    name = "fx"
    summary = "LEAN FX tick zip of a dealer, fxcm_SYMBOL/YYYYMMDD_quote.zip or oanda_SYMBOL/…"

    def matches(self, probe: Probe) -> bool:
        """Whether member and first line are a dealer's quotes."""
        named = _MEMBER.fullmatch(probe.member) is not None
        return named and _LINE.fullmatch(probe.first_line) is not None

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a day's file."""
        named = _MEMBER.fullmatch(probe.member)
        if named is None:
            raise FeedError(
                f"{probe}: its member is not named as FX quotes are, such as "
                "20140501_eurusd_tick_quote.csv; symbol and date are taken from it"
            )
        dealer = _dealer(probe.path)
        build = partial(
            _quotes,
            symbol=named["symbol"].upper(),
            venue=dealer,
            midnight_ns=midnight(named["date"], _ZONES[dealer]),
        )
        layout = Layout(topic=QUOTES, columns=_COLUMNS, build=build, required=tuple(_COLUMNS))
        return (TextSource(probe.path, layout, block_bytes),)


def _dealer(path: Path) -> str:
    for folder in reversed(path.absolute().parent.parts):
        dealer = folder.partition("_")[0].upper()
        if dealer in _ZONES:
            return dealer
    raise FeedError(
        f"{path}: which dealer quotes is taken from the folder, such as fxcm_eurusd; known are "
        f"{', '.join(_ZONES)}, whose time zones differ"
    )


def _quotes(columns: pa.RecordBatch, *, symbol: str, venue: str, midnight_ns: int) -> Rows:
    ts_event, refused = milliseconds(columns, midnight_ns)
    none = pa.nulls(columns.num_rows, FLOAT)
    batch = QUOTES.batch(
        {
            "symbol": constant(symbol, columns.num_rows),
            "venue": constant(venue, columns.num_rows),
            "ts_event": ts_event,
            "ts_recv": ts_event,
            "bid": columns.column("bid"),
            "bid_size": none,
            "ask": columns.column("ask"),
            "ask_size": none,
        }
    )
    return Rows(batch=batch, refused=refused)
