"""Binance messages sorted by what they are: trades, book tickers, depth; the others are named and left."""

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from connectors.feeds.binance_numbers import BinanceNumbers
from connectors.feeds.binance_rows import COIN_MARGINED, SPOT, USD_MARGINED, numbers, unix_ns
from connectors.feeds.depth import DepthUpdate
from connectors.feeds.messages import MALFORMED, Group, Notice, malformed
from schemas.arrays import Int64s

# Streams of the best levels only have the shape of diffs, or of snapshots; they name themselves first.
_PARTIAL = re.compile(rb"@depth(?:5|10|20)\b")
_NAME_BYTES = 80

_AGGREGATE = "aggTrade: the symbol's trades are there"
_BEST_LEVELS = "partial book depth: the diffs say more"
_TWICE = "trade that came before"
_OLD_TICKER = "book ticker not newer than the last"
_ANSWER = "answer to a request"
_OTHER = "event of another kind"


@dataclass(frozen=True, slots=True)
class _Depth:
    """A depth message but for its levels, which lie in one list for all messages."""

    at: int
    symbol: str
    time: int
    follows: int
    last: int
    bids: int
    levels: int
    snapshot: bool


class Kinds:
    """Messages sorted.

    Parameters
    ----------
    messages : sequence of bytes
        As they came.
    traded : set of str
        Symbols whose trades were seen; added to.
    symbols : set of str
        Symbols whose depth was seen; added to.
    follows : BinanceNumbers
        What numbers came before; goes on with these.
    """

    def __init__(
        self,
        messages: Sequence[bytes],
        *,
        traded: set[str],
        symbols: set[str],
        follows: BinanceNumbers,
    ) -> None:
        self._traded = traded
        self._symbols = symbols
        self._follows = follows
        self.notices: list[Notice] = []
        self.trades = Group()
        self.tickers = Group()
        self.faults: list[tuple[int, str]] = []
        self.skipped: dict[str, list[int]] = {}
        self._depth: list[_Depth] = []
        self._prices: list[str] = []
        self._sizes: list[str] = []
        self._first: dict[str, Any] | None = None
        self._sent = array("q", bytes(8 * len(messages)))
        # Most messages are book tickers: what is done for each of them stands here, without calls.
        ticker_at, tickers, last = self.tickers.at, self.tickers.messages, follows.tickers
        loads = orjson.loads
        for at, message in enumerate(messages):
            try:
                whole = loads(message)
                data = whole.get("data", whole)
                kind = data.get("e")
                if kind == "bookTicker" or (kind is None and "B" in data and "A" in data):
                    number, symbol = data["u"], data["s"]
                    if type(number) is int and number > last.get(symbol, number):
                        last[symbol] = number
                    elif not follows.take_ticker(data):
                        self._skip(_OLD_TICKER, at)
                        continue
                    ticker_at.append(at)
                    tickers.append(data)
                else:
                    self._put(at, kind, data, whole, message)
            except MALFORMED as error:
                self.faults.append((at, malformed(error)))

    @property
    def sent_ns(self) -> Int64s:
        """Event times of trades and depth, ns since 1970 UTC, 0 for other messages; shape (messages,)."""
        return unix_ns(np.maximum(np.frombuffer(self._sent, np.int64), 0))

    def venue(self) -> str | None:
        """The market, by the first message that tells."""
        told = [
            (group.at[0], group.messages[0]) for group in (self.trades, self.tickers) if group.at
        ]
        if self._depth and self._first is not None:
            told.append((self._depth[0].at, self._first))
        return _venue(min(told, key=lambda first: first[0])[1]) if told else None

    def updates(self, times_ns: Int64s) -> tuple[list[DepthUpdate], list[tuple[int, str]]]:
        """The depth messages, and those of them that cannot be read, with the reason.

        Parameters
        ----------
        times_ns : numpy.ndarray of int64, shape (messages,)
            Times for messages that have none.
        """
        try:
            price, size = numbers(self._prices), numbers(self._sizes)
        except MALFORMED:
            return self._updates_one_by_one(times_ns)
        updates = []
        start = 0
        for depth, ts_ns in zip(self._depth, self._depth_ns(times_ns), strict=True):
            end = start + depth.levels
            updates.append(_update(depth, price[start:end], size[start:end], ts_ns))
            start = end
        return updates, []

    def _updates_one_by_one(
        self, times_ns: Int64s
    ) -> tuple[list[DepthUpdate], list[tuple[int, str]]]:
        updates = []
        faults = []
        start = 0
        for depth, ts_ns in zip(self._depth, self._depth_ns(times_ns), strict=True):
            end = start + depth.levels
            try:
                price, size = numbers(self._prices[start:end]), numbers(self._sizes[start:end])
                updates.append(_update(depth, price, size, ts_ns))
            except MALFORMED as error:
                faults.append((depth.at, malformed(error)))
            start = end
        return updates, faults

    def _depth_ns(self, times_ns: Int64s) -> list[int]:
        ns = unix_ns(np.array([depth.time for depth in self._depth], np.int64))
        at = np.array([depth.at for depth in self._depth], np.int64)
        times: list[int] = np.where(ns == 0, times_ns[at], ns).tolist()
        return times

    def _put(
        self, at: int, kind: object, data: dict[str, Any], whole: dict[str, Any], message: bytes
    ) -> None:
        if kind in {"trade", "aggTrade"}:
            self._sent[at] = data["E"]
            if kind == "trade":
                self._traded.add(data["s"])
            elif data["s"] in self._traded:
                self._skip(_AGGREGATE, at)
                return
            if self._follows.take_trade(at, data, self.notices):
                self.trades.add(at, data)
            else:
                self._skip(_TWICE, at)
        elif kind == "depthUpdate" or (kind is None and "lastUpdateId" in data):
            if _PARTIAL.search(message, 0, _NAME_BYTES):
                self._skip(_BEST_LEVELS, at)
            elif kind is None:
                self._add_snapshot(at, data, whole)
            else:
                self._add_diff(at, data)
        else:
            self._skip(_ANSWER if kind is None and "id" in data else _OTHER, at)

    def _skip(self, why: str, at: int) -> None:
        self.skipped.setdefault(why, []).append(at)

    def _add_diff(self, at: int, data: dict[str, Any]) -> None:
        self._sent[at] = data["E"]
        # Futures say which update they follow, spot which update number they begin with.
        follows = data["pu"] if "pu" in data else data["U"] - 1
        self._add_depth(
            at,
            data,
            symbol=data["s"],
            numbers_=(follows, data["u"]),
            sides=(data["b"], data["a"]),
        )
        self._symbols.add(data["s"])

    def _add_snapshot(self, at: int, data: dict[str, Any], whole: dict[str, Any]) -> None:
        last = data["lastUpdateId"]
        self._add_depth(
            at,
            data,
            symbol=self._snapshot_symbol(data, whole),
            numbers_=(last, last),
            sides=(data["bids"], data["asks"]),
        )

    def _add_depth(
        self,
        at: int,
        data: dict[str, Any],
        *,
        symbol: str,
        numbers_: tuple[int, int],
        sides: tuple[list[list[str]], list[list[str]]],
    ) -> None:
        bids, asks = sides
        levels = bids + asks
        # Whole pairs, or ValueError.
        prices, sizes = zip(*levels, strict=True) if levels else ((), ())
        follows, last = numbers_
        depth = _Depth(
            at=at,
            symbol=symbol,
            time=_whole(data.get("T") or data.get("E", 0)),
            follows=_whole(follows),
            last=_whole(last),
            bids=len(bids),
            levels=len(levels),
            snapshot="lastUpdateId" in data,
        )
        if type(symbol) is not str:
            raise TypeError(f"symbol {symbol!r}; text was needed")
        self._first = self._first or data
        self._prices += prices
        self._sizes += sizes
        self._depth.append(depth)

    def _snapshot_symbol(self, data: dict[str, Any], whole: dict[str, Any]) -> str:
        if "symbol" in data:
            return str(data["symbol"])
        if "stream" in whole:
            return str(whole["stream"]).split("@", 1)[0].upper()
        if len(self._symbols) != 1:
            raise ValueError(
                f"a snapshot that does not name its symbol, where {len(self._symbols)} were seen"
            )
        return next(iter(self._symbols))


def _venue(data: dict[str, Any]) -> str:
    # Coin-margined contracts: BTCUSD_PERP, BTCUSD_240927. USD-margined ones: BTCUSDT_240927.
    if "USD_" in str(data.get("s") or data.get("symbol")):
        return COIN_MARGINED
    kind = data.get("e")
    if kind in {"trade", "aggTrade"}:
        return SPOT if "M" in data else USD_MARGINED
    if kind == "depthUpdate":
        return USD_MARGINED if "pu" in data else SPOT
    # Book tickers of futures name their kind, snapshots their time.
    return USD_MARGINED if kind == "bookTicker" or "E" in data else SPOT


def _update(
    depth: _Depth,
    price: np.ndarray[tuple[int], np.dtype[np.float64]],
    size: np.ndarray[tuple[int], np.dtype[np.float64]],
    ts_ns: int,
) -> DepthUpdate:
    return DepthUpdate(
        at=depth.at,
        symbol=depth.symbol,
        ts_ns=ts_ns,
        follows=depth.follows,
        last=depth.last,
        price=price,
        size=size,
        bids=depth.bids,
        snapshot=depth.snapshot,
    )


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise ValueError(f"{value!r}; a whole number was needed")
    return value
