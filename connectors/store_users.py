"""Users of the embedded store: their roles, what they may read and take, and the file that keeps them.

The file lies in the store's folder ``access``, readable by its owner only. A running store sees a change of it with
the next request. The key of the platform's own programs lies beside it: `connectors.store_key`.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import orjson
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from connectors.chdb_engine import StoreError
from connectors.file_lock import FileLock
from connectors.sql_guard_tables import PRIVATE_TOPICS, ReadScope
from connectors.store_key import ACCESS, PROGRAMS, write_secret
from connectors.store_quotas import Limits, Quota, changed
from schemas.registry import TOPICS

GUEST = "default"
"""User of who says nothing; without a password it may read market data from the same machine."""

_USERS = "users.json"
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_PASSWORD_CHARS_MIN = 12
_hasher = PasswordHasher()


class StoreRole(StrEnum):
    """What a user is."""

    QUANT = "quant"
    COMPLIANCE = "compliance"
    LANDER = "lander"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUser:
    """A user.

    Parameters
    ----------
    name : str
        Of the user.
    role : StoreRole
        quant reads market data, compliance reads everything, lander also writes to the topics' tables, admin may
        do everything.
    secret : str
        Hash of the password (argon2) or of the key (``sha256:…``).
    topics : frozenset of str
        Topics that may be read beyond the role's.
    reads : frozenset of str, or None
        Exactly these topics, whatever the role: of a user of the API, for whom it asks.
    limits, quota : Limits, Quota
        What a statement, and all within an interval, may take; not of an admin.
    """

    name: str
    role: StoreRole
    secret: str = ""
    topics: frozenset[str] = frozenset()
    reads: frozenset[str] | None = None
    limits: Limits = field(default_factory=Limits)
    quota: Quota = field(default_factory=Quota)

    @property
    def scope(self) -> ReadScope:
        """What may be read."""
        if self.reads is not None:
            return ReadScope(self.reads)
        if self.role is StoreRole.QUANT:
            return ReadScope(frozenset(TOPICS) - PRIVATE_TOPICS | self.topics)
        return ReadScope(frozenset(TOPICS))

    @property
    def is_bound(self) -> bool:
        """Whether statements are checked, limited and counted."""
        return self.role is not StoreRole.ADMIN


class StoreUsers:
    """The users of a store, as kept in its folder.

    Parameters
    ----------
    store : Path
        The store's folder.
    """

    def __init__(self, store: Path) -> None:
        self._path = store / ACCESS / _USERS
        self._seen: tuple[int, int, int] | None = None
        self._users: dict[str, StoreUser] = {}
        self._guest = True

    @property
    def guest(self) -> bool:
        """Whether the user `GUEST` may read without a password."""
        self._refresh()
        return self._guest and GUEST not in self._users

    def all(self) -> dict[str, StoreUser]:
        """All users by name, without `GUEST` and `PROGRAMS`."""
        self._refresh()
        return dict(self._users)

    def get(self, name: str) -> StoreUser | None:
        """A user, or None."""
        self._refresh()
        return self._users.get(name)

    def put(self, user: StoreUser) -> None:
        """Add a user, or change one.

        Raises
        ------
        StoreError
            For a name that is none, or that of the platform's own programs.
        """
        if not _NAME.fullmatch(user.name) or user.name == PROGRAMS:
            raise StoreError(
                f"user {user.name!r}: a name has 1 to 64 letters, digits, dots, - _ and @, and is not {PROGRAMS}"
            )
        unknown = user.topics - TOPICS.keys()
        if unknown:
            raise StoreError(f"user {user.name}: no topics {', '.join(sorted(unknown))}")
        with self._changing():
            self._users[user.name] = user

    def drop(self, name: str) -> None:
        """Remove a user.

        Raises
        ------
        StoreError
            Where there is none.
        """
        with self._changing():
            if self._users.pop(name, None) is None:
                raise StoreError(f"store: there is no user {name!r}")

    def let_guest(self, *, in_: bool) -> None:
        """Let the user `GUEST` read without a password, or not."""
        with self._changing():
            self._guest = in_

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """The users as they are now, written when the block ends; nobody else changes them meanwhile."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = FileLock(self._path.with_suffix(".lock"))
        try:
            with lock:
                self._refresh()
                yield
                self._write()
        finally:
            lock.close()

    def _refresh(self) -> None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._seen, self._users, self._guest = None, {}, True
            return
        # A replaced file is another one, whatever its time says.
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        if seen == self._seen:
            return
        if found.st_mode & 0o077:
            raise StoreError(
                f"{self._path}: others than its owner can read it; say `chmod 600 {self._path}`"
            )
        try:
            kept = orjson.loads(self._path.read_bytes())
            self._users = {name: _user(name, one) for name, one in kept["users"].items()}
            self._guest = bool(kept["guest"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self._path}: it is no file of users ({error})") from error
        self._seen = seen

    def _write(self) -> None:
        kept = {
            "guest": self._guest,
            "users": {name: _kept(user) for name, user in sorted(self._users.items())},
        }
        write_secret(self._path, orjson.dumps(kept, option=orjson.OPT_INDENT_2))
        self._seen = None


def hash_of_key(key: str) -> str:
    """What is kept of a key of `new_key`: it cannot be guessed, so that a fast hash will do."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def hash_of_password(password: str) -> str:
    """What is kept of a password.

    Raises
    ------
    StoreError
        Where it is too short to be one.
    """
    if len(password) < _PASSWORD_CHARS_MIN:
        raise StoreError(f"a password has at least {_PASSWORD_CHARS_MIN} characters")
    return _hasher.hash(password)


def fits(secret: str, given: str) -> bool:
    """Whether a password or key is the one whose hash is kept; takes 50 ms for a password."""
    if secret.startswith("sha256:"):
        return hmac.compare_digest(secret, hash_of_key(given))
    try:
        return _hasher.verify(secret, given)
    except (VerificationError, InvalidHashError):
        return False


def with_changes(user: StoreUser, changes: Mapping[str, int]) -> StoreUser:
    """A user with other limits (``seconds``) or quotas (``quota.seconds``).

    Raises
    ------
    StoreError
        For a name that is neither, or a number that is none.
    """
    quota = {
        key.removeprefix("quota."): n for key, n in changes.items() if key.startswith("quota.")
    }
    limits = {key: n for key, n in changes.items() if not key.startswith("quota.")}
    try:
        return replace(user, limits=changed(user.limits, limits), quota=changed(user.quota, quota))
    except ValueError as error:
        raise StoreError(f"user {user.name}: {error}") from error


def described(user: StoreUser) -> dict[str, Any]:
    """What may be shown of a user."""
    kept = _kept(user)
    by = "key" if user.secret.startswith("sha256:") else "password"
    return {
        "name": user.name,
        "role": kept["role"],
        "by": by,
        "topics": kept["topics"],
        "limits": kept["limits"],
        "quota": kept["quota"],
    }


def _kept(user: StoreUser) -> dict[str, Any]:
    usual_limits, usual_quota = Limits(), Quota()
    return {
        "role": user.role.value,
        "secret": user.secret,
        "topics": sorted(user.topics),
        "limits": _differences(user.limits, usual_limits),
        "quota": _differences(user.quota, usual_quota),
    }


def _differences(values: Limits | Quota, usual: Limits | Quota) -> dict[str, int]:
    names = values.__dataclass_fields__
    return {
        name: getattr(values, name)
        for name in names
        if getattr(values, name) != getattr(usual, name)
    }


def _user(name: str, kept: Mapping[str, Any]) -> StoreUser:
    return StoreUser(
        name=name,
        role=StoreRole(kept["role"]),
        secret=kept["secret"],
        topics=frozenset(kept["topics"]),
        limits=changed(Limits(), kept["limits"]),
        quota=changed(Quota(), kept["quota"]),
    )
