"""The OpenAPI document: what FastAPI derives, and what every route has besides: its scope, and its errors."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from serving.api.problems import CONTENT_TYPE
from serving.api.security import API_KEY_HEADER, SESSION_COOKIE, Open, Required

_DESCRIPTION = """\
Orders in, queries out. Sign in (`POST /v1/sign-in`) and send the access token as `Authorization: Bearer …`, or make an
API key (`POST /v1/me/keys`) and send it so, or as `X-API-Key`.

Every error is a problem document (RFC 9457); its `correlation_id`, which is also in the header `X-Correlation-ID` of
every answer, is what the server's log and the audit log have it under.
"""
_SCHEMES = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token or an API key",
    },
    "key": {"type": "apiKey", "in": "header", "name": API_KEY_HEADER},
    "cookie": {"type": "apiKey", "in": "cookie", "name": SESSION_COOKIE},
}
_PROBLEM = {
    "title": "Problem",
    "description": "What went wrong (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail", "correlation_id"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:tapeflow:problem:not-found"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "For people: what is wrong and what to do"},
        "correlation_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "Where a request is not what the route takes",
            "items": {
                "type": "object",
                "required": ["at", "fault"],
                "properties": {"at": {"type": "string"}, "fault": {"type": "string"}},
            },
        },
    },
}
_METHODS = ("get", "put", "post", "delete", "patch")


class RouteError(TypeError):
    """A route that does not say who may use it."""


def guard_of(route: BaseRoute) -> Required | Open:
    """Who may use a route.

    Raises
    ------
    RouteError
        Where it says neither, or both.
    """
    dependant = getattr(route, "dependant", None)
    found = list(_guards(dependant)) if dependant is not None else []
    if len(found) != 1:
        raise RouteError(
            f"{getattr(route, 'path', route)} must depend on one of require(SCOPE), KNOWN and OPEN, once; it does on "
            f"{len(found)}"
        )
    return found[0]


def describe(app: FastAPI, routers: Iterable[APIRouter]) -> None:
    """Give an application a document that also says scopes and errors."""
    derived = app.openapi
    guards = {
        (route.path, method.lower()): guard_of(route)
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = derived()
            made["info"]["description"] = _DESCRIPTION
            components = made.setdefault("components", {})
            components["securitySchemes"] = _SCHEMES
            components.setdefault("schemas", {})["Problem"] = _PROBLEM
            for path, operations in made["paths"].items():
                for method in set(operations) & set(_METHODS):
                    _complete(operations[method], guards.get((path, method)))
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _complete(operation: dict[str, Any], guard: Required | Open | None) -> None:
    statuses = {"400": "Not HTTP as it should be", "429": "Too often", "503": "Not now: try again"}
    if isinstance(guard, Required):
        scopes = [guard.scope.value] if guard.scope is not None else []
        # OpenAPI 3.1 allows scopes for every kind of scheme.
        operation["security"] = [{name: scopes} for name in _SCHEMES]
        needed = f"Scope: `{scopes[0]}`." if scopes else "Scope: that of the topic."
        operation["description"] = f"{operation.get('description', '')}\n\n{needed}".strip()
    statuses |= {"401": "Nobody knows who asks", "403": "Not allowed"}
    if "requestBody" in operation:
        statuses |= {"408": "The body came in too slowly", "413": "The body is too long"}
    if "requestBody" in operation or operation.get("parameters"):
        statuses["422"] = "Not what this route takes"
    statuses |= {"404": "There is no such thing", "409": "Not as things are now"}
    answers = operation["responses"]
    for status, meaning in statuses.items():
        answers.setdefault(status, {"description": meaning})
    for status, answer in answers.items():
        # What FastAPI foresees for 422 is not what is answered; what a router says of its errors stays.
        if int(status) >= HTTPStatus.BAD_REQUEST:
            answer["content"] = {CONTENT_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def _guards(dependant: Dependant) -> Iterable[Required | Open]:
    for one in dependant.dependencies:
        if isinstance(one.call, Required | Open):
            yield one.call
        yield from _guards(one)
