"""What exchange_calendars says, kept on disk: its imports, with those of pandas, take half a second, and it as long."""

import zoneinfo
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from schemas.arrays import Int64s
from schemas.kept_files import KeptFiles, own_file

# What exchange_calendars makes its sessions with; tzdata has the zones that the system has not.
_MADE_WITH = ("exchange_calendars", "korean_lunar_calendar", "numpy", "pandas", "pyluach", "tzdata")


def kept(key: str, make: Callable[[], tuple[str, Int64s]], made_in: str) -> Int64s:
    """Read what an earlier process kept under a key, or make it, and keep it for the next one.

    It is made again where a package that it is made with, the file that makes it, or the system's rules of its time zone
    have changed.

    Parameters
    ----------
    key : str
        Names the calendar, and what of it. There are to be few: one that is no longer asked for stays.
    make : Callable
        Gives the calendar's time zone and the values, of one dimension.
    made_in : str
        The source file that makes them.

    Returns
    -------
    numpy.ndarray of int64, shape (n,)
        Read-only.
    """
    files = _files(Path(made_in))
    values = _values(files.read(key.encode()))
    if values is None:
        zone, values = make()
        files.write(key.encode(), b"\0".join((zone.encode(), _rules(zone), values.tobytes())))
    values.flags.writeable = False
    return values


def _values(content: bytes | None) -> Int64s | None:
    """The values in a file; None where the rules of its zone were others."""
    if content is None:
        return None
    zone, rules, values = content.split(b"\0", maxsplit=2)
    return np.frombuffer(values, np.int64).copy() if rules == _rules(zone.decode()) else None


@cache
def _rules(zone: str) -> bytes:
    """A hash of the system's file of a time zone, without zero bytes; of nothing where the package's is used."""
    for folder in zoneinfo.TZPATH:
        with suppress(OSError):
            return sha256(Path(folder, zone).read_bytes()).hexdigest().encode()
    return b""


@cache
def _files(made_in: Path) -> KeptFiles:
    """They lie where machine code does: beside the source."""
    made_of = [own_file(__file__), own_file(str(made_in)), *map(_version, _MADE_WITH)]
    folder, name = made_in.parent / "__pycache__", f"calendars-{made_in.stem}"
    return KeptFiles(folder, name, made_of=b"\0".join(made_of), suffix="int64")


def _version(package: str) -> bytes:
    try:
        return version(package).encode()
    except PackageNotFoundError:
        return b""
