"""The API in this process for tests: an application over a log of its own, and a client that knows who it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

from serving.api.app import create_app
from serving.api.scopes import Role, scopes_of
from serving.api.security import Credentials, Principal
from serving.settings import Settings


def principal(
    *roles: Role,
    user: str = "tess",
    sees: frozenset[str] | None = None,
    trades: frozenset[str] | None = None,
) -> Principal:
    """A user of these roles (admin without one)."""
    of = frozenset(roles or (Role.ADMIN,))
    return Principal(
        user=user,
        roles=of,
        scopes=scopes_of(of),
        sees=sees,
        trades=trades,
        via=f"session:{user}",
        rate=1e9,
    )


class FixedDoor:
    """Everybody is the same one, who can be changed."""

    def __init__(self, who: Principal) -> None:
        self.who = who

    async def principal(self, credentials: Credentials) -> Principal:
        """That one."""
        del credentials
        return self.who

    def check(self) -> None:
        """It always can."""


@asynccontextmanager
async def running(
    home: Path, who: Principal | None = None, **settings: Any
) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """An application that has started, and a client of it; the user is ``who``, an admin by default."""
    app = create_app(Settings(home=home, **settings), door=FixedDoor(who or principal()))
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://127.0.0.1"
        ) as client,
    ):
        yield app, client
