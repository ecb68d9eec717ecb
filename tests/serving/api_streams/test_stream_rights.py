"""A stream ends with the rights by which it was opened."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from websockets.exceptions import ConnectionClosed

from schemas.accounts import CASH_MOVEMENTS
from schemas.market import QUOTES
from serving.api.problems import ApiError
from serving.api.scopes import Role
from serving.api.security import Credentials, Principal
from serving.users.database import UsersDatabaseError
from tests.serving.api.apps import principal
from tests.serving.api_streams.test_stream_routes import (
    append,
    events,
    movements,
    quotes,
    subscribe,
    talk,
)
from tests.serving.live_api import live_api

WHO = principal(Role.TRADER, sees=frozenset({"A1"}), trades=frozenset())


class Door:
    """Everybody is the same one, for as long as nothing else is said."""

    def __init__(self) -> None:
        self.answer: Principal | Exception = WHO
        self.asked = 0

    async def principal(self, credentials: Credentials) -> Principal:
        """That one, or the error."""
        del credentials
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def check(self) -> None:
        """It always can."""


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FastAPI, str, Door]]:
    door = Door()
    monkeypatch.setattr("tests.serving.live_api.FixedDoor", lambda _: door)
    with live_api(tmp_path, WHO) as (app, host):
        yield app, host, door


def expired() -> ApiError:
    return ApiError(401, "credentials", "this access token is too old: refresh it")


def seeing_another() -> Principal:
    return replace(WHO, sees=frozenset({"A2"}))


def without_scopes() -> Principal:
    return replace(WHO, scopes=frozenset())


def a_fault() -> KeyError:
    return KeyError("of the program itself")


@pytest.mark.parametrize(
    ("becomes", "code", "reason"),
    [
        (expired, 4401, "signed-out: this access token is too old"),
        (seeing_another, 4403, "rights: "),
        (without_scopes, 4403, "rights: "),
        (a_fault, 4403, "rights: what you may see could not be found out"),
    ],
)
def test_a_websocket_ends_with_the_rights_of_who_opened_it(
    live: tuple[FastAPI, str, Door],
    becomes: Callable[[], Any],
    code: int,
    reason: str,
) -> None:
    _, host, door = live
    with talk(host) as busy, talk(host) as idle:
        subscribe(busy, topic="cash_movements")
        door.answer = becomes()
        for socket in (busy, idle):
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=60)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == code
            assert closed.value.rcvd.reason.startswith(reason)


def test_events_end_with_the_rights_of_who_asked_for_them(
    live: tuple[FastAPI, str, Door],
) -> None:
    app, host, door = live
    append(app, QUOTES, quotes(["A"], 1))
    came = events(host, "/v1/stream/quotes?begin=0:0")
    assert json.loads(next(came)["data"])["rows"]
    door.answer = expired()
    end = next(came)
    assert end["event"] == "end"
    assert json.loads(end["data"]) == {
        "kind": "signed-out",
        "detail": "this access token is too old: refresh it",
    }


def test_a_users_database_that_does_not_answer_ends_no_stream(
    live: tuple[FastAPI, str, Door],
) -> None:
    app, host, door = live
    with talk(host) as socket:
        subscribe(socket, topic="cash_movements")
        door.answer, before = UsersDatabaseError("no answer"), door.asked
        while door.asked < before + 2:
            append(app, CASH_MOVEMENTS, movements(["A1"]))
            assert json.loads(socket.recv(timeout=60))["rows"]
