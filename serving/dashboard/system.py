"""How the platform does, as JSON for the system panel."""

import asyncio
import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from serving.api.scopes import Scope
from serving.api.security import Principal, require
from serving.api.state import ApiState, Part, state_of
from serving.dashboard.samples import SystemView

router = APIRouter(tags=["operations"])


class SystemSamples:
    """The one view of the system that all pages share.

    Parameters
    ----------
    state : ApiState
        Whose log.
    """

    name = "system samples"

    def __init__(self, state: ApiState) -> None:
        self.view = SystemView(state.log, time.monotonic_ns)

    async def start(self) -> None:
        """Nothing to begin: a sample is taken when it is asked for."""

    async def stop(self) -> None:
        """Nothing to end."""


def _samples(state: ApiState) -> Part:
    return SystemSamples(state)


PARTS = (_samples,)


@router.get("/v1/system")
async def system(
    request: Request, _: Annotated[Principal, Depends(require(Scope.OPERATIONS_READ))]
) -> dict[str, Any]:
    """Lags, rows a second, delays in market time, processor and memory; a sample is at most a second old."""
    view = state_of(request).part(SystemSamples).view
    return await asyncio.to_thread(view.value)
