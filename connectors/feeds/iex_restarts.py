"""Where an IEX stream begins anew: every book that had price levels is cleared."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from connectors.feeds.depth import NO_LEVELS, DepthUpdate, book_rows
from connectors.feeds.iex_rows import VENUE
from connectors.feeds.messages import TopicRows, in_order
from schemas.arrays import Int64s
from schemas.market import BOOK_EVENTS


def clear_books(
    groups: Sequence[TopicRows], books: set[str], restarts: Sequence[int], sent_ns: Int64s
) -> list[TopicRows]:
    """Groups with a ``clear`` row for each book at each restart.

    Parameters
    ----------
    groups : sequence of TopicRows
        Of a block.
    books : set of str
        Symbols that have price levels; those of the block are added.
    restarts : sequence of int
        Messages at which the stream begins anew.
    sent_ns : numpy.ndarray of int64, shape (messages,)
        Send time of each message.
    """
    others = [group for group in groups if group.topic is not BOOK_EVENTS]
    events = next((group for group in groups if group.topic is BOOK_EVENTS), None)
    clears: list[DepthUpdate] = []
    begun = 0
    for at in restarts:
        books |= _with_levels(events, begun, at)
        clears += [_clear(symbol, at, int(sent_ns[at])) for symbol in sorted(books)]
        books.clear()
        begun = at
    books |= _with_levels(events, begun, len(sent_ns))
    if clears:
        names = {clear.symbol: clear.symbol for clear in clears}
        cleared = book_rows(clears, VENUE, names)
        events = cleared if events is None else in_order(cleared, events)
    return [*others, events] if events is not None else others


def _with_levels(events: TopicRows | None, first: int, before: int) -> set[str]:
    """Symbols of the price levels from one message to before another."""
    if events is None:
        return set()
    batch = events.rows.batch
    levels = batch.column("price").is_valid().to_numpy(zero_copy_only=False)
    symbol = batch.column("symbol")
    mine = symbol.indices.to_numpy()[levels & (events.at >= first) & (events.at < before)]
    return set(symbol.dictionary.take(pa.array(np.unique(mine))).to_pylist())


def _clear(symbol: str, at: int, ts_ns: int) -> DepthUpdate:
    return DepthUpdate(
        at=at,
        symbol=symbol,
        ts_ns=ts_ns,
        follows=0,
        last=0,
        price=NO_LEVELS,
        size=NO_LEVELS,
        bids=0,
        snapshot=True,
    )
