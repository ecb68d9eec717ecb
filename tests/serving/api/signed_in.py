"""An application with its users database, and clients of it who are signed in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from connectors.audit_log import read_rows
from serving.api.app import create_app
from serving.api.door import UsersDoor
from serving.api.scopes import Role
from serving.api.state import ApiState
from serving.settings import Settings
from serving.users.sign_in import Claim
from serving.users.users import Users
from tests.serving.api.clients import TestClient

PASSWORD = "correct horse battery staple"
URL = "http://127.0.0.1:8000"


class Service:
    """A started application.

    Parameters
    ----------
    app : FastAPI
        The application.
    client : TestClient
        Of nobody.
    """

    def __init__(self, app: FastAPI, client: TestClient) -> None:
        self.app = app
        self.client = client

    @property
    def state(self) -> ApiState:
        """What its routers share."""
        state: ApiState = self.app.state.api
        return state

    @property
    def users(self) -> Users:
        """Its users database."""
        door = self.state.door
        assert isinstance(door, UsersDoor)
        return door.users

    def add(self, name: str, *roles: Role, accounts: dict[str, bool] | None = None) -> None:
        """Make a user, with `PASSWORD`."""
        token = self.users.people.create(name, roles, accounts)
        claim = Claim(user=name, password=PASSWORD, one_time_token=token)
        signed = self.users.sign_in.tokens(claim)
        self.users.sessions.end(name, self.users.sessions.user_of_access(signed.access)[1])

    def sign_in(self, name: str, **more: Any) -> dict[str, Any]:
        """Sign a user in over HTTP; the answer."""
        body = {"user": name, "password": PASSWORD, **more}
        answer = self.client.post("/v1/sign-in", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def headers(self, name: str) -> dict[str, str]:
        """Headers of a user who has just signed in."""
        return {"Authorization": f"Bearer {self.sign_in(name)['access_token']}"}

    def audited(self, limit: int = 1000) -> list[dict[str, Any]]:
        """Rows of the audit log that have been written, the newest first."""
        return read_rows(self.state.log, limit=limit)


def make_home(home: Path) -> None:
    """Make a home with admin, tess (trades ACC-1, sees ACC-2), quinn (quant) and carl (compliance)."""
    with service(home) as made:
        made.add("admin", Role.ADMIN)
        made.add("tess", Role.TRADER, accounts={"ACC-1": True, "ACC-2": False})
        made.add("quinn", Role.QUANT)
        made.add("carl", Role.COMPLIANCE)


@contextmanager
def service(home: Path, **settings: Any) -> Iterator[Service]:
    """The application of a home, started."""
    app = create_app(Settings(home=home, **settings))
    with TestClient(app, base_url=URL, raise_server_exceptions=False) as client:
        yield Service(app, client)
