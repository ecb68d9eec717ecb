"""Bitstamp BTC/USD: recorded websocket events, order by order.

``order_created``, ``order_changed`` and ``order_deleted`` become ``add``, ``modify`` and ``cancel`` of venue BITSTAMP. An
order that is deleted with nothing left was executed: ``execute``, with the size it had. ``order_book`` (the
best 20 levels, whole, every few seconds) says again what the orders say; its ``clear`` and ``level`` rows have the
venue BITSTAMP_LEVELS, since orders and levels cannot be in one book. ``trade`` has no side.

The order events are also there as a CSV file (`bitstamp_csv`); it says nothing more.

The time of all rows is that of receipt: the events' own time is that of the order's creation, in seconds.

Source: https://www.bitstamp.net/websocket/v2 and the files of https://github.com/phil8192/ob-analytics.
"""

import re
from collections.abc import Sequence

import numpy as np
import orjson
import pyarrow as pa

from connectors.feeds.bitstamp_orders import SYMBOL, VENUE, OpenOrders, order_rows
from connectors.feeds.capture import CaptureFile
from connectors.feeds.categories import constant
from connectors.feeds.depth import DepthUpdate, book_rows
from connectors.feeds.messages import (
    MALFORMED,
    Group,
    MessageParser,
    Taken,
    TopicRows,
    in_order,
    malformed,
    sound,
)
from connectors.feeds.parts import parts
from connectors.feeds.source import Format, Probe, Rows, Source
from schemas.arrays import Int64s
from schemas.field import TIMESTAMP
from schemas.market import BOOK_EVENTS, TRADES

VENUE_LEVELS = "BITSTAMP_LEVELS"

_KINDS = {b"order_created": 0, b"order_changed": 1, b"order_deleted": 2}
_OTHER = "event of another kind"
_LINE = re.compile(rb"\d{13} (?:order_created|order_changed|order_deleted|order_book|trade) \{")


class BitstampParser(MessageParser):
    """Bitstamp events, each its name, a blank and its JSON."""

    topics = (TRADES, BOOK_EVENTS)

    def __init__(self) -> None:
        self._orders = OpenOrders()

    def take(self, messages: Sequence[bytes], recv_ns: Int64s) -> Taken:
        """Rows of messages (see `MessageParser.take`)."""
        orders, books, trades = Group(), Group(), Group()
        other: list[int] = []
        faults: list[tuple[int, str]] = []
        for at, message in enumerate(messages):
            name, _, text = message.partition(b" ")
            try:
                data = orjson.loads(text)
                if name in _KINDS:
                    data["kind"] = _KINDS[name]
                    orders.add(at, data)
                elif name == b"order_book":
                    books.add(at, data)
                elif name == b"trade":
                    trades.add(at, data)
                else:
                    other.append(at)
            except MALFORMED as error:
                faults.append((at, malformed(error)))
        events, bad_events = sound(orders, _Events)
        levels, bad_levels = sound(books, lambda group: _levels(group, recv_ns))
        traded, bad_trades = sound(trades, lambda group: _trades(group, recv_ns))
        book = in_order(events.rows(self._orders, recv_ns), book_rows(levels, VENUE_LEVELS, _NAMES))
        return Taken(
            groups=tuple(group for group in (traded, book) if len(group.at)),
            faults=tuple(sorted(faults + bad_events + bad_levels + bad_trades)),
            skipped={_OTHER: np.array(other, np.int64)} if other else {},
        )

    def again(self) -> "BitstampParser":
        """A parser that knows no order."""
        return BitstampParser()


class BitstampLog(Format):
    """Recorded Bitstamp events."""

    name = "bitstamp"
    summary = "Bitstamp websocket log, lines of a receive time in ms, an event name and its JSON"

    def matches(self, probe: Probe) -> bool:
        """Whether the first line is an event of such a log."""
        return _LINE.match(probe.first_line) is not None

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a log: its trades and its book events."""
        return parts(CaptureFile(probe.path, BitstampParser(), self.name, block_bytes))


class _Events:
    """Columns of order events."""

    def __init__(self, group: Group) -> None:
        messages = group.messages
        self.at = np.array(group.at, np.int64)
        self._kinds = np.array([message["kind"] for message in messages], np.int64)
        self._ids = [message["id"] for message in messages]
        self._id_column = pa.array(self._ids, pa.uint64())
        self._sides = pa.array(
            [message["order_type"] for message in messages], pa.int64()
        ).to_numpy()
        if len(messages) and not (self._sides >> 1 == 0).all():
            raise ValueError("order_type: 0 or 1 was needed")
        self._price = _decimals([message["price"] for message in messages])
        self._left = _decimals([message["amount"] for message in messages]).to_numpy()

    def rows(self, orders: OpenOrders, recv_ns: Int64s) -> TopicRows:
        """Rows, with the sizes that the open orders had."""
        actions, size = orders.take(self._kinds, self._ids, self._left)
        rows = order_rows(
            ts_ns=recv_ns[self.at],
            actions=actions,
            ids=self._id_column,
            sides=self._sides,
            price=self._price,
            size=size,
        )
        return TopicRows(topic=BOOK_EVENTS, rows=rows, at=self.at)


_NAMES = {SYMBOL: SYMBOL}


def _levels(group: Group, recv_ns: Int64s) -> list[DepthUpdate]:
    prices: list[str] = []
    sizes: list[str] = []
    for message in group.messages:
        levels = message["bids"] + message["asks"]
        # Whole pairs, or ValueError.
        pairs = zip(*levels, strict=True) if levels else ((), ())
        for column, values in zip((prices, sizes), pairs, strict=True):
            column.extend(values)
    price, size = (_decimals(texts).to_numpy() for texts in (prices, sizes))
    updates = []
    end = 0
    for at, message in zip(group.at, group.messages, strict=True):
        start, end = end, end + len(message["bids"]) + len(message["asks"])
        updates.append(
            DepthUpdate(
                at=at,
                symbol=SYMBOL,
                ts_ns=int(recv_ns[at]),
                follows=0,
                last=0,
                price=price[start:end],
                size=size[start:end],
                bids=len(message["bids"]),
                snapshot=True,
            )
        )
    return updates


def _trades(group: Group, recv_ns: Int64s) -> TopicRows:
    messages = group.messages
    at = np.array(group.at, np.int64)
    ts = pa.array(recv_ns[at]).view(TIMESTAMP)
    ids = pa.array([message["id"] for message in messages], pa.int64())
    batch = TRADES.batch(
        {
            "symbol": constant(SYMBOL, len(at)),
            "venue": constant(VENUE, len(at)),
            "ts_event": ts,
            "ts_recv": ts,
            "price": pa.array([message["price"] for message in messages], pa.float64()),
            "size": pa.array([message["amount"] for message in messages], pa.float64()),
            "updates_high_low": np.ones(len(at), np.bool_),
            "updates_last": np.ones(len(at), np.bool_),
            "updates_volume": np.ones(len(at), np.bool_),
            "trade_id": ids.cast(pa.string()),
            "action": constant("new", len(at)),
        }
    )
    return TopicRows(topic=TRADES, rows=Rows(batch=batch), at=at)


def _decimals(texts: list[str]) -> pa.Array:
    return pa.array(texts, pa.string()).cast(pa.float64())
