"""What routers do with the users database: in a thread, audited, and forgotten by the door where it changes something."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import HTTPConnection

from serving.api.audit import Result, Whence, came_from, entry_of
from serving.api.door import UsersDoor, refused
from serving.api.problems import ApiError
from serving.api.security import Principal
from serving.api.state import ApiState, state_of
from serving.users.errors import UsersError
from serving.users.sessions import ReusedTokenError
from serving.users.users import Users

T = TypeVar("T")


class Desk:
    """Deeds of one request.

    Parameters
    ----------
    connection : HTTPConnection
        The request.
    actor : str
        Who does it, or says so.
    """

    def __init__(self, connection: HTTPConnection, actor: str) -> None:
        self._connection = connection
        self._state: ApiState = state_of(connection)
        self._actor = actor
        self.whence: Whence = came_from(connection)

    @property
    def users(self) -> Users:
        """The users database."""
        return self._door.users

    async def look(self, read: Callable[[], T]) -> T:
        """Read something.

        Raises
        ------
        ApiError
            Where it is refused.
        """
        try:
            return await asyncio.to_thread(read)
        except UsersError as error:
            raise refused(error) from None

    async def do(
        self,
        action: str,
        subject: str | None,
        deed: Callable[[], T],
        *,
        enters: Callable[[T], str] | None = None,
    ) -> T:
        """Do something, and return once it is in the audit log, on disk.

        Parameters
        ----------
        action, subject : str, str or None
            As the audit log names them.
        deed : callable
            Does it, in a thread.
        enters : callable or None
            Of what only lets somebody in and changes nothing for anybody: who it is, by what ``deed`` gave.

        Raises
        ------
        ApiError
            Where it is refused; that is in the audit log, too.
        """
        try:
            result = await asyncio.to_thread(deed)
        except UsersError as error:
            actor = self._actor
            if isinstance(error, ReusedTokenError):
                actor = error.user
                self._door.forget()
            await self._record(actor, action, subject, Result.REFUSED, error.detail)
            raise refused(error) from None
        if enters is None:
            self._door.forget()
        actor = self._actor if enters is None else enters(result)
        await self._record(actor, action, subject, Result.DONE)
        return result

    async def _record(
        self,
        actor: str,
        action: str,
        subject: str | None,
        result: Result,
        reason: str | None = None,
    ) -> None:
        await self._state.audit.record(
            entry_of(self._connection, actor, action, subject, result, reason)
        )

    @property
    def _door(self) -> UsersDoor:
        door = self._state.door
        if not isinstance(door, UsersDoor):
            raise ApiError(503, "no-users", "this server has no users database")
        return door


def session_of(principal: Principal) -> str:
    """The session by which somebody asks.

    Raises
    ------
    ApiError
        403 for an API key: what a key could change about its user would outlive the key.
    """
    kind, _, session_id = principal.via.partition(":")
    if kind != "session":
        raise ApiError(403, "key", "an API key may not do this: sign in")
    return session_id
