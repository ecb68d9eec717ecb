"""Whether the API lives, whether it is ready, and what it counts."""

import asyncio
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from connectors.log import LogError
from connectors.metrics import REGISTRY
from serving.api.problems import ApiError
from serving.api.scopes import Scope
from serving.api.security import OPEN, Principal, require
from serving.api.state import ApiState, state_of
from serving.hub.hub import Hub
from serving.users.database import UsersDatabaseError

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """An answer of a server that lives."""

    status: str


class Ready(BaseModel):
    """What was found well."""

    status: str
    log: str
    users: str
    parts: list[str]


@router.get("/health", dependencies=[Depends(OPEN)])
async def health() -> Health:
    """Whether the process answers."""
    return Health(status="alive")


@router.get("/ready", dependencies=[Depends(OPEN)])
async def ready(request: Request) -> Ready:
    """Whether it can do what it is asked: log and users database answer, every part has started."""
    state = state_of(request)
    if not state.started or state.closing.is_set():
        raise ApiError(503, "not-ready", "the server is starting or shutting down")
    if state.audit.failing:
        raise ApiError(503, "not-ready", "the audit log cannot be written")
    if failed := state.part(Hub).failed:
        raise ApiError(503, "not-ready", f"not read on, see the log: {', '.join(failed)}")
    await asyncio.to_thread(_check, state)
    return Ready(
        status="ready",
        log="reachable",
        users="reachable",
        parts=[part.name for part in state.parts],
    )


@router.get("/metrics", response_class=Response)
async def metrics(_: Annotated[Principal, Depends(require(Scope.OPERATIONS_READ))]) -> Response:
    """What the process counts, for Prometheus."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


@router.get("/openapi.json", include_in_schema=False, dependencies=[Depends(OPEN)])
async def openapi(request: Request) -> Response:
    """What this API takes and gives, for programs."""
    return Response(orjson.dumps(request.app.openapi()), media_type="application/json")


def _check(state: ApiState) -> None:
    try:
        state.log.end("orders", 0)
        state.door.check()
    except (LogError, UsersDatabaseError) as error:
        what = "log" if isinstance(error, LogError) else "users database"
        raise ApiError(503, "not-ready", f"the {what} does not answer") from None
