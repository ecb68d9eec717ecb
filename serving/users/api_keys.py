"""API keys: for programs of a user, with fewer rights than the user has, and an end."""

import hmac
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import time_ns

from sqlalchemy import func, select

from serving.api.scopes import Scope, scopes_of
from serving.users.database import Database
from serving.users.errors import UsersError, not_signed_in
from serving.users.models import ApiKey, User
from serving.users.passwords import digest
from serving.users.people import found, person_of

PREFIX = "tfk_"
_KEYS_MAX = 100
_NO_KEY = "there is no such API key, or it is over"


@dataclass(frozen=True, kw_only=True)
class KeyInfo:
    """An API key as its user may know it; the secret is told once, when it is made."""

    prefix: str
    name: str
    scopes: tuple[Scope, ...]
    rate: float | None
    created: int
    expires: int | None


class ApiKeys:
    """The API keys of all users.

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

    def create(
        self,
        user: str,
        name: str,
        scopes: Iterable[Scope],
        *,
        expires: int | None = None,
        rate: float | None = None,
    ) -> tuple[KeyInfo, str]:
        """Make a key.

        Parameters
        ----------
        user : str
            Whose.
        name : str
            What it is for.
        scopes : iterable of Scope
            What may be done with it, of what its user may.
        expires : int or None
            When it ends, ns since 1970 UTC; None for when it is revoked.
        rate : float or None
            Requests a second, where others than the setting's.

        Returns
        -------
        KeyInfo, str
            And the key itself, which is not kept.

        Raises
        ------
        UsersError
            403 for a scope that the user has not, 409 where there are too many, 422 for an end in the past.
        """
        wanted = frozenset(scopes)
        now = self._clock()
        if expires is not None and expires <= now:
            raise UsersError(422, "expires", "the key would be over already")
        prefix = secrets.token_hex(6)
        secret = secrets.token_urlsafe(32)
        with self._database.writing() as session:
            owner = found(session, user, lock=True)
            missing = sorted(wanted - scopes_of(frozenset(person_of(owner).roles)))
            if missing:
                raise UsersError(403, "scope", f"{user} has not the scope {missing[0]}")
            query = select(func.count()).where(ApiKey.user == user, ApiKey.revoked.is_(None))
            if session.execute(query).scalar_one() >= _KEYS_MAX:
                raise UsersError(409, "keys", f"a user has at most {_KEYS_MAX} keys: revoke some")
            made = ApiKey(
                prefix=prefix,
                user=user,
                name=name,
                secret_hash=digest(secret),
                scopes=" ".join(sorted(wanted)),
                rate=rate,
                created=now,
                expires=expires,
                revoked=None,
            )
            session.add(made)
            return _info(made), f"{PREFIX}{prefix}_{secret}"

    def of_user(self, user: str) -> list[KeyInfo]:
        """The keys of a user that are not revoked, in order of making."""
        query = (
            select(ApiKey)
            .where(ApiKey.user == user, ApiKey.revoked.is_(None))
            .order_by(ApiKey.created, ApiKey.prefix)
        )
        with self._database.reading() as session:
            return [_info(one) for one in session.scalars(query)]

    def revoke(self, user: str, prefix: str) -> None:
        """End a key of a user; `UsersError` 404 where there is none."""
        with self._database.writing() as session:
            key = session.get(ApiKey, prefix)
            if key is None or key.user != user or key.revoked is not None:
                raise UsersError(404, "no-key", "there is no such API key")
            key.revoked = self._clock()

    def owner(self, key: str) -> tuple[KeyInfo, User]:
        """What a key is, and whose.

        Raises
        ------
        UsersError
            401 where there is no such key, or it is over.
        """
        prefix, _, secret = key.removeprefix(PREFIX).partition("_")
        with self._database.reading() as session:
            known = session.get(ApiKey, prefix) if prefix.isalnum() and prefix.isascii() else None
            # Compared even where there is none: time tells nothing.
            same = hmac.compare_digest(known.secret_hash if known else "0" * 64, digest(secret))
            user = session.get(User, known.user) if known else None
        over = known is None or (known.expires is not None and known.expires <= self._clock())
        if not same or over or known is None or known.revoked is not None or user is None:
            raise not_signed_in(_NO_KEY)
        if not user.active:
            raise not_signed_in(_NO_KEY)
        return _info(known), user


def _info(key: ApiKey) -> KeyInfo:
    return KeyInfo(
        prefix=key.prefix,
        name=key.name,
        scopes=tuple(Scope(one) for one in key.scopes.split()),
        rate=key.rate,
        created=key.created,
        expires=key.expires,
    )
