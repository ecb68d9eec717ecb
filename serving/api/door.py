"""The door: who has which credentials, by the users database, remembered for a moment."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

from sqlalchemy import select

from serving.api.problems import ApiError
from serving.api.scopes import (
    SEES_ALL_ACCOUNTS,
    TRADES_ALL_ACCOUNTS,
    Scope,
    scopes_of,
)
from serving.api.security import Credentials, Principal
from serving.users import api_keys
from serving.users.errors import UsersError, not_signed_in
from serving.users.models import SignInSession, User
from serving.users.passwords import digest
from serving.users.people import Person, person_of
from serving.users.users import Users

# A change takes hold at once in the process that makes it (`forget`), in others after so long.
REMEMBER_S = 2.0
_KNOWN_MAX = 10_000


class UsersDoor:
    """Knows users by their access token, API key or cookie.

    Parameters
    ----------
    users : Users
        The users database.
    clock : callable
        Seconds that only grow.
    """

    def __init__(self, users: Users, clock: Callable[[], float] = monotonic) -> None:
        self.users = users
        self._clock = clock
        self._known: OrderedDict[Credentials, tuple[Principal, float]] = OrderedDict()
        # Being looked up: who comes with the same meanwhile waits for the same answer.
        self._asked: dict[Credentials, asyncio.Task[Principal | ApiError]] = {}

    async def principal(self, credentials: Credentials) -> Principal:
        """Who has these credentials.

        Raises
        ------
        ApiError
            401 where nobody has.
        """
        known = self._known.get(credentials)
        if known is not None and self._clock() < known[1]:
            return known[0]
        asked = self._asked.get(credentials)
        if asked is None:
            asked = self._asked[credentials] = asyncio.create_task(self._ask(credentials))
        # A client that goes away does not take the answer from the others.
        found = await asyncio.shield(asked)
        if isinstance(found, ApiError):
            raise found
        return found

    async def _ask(self, credentials: Credentials) -> Principal | ApiError:
        """Look it up and remember it, unless something was changed meanwhile."""
        until_s = self._clock() + REMEMBER_S
        found: Principal | ApiError
        try:
            found = await asyncio.to_thread(self._look_up, credentials)
        except UsersError as error:
            found = refused(error)
        finally:
            is_newest = self._asked.get(credentials) is asyncio.current_task()
            if is_newest:
                del self._asked[credentials]
        if isinstance(found, ApiError):
            self._known.pop(credentials, None)
        elif is_newest:
            self._known[credentials] = (found, until_s)
            self._known.move_to_end(credentials)
            if len(self._known) > _KNOWN_MAX:
                self._known.popitem(last=False)
        return found

    def check(self) -> None:
        """Raise where the users database does not answer."""
        self.users.database.ping()

    def forget(self) -> None:
        """Look everybody up anew: something about users was changed."""
        self._known.clear()
        # What is being looked up may be of before: it is neither remembered nor waited for.
        self._asked.clear()

    def _look_up(self, credentials: Credentials) -> Principal:
        if credentials.bearer is not None:
            if credentials.bearer.startswith(api_keys.PREFIX):
                return self._of_key(credentials.bearer)
            return self._of_token(credentials.bearer)
        if credentials.cookie is not None:
            return self._of_cookie(credentials.cookie)
        raise not_signed_in("sign in (POST /v1/sign-in), or bring an API key")

    def _of_key(self, key: str) -> Principal:
        info, user = self.users.keys.owner(key)
        return _principal(
            person_of(user),
            via=f"key:{info.prefix}",
            only=frozenset(info.scopes),
            rate=info.rate,
        )

    def _of_token(self, token: str) -> Principal:
        name, session_id = self.users.sessions.user_of_access(token)
        with self.users.database.reading() as session:
            held = self.users.sessions.alive(session, session.get(SignInSession, session_id))
            user = session.get(User, held.user)
            if user is None or user.name != name:
                raise not_signed_in("no access token of this server")
        return self._of_session(held, user)

    def _of_cookie(self, cookie: str) -> Principal:
        with self.users.database.reading() as session:
            query = select(SignInSession).where(SignInSession.cookie_hash == digest(cookie))
            held = self.users.sessions.alive(session, session.scalars(query).first())
            user = session.get_one(User, held.user)
        return self._of_session(held, user, csrf=self.users.sessions.csrf(held.id))

    def _of_session(self, held: SignInSession, user: User, *, csrf: str | None = None) -> Principal:
        if self.users.sessions.is_stale(held):
            self.users.sessions.touch(held.id)
        return _principal(person_of(user), via=f"session:{held.id}", csrf=csrf)


def refused(error: UsersError) -> ApiError:
    """The answer to what the users database refuses."""
    headers = {}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return ApiError(error.status, error.kind, error.detail, headers=headers)


def _principal(
    person: Person,
    *,
    via: str,
    only: frozenset[Scope] | None = None,
    rate: float | None = None,
    csrf: str | None = None,
) -> Principal:
    roles = frozenset(person.roles)
    scopes = scopes_of(roles)
    sees = frozenset(person.accounts)
    trades = frozenset(account for account, trade in person.accounts.items() if trade)
    return Principal(
        user=person.name,
        roles=roles,
        scopes=scopes if only is None else scopes & only,
        sees=None if roles & SEES_ALL_ACCOUNTS else sees,
        trades=None if roles & TRADES_ALL_ACCOUNTS else trades,
        via=via,
        rate=rate,
        csrf=csrf,
    )
