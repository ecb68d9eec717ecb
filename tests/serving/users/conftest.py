"""The users database as its tests see it: in SQLite and in PostgreSQL, with a clock that they set."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from argon2 import PasswordHasher

from serving.api.scopes import Role
from serving.settings import Settings
from serving.users import passwords
from serving.users.sign_in import Claim
from serving.users.users import Users
from tests.conftest import skip_or_fail
from tests.serving.users.postgresql import PASSWORD as SERVER_PASSWORD
from tests.serving.users.postgresql import PostgresqlError, start_postgresql

PASSWORD = "correct horse battery staple"
OTHER = "another horse, another battery"


class Clock:
    """Wall time that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now_ns = 1_800_000_000 * 10**9

    def __call__(self) -> int:
        return self.now_ns

    def advance(self, seconds: float) -> None:
        self.now_ns += int(seconds * 1e9)


def hash_cheaply(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let argon2 take no time."""
    hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(passwords, "_HASHER", hasher)
    monkeypatch.setattr(passwords, "_NOBODY", hasher.hash(secrets.token_hex(8)))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Address of a PostgreSQL server that the whole run shares; each test makes a database of its own."""
    server = ExitStack()
    try:
        address = server.enter_context(start_postgresql())
    except PostgresqlError as error:
        skip_or_fail("postgresql", str(error))
    with server:
        yield address


@pytest.fixture(params=["sqlite", "postgresql"])
def users_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty users database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'users.db'}"
    address = request.getfixturevalue("postgresql")
    name = f"users_{secrets.token_hex(8)}"
    host, _, port = address.partition(":")
    with psycopg.connect(
        host=host, port=int(port), user="postgres", password=SERVER_PASSWORD, autocommit=True
    ) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return f"postgresql://postgres:{SERVER_PASSWORD.replace(' ', '%20')}@{address}/{name}"


@pytest.fixture
def cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Passwords whose hashing takes no time: what is tested is what is done with it."""
    hash_cheaply(monkeypatch)


@pytest.fixture
def users(users_url: str, tmp_path: Path, clock: Clock, cheap_passwords: None) -> Iterator[Users]:
    """An empty users database."""
    opened = Users(Settings(home=tmp_path, users=users_url), clock)
    yield opened
    opened.close()


@pytest.fixture
def tess(users: Users) -> str:
    """A trader with a password; no session is left of setting it."""
    users.people.first_admin()
    token = users.people.create("tess", [Role.TRADER], {"ACC-1": True, "ACC-2": False})
    signed = users.sign_in.tokens(Claim(user="tess", password=PASSWORD, one_time_token=token))
    users.sessions.end("tess", users.sessions.user_of_access(signed.access)[1])
    return "tess"
