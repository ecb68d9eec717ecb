"""Binance websocket messages, spot and futures, live or captured, into trades, quotes and book events.

``trade``, ``aggTrade``, ``bookTicker``, ``depthUpdate`` (diffs) and REST depth snapshots, bare or in the wrapper of
a combined stream (``{"stream": ..., "data": ...}``).

Symbols: a coin pair names different instruments on different markets. On spot, ``BTCUSDT`` is the pair; the
USD-margined perpetual of the same name becomes ``BTCUSDT-PERP``. Futures with a delivery date, and all coin-margined
ones (``BTCUSD_PERP``), have names of their own and keep them.

Times: the venue's transaction time ``T``, else its event time ``E``. Spot book tickers and snapshots carry none; theirs
is the receive time, moved by the largest difference seen lately between an event time and the receive time
of its message (`binance_clock`), which is the clocks' difference less the shortest way here. So quotes and trades are in one
clock, and a quote is never earlier than the venue had it by more than that way varies.

An ``aggTrade`` is one or several ``trade``s of one taker order at one price. Where a symbol's trades are there, its
aggregates are left out, so that no trade counts twice.

References: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams and
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from connectors.feeds.binance_clock import BinanceClock
from connectors.feeds.binance_depth import DepthBooks
from connectors.feeds.binance_kinds import Kinds
from connectors.feeds.binance_numbers import BinanceNumbers
from connectors.feeds.binance_rows import (
    COIN_MARGINED,
    SPOT,
    USD_MARGINED,
    quote_rows,
    renamed,
    trade_rows,
)
from connectors.feeds.capture import CaptureFile
from connectors.feeds.depth import book_rows
from connectors.feeds.messages import MessageParser, Taken, sound
from connectors.feeds.parts import parts
from connectors.feeds.source import Format, Probe, Source
from schemas.arrays import Int64s
from schemas.market import BOOK_EVENTS, QUOTES, TRADES

VENUES = (SPOT, USD_MARGINED, COIN_MARGINED)

_LINE = re.compile(rb"\d{19} \{")
# Behind the answers to subscriptions, which a recording may begin with.
_TELLS = re.compile(
    rb'"lastUpdateId":\d|"e":"(?:trade|aggTrade|bookTicker|depthUpdate)"|@(?:trade|aggTrade|bookTicker|depth)'
)


class BinanceParser(MessageParser):
    """Binance messages of one market, over one connection or several in a row.

    ``books`` is the depth streams' state: it says which symbols wait for a snapshot, and is told to forget
    when a connection begins anew.

    Parameters
    ----------
    venue : str or None
        One of `VENUES`; None takes it from the messages, which differ.
    traded : frozenset of str
        Symbols, as Binance writes them, whose ``trade`` stream is there: their ``aggTrade``s are left out. Those
        whose trades were seen are added.

    Examples
    --------
    >>> parser = BinanceParser()
    >>> message = b'{"e":"trade","E":2,"T":1,"s":"BTCUSDT","t":7,"p":"9.5","q":"2","X":"MARKET","m":true}'
    >>> taken = parser.take([message], np.array([3_000_000]))
    >>> taken.groups[0].rows.batch.select(["symbol", "price", "side"]).to_pylist()
    [{'symbol': 'BTCUSDT-PERP', 'price': 9.5, 'side': 'sell'}]
    """

    topics = (TRADES, QUOTES, BOOK_EVENTS)

    def __init__(self, venue: str | None = None, traded: frozenset[str] = frozenset()) -> None:
        if venue is not None and venue not in VENUES:
            raise ValueError(f"venue {venue!r}: one of {', '.join(VENUES)} was needed")
        self.venue = venue
        self.books = DepthBooks()
        self._traded = set(traded)
        self._symbols: set[str] = set()
        self._numbers = BinanceNumbers()
        self._clock = BinanceClock()

    def take(self, messages: Sequence[bytes], recv_ns: Int64s) -> Taken:
        """Rows of messages (see `MessageParser.take`)."""
        found = Kinds(messages, traded=self._traded, symbols=self._symbols, follows=self._numbers)
        self.venue = self.venue or found.venue()
        venue = self.venue or SPOT
        times_ns = recv_ns + self._clock.ahead(found.sent_ns, recv_ns)
        trades, bad_trades = sound(found.trades, partial(trade_rows, venue=venue))
        quotes, bad_quotes = sound(
            found.tickers, partial(quote_rows, venue=venue, times_ns=times_ns)
        )
        updates, bad_updates = found.updates(times_ns)
        booked = self.books.take(updates)
        names = {name: renamed(name, venue) for name in booked.symbols}
        book = book_rows(booked.updates, venue, names)
        skipped = found.skipped | booked.skipped
        return Taken(
            groups=tuple(group for group in (trades, quotes, book) if len(group.at)),
            faults=tuple(sorted(found.faults + bad_trades + bad_quotes + bad_updates)),
            skipped={why: np.array(at, np.int64) for why, at in skipped.items()},
            notices=tuple(
                replace(notice, symbol=renamed(notice.symbol or "", venue))
                for notice in sorted(found.notices + booked.notices, key=lambda notice: notice.at)
            ),
        )

    def again(self) -> "BinanceParser":
        """A parser that knows the market, and of which symbols there are trades."""
        return BinanceParser(self.venue, frozenset(self._traded))


def snapshot_message(symbol: str, body: bytes) -> bytes:
    """A REST depth snapshot as a message that says whose it is: the answer itself does not."""
    return b'{"stream":"%s@snapshot","data":%s}' % (symbol.lower().encode(), body.strip())


class BinanceCapture(Format):
    """Recorded Binance websocket messages."""

    name = "binance"
    summary = "Binance websocket capture, lines of a receive time in ns, a blank and a message"

    def matches(self, probe: Probe) -> bool:
        """Whether the first lines are Binance messages with receive times."""
        return _LINE.match(probe.first_line) is not None and _TELLS.search(probe.head) is not None

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a capture: its trades, quotes, book events, and what was noticed."""
        file = CaptureFile(probe.path, BinanceParser(), self.name, block_bytes)
        return parts(file)
