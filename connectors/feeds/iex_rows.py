"""IEX TOPS and DEEP messages as rows: fixed layouts, gathered from a block and read as columns."""

from abc import ABC, abstractmethod

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from connectors.feeds.categories import coded, constant
from connectors.feeds.source import Rows
from schemas.arrays import Int64s
from schemas.field import TIMESTAMP
from schemas.market import BOOK_EVENTS, QUOTES, TRADES
from schemas.topic import Topic

VENUE = "IEX"
PRICE_SCALE = 10_000.0

_HEAD = [("type", "u1"), ("flags", "u1"), ("ts", "<i8"), ("symbol", "S8")]
_QUOTE = np.dtype(
    [*_HEAD, ("bid_size", "<u4"), ("bid", "<i8"), ("ask", "<i8"), ("ask_size", "<u4")]
)
_TRADE = np.dtype([*_HEAD, ("size", "<u4"), ("price", "<i8"), ("trade_id", "<i8")])
_LEVEL = np.dtype([*_HEAD, ("size", "<u4"), ("price", "<i8")])
_STATUS = np.dtype(_HEAD)

_BUYS, _SELLS, _HALT, _BREAK = b"85HB"
# Sale condition flags, from the lowest: the letters that the consolidated tape has for them.
_LETTERS = {0x08: "X", 0x10: "8", 0x20: "I", 0x40: "T", 0x80: "F"}
_ODD_LOT, _EXTENDED = 0x20, 0x40
_CONDITIONS = tuple(
    "".join(letter for bit, letter in reversed(_LETTERS.items()) if flags & bit)
    for flags in range(256)
)
# Quote update flags by their own meaning (TOPS 1.66, appendix A): the symbol is halted, paused or otherwise not
# available for trading on IEX; before or after the market's session. The other bits are reserved.
_QUOTE_FLAGS = {0x80: "halted", 0x40: "extended"}
_QUOTE_BITS = 0x80 | 0x40
_QUOTE_CONDITIONS = tuple(
    ";".join(word for bit, word in _QUOTE_FLAGS.items() if flags & bit) for flags in range(256)
)
# Order acceptance, with or without a pause before it, is quoting: no trades yet.
_STATES = ("halted", "quoting", "trading")
_STATUSES = {"H": 0, "O": 1, "P": 1, "T": 2}

_Bytes = np.ndarray[tuple[int], np.dtype[np.uint8]]


class Decode(ABC):
    """Messages of some types as rows of one topic.

    ``kinds`` are the types' letters, as numbers.
    """

    kinds: tuple[int, ...]

    @abstractmethod
    def rows(self, text: _Bytes, starts: Int64s, kinds: Int64s) -> Rows:
        """Rows.

        Parameters
        ----------
        text : numpy.ndarray of uint8
            The bytes in which they lie.
        starts, kinds : numpy.ndarray of int64, shape (rows,)
            Where each begins, and its type.
        """


class _Quotes(Decode):
    kinds = tuple(b"Q")

    def rows(self, text: _Bytes, starts: Int64s, kinds: Int64s) -> Rows:
        """Both sides at once; an empty side has price 0 and size 0."""
        del kinds
        found = _gather(text, starts, _QUOTE)
        flags = found["flags"].astype(np.int64)
        batch = QUOTES.batch(
            {
                **_keys(found),
                "bid": _price(found["bid"]),
                "bid_size": found["bid_size"].astype(np.float64),
                "ask": _price(found["ask"]),
                "ask_size": found["ask_size"].astype(np.float64),
                "condition": coded(flags, _QUOTE_CONDITIONS, mask=flags & _QUOTE_BITS == 0),
            }
        )
        return Rows(batch=batch)


class _Trades(Decode):
    kinds = tuple(b"TB")

    def rows(self, text: _Bytes, starts: Int64s, kinds: Int64s) -> Rows:
        """Trades, and breaks of earlier ones, which name them by their id."""
        found = _gather(text, starts, _TRADE)
        broken = kinds == _BREAK
        flags = found["flags"].astype(np.int64)
        regular = flags & (_ODD_LOT | _EXTENDED) == 0
        ids = pa.array(found["trade_id"]).cast(pa.string())
        nothing = pa.nulls(len(found), pa.string())
        batch = TRADES.batch(
            {
                **_keys(found),
                "price": found["price"] / PRICE_SCALE,
                "size": found["size"].astype(np.float64),
                "conditions": coded(flags, _CONDITIONS, mask=flags == 0),
                "updates_high_low": regular,
                "updates_last": regular,
                "updates_volume": np.ones(len(found), np.bool_),
                "trade_id": pc.if_else(pa.array(broken), nothing, ids),
                "action": coded(broken.astype(np.int64), ("new", "cancel")),
                "ref_trade_id": pc.if_else(pa.array(broken), ids, nothing),
            }
        )
        return Rows(batch=batch)


class _Book(Decode):
    kinds = tuple(b"85H")

    def rows(self, text: _Bytes, starts: Int64s, kinds: Int64s) -> Rows:
        """Price levels, of which the last one of an event says so, and trading states."""
        halt = kinds == _HALT
        # A status message is shorter: what is read behind it is not used, but must be there.
        last = len(text) - _LEVEL.itemsize
        if len(starts) and starts[-1] > last:
            text = np.concatenate([text, np.zeros(_LEVEL.itemsize, np.uint8)])
        found = _gather(text, starts, _LEVEL)
        states = [_STATUSES.get(chr(flag), -1) for flag in range(256)]
        state = np.array(states, np.int64)[found["flags"]]
        batch = BOOK_EVENTS.batch(
            {
                **_keys(found),
                "action": coded(halt.astype(np.int64), ("level", "halt")),
                "side": coded((kinds == _SELLS).astype(np.int64), ("buy", "sell"), mask=halt),
                "price": pa.array(found["price"] / PRICE_SCALE, mask=halt),
                "size": pa.array(found["size"].astype(np.float64), mask=halt),
                "state": coded(np.maximum(state, 0), _STATES, mask=~halt),
                "is_last": halt | (found["flags"] & 1 == 1),
            }
        )
        return Rows(
            batch=batch, refused={"trading status: H, O, P or T was needed": halt & (state < 0)}
        )


READ: tuple[tuple[Topic, Decode], ...] = (
    (TRADES, _Trades()),
    (QUOTES, _Quotes()),
    (BOOK_EVENTS, _Book()),
)
TOPICS = tuple(topic for topic, _ in READ)
SIZES: Int64s = np.zeros(256, np.int64)
"""Bytes that a message of a type needs; 0 where it is not read."""
SIZES[list(b"Q")] = _QUOTE.itemsize
SIZES[list(b"TB")] = _TRADE.itemsize
SIZES[list(b"85")] = _LEVEL.itemsize
SIZES[_HALT] = _STATUS.itemsize
SKIPPED = {
    ord("S"): "system event",
    ord("D"): "security directory",
    ord("O"): "operational halt status",
    ord("P"): "short sale price test status",
    ord("E"): "security event",
    ord("X"): "official price",
    ord("A"): "auction information",
    ord("I"): "retail liquidity indicator",
}


def _gather(
    text: _Bytes, starts: Int64s, layout: "np.dtype[np.void]"
) -> "np.ndarray[tuple[int], np.dtype[np.void]]":
    """Messages of one layout, from where they lie."""
    found: np.ndarray[tuple[int], np.dtype[np.void]] = (
        text[starts[:, None] + np.arange(layout.itemsize)].view(layout).reshape(-1)
    )
    return found


def _keys(found: "np.ndarray[tuple[int], np.dtype[np.void]]") -> dict[str, pa.Array]:
    names, codes = np.unique(found["symbol"], return_inverse=True)
    words = tuple(name.decode("ascii", "replace").rstrip().upper() for name in names.tolist())
    ts = pa.array(found["ts"].astype(np.int64)).view(TIMESTAMP)
    return {
        "symbol": coded(codes.astype(np.int64), words),
        "venue": constant(VENUE, len(found)),
        "ts_event": ts,
        "ts_recv": ts,
    }


def _price(values: Int64s) -> pa.Array:
    return pa.array(values / PRICE_SCALE, mask=values == 0)
