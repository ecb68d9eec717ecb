"""What flows say of orders, for tests of the door: rows of `order_events` and `executions`, and who appends them."""

import asyncio
from decimal import Decimal
from typing import Any

import httpx
from fastapi import FastAPI

from connectors.log import Log
from connectors.records import rows_record
from schemas.field import DECIMAL
from schemas.partition import partition_of
from schemas.topic import Topic
from serving.hub.hub import Hub


class Api:
    """A running application, its client, and its log."""

    def __init__(self, app: FastAPI, client: httpx.AsyncClient) -> None:
        self.app = app
        self.client = client
        self.log: Log = app.state.api.log
        self.hub: Hub = app.state.api.part(Hub)

    async def append(self, topic: Topic, *rows: dict[str, Any]) -> None:
        """Append derived rows, and return once the hub has them."""
        for row in rows:
            columns = {name: [exact(topic, name, value)] for name, value in row.items()}
            partitions = self.log.topics()[topic.name].partitions
            partition = partition_of(row[topic.key], partitions)
            record = rows_record(topic, partition, topic.batch(columns))
            (offset,) = await asyncio.to_thread(self.log.append, [record])
            feed = self.hub._feeds[topic.name]
            while feed.positions[partition] <= offset:
                await feed.moved()


def exact(topic: Topic, name: str, value: Any) -> Any:
    """A decimal that is written as text, and what is none as it is."""
    is_decimal = topic.field(name).type == DECIMAL and value is not None
    return Decimal(value) if is_decimal else value


def event(order_id: str, sequence: int, status: str, **fields: Any) -> dict[str, Any]:
    """Of an order to buy 100."""
    return {
        "account": "A1",
        "ts_event": 1_000 + sequence,
        "sequence": sequence,
        "order_id": order_id,
        "client_order_id": "a",
        "event": {"working": "routed"}.get(status, status),
        "status": status,
        "symbol": "AAPL",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "day",
        "quantity": "100",
        "filled_quantity": "0",
        "remaining_quantity": "100",
        "strategy": "",
        "user": "tess",
        **fields,
    }


def late_answer(order_id: str, sequence: int, status: str) -> dict[str, Any]:
    """To a cancellation that came long after the order's end: its terms are not kept any more."""
    terms = dict.fromkeys(("side", "order_type", "time_in_force", "quantity"))
    told = {"event": "cancel_rejected", "filled_quantity": "0", "remaining_quantity": "0"}
    return event(order_id, sequence, status, **told, **terms)


def execution(order_id: str, number: int, **fields: Any) -> dict[str, Any]:
    """Of a tenth of such an order."""
    return {
        "account": "A1",
        "ts_event": 2_000 + number,
        "execution_id": f"e{number}",
        "order_id": order_id,
        "client_order_id": "a",
        "symbol": "AAPL",
        "side": "buy",
        "quantity": "10",
        "price": "150.25",
        "currency": "USD",
        "fees": "0",
        "liquidity": "added",
        "venue": "N",
        "strategy": "",
        **fields,
    }
