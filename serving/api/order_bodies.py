"""Bodies of the order routes: what the document says of them, and how a batch becomes checked rows."""

from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from serving.gateway.order_rows import rows_of_columns
from serving.gateway.requests import (
    ORDERS_MAX,
    ReadOrders,
    order_model,
    read_many,
    replacement_model,
)

_EXAMPLE = {
    "account": "desk-1",
    "client_order_id": "my-first",
    "symbol": "AAPL",
    "side": "buy",
    "quantity": "100",
    "order_type": "limit",
    "limit_price": "189.95",
    "time_in_force": "day",
}


class Received(BaseModel):
    """An order that is in the log, on disk."""

    order_id: str = Field(description="The order's identifier from now on")
    client_order_id: str
    account: str
    status: Literal["received"] = "received"
    position: str = Field(
        description="Partition, offset and row in topic `orders`", examples=["0:1200.0"]
    )


class Unreceived(BaseModel):
    """An order of a batch that was not taken."""

    client_order_id: str | None = None
    status: Literal["refused"] = "refused"
    kind: Literal["invalid", "conflict"]
    reason: str


class ReceivedBatch(BaseModel):
    """What became of each order of a batch, in its order."""

    received: int
    refused: int
    orders: list[Received | Unreceived]


class Rejection(BaseModel):
    """A pre-trade check that refuses an order: its limit, the value that broke it, and why in words."""

    check: str
    limit: str
    value: str
    reason: str


class Checked(BaseModel):
    """What the pre-trade checks say."""

    passes: bool
    rejection: Rejection | None


class OrderStanding(BaseModel):
    """An order: what was asked (the fields of `orders`), and how it stands (those of `order_events`)."""

    model_config = ConfigDict(extra="allow")

    order_id: str
    client_order_id: str
    account: str
    symbol: str
    status: str
    quantity: str
    filled_quantity: str
    remaining_quantity: str
    average_price: str | None = None
    events: list[dict[str, Any]] = Field(
        default=[], description="Rows of `order_events`; of one order only"
    )
    executions: list[dict[str, Any]] = Field(
        default=[], description="Rows of `executions`; of one order only"
    )


class OrderPage(BaseModel):
    """Orders, newest first."""

    orders: list[OrderStanding]
    cursor: str | None = Field(description="Ask for the next page with it; null on the last one")


@dataclass(frozen=True, slots=True)
class PreparedBatch:
    """A batch read and checked.

    Parameters
    ----------
    batch : pyarrow.RecordBatch
        Rows of `orders` that can be written.
    rows : list of int
        Place in the body of each.
    faults : dict of int to (str or None, str)
        Client order id and reason of the others, by place.
    accounts : list of str
        Accounts that the batch is for.
    """

    batch: pa.RecordBatch
    rows: list[int]
    faults: dict[int, tuple[str | None, str]]
    accounts: list[str]

    @property
    def count(self) -> int:
        """Orders of the body."""
        return len(self.rows) + len(self.faults)


def prepare_batch(body: bytes, user: str, correlation_id: str) -> PreparedBatch:
    """The orders of a body as rows, checked; what is wrong is said order by order.

    Raises
    ------
    serving.gateway.requests.RequestFaultError
        Where the body is no array of orders at all.
    """
    read = read_many(body)
    faults: dict[int, tuple[str | None, str]] = {
        row: (None, why) for row, why in read.faults.items()
    }
    found = rows_of_columns(read.columns, user=user, correlation_id=correlation_id)
    rows = read.rows
    if len(found.rejected):
        clients = read.columns["client_order_id"]
        for at, reason in zip(found.rejected.tolist(), found.reasons, strict=True):
            faults[read.rows[at]] = (clients[at].as_py(), reason)
        rows = [row for row in read.rows if row not in faults]
    return PreparedBatch(found.good, rows, faults, _accounts(read))


def _accounts(read: ReadOrders) -> list[str]:
    return [name for name in read.columns["account"].unique().to_pylist() if name is not None]


def _schema(kind: type[BaseModel]) -> dict[str, Any]:
    return kind.model_json_schema(ref_template="#/components/schemas/{model}")


_ORDER = _schema(order_model())

BATCH_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": f"One order, or an array of 1 to {ORDERS_MAX:,}. Decimals are strings or numbers, both exact.",
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        _ORDER,
                        {"type": "array", "items": _ORDER, "minItems": 1, "maxItems": ORDERS_MAX},
                    ]
                },
                "examples": {
                    "one": {"value": _EXAMPLE},
                    "bracket": {
                        "value": {
                            **_EXAMPLE,
                            "client_order_id": "my-bracket",
                            "order_class": "bracket",
                            "take_profit_price": "200",
                            "stop_loss_price": "180",
                        }
                    },
                },
            }
        },
    }
}

ORDER_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _ORDER, "example": _EXAMPLE}},
    }
}

REPLACEMENT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": _schema(replacement_model()),
                "example": {"quantity": "50", "limit_price": "189.90"},
            }
        },
    }
}
