"""A small day of trading in a log: the rows that come in, and how orders, positions and cash stand after them."""

from decimal import Decimal
from typing import Any

import pyarrow as pa

from connectors.log import Log
from connectors.records import rows_record
from connectors.scan import scan_rows
from connectors.topics import create_topics
from flows.execution import Execution, ExecutionParams
from flows.flow import Flow, Params
from flows.marks import Marks
from flows.oms import Oms, OmsParams
from flows.positions import Positions, PositionsParams
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS
from schemas.instruments import INSTRUMENTS
from schemas.market import QUOTES
from schemas.order_ids import order_id_of
from schemas.orders import EXECUTIONS, ORDER_EVENTS, ORDERS
from schemas.positions import BALANCES, POSITIONS
from schemas.topic import Topic
from tests.flows.orders.order_system import MARKET_NS, NEW, Row, batch_of

KINDS: tuple[type[Flow], ...] = (Marks, Oms, Execution, Positions)
CARRIED: tuple[type[Flow], ...] = (Oms, Execution, Positions)
BEFORE: dict[str, Params] = {Execution.name: ExecutionParams(smart_routing=False)}
# In each flow something that shows.
AFTER: dict[str, Params] = {
    Oms.name: OmsParams(market_cushion_bps=1_000),
    Execution.name: ExecutionParams(smart_routing=False, max_ended=1),
    Positions.name: PositionsParams(interval=0),
}
SECOND_NS = 1_000_000_000


class Day:
    """Appends what comes in to a log of one partition.

    Parameters
    ----------
    log : Log
        Empty.
    """

    def __init__(self, log: Log) -> None:
        self.log = log
        self.seconds = 0
        create_topics(log, 1)

    def begins(self) -> None:
        """Two accounts with money, a share, and a market of 49.99 to 50.01 for 100 each."""
        self.give(INSTRUMENTS, {"symbol": "AIG"})
        self.give(ACCOUNTS, {"account": "A"}, {"account": "B", "type": "cash"})
        self.give(
            CASH_MOVEMENTS,
            {"account": "A", "movement_id": "m1", "amount": "1000000"},
            {"account": "B", "movement_id": "m2", "amount": "10400"},
        )
        self.quote(49.99, 50.01)

    def orders(self) -> None:
        """One that the touch fills in part, one that rests below it, an algorithm with an hour to go."""
        self.order("part", quantity="300", limit_price="50.01")
        self.order("rests", quantity="200", limit_price="45")
        hour = '{"slices": 4, "duration_seconds": 3600, "style": "cross"}'
        more = {"algorithm": "twap", "algorithm_params": hour}
        self.order("twap", quantity="400", limit_price="60", **more)

    def touch(self) -> None:
        """A quote that the algorithm's first slice takes."""
        self.quote(49.99, 50.02)

    def order(self, client_order_id: str, account: str = "A", **terms: Any) -> None:
        """A new order, NEW unless said."""
        ids = {"account": account, "client_order_id": client_order_id}
        name = {"order_id": order_id_of(account, client_order_id)}
        self.give(ORDERS, NEW | ids | name | terms)

    def quote(self, bid: float, ask: float, size: float = 100.0) -> None:
        """The market of a second later."""
        self.seconds += 1
        time = MARKET_NS + self.seconds * SECOND_NS
        row = {"symbol": "AIG", "venue": "N", "ts_event": time, "ts_recv": time}
        more = {"bid": bid, "bid_size": size, "ask": ask, "ask_size": size}
        self.append(QUOTES, QUOTES.batch_of_rows([row | more]))

    def give(self, topic: Topic, *rows: Row) -> None:
        """Rows with what the topic's others have by default."""
        self.append(topic, batch_of(topic, list(rows)))

    def append(self, topic: Topic, batch: pa.RecordBatch) -> None:
        """One record."""
        self.log.append([rows_record(topic, 0, batch)])


def rows_of(log: Log, topic: Topic) -> list[Row]:
    """All rows of a topic, in order."""
    return [row for _, batch in scan_rows(log, topic, 0) for row in batch.to_pylist()]


def events_of(log: Log, client_order_id: str) -> list[str]:
    """What has happened to an order."""
    rows = rows_of(log, ORDER_EVENTS)
    return [row["event"] for row in rows if row["client_order_id"] == client_order_id]


def filled(log: Log) -> dict[str, Decimal]:
    """Quantity of each order's fills, by client order id."""
    found: dict[str, Decimal] = {}
    for row in rows_of(log, EXECUTIONS):
        name = row["client_order_id"]
        found[name] = found.get(name, Decimal(0)) + row["quantity"]
    return found


def held(log: Log, account: str = "A") -> Decimal:
    """The quantity in the newest row of an account's position."""
    rows = [row for row in rows_of(log, POSITIONS) if row["account"] == account]
    return rows[-1]["quantity"] if rows else Decimal(0)


def cash(log: Log, account: str = "A") -> Decimal:
    """The cash in the newest row of an account's balance."""
    return [row for row in rows_of(log, BALANCES) if row["account"] == account][-1]["balance"]


def cash_by_hand(log: Log, deposited: str, account: str = "A") -> Decimal:
    """What fills, all of them purchases, leave of a deposit: from ``executions`` alone."""
    rows = [row for row in rows_of(log, EXECUTIONS) if row["account"] == account]
    assert all(row["side"] == "buy" for row in rows)
    spent = sum(row["quantity"] * row["price"] + row["fees"] for row in rows)
    return Decimal(deposited) - spent
