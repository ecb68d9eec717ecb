"""The keys of receipts: an Ed25519 pair, the private key in a file of its owner alone."""

import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)


class ReceiptKeyError(ValueError):
    """A key that is not there or is none; the message says which file was looked for and what makes one."""


def public_path(private: Path) -> Path:
    """Where the public key lies of a private key's file."""
    return private.with_name(private.name + ".pub")


def make_keys(private: Path) -> str:
    """Make a pair: the private key (mode 0600), and beside it ``NAME.pub``.

    Returns
    -------
    str
        The public key, 64 hexadecimal digits, as links name it.

    Raises
    ------
    ReceiptKeyError
        Where either file is there already: what it signed could not be proved without it. Or they cannot be
        written: then neither is left.
    """
    for path in (private, public_path(private)):
        if path.exists():
            raise ReceiptKeyError(f"{path} is there already; a new key needs another file")
    key = Ed25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    try:
        private.parent.mkdir(parents=True, exist_ok=True)
        _write_new(public_path(private), public, mode=0o644)
        try:
            # With its mode from the start: at no moment can another read it.
            _write_new(private, secret, mode=0o600)
        except OSError:
            public_path(private).unlink()
            raise
    except OSError as error:
        raise ReceiptKeyError(
            f"{private}: the keys cannot be written: {error.strerror}; none was made"
        ) from error
    return public_hex(key.public_key())


def load_private(path: Path) -> Ed25519PrivateKey:
    """The private key of a PEM file.

    Raises
    ------
    ReceiptKeyError
        Where there is none, or others than its owner can read it.
    """
    secret = _read(path, "private")
    if path.stat().st_mode & 0o077:
        raise ReceiptKeyError(f"{path} can be read by others than its owner: chmod 600 {path}")
    try:
        key = load_pem_private_key(secret, password=None)
    except (ValueError, TypeError) as error:
        raise ReceiptKeyError(f"{path}: no unencrypted PEM private key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ReceiptKeyError(f"{path}: an Ed25519 key was needed; `tapeflow receipt keygen`")
    return key


def load_public(path: Path) -> str:
    """The public key of a PEM file, 64 hexadecimal digits.

    Raises
    ------
    ReceiptKeyError
        Where there is none.
    """
    try:
        key = load_pem_public_key(_read(path, "public"))
    except ValueError as error:
        raise ReceiptKeyError(f"{path}: no PEM public key: {error}") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ReceiptKeyError(f"{path}: an Ed25519 key was needed; `tapeflow receipt keygen`")
    return public_hex(key)


def public_hex(key: Ed25519PublicKey) -> str:
    """A public key as links name it."""
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex()


def is_signed(key: str, signature: str, message: bytes) -> bool:
    """Whether a signature (hexadecimal) of a message is the key's."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)).verify(
            bytes.fromhex(signature), message
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def _write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that is not there yet, to the disk; whole or not at all."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink()
        raise


def _read(path: Path, which: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ReceiptKeyError(
            f"no {which} key at {path}: `tapeflow receipt keygen` makes a pair there, the setting "
            "receipt_key says where"
        ) from None
