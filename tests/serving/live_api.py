"""The API on a port of its own, in a thread, for tests of what only a real connection shows."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from serving.api.app import create_app
from serving.api.security import Principal
from serving.settings import Settings
from tests.serving.api.apps import FixedDoor, principal


class _Server(uvicorn.Server):
    """uvicorn's, that says when it answers."""

    def __init__(self, app: FastAPI) -> None:
        config = uvicorn.Config(app, port=0, log_config=None, lifespan="on", ws="websockets-sansio")
        super().__init__(config)
        self.answering = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.answering.set()


@contextmanager
def live_api(
    home: Path, who: Principal | None = None, **settings: Any
) -> Iterator[tuple[FastAPI, str]]:
    """An application that serves, and its host and port."""
    app = create_app(Settings(home=home, **settings), door=FixedDoor(who or principal()))
    server = _Server(app)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        assert server.answering.wait(60)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield app, f"127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)
