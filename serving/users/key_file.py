"""The key file: 32 random bytes that only their owner can read, and the keys that are derived from them."""

import base64
import os
import secrets
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from serving.users.errors import UsersError

_BYTES = 32


class KeyFileError(RuntimeError):
    """A key file that cannot be used; the message says how to mend it."""


class Keys:
    """What is derived from the key file; one purpose, one key (HKDF, RFC 5869).

    Parameters
    ----------
    secret : bytes
        Of the file.
    """

    def __init__(self, secret: bytes) -> None:
        self.tokens = _derived(secret, b"tapeflow access tokens")
        self.csrf = _derived(secret, b"tapeflow csrf")
        self.devices = _derived(secret, b"tapeflow known devices")
        self._seal = Fernet(base64.urlsafe_b64encode(_derived(secret, b"tapeflow second factor")))

    def sealed(self, text: str) -> bytes:
        """A text that only this key file opens."""
        return self._seal.encrypt(text.encode())

    def opened(self, sealed: bytes) -> str:
        """What was sealed.

        Raises
        ------
        UsersError
            Where it was sealed with another key file.
        """
        try:
            return self._seal.decrypt(sealed).decode()
        except InvalidToken:
            raise UsersError(
                500,
                "key-file",
                "the second factor was sealed with another key file (setting users_key); `tapeflow users "
                "reset` sets it up anew",
            ) from None


def load_keys(path: Path) -> Keys:
    """The keys of a file, which is made (mode 0600) where it is not there.

    Raises
    ------
    KeyFileError
        Where others than its owner can read it, or it holds something else.
    """
    if not path.exists():
        _make(path)
    secret = path.read_bytes()
    if path.stat().st_mode & 0o077:
        raise KeyFileError(f"{path} can be read by others than its owner: chmod 600 {path}")
    if len(secret) != _BYTES:
        raise KeyFileError(
            f"{path}: {_BYTES} bytes were needed, it has {len(secret)}; remove it and a new one is made, which "
            "ends all sessions and second factors"
        )
    return Keys(secret)


def _make(path: Path) -> None:
    """Make the file whole or not at all, with its mode from the start; of two that do so, one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(secrets.token_bytes(_BYTES))
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            return
    finally:
        fresh.unlink()


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_BYTES, salt=None, info=purpose).derive(secret)
