"""The one place where the API is put together."""

import asyncio
import importlib
import importlib.util
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import APIRouter, Depends, FastAPI

from connectors.log import open_log
from connectors.topics import create_topics
from serving.api import problems
from serving.api.audit import AuditTrail
from serving.api.envelope import Envelope
from serving.api.rate_limits import RateLimits
from serving.api.security import OPEN, Credentials, Door, Principal
from serving.api.state import ApiState, Part
from serving.settings import Settings

# Each has a ``router``, and may have ``PARTS``: functions of the state that make what runs behind it.
_MODULES = (
    "serving.api.health",
    "serving.api.tokens",
    "serving.api.users",
    "serving.api.audit_rows",
    "serving.api.orders",
    "serving.api.positions",
    "serving.api.market",
    "serving.api.sql",
    "serving.api.streams",
    "serving.dashboard.page",
)
_RATE = 1000.0
_BODY_BYTES = 16 << 20
_BODY_S = 30.0


class NoDoor:
    """Lets nobody in."""

    async def principal(self, credentials: Credentials) -> Principal:
        """Nobody."""
        del credentials
        raise problems.ApiError(401, "credentials", "sign in, or bring an API key")


def create_app(settings: Settings, *, door: Door | None = None) -> FastAPI:
    """The application; nothing is opened before it starts.

    Parameters
    ----------
    settings : Settings
        The platform's.
    door : Door, optional
        Who says who asks; by default the users database.
    """
    modules = [importlib.import_module(name) for name in _MODULES if _is_there(name)]
    makers: list[Callable[[ApiState], Part]] = [
        make for module in modules for make in getattr(module, "PARTS", ())
    ]

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        log = await asyncio.to_thread(open_log, settings.log)
        try:
            await asyncio.to_thread(create_topics, log, settings.partitions)
            state = ApiState(
                settings=settings,
                log=log,
                audit=AuditTrail(log),
                door=door or NoDoor(),
                rates=RateLimits(_RATE),
            )
            app.state.api = state
            try:
                await state.start(state.audit)
                for make in makers:
                    await state.start(make(state))
                state.started = True
                yield
            finally:
                await state.stop()
        finally:
            await asyncio.to_thread(log.close)

    app = FastAPI(title="Tapeflow", lifespan=lifespan, docs_url=None, redoc_url=None)
    problems.add_to(app)
    app.add_middleware(Envelope, body_bytes=_BODY_BYTES, body_s=_BODY_S)
    for module in modules:
        if isinstance(getattr(module, "router", None), APIRouter):
            app.include_router(module.router)
        else:
            app.include_router(module.router(), dependencies=[Depends(OPEN)])
    return app


def _is_there(name: str) -> bool:
    package, _, _ = name.rpartition(".")
    return bool(importlib.util.find_spec(package)) and bool(importlib.util.find_spec(name))
