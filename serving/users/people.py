"""Users: who they are, what they may do, and how they get in for the first time."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import time_ns

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from serving.api.scopes import Role
from serving.users.attempts import forget_attempts, of_session
from serving.users.database import Database
from serving.users.errors import UsersError, no_user
from serving.users.models import (
    NAME_MAX,
    ApiKey,
    RecoveryCode,
    SignInSession,
    User,
    UserAccount,
    UserRole,
)
from serving.users.passwords import digest, new_secret

FIRST_ADMIN = "admin"

_NAME = re.compile(rf"[a-z0-9](?:[a-z0-9._@-]{{0,{NAME_MAX - 1}}})")
# Long enough to reach somebody by post, short enough not to be found in an old message.
_ONE_TIME_NS = 7 * 86_400 * 10**9
_ACCOUNTS_MAX = 1_000


@dataclass(frozen=True, kw_only=True)
class Person:
    """A user as others may know it.

    Parameters
    ----------
    accounts : dict of str to bool
        Accounts that may be seen, and whether they may be traded.
    second_factor, has_password : bool
        Whether these are set up.
    """

    name: str
    roles: tuple[Role, ...]
    accounts: dict[str, bool]
    active: bool
    second_factor: bool
    has_password: bool
    created: int


class People:
    """The users.

    Parameters
    ----------
    database : Database
        Where.
    clock : callable
        Wall time, ns since 1970 UTC.
    """

    def __init__(self, database: Database, clock: Callable[[], int] = time_ns) -> None:
        self._database = database
        self._clock = clock

    def first_admin(self) -> str | None:
        """Make the first user, an admin, where there is none; its one-time token, or None."""
        with self._database.writing() as session:
            if session.execute(select(User.name).limit(1)).first() is not None:
                return None
            user, token = self._new(FIRST_ADMIN, [Role.ADMIN], {})
            session.add(user)
        return token

    def create(
        self, name: str, roles: Iterable[Role], accounts: Mapping[str, bool] | None = None
    ) -> str:
        """Make a user.

        Returns
        -------
        str
            A one-time token, with which the user sets a password; it is not kept and not told again.

        Raises
        ------
        UsersError
            For a name that is taken, or is none.
        """
        user, token = self._new(name, roles, accounts or {})
        with self._database.writing() as session:
            if session.get(User, user.name) is not None:
                raise UsersError(409, "user-exists", f"there is a user {user.name!r} already")
            session.add(user)
        return token

    def get(self, name: str) -> Person:
        """A user; `UsersError` 404 where there is none."""
        with self._database.reading() as session:
            return person_of(found(session, name))

    def find(self, name: str) -> Person | None:
        """A user, or None."""
        with self._database.reading() as session:
            user = session.get(User, name)
            return None if user is None else person_of(user)

    def page(self, *, after: str = "", limit: int) -> list[Person]:
        """Users in order of name, behind one."""
        query = select(User).where(User.name > after).order_by(User.name).limit(limit)
        with self._database.reading() as session:
            return [person_of(user) for user in session.scalars(query)]

    def change(
        self,
        name: str,
        *,
        roles: Iterable[Role] | None = None,
        accounts: Mapping[str, bool] | None = None,
        active: bool | None = None,
    ) -> Person:
        """Change what is given; the rest stays. Who is made inactive is signed out everywhere.

        Raises
        ------
        UsersError
            404 for no such user; 409 where nobody would be left who may do this.
        """
        with self._database.writing() as session:
            user = found(session, name, lock=True)
            if roles is not None:
                user.roles = _roles(roles)
            if accounts is not None:
                # Deleted before: two rows of one key cannot meet in one flush.
                session.execute(delete(UserAccount).where(UserAccount.user == user.name))
                session.expire(user, ["accounts"])
                user.accounts = _accounts(accounts)
            if active is not None:
                user.active = active
                if not active:
                    end_sessions(session, user.name, self._clock())
            session.flush()
            _check_admins(session)
            return person_of(user)

    def reset(self, name: str, *, second_factor: bool = False) -> str:
        """Give a user a new one-time token; the password, and the second factor if said, count no more.

        Whoever is signed in as that user is signed out, and the user's API keys are revoked.
        """
        token = new_secret("tfo")
        now = self._clock()
        with self._database.writing() as session:
            user = found(session, name, lock=True)
            user.password_hash = None
            user.one_time_hash = digest(token)
            user.one_time_expires = now + _ONE_TIME_NS
            if second_factor:
                user.totp_sealed, user.totp_confirmed = None, False
                session.execute(delete(RecoveryCode).where(RecoveryCode.user == user.name))
            end_sessions(session, user.name, now)
            for key in session.scalars(
                select(ApiKey).where(ApiKey.user == user.name, ApiKey.revoked.is_(None))
            ):
                key.revoked = now
            _forget_failures(session, user.name)
        return token

    def unlock(self, name: str) -> None:
        """Forget a user's failed sign-ins."""
        with self._database.writing() as session:
            _forget_failures(session, found(session, name).name)

    def _new(
        self, name: str, roles: Iterable[Role], accounts: Mapping[str, bool]
    ) -> tuple[User, str]:
        if _NAME.fullmatch(name) is None:
            raise UsersError(
                422,
                "user-name",
                f"a user's name has 1 to {NAME_MAX} of a to z, digits, and . _ @ - (not first)",
            )
        token = new_secret("tfo")
        now = self._clock()
        user = User(
            name=name,
            password_hash=None,
            one_time_hash=digest(token),
            one_time_expires=now + _ONE_TIME_NS,
            totp_sealed=None,
            totp_confirmed=False,
            totp_step=0,
            active=True,
            created=now,
            roles=_roles(roles),
            accounts=_accounts(accounts),
        )
        return user, token


def found(session: Session, name: str, *, lock: bool = False) -> User:
    """The user of a name, held until the transaction's end with ``lock``; `UsersError` 404 where there is none."""
    user = session.get(User, name, with_for_update=lock)
    if user is None:
        raise no_user(name)
    return user


def person_of(user: User) -> Person:
    """What others may know of a user."""
    return Person(
        name=user.name,
        roles=tuple(sorted(Role(one.role) for one in user.roles)),
        accounts={one.account: one.trade for one in sorted(user.accounts, key=_account_name)},
        active=user.active,
        second_factor=user.totp_confirmed,
        has_password=user.password_hash is not None,
        created=user.created,
    )


def end_sessions(session: Session, user: str, now: int, *, but: str = "") -> None:
    """End all of a user's sessions, but one."""
    query = select(SignInSession).where(
        SignInSession.user == user, SignInSession.ended.is_(None), SignInSession.id != but
    )
    for one in session.scalars(query):
        one.ended = now


def _forget_failures(session: Session, name: str) -> None:
    """Open what strangers or the user have locked; a known device that is locked counts as a stranger."""
    forget_attempts(session, name)
    forget_attempts(session, of_session(name))


def _check_admins(session: Session) -> None:
    query = (
        select(User.name)
        .join(UserRole)
        .where(User.active.is_(True), UserRole.role == Role.ADMIN)
        .limit(1)
    )
    if session.execute(query).first() is None:
        raise UsersError(409, "last-admin", "nobody would be left who may change users")


def _roles(roles: Iterable[Role]) -> list[UserRole]:
    return [UserRole(role=role.value) for role in sorted(set(roles))]


def _accounts(accounts: Mapping[str, bool]) -> list[UserAccount]:
    if len(accounts) > _ACCOUNTS_MAX:
        raise UsersError(422, "accounts", f"a user has at most {_ACCOUNTS_MAX} accounts")
    return [UserAccount(account=account, trade=trade) for account, trade in accounts.items()]


def _account_name(one: UserAccount) -> str:
    return one.account
