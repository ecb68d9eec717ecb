"""An order system that tests talk to in rows with few words: everything that a test does not say has a default."""

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from flows.flow import Emit, InputRows, Rows
from flows.oms import Oms, OmsParams
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS, CORPORATE_ACTIONS
from schemas.field import CATEGORY, DECIMAL, TEXT, TIMESTAMP
from schemas.instruments import INSTRUMENTS
from schemas.order_ids import order_id_of
from schemas.orders import EXECUTIONS, ORDER_REPORTS, ORDERS
from schemas.positions import MARKS
from schemas.topic import Topic

Row = dict[str, Any]

MARKET_NS = 1_381_152_600_000_000_000  # 2013-10-07 13:30 UTC
ENTRY_NS = 1_760_000_000_000_000_000  # in 2025, by the wall clock

_DEFAULTS: dict[str, Row] = {
    "accounts": {
        "account": "A",
        "ts_event": ENTRY_NS,
        "ts_recv": ENTRY_NS,
        "currency": "USD",
        "type": "margin",
        "self_trade_allowed": False,
        "halted": False,
        "user": "chief",
    },
    "cash_movements": {
        "account": "A",
        "ts_event": ENTRY_NS,
        "ts_recv": ENTRY_NS,
        "kind": "deposit",
        "currency": "USD",
    },
    "corporate_actions": {"symbol": "AIG", "ts_event": MARKET_NS, "ts_recv": ENTRY_NS},
    "instruments": {
        "ts_event": 0,
        "ts_recv": 0,
        "type": "stock",
        "currency": "USD",
        "calendar": "XNYS",
        "is_active": True,
        "tick_size": 0.01,
        "lot_size": 100.0,
    },
    "marks": {"symbol": "AIG", "ts_event": MARKET_NS},
    "orders": {
        "account": "A",
        "ts_event": ENTRY_NS,
        "ts_recv": ENTRY_NS,
        "command": "new",
        "order_id": "",
        "order_class": "simple",
        "strategy": "",
        "user": "trader",
    },
    "order_reports": {
        "account": "A",
        "ts_event": MARKET_NS,
        "symbol": "AIG",
        "sequence": 1,
        "quantity": "100",
        "filled_quantity": "0",
    },
    "executions": {
        "account": "A",
        "ts_event": MARKET_NS,
        "client_order_id": "?",
        "symbol": "AIG",
        "side": "buy",
        "currency": "USD",
        "fees": "0",
        "liquidity": "removed",
        "venue": "PAPER",
        "strategy": "",
    },
}
NEW = {
    "symbol": "AIG",
    "side": "buy",
    "quantity": "100",
    "order_type": "limit",
    "limit_price": "50",
    "time_in_force": "day",
}
_BRACKET = {"order_class": "bracket", "take_profit_price": "55", "stop_loss_price": "45"}


def batch_of(topic: Topic, rows: list[Row]) -> pa.RecordBatch:
    """Rows as a batch; numbers of decimal fields as text or numbers, exactly."""
    columns = {}
    for field in topic.fields:
        values = [(_DEFAULTS[topic.name] | row).get(field.name) for row in rows]
        if field.type == DECIMAL:
            values = [None if one is None else Decimal(str(one)) for one in values]
        kind = TEXT if field.type == CATEGORY else field.type
        if field.type == TIMESTAMP:
            columns[field.name] = pa.array(values, pa.int64()).view(TIMESTAMP)
        else:
            columns[field.name] = pa.array(values, kind)
    return topic.batch(columns)


def order_id(client_order_id: str, account: str = "A") -> str:
    return order_id_of(account, client_order_id)


class OrderSystem:
    """One `Oms`, with an account A, an instrument AIG at 49.99 to 50.01, and a million dollars."""

    def __init__(self, *, funded: str | None = "1000000", **account: Any) -> None:
        self.flow = Oms(OmsParams(), None)
        self.events: list[Row] = []
        self.instructions: list[Row] = []
        self._now = MARKET_NS
        self._actions = 0
        self.feed(INSTRUMENTS, {"symbol": "AIG"})
        self.mark("AIG", 49.99, 50.01)
        self.feed(ACCOUNTS, account)
        if funded is not None:
            self.feed(CASH_MOVEMENTS, {"movement_id": "first", "amount": funded})

    def feed(self, topic: Topic, *rows: Row) -> list[Row]:
        """Give rows to the flow; the events that they caused. Instructions are kept."""
        return self.take(topic, batch_of(topic, list(rows)))

    def take(self, topic: Topic, batch: pa.RecordBatch) -> list[Row]:
        count = batch.num_rows
        given = InputRows(
            batch=batch,
            partition=0,
            offset=np.zeros(count, np.int64),
            row=np.arange(count, dtype=np.int32),
        )
        rows = Rows(inputs=tuple(given if one.topic is topic else None for one in Oms.inputs))
        events: list[Row] = []
        for one in self.flow.on_rows(rows):
            assert isinstance(one, Emit)
            one.batch.validate(full=True)
            found = _plain(one.batch)
            if one.topic.name == "order_events":
                events += found
            else:
                self.instructions += found
        self.events += events
        return events

    def mark(self, symbol: str, bid: float | None, ask: float | None, **more: Any) -> None:
        price = more.pop("price", None)
        if price is None and bid is not None and ask is not None:
            price = (bid + ask) / 2
        self._now += 1_000_000_000
        self.feed(
            MARKS,
            {"symbol": symbol, "bid": bid, "ask": ask, "price": price, "ts_event": self._now}
            | more,
        )

    def new(self, client: str = "c1", **terms: Any) -> list[Row]:
        return self.feed(ORDERS, NEW | {"client_order_id": client} | terms)

    def bracket(self, client: str = "c1", **terms: Any) -> list[Row]:
        """A bracket around the price, or an OCO where ``order_class`` says so."""
        return self.new(client, **(_BRACKET | terms))

    def replace(self, client: str = "c1", **terms: Any) -> list[Row]:
        return self.feed(ORDERS, {"command": "replace", "client_order_id": client} | terms)

    def cancel(self, client: str = "c1", **terms: Any) -> list[Row]:
        return self.feed(ORDERS, {"command": "cancel", "client_order_id": client} | terms)

    def report(self, report: str, client: str = "c1", **more: Any) -> list[Row]:
        """A report on an order, or on one of its exits where ``exit`` says which."""
        name = order_id(client) + more.pop("exit", "")
        return self.feed(ORDER_REPORTS, {"order_id": name, "report": report} | more)

    def fill(self, quantity: Any, price: Any = "50", client: str = "c1", **more: Any) -> list[Row]:
        name = order_id(client) + more.pop("exit", "")
        row = {
            "order_id": name,
            "execution_id": f"e{len(self.events)}",
            "quantity": quantity,
            "price": price,
        }
        return self.feed(EXECUTIONS, row | more)

    def act(self, action: str, ts_ns: int, **more: Any) -> list[Row]:
        """A corporate action of AIG, unless another symbol is given."""
        self._actions += 1
        row = {"action": action, "ts_event": ts_ns, "action_id": f"a{self._actions}"}
        return self.feed(CORPORATE_ACTIONS, row | more)

    def restart(self) -> None:
        """Go on with what the snapshot holds."""
        state = self.flow.snapshot()
        self.flow = Oms(OmsParams(), state)
        assert self.flow.snapshot() == state


def _plain(batch: pa.RecordBatch) -> list[Row]:
    at = batch.schema.get_field_index("ts_event")
    batch = batch.set_column(at, "ts_event", batch.column(at).view(pa.int64()))
    for name in ("ts_entry", "ts_expire"):
        at = batch.schema.get_field_index(name)
        if at >= 0:
            batch = batch.set_column(at, name, batch.column(at).view(pa.int64()))
    rows: list[Row] = batch.to_pylist()
    return rows


def said(events: list[Row]) -> list[tuple[str, str]]:
    """Event and status of each."""
    return [(one["event"], one["status"]) for one in events]


def refusal(events: list[Row]) -> tuple[str, str, str]:
    """Check, limit and value of the one rejection among some events."""
    (found,) = [one for one in events if one["check"] is not None]
    return found["check"], found["check_limit"], found["check_value"]
