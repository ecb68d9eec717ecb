"""Routes of orders: what a client sees of the door, and what it may not do."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.audit_log import AuditEntry, read_rows
from schemas.orders import EXECUTIONS, ORDER_EVENTS
from serving.api.scopes import Role
from tests.serving.api.apps import principal, running
from tests.serving.api_orders.derived_rows import Api, event, execution, late_answer
from tests.serving.ordering import order, orders_in

Client = httpx.AsyncClient


def run(home: Path, work: Callable[[Api], Awaitable[None]], *roles: Role, **who: Any) -> None:
    async def all_of_it() -> None:
        async with running(home, principal(*roles, **who), partitions=2) as (app, client):
            await work(Api(app, client))

    asyncio.run(all_of_it())


def test_an_order_is_acknowledged_once_and_its_retry_gets_the_same_answer(tmp_path: Path) -> None:
    async def work(api: Api) -> None:
        first = await api.client.post(
            "/v1/orders", json=order("a"), headers={"X-Correlation-ID": "mine-1"}
        )
        again = await api.client.post("/v1/orders", json=order("a"))
        other = await api.client.post("/v1/orders", json=order("a", quantity="5"))
        assert (first.status_code, again.status_code, other.status_code) == (201, 201, 409)
        assert first.json() == again.json()
        assert other.headers["content-type"] == "application/problem+json"
        (row,) = orders_in(api.log)
        assert (row["order_id"], row["user"], row["correlation_id"]) == (
            first.json()["order_id"],
            "tess",
            "mine-1",
        )
        partition, offset, number = row["place"]
        assert first.json()["position"] == f"{partition}:{offset}.{number}"

    run(tmp_path, work)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 422),
        (b"", 422),
        (b"[]", 422),
        (b'"x"', 422),
        (b'{"account": "A1"}', 422),
        (b'{"quantity": NaN}', 422),
        (b"{" + b" " * (128 << 10) + b"}", 413),
    ],
)
def test_a_body_that_is_no_order_is_a_problem(tmp_path: Path, body: bytes, status: int) -> None:
    async def work(api: Api) -> None:
        answer = await api.client.post("/v1/orders", content=body)
        assert answer.status_code == status
        assert answer.json()["type"].startswith("urn:tapeflow:problem:")
        assert not orders_in(api.log)

    run(tmp_path, work)


def test_of_a_batch_each_order_is_answered_in_its_place(tmp_path: Path) -> None:
    async def work(api: Api) -> None:
        await api.client.post("/v1/orders", json=order("known"))
        bad = [order("b", quantity="-1"), {"x": 1}, order("known", side="sell")]
        answer = await api.client.post(
            "/v1/orders", json=[order("a"), *bad, order("c", order_type="stop"), order("z")]
        )
        found = answer.json()
        assert answer.status_code == 200
        assert (found["received"], found["refused"]) == (2, 4)
        assert [one["status"] for one in found["orders"]] == [
            "received",
            *["refused"] * 4,
            "received",
        ]
        assert [one.get("kind") for one in found["orders"][1:5]] == [
            "invalid",
            "invalid",
            "conflict",
            "invalid",
        ]
        assert {row["client_order_id"] for row in orders_in(api.log)} == {"known", "a", "z"}

    run(tmp_path, work)


def test_a_batch_of_which_nothing_is_taken_is_in_the_audit_log(tmp_path: Path) -> None:
    async def work(api: Api) -> None:
        await api.client.post("/v1/orders", json=order("known"))
        other = order("known", side="sell")
        answer = await api.client.post("/v1/orders", json=[other, {"x": 1}])
        assert answer.json()["refused"] == 2
        # What is recorded is written behind what was noted before.
        state = api.app.state.api
        await state.audit.record(AuditEntry(actor="t", ts_event=1, action="last", result="done"))
        rows = read_rows(api.log, before=None, limit=10)
        (found,) = [row for row in rows if row["action"] == "order_new_batch"]
        assert (found["actor"], found["result"]) == ("tess", "refused")
        assert "used before" in found["reason"]

    run(tmp_path, work)


def test_who_may_not_trade_an_account_gives_no_order_for_it(tmp_path: Path) -> None:
    async def work(api: Api) -> None:
        mine, others = order("a"), order("b", account="A2")
        for body in (others, [mine, others]):
            answer = await api.client.post("/v1/orders", json=body)
            assert answer.status_code == 403
        assert not orders_in(api.log)
        assert (await api.client.post("/v1/orders", json=mine)).status_code == 201
        assert (await api.client.delete("/v1/orders?account=A2")).status_code == 403
        assert (await api.client.post("/v1/orders/check", json=others)).status_code == 403

    run(tmp_path, work, Role.TRADER, sees=frozenset({"A1"}), trades=frozenset({"A1"}))


def test_an_order_of_an_account_that_one_may_not_see_is_not_there(tmp_path: Path) -> None:
    async def work(api: Api) -> None:
        placed = (await api.client.post("/v1/orders", json=order("a"))).json()
        api.app.state.api.door.who = principal(
            Role.TRADER, user="eve", sees=frozenset({"A2"}), trades=frozenset({"A2"})
        )
        path = f"/v1/orders/{placed['order_id']}"
        assert (await api.client.get(path)).status_code == 404
        assert (await api.client.put(path, json={"quantity": "1"})).status_code == 404
        assert (await api.client.delete(path)).status_code == 404
        assert (await api.client.get("/v1/orders?account=A1")).status_code == 403
        assert (await api.client.get("/v1/positions?account=A1")).status_code == 403
        assert (await api.client.get("/v1/executions?account=A1")).status_code == 403
        assert (await api.client.get("/v1/accounts/A1")).status_code == 404
        assert len(orders_in(api.log)) == 1

    run(tmp_path, work)


def test_who_sees_but_does_not_trade_changes_nothing(tmp_path: Path) -> None:
    async def work(api: Api) -> None:
        placed = (await api.client.post("/v1/orders", json=order("a"))).json()
        api.app.state.api.door.who = principal(
            Role.TRADER, user="sam", sees=frozenset({"A1"}), trades=frozenset()
        )
        path = f"/v1/orders/{placed['order_id']}"
        assert (await api.client.get(path)).status_code == 200
        assert (await api.client.delete(path)).status_code == 403
        assert len(orders_in(api.log)) == 1

    run(tmp_path, work)


def test_commands_are_rows_that_name_their_order(tmp_path: Path) -> None:
    async def work(api: Api) -> None:
        placed = (await api.client.post("/v1/orders", json=order("a"))).json()
        path = f"/v1/orders/{placed['order_id']}"
        assert (await api.client.put(path, json={"limit_price": 151.5})).status_code == 202
        assert (await api.client.put(path, json={})).status_code == 422
        assert (await api.client.put(path, json={"side": "sell"})).status_code == 422
        assert (await api.client.delete(path)).status_code == 202
        assert (await api.client.delete("/v1/orders?account=A1&symbol=AAPL")).status_code == 202
        assert (await api.client.delete("/v1/orders/unknown")).status_code == 404
        rows = {row["command"]: row for row in orders_in(api.log)}
        assert list(rows) == ["new", "replace", "cancel", "cancel_all"]
        assert str(rows["replace"]["limit_price"]) == "151.5000000000"
        assert rows["replace"]["quantity"] is None
        for command in ("replace", "cancel"):
            assert rows[command]["order_id"] == placed["order_id"]
            assert rows[command]["client_order_id"] == "a"
        assert rows["cancel_all"]["symbol"] == "AAPL"

    run(tmp_path, work)


def test_an_order_stands_as_its_newest_event_says(tmp_path: Path) -> None:
    async def work(api: Api) -> None:
        order_id = (await api.client.post("/v1/orders", json=order("a"))).json()["order_id"]
        path = f"/v1/orders/{order_id}"
        assert (await api.client.get(path)).json()["status"] == "received"
        await api.append(
            ORDER_EVENTS,
            event(order_id, 1, "accepted"),
            event(order_id, 2, "working", venue="N"),
            event(
                order_id,
                3,
                "partially_filled",
                filled_quantity="10",
                remaining_quantity="90",
                average_price="150.25",
            ),
            event("nobody", 4, "unknown", event="cancel_rejected"),
        )
        await api.append(EXECUTIONS, execution(order_id, 1))
        found = (await api.client.get(path)).json()
        assert found["status"] == "partially_filled"
        assert found["filled_quantity"] == "10.0000000000"
        assert found["limit_price"] is None
        assert [one["event"] for one in found["events"]] == [
            "accepted",
            "routed",
            "partially_filled",
        ]
        assert [one["execution_id"] for one in found["executions"]] == ["e1"]
        assert (await api.client.get("/v1/orders/nobody")).status_code == 404

    run(tmp_path, work)


def test_an_answer_long_after_an_orders_end_does_not_say_how_it_stands(tmp_path: Path) -> None:
    """A filled order, cancelled a thousand orders later, had no side, and nothing was filled."""

    async def work(api: Api) -> None:
        order_id = (await api.client.post("/v1/orders", json=order("a"))).json()["order_id"]
        filled = {"filled_quantity": "100", "remaining_quantity": "0", "average_price": "150.25"}
        await api.append(
            ORDER_EVENTS,
            event(order_id, 1, "accepted"),
            event(order_id, 2, "filled", **filled),
            late_answer(order_id, 3, "filled"),
            late_answer(order_id, 4, "filled"),
        )
        found = (await api.client.get(f"/v1/orders/{order_id}")).json()
        assert (found["status"], found["side"], found["quantity"]) == (
            "filled",
            "buy",
            "100.0000000000",
        )
        assert found["filled_quantity"] == "100.0000000000"
        told = ["accepted", "filled", "cancel_rejected", "cancel_rejected"]
        assert [one["event"] for one in found["events"]] == told
        (listed,) = (await api.client.get("/v1/orders", params={"account": "A1"})).json()["orders"]
        assert (listed["side"], listed["filled_quantity"]) == ("buy", "100.0000000000")
        # What is told later with terms says it again.
        await api.append(ORDER_EVENTS, event(order_id, 5, "cancelled", filled_quantity="90"))
        found = (await api.client.get(f"/v1/orders/{order_id}")).json()
        assert (found["status"], found["filled_quantity"]) == ("cancelled", "90.0000000000")

    run(tmp_path, work)


def test_an_order_that_nobody_gave_has_the_same_fields_as_all(tmp_path: Path) -> None:
    """The exits of a bracket are orders of the order system; a client reads them as it reads its own."""

    async def work(api: Api) -> None:
        given = (await api.client.post("/v1/orders", json=order("a"))).json()["order_id"]
        exit_id = f"{given}-tp"
        await api.append(
            ORDER_EVENTS,
            event(given, 1, "filled"),
            event(exit_id, 2, "working", client_order_id="a-tp", parent_order_id=given),
        )
        page = (await api.client.get("/v1/orders", params={"account": "A1"})).json()["orders"]
        assert [one["order_id"] for one in page] == [exit_id, given]
        assert page[0].keys() == page[1].keys()
        assert (page[0]["order_class"], page[0]["parent_order_id"]) == (None, given)

    run(tmp_path, work)


def test_pages_of_orders_and_executions_give_each_once_newest_first(tmp_path: Path) -> None:
    async def work(api: Api) -> None:
        placed = [
            (await api.client.post("/v1/orders", json=order(f"o{number}", symbol=symbol))).json()
            for number, symbol in enumerate(["AAPL", "MSFT"] * 4)
        ]
        ids = [one["order_id"] for one in placed]
        await api.append(ORDER_EVENTS, event(ids[0], 1, "filled", symbol="AAPL"))
        await api.append(EXECUTIONS, *(execution(ids[0], number) for number in range(1, 6)))
        for query, wanted in (
            ("", ids[::-1]),
            ("&symbol=MSFT", ids[1::2][::-1]),
            ("&status=filled", ids[:1]),
            ("&status=received", ids[:0:-1]),
            ("&status=open", ids[:0:-1]),
            ("&strategy=none", []),
            ("&to=2000-01-01T00:00:00Z", []),
        ):
            assert await pages(api, f"/v1/orders?account=A1{query}", "orders", "order_id") == wanted
        path = f"/v1/executions?account=A1&order_id={ids[0]}"
        assert await pages(api, path, "executions", "execution_id") == [
            f"e{number}" for number in range(5, 0, -1)
        ]

    run(tmp_path, work)


def test_a_cursor_that_no_page_gave_is_refused_and_not_an_empty_page(tmp_path: Path) -> None:
    """With an empty page of 200 a client would think that it has seen all there is."""

    async def work(api: Api) -> None:
        for account in ("A1", "A2"):
            given = (await api.client.post("/v1/orders", json=order("a", account=account))).json()
            made = execution(given["order_id"], 1, account=account, execution_id=f"{account}-1")
            await api.append(EXECUTIONS, made)
        for route, of_another in (("orders", given["order_id"]), ("executions", "A2-1")):
            for cursor in ("", "x", "A1-1 ", "%00", of_another):
                answer = await api.client.get(f"/v1/{route}?account=A1&cursor={cursor}")
                assert answer.status_code == 422, (route, cursor)
                assert answer.headers["Content-Type"] == "application/problem+json"
                assert answer.json()["type"] == "urn:tapeflow:problem:cursor"
                assert "leave it out and begin anew" in answer.json()["detail"]
            answer = await api.client.get(f"/v1/{route}?account=A2&cursor={of_another}")
            assert (answer.status_code, answer.json()[route]) == (200, [])

    run(tmp_path, work)


async def pages(api: Api, path: str, member: str, name: str) -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        page = (await api.client.get(f"{path}&limit=3{cursor}")).json()
        found += [one[name] for one in page[member]]
        if page["cursor"] is None:
            return found
        cursor = f"&cursor={page['cursor']}"
