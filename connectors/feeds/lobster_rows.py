"""LOBSTER messages as rows of `book_events`."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from connectors.feeds.categories import coded, constant
from connectors.feeds.source import Rows
from connectors.feeds.times import DAY_NS, DECIMAL_SECONDS, decimal_to_int64
from schemas.arrays import Bools, Int64s, UInt64s
from schemas.field import TIMESTAMP
from schemas.market import BOOK_EVENTS

VENUE = "NASDAQ"
PRICE_SCALE = 10_000.0

_INT = pa.int64()
COLUMNS = {
    "time": DECIMAL_SECONDS,
    "type": _INT,
    "order_id": pa.uint64(),
    "size": _INT,
    "price": _INT,
    "direction": _INT,
}

ACTIONS = ("add", "cancel", "execute", "hidden_execute", "halt", "level", "clear")
ADD, CANCEL, EXECUTE, _, HALT, LEVEL, CLEAR = range(len(ACTIONS))
# The action of each type, from 0; those that are no type are refused.
_ACTION_OF_TYPE = np.array([0, 0, 1, 1, 2, 3, 0, 4])
_HALT_TYPE = 7
_STATES = ("halted", "quoting", "trading")
_SIDES = ("buy", "sell")


@dataclass(frozen=True, kw_only=True)
class Messages:
    """Messages, or rows made for a book beside them.

    Parameters
    ----------
    ts_event : numpy.ndarray of int64, shape (n,)
        Ns since 1970 UTC.
    action : numpy.ndarray of int64, shape (n,)
        Place in `ACTIONS`.
    order_id : numpy.ndarray of uint64, shape (n,)
        0 for none.
    side : numpy.ndarray of int64, shape (n,)
        0 to buy, 1 to sell.
    price, size : numpy.ndarray of int64, shape (n,)
        As in the file: USD times 10,000 (a halt's state), and shares.
    is_last : numpy.ndarray of bool, shape (n,)
        Whether the book is whole behind the row.
    refused : dict of str to numpy.ndarray of bool, shape (n,)
        Reason to the rows that are none.
    """

    ts_event: Int64s
    action: Int64s
    order_id: UInt64s
    side: Int64s
    price: Int64s
    size: Int64s
    is_last: Bools
    refused: dict[str, Bools]

    def only(self, keep: Bools) -> "Messages":
        """Some of them."""
        return Messages(
            ts_event=self.ts_event[keep],
            action=self.action[keep],
            order_id=self.order_id[keep],
            side=self.side[keep],
            price=self.price[keep],
            size=self.size[keep],
            is_last=self.is_last[keep],
            refused={reason: bad[keep] for reason, bad in self.refused.items()},
        )


def understood(columns: pa.RecordBatch, midnight_ns: int) -> Messages:
    """The messages in the columns of a file."""
    since_midnight, outside = decimal_to_int64(columns.column("time"))
    others = (columns.column(name).to_numpy(zero_copy_only=False) for name in list(COLUMNS)[1:])
    return messages_of(since_midnight, outside, *others, midnight_ns=midnight_ns)


def messages_of(
    since_midnight: Int64s,
    outside: Bools | None,
    kind: Int64s,
    order_id: UInt64s,
    size: Int64s,
    price: Int64s,
    direction: Int64s,
    *,
    midnight_ns: int,
) -> Messages:
    """The messages in the file's numbers, each of shape (n,): times in ns, or outside of int64."""
    halt = kind == _HALT_TYPE
    known = (kind >= 1) & (kind <= _HALT_TYPE) & (kind != _HALT_TYPE - 1)
    refused: dict[str, Bools] = {
        "column time: seconds since midnight, 0 to 86399.999999999, were needed": (
            (since_midnight < 0)
            | (since_midnight >= DAY_NS)
            | (False if outside is None else outside)
        ),
        "column type: 1, 2, 3, 4, 5 or 7 was needed": ~known,
        "column direction: 1 or -1 was needed": np.abs(direction) != 1,
        "column price: -1, 0 or 1 was needed for a trading halt": halt & (np.abs(price) > 1),
    }
    return Messages(
        ts_event=midnight_ns + since_midnight,
        action=_ACTION_OF_TYPE[np.clip(kind, 0, _HALT_TYPE)],
        order_id=order_id,
        side=(direction < 0).astype(np.int64),
        price=price,
        size=size,
        is_last=np.ones(len(kind), np.bool_),
        refused=refused,
    )


def rows_of(messages: Messages, symbol: str) -> Rows:
    """Rows of `book_events`."""
    action, order_id, price = messages.action, messages.order_id, messages.price
    halt = action == HALT
    bare = halt | (action == CLEAR)
    ts_event = pa.array(messages.ts_event).view(TIMESTAMP)
    batch = BOOK_EVENTS.batch(
        {
            "symbol": constant(symbol, len(action)),
            "venue": constant(VENUE, len(action)),
            "ts_event": ts_event,
            "ts_recv": ts_event,
            "action": coded(action, ACTIONS),
            "order_id": pa.array(order_id, mask=order_id == 0),
            "side": coded(messages.side, _SIDES, mask=bare),
            "price": pa.array(price / PRICE_SCALE, mask=bare),
            "size": pa.array(messages.size.astype(np.float64), mask=bare),
            "state": coded(np.clip(price, -1, 1) + 1, _STATES, mask=~halt),
            "is_last": pa.array(messages.is_last),
        }
    )
    return Rows(batch=batch, refused=messages.refused)
