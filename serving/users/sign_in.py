"""Signing in: a password or a one-time token, the second factor, and what is said where it fails: nothing."""

import hmac
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from time import time_ns

from sqlalchemy.orm import Session

from serving.users.attempts import (
    begin_attempt,
    forget_attempts,
    of_device,
    of_one_time_token,
    of_session,
    uncount_attempt,
)
from serving.users.database import Database
from serving.users.errors import UsersError, not_signed_in
from serving.users.known_devices import KnownDevices
from serving.users.models import User
from serving.users.passwords import check_strength, digest, hashed, matches
from serving.users.people import end_sessions, found
from serving.users.second_factor import SecondFactors
from serving.users.sessions import Cookie, Sessions, Tokens

_WRONG = "user, password or code is wrong"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What somebody brings to sign in. Never logged, never printed.

    Parameters
    ----------
    user : str
        Name.
    password : str
        The password; with a one-time token, the one to set.
    one_time_token : str or None
        In place of a password that was never set.
    code : str or None
        Of the second factor, or a recovery code.
    origin, device : str
        Where from.
    device_cookie : str or None
        Of `serving.users.known_devices`, where the user has signed in on this device before.
    """

    user: str
    password: str
    one_time_token: str | None = None
    code: str | None = None
    origin: str = ""
    device: str = ""
    device_cookie: str | None = None

    def __repr__(self) -> str:
        return f"Claim(user={self.user!r})"


class SignIn:
    """The way in.

    Parameters
    ----------
    database : Database
        Where users are.
    factors : SecondFactors
        Their second factors.
    sessions : Sessions
        What a sign-in begins.
    devices : KnownDevices
        Whose failures are counted by themselves.
    clock : callable
        Wall time, ns since 1970 UTC.
    """

    def __init__(
        self,
        database: Database,
        factors: SecondFactors,
        sessions: Sessions,
        devices: KnownDevices,
        clock: Callable[[], int] = time_ns,
    ) -> None:
        self._database = database
        self._factors = factors
        self._sessions = sessions
        self._devices = devices
        self._clock = clock

    def tokens(self, claim: Claim) -> Tokens:
        """Sign a program in.

        Raises
        ------
        UsersError
            401 where the claim is wrong, 401 ``second-factor`` where only the code is missing, 422 where a new
            password is too weak, 429 after too many failures.
        """
        with self._entered(claim) as (session, user):
            return self._sessions.begin(
                session, user.name, origin=claim.origin, device=claim.device
            )

    def cookie(self, claim: Claim) -> Cookie:
        """Sign a dashboard in; errors as `tokens` has."""
        with self._entered(claim) as (session, user):
            return self._sessions.begin_with_cookie(
                session, user.name, origin=claim.origin, device=claim.device
            )

    def change_password(self, name: str, old: str, new: str, *, session_id: str) -> None:
        """Set another password; all other sessions of the user end.

        Raises
        ------
        UsersError
            401 where the old one is wrong (that counts as a failed sign-in), 422 where the new one is weak.
        """
        check_strength(new, name)
        counter = of_session(name)
        self._begin(counter)
        with self._database.reading() as session:
            password_hash = found(session, name).password_hash
        if not matches(old, password_hash):
            raise not_signed_in("the old password is wrong")
        new_hash = hashed(new)
        with self._database.writing() as session:
            user = found(session, name, lock=True)
            if user.password_hash != password_hash:
                raise UsersError(409, "conflict", "the password was changed meanwhile")
            user.password_hash = new_hash
            end_sessions(session, name, self._clock(), but=session_id)
            forget_attempts(session, counter)

    def remove_second_factor(self, name: str, code: str) -> None:
        """Remove the second factor of whoever shows a code of it; `UsersError` 401 otherwise."""
        counter = of_session(name)
        self._begin(counter)
        with self._database.writing() as session:
            user = found(session, name, lock=True)
            if not user.totp_confirmed:
                raise UsersError(409, "second-factor", "there is no second factor")
            if not self._factors.check(session, user, code):
                raise not_signed_in("the code is wrong")
            self._factors.remove(session, user)
            forget_attempts(session, counter)

    @contextmanager
    def _entered(self, claim: Claim) -> Iterator[tuple[Session, User]]:
        """A transaction in which the claim holds, and its user."""
        name = claim.user
        if claim.one_time_token is not None:
            check_strength(claim.password, name)
        counter = self._counted(claim)
        with self._database.reading() as session:
            known = session.get(User, name)
        # Slow by design, so outside of any transaction.
        proved = self._is_proved(claim, known)
        new_hash = hashed(claim.password) if proved and claim.one_time_token is not None else None
        if known is None or not proved:
            raise not_signed_in(_WRONG)
        if known.totp_confirmed and claim.code is None:
            with self._database.writing() as session:
                uncount_attempt(session, counter)
            raise UsersError(401, "second-factor", "a code of the second factor is needed: `code`")
        with self._database.writing() as session:
            user = found(session, name, lock=True)
            if not _is_same(user, known):
                raise not_signed_in(_WRONG)
            if user.totp_confirmed and not self._factors.check(session, user, claim.code or ""):
                raise not_signed_in(_WRONG)
            if new_hash is not None:
                user.password_hash, user.one_time_hash = new_hash, None
            forget_attempts(session, counter)
            yield session, user

    def _counted(self, claim: Claim) -> str:
        """Count the attempt; by which counter.

        What nobody can guess, a one-time token or a device cookie, has its own. A known device that has locked its
        own is a stranger.
        """
        if claim.one_time_token is not None:
            counter = of_one_time_token(claim.one_time_token)
            self._begin(counter)
            return counter
        device = self._devices.device_of(claim.device_cookie, claim.user)
        if device is not None:
            with suppress(UsersError):
                self._begin(of_device(device))
                return of_device(device)
        self._begin(claim.user)
        return claim.user

    def _begin(self, counter: str) -> None:
        with self._database.writing() as session:
            begin_attempt(session, counter, self._clock())

    def _is_proved(self, claim: Claim, user: User | None) -> bool:
        if claim.one_time_token is None:
            return matches(claim.password, user.password_hash if user else None)
        return (
            user is not None
            and user.one_time_hash is not None
            and hmac.compare_digest(user.one_time_hash, digest(claim.one_time_token))
            and (user.one_time_expires or 0) > self._clock()
        )


def _is_same(user: User, known: User) -> bool:
    """Whether what was proved is still so: no other sign-in used the token up, nobody changed the password."""
    return (
        user.active
        and user.password_hash == known.password_hash
        and user.one_time_hash == known.one_time_hash
    )
