"""Bitstamp order events as ob-analytics keeps them: a CSV file with a header (see `bitstamp`)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from connectors.feeds.archive import line_blocks
from connectors.feeds.bitstamp_orders import OpenOrders, order_rows
from connectors.feeds.messages import TopicRows
from connectors.feeds.parts import MessageFile, Stretch, parts
from connectors.feeds.source import Format, Probe, Rows, Source
from connectors.feeds.text import Layout, TextBlock
from schemas.arrays import Int64s
from schemas.field import CATEGORY
from schemas.market import BOOK_EVENTS

_HEADER = b"id,timestamp,exchange.timestamp,price,volume,action,direction"
_COLUMNS = {
    "id": pa.uint64(),
    "timestamp": pa.int64(),
    "exchange.timestamp": pa.null(),
    "price": pa.float64(),
    "volume": pa.int64(),
    "action": CATEGORY,
    "direction": CATEGORY,
}
_ACTIONS = ("created", "changed", "deleted")
_DIRECTIONS = ("bid", "ask")
# Volumes are whole satoshis.
_VOLUME_SCALE = 1e8
_MS_MAX = 9_000_000_000_000


class BitstampOrders(Format):
    """ob-analytics' order event files."""

    name = "bitstamp_orders"
    summary = "Bitstamp order events of ob-analytics (CSV with id, timestamp, action, direction)"

    def matches(self, probe: Probe) -> bool:
        """Whether the first line is that of such a file."""
        return probe.first_line == _HEADER

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a file."""
        return parts(_OrdersFile(probe.path, block_bytes))


def is_told_by_log(file: Path) -> bool:
    """Whether the file is such a table and lies beside the log that it was made of."""
    return file.name.startswith("orders.csv") and any(file.parent.glob("*.raw.log*"))


class _OrdersFile(MessageFile):
    """Read from its start each time: a deletion's size is known from the events before."""

    topics = (BOOK_EVENTS,)

    def stretches(self) -> Iterator[Stretch]:
        """All of the file behind its header."""
        layout = Layout(
            topic=BOOK_EVENTS,
            columns=_COLUMNS,
            build=_Build().rows,
            required=tuple(name for name in _COLUMNS if name != "exchange.timestamp"),
        )
        for block, block_line in line_blocks(self._stream, self._block_bytes):
            data, line = block, block_line
            if line == 1:
                data, line = block[block.index(b"\n") + 1 :], 2
            if not data:
                continue
            text = TextBlock(data, line, layout)
            yield Stretch(
                groups=(TopicRows(topic=BOOK_EVENTS, rows=text.rows, at=text.lines),),
                faults=text.faults,
                last_line=text.last_line,
                text=text.text,
            )


class _Build:
    """Makes rows of columns, block after block."""

    def __init__(self) -> None:
        self._orders = OpenOrders()

    def rows(self, columns: pa.RecordBatch) -> Rows:
        """Rows of the file's columns."""
        kinds = _places(columns.column("action"), _ACTIONS)
        sides = _places(columns.column("direction"), _DIRECTIONS)
        ms, volume = (
            columns.column(name).to_numpy(zero_copy_only=False) for name in ("timestamp", "volume")
        )
        refused = {
            "column action: created, changed or deleted was needed": kinds < 0,
            "column direction: bid or ask was needed": sides < 0,
            "column timestamp: ms since 1970 were needed": (ms < 0) | (ms > _MS_MAX),
        }
        actions, size = self._orders.take(
            kinds, columns.column("id").to_pylist(), volume / _VOLUME_SCALE
        )
        rows = order_rows(
            ts_ns=np.clip(ms, 0, _MS_MAX) * 1_000_000,
            actions=np.maximum(actions, 0),
            ids=columns.column("id"),
            sides=np.maximum(sides, 0),
            price=columns.column("price"),
            size=size,
        )
        return replace(rows, refused=refused)


def _places(column: pa.DictionaryArray, words: tuple[str, ...]) -> Int64s:
    """Place of each value among the words; -1 where it is none of them."""
    known = [words.index(text) if text in words else -1 for text in column.dictionary.to_pylist()]
    places: Int64s = np.array([*known, -1], np.int64)[column.indices.to_numpy(zero_copy_only=False)]
    return places
