"""Price levels of a book, whole or changed, as rows of `book_events`: ``clear`` and ``level``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from connectors.feeds.categories import coded, constant
from connectors.feeds.messages import TopicRows
from connectors.feeds.source import Rows
from schemas.arrays import Int64s
from schemas.field import TIMESTAMP
from schemas.market import BOOK_EVENTS

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
NO_LEVELS: Floats = np.empty(0, np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthUpdate:
    """New sizes of price levels, or a whole book.

    Parameters
    ----------
    at : int
        Index of the message.
    symbol : str
        As the venue writes it.
    ts_ns : int
        Event time, ns since 1970 UTC.
    follows, last : int
        The update number that this one follows on, and the last one that it holds; 0 where the venue
        gives none.
    price, size : numpy.ndarray of float64, shape (levels,)
        Bids, then asks.
    bids : int
        How many of the levels are bids.
    snapshot : bool
        Whether the levels are the whole book, which is cleared first.
    """

    at: int
    symbol: str
    ts_ns: int
    follows: int
    last: int
    price: Floats
    size: Floats
    bids: int
    snapshot: bool


def book_rows(updates: Sequence[DepthUpdate], venue: str, names: Mapping[str, str]) -> TopicRows:
    """Updates as rows of `book_events`: ``clear`` for a whole book, then a ``level`` each.

    Parameters
    ----------
    updates : sequence of DepthUpdate
        In order.
    venue : str
        Theirs.
    names : mapping of str to str
        The venue's symbol to ours.
    """
    counts = np.array(
        [(update.snapshot, update.bids, len(update.price) - update.bids) for update in updates],
        np.int64,
    ).reshape(-1, 3)
    lengths = counts.sum(axis=1)
    # Of each update a clear, its bids and its asks: -1 has no side.
    side = np.repeat(np.tile(np.array([-1, 0, 1], np.int64), len(updates)), counts.ravel())
    clear = side < 0
    values = np.zeros((2, len(side)), np.float64)
    for row, name in enumerate(("price", "size")):
        values[row, ~clear] = np.concatenate([NO_LEVELS, *(getattr(u, name) for u in updates)])
    is_last = np.zeros(len(side), np.bool_)
    is_last[np.cumsum(lengths)[lengths > 0] - 1] = True
    ts = _repeated([update.ts_ns for update in updates], lengths)
    last = _repeated([update.last for update in updates], lengths)
    symbols = list(names)
    codes = _repeated([symbols.index(update.symbol) for update in updates], lengths)
    batch = BOOK_EVENTS.batch(
        {
            "symbol": pa.DictionaryArray.from_arrays(
                pa.array(codes.astype(np.int32)), pa.array(list(names.values()), pa.string())
            ),
            "venue": constant(venue, len(side)),
            "ts_event": pa.array(ts).view(TIMESTAMP),
            "ts_recv": pa.array(ts).view(TIMESTAMP),
            "action": coded(clear.astype(np.int64), ("level", "clear")),
            "side": coded(side, ("buy", "sell"), mask=clear),
            "price": pa.array(values[0], mask=clear),
            "size": pa.array(values[1], mask=clear),
            "sequence": pa.array(last.astype(np.uint64), mask=last == 0),
            "is_last": is_last,
        }
    )
    at = _repeated([update.at for update in updates], lengths)
    return TopicRows(topic=BOOK_EVENTS, rows=Rows(batch=batch), at=at)


def _repeated(values: list[int], counts: Int64s) -> Int64s:
    return np.repeat(np.array(values, np.int64), counts)
