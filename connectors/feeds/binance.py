"""Binance websocket messages, spot and futures, live or captured, into trades, quotes and book events.

``trade``, ``aggTrade``, ``bookTicker``, ``depthUpdate`` (diffs) and REST depth snapshots, bare or in the wrapper of
a combined stream (``{"stream": ..., "data": ...}``).

Symbols: a coin pair names different instruments on different markets. On spot, ``BTCUSDT`` is the pair; the
USD-margined perpetual of the same name becomes ``BTCUSDT-PERP``. Futures with a delivery date, and all coin-margined
ones (``BTCUSD_PERP``), have names of their own and keep them.

Times: the venue's transaction time ``T``, else its event time ``E``. Spot book tickers and snapshots carry none; theirs
is the receive time, moved by the largest difference seen so far between an event time and the receive time
of its message, which is the clocks' difference less the shortest way here. So quotes and trades are in one
clock, and a quote is never earlier than the venue had it by more than that way varies.

An ``aggTrade`` is one or several ``trade``s of one taker order at one price. Where a symbol's trades are there, its
aggregates are left out, so that no trade counts twice.

References: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams and
https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from connectors.feeds.binance_depth import DepthBooks, DepthUpdate, book_rows
from connectors.feeds.categories import constant
from connectors.feeds.messages import MALFORMED, MessageParser, Taken, TopicRows, malformed, sound
from connectors.feeds.source import Rows
from schemas.arrays import Bools, Int64s
from schemas.field import TIMESTAMP
from schemas.market import BOOK_EVENTS, QUOTES, TRADES

SPOT = "BINANCE"
USD_MARGINED = "BINANCE_USDM"
COIN_MARGINED = "BINANCE_COINM"
VENUES = (SPOT, USD_MARGINED, COIN_MARGINED)

# Streams of the best levels only have the shape of diffs, or of snapshots.
_PARTIAL = (b"@depth5", b"@depth10", b"@depth20")
# Times are in ms, or in µs where the stream was asked for so: as µs this was 1973, as ms it is 5138.
_MICROSECONDS_FROM = 10**14
_LATEST = 9_000_000_000_000_000
_NONE = np.iinfo(np.int64).min

_Message = dict[str, Any]
_Group = list[tuple[int, _Message]]


class BinanceParser(MessageParser):
    """Binance messages of one market, over one connection or several in a row.

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
        """The depth streams' state: which symbols wait for a snapshot, and `forget` for a new connection."""
        self._traded = set(traded)
        self._symbols: set[str] = set()
        self._clock_ns: int = _NONE

    def take(self, messages: Sequence[bytes], recv_ns: Int64s) -> Taken:
        """Rows of messages (see `MessageParser.take`)."""
        sorted_ = _Sorted(self._traded, self._symbols)
        sent_ns = sorted_.sort(messages)
        if self.venue is None:
            self.venue = sorted_.venue()
        times_ns = recv_ns + self._clock(sent_ns, recv_ns)
        venue = self.venue or SPOT
        trades, faults = sound(sorted_.trades, partial(_trades, venue=venue))
        quotes, more = sound(sorted_.tickers, partial(_quotes, venue=venue, times_ns=times_ns))
        faults += more
        updates, more = sound(sorted_.depth, partial(_updates, times_ns=times_ns))
        faults += more
        booked = self.books.take(updates)
        book = book_rows(
            booked.updates, venue, {name: renamed(name, venue) for name in booked.symbols}
        )
        skipped = {
            why: np.array(at, np.int64) for why, at in (sorted_.skipped | booked.skipped).items()
        }
        return Taken(
            groups=tuple(group for group in (trades, quotes, book) if len(group.at)),
            faults=tuple(sorted(sorted_.faults + faults)),
            skipped=skipped,
            notices=tuple(booked.notices),
        )

    def _clock(self, sent_ns: Int64s, recv_ns: Int64s) -> Int64s:
        """What to add to each receive time for the venue's clock (see the module)."""
        ahead = np.where(sent_ns > 0, sent_ns - recv_ns, _NONE)
        ahead = np.maximum.accumulate(np.concatenate(([self._clock_ns], ahead)))
        self._clock_ns = int(ahead[-1])
        clock: Int64s = np.where(ahead[1:] == _NONE, 0, ahead[1:])
        return clock


def renamed(symbol: str, venue: str) -> str:
    """Our name of a symbol: that of a USD-margined perpetual ends in -PERP (see the module)."""
    perpetual = venue == USD_MARGINED and "_" not in symbol
    return f"{symbol.upper()}-PERP" if perpetual else symbol.upper()


def snapshot_message(symbol: str, body: bytes) -> bytes:
    """A REST depth snapshot as a message that says whose it is: the answer itself does not."""
    return b'{"stream":"%s@snapshot","data":%s}' % (symbol.lower().encode(), body.strip())


class _Sorted:
    """Messages by what they are."""

    def __init__(self, traded: set[str], symbols: set[str]) -> None:
        self._traded = traded
        self._symbols = symbols
        self.trades: _Group = []
        self.tickers: _Group = []
        self.depth: _Group = []
        self.faults: list[tuple[int, str]] = []
        self.skipped: dict[str, list[int]] = {}

    def sort(self, messages: Sequence[bytes]) -> Int64s:
        """Sort messages; returns their event times, ns since 1970 UTC, 0 where they have none."""
        sent = [0] * len(messages)
        for at, message in enumerate(messages):
            try:
                whole = orjson.loads(message)
                data = whole.get("data", whole)
                if "s" in data:
                    self._symbols.add(data["s"])
                self._put(at, data, whole, message)
                time = data.get("E", 0)
                if type(time) is int and 0 < time < _LATEST:
                    sent[at] = time
            except MALFORMED as error:
                self.faults.append((at, malformed(error)))
        return _ns(np.array(sent, np.int64))

    def venue(self) -> str | None:
        """The market, by the first message that tells."""
        told = [
            (group[0][0], _venue(group[0][1]))
            for group in (self.trades, self.tickers, self.depth)
            if group
        ]
        return min(told)[1] if told else None

    def _put(self, at: int, data: _Message, whole: _Message, message: bytes) -> None:
        kind = data.get("e")
        if kind == "bookTicker" or (kind is None and "B" in data and "A" in data):
            self.tickers.append((at, data))
        elif kind == "trade":
            self._traded.add(data["s"])
            self.trades.append((at, data))
        elif kind == "aggTrade":
            if data["s"] in self._traded:
                self._skip("aggTrade: the symbol's trades are there", at)
            else:
                self.trades.append((at, data))
        elif kind == "depthUpdate" or (kind is None and "lastUpdateId" in data):
            if any(name in message[:80] for name in _PARTIAL):
                self._skip("partial book depth: the diffs say more", at)
            else:
                if kind is None:
                    data["s"] = self._snapshot_symbol(data, whole)
                self.depth.append((at, data))
        elif kind is None and "id" in data:
            self._skip("answer to a request", at)
        else:
            self._skip("event of another kind", at)

    def _skip(self, why: str, at: int) -> None:
        self.skipped.setdefault(why, []).append(at)

    def _snapshot_symbol(self, data: _Message, whole: _Message) -> str:
        if "symbol" in data:
            return str(data["symbol"])
        if "stream" in whole:
            return str(whole["stream"]).split("@", 1)[0].upper()
        if len(self._symbols) != 1:
            raise ValueError(
                f"a snapshot that does not name its symbol, where {len(self._symbols)} were seen"
            )
        return next(iter(self._symbols))


def _venue(data: _Message) -> str:
    symbol = str(data.get("s", ""))
    if "USD_" in symbol:
        return COIN_MARGINED
    kind = data.get("e")
    if kind in {"trade", "aggTrade"}:
        return SPOT if "M" in data else USD_MARGINED
    if kind == "depthUpdate":
        return USD_MARGINED if "pu" in data else SPOT
    # Book tickers of futures name their kind, snapshots their time.
    return USD_MARGINED if kind == "bookTicker" or "E" in data else SPOT


def _trades(group: _Group, *, venue: str) -> TopicRows:
    messages = [message for _, message in group]
    ts = _timestamps([message["T"] for message in messages])
    kinds = [message.get("X", "MARKET") for message in messages]
    # Kept out of the venue's own bars and aggregates: trades of the insurance fund and deleveraging.
    market: Bools = np.array([kind == "MARKET" for kind in kinds], np.bool_)
    bought = [not _flag(message["m"]) for message in messages]
    sides = pa.DictionaryArray.from_arrays(
        pa.array(np.array(bought, np.int32)), pa.array(["sell", "buy"])
    )
    ids = [message["t"] if "t" in message else message["a"] for message in messages]
    batch = TRADES.batch(
        {
            "symbol": _symbols(messages, venue),
            "venue": constant(venue, len(messages)),
            "ts_event": ts,
            "ts_recv": ts,
            "price": _numbers([message["p"] for message in messages]),
            "size": _numbers([message["q"] for message in messages]),
            "side": sides,
            "conditions": pa.array(kinds, pa.string(), mask=market).dictionary_encode(),
            "updates_high_low": market,
            "updates_last": market,
            "updates_volume": market,
            "trade_id": pa.array(ids, pa.int64()).cast(pa.string()),
            "action": constant("new", len(messages)),
        }
    )
    return TopicRows(topic=TRADES, rows=Rows(batch=batch), at=_at(group))


def _quotes(group: _Group, *, venue: str, times_ns: Int64s) -> TopicRows:
    messages = [message for _, message in group]
    at = _at(group)
    ts = _timestamps([message.get("T", 0) for message in messages], times_ns[at])
    batch = QUOTES.batch(
        {
            "symbol": _symbols(messages, venue),
            "venue": constant(venue, len(messages)),
            "ts_event": ts,
            "ts_recv": ts,
            "bid": _price([message["b"] for message in messages]),
            "bid_size": _numbers([message["B"] for message in messages]),
            "ask": _price([message["a"] for message in messages]),
            "ask_size": _numbers([message["A"] for message in messages]),
        }
    )
    return TopicRows(topic=QUOTES, rows=Rows(batch=batch), at=at)


def _updates(group: _Group, *, times_ns: Int64s) -> list[DepthUpdate]:
    if not group:
        return []
    pairs: list[list[str]] = []
    counts = []
    for _, message in group:
        snapshot = "lastUpdateId" in message
        bids, asks = (
            (message["bids"], message["asks"]) if snapshot else (message["b"], message["a"])
        )
        pairs += bids
        pairs += asks
        counts.append((len(bids), len(asks)))
    values = _numbers([value for price, size in pairs for value in (price, size)])
    price, size = values[::2], values[1::2]
    at = _at(group)
    times = [message.get("T") or message.get("E") or 0 for _, message in group]
    ts = _timestamps(times, times_ns[at]).view(pa.int64()).to_numpy()
    ends = np.cumsum([bids + asks for bids, asks in counts]).tolist()
    return [
        _update(
            at,
            message,
            ts_ns,
            price[end - sum(count) : end],
            size[end - sum(count) : end],
            count[0],
        )
        for (at, message), ts_ns, end, count in zip(group, ts.tolist(), ends, counts, strict=True)
    ]


def _update(
    at: int,
    message: _Message,
    ts_ns: int,
    price: np.ndarray[tuple[int], np.dtype[np.float64]],
    size: np.ndarray[tuple[int], np.dtype[np.float64]],
    bids: int,
) -> DepthUpdate:
    snapshot = "lastUpdateId" in message
    last = message["lastUpdateId"] if snapshot else message["u"]
    # Futures say which update they follow, spot which update number they begin with.
    follows = 0 if snapshot else message.get("pu", message["U"] - 1)
    return DepthUpdate(
        at=at,
        symbol=message["s"],
        ts_ns=ts_ns,
        follows=_whole(follows),
        last=_whole(last),
        price=price,
        size=size,
        bids=bids,
        snapshot=snapshot,
    )


def _symbols(messages: list[_Message], venue: str) -> pa.DictionaryArray:
    column = pa.array([message["s"] for message in messages], pa.string()).dictionary_encode()
    names = [renamed(symbol, venue) for symbol in column.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(column.indices, pa.array(names, pa.string()))


def _at(group: _Group) -> Int64s:
    return np.array([at for at, _ in group], np.int64)


def _numbers(texts: list[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Decimals as text, which is how Binance writes them all."""
    values: np.ndarray[tuple[int], np.dtype[np.float64]] = (
        pa.array(texts, pa.string()).cast(pa.float64()).to_numpy()
    )
    return values


def _price(texts: list[str]) -> pa.Array:
    """Prices; null where the side is empty, which is written as 0."""
    values = _numbers(texts)
    return pa.array(values, mask=values == 0)


def _timestamps(times: list[int], instead_ns: Int64s | None = None) -> pa.Array:
    """Event times; the others where a message has none."""
    ns = _ns(pa.array(times, pa.int64()).to_numpy())
    if instead_ns is not None:
        ns = np.where(ns == 0, instead_ns, ns)
    return pa.array(ns).view(TIMESTAMP)


def _ns(times: Int64s) -> Int64s:
    if len(times) and (times.min() < 0 or times.max() > _LATEST):
        raise ValueError("a time is neither in ms nor in µs since 1970")
    ns: Int64s = times * np.where(times < _MICROSECONDS_FROM, 1_000_000, 1_000)
    return ns


def _flag(value: object) -> bool:
    if value is not True and value is not False:
        raise ValueError(f"field m is {value!r}; true or false was needed")
    return value


def _whole(value: object) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"an update number is {value!r}; a whole number was needed")
    return value
