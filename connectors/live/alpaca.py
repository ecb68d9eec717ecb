"""Alpaca's market-data streams (stocks v2, crypto v1beta3): trades, quotes, corrections, cancels, minute bars.

Alpaca numbers no message, so what is lost shows only as a lost connection. A correction or cancel
names the trade by its id. A stock quote is the best bid and offer of the feed, of two exchanges maybe, so its
venue is the feed's (``SIP``); that of the IEX feed is IEX itself (``V``). The sale conditions of a stock's trade say what
it sets of a bar (`connectors.feeds.conditions.live_updates`).

The messages are those of Alpaca's documentation, "Real-time Stock Data" and "Real-time Crypto Data".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from connectors.feeds.conditions import live_updates
from connectors.feeds.messages import MALFORMED
from connectors.feeds.source import FeedError
from connectors.live.adapter import (
    Adapter,
    Bad,
    Limits,
    Message,
    Noticed,
    Parsed,
)
from connectors.live.rates import Rate
from connectors.live.rows import Rows
from connectors.live.values import converter, time_ns
from schemas.market import QUOTES, TRADES
from schemas.topic import Topic
from schemas.vendor_bars import VENDOR_BARS

CHANNELS = ("trades", "quotes", "bars", "updatedBars")
DEFAULT_CHANNELS = ("trades", "quotes")

_CREDENTIALS = ("alpaca_key", "alpaca_secret")

_MINUTE_NS = 60_000_000_000

# Trying again mends none of these: bad request, wrong key, too many symbols, no such subscription.
_FATAL_CODES = frozenset({400, 402, 405, 408, 409, 410})
# "Already authenticated": the connection is of use all the same.
_HARMLESS_CODES = frozenset({403})

_TAKER_SIDES = {"B": "buy", "S": "sell"}


@dataclass(frozen=True, slots=True, kw_only=True)
class AlpacaFeed:
    """One of Alpaca's feeds: its source name, address and the venue of its quotes."""

    source: str
    url: str
    venue: str


FEEDS = {
    "alpaca": AlpacaFeed(
        source="alpaca.iex", url="wss://stream.data.alpaca.markets/v2/iex", venue="V"
    ),
    "alpaca-sip": AlpacaFeed(
        source="alpaca.sip", url="wss://stream.data.alpaca.markets/v2/sip", venue="SIP"
    ),
    "alpaca-crypto": AlpacaFeed(
        source="alpaca.crypto",
        url="wss://stream.data.alpaca.markets/v1beta3/crypto/us",
        venue="ALPACA",
    ),
}


class AlpacaAdapter(Adapter):
    """One of Alpaca's streams.

    Parameters
    ----------
    feed : AlpacaFeed
        Which.
    symbols : sequence of str
        What to subscribe to; ``*`` for all.
    credentials : mapping of str to str
        ``alpaca_key`` and ``alpaca_secret``.
    channels : sequence of str
        Some of `CHANNELS`.
    url : str
        In place of the feed's own, where it is not empty.

    Raises
    ------
    FeedError
        For an unknown channel.
    """

    limits = Limits(
        # One connection an account is what most subscriptions have: never a second one at once.
        connects=Rate(count=1, seconds=1.0),
        sends=Rate(count=5, seconds=1.0),
        requests=Rate(count=1, seconds=1.0),
    )

    def __init__(
        self,
        feed: AlpacaFeed,
        *,
        symbols: Sequence[str],
        credentials: Mapping[str, str],
        channels: Sequence[str] = (),
        url: str = "",
    ) -> None:
        self.source = feed.source
        self.url = url or feed.url
        wanted = tuple(channels) or DEFAULT_CHANNELS
        unknown = [channel for channel in wanted if channel not in CHANNELS]
        if unknown:
            raise FeedError(
                f"Alpaca has no channel {unknown[0]!r}; there are {', '.join(CHANNELS)}"
            )
        self._credentials = credentials
        self._asked = {channel: sorted(symbols) for channel in wanted}
        self._venue = feed.venue
        self._read = {
            "t": (TRADES, self._trade),
            "c": (TRADES, self._correction),
            "x": (TRADES, self._cancel),
            "q": (QUOTES, self._quote),
            "b": (VENDOR_BARS, self._bar),
            "u": (VENDOR_BARS, self._bar),
        }

    def opened(self) -> list[str]:
        """The authentication; the subscription follows its answer."""
        if not any(self._asked.values()):
            raise FeedError("Alpaca wants to know what to send; say --symbols AAPL,MSFT")
        for name in _CREDENTIALS:
            if not self._credentials.get(name):
                raise FeedError(
                    f"Alpaca needs the credential {name}; put it under [credentials] in tapeflow.toml, "
                    'or into TAPEFLOW_CREDENTIALS as JSON: {"alpaca_key": "…", "alpaca_secret": "…"}'
                )
        key, secret = (self._credentials[name] for name in _CREDENTIALS)
        return [_said(action="auth", key=key, secret=secret)]

    def parse(self, messages: Sequence[Message]) -> Parsed:
        """Rows of data messages; a part of a message that is no row is a bad message by itself."""
        parsed = Parsed()
        rows = Rows()
        for message in messages:
            try:
                parts = orjson.loads(message.payload)
            except orjson.JSONDecodeError as error:
                parsed.bad.append(Bad(message.number, f"no JSON: {error}", message.payload))
                continue
            for part in parts if isinstance(parts, list) else [parts]:
                try:
                    self._take(part, message, rows, parsed)
                except MALFORMED as error:
                    parsed.bad.append(Bad(message.number, str(error), orjson.dumps(part)))
        parsed.groups = rows.groups()
        return parsed

    def _take(self, part: Any, message: Message, rows: Rows, parsed: Parsed) -> None:
        kind = part.get("T") if isinstance(part, dict) else None
        known = self._read.get(kind) if isinstance(kind, str) else None
        if known is not None:
            topic, read = known
            rows.add(topic, message.number, message.recv_ns, _converted(topic, read(part)))
        elif kind == "success":
            if part.get("msg") == "authenticated":
                parsed.sends.append(_said(action="subscribe", **self._asked))
        elif kind == "subscription":
            self._subscription(part, message, parsed)
        elif kind == "error":
            self._error(part, message, parsed)
        else:
            raise ValueError(f"T {kind!r}: no message that is subscribed to")

    def _subscription(self, part: dict[str, Any], message: Message, parsed: Parsed) -> None:
        missing = [
            f"{channel} of {symbol}"
            for channel, symbols in self._asked.items()
            for symbol in symbols
            if symbol not in (part.get(channel) or ())
        ]
        detail = ", ".join(f"{channel} {' '.join(self._asked[channel])}" for channel in self._asked)
        if missing:
            detail = f"the venue leaves out {', '.join(missing)}"
        parsed.noticed.append(
            Noticed(
                kind="venue_error" if missing else "subscribed",
                ts_ns=message.recv_ns,
                detail=detail,
            )
        )

    def _error(self, part: dict[str, Any], message: Message, parsed: Parsed) -> None:
        code, detail = part.get("code"), f"{part.get('code')} {part.get('msg')}"
        parsed.noticed.append(Noticed(kind="venue_error", ts_ns=message.recv_ns, detail=detail))
        if code in _FATAL_CODES:
            parsed.refusal = f"{detail}; see the credentials, symbols and subscription"
        if code not in _HARMLESS_CODES:
            parsed.reconnect = detail

    def _trade(self, part: dict[str, Any]) -> dict[str, Any]:
        return {
            "symbol": part.get("S"),
            "venue": part.get("x") or self._venue,
            "ts_event": part.get("t"),
            "price": part.get("p"),
            "size": part.get("s"),
            "side": _TAKER_SIDES.get(part.get("tks", "")),
            **self._sold(part, "c"),
            "trade_id": part.get("i"),
        }

    def _correction(self, part: dict[str, Any]) -> dict[str, Any]:
        return {
            "symbol": part.get("S"),
            "venue": part.get("x") or self._venue,
            "ts_event": part.get("t"),
            "price": part.get("cp"),
            "size": part.get("cs"),
            **self._sold(part, "cc"),
            "trade_id": part.get("ci"),
            "action": "correct",
            "ref_trade_id": part.get("oi"),
        }

    def _sold(self, part: dict[str, Any], name: str) -> dict[str, Any]:
        """Sale conditions, and what they let the trade set; crypto trades have none."""
        codes = part.get(name)
        if not isinstance(codes, list):
            return {}
        letters = "".join(code for code in codes if isinstance(code, str))
        high_low, last, volume = live_updates(letters, str(part.get("z")))
        return {
            "conditions": _codes(codes),
            "updates_high_low": high_low,
            "updates_last": last,
            "updates_volume": volume,
        }

    def _cancel(self, part: dict[str, Any]) -> dict[str, Any]:
        return {
            "symbol": part.get("S"),
            "venue": part.get("x") or self._venue,
            "ts_event": part.get("t"),
            "price": part.get("p"),
            "size": part.get("s"),
            "action": "cancel",
            "ref_trade_id": part.get("i"),
        }

    def _quote(self, part: dict[str, Any]) -> dict[str, Any]:
        return {
            "symbol": part.get("S"),
            "venue": self._venue,
            "ts_event": part.get("t"),
            # A side without a quote has price 0.
            "bid": part.get("bp") or None,
            "bid_size": part.get("bs"),
            "ask": part.get("ap") or None,
            "ask_size": part.get("as"),
            "condition": _codes(part.get("c")),
        }

    def _bar(self, part: dict[str, Any]) -> dict[str, Any]:
        start_ns = time_ns(part.get("t"), "iso")
        return {
            "symbol": part.get("S"),
            "venue": self._venue,
            "interval": "1m",
            "price_type": "trade",
            "ts_event": start_ns + _MINUTE_NS,
            "ts_start": start_ns,
            "open": part.get("o"),
            "high": part.get("h"),
            "low": part.get("l"),
            "close": part.get("c"),
            "volume": part.get("v"),
        }


def _converted(topic: Topic, row: dict[str, Any]) -> dict[str, Any]:
    """Field values of the right types; a needed one that is missing is left to the validation."""
    converted = {}
    for name, given in row.items():
        value = given
        if name.startswith("ts_") and isinstance(value, str):
            value = time_ns(value, "iso")
        converted[name] = _CONVERTERS[topic.name][name](value)
    return converted


def _codes(codes: Any) -> str | None:
    """Condition codes as one text; a space is a code of its own (a regular sale)."""
    if not isinstance(codes, list):
        return None
    return ",".join(str(code) for code in codes) or None


def _said(**what: Any) -> str:
    return orjson.dumps(what).decode()


_CONVERTERS = {
    topic.name: {field.name: converter(field) for field in topic.fields}
    for topic in (TRADES, QUOTES, VENDOR_BARS)
}
