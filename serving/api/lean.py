"""The short way to routes that need nothing but the request and who asks: orders by the thousand, newest values.

FastAPI finds the route, solves its dependencies and watches over each body at a cost of 150 us a request. Here the same
functions are called, with the same guards and the same answers to errors; whatever is not plainly one of these
requests goes FastAPI's way, which also makes the document.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, get_type_hints

from annotated_types import MaxLen
from fastapi import APIRouter, Request, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.api import problems
from serving.api.security import Required

# Of a path's last part, such as an order's identifier: what no reader of paths takes for anything else.
_WORD_MAX = 64

Endpoint = Callable[..., Awaitable[Response]]


class LeanRoutes:
    """A layer above FastAPI's.

    Parameters
    ----------
    app : ASGI application
        FastAPI's, for all the rest.
    routers : iterable of APIRouter
        Whose routes are called from here where they can be, see `is_lean`.
    """

    def __init__(self, app: ASGIApp, *, routers: Iterable[APIRouter]) -> None:
        self._app = app
        # By method and path, also those that are FastAPI's; and by method and what comes before the last word.
        self._by_path: dict[tuple[str, str], _Lean | None] = {}
        self._by_front: dict[tuple[str, str], _Lean] = {}
        for route in (one for router in routers for one in router.routes):
            if not isinstance(route, APIRoute):
                continue
            lean = _Lean(route) if is_lean(route) else None
            front, brace, _ = route.path.partition("{")
            for method in route.methods or ():
                if not brace:
                    self._by_path.setdefault((method, route.path), lean)
                elif lean is not None:
                    self._by_front.setdefault((method, front), lean)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "http":
            method, path = scope["method"], scope["path"]
            word = ""
            if (method, path) in self._by_path:
                lean = self._by_path[method, path]
            else:
                front, slash, word = path.rpartition("/")
                lean = self._by_front.get((method, front + slash))
                if not (word.isascii() and word.isalnum() and len(word) <= _WORD_MAX):
                    lean = None
            if lean is not None:
                await lean.answer(scope, receive, send, word)
                return
        await self._app(scope, receive, send)


def is_lean(route: APIRoute) -> bool:
    """Whether a route needs the request, the principal and at most a word at the path's end, and makes its own answer."""
    dependant = route.dependant
    others = (
        dependant.query_params,
        dependant.header_params,
        dependant.cookie_params,
        dependant.body_params,
    )
    return (
        not any(others)
        and get_type_hints(route.endpoint).get("return") is Response
        and dependant.request_param_name is not None
        and len(dependant.dependencies) == 1
        and isinstance(dependant.dependencies[0].call, Required)
        and all(_is_word(route, field) for field in dependant.path_params)
        and len(dependant.path_params) == route.path.count("{") <= 1
    )


def _is_word(route: APIRoute, field: Any) -> bool:
    rules = field.field_info.metadata
    return (
        route.path.endswith(f"/{{{field.name}}}")
        and field.field_info.annotation is str
        and all(isinstance(rule, MaxLen) and rule.max_length >= _WORD_MAX for rule in rules)
    )


class _Lean:
    """A route: its guard, its function, and by which names that takes its arguments."""

    def __init__(self, route: APIRoute) -> None:
        dependant = route.dependant
        (guard,) = dependant.dependencies
        self._route = route
        self._guard: Any = guard.call
        self._endpoint: Endpoint = route.endpoint
        self._request_name = dependant.request_param_name or ""
        self._principal_name = guard.name or ""
        self._word_name = dependant.path_params[0].name if dependant.path_params else None

    async def answer(self, scope: Scope, receive: Receive, send: Send, word: str) -> None:
        """Answer a request as FastAPI would."""
        scope["route"] = self._route
        request = _Request(scope, receive)
        arguments: dict[str, Any] = {self._request_name: request}
        if self._word_name is not None:
            arguments[self._word_name] = word
        try:
            arguments[self._principal_name] = await self._guard(request)
            response = await self._endpoint(**arguments)
        except problems.HANDLED as error:
            response = problems.answer(scope, error)
        await response(scope, receive, send)


class _Request(Request):
    """A request whose body is read without a generator: it comes in one part, as a rule."""

    async def body(self) -> bytes:
        """The whole body."""
        if not hasattr(self, "_body"):
            parts = []
            while True:
                message = await self.receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                parts.append(message.get("body", b""))
                if not message.get("more_body", False):
                    break
            self._body = b"".join(parts)
        return self._body
