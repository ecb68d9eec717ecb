"""Ends streams with the rights by which they were opened.

A stream has no end of its own, and these have one: a token gets too old, a session is ended, a key revoked, an
account taken away. Whoever holds such a stream is told why, and loses it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from serving.api.problems import ApiError
from serving.api.security import Credentials, Door, Principal
from serving.users.database import UsersDatabaseError

EVERY_S = 2.0
"""So often rights are asked for anew; the door itself remembers them for as long."""

SIGNED_OUT = "signed-out"
RIGHTS = "rights"
_CHANGED = "what you may see has changed; open the stream anew"
_UNKNOWN = "what you may see could not be found out; open the stream anew"

End = Callable[[str, str], None]

_logger = structlog.get_logger("api")


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A stream, or a connection with several.

    Parameters
    ----------
    credentials : Credentials
        With which it was opened.
    principal : Principal
        Whose rights it has.
    end : callable
        Told `SIGNED_OUT` or `RIGHTS`, and the words, on the event loop.
    """

    credentials: Credentials
    principal: Principal
    end: End


class StreamRights:
    """Asks the door again and again who has the credentials of open streams, once for all streams of the same.

    A users database that does not answer ends no stream: it is asked again. Any other fault ends those streams.

    Parameters
    ----------
    door : Door
        Who says who asks.
    every_s : float
        How often.
    """

    name = "stream-rights"

    def __init__(self, door: Door, *, every_s: float = EVERY_S) -> None:
        self._door = door
        self._every_s = every_s
        self._held: dict[Credentials, set[Held]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to ask."""
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def hold(self, credentials: Credentials, principal: Principal, end: End) -> Held:
        """Watch over a stream until it is given to `leave`."""
        held = Held(credentials, principal, end)
        self._held.setdefault(credentials, set()).add(held)
        return held

    def leave(self, held: Held) -> None:
        """A stream has ended."""
        others = self._held.get(held.credentials, set())
        others.discard(held)
        if not others:
            self._held.pop(held.credentials, None)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            for credentials in list(self._held):
                try:
                    await self._ask(credentials)
                except UsersDatabaseError:
                    continue
                except Exception:
                    # A fault of ours gives nobody rights that he may have lost; the others are still asked for.
                    _logger.exception("rights of a stream could not be asked for")
                    self._end(credentials, RIGHTS, _UNKNOWN)

    async def _ask(self, credentials: Credentials) -> None:
        try:
            now = await self._door.principal(credentials)
        except ApiError as error:
            self._end(credentials, SIGNED_OUT, error.detail)
            return
        for one in list(self._held.get(credentials, ())):
            if _rights(now) != _rights(one.principal):
                one.end(RIGHTS, _CHANGED)

    def _end(self, credentials: Credentials, why: str, detail: str) -> None:
        for one in list(self._held.get(credentials, ())):
            one.end(why, detail)


def _rights(principal: Principal) -> tuple[object, ...]:
    return principal.user, principal.scopes, principal.sees
