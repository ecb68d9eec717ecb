"""Sessions: what a sign-in begins on a device, access and refresh tokens, a dashboard's cookie."""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from time import time_ns

import jwt
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from serving.users.database import Database
from serving.users.errors import UsersError, not_signed_in
from serving.users.key_file import Keys
from serving.users.models import RefreshToken, SignInSession, User
from serving.users.passwords import digest, new_secret

_ISSUER = "tapeflow"
_ALGORITHM = "HS256"
_SECOND_NS = 10**9
# How exactly it is known when a device was last seen: a write a minute at most.
_SEEN_NS = 60 * _SECOND_NS
_OVER = "this session is over: sign in again"
# Ended ones are kept so long, for whoever asks where from somebody was signed in.
_KEEP_NS = 90 * 86_400 * _SECOND_NS
_DEVICES_MAX = 100


@dataclass(frozen=True, kw_only=True)
class Tokens:
    """What a sign-in gives a program.

    Parameters
    ----------
    access : str
        Goes with each request, for a few minutes.
    refresh : str
        Gets the next ones, once.
    expires_s : int
        How long ``access`` is good for.
    """

    access: str
    refresh: str
    expires_s: int


@dataclass(frozen=True, kw_only=True)
class Cookie:
    """What a sign-in gives a dashboard.

    Parameters
    ----------
    value : str
        Of the cookie that scripts cannot read.
    csrf : str
        What the page sends along with whatever changes something.
    expires_s : int
        How long both are good for.
    """

    value: str
    csrf: str
    expires_s: int


@dataclass(frozen=True, kw_only=True)
class Device:
    """A session as its user may know it."""

    id: str
    created: int
    seen: int
    expires: int
    origin: str
    device: str


class Sessions:
    """The sessions of all users.

    Parameters
    ----------
    database : Database
        Where.
    keys : Keys
        Of the key file.
    access_s, refresh_s : int
        Lifetimes of access tokens, and of sessions without a refresh.
    clock : callable
        Wall time, ns since 1970 UTC.
    """

    def __init__(
        self,
        database: Database,
        keys: Keys,
        *,
        access_s: int,
        refresh_s: int,
        clock: Callable[[], int] = time_ns,
    ) -> None:
        self._database = database
        self._keys = keys
        self._access_s = access_s
        self._refresh_s = refresh_s
        self._clock = clock

    def begin(self, session: Session, user: str, *, origin: str, device: str) -> Tokens:
        """Begin a program's session, in the transaction of its sign-in."""
        made = self._new(session, user, origin=origin, device=device)
        session.flush()
        return self._tokens(session, made)

    def begin_with_cookie(self, session: Session, user: str, *, origin: str, device: str) -> Cookie:
        """Begin a dashboard's session, in the transaction of its sign-in."""
        made = self._new(session, user, origin=origin, device=device)
        value = new_secret("tfs")
        made.cookie_hash = digest(value)
        return Cookie(value=value, csrf=self.csrf(made.id), expires_s=self._refresh_s)

    def refresh(self, token: str) -> tuple[Tokens, str]:
        """New tokens for a refresh token, and whose they are.

        A token is good once. If it comes a second time, one of the two who had it has stolen it, and nobody can tell
        which: the session ends for both.

        Raises
        ------
        UsersError
            401 where it is unknown, over, or was used; `kind` is ``reused`` then, and the session is over.
        """
        now = self._clock()
        user = ""
        with self._database.writing() as session:
            found = session.get(RefreshToken, digest(token), with_for_update=True)
            held = None if found is None else session.get(SignInSession, found.session)
            if found is None or held is None or not self._lives(session, held):
                raise not_signed_in(_OVER)
            user = held.user
            if found.used is None:
                found.used = now
                held.seen = now
                held.expires = now + self._refresh_s * _SECOND_NS
                return self._tokens(session, held), user
            # Committed, and only then told.
            held.ended = now
        raise ReusedTokenError(user)

    def user_of_access(self, token: str) -> tuple[str, str]:
        """User and session of an access token; whether these still are, the database says.

        Raises
        ------
        UsersError
            401 where it is not ours, was altered, or is too old.
        """
        try:
            claims = jwt.decode(
                token,
                self._keys.tokens,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                options={
                    "require": ["exp", "sub", "sid", "iss"],
                    # By our clock, which a test may set.
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            expires, user, held = claims["exp"], claims["sub"], claims["sid"]
            if not isinstance(expires, int) or not isinstance(held, str):
                raise jwt.InvalidTokenError
        except (jwt.PyJWTError, ValueError):
            raise not_signed_in("no access token of this server") from None
        if expires * _SECOND_NS <= self._clock():
            raise not_signed_in("this access token is too old: refresh it")
        return user, held

    def alive(self, session: Session, held: SignInSession | None) -> SignInSession:
        """The session, if it goes on; notes that it was seen.

        Raises
        ------
        UsersError
            401 where it is over.
        """
        if held is None or not self._lives(session, held):
            raise not_signed_in(_OVER)
        return held

    def touch(self, id_: str) -> None:
        """Note that a device was seen, if that was not noted lately."""
        now = self._clock()
        with self._database.writing() as session:
            held = session.get(SignInSession, id_)
            if held is not None and now - held.seen >= _SEEN_NS:
                held.seen = now

    def is_stale(self, held: SignInSession) -> bool:
        """Whether it should be noted that the device was seen."""
        return self._clock() - held.seen >= _SEEN_NS

    def csrf(self, id_: str) -> str:
        """What a page of a cookie's session must send along."""
        return hmac.digest(self._keys.csrf, id_.encode(), "sha256").hex()

    def devices(self, user: str) -> list[Device]:
        """The sessions of a user that go on, the newest first."""
        query = (
            select(SignInSession)
            .where(
                SignInSession.user == user,
                SignInSession.ended.is_(None),
                SignInSession.expires > self._clock(),
            )
            .order_by(SignInSession.seen.desc(), SignInSession.id)
            .limit(_DEVICES_MAX)
        )
        with self._database.reading() as session:
            return [
                Device(
                    id=one.id,
                    created=one.created,
                    seen=one.seen,
                    expires=one.expires,
                    origin=one.origin,
                    device=one.device,
                )
                for one in session.scalars(query)
            ]

    def end(self, user: str, id_: str) -> None:
        """End a session of a user; `UsersError` 404 where there is none that goes on."""
        with self._database.writing() as session:
            held = session.get(SignInSession, id_)
            if held is None or held.user != user or held.ended is not None:
                raise UsersError(404, "no-device", "there is no such session")
            held.ended = self._clock()

    def _new(self, session: Session, user: str, *, origin: str, device: str) -> SignInSession:
        now = self._clock()
        self._forget_old(session, user, now)
        made = SignInSession(
            id=secrets.token_hex(16),
            user=user,
            cookie_hash=None,
            created=now,
            seen=now,
            expires=now + self._refresh_s * _SECOND_NS,
            ended=None,
            origin=origin[:100],
            device=device[:200],
        )
        session.add(made)
        return made

    def _tokens(self, session: Session, held: SignInSession) -> Tokens:
        now_s = self._clock() // _SECOND_NS
        claims = {
            "iss": _ISSUER,
            "sub": held.user,
            "sid": held.id,
            "iat": now_s,
            "exp": now_s + self._access_s,
            # Two of one second differ.
            "jti": secrets.token_hex(8),
        }
        refresh = new_secret("tfr")
        session.add(RefreshToken(hash=digest(refresh), session=held.id, used=None))
        return Tokens(
            access=jwt.encode(claims, self._keys.tokens, _ALGORITHM),
            refresh=refresh,
            expires_s=self._access_s,
        )

    def _lives(self, session: Session, held: SignInSession) -> bool:
        if held.ended is not None or held.expires <= self._clock():
            return False
        user = session.get(User, held.user)
        return user is not None and user.active

    @staticmethod
    def _forget_old(session: Session, user: str, now: int) -> None:
        old = select(SignInSession.id).where(
            SignInSession.user == user, SignInSession.expires < now - _KEEP_NS
        )
        session.execute(delete(RefreshToken).where(RefreshToken.session.in_(old)))
        session.execute(
            delete(SignInSession).where(
                SignInSession.user == user, SignInSession.expires < now - _KEEP_NS
            )
        )


class ReusedTokenError(UsersError):
    """A refresh token came a second time; its session was ended.

    Parameters
    ----------
    user : str
        Whose session it was.
    """

    def __init__(self, user: str) -> None:
        super().__init__(
            401,
            "reused",
            "this refresh token was used before; somebody else may have it, so the session was ended: sign in again",
        )
        self.user = user
