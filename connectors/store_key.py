"""How the platform's own programs get into the embedded store: a key in its folder, readable by its owner only.

Whoever only asks the store loads this and not `connectors.store_users`, which needs a hasher of passwords and a
parser of SQL.
"""

import os
import secrets
from pathlib import Path

ACCESS = "access"
"""Folder of secrets within the store's."""
PROGRAMS = "tapeflow"
"""User of the platform's own programs; it has the program key, and may do everything."""
ON_BEHALF = "X-Tapeflow-On-Behalf"
"""Header of the platform's API: for whom it asks, as JSON; of no use to others."""

_KEY = "program-key"
_KEY_BYTES = 32


def program_key(store: Path, *, make: bool = False) -> str | None:
    """The key of the platform's own programs; None where it cannot be read.

    Parameters
    ----------
    store : Path
        The store's folder.
    make : bool
        Whether it is made where it is not there.
    """
    path = store / ACCESS / _KEY
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        if not make:
            return None
    except PermissionError:
        return None
    write_secret(path, new_key().encode())
    return path.read_text().strip()


def new_key() -> str:
    """A key that nobody can guess."""
    return secrets.token_urlsafe(_KEY_BYTES)


def write_secret(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
