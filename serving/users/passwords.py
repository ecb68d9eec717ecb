"""Passwords as argon2id hashes, and random secrets as SHA-256: what is guessed and what cannot be."""

import hashlib
import secrets
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from serving.users.errors import UsersError

# NIST SP 800-63B, 5.1.1.2: length counts, rules on kinds of characters do not help. 256 is enough for
# sentences, and keeps hashing cheap.
PASSWORD_MIN = 12
PASSWORD_MAX = 256

# Each takes 64 MiB and three passes over it (RFC 9106, second recommended option, argon2-cffi's default): more at
# once would be a way to bring the server down.
_AT_ONCE = BoundedSemaphore(2)
_HASHER = PasswordHasher()
# Of nobody's password: an unknown user takes as long as a known one.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$E9yNMavdaeOQjL/Bnm8jlw$lrgbswU0uZdpQ0z+3z/W5V912F4amX3wvNVvfAfaExc"


def check_strength(password: str, user: str) -> None:
    """Refuse a password that is guessed soon; `UsersError` 422."""
    fault = ""
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        fault = f"has {PASSWORD_MIN} to {PASSWORD_MAX} characters"
    elif user in password.lower():
        fault = "does not contain the user's name"
    elif len(set(password)) < PASSWORD_MIN // 2:
        fault = f"has at least {PASSWORD_MIN // 2} different characters"
    if fault:
        raise UsersError(422, "password", f"a password {fault}")


def hashed(password: str) -> str:
    """The argon2id hash of a password, with its salt and costs; takes some 0.1 s."""
    with _AT_ONCE:
        return _HASHER.hash(password)


def matches(password: str, password_hash: str | None) -> bool:
    """Whether the hash is that of the password; as slow for no hash."""
    with _AT_ONCE:
        try:
            _HASHER.verify(password_hash or _NOBODY, password)
        except (VerificationError, InvalidHashError):
            return False
    return password_hash is not None


def new_secret(kind: str) -> str:
    """A secret of 256 random bits; ``kind`` says of what, for people and for scanners of leaked secrets."""
    return f"{kind}_{secrets.token_urlsafe(32)}"


def digest(secret: str) -> str:
    """SHA-256 of a secret that nobody can guess: a slow hash would add nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()
