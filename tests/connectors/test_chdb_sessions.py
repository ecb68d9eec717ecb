"""Which statements share a session of the embedded store: those that leave it as it was, with the same settings."""

from collections.abc import Mapping

import pytest

from connectors.chdb_engine import Engine, Session
from connectors.chdb_request import Call
from connectors.chdb_sessions import Sessions


class Made(Session):
    """A session that only remembers what was asked of it."""

    def __init__(self) -> None:
        super().__init__(None)
        self.is_closed = False

    def use(self, database: str) -> None:
        self._database = database

    def apply(self, settings: Mapping[str, str]) -> None:
        self._applied = dict(settings)

    def close(self) -> None:
        self.is_closed = True


class Makes(Engine):
    """An engine that counts the sessions that it made."""

    def __init__(self) -> None:
        self.made: list[Made] = []

    def session(self) -> Session:
        self.made.append(Made())
        return self.made[-1]


@pytest.fixture
def engine() -> Makes:
    return Makes()


@pytest.fixture
def sessions(engine: Makes) -> Sessions:
    return Sessions(engine)


def ask(sessions: Sessions, text: bytes, **settings: str) -> Session:
    with sessions.borrow(Call(statement=text, head=None), settings) as session:
        return session


def test_selects_with_the_same_settings_share_a_session(sessions: Sessions) -> None:
    first = ask(sessions, b"SELECT 1")
    other = ask(sessions, b"SELECT 1", max_threads="1")
    assert ask(sessions, b"SELECT 2") is first
    assert ask(sessions, b"SELECT 2", max_threads="1") is other is not first


@pytest.mark.parametrize("text", [b"SET max_threads = 1", b"SELECT 1; SET max_threads = 1"])
def test_a_statement_that_may_leave_something_has_a_session_of_its_own(
    sessions: Sessions, engine: Makes, text: bytes
) -> None:
    first = ask(sessions, b"SELECT 1")
    assert ask(sessions, text) is not first
    assert [one.is_closed for one in engine.made] == [False, True]


def test_two_at_once_have_two_and_a_broken_one_is_closed(sessions: Sessions, engine: Makes) -> None:
    def break_off() -> None:
        with sessions.borrow(Call(statement=b"SELECT 1", head=None), {}) as first:
            assert ask(sessions, b"SELECT 1") is not first
            raise GeneratorExit

    with pytest.raises(GeneratorExit):
        break_off()
    assert [one.is_closed for one in engine.made] == [True, False]


def test_only_so_many_wait_and_all_are_closed_at_the_end(sessions: Sessions, engine: Makes) -> None:
    for number in range(40):
        ask(sessions, b"SELECT 1", max_threads=str(number))
    assert [one.is_closed for one in engine.made] == [True] * 24 + [False] * 16
    sessions.close()
    assert all(one.is_closed for one in engine.made)
