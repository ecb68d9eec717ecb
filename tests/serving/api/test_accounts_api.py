"""Accounts over the API: the kill switch, limits and cash, in the log and the audit log in one commit."""

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from connectors.scan import scan_rows
from schemas.accounts import ACCOUNTS, CASH_MOVEMENTS
from schemas.audit_log import AUDIT_LOG
from schemas.topic import Topic
from serving.api.scopes import Role
from tests.serving.api.apps import principal, running


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test in an event loop of its own."""

    @wraps(test)
    def run(**given: Any) -> None:
        asyncio.run(test(**given))

    return run


def rows(app: FastAPI, topic: Topic) -> list[dict[str, Any]]:
    log = app.state.api.log
    found: list[dict[str, Any]] = []
    for partition in range(log.topics()[topic.name].partitions):
        for _, batch in scan_rows(log, topic, partition):
            found += batch.select(
                [name for name in batch.schema.names if name[:3] != "ts_"]
            ).to_pylist()
    return found


@in_loop
async def test_an_account_is_opened_changed_and_paid_into_once(tmp_path: Path) -> None:
    async with running(tmp_path) as (app, client):
        new = {"type": "margin", "max_order_quantity": "1000", "deposit": "100000.25"}
        for _ in range(2):
            answer = await client.put("/v1/accounts/A1", json=new)
            assert answer.status_code == 200, answer.text
        assert "nothing changed" in answer.json()["done"]
        answer = await client.put("/v1/accounts/A1", json=new | {"type": "cash"})
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:tapeflow:problem:account")
        changed = {"max_order_quantity": None, "restricted": "GME"}
        assert (await client.patch("/v1/accounts/A1", json=changed)).status_code == 200
        cash = {"amount": "-250.75", "movement_id": "m1"}
        for _ in range(2):
            assert (await client.post("/v1/accounts/A1/cash", json=cash)).status_code == 200
        newest = rows(app, ACCOUNTS)[-1]
        assert (newest["type"], newest["max_order_quantity"], newest["restricted"]) == (
            "margin",
            None,
            "GME",
        )
        assert newest["user"] == "tess"
        moved = [(row["movement_id"], row["amount"]) for row in rows(app, CASH_MOVEMENTS)]
        assert moved == [("opening", Decimal("100000.25")), ("m1", Decimal("-250.75"))]
        said = [(row["action"], row["subject"], row["result"]) for row in rows(app, AUDIT_LOG)]
        assert said == [
            ("account_open", "A1", "done"),
            ("account_open", "A1", "refused"),
            ("account_set", "A1", "done"),
            ("account_cash", "A1", "done"),
        ]


@in_loop
async def test_compliance_throws_the_kill_switch_of_an_account_and_of_the_firm(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as (app, client):
        await client.put("/v1/accounts/A1", json={})
        app.state.api.door.who = principal(Role.COMPLIANCE, user="carl")
        for name in ("A1", "*"):
            assert (await client.post(f"/v1/accounts/{name}/halt")).status_code == 200
            newest = rows(app, ACCOUNTS)[-1]
            assert (newest["account"], newest["halted"], newest["user"]) == (name, True, "carl")
            assert (await client.post(f"/v1/accounts/{name}/resume")).status_code == 200
            assert not rows(app, ACCOUNTS)[-1]["halted"]
        said = [row for row in rows(app, AUDIT_LOG) if row["actor"] == "carl"]
        assert [row["action"] for row in said] == ["account_halt", "account_resume"] * 2
        assert all(row["origin"] and row["correlation_id"] for row in said)
        # The switch is all that compliance has.
        assert (await client.patch("/v1/accounts/A1", json={})).status_code == 403
        assert (await client.post("/v1/accounts/NONE/halt")).status_code == 404


@in_loop
async def test_a_trader_changes_no_account(tmp_path: Path) -> None:
    async with running(tmp_path) as (app, client):
        await client.put("/v1/accounts/A1", json={})
        app.state.api.door.who = principal(Role.TRADER, sees=frozenset({"A1"}))
        before = len(rows(app, ACCOUNTS))
        for method, path in (
            ("POST", "A1/halt"),
            ("POST", "A1/resume"),
            ("PUT", "A2"),
            ("PATCH", "A1"),
            ("POST", "A1/cash"),
        ):
            answer = await client.request(method, f"/v1/accounts/{path}", json={"amount": "1"})
            assert answer.status_code == 403, path
        assert len(rows(app, ACCOUNTS)) == before


@pytest.mark.parametrize(
    "body",
    [
        {"max_order_quantity": "-1"},
        {"leverage": "0.5"},
        {"type": "savings"},
        {"halted": True},
        {"user": "somebody else"},
        {"deposit": "0"},
        {"deposit": "NaN"},
        {"currency": None},
    ],
)
@in_loop
async def test_what_an_account_cannot_be_is_refused_and_changes_nothing(
    tmp_path: Path, body: dict[str, Any]
) -> None:
    async with running(tmp_path) as (app, client):
        answer = await client.put("/v1/accounts/A1", json=body)
        assert answer.status_code == 422, answer.text
        assert rows(app, ACCOUNTS) == []
