"""Drives the flow `execution` a row at a time, and reads back what it gives."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from flows.execution import Execution, ExecutionParams
from flows.flow import Emit, InputRows, Late, Rows, Watermarks
from schemas.book import BOOK_TOP
from schemas.execution import BROKER_REPORTS
from schemas.field import CATEGORY, TEXT
from schemas.instruments import INSTRUMENTS
from schemas.market import QUOTES, TRADES
from schemas.orders import INSTRUCTIONS
from schemas.topic import Topic

OPEN_NS = 1_381_152_600_000_000_000  # 7 October 2013, 9:30 in New York
CLOSE_NS = OPEN_NS + 23_400_000_000_000
SECOND_NS = 1_000_000_000
CLOSE_S = (CLOSE_NS - OPEN_NS) / SECOND_NS
Row = dict[str, Any]


def rows_of(topic: Topic, some: list[Row]) -> pa.RecordBatch:
    """A batch of a topic; fields that are left out are null."""
    return topic.batch(
        {
            field.name: pa.array(
                [row.get(field.name) for row in some],
                TEXT if field.type == CATEGORY else field.type,
            )
            for field in topic.fields
        }
    )


def given(topic: Topic, batch: pa.RecordBatch) -> Rows:
    """A batch as the flow gets it."""
    rows = InputRows(
        batch=batch,
        partition=0,
        offset=np.zeros(batch.num_rows, np.int64),
        row=np.arange(batch.num_rows, dtype=np.int32),
    )
    return Rows(inputs=tuple(rows if one.topic is topic else None for one in Execution.inputs))


class Trader:
    """The flow, the symbol AIG, and a clock in seconds since the opening.

    Parameters
    ----------
    params
        Of `ExecutionParams`; without smart routing unless said: orders go to the paper market ``PAPER``.
    """

    def __init__(self, **params: Any) -> None:
        self.params = ExecutionParams(**({"smart_routing": False} | params))
        self.flow = Execution(self.params, None)
        self.out: dict[str, list[Row]] = {topic.name: [] for topic in Execution.outputs}
        self.late: list[Late] = []
        self.seconds = 0.0

    @property
    def now(self) -> int:
        """The clock in ns since 1970."""
        return OPEN_NS + round(self.seconds * SECOND_NS)

    def at(self, seconds: float) -> "Trader":
        """Set the clock."""
        self.seconds = seconds
        return self

    def quote(
        self,
        bid: float | None,
        bid_size: float | None,
        ask: float | None,
        ask_size: float | None,
        venue: str = "N",
        **more: Any,
    ) -> list[Row]:
        """A quote; the fills that it causes."""
        row = {"venue": venue, "bid": bid, "bid_size": bid_size, "ask": ask, "ask_size": ask_size}
        return self.market(QUOTES, row | more)

    def trade(self, price: float, size: float, venue: str = "N", **more: Any) -> list[Row]:
        """A trade; the fills that it causes."""
        row = {
            "venue": venue,
            "price": price,
            "size": size,
            "updates_high_low": True,
            "updates_last": True,
            "updates_volume": True,
            "action": "new",
            "conditions": "1",
        }
        return self.market(TRADES, row | more)

    def top(self, levels: Mapping[str, float], venue: str = "N", **more: Any) -> list[Row]:
        """A row of ``book_top``; the fills that it causes."""
        return self.market(BOOK_TOP, {"venue": venue, "number": 1, **levels} | more)

    def market(self, topic: Topic, row: Row) -> list[Row]:
        """A row of market data."""
        times = {"symbol": "AIG", "ts_event": self.now, "ts_recv": self.now}
        known = {field.name for field in topic.fields}
        return self.take(topic, [{name: v for name, v in (times | row).items() if name in known}])

    def instrument(self, **more: Any) -> None:
        """What AIG is."""
        row = {"type": "stock", "currency": "USD", "calendar": "XNYS", "is_active": True}
        times = {"symbol": "AIG", "ts_event": OPEN_NS - 10**15, "ts_recv": OPEN_NS}
        self.take(INSTRUMENTS, [times | row | more])

    def order(self, order_id: str = "o", side: str = "buy", **terms: Any) -> list[Row]:
        """A new order, a limit order of 100 for the day unless said; its fills so far."""
        return self.take(INSTRUCTIONS, [self.instruction("new", order_id, side=side, **terms)])

    def replace(self, order_id: str = "o", **terms: Any) -> list[Row]:
        """Other terms of an order."""
        return self.take(INSTRUCTIONS, [self.instruction("replace", order_id, **terms)])

    def cancel(self, order_id: str = "o") -> list[Row]:
        """A cancellation."""
        return self.take(INSTRUCTIONS, [self.instruction("cancel", order_id)])

    def instruction(self, action: str, order_id: str, **terms: Any) -> Row:
        """A row of ``instructions``; prices and quantities as text or number."""
        exact = {
            name: None if value is None else Decimal(str(value))
            for name, value in terms.items()
            if name
            in (
                "quantity",
                "limit_price",
                "stop_price",
                "trail_amount",
                "trail_percent",
                "peg_offset",
                "display_quantity",
            )
        }
        if "order_type" not in terms and "limit_price" not in terms:
            terms["order_type"] = "market"
        return {
            "symbol": "AIG",
            "ts_event": self.now,
            "account": "A",
            "sequence": 1,
            "action": action,
            "order_id": order_id,
            "client_order_id": f"client-{order_id}",
            "side": "buy",
            "quantity": Decimal(100),
            "order_type": "limit",
            "time_in_force": "day",
            "currency": "USD",
            "strategy": "",
            "ts_entry": self.now,
        } | {**terms, **exact}

    def broker(self, report: str, broker_order_id: str, report_id: str, **more: Any) -> list[Row]:
        """A broker's report; the fills that it causes."""
        exact = {name: Decimal(str(more.pop(name))) for name in tuple(more) if name != "reason"}
        row = {
            "symbol": "AIG",
            "ts_event": self.now,
            "ts_recv": self.now,
            "venue": "ALPACA",
            "broker_order_id": broker_order_id,
            "report_id": report_id,
            "report": report,
        }
        return self.take(BROKER_REPORTS, [row | more | exact])

    def pass_time(self, topic: Topic = QUOTES) -> list[Row]:
        """A watermark row at the clock."""
        at = [one.topic for one in Execution.inputs].index(topic)
        times = np.array([self.now], np.int64)
        return self._keep(self.flow.on_watermark(Watermarks(keys=["AIG"], times=times, input=at)))

    def take(self, topic: Topic, some: list[Row]) -> list[Row]:
        """Rows of a topic; the fills that they cause."""
        return self.take_batch(topic, rows_of(topic, some))

    def take_batch(self, topic: Topic, batch: pa.RecordBatch) -> list[Row]:
        """A batch of a topic; the fills that it causes."""
        return self._keep(self.flow.on_rows(given(topic, batch)))

    def resume(self) -> None:
        """Go on with a fresh flow from a snapshot."""
        self.flow = Execution(self.params, self.flow.snapshot())

    @property
    def reports(self) -> list[str]:
        """Order reports so far: order and what happened."""
        return [f"{row['order_id']} {row['report']}" for row in self.out["order_reports"]]

    @property
    def last_report(self) -> Row:
        """The newest order report."""
        return self.out["order_reports"][-1]

    @property
    def fills(self) -> list[tuple[str, str, str, str]]:
        """Fills so far: order, quantity, price, liquidity."""
        return [plain(row) for row in self.out["executions"]]

    def _keep(self, emitted: list[Any]) -> list[Row]:
        fills: list[Row] = []
        for one in emitted:
            if isinstance(one, Emit):
                one.batch.validate(full=True)
                rows = one.batch.to_pylist()
                self.out[one.topic.name] += rows
                if one.topic.name == "executions":
                    fills = rows
            else:
                self.late.append(one)
        return fills


def plain(row: Row) -> tuple[str, str, str, str]:
    """Order, quantity, price and liquidity of a fill."""
    return row["order_id"], _text(row["quantity"]), _text(row["price"]), row["liquidity"]


def _text(number: Decimal) -> str:
    return f"{number.normalize():f}"


def open_market(**params: object) -> Trader:
    """A market with a quote and a trade."""
    trader = Trader(**params)
    trader.at(1).quote(10.00, 300, 10.02, 200)
    trader.trade(10.01, 100)
    return trader
