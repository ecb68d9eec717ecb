"""Who asks the embedded store: credentials of a request to a user, as ClickHouse's HTTP protocol brings them."""

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from connectors.clickhouse_statement import StatementError
from connectors.store_key import PROGRAMS, program_key
from connectors.store_users import (
    GUEST,
    StoreRole,
    StoreUser,
    StoreUsers,
    fits,
    hash_of_key,
    hash_of_password,
)

# How long a password that was right need not be hashed again.
_REMEMBERED_S = 300.0
_REMEMBERED_MAX = 1_000
# Wrong passwords of a user within the time, before none is tried any more.
_WRONG_MAX = 10
_WRONG_S = 60.0
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_REFUSED = (
    "Code: 516. DB::Exception: {name}: Authentication failed: password is incorrect, or there is no user with "
    "such name.{more} (AUTHENTICATION_FAILED)"
)


@dataclass(frozen=True, slots=True)
class Knock:
    """What a request brings to say who asks.

    Parameters
    ----------
    name, password : str
        As given; `GUEST` and nothing where none is.
    is_local : bool
        Whether it comes from this machine and names this machine: a page of another site that a browser was
        led here with (DNS rebinding) names its own host.
    """

    name: str
    password: str
    is_local: bool


def knock_of(
    headers: Mapping[str, str], parameters: Mapping[str, str], client: str | None
) -> Knock:
    """Read a request's credentials: Basic, ClickHouse's own headers, or the URL; one of them.

    Raises
    ------
    StatementError
        Where two ways are taken at once, or one is not understood.
    """
    ways = []
    authorization = headers.get("authorization")
    if authorization:
        ways.append(_basic(authorization))
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        ways.append((headers.get("x-clickhouse-user", GUEST), headers.get("x-clickhouse-key", "")))
    if "user" in parameters or "password" in parameters:
        ways.append((parameters.get("user", GUEST), parameters.get("password", "")))
    if len(set(ways)) > 1:
        raise StatementError(
            "Code: 516. DB::Exception: Invalid authentication: user and password are given in two ways that do "
            "not agree. (AUTHENTICATION_FAILED)"
        )
    name, password = ways[0] if ways else (GUEST, "")
    host = headers.get("host", "").rpartition(":")
    named = (host[0] or host[2]) if host[2].isdigit() else headers.get("host", "")
    is_local = client in _LOOPBACK and named.strip("[]").lower() in _LOOPBACK
    return Knock(name or GUEST, password, is_local)


class StoreDoor:
    """Says who asks.

    Parameters
    ----------
    store : Path
        The store's folder, with its users and the program key; the key is made where there is none.
    now : callable
        Seconds of a clock that only goes forward.
    """

    def __init__(self, store: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._users = StoreUsers(store)
        key = program_key(store, make=True)
        assert key is not None  # noqa: S101 - it was made
        self._program = StoreUser(name=PROGRAMS, role=StoreRole.ADMIN, secret=hash_of_key(key))
        self._now = now
        self._lock = threading.Lock()
        # Only this process can make these digests, and they are of no use elsewhere.
        self._salt = secrets.token_bytes(32)
        self._remembered: dict[bytes, float] = {}
        self._wrong: dict[str, list[float]] = {}

    @cached_property
    def _nobody(self) -> str:
        """What an unknown name's password is compared with, so that it takes as long as a known one's."""
        return hash_of_password(secrets.token_urlsafe(16))

    def known(self, knock: Knock) -> StoreUser | None:
        """Who knocks, where that can be said at once; else ask `enter`, which takes time.

        Raises
        ------
        StatementError
            As `enter` does.
        """
        if knock.name == GUEST and not knock.password and self._users.guest:
            return self._guest(knock)
        user = self._user(knock.name)
        if user is not None and user.secret.startswith("sha256:"):
            return self._entered(user, knock, fits=fits(user.secret, knock.password))
        if user is not None and self._is_remembered(user, knock):
            return user
        return None

    def enter(self, knock: Knock) -> StoreUser:
        """Who knocks.

        Raises
        ------
        StatementError
            516 where the password is not the user's, or too many were wrong before.
        """
        known = self.known(knock)
        if known is not None:
            return known
        with self._lock:
            since = self._now() - _WRONG_S
            wrong = [at for at in self._wrong.get(knock.name, []) if at > since]
            if len(wrong) >= _WRONG_MAX:
                wait_s = wrong[0] - since
                raise _refused(knock.name, f" Too many were wrong; wait {wait_s:.0f} s.")
        user = self._user(knock.name)
        secret = self._nobody if user is None else user.secret
        right = fits(secret, knock.password) and user is not None
        if user is None or not right:
            self._note_wrong(knock.name)
            raise _refused(knock.name)
        with self._lock:
            if len(self._remembered) >= _REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[self._digest(user, knock)] = self._now() + _REMEMBERED_S
            self._wrong.pop(knock.name, None)
        return user

    def _guest(self, knock: Knock) -> StoreUser:
        if not knock.is_local:
            raise StatementError(
                "Code: 194. DB::Exception: default: Authentication failed: password required; without one, the "
                "store answers to 127.0.0.1 and localhost only. (REQUIRED_PASSWORD)"
            )
        return StoreUser(name=GUEST, role=StoreRole.QUANT)

    def _user(self, name: str) -> StoreUser | None:
        return self._program if name == PROGRAMS else self._users.get(name)

    def _entered(self, user: StoreUser, knock: Knock, *, fits: bool) -> StoreUser:
        if not fits:
            raise _refused(knock.name)
        return user

    def _is_remembered(self, user: StoreUser, knock: Knock) -> bool:
        with self._lock:
            return self._remembered.get(self._digest(user, knock), 0.0) > self._now()

    def _digest(self, user: StoreUser, knock: Knock) -> bytes:
        # With the hash that is kept: another password makes what was remembered worthless.
        said = b"\0".join(part.encode() for part in (user.name, user.secret, knock.password))
        return hmac.new(self._salt, said, hashlib.sha256).digest()

    def _note_wrong(self, name: str) -> None:
        with self._lock:
            if len(self._wrong) >= _REMEMBERED_MAX:
                self._wrong.clear()
            self._wrong[name] = [*self._wrong.get(name, [])[-_WRONG_MAX:], self._now()]


def _refused(name: str, more: str = "") -> StatementError:
    return StatementError(_REFUSED.format(name=name, more=more))


def _basic(authorization: str) -> tuple[str, str]:
    kind, _, coded = authorization.partition(" ")
    try:
        said = base64.b64decode(coded, validate=True).decode()
    except (ValueError, binascii.Error):
        said = ""
    name, colon, password = said.partition(":")
    if kind.lower() != "basic" or not colon:
        raise StatementError(
            "Code: 516. DB::Exception: Invalid authentication: the store takes user and password as "
            "`Authorization: Basic`. (AUTHENTICATION_FAILED)"
        )
    return name, password
