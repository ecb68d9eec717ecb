"""The one place where the API is put together."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import cast

from fastapi import APIRouter, FastAPI
from starlette.middleware.errors import ServerErrorMiddleware

from connectors.log import open_log
from connectors.topics import create_topics
from serving.api import (
    accounts,
    audit_rows,
    health,
    keys,
    market,
    orders,
    positions,
    problems,
    sql,
    streams,
    tokens,
)
from serving.api import users as users_routes
from serving.api.audit import AuditTrail
from serving.api.door import UsersDoor
from serving.api.envelope import Envelope, Limits
from serving.api.lean import LeanRoutes
from serving.api.openapi import describe
from serving.api.rate_limits import RateLimits
from serving.api.security import Door
from serving.api.state import ApiState, Part
from serving.api.stream_places import StreamPlaces
from serving.api.tracing import tracer
from serving.dashboard import page, system, topics
from serving.settings import Settings
from serving.users.users import Users

# A request passes them in this order: what must be fast comes first.
_ROUTERS: tuple[APIRouter, ...] = (
    orders.router,
    positions.router,
    accounts.router,
    market.router,
    sql.router,
    streams.router,
    system.router,
    topics.router,
    health.router,
    tokens.router,
    keys.router,
    users_routes.router,
    audit_rows.router,
    page.router,
)
# What runs behind them, in order of start.
_PARTS: tuple[Callable[[ApiState], Part], ...] = (
    *orders.PARTS,
    *streams.PARTS,
    *sql.PARTS,
    *system.PARTS,
)


def create_app(settings: Settings, *, door: Door | None = None) -> FastAPI:
    """The application; nothing is opened before it starts.

    Parameters
    ----------
    settings : Settings
        The platform's.
    door : Door, optional
        Who says who asks; by default the users database.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                app.state.api = state = await _opened(stack, settings, door)
                for make in _PARTS:
                    await state.start(make(state))
            except Exception as error:
                # uvicorn only says that it failed.
                app.state.failure = error
                raise
            state.started = True
            yield

    app = FastAPI(
        title="Tapeflow",
        version=version("tapeflow"),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # Traces and counts are the envelope's; FastAPI's own would be asked for at each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    problems.add_to(app, _ROUTERS)
    for router in _ROUTERS:
        app.include_router(router)
    describe(app, _ROUTERS)
    # Above FastAPI's own layers, not below them as `add_middleware` would have it: they take a tenth of an order's
    # time. The outermost of them would answer our faults in words of its own.
    layers = cast("ServerErrorMiddleware", app.build_middleware_stack())
    app.middleware_stack = Envelope(
        LeanRoutes(layers.app, routers=_ROUTERS),
        limits=Limits.of(settings),
        trace=tracer(settings.otlp_endpoint),
    )
    return app


async def _opened(stack: AsyncExitStack, settings: Settings, door: Door | None) -> ApiState:
    """All that is shared, opened; the stack closes it."""
    log = await asyncio.to_thread(open_log, settings.log)
    stack.push_async_callback(asyncio.to_thread, log.close)
    await asyncio.to_thread(create_topics, log, settings.partitions)
    if door is None:
        users = await asyncio.to_thread(Users, settings)
        stack.push_async_callback(asyncio.to_thread, users.close)
        door = UsersDoor(users)
    state = ApiState(
        settings=settings,
        log=log,
        audit=AuditTrail(log),
        door=door,
        rates=RateLimits(settings.api_rate),
        places=StreamPlaces(settings.api_streams),
    )
    stack.push_async_callback(state.stop)
    await state.start(state.audit)
    return state
