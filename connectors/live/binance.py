"""Binance's public streams, spot and USD-margined futures: trades, best quotes, and depth with its snapshots.

What messages mean is `connectors.feeds.binance`'s business, the same for a wire and its recording. Here is what only
a live feed needs: addresses, subscriptions, limits, and asking for a snapshot where a book waits for one.

A new connection does not by itself make books anew: update numbers go on over connections, so a book
that lost nothing is still whole, and one that lost something says so with its next update. A recording,
in which connections cannot be seen, gives the same rows.

References: "WebSocket Streams for Binance" (spot: 5 messages a second to it, 300 connections in 5 minutes, 1,024
streams, REST weight 6,000 a minute) and "USDⓈ-M Futures, Websocket Market Streams" (10 messages a second, 1,024
streams, REST weight 2,400 a minute).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from connectors.feeds.binance import BinanceParser, snapshot_message
from connectors.feeds.binance_rows import SPOT, USD_MARGINED, renamed
from connectors.feeds.source import FeedError
from connectors.live.adapter import Adapter, Limits, Message, Noticed, Parsed, Request
from connectors.live.rates import Rate
from connectors.live.taken import parsed_from

CHANNELS = ("trade", "aggTrade", "bookTicker", "depth")
DEFAULT_CHANNELS = ("trade", "bookTicker", "depth")

_STREAMS = 1024
# Pings tell a dead connection from a quiet market; a connection that is answered but given nothing is left too.
_SILENCE_S = 300.0
# Names of one subscription message: a few kilobytes.
_NAMES = 100
# Messages about the connection say so at once.
_HEAD_BYTES = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """One of Binance's markets.

    Parameters
    ----------
    source, venue : str
        Names of the live source and of the venue.
    url, rest_url : str
        Of the combined streams and of the REST interface.
    path : str
        Of the depth snapshot.
    depth : str
        Name of the depth stream behind the symbol.
    levels, weight : int
        Levels a side of a snapshot, the most that its weight pays for, and that weight.
    limits : Limits
        What the venue allows.
    """

    source: str
    venue: str
    url: str
    rest_url: str
    path: str
    depth: str
    levels: int
    weight: int
    limits: Limits


MARKETS = {
    "binance": Market(
        source="binance.spot",
        venue=SPOT,
        url="wss://stream.binance.com:9443/stream",
        rest_url="https://api.binance.com",
        path="/api/v3/depth",
        depth="depth@100ms",
        levels=1000,
        weight=50,
        limits=Limits(
            connects=Rate(count=300, seconds=300.0),
            # Pings and pongs count too: of 5 a second, two are left for those.
            sends=Rate(count=3, seconds=1.0),
            requests=Rate(count=6000, seconds=60.0),
            silence_s=_SILENCE_S,
        ),
    ),
    "binance-usdm": Market(
        source="binance.usdm",
        venue=USD_MARGINED,
        url="wss://fstream.binance.com/stream",
        rest_url="https://fapi.binance.com",
        path="/fapi/v1/depth",
        depth="depth@100ms",
        levels=1000,
        weight=20,
        limits=Limits(
            connects=Rate(count=300, seconds=300.0),
            sends=Rate(count=8, seconds=1.0),
            requests=Rate(count=2400, seconds=60.0),
            silence_s=_SILENCE_S,
        ),
    ),
}


class BinanceAdapter(Adapter):
    """One of Binance's markets.

    Parameters
    ----------
    market : Market
        Which.
    symbols : sequence of str
        As Binance writes them, in any case.
    channels : sequence of str
        Some of `CHANNELS`.
    url, rest_url : str
        In place of the market's own, where they are not empty.

    Raises
    ------
    FeedError
        For an unknown channel, both kinds of trades, or more streams than a connection may have.
    """

    def __init__(
        self,
        market: Market,
        *,
        symbols: Sequence[str],
        channels: Sequence[str] = (),
        url: str = "",
        rest_url: str = "",
    ) -> None:
        self.source = market.source
        self.url = url or market.url
        self.limits = market.limits
        self._market = market
        self._rest_url = (rest_url or market.rest_url).rstrip("/")
        self._streams = _streams(market, symbols, tuple(channels) or DEFAULT_CHANNELS)
        self._parser = BinanceParser(venue=market.venue)

    def opened(self) -> list[str]:
        """The subscriptions, a hundred streams a message."""
        if not self._streams:
            raise FeedError("Binance wants to know what to send; say --symbols BTCUSDT,ETHUSDT")
        return [
            orjson.dumps(
                {
                    "method": "SUBSCRIBE",
                    "params": self._streams[at : at + _NAMES],
                    "id": at // _NAMES + 1,
                }
            ).decode()
            for at in range(0, len(self._streams), _NAMES)
        ]

    def parse(self, messages: Sequence[Message]) -> Parsed:
        """Rows of messages, and a request for each book that waits for a snapshot."""
        recv_ns = np.array([message.recv_ns for message in messages], np.int64)
        taken = self._parser.take([message.payload for message in messages], recv_ns)
        parsed = parsed_from(taken, messages, recv_ns)
        for skipped in taken.skipped.values():
            for at in skipped.tolist():
                _look_at(messages[at], parsed)
        parsed.requests = [self._snapshot(symbol) for symbol in self._parser.books.waiting]
        return parsed

    def answered(self, request: Request, body: bytes) -> bytes:
        """A snapshot with the symbol that it is of."""
        return snapshot_message(request.key, body)

    def failed(self, request: Request, ts_ns: int, why: str) -> Parsed:
        """Ask again, and say so."""
        failure = Noticed(
            kind="snapshot_failed",
            ts_ns=ts_ns,
            stream="depth",
            symbol=renamed(request.key, self._market.venue),
            detail=why,
        )
        return Parsed(noticed=[failure], requests=[request])

    def _snapshot(self, symbol: str) -> Request:
        market = self._market
        return Request(
            key=symbol,
            url=f"{self._rest_url}{market.path}?symbol={symbol}&limit={market.levels}",
            cost=market.weight,
        )


def _streams(market: Market, symbols: Sequence[str], channels: Sequence[str]) -> list[str]:
    unknown = [channel for channel in channels if channel not in CHANNELS]
    if unknown:
        raise FeedError(f"Binance has no channel {unknown[0]!r}; there are {', '.join(CHANNELS)}")
    if {"trade", "aggTrade"} <= set(channels):
        raise FeedError("trade and aggTrade tell of the same trades: name one of these channels")
    names = [market.depth if channel == "depth" else channel for channel in channels]
    streams = [f"{symbol.lower()}@{name}" for symbol in symbols for name in names]
    if len(streams) > _STREAMS:
        raise FeedError(
            f"{len(streams)} streams are more than the {_STREAMS} that a connection may have; name fewer "
            "symbols or channels, and feed the others beside it with another --source"
        )
    return streams


def _look_at(message: Message, parsed: Parsed) -> None:
    """What the venue says of the connection itself: answers to subscriptions, errors, a farewell."""
    head = message.payload[:_HEAD_BYTES]
    if not any(word in head for word in (b'"result"', b'"error"', b'"code"', b"serverShutdown")):
        return
    value: dict[str, Any] = orjson.loads(message.payload)
    error = value.get("error") or value
    if not isinstance(error, dict):
        error = {"code": None, "msg": error}
    if "code" in error:
        detail = f"{error['code']} {error.get('msg')}"
        parsed.noticed.append(Noticed(kind="venue_error", ts_ns=message.recv_ns, detail=detail))
        parsed.refusal = f"{detail}; see the symbols"
    elif "result" in value:
        parsed.noticed.append(
            Noticed(kind="subscribed", ts_ns=message.recv_ns, detail=f"request {value.get('id')}")
        )
    else:
        parsed.reconnect = "the venue's server shuts down"
