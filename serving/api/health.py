"""Whether the API lives, whether it is ready, and what it counts."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from connectors.log import LogError
from connectors.metrics import REGISTRY
from serving.api.problems import ApiError
from serving.api.scopes import Scope
from serving.api.security import OPEN, Principal, require
from serving.api.state import ApiState, state_of

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """An answer of a server that lives."""

    status: str


class Ready(BaseModel):
    """What was found well."""

    status: str
    log: str
    parts: list[str]


@router.get("/health", dependencies=[Depends(OPEN)])
async def health() -> Health:
    """Whether the process answers."""
    return Health(status="alive")


@router.get("/ready", dependencies=[Depends(OPEN)])
async def ready(request: Request) -> Ready:
    """Whether it can do what it is asked: the log is there and every part has started."""
    state = state_of(request)
    if not state.started or state.closing.is_set():
        raise ApiError(503, "not-ready", "the server is starting or shutting down")
    await _check_log(state)
    return Ready(status="ready", log="reachable", parts=[part.name for part in state.parts])


@router.get("/metrics", response_class=Response)
async def metrics(_: Annotated[Principal, Depends(require(Scope.OPERATIONS_READ))]) -> Response:
    """What the process counts, for Prometheus."""
    return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)


async def _check_log(state: ApiState) -> None:
    try:
        await asyncio.to_thread(state.log.end, "orders", 0)
    except LogError:
        raise ApiError(503, "not-ready", "the log does not answer") from None
