"""The short way to routes: it must not be told from FastAPI's by any answer."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

from connectors.log import LogError
from serving.api import app as app_module
from serving.api import market, orders
from serving.api.lean import LeanRoutes, is_lean
from serving.api.scopes import Role
from serving.api.scopes import Scope as Right
from serving.api.security import Principal, Required
from tests.serving.api.apps import principal, running
from tests.serving.ordering import order

WAYS = ("lean", "FastAPI's")
# Of each answer: what no two requests have in common.
PASSING = ("x-correlation-id", "content-length")

REQUESTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("POST", "/v1/orders", {"json": order("a")}),
    ("POST", "/v1/orders", {"json": [order("b"), order("c", side="borrow")]}),
    ("POST", "/v1/orders", {"json": order("d", quantity="-1")}),
    ("POST", "/v1/orders", {"json": order("e", limit_price=None)}),
    ("POST", "/v1/orders", {"content": b"{"}),
    ("POST", "/v1/orders", {}),
    ("POST", "/v1/orders", {"json": order("f", account="A2")}),
    ("POST", "/v1/orders/check", {"json": order("g")}),
    ("PUT", "/v1/orders/nothing", {"json": {"quantity": "5"}}),
    ("PUT", "/v1/orders/nothing", {"json": {}}),
    ("PUT", "/v1/orders/check", {"json": {"quantity": "5"}}),
    ("PUT", f"/v1/orders/{'x' * 65}", {"json": {"quantity": "5"}}),
    ("DELETE", "/v1/orders/nothing", {}),
    ("DELETE", "/v1/orders/no-thing", {}),
    ("DELETE", "/v1/orders/no/thing", {}),
    ("DELETE", "/v1/orders/", {}),
    ("DELETE", "/v1/orders", {}),
    ("GET", "/v1/orders/nothing", {}),
    ("GET", "/v1/orders/%6eothing", {}),
    ("PATCH", "/v1/orders", {}),
    ("GET", "/v1/quotes?symbol=AAPL", {}),
    ("GET", "/v1/quotes", {}),
    ("GET", "/v1/quotes?symbol=AAPL&limit=0", {}),
    ("GET", "/v1/bars?symbol=,", {}),
    ("HEAD", "/v1/quotes?symbol=AAPL", {}),
)


class _Past:
    """In place of the short way: everything goes FastAPI's."""

    def __init__(self, app: Any, *, routers: Any) -> None:
        del routers
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


async def _answers(home: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> list[Any]:
    monkeypatch.setattr(app_module, "LeanRoutes", LeanRoutes if way == "lean" else _Past)
    found = []
    trader = principal(Role.TRADER, sees=frozenset({"A1"}), trades=frozenset({"A1"}))
    async with running(home / way, trader, partitions=1) as (_, client):
        for method, path, sent in REQUESTS:
            answer = await client.request(method, path, **sent)
            headers = {name: v for name, v in answer.headers.items() if name not in PASSING}
            body = answer.text.replace(answer.headers["x-correlation-id"], "it")
            found.append((method, path, answer.status_code, headers, body))
    return found


def test_no_answer_tells_the_short_way_from_the_long_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lean, long = [asyncio.run(_answers(tmp_path, monkeypatch, way)) for way in WAYS]
    assert [one[2] for one in lean[:5]] == [201, 200, 422, 422, 422]
    for one, other in zip(lean, long, strict=True):
        assert one == other


class Anybody(Required):
    """A guard that asks nobody."""

    async def __call__(self, request: Request) -> Principal:
        del request
        return principal(user="tess")


def _routes() -> APIRouter:
    router = APIRouter()
    guard = Annotated[Principal, Depends(Anybody(Right.ME))]

    @router.get("/things/all")
    async def everything(request: Request, who: guard, page: int = 1) -> Response:
        del request, who, page
        return Response("all")

    @router.get("/things/{thing}")
    async def one(request: Request, thing: str, who: guard) -> Response:
        del request
        return Response(f"{thing} for {who.user}")

    @router.get("/models")
    async def models(request: Request, who: guard) -> dict[str, str]:
        del request
        return {"who": who.user}

    @router.post("/bodies")
    async def bodies(asked: Request, me: guard) -> Response:
        return Response(await asked.body() + me.user.encode())

    @router.post("/failing")
    async def failing(request: Request, who: guard) -> Response:
        del request, who
        raise LogError("the disk is full")

    @router.get("/open")
    async def everybody(request: Request) -> Response:
        del request
        return Response("open")

    return router


def _asked(method: str, path: str, content: Any = None) -> httpx.Response:
    async def past(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("the long way")(scope, receive, send)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(LeanRoutes(past, routers=[_routes()]))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, content=content)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/things/one", "one for tess"),
        # A route that has a path of its own is not a word of another one.
        ("/things/all", "the long way"),
        ("/things/one/more", "the long way"),
        ("/things/", "the long way"),
        ("/things/a-b", "the long way"),
        ("/things/%C3%A4", "the long way"),
        (f"/things/{'x' * 64}", f"{'x' * 64} for tess"),
        (f"/things/{'x' * 65}", "the long way"),
        ("/models", "the long way"),
        ("/open", "the long way"),
        ("/nothing", "the long way"),
    ],
)
def test_only_what_needs_nothing_else_takes_the_short_way(path: str, text: str) -> None:
    assert _asked("GET", path).text == text


def test_a_body_in_parts_is_read_whole() -> None:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one ", b"", b"two "):
            yield part

    assert _asked("POST", "/bodies", parts()).text == "one two tess"


def test_a_log_that_fails_has_its_answer_on_the_short_way() -> None:
    answer = _asked("POST", "/failing")
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:tapeflow:problem:log-unavailable"


def test_orders_and_newest_values_take_the_short_way() -> None:
    found = {
        (method, route.path)
        for router in (orders.router, market.router)
        for route in router.routes
        if isinstance(route, APIRoute) and is_lean(route)
        for method in route.methods or ()
    }
    wanted = {
        ("POST", "/v1/orders"),
        ("PUT", "/v1/orders/{order_id}"),
        ("DELETE", "/v1/orders/{order_id}"),
        ("GET", "/v1/quotes"),
    }
    assert wanted <= found
