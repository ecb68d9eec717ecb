"""LOBSTER message files: every order-book event of one symbol on NASDAQ on one day.

``GOOG_2012-06-21_34200000_57600000_message_10.csv`` (or ``.csv.gz``); symbol and date are taken from the
name. Times are decimal seconds since midnight in New York with up to nine digits and are read exactly.
The orderbook file that lies beside a message file says nothing more and is not fed.

Source: LOBSTER_SampleFiles_ReadMe.txt (1 September 2013). Type 2 (partial) and 3 (whole) deletions are
both ``cancel`` with the size taken away; 4 is ``execute``, 5 ``hidden_execute``, 7 ``halt`` with the state
in its price (-1 halted, 0 quoting, 1 trading).
"""

import re
from functools import partial

import numpy as np
import pyarrow as pa

from connectors.feeds.categories import coded, constant
from connectors.feeds.source import FeedError, Format, Probe, Rows, Source
from connectors.feeds.text import Layout, TextSource
from connectors.feeds.times import (
    DAY_NS,
    DECIMAL_SECONDS,
    decimal_to_int64,
    new_york_midnight,
)
from schemas.arrays import Bools
from schemas.field import TIMESTAMP
from schemas.market import BOOK_EVENTS

VENUE = "NASDAQ"
PRICE_SCALE = 10_000.0

_FILE = re.compile(
    r"(?P<symbol>.+)_(?P<date>\d{4}-\d\d-\d\d)_\d+_\d+_(?P<kind>message|orderbook)_\d+\.csv(\.gz)?",
    re.IGNORECASE,
)
_LINE = re.compile(rb"[\d.]+,\d,\d+,\d+,-?\d+,-?1")

_INT = pa.int64()
_COLUMNS = {
    "time": DECIMAL_SECONDS,
    "type": _INT,
    "order_id": pa.uint64(),
    "size": _INT,
    "price": _INT,
    "direction": _INT,
}

_ACTIONS = ("add", "cancel", "execute", "hidden_execute", "halt")
# The action of each type, from 0; those that are no type are refused.
_ACTION_OF_TYPE = np.array([0, 0, 1, 1, 2, 3, 0, 4])
_HALT = 7
_STATES = ("halted", "quoting", "trading")
_SIDES = ("buy", "sell")


class Lobster(Format):
    """LOBSTER message files."""

    name = "lobster"
    summary = "LOBSTER messages, SYMBOL_YYYY-MM-DD_start_end_message_LEVELS.csv or .csv.gz"

    def matches(self, probe: Probe) -> bool:
        """Whether name and first line are a message file's."""
        named = _FILE.fullmatch(probe.path.name)
        return (
            named is not None
            and named["kind"].lower() == "message"
            and _LINE.fullmatch(probe.first_line) is not None
        )

    def open(self, probe: Probe, block_bytes: int) -> tuple[Source, ...]:
        """Open a message file."""
        named = _FILE.fullmatch(probe.path.name)
        if named is None:
            raise FeedError(
                f"{probe}: the name is not a LOBSTER message file's, such as "
                "GOOG_2012-06-21_34200000_57600000_message_10.csv.gz; symbol and date are taken from it"
            )
        build = partial(
            _book_events,
            symbol=named["symbol"].upper(),
            midnight_ns=new_york_midnight(named["date"]),
        )
        layout = Layout(topic=BOOK_EVENTS, columns=_COLUMNS, build=build, required=tuple(_COLUMNS))
        return (TextSource(probe.path, layout, block_bytes),)


def is_orderbook(name: str) -> bool:
    """Whether a file name is that of the orderbook file beside a message file."""
    named = _FILE.fullmatch(name)
    return named is not None and named["kind"].lower() == "orderbook"


def _book_events(columns: pa.RecordBatch, *, symbol: str, midnight_ns: int) -> Rows:
    since_midnight, outside = decimal_to_int64(columns.column("time"))
    kind, order_id, size, price, direction = (
        columns.column(name).to_numpy(zero_copy_only=False)
        for name in ("type", "order_id", "size", "price", "direction")
    )
    halt = kind == _HALT
    refused: dict[str, Bools] = {
        "column time: seconds since midnight, 0 to 86399.999999999, were needed": (
            outside | (since_midnight < 0) | (since_midnight >= DAY_NS)
        ),
        "column type: 1, 2, 3, 4, 5 or 7 was needed": ~np.isin(kind, (1, 2, 3, 4, 5, _HALT)),
        "column direction: 1 or -1 was needed": np.abs(direction) != 1,
        "column price: -1, 0 or 1 was needed for a trading halt": halt & (np.abs(price) > 1),
    }
    ts_event = pa.array(midnight_ns + since_midnight).view(TIMESTAMP)
    batch = BOOK_EVENTS.batch(
        {
            "symbol": constant(symbol, columns.num_rows),
            "venue": constant(VENUE, columns.num_rows),
            "ts_event": ts_event,
            "ts_recv": ts_event,
            "action": coded(_ACTION_OF_TYPE[np.clip(kind, 0, _HALT)], _ACTIONS),
            "order_id": pa.array(order_id, mask=order_id == 0),
            "side": coded((direction < 0).astype(np.int64), _SIDES, mask=halt),
            "price": pa.array(price / PRICE_SCALE, mask=halt),
            "size": pa.array(size.astype(np.float64), mask=halt),
            "state": coded(np.clip(price, -1, 1) + 1, _STATES, mask=~halt),
            "is_last": pa.repeat(pa.scalar(True), columns.num_rows),
        }
    )
    return Rows(batch=batch, refused=refused)
