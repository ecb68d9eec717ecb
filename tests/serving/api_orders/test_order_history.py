"""Orders that memory does not hold any more, from ClickHouse; and the dry run of the pre-trade checks."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
from fastapi import FastAPI

from connectors.clickhouse import connect, create_tables, insert
from connectors.landed import Decoded, landed_table
from connectors.log import Log, Record, open_log
from connectors.records import decode_rows, rows_record
from schemas.accounts import ACCOUNTS
from schemas.instruments import INSTRUMENTS
from schemas.order_ids import order_id_of
from schemas.orders import EXECUTIONS, ORDER_EVENTS, ORDERS
from schemas.positions import BALANCES, MARKS, POSITIONS
from schemas.topic import Topic
from serving.hub.hub import Hub
from tests.serving.api.apps import running
from tests.serving.api_orders.derived_rows import event, exact, execution, late_answer
from tests.serving.api_orders.test_order_routes import pages
from tests.serving.ordering import order

Work = Callable[[FastAPI, httpx.AsyncClient], Awaitable[None]]


def run(home: Path, work: Work, **settings: Any) -> None:
    async def all_of_it() -> None:
        async with running(home, **settings) as (app, client):
            await work(app, client)

    asyncio.run(all_of_it())


def batch_of(topic: Topic, *rows: dict[str, Any]) -> pa.RecordBatch:
    """Rows with decimals as text."""
    return topic.batch({name: [exact(topic, name, row[name]) for row in rows] for name in rows[0]})


def land(store: str, topic: Topic, batches: list[pa.RecordBatch]) -> None:
    rows = [
        Decoded(Record(topic.name, 0, offset, 1, None, (), None), batch)
        for offset, batch in enumerate(batches)
    ]
    with connect(store) as client:
        create_tables(client)
        insert(client, topic, landed_table(topic, rows), topic.name)


def ordered(home: Path, names: list[str]) -> tuple[list[str], list[pa.RecordBatch]]:
    """Orders given at an earlier time: their identifiers, and the records of `orders`."""
    ids: list[str] = []

    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        del app
        for name in names:
            answer = await client.post("/v1/orders", json=order(name))
            ids.append(answer.json()["order_id"])

    run(home, work)
    with open_log(f"sqlite:///{home / 'log.db'}") as log:
        records = log.read("orders", 0, 0).records
        return ids, [decode_rows(ORDERS, record) for record in records]


def test_older_orders_are_found_where_they_landed(tmp_path: Path, store_url: str) -> None:
    ids, records = ordered(tmp_path / "before", [f"o{number}" for number in range(5)])
    land(store_url, ORDERS, records)
    events = [
        event(ids[1], 1, "accepted"),
        event(ids[1], 2, "filled", filled_quantity="100", remaining_quantity="0"),
        event(ids[1], 3, "unknown", event="cancel_rejected"),
        late_answer(ids[1], 4, "filled"),
    ]
    land(store_url, ORDER_EVENTS, [batch_of(ORDER_EVENTS, *events)])
    land(
        store_url, EXECUTIONS, [batch_of(EXECUTIONS, *(execution(ids[1], n) for n in range(1, 5)))]
    )

    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        # As if all this had been trimmed from the log, or were older than what a start reads.
        app.state.api.part(Hub)._whole.clear()
        found = (await client.get(f"/v1/orders/{ids[1]}")).json()
        assert (found["status"], found["side"]) == ("filled", "buy")
        assert found["filled_quantity"] == "100.0000000000"
        assert [one["event"] for one in found["events"]] == [
            "accepted",
            "filled",
            "cancel_rejected",
            "cancel_rejected",
        ]
        (listed,) = (await client.get("/v1/orders?account=A1&status=filled")).json()["orders"]
        assert (listed["side"], listed["filled_quantity"]) == ("buy", "100.0000000000")
        assert len(found["executions"]) == 4
        assert (await client.get("/v1/orders/none")).status_code == 404
        for query, wanted in (
            ("", ids[::-1]),
            ("&status=filled", [ids[1]]),
            ("&status=received", [ids[4], ids[3], ids[2], ids[0]]),
            ("&status=open", [ids[4], ids[3], ids[2], ids[0]]),
            ("&symbol=MSFT", []),
        ):
            listed = await listing(client, f"/v1/orders?account=A1{query}", "orders", "order_id")
            assert listed == wanted
        path = "/v1/executions?account=A1"
        assert await listing(client, path, "executions", "execution_id") == ["e4", "e3", "e2", "e1"]
        for route in ("orders", "executions"):
            answer = await client.get(f"/v1/{route}?account=A1&cursor=none")
            assert (answer.status_code, answer.json()["status"]) == (422, 422)
        assert (await client.delete(f"/v1/orders/{ids[0]}")).status_code == 202

    run(tmp_path / "after", work, store=store_url)


def test_a_retry_is_compared_with_the_order_that_landed_once_the_log_keeps_it_no_more(
    tmp_path: Path, store_url: str
) -> None:
    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        log: Log = app.state.api.log
        first = await client.post("/v1/orders", json=order("a"))
        await client.post("/v1/orders", json=order("b"))
        commands = [decode_rows(ORDERS, record) for record in log.read("orders", 0, 0).records]
        log.trim("orders", 0, 1)
        # It landed nowhere, or is not kept there either.
        again = await client.post("/v1/orders", json=order("a"))
        assert (again.status_code, again.json()) == (201, first.json())
        await asyncio.to_thread(land, store_url, ORDERS, commands[:1])
        again = await client.post("/v1/orders", json=order("a"))
        assert (again.status_code, again.json()) == (201, first.json())
        other = await client.post("/v1/orders", json=order("a", quantity="7"))
        assert other.status_code == 409
        both = await client.post("/v1/orders", json=[order("a"), order("a", quantity="8")])
        assert [one["status"] for one in both.json()["orders"]] == ["received", "refused"]
        assert both.json()["orders"][0]["position"] == first.json()["position"]
        assert log.end("orders", 0) == 2

    run(tmp_path, work, store=store_url)


async def listing(client: httpx.AsyncClient, path: str, member: str, name: str) -> list[str]:
    class Paged:
        pass

    paged: Any = Paged()
    paged.client = client
    return await pages(paged, path, member, name)


async def append(app: FastAPI, topic: Topic, *rows: dict[str, Any]) -> None:
    log: Log = app.state.api.log
    (offset,) = await asyncio.to_thread(log.append, [rows_record(topic, 0, batch_of(topic, *rows))])
    feed = app.state.api.part(Hub)._feeds[topic.name]
    while feed.positions[0] <= offset:
        await feed.moved()


ACCOUNT = {
    "account": "A1",
    "ts_event": 1,
    "ts_recv": 1,
    "currency": "USD",
    "type": "cash",
    "max_order_quantity": "500",
    "self_trade_allowed": False,
    "halted": False,
    "user": "root",
}
BALANCE = {
    "account": "A1",
    "ts_event": 1,
    "sequence": 1,
    "currency": "USD",
    "change": "20000",
    "balance": "20000",
    "cause": "cash_movement",
    "cause_id": "d1",
}


async def fill_topics(app: FastAPI) -> None:
    """An account with 20,000 USD, and a stock at 150."""
    await append(app, ACCOUNTS, ACCOUNT)
    await append(app, BALANCES, BALANCE)
    instrument = {
        "symbol": "AAPL",
        "ts_event": 1,
        "ts_recv": 1,
        "type": "stock",
        "calendar": "XNYS",
        "is_active": True,
        "currency": "USD",
        "tick_size": 0.01,
        "lot_size": 1.0,
    }
    await append(app, INSTRUMENTS, instrument)
    prices = {"bid": 149.99, "ask": 150.01, "last": 150.0, "price": 150.0}
    await append(app, MARKS, {"symbol": "AAPL", "ts_event": 2, **prices})


def _held(quantity: str) -> dict[str, Any]:
    return {
        "account": "A1",
        "ts_event": 3,
        "sequence": 1,
        "strategy": "",
        "symbol": "AAPL",
        "quantity": quantity,
        "cost": "4500",
        "mark": "150",
        "realised": "0",
        "fees": "0",
        "dividends": "0",
        "currency": "USD",
        "cause": "execution",
    }


@pytest.mark.parametrize(
    ("fields", "check"),
    [
        ({}, None),
        ({"quantity": "501"}, "order_quantity"),
        ({"quantity": "200"}, "buying_power"),
        ({"symbol": "NONE"}, "instrument"),
        ({"limit_price": "150.005"}, "tick_size"),
        ({"side": "sell"}, "short_sale"),
        ({"account": "A9"}, "account"),
    ],
)
def test_the_dry_run_says_what_the_checks_would(
    tmp_path: Path, fields: dict[str, Any], check: str | None
) -> None:
    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        await fill_topics(app)
        answer = await client.post("/v1/orders/check", json=order("a", **fields))
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["passes"] == (check is None)
        assert (found["rejection"] or {}).get("check") == check
        assert app.state.api.log.end("orders", 0) == 0

    run(tmp_path, work)


def test_the_dry_run_counts_what_is_open_and_held(tmp_path: Path) -> None:
    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        await fill_topics(app)
        placed = (await client.post("/v1/orders", json=order("open"))).json()
        await append(
            app, ORDER_EVENTS, event(placed["order_id"], 1, "working", limit_price="150.25")
        )
        asked = order("b", quantity="50")
        found = (await client.post("/v1/orders/check", json=asked)).json()
        assert found["rejection"]["check"] == "buying_power"
        await append(app, ORDER_EVENTS, event(placed["order_id"], 2, "cancelled"))
        assert (await client.post("/v1/orders/check", json=asked)).json()["passes"]
        await append(app, POSITIONS, _held("30"))
        for quantity, passes in (("30", True), ("31", False)):
            sale = order("s", side="sell", quantity=quantity)
            assert (await client.post("/v1/orders/check", json=sale)).json()["passes"] is passes
        rows = (await client.get("/v1/positions?account=A1")).json()["positions"]
        assert [row["quantity"] for row in rows] == ["30.0000000000"]
        standing = (await client.get("/v1/accounts/A1")).json()
        assert standing["balances"][0]["balance"] == "20000.0000000000"
        assert standing["limits"]["max_order_quantity"] == "500.0000000000"

    run(tmp_path, work)


def test_the_dry_run_counts_a_pair_of_exits_once_whichever_pair_it_is(tmp_path: Path) -> None:
    """Those of a bracket's further fills counted twice."""

    async def work(app: FastAPI, client: httpx.AsyncClient) -> None:
        await fill_topics(app)
        await append(app, POSITIONS, _held("60"))
        entry = order_id_of("A1", "entry")
        both = {"side": "sell", "quantity": "30", "remaining_quantity": "30"}
        for number, exit_ in enumerate(("-tp2", "-sl2"), start=1):
            named = {"parent_order_id": entry, "client_order_id": f"entry{exit_}"}
            row = event(entry + exit_, number, "working", **both, **named)
            await append(app, ORDER_EVENTS, row | {"limit_price": "160"})
        for quantity, passes in (("30", True), ("31", False)):
            sale = order("s", side="sell", quantity=quantity)
            assert (await client.post("/v1/orders/check", json=sale)).json()["passes"] is passes

    run(tmp_path, work)
