"""Columns of `trades` and `quotes` from decoded Binance messages; what their fields mean is in `binance`."""

import numpy as np
import pyarrow as pa

from connectors.feeds.categories import constant
from connectors.feeds.messages import Group, TopicRows
from connectors.feeds.source import Rows
from schemas.arrays import Bools, Int64s
from schemas.field import TIMESTAMP
from schemas.market import QUOTES, TRADES

SPOT = "BINANCE"
USD_MARGINED = "BINANCE_USDM"
COIN_MARGINED = "BINANCE_COINM"

# Times are in ms, or in µs where the stream was asked for so: as µs this was 1973, as ms it is 5138. Neither may be
# beyond 2255, which int64 nanoseconds can say.
_MICROSECONDS_FROM = 10**14
_LATEST_MS, _LATEST = 9_000_000_000_000, 9_000_000_000_000_000


def renamed(symbol: str, venue: str) -> str:
    """Our name of a symbol: that of a USD-margined perpetual ends in -PERP (see `binance`)."""
    perpetual = venue == USD_MARGINED and "_" not in symbol
    return f"{symbol.upper()}-PERP" if perpetual else symbol.upper()


def trade_rows(group: Group, *, venue: str) -> TopicRows:
    """Rows of ``trade`` and ``aggTrade`` messages."""
    messages = group.messages
    ts = _timestamps([message["T"] for message in messages])
    kinds = [message.get("X", "MARKET") for message in messages]
    # Trades of the insurance fund and of deleveraging: the venue leaves them out of its own bars.
    market: Bools = np.array([kind == "MARKET" for kind in kinds], np.bool_)
    maker = pa.array([message["m"] for message in messages], pa.bool_())
    sides = pa.DictionaryArray.from_arrays(maker.cast(pa.int32()), pa.array(["buy", "sell"]))
    ids = [message["t"] if "t" in message else message["a"] for message in messages]
    batch = TRADES.batch(
        {
            "symbol": _symbols(group, venue),
            "venue": constant(venue, len(messages)),
            "ts_event": ts,
            "ts_recv": ts,
            "price": numbers([message["p"] for message in messages]),
            "size": numbers([message["q"] for message in messages]),
            "side": sides,
            "conditions": pa.array(kinds, pa.string(), mask=market).dictionary_encode(),
            "updates_high_low": market,
            "updates_last": market,
            "updates_volume": market,
            "trade_id": pa.array(ids, pa.int64()).cast(pa.string()),
            "action": constant("new", len(messages)),
        }
    )
    return TopicRows(topic=TRADES, rows=Rows(batch=batch), at=np.array(group.at, np.int64))


def quote_rows(group: Group, *, venue: str, times_ns: Int64s) -> TopicRows:
    """Rows of ``bookTicker`` messages.

    Parameters
    ----------
    group : Group
        The messages.
    venue : str
        Theirs.
    times_ns : numpy.ndarray of int64, shape (all messages,)
        Event times of messages that have none.
    """
    messages = group.messages
    at = np.array(group.at, np.int64)
    ts = _timestamps([message.get("T", 0) for message in messages], times_ns[at])
    bid = numbers([message["b"] for message in messages])
    ask = numbers([message["a"] for message in messages])
    batch = QUOTES.batch(
        {
            "symbol": _symbols(group, venue),
            "venue": constant(venue, len(messages)),
            "ts_event": ts,
            "ts_recv": ts,
            # An empty side is written as price 0, size 0.
            "bid": pa.array(bid, mask=bid == 0),
            "bid_size": numbers([message["B"] for message in messages]),
            "ask": pa.array(ask, mask=ask == 0),
            "ask_size": numbers([message["A"] for message in messages]),
        }
    )
    return TopicRows(topic=QUOTES, rows=Rows(batch=batch), at=at)


def numbers(texts: list[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Decimals as text, which is how Binance writes all prices and sizes.

    Raises
    ------
    ValueError, TypeError
        Where one is no text, or no decimal.
    """
    values: np.ndarray[tuple[int], np.dtype[np.float64]] = (
        pa.array(texts, pa.string()).cast(pa.float64()).to_numpy()
    )
    return values


def unix_ns(times: Int64s) -> Int64s:
    """Times in ms or in µs as ns, since 1970 UTC; what is neither is 0."""
    in_ms = times < _MICROSECONDS_FROM
    known = (times > 0) & (times < np.where(in_ms, _LATEST_MS, _LATEST))
    ns: Int64s = np.where(known, times, 0) * np.where(in_ms, 1_000_000, 1_000)
    return ns


def _timestamps(times: list[int], instead_ns: Int64s | None = None) -> pa.Array:
    ns = unix_ns(pa.array(times, pa.int64()).to_numpy())
    if instead_ns is not None:
        ns = np.where(ns == 0, instead_ns, ns)
    elif not ns.all():
        raise ValueError("a time is neither in ms nor in µs since 1970")
    return pa.array(ns).view(TIMESTAMP)


def _symbols(group: Group, venue: str) -> pa.DictionaryArray:
    named = pa.array([message["s"] for message in group.messages], pa.string())
    if named.null_count:
        raise ValueError("symbol s is null")
    column = named.dictionary_encode()
    names = [renamed(symbol, venue) for symbol in column.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(column.indices, pa.array(names, pa.string()))
