"""Puts a mended log in the place of the damaged one, which is kept."""

import os
from pathlib import Path

SIDE_FILES = ("-wal", "-shm")
"""What SQLite adds to the name of a database for the files beside it."""


def put_mended(path: Path, mended: Path) -> Path:
    """Put the mended file in place, and keep the old one under a free name, which is returned.

    The old WAL goes before the new file comes: SQLite would apply it to that. Both files have a second
    name by then, so that an end at any moment loses nothing.
    """
    kept = _free_name(path)
    kept.hardlink_to(path)
    wal = path.with_name(path.name + "-wal")
    if wal.exists():
        kept.with_name(kept.name + "-wal").hardlink_to(wal)
    for suffix in SIDE_FILES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    _sync(mended)
    mended.replace(path)
    _sync(path.parent)
    return kept


def _free_name(path: Path) -> Path:
    """A name for the old file that no earlier repair has used."""
    number = 1
    kept = path.with_name(path.name + ".corrupt")
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.corrupt{number}")
    return kept


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
