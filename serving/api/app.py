"""The one place where the API is put together."""

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from connectors.log import open_log
from connectors.topics import create_topics
from serving.api import audit_rows, health, keys, problems, tokens
from serving.api import users as users_routes
from serving.api.audit import AuditTrail
from serving.api.door import UsersDoor
from serving.api.envelope import Envelope, Limits
from serving.api.openapi import describe
from serving.api.rate_limits import RateLimits
from serving.api.security import Door
from serving.api.state import ApiState, Part
from serving.api.tracing import tracer
from serving.dashboard import page
from serving.settings import Settings
from serving.users.users import Users

# Each has a ``router``, and may have ``PARTS``: functions of the state that make what runs behind it.
_MODULES = (
    "serving.api.orders",
    "serving.api.positions",
    "serving.api.market",
    "serving.api.sql",
    "serving.api.streams",
    "serving.dashboard.system",
    "serving.dashboard.topics",
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
    modules = [importlib.import_module(name) for name in _MODULES if importlib.util.find_spec(name)]
    makers: list[Callable[[ApiState], Part]] = [
        make for module in modules for make in getattr(module, "PARTS", ())
    ]
    # A request passes the routers in this order: what must be fast comes first.
    routers: list[APIRouter] = [
        *(module.router for module in modules),
        *(module.router for module in (health, tokens, keys, users_routes, audit_rows, page)),
    ]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                app.state.api = state = await _opened(stack, settings, door)
                for make in makers:
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
    )
    problems.add_to(app)
    app.add_middleware(Envelope, limits=Limits.of(settings), trace=tracer(settings.otlp_endpoint))
    for router in routers:
        app.include_router(router)
    describe(app, routers)
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
    )
    stack.push_async_callback(state.stop)
    await state.start(state.audit)
    return state
